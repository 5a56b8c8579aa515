"""Judging: from a checkpoint directory alone to a table, predictions and a report."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.data.pipeline import window_counts
from cryjax.evaluate import clinic, report, table
from cryjax.evaluate.knn import knn_votes, vote_over_windows
from cryjax.evaluate.probe import FILTERS, UNTRAINED
from cryjax.evaluate.table import Outcome
from cryjax.models.layers import in_eval_mode
from cryjax.tasks.common import Config, claim, describe, names
from cryjax.tasks.judged import Judged, about, prepare
from cryjax.tasks.training import make_probe, self_training
from cryjax.train.checkpoint import save_model
from cryjax.train.log import MetricLog

KNN_MODES = ("knn", "random_knn", "knn_within")
SELF_TRAINING = "self_training"
MODES = ("majority", *KNN_MODES, *FILTERS, SELF_TRAINING)
Arrays = dict[str, np.ndarray]
Runner = Callable[[int, MetricLog | None], Arrays]
KEPT = ("linear_bn", "finetune", *UNTRAINED)  # modes whose encoder is its own


def _majority(judged: Judged, seed: int, _: MetricLog | None) -> Arrays:
    split = judged.labelled(seed)
    labels = judged.corpus.labels[split.train]
    share = np.bincount(labels, minlength=len(judged.corpus.classes)) / len(labels)
    return {part: np.tile(share, (len(getattr(split, part)), 1)) for part in ("val", "test")}


def _features(mode: str, judged: Judged, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings or their projections, and whose they are."""
    h, owner = judged.embeddings(mode, seed)
    asked = judged.config["knn"]["features"]
    if asked == "h":
        return h, owner
    if asked != "z":
        raise ValueError(f"knn.features must be 'h' or 'z', got {asked!r}")
    if mode == "random_knn" or judged.projector is None:
        raise ValueError("knn.features=z needs a training checkpoint; exports hold no projector")
    return np.asarray(jax.jit(in_eval_mode(judged.projector))(jnp.asarray(h))), owner


def _knn(mode: str, judged: Judged, seed: int, _: MetricLog | None) -> Arrays:
    h, owner = _features(mode, judged, seed)
    rows, split = judged.rows, judged.labelled(seed)
    labelled, found = np.isin(rows[owner], split.train), {}
    for part in ("val", "test"):
        wanted = getattr(split, part)
        first = len(judged.split.train) + (0 if part == "val" else len(split.val))
        asked = (owner >= first) & (owner < first + len(wanted))
        known = asked if mode == "knn_within" else labelled
        votes = knn_votes(
            h[asked],
            owner[asked],
            h[known],
            owner[known],
            judged.corpus.labels[rows[owner[known]]],
            k=judged.config["knn"]["k"],
            classes=len(judged.corpus.classes),
            compat=judged.config["knn"]["compat"],
        )
        found[part] = vote_over_windows(votes, owner[asked] - first, len(wanted))
    return found


def _keep(mode: str, judged: Judged, workdir: pathlib.Path, seed: int):
    """Writes the encoder of the chosen step as a checkpoint, its classifier beside it."""
    if mode not in KEPT or not judged.config["keep"] or jax.process_index():
        return None

    def keep(objective: Any, step: int) -> None:
        network = objective.teacher if mode == "mean_teacher" else vars(objective)
        folder = workdir / "best" / f"{mode}-seed{seed}"
        save_model(folder, {"encoder": network["encoder"]}, judged.describe_trained(mode, step))
        head = nnx.to_pure_dict(nnx.state(network["head"]))
        arrays = {
            "kernel": head["out"]["kernel"],
            "bias": head["out"]["bias"],
            "mean": head["mean"],
            "std": head["std"],
        }
        classes = np.array(judged.corpus.classes)
        np.savez(folder / "classifier.npz", allow_pickle=False, classes=classes, **arrays)

    return keep


def _runner(mode: str, judged: Judged, workdir: pathlib.Path) -> Runner:
    """Seed to arrays, compiled once for all seeds."""
    if mode == "majority":
        return functools.partial(_majority, judged)
    if mode in KNN_MODES:
        return functools.partial(_knn, mode, judged)
    if mode == SELF_TRAINING:
        return functools.partial(self_training, judged)
    if mode not in FILTERS:
        raise ValueError(f"modes must be among {', '.join(MODES)}, got {mode!r}")
    probe = make_probe(mode, judged)
    return lambda seed, log: probe.fit(seed, log=log, keep=_keep(mode, judged, workdir, seed))


def _outcome(judged: Judged, mode: str, seed: int, path: pathlib.Path) -> Outcome:
    with np.load(path) as found:
        parts = {part: judged.scored(part, found[part]) for part in ("val", "test")}
    return Outcome(mode, seed, judged.config["data"]["test"], judged.split.test, **parts)


def judge(config: Config, workdir: pathlib.Path, seeds: list[int]) -> tuple[Judged, list[Outcome]]:
    """Runs every mode with every seed; those that are already in the workdir are skipped."""
    judged = prepare(config)
    claim(workdir, config, describe(judged.corpus))
    (workdir / "outcomes").mkdir(exist_ok=True)
    alike = ("majority", "knn", "knn_within") if config["label"]["fraction"] == 1 else ()
    outcomes = []
    for mode in names(config["modes"]):
        runner = None
        for seed in [0] if mode in alike else seeds:
            path = workdir / "outcomes" / f"{mode}-seed{seed}.npz"
            if not path.exists():
                runner = runner or _runner(mode, judged, workdir)
                _save_arrays(path, runner(seed, _log(workdir, mode, seed)))
            outcomes.append(_outcome(judged, mode, seed, path))
    return judged, outcomes


def _log(workdir: pathlib.Path, mode: str, seed: int) -> MetricLog | None:
    """Where the curves of a trained mode go; None on all processes but the first."""
    if jax.process_index() or (mode not in FILTERS and mode != SELF_TRAINING):
        return None
    folder = workdir / "curves" / f"{mode}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return MetricLog(folder, resumed_step=-1)


def _save_arrays(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    temporary = path.with_name("unfinished.npz")
    np.savez(temporary, allow_pickle=False, **arrays)
    temporary.replace(path)


def selected_by(config: Config) -> str:
    """How a step was picked, in words."""
    if config["probe"]["settings"]["released"]:
        return "the best step ON TEST, as LAPE's release does it (LEAKY)"
    return f"step with the best {config['probe']['settings']['select']} on val"


def run(config: Config, workdir: pathlib.Path) -> None:
    """Judges as `configs/transfer.py` and `configs/knn.py` describe."""
    seeds = [config["seed"] + i for i in range(config["seeds"])]
    judged, outcomes = judge(config, workdir, seeds)
    if jax.process_index():
        return
    facts = about(judged, selected_by(config))
    publish(workdir, judged, outcomes, facts)


def publish(
    workdir: pathlib.Path,
    judged: Judged,
    outcomes: list[Outcome],
    facts: dict[str, Any],
    curves: list[pathlib.Path] | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """Writes tables, predictions and report, and prints the first.

    Args:
      workdir: Where to.
      judged: What was judged; of several folds the last.
      outcomes: Of all folds.
      facts: What the numbers are.
      curves: Pre-training runs, by default that of the checkpoint.
      more: Further settings for the report's end.
    """
    chosen = clinic.Clinical(**judged.config["clinical"])
    data, lengths = judged.config["data"], judged.corpus.lengths
    patches = window_counts(lengths, frames=data["frames"], hop=data["hop"])
    extra = clinic.tables(
        outcomes,
        judged.corpus,
        chosen,
        shown=report.drawn(outcomes),
        leaky="LEAKY" in f"{facts['split rule']} {facts['selection']}",
        patches=patches,
    )
    rows = table.save(workdir, outcomes, judged.corpus, facts, extra)
    print("\n" + table.as_markdown(rows, facts["title"]))
    config = judged.config | (more or {})
    parts = report_parts(judged, outcomes, rows, facts, config, curves)
    trained = sorted(path.parent for path in workdir.glob("**/curves/*/metrics.jsonl"))
    parts = dataclasses.replace(parts, tables=extra, training=trained)
    print(f"report: {report.write(workdir, parts)}")


def report_parts(
    judged: Judged,
    outcomes: list[Outcome],
    rows: list[dict],
    facts: dict,
    config: Config,
    curves: list[pathlib.Path] | None = None,
) -> report.Parts:
    """Everything the report shows, embeddings of the test recordings included."""
    mode = "linear" if judged.encoder is not None else "scratch"
    h, owner = judged.embeddings(mode, config["seed"])
    first = len(judged.rows) - len(judged.split.test)
    h, owner = h[owner >= first], owner[owner >= first] - first
    if curves is None:
        curves = [pathlib.Path(config["checkpoint"])] if config["checkpoint"] else []
    return report.Parts(
        corpus=judged.corpus,
        split=judged.split,
        outcomes=outcomes,
        rows=rows,
        facts=facts,
        config=json.loads(json.dumps(config)),
        embeddings=h,
        owner=owner,
        curves=curves,
    )
