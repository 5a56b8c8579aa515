"""Outcomes: predictions of every protocol, seed and fold, kept under what decided them."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from cryjax.errors import UserError
from cryjax.evaluate.estimates import Run
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.protocols.base import (
    EvaluationProtocol,
    Predictions,
    encoder_identity,
    plain,
    require_selectable,
)
from cryjax.evaluate.protocols.logistic import LogisticProbe
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import EvaluationTask
from cryjax.evaluate.trained import is_of, save_trained
from cryjax.files import load_arrays, replacing
from cryjax.settings import choose
from cryjax.train.log import Countdown, MetricLog

FORMAT = 2  # raised whenever the same settings give other predictions than before


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Predictions of one protocol with one seed on one fold.

    Attributes:
      mode: Name of the protocol.
      seed: Seed of the run.
      fold: Test splits.
      rows: (n,) clip numbers of the test part.
      test: Predictions of these clips.
      val: Predictions of the validation part, which thresholds and recalibrations are chosen on.
      key: Fingerprint of all that decides the predictions.
      chosen: What validation selected.
      warning: What a reader should know about this run.
      train_accuracy: See `Predictions`; NaN too where the outcome was kept by an earlier version.
      pretraining: Seed of the pre-training, where several were evaluated: the spread over seeds is
        then the spread over pre-trainings, of each of which several evaluations are averaged.
    """

    mode: str
    seed: int
    fold: str
    rows: np.ndarray
    test: Scored
    val: Scored
    key: str = ""
    chosen: dict[str, float] = dataclasses.field(default_factory=dict)
    warning: str = ""
    train_accuracy: float = np.nan
    pretraining: int | None = None

    def as_run(self, scored: Scored) -> Run:
        """Puts test predictions, changed in whichever way, under the seed that spread is over."""
        seed = self.seed if self.pretraining is None else self.pretraining
        return Run(self.fold, seed, scored)


def runs_of(outcomes: Sequence[Outcome], mode: str, level: str = "recording") -> list[Run]:
    """Collects the test predictions of every run of a protocol, by recording or by group."""
    return [o.as_run(o.test.at(level)) for o in outcomes if o.mode == mode]


def protocols_of(names: Sequence[str]) -> dict[str, EvaluationProtocol]:
    """Looks protocols up by their names; unknown names are refused with the nearest ones."""
    if not names:
        raise UserError(f"config.modes names no protocol; there are {', '.join(PROTOCOLS)}")
    return {name: choose(name, PROTOCOLS, "config.modes") for name in names}


def outcome_key(mode: str, task: EvaluationTask, seed: int) -> str:
    """Computes the fingerprint of all that decides the predictions of a run."""
    protocol = PROTOCOLS[mode]
    decisive = [
        FORMAT,
        mode,
        plain(protocol),
        plain(protocol.settings(task)),
        encoder_identity(protocol, task, seed),
        task.fingerprint(seed),
        None if is_deterministic(protocol, task) else seed,
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def is_deterministic(protocol: EvaluationProtocol, task: EvaluationTask) -> bool:
    """Tells whether every seed of a protocol gives the same predictions on this task."""
    return protocol.deterministic and task.settings.label.fraction == 1


def seeds_of(
    protocol: EvaluationProtocol, task: EvaluationTask, seeds: Sequence[int]
) -> Sequence[int]:
    """Lists the seeds that a protocol runs with: one where all give the same."""
    return seeds[:1] if is_deterministic(protocol, task) else seeds


def count_runs(task: EvaluationTask, modes: Sequence[str], seeds: Sequence[int]) -> int:
    """Counts the runs of `evaluate`."""
    return sum(len(seeds_of(p, task, seeds)) for p in protocols_of(modes).values())


def evaluate(
    task: EvaluationTask,
    modes: Sequence[str],
    seeds: Sequence[int],
    workdir: pathlib.Path,
    *,
    save_best: bool = False,
    countdown: Countdown | None = None,
) -> list[Outcome]:
    """Runs every protocol with every seed; those whose outcome is there already are not run again.

    Args:
      task: What is evaluated.
      modes: Names of protocols.
      seeds: Seeds; a protocol that gives the same with every seed runs with the first alone.
      workdir: Where outcomes, curves and trained encoders are written.
      save_best: Whether encoders that a protocol trained are written, as checkpoints.
      countdown: Says which run begins; None says nothing.
    """
    folder, outcomes = workdir / "outcomes", []
    for protocol in protocols_of(modes).values():
        require_selectable(protocol, task)
    for mode, protocol in protocols_of(modes).items():
        for seed in seeds_of(protocol, task, seeds):
            if countdown is not None:
                countdown.begin(f"{mode} seed {seed}")
            key = outcome_key(mode, task, seed)
            path = folder / f"{mode}-seed{seed}-{key[:12]}.npz"
            best = workdir / "best" / f"{mode}-seed{seed}"
            predictions = load_predictions(path, key, task)
            missing = save_best and protocol.keeps and not is_of(best, key)
            if predictions is None or (missing and predictions.test.finite):  # else it diverged
                log = _log(workdir, mode, seed) if protocol.trains else None
                predictions = protocol.run(task, seed, log)
                if jax.process_index() == 0:
                    save_predictions(path, key, predictions)
                    if save_best and protocol.keeps:
                        save_trained(best, key, mode, task, predictions)
            outcomes.append(_outcome(mode, seed, key, task, predictions))
    return outcomes


def distinct_fractions(
    tasks: Sequence[EvaluationTask], seeds: Sequence[int], fractions: Sequence[float]
) -> tuple[float, ...]:
    """Leaves out shares of the labels that show the recordings of a larger one, on every fold.

    With 27 groups a class, of which one at least is drawn, 1, 3 and 5 % are the same draw.

    Returns:
      The shares that differ, increasing.
    """
    by_draw: dict[tuple[bytes, ...], float] = {}
    for fraction in sorted(fractions):
        parts = [task.with_fraction(fraction) for task in tasks]
        drawn = (part.labelled(seed).train.tobytes() for part in parts for seed in seeds)
        by_draw[tuple(drawn)] = fraction
    return tuple(by_draw.values())


def evaluate_fractions(
    task: EvaluationTask,
    mode: str,
    seeds: Sequence[int],
    fractions: Sequence[float],
    workdir: pathlib.Path,
) -> list[tuple[float, Outcome]]:
    """Runs a protocol with every seed and share of labels.

    Shares that are the same draw for every seed, such as all labels of a protocol that gives the
    same with every seed, run once. Protocols that can share work between runs do.

    Returns:
      (fraction, outcome) of every run; the outcome's mode is that of the protocol.
    """
    protocol, cells = PROTOCOLS[mode], []
    require_selectable(protocol, task)
    for fraction in fractions:
        part = task.with_fraction(fraction)
        for seed in seeds_of(protocol, part, seeds):
            key = outcome_key(mode, part, seed)
            path = workdir / "outcomes" / f"{mode}-seed{seed}-{key[:12]}.npz"
            cells.append((fraction, seed, part, key, path))
    made = {c[3]: load_predictions(c[4], c[3], c[2]) for c in cells}
    missing = [c for c in cells if made[c[3]] is None]
    for together in _together(protocol, missing):
        pairs = [(seed, fraction) for fraction, seed, *_ in together]
        if isinstance(protocol, LogisticProbe):
            results = protocol.run_many(task, pairs)
        else:
            results = [protocol.run(part, seed, None) for _, seed, part, *_ in together]
        for (*_, key, path), predictions in zip(together, results, strict=True):
            made[key] = predictions
            if jax.process_index() == 0:
                save_predictions(path, key, predictions)
    return [
        (fraction, _outcome(mode, seed, key, part, predictions))
        for fraction, seed, part, key, _ in cells
        if (predictions := made[key]) is not None
    ]


def _together(protocol: EvaluationProtocol, cells: list[tuple]) -> list[list[tuple]]:
    """Groups runs that share an encoder: all of a pre-trained one, those of a seed of others."""
    groups: dict[Any, list[tuple]] = {}
    for cell in cells:
        groups.setdefault(cell[1] if protocol.weights == "random" else None, []).append(cell)
    return list(groups.values())


def _outcome(
    mode: str, seed: int, key: str, task: EvaluationTask, predictions: Predictions
) -> Outcome:
    if predictions.warning:
        print(f"{mode} seed {seed}: {predictions.warning}")
    p, rows = predictions, task.split.test
    said = (p.chosen, p.warning, p.train_accuracy)
    return Outcome(mode, seed, task.fold, rows, p.test, p.val, key, *said)


def _log(workdir: pathlib.Path, mode: str, seed: int) -> MetricLog | None:
    """Opens the log of a protocol that trains; None on all processes but the first."""
    if jax.process_index():
        return None
    folder = workdir / "curves" / f"{mode}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return MetricLog(folder, resumed_step=-1)


def save_predictions(path: pathlib.Path, key: str, predictions: Predictions) -> None:
    """Writes predictions under a temporary name and renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = ("chosen", "warning", "train_accuracy")
    about = json.dumps({name: getattr(predictions, name) for name in kept})
    with replacing(path) as temporary:
        np.savez(
            temporary,
            allow_pickle=False,
            key=np.array(key),
            about=np.array(about),
            curve=predictions.curve,
            val=predictions.val.scores,
            val_decisions=predictions.val.decisions,
            test=predictions.test.scores,
            test_decisions=predictions.test.decisions,
        )


def load_predictions(path: pathlib.Path, key: str, task: EvaluationTask) -> Predictions | None:
    """Reads predictions if they were decided by what this key stands for, else None."""
    kept = load_arrays(path)
    if kept is None or str(kept["key"]) != key:
        return None
    val, test = (
        task.scored(part, kept[part], kept[f"{part}_decisions"]) for part in ("val", "test")
    )
    return Predictions(val, test, **json.loads(str(kept["about"])), curve=kept["curve"])
