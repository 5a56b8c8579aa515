"""An evaluation task: corpus, split, readable labels and encoder, opened and checked together."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from cryjax.augment import AugmentSettings, PatchInfo, Policy, build_policy, fit_banks
from cryjax.data.batches import sample_patches
from cryjax.data.cache import cache_root
from cryjax.data.corpus import Corpus, DataSettings, open_corpus
from cryjax.data.fractions import UNITS, nested_fractions
from cryjax.data.parts import Split, SplitSettings, choose_split, folds_of
from cryjax.data.windows import Windows
from cryjax.encoder import Encoder, load, random_encoder
from cryjax.errors import UserError
from cryjax.evaluate.embeddings import Embeddings, embed_once
from cryjax.evaluate.knn import KnnSettings
from cryjax.evaluate.logistic import LogisticSettings
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.training_settings import ProbeSettings
from cryjax.models import EncoderSettings
from cryjax.objectives.semi import SemiSupervisedSettings
from cryjax.settings import free
from cryjax.spec import require_same
from cryjax.train.meta import HASH_CHARACTERS

FRAMES = 101  # of a window where neither settings nor a checkpoint say otherwise


@dataclasses.dataclass(frozen=True)
class EvaluationData(DataSettings, SplitSettings):
    """What is evaluated on and how recordings are cut.

    Attributes:
      frames: Length of a window in frames; None is what the checkpoint was trained with, 101
        without one.
      hop_frames: Distance between windows in frames; None is the checkpoint's, else half a window.
      last_window: "aligned" adds a window that ends with the recording where frames are left over;
        "dropped" ignores them.
      whole: Evaluates recordings in one piece instead of windows; training still uses windows.
    """

    frames: int | None = None
    hop_frames: int | None = None
    last_window: str = "aligned"
    whole: bool = False


@dataclasses.dataclass(frozen=True)
class LabelSettings:
    """Which training labels may be read.

    Attributes:
      fraction: Share of the training groups whose labels are visible, drawn by seed, stratified
        and nested.
      unit: What is drawn: "group", or "recording" where there are too few groups.
    """

    fraction: float = 1.0
    unit: str = "group"

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise UserError(f"label.fraction must lie in (0, 1], got {self.fraction}")
        if self.unit not in UNITS:
            raise UserError(f"label.unit must be one of {', '.join(UNITS)}, got {self.unit!r}")


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What decides an evaluation, whatever the protocol.

    Attributes:
      checkpoint: Workdir of a training run, or an export; None evaluates fresh weights alone.
      pool: How encoders that know it pool over time, pre-trained and random ones alike; None is
        their own.
      encoder: Encoder of fresh weights where there is no checkpoint.
      data: Recordings, split and windows.
      augment: Augmentations of protocols that train.
      label: Visible labels.
      knn: Settings of the nearest neighbours.
      logistic: Settings of logistic regressions on representations.
      probe: Settings of protocols that train.
      semi: Settings of the semi-supervised protocols.
    """

    checkpoint: str | None = free(None)
    pool: str | None = None
    encoder: EncoderSettings = EncoderSettings()
    data: EvaluationData = EvaluationData()
    augment: AugmentSettings = AugmentSettings(order=("normalise",))
    label: LabelSettings = LabelSettings()
    knn: KnnSettings = KnnSettings()
    logistic: LogisticSettings = LogisticSettings()
    probe: ProbeSettings = ProbeSettings()
    semi: SemiSupervisedSettings = SemiSupervisedSettings()


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationTask:
    """One fold of one corpus with the encoder that is evaluated on it.

    Attributes:
      settings: What decides the evaluation.
      corpus: A single labelled folder.
      split: Clip numbers of train, validation and test.
      fold: Name of the test splits.
      pretrained: The encoder of the checkpoint; None without one.
      windows: How recordings are cut.
      cache: Embeddings in memory, by what they are of.
    """

    settings: EvaluationSettings
    corpus: Corpus
    split: Split
    fold: str
    pretrained: Encoder | None
    windows: Windows
    cache: dict[tuple, Embeddings] = dataclasses.field(default_factory=dict)

    @property
    def normalise(self) -> str:
        """Name of the normaliser of every encoder of this task."""
        own = self.settings.augment.normalise.by
        return own or (self.pretrained.meta.normalise if self.pretrained else "dataset")

    @property
    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the training clips' log-mels."""
        split = self.split
        return self.corpus.statistics(split.train if len(split.train) else split.test)

    @property
    def encoder_settings(self) -> EncoderSettings:
        """Settings of encoders with fresh weights: those of the checkpoint, else the task's own."""
        if self.pretrained is not None:
            return self.pretrained.meta.encoder
        own, pool = self.settings.encoder, self.settings.pool
        return own if pool is None else dataclasses.replace(own, pool=pool)

    def encoder(self, weights: str, seed: int) -> Encoder:
        """Returns an encoder.

        Args:
          weights: "pretrained" or "random".
          seed: Seed of random weights.

        Raises:
          UserError: A pre-trained encoder is asked for and there is none.
        """
        if weights == "pretrained":
            if self.pretrained is None:
                raise UserError(
                    "this protocol evaluates a pre-trained encoder: set config.checkpoint to the "
                    "workdir of a training run"
                )
            return self.pretrained
        return random_encoder(
            self.encoder_settings,
            self.corpus.spec,
            self.windows,
            normalise=self.normalise,
            statistics=self.statistics,
            seed=seed,
        )

    def embeddings(self, encoder: Encoder) -> Embeddings:
        """Returns the embeddings of train, validation and test, one after another."""
        key = (encoder.fingerprint, self.split.rows.tobytes(), self.windows)
        if key not in self.cache:
            root = cache_root(self.corpus.sets[0], self.settings.data.cache_dir) / "embeddings"
            rows = self.split.rows
            self.cache[key] = embed_once(root, encoder, self.corpus, rows, self.windows)
        return self.cache[key]

    def policy(self, encoder: Encoder) -> Policy:
        """Builds the settings' augmentations with the normalisation that the encoder expects."""
        normalise = dataclasses.replace(self.settings.augment.normalise, by=encoder.meta.normalise)
        augment = dataclasses.replace(self.settings.augment, normalise=normalise)
        spec = self.corpus.spec
        patch = PatchInfo(self.windows.frames, spec.n_mels, spec.log, encoder.meta.statistics)
        policy = build_policy(augment, patch, evaluating=True)
        if policy.step("k_mix") is not None:
            frames, train = self.windows.frames, self.split.train
            patches = jnp.asarray(sample_patches(self.corpus, train, frames=frames, seed=0))
            fit_banks(policy, patches, encoder.meta.statistics, seed=0)
        return policy

    def labelled(self, seed: int) -> Split:
        """Returns the split with only those training clips whose labels a seed may read."""
        label, train = self.settings.label, self.split.train
        if label.fraction == 1:
            return self.split
        labels, groups = self.corpus.labels[train], self.corpus.groups[train]
        known = nested_fractions(labels, groups, [label.fraction], seed=seed, unit=label.unit)[0]
        return dataclasses.replace(self.split, train=train[known])

    def hidden(self, seed: int) -> Corpus:
        """Returns the corpus without the labels of other training clips: nothing can read them."""
        labels, seen = self.corpus.labels.copy(), (self.labelled(seed).train, self.split.val)
        labels[np.setdiff1d(self.split.train, np.concatenate(seen))] = -1
        return dataclasses.replace(self.corpus, labels=labels)

    def with_fraction(self, fraction: float) -> "EvaluationTask":
        """Returns the task with another share of visible labels; embeddings are shared."""
        label = dataclasses.replace(self.settings.label, fraction=fraction)
        settings = dataclasses.replace(self.settings, label=label)
        return dataclasses.replace(self, settings=settings)

    def scored(self, part: str, scores: np.ndarray, decisions: np.ndarray | None = None) -> Scored:
        """Puts the predictions of "val" or "test" beside the truth."""
        rows = self.split.parts()[part]
        return Scored.of(scores, self.corpus.labels[rows], self.corpus.groups[rows], decisions)

    def fingerprint(self, seed: int) -> list[str]:
        """Lists hashes of the data, the parts, the visible labels and the windows."""
        parts = [*self.split.parts().values(), self.labelled(seed).train]
        rows = hashlib.sha256(b"|".join(np.asarray(p, np.int64).tobytes() for p in parts))
        return [self.corpus.fingerprint, rows.hexdigest(), str(self.windows)]

    def seen_in_training(self) -> dict[str, int]:
        """Counts test groups, and clips by audio, that it was trained on, and selected on."""
        if self.pretrained is None:
            return {"groups": 0, "clips": 0, "selecting": 0}
        meta, test = self.pretrained.meta, self.split.test
        groups = set(self.corpus.global_groups[test].tolist())
        audio = [self.corpus.clips[row].audio[:HASH_CHARACTERS] for row in test]
        heard = set(meta.train_audio) - {""}
        return {
            "groups": len(groups & set(meta.train_groups)),
            "clips": sum(a in heard for a in audio),
            "selecting": len(groups & set(meta.selection_groups)),
        }


def open_tasks(settings: EvaluationSettings) -> Iterator[EvaluationTask]:
    """Opens the task of every fold, one without folds; {fold} in the checkpoint is filled in.

    Raises:
      UserError: Data, split and checkpoint do not belong together.
    """
    corpus = open_corpus(settings.data.dirs, settings.data)
    if len(corpus.sets) > 1 or not corpus.classes:
        raise UserError("evaluation needs one labelled folder in data.dirs")
    for fold in folds_of(settings.data, corpus.splits):
        data = dataclasses.replace(settings.data, **fold)
        yield _open(settings, corpus, choose_split(corpus, data), "+".join(data.test))


def open_unlabelled(settings: EvaluationSettings, splits: tuple[str, ...]) -> EvaluationTask:
    """Opens a task without labels: every clip of these splits is in the test part."""
    corpus = open_corpus(settings.data.dirs, settings.data)
    rows = corpus.rows(splits)
    if not len(rows):
        raise UserError(f"data.splits={','.join(splits)!r} holds no clip")
    return _open(settings, corpus, Split(rows[:0], rows[:0], rows), "+".join(splits))


def _open(settings: EvaluationSettings, corpus: Corpus, split: Split, fold: str) -> EvaluationTask:
    pretrained, data = None, settings.data
    if settings.checkpoint:
        path = settings.checkpoint.replace("{fold}", fold)
        changes: dict[str, Any] = {} if settings.pool is None else {"pool": settings.pool}
        pretrained = load(path, **changes)
        require_same(
            pretrained.spec,
            corpus.spec,
            ours_is="the checkpoint",
            theirs_is=str(corpus.sets[0].folder),
        )
        by = settings.augment.normalise.by
        if by not in (None, pretrained.meta.normalise):
            raise UserError(
                f"augment.normalise.by is {by!r} and the checkpoint was trained with "
                f"{pretrained.meta.normalise!r}; leave it at None to use the checkpoint's"
            )
    frames, hop = data.frames, data.hop_frames
    if pretrained is not None:
        frames = frames or pretrained.meta.frames
        hop = hop or (pretrained.meta.hop_frames if frames == pretrained.meta.frames else None)
    frames = frames or FRAMES
    windows = Windows(frames, hop or max(1, frames // 2), data.last_window, data.whole)
    return EvaluationTask(settings, corpus, split, fold, pretrained, windows)
