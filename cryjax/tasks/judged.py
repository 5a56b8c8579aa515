"""What is judged and on what: a labelled folder, its parts, and the encoder with its embeddings."""

import dataclasses
from typing import Any

import numpy as np
from flax import nnx

from cryjax.augment import Policy, build_policy
from cryjax.data.cache import cache_root
from cryjax.data.fractions import nested_fractions
from cryjax.data.pipeline import Corpus
from cryjax.evaluate.embed import embed_once
from cryjax.evaluate.probe import Split
from cryjax.evaluate.scoring import Scored
from cryjax.models import build_encoder
from cryjax.spec import FeatureSpec, require_same
from cryjax.tasks.common import Config, describe, names, open_data, split_off_val
from cryjax.train.checkpoint import load_model

UNSAFE_VAL = {
    "by_clip": "validation drawn by clip (LEAKY: its groups are trained on)",
    "released": "validation on all of train as released (LEAKY: its clips are trained on)",
}
# modes that start from a checkpoint
PRETRAINED = ("knn", "knn_within", "linear", "linear_bn", "finetune")


@dataclasses.dataclass(frozen=True)
class Judged:
    """What is being judged, and on what.

    Attributes:
      config: Of the task.
      corpus: A single labelled folder.
      split: Rows of train, val and test.
      encoder: Pre-trained, None without a checkpoint.
      projector: Of the same checkpoint, None after an export.
      meta: Of the checkpoint; {} without one.
      statistics: What the training rows of this corpus have.
      kept: Embeddings made so far, by seed of fresh weights; None for the checkpoint's.
    """

    config: Config
    corpus: Corpus
    split: Split
    encoder: Any
    projector: Any
    meta: dict[str, Any]
    statistics: tuple[float, float]
    kept: dict[int | None, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> np.ndarray:
        """Those of train, val and test, one after another."""
        return np.concatenate([self.split.train, self.split.val, self.split.test])

    def embeddings(self, mode: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Of every window of `rows`, and whose they are; made once for all modes of one encoder."""
        key = None if mode in PRETRAINED else seed
        if key not in self.kept:
            encoder, policy = self.network(mode, seed)
            data = self.config["data"]
            root = cache_root(self.corpus.sets[0], data["cache_dir"]) / "embeddings"
            about = {"encoder": self._encoder_settings(), "by": self._normalised_by()}
            self.kept[key] = embed_once(
                root,
                about,
                encoder,
                self.corpus,
                self.rows,
                normaliser=policy.normaliser,
                frames=data["frames"],
                hop=data["hop"],
            )
        return self.kept[key]

    def labelled(self, seed: int) -> Split:
        """The split, with the training rows whose labels a seed may read."""
        chosen, train = self.config["label"], self.split.train
        if chosen["fraction"] == 1:
            return self.split
        labels, groups = self.corpus.labels[train], self.corpus.groups[train]
        known = nested_fractions(
            labels, groups, [chosen["fraction"]], seed=seed, unit=chosen["unit"]
        )[0]
        return dataclasses.replace(self.split, train=train[known])

    def hidden(self, seed: int) -> Corpus:
        """The corpus without the labels of other training rows: nothing can read them."""
        labels = self.corpus.labels.copy()
        labels[np.setdiff1d(self.split.train, self.labelled(seed).train)] = -1
        return dataclasses.replace(self.corpus, labels=labels)

    def scored(self, part: str, scores: np.ndarray) -> Scored:
        """Predictions of "val" or "test" beside the truth."""
        rows = getattr(self.split, part)
        return Scored(scores, self.corpus.labels[rows], self.corpus.groups[rows])

    def _normalised_by(self) -> str:
        return self.meta.get("normalise", self.config["augment"]["normalise"]["by"])

    def _encoder_settings(self) -> Config:
        return self.meta.get("encoder") or self.config["encoder"]

    def describe_trained(self, mode: str, step: int) -> dict[str, Any]:
        """The meta of a checkpoint of an encoder that this task trained on labels."""
        info, data = self.corpus.sets[0].info, self.config["data"]
        heard = {f"{info['corpus']}/{g}" for g in self.corpus.groups[self.split.train]}
        known = mode in PRETRAINED and self.meta
        return {
            "encoder": self._encoder_settings(),
            "projector": {},
            "scores": {},
            "selected_by": "",
            "normalise": self._normalised_by(),
            "spec": self.corpus.spec.to_json(),
            "statistics": list(self.meta["statistics"] if known else self.statistics),
            "frames": data["frames"],
            "hop": data["hop"],
            "step": step,
            "config": self.config,
            "data": describe(self.corpus),
            "trained_as": mode,
            "pretrained_groups": sorted(heard | set(self.meta.get("pretrained_groups", []))),
        }

    def policy(self, statistics: tuple[float, float]) -> Policy:
        """What comes before an encoder: the config's augmentations, the checkpoint's scale."""
        normalise = {"by": self._normalised_by(), "judging": True}
        return build_policy(
            self.config["augment"] | {"normalise": normalise},
            statistics=statistics,
            log=self.corpus.spec.log,
        )

    def network(self, mode: str, seed: int) -> tuple[Any, Policy]:
        """A copy of the encoder a mode starts from, and what comes before it."""
        if mode in PRETRAINED:
            if self.encoder is None:
                raise ValueError(f"mode {mode} needs config.checkpoint, a pre-training workdir")
            mean, std = self.meta["statistics"]
            return nnx.clone(self.encoder, arrays=True), self.policy((mean, std))
        chosen = self._encoder_settings()
        mels = self.corpus.spec.n_mels
        encoder = build_encoder(**chosen, mels=mels, rngs=nnx.Rngs(seed))
        return encoder, self.policy(self.statistics)


def _labelled(corpus: Corpus, rows: np.ndarray) -> np.ndarray:
    return rows[corpus.labels[rows] >= 0]


def choose_split(corpus: Corpus, data: Config) -> Split:
    """Rows of the three parts; without a val split, 15 % of train by group.

    Raises:
      ValueError: A group is in more than one part and the prepared split does not say LEAKY.
    """
    train, test = (_labelled(corpus, corpus.rows(names(data[k]))) for k in ("train", "test"))
    if data["val"] in UNSAFE_VAL:
        return _unsafe(corpus, train, test, data)
    if data["val"]:
        val = _labelled(corpus, corpus.rows(names(data["val"])))
    else:
        train, val = split_off_val(corpus, train, data["val_share"])
    parts = {"train": train, "val": val, "test": test}
    for name, rows in parts.items():
        if not len(rows):
            raise ValueError(f"data.{name}={data[name]!r} holds no labelled clip")
    shared = shared_between(corpus, list(parts.values()))
    if shared and "LEAKY" not in corpus.sets[0].info["split_rule"]:
        raise ValueError(
            f"{len(shared)} groups are on both sides, such as {shared[:3]}; choose other "
            "data.train, data.val and data.test, or prepare the corpus with --split=holdout"
        )
    return Split(train, val, test)


def _unsafe(corpus: Corpus, train: np.ndarray, test: np.ndarray, data: Config) -> Split:
    """Validation that shares groups with train, to teach or to repeat a release."""
    if shared := shared_between(corpus, [train, test]):
        raise ValueError(f"{len(shared)} groups are in train and test, such as {shared[:3]}")
    order = np.random.default_rng(0).permutation(train)
    cut = round(data["val_share"] * len(order))
    return Split(order[cut:], train if data["val"] == "released" else order[:cut], test)


def shared_between(corpus: Corpus, parts: list[np.ndarray]) -> list[str]:
    """Groups that occur in more than one part."""
    sets = [set(corpus.groups[rows]) for rows in parts]
    pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
    return sorted({str(group) for a, b in pairs for group in a & b})


def prepare(config: Config) -> Judged:
    """Opens data and checkpoint and checks that they belong together."""
    corpus = open_data(config["data"])
    if len(corpus.sets) > 1 or not corpus.classes:
        raise ValueError("transfer needs one labelled folder in data.dirs")
    return _judged(config, corpus, choose_split(corpus, config["data"]))


def prepare_encoder(config: Config, splits: list[str]) -> Judged:
    """The same without labels: every clip of these splits is in the test part."""
    corpus = open_data(config["data"])
    rows = corpus.rows(splits)
    if not len(rows):
        raise ValueError(f"data.splits={','.join(splits)!r} holds no clip")
    return _judged(config, corpus, Split(rows[:0], rows[:0], rows))


def _judged(config: Config, corpus: Corpus, split: Split) -> Judged:
    encoder, projector, meta = None, None, {}
    if config["checkpoint"]:
        encoder, projector, meta = load_model(config["checkpoint"])
        theirs = FeatureSpec.from_json(meta["spec"])
        folder = str(corpus.sets[0].folder)
        require_same(theirs, corpus.spec, ours_is="the checkpoint", theirs_is=folder)
    if encoder is not None and config["pool"]:
        encoder.pool = config["pool"]
    statistics = corpus.statistics(split.train if len(split.train) else split.test)
    return Judged(config, corpus, split, encoder, projector, meta, statistics)


def _labels_in_words(judged: Judged) -> str:
    chosen = judged.config["label"]
    if chosen["fraction"] == 1:
        return "all of the training part"
    known = len(judged.labelled(judged.config["seed"]).train)
    return f"{100 * chosen['fraction']:g} % of it by {chosen['unit']}, drawn by seed: {known} clips"


def about(judged: Judged, selection: str) -> dict[str, Any]:
    """What every table says about its numbers; `selection` is how validation was used."""
    corpus, split, data = judged.corpus, judged.split, judged.config["data"]
    info = corpus.sets[0].info
    seen = set(judged.meta.get("pretrained_groups", []))
    test = {f"{info['corpus']}/{g}" for g in corpus.groups[split.test]}
    return {
        "title": f"{info['corpus']} ({info['label']}), test split {data['test']}",
        "split rule": "; ".join(filter(None, [info["split_rule"], UNSAFE_VAL.get(data["val"])])),
        "group": info["group"],
        "clips": {k: len(getattr(split, k)) for k in ("train", "val", "test")},
        "groups": {k: len(set(corpus.groups[getattr(split, k)])) for k in ("train", "val", "test")},
        "labels": _labels_in_words(judged),
        "selection": selection,
        "test groups seen (unlabelled) in pre-training": f"{len(test & seen)} of {len(test)}",
        "licence": info["licence"],
        "checkpoint": judged.config["checkpoint"] or "none",
    }
