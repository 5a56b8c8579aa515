"""A pre-training run: its settings, and the objective and the account that they lead to."""

import dataclasses
import hashlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.augment import AugmentSettings, PatchInfo, build_policy, fit_banks
from cryjax.data.batches import Sampling, sample_patches, too_short_for_distance
from cryjax.data.corpus import Corpus
from cryjax.data.pool import Pool, PoolSettings
from cryjax.data.windows import Windows
from cryjax.encoder import Encoder, load
from cryjax.errors import UserError
from cryjax.evaluate.monitor import SCORE, MonitorSettings, make_monitor
from cryjax.models import EncoderSettings, build_encoder, require_fits
from cryjax.models.compute import ComputeSettings, set_compute
from cryjax.objectives import ObjectiveSettings, build_objective
from cryjax.objectives.simclr import SimCLRSettings
from cryjax.objectives.supervised import SupervisedSettings
from cryjax.settings import differences, free, identity, to_dict
from cryjax.spec import FeatureSpec, require_same
from cryjax.train.faults import NonFinitePolicy
from cryjax.train.log import LogSettings
from cryjax.train.mesh import MeshSettings
from cryjax.train.meta import CheckpointMeta, audio_hashes
from cryjax.train.optim import OptimSettings
from cryjax.train.variables import shapes_of

FRAMES = 101  # of a view where neither settings nor a checkpoint say otherwise
ON_MISMATCH = ("refuse", "allow")


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """What decides a pre-training run.

    Attributes:
      task: Name of the task.
      seed: Seed of weights, batches and augmentations.
      steps: Number of updates; a finished run can be extended.
      batch_size: Clips of a global batch.
      save_every: Updates between checkpoints.
      init: Workdir of the checkpoint that the run starts from; None starts from fresh weights.
      on_mismatch: What happens where settings that were given (encoder, normaliser) differ from
        the checkpoint's: "refuse", or "allow" of those that change no array.
      data: Clips, views, replay and what is protected.
      encoder: Encoder; that of `init` where it is left at its default.
      augment: Augmentations.
      objective: What is minimised.
      optim: Optimiser.
      accumulate: Parts of a batch whose gradients are averaged; a contrastive loss then sees the
        negatives of its part alone.
      compute: Number format and rematerialisation of the encoder.
      mesh: How devices share weights, optimiser, teacher and queue.
      non_finite: What is tolerated of updates that are not finite.
      deterministic: Asks a GPU for the same bits every time, at a cost.
      knn: Scores during training, which then select the checkpoint.
      log: What is logged.
      profile: Writes a trace of a few steps to `profile/` in the workdir.
    """

    task: str = "pretrain"
    seed: int = 0
    steps: int = 1000
    batch_size: int = 64
    save_every: int = free(100)
    init: str | None = free(None)
    on_mismatch: str = free("refuse")
    data: PoolSettings = PoolSettings()
    encoder: EncoderSettings = EncoderSettings()
    augment: AugmentSettings = AugmentSettings()
    objective: ObjectiveSettings = SimCLRSettings()
    optim: OptimSettings = OptimSettings()
    accumulate: int = 1
    compute: ComputeSettings = ComputeSettings()
    mesh: MeshSettings = free(MeshSettings())
    non_finite: NonFinitePolicy = NonFinitePolicy()
    deterministic: bool = False
    knn: MonitorSettings = MonitorSettings()
    log: LogSettings = free(LogSettings())
    profile: bool = free(False)

    def __post_init__(self):
        if self.on_mismatch not in ON_MISMATCH:
            raise UserError(f"on_mismatch must be one of {', '.join(ON_MISMATCH)}")
        if self.batch_size < 2 or self.steps < (0 if self.init else 1):
            raise UserError(
                f"pre-training needs batch_size of at least 2 and steps of at least 1, got "
                f"{self.batch_size} and {self.steps}"
            )

    @property
    def windows(self) -> Windows:
        """Evaluation windows of the encoder, once `resolved` has filled frames in."""
        frames = self.data.frames or FRAMES
        return Windows(frames, self.data.hop_frames or max(1, frames // 2))


def resolve(settings: PretrainSettings) -> tuple[PretrainSettings, Encoder | None]:
    """Fills in what a checkpoint decides: encoder, normaliser, length of views.

    Returns:
      Settings without open ends, and the encoder that the run starts from, None without one.

    Raises:
      UserError: The encoder or the normaliser was given and differs from the checkpoint's.
    """
    start = load(settings.init) if settings.init else None
    meta, by = start.meta if start else None, settings.augment.normalise.by
    frames = settings.data.frames or (meta.frames if meta else FRAMES)
    encoder = settings.encoder
    if meta is not None and encoder == EncoderSettings():
        encoder = meta.encoder
    encoder = encoder.for_patches(frames)
    if meta is not None and settings.on_mismatch == "refuse":
        found = differences(to_dict(meta.encoder), to_dict(encoder), "config.encoder")
        found += differences(meta.normalise, by or meta.normalise, "config.augment.normalise.by")
        if found:
            raise UserError(
                f"{settings.init} was trained with other settings: {'; '.join(found)}; leave them "
                "at their defaults to take the checkpoint's, or set config.on_mismatch=allow"
            )
    by = by or (meta.normalise if meta else "dataset")
    normalise = dataclasses.replace(settings.augment.normalise, by=by)
    resolved = dataclasses.replace(
        settings,
        encoder=encoder,
        augment=dataclasses.replace(settings.augment, normalise=normalise),
        data=dataclasses.replace(settings.data, frames=frames),
    )
    return resolved, start


def build(settings: PretrainSettings, corpus: Corpus, pool: Pool, start: Encoder | None) -> Any:
    """Builds the objective before its first step.

    Args:
      settings: Settings from `resolve`.
      corpus: Where the clips are.
      pool: Clips that are trained on.
      start: Encoder from `resolve`; None without one.

    Raises:
      UserError: Shards and checkpoint have different log-mels, or labels are needed and missing.
    """
    spec, frames = corpus.spec, settings.windows.frames
    if start is not None:
        folder = str(corpus.sets[0].folder)
        require_same(start.spec, spec, ours_is=str(settings.init), theirs_is=folder)
    if isinstance(settings.objective, SupervisedSettings) and not corpus.classes:
        raise UserError("objective.name=supervised needs labelled folders in data.dirs")
    statistics = start.meta.statistics if start else corpus.statistics(pool.own)
    objective = assemble(settings, spec, statistics, len(corpus.classes))
    if start is not None:
        _start_from(objective, start)
    if objective.policy.step("k_mix") is not None:
        patches = sample_patches(corpus, pool.own, frames=frames, seed=settings.seed)
        fit_banks(objective.policy, jnp.asarray(patches), statistics, seed=settings.seed)
    return objective


def assemble(
    settings: PretrainSettings, spec: FeatureSpec, statistics: tuple[float, float], classes: int
) -> Any:
    """Builds the objective with fresh weights, for log-mels that need not be there yet.

    Args:
      settings: Settings from `resolve`.
      spec: Feature specification of the log-mels.
      statistics: Mean and standard deviation of the training log-mels.
      classes: Number of classes; 0 without labels.
    """
    frames, rngs = settings.windows.frames, nnx.Rngs(settings.seed)
    encoder = build_encoder(settings.encoder, spec.n_mels, rngs=rngs)
    require_fits(encoder, settings.encoder, frames, spec.n_mels)
    set_compute(encoder, settings.compute)
    patch = PatchInfo(frames, spec.n_mels, spec.log, statistics)
    policy = build_policy(settings.augment, patch)
    return build_objective(settings.objective, encoder, policy, classes, rngs)


def _start_from(objective: Any, start: Encoder) -> None:
    """Puts a checkpoint's arrays into an objective; its teacher, if it has one, follows."""
    mine, made = (
        shapes_of(nnx.to_pure_dict(nnx.state(m))) for m in (objective.encoder, start.module)
    )
    if other := differences(made, mine, "encoder"):
        raise UserError(
            f"config.init: the checkpoint's arrays are not those of this encoder ({other[0]}); "
            "config.on_mismatch=allow is for settings that change no array"
        )
    nnx.update(objective.encoder, nnx.state(start.module))
    ours, theirs = getattr(objective, "projector", None), start.projector
    if ours is not None and theirs is not None and ours.settings == theirs.settings:
        nnx.update(ours, nnx.state(theirs))
    objective.sync_teacher()


def describe(
    settings: PretrainSettings,
    corpus: Corpus,
    pool: Pool,
    objective: Any,
    start: Encoder | None,
) -> CheckpointMeta:
    """Describes the encoder that a run trains, groups and recordings it has heard included."""
    projector, before = getattr(objective, "projector", None), start.meta if start else None
    rows, windows = pool.rows, settings.windows
    groups = set(corpus.global_groups[rows].tolist())
    audio = set(audio_hashes(corpus.clips[row] for row in rows))
    chosen = set(corpus.global_groups[_monitored(settings, corpus)].tolist())
    return CheckpointMeta(
        encoder=settings.encoder,
        spec=corpus.spec,
        normalise=settings.augment.normalise.by or "dataset",
        statistics=before.statistics if before else corpus.statistics(pool.own),
        frames=windows.frames,
        hop_frames=windows.hop_frames,
        trained_by=settings.objective.name,
        projector=projector.settings if projector is not None else None,
        train_groups=tuple(sorted(groups | set(before.train_groups if before else ()))),
        train_audio=tuple(sorted(audio | set(before.train_audio if before else ()))),
        selection_groups=tuple(sorted(chosen | set(before.selection_groups if before else ()))),
        data=corpus.describe(),
        config=identity(settings),
        selected_by=SCORE if settings.knn.every else None,
        started_from=start.fingerprint if start else None,
    )


def pool_fingerprint(pool: Pool) -> str:
    """Hashes the clip numbers of a pool, in their parts."""
    parts = b"|".join(np.asarray(part, np.int64).tobytes() for part in (pool.own, pool.replay))
    return hashlib.sha256(parts).hexdigest()


def sampling_of(settings: PretrainSettings, corpus: Corpus, pool: Pool, objective: Any) -> Sampling:
    """Decides how batches are drawn, and says where the distance between views cannot be kept."""
    data = settings.data
    sampling = Sampling(
        settings.windows.frames,
        views=objective.views,
        distance=data.distance,
        backgrounds=data.backgrounds if objective.policy.needs_backgrounds else None,
        replay=round(data.replay_fraction * settings.batch_size),
    )
    for part, rows in (
        (pool.own, settings.batch_size - sampling.replay),
        (pool.replay, sampling.replay),
    ):
        if rows > len(part):
            print(
                f"caution: batch_size={settings.batch_size} draws {rows} rows from {len(part)} "
                "clips: some are in a batch twice and count as other clips; lower it"
            )
    if short := too_short_for_distance(corpus, pool.rows, sampling):
        print(
            f"{short} of {len(pool.rows)} clips are shorter than data.distance + data.frames = "
            f"{(data.distance or 0) + sampling.frames} frames; their views are as far apart as "
            "they allow"
        )
    return sampling


def _monitored(settings: PretrainSettings, corpus: Corpus) -> np.ndarray:
    """Lists the clips whose kNN score selects the step."""
    if not settings.knn.every:
        return np.zeros(0, int)
    rows = corpus.rows(settings.data.val, whole=len(corpus.sets) - len(settings.data.dirs))
    return rows[rows < settings.data.count_own(corpus)]


def monitor_of(settings: PretrainSettings, corpus: Corpus, pool: Pool, objective: Any) -> Any:
    """Makes the kNN scores during training; None where there are none."""
    if not settings.knn.every:
        return None
    own, groups = settings.data.count_own(corpus), corpus.groups
    query = _monitored(settings, corpus)
    bank = pool.own[(pool.own < own) & (corpus.labels[pool.own] >= 0)]
    bank = bank[~np.isin(groups[bank], groups[query])]  # where what validates is trained on too
    windows = settings.windows
    return make_monitor(settings.knn, corpus, objective, bank=bank, query=query, windows=windows)
