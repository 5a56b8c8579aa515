"""Judging: from a checkpoint directory alone to a table, predictions and a report."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.augment import Policy, build_policy
from cryjax.data.pipeline import Corpus
from cryjax.evaluate import report, table
from cryjax.evaluate.embed import Kept, embed, embedded_corpus
from cryjax.evaluate.knn import knn_votes, vote_over_windows
from cryjax.evaluate.probe import FILTERS, Probe, ProbeSettings, Split
from cryjax.evaluate.table import Outcome
from cryjax.models import build_encoder
from cryjax.models.layers import in_eval_mode
from cryjax.objectives import Supervised
from cryjax.spec import FeatureSpec, require_same
from cryjax.tasks.common import Config, claim, describe, names, open_data, split_off_val
from cryjax.train.checkpoint import load_model
from cryjax.train.optim import OptimSettings

KNN_MODES = ("knn", "random_knn")
FRESH = ("scratch", "random_linear", "random_knn")  # no pre-trained weights
MODES = ("majority", *KNN_MODES, *FILTERS)


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
        key = seed if mode in FRESH else None
        if key not in self.kept:
            encoder, policy = self.network(mode, seed)
            data = self.config["data"]
            self.kept[key] = embed(
                encoder, self.corpus, self.rows, normaliser=policy.normaliser,
                frames=data["frames"], hop=data["hop"],
            )  # fmt: skip
        return self.kept[key]

    def policy(self, statistics: tuple[float, float]) -> Policy:
        """What comes before an encoder: the config's augmentations, the checkpoint's scale."""
        by = self.meta.get("normalise", self.config["augment"]["normalise"]["by"])
        normalise = {"by": by, "judging": True}
        return build_policy(
            self.config["augment"] | {"normalise": normalise}, statistics=statistics
        )

    def network(self, mode: str, seed: int) -> tuple[Any, Policy]:
        """A copy of the encoder a mode starts from, and what comes before it."""
        if mode not in FRESH:
            if self.encoder is None:
                raise ValueError(f"mode {mode} needs config.checkpoint, a pre-training workdir")
            mean, std = self.meta["statistics"]
            return nnx.clone(self.encoder, arrays=True), self.policy((mean, std))
        chosen = self.meta.get("encoder") or self.config["encoder"]
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
    if data["val"]:
        val = _labelled(corpus, corpus.rows(names(data["val"])))
    else:
        train, val = split_off_val(corpus, train)
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
    split = choose_split(corpus, config["data"])
    encoder, projector, meta = None, None, {}
    if config["checkpoint"]:
        encoder, projector, meta = load_model(config["checkpoint"])
        theirs = FeatureSpec.from_json(meta["spec"])
        folder = str(corpus.sets[0].folder)
        require_same(theirs, corpus.spec, ours_is="the checkpoint", theirs_is=folder)
    statistics = corpus.statistics(split.train)
    return Judged(config, corpus, split, encoder, projector, meta, statistics)


def _majority(judged: Judged, _: int) -> dict[str, np.ndarray]:
    labels = judged.corpus.labels[judged.split.train]
    share = np.bincount(labels, minlength=len(judged.corpus.classes)) / len(labels)
    return {"test": np.tile(share, (len(judged.split.test), 1))}


def _knn(mode: str, judged: Judged, seed: int) -> dict[str, np.ndarray]:
    config, split, rows = judged.config, judged.split, judged.rows
    h, owner = judged.embeddings(mode, seed)
    if config["knn"]["features"] == "z":
        if mode != "knn" or judged.projector is None:
            raise ValueError(
                "knn.features=z needs a training checkpoint; exports hold no projector"
            )
        project = jax.jit(in_eval_mode(judged.projector))
        h = np.asarray(project(jnp.asarray(h)))
    elif config["knn"]["features"] != "h":
        raise ValueError(f"knn.features must be 'h' or 'z', got {config['knn']['features']!r}")
    first = len(rows) - len(split.test)
    known, asked = owner < len(split.train), owner >= first
    classes = len(judged.corpus.classes)
    votes = knn_votes(
        h[asked], owner[asked], h[known], owner[known],
        judged.corpus.labels[rows[owner[known]]], k=config["knn"]["k"], classes=classes,
    )  # fmt: skip
    return {"test": vote_over_windows(votes, owner[asked] - first, len(split.test))}


def _make_probe(mode: str, judged: Judged) -> Probe:
    config, data = judged.config, judged.config["data"]
    chosen = config["probe"]
    optim = OptimSettings(**chosen["scratch" if mode == "scratch" else FILTERS[mode]])
    settings = {"frames": data["frames"], "hop": data["hop"], **chosen["settings"]}
    keep = FILTERS[mode] == "linear" and not judged.policy((0.0, 1.0)).augments
    if keep:  # the encoder runs once, not at every step
        settings |= {**chosen["linear_settings"], "frames": 1, "hop": 1}

    def build(seed: int, weights: list[float]) -> Supervised:
        encoder, policy = judged.network(mode, seed)
        if keep:
            encoder, policy = Kept(encoder.features), build_policy({"order": "normalise"})
        return Supervised(encoder, policy, class_weights=weights, rngs=nnx.Rngs(seed + 1))

    def corpus(seed: int) -> Corpus:
        if not keep:
            return judged.corpus
        return embedded_corpus(judged.corpus, judged.rows, *judged.embeddings(mode, seed))

    return Probe(mode, build, corpus, judged.split, ProbeSettings(**settings, optim=optim))


def _runner(mode: str, judged: Judged):
    """Seed to arrays, compiled once for all seeds."""
    if mode == "majority":
        return functools.partial(_majority, judged)
    if mode in KNN_MODES:
        return functools.partial(_knn, mode, judged)
    if mode not in FILTERS:
        raise ValueError(f"modes must be among {', '.join(MODES)}, got {mode!r}")
    return _make_probe(mode, judged).fit


def judge(config: Config, workdir: pathlib.Path, seeds: list[int]) -> tuple[Judged, list[Outcome]]:
    """Runs every mode with every seed; those that are already in the workdir are skipped."""
    judged = prepare(config)
    claim(workdir, config, describe(judged.corpus))
    (workdir / "outcomes").mkdir(exist_ok=True)
    test, outcomes = judged.split.test, []
    for mode in names(config["modes"]):
        runner = None
        for seed in [0] if mode in ("majority", "knn") else seeds:
            path = workdir / "outcomes" / f"{mode}-seed{seed}.npz"
            if not path.exists():
                runner = runner or _runner(mode, judged)
                _save_arrays(path, runner(seed))
            with np.load(path) as found:
                scores = found["test"]
            labels, groups = judged.corpus.labels[test], judged.corpus.groups[test]
            fold = config["data"]["test"]
            outcomes.append(Outcome(mode, seed, fold, test, scores, labels, groups))
    return judged, outcomes


def _save_arrays(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    temporary = path.with_name("unfinished.npz")
    np.savez(temporary, allow_pickle=False, **arrays)
    temporary.replace(path)


def about(judged: Judged) -> dict[str, Any]:
    """What every table says about its numbers."""
    corpus, split, data = judged.corpus, judged.split, judged.config["data"]
    info = corpus.sets[0].info
    seen = set(judged.meta.get("pretrained_groups", []))
    test = {f"{info['corpus']}/{g}" for g in corpus.groups[split.test]}
    return {
        "title": f"{info['corpus']} ({info['label']}), test split {data['test']}",
        "split rule": info["split_rule"],
        "group": info["group"],
        "clips": {k: len(getattr(split, k)) for k in ("train", "val", "test")},
        "groups": {k: len(set(corpus.groups[getattr(split, k)])) for k in ("train", "val", "test")},
        "selection": f"step with the best {judged.config['probe']['settings']['select']} on val",
        "test groups seen (unlabelled) in pre-training": f"{len(test & seen)} of {len(test)}",
        "licence": info["licence"],
        "checkpoint": judged.config["checkpoint"] or "none",
    }


def run(config: Config, workdir: pathlib.Path) -> None:
    """Judges as `configs/transfer.py` and `configs/knn.py` describe."""
    seeds = [config["seed"] + i for i in range(config["seeds"])]
    judged, outcomes = judge(config, workdir, seeds)
    if jax.process_index():
        return
    facts = about(judged)
    rows = table.save(workdir, outcomes, judged.corpus, facts)
    print(table.as_markdown(rows, facts["title"]))
    path = report.write(workdir, report_parts(judged, outcomes, rows, facts, config))
    print(f"report: {path}")


def report_parts(
    judged: Judged, outcomes: list[Outcome], rows: list[dict], facts: dict, config: Config,
    curves: list[pathlib.Path] | None = None,
) -> report.Parts:  # fmt: skip
    """Everything the report shows, embeddings of the test recordings included."""
    mode = "linear" if judged.encoder is not None else "scratch"
    h, owner = judged.embeddings(mode, config["seed"])
    first = len(judged.rows) - len(judged.split.test)
    h, owner = h[owner >= first], owner[owner >= first] - first
    if curves is None:
        curves = [pathlib.Path(config["checkpoint"])] if config["checkpoint"] else []
    return report.Parts(
        corpus=judged.corpus, split=judged.split, outcomes=outcomes, rows=rows, facts=facts,
        config=json.loads(json.dumps(config)), embeddings=h, owner=owner, curves=curves,
    )  # fmt: skip
