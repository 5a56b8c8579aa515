"""The evaluation of a part: its protocols, what validation chooses for them, and the cells."""

import dataclasses
import pathlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cryjax.evaluate.outcomes import Outcome, evaluate, evaluate_fractions
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report.cautions import cautions_of
from cryjax.evaluate.report.crossings import column_of
from cryjax.evaluate.report.publish import facts_of
from cryjax.evaluate.statistics import weighted_scores
from cryjax.evaluate.task import EvaluationTask, open_tasks
from cryjax.settings import changed
from cryjax.studies.parts import Part
from cryjax.studies.settings import RANDOM, StudySettings, evaluation_of

Cell = tuple[str, str]  # row and column of a table


def columns_of(settings: StudySettings, encoder: str) -> Iterator[tuple[str, str]]:
    """Yields the (column, protocol) that an encoder is evaluated with.

    Protocols that need no checkpoint run with the random encoder alone, where the study has one.
    """
    first = settings.only[0]
    for mode in settings.modes:
        weights = PROTOCOLS[mode].weights
        if weights == "pretrained":
            protocol = mode if encoder != RANDOM else PROTOCOLS[mode].fresh
            if protocol:
                yield mode, protocol
        elif encoder == (RANDOM if RANDOM in settings.only else first):
            yield mode, mode


class Choices:
    """Chooses, on validation alone, the settings that a protocol is run with on a fold.

    Args:
      settings: The study; `tuned` lists what is tried.
    """

    def __init__(self, settings: StudySettings):
        self._settings = settings
        self._made: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        self._against: dict[str, dict[str, None]] = defaultdict(dict)

    def note(self, encoder: str, name: str, cautions: Sequence[str]) -> None:
        """Remembers what speaks against an encoder's numbers on a task."""
        for text in cautions:
            self._against[f"{name}: {text}"][encoder] = None

    def cautions(self) -> list[str]:
        """Lists what was remembered, each sentence once, with the encoders that it is about."""
        return [f"{text} ({', '.join(encoders)})" for text, encoders in self._against.items()]

    def facts(self) -> dict[str, str]:
        """Says what was chosen, where the candidates differ, and whose labels are few."""
        chosen = [
            f"{mode} on {name}, {fold}: {_differing(made, self._settings.tuned[column])}"
            for (name, fold, column, mode), made in self._made.items()
        ]
        facts = {"chosen on validation": "; ".join(chosen)} if chosen else {}
        if self._settings.fractions:
            facts["labels"] = "shares of the training groups, nested; validation keeps all its own"
        return facts

    def apply(
        self,
        name: str,
        column: str,
        mode: str,
        task: EvaluationTask,
        seed: int,
        workdir: pathlib.Path,
    ) -> EvaluationTask:
        """Returns the task with the settings chosen for a protocol; the first call chooses.

        All protocols of a column choose among the same, each for itself: fresh weights, which have
        protocols of their own, are tuned as pre-trained ones are. A single candidate is no choice.

        Args:
          name: Name of the task.
          column: Column of the table, whose candidates `tuned` lists.
          mode: Protocol.
          task: What is evaluated.
          seed: Seed that the candidates are tried with.
          workdir: Where their outcomes are kept.
        """
        candidates = self._settings.tuned.get(column, ())
        if len(candidates) < 2:
            return _changed(task, candidates[0]) if candidates else task
        key = name, task.fold, column, mode  # another fold may test on what this one validates on
        if key not in self._made:
            values = []
            for changes in candidates:
                (outcome,) = evaluate(_changed(task, changes), [mode], [seed], workdir / "tuning")
                ones = np.ones((1, len(outcome.val.labels)))
                value = weighted_scores(outcome.val, ones)[self._settings.metric][0]
                values.append(float(np.nan_to_num(value, nan=-np.inf)))
            known = workdir / "tuning" / "outcomes"  # the best is not run again
            shutil.copytree(known, workdir / "outcomes", dirs_exist_ok=True)
            best = int(np.argmax(values))
            self._made[key] = candidates[best]
            told = _differing(candidates[best], candidates)
            print(f"{name}, {mode}: {told} of {len(candidates)}, by validation")
        return _changed(task, self._made[key])


def _differing(chosen: dict[str, Any], candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns what a candidate does not share with all others."""
    return {
        key: _differing(value, [c.get(key, {}) for c in candidates])
        if isinstance(value, dict)
        else value
        for key, value in chosen.items()
        if any(c.get(key) != value for c in candidates)
    }


def _changed(task: EvaluationTask, changes: dict[str, Any]) -> EvaluationTask:
    """Returns a task with other settings."""
    settings = changed(task.settings, changes, "config.tuned")
    return dataclasses.replace(task, settings=settings)


def evaluate_part(
    settings: StudySettings, part: Part, name: str, choices: Choices, workdir: pathlib.Path
) -> dict[Cell, list[Outcome]]:
    """Evaluates an encoder on a task, on all of its folds.

    Args:
      settings: The study.
      part: The encoder, which is there.
      name: Name of the task.
      choices: Settings that validation chooses.
      workdir: Where outcomes are kept.

    Returns:
      Outcomes by row and column of the table.
    """
    chosen = evaluation_of(settings, name)
    data = part.data if name == settings.home else chosen.data
    if part.pretrain is None:  # windows that the others are pre-trained with
        theirs = settings.pretrain.get("data", {})
        given = {key: getattr(data, key) or theirs.get(key) for key in ("frames", "hop_frames")}
        data = dataclasses.replace(data, **given)
    checkpoint = str(part.workdir) if part.pretrain else None
    made: dict[Cell, list[Outcome]] = defaultdict(list)
    for task in open_tasks(dataclasses.replace(chosen, checkpoint=checkpoint, data=data)):
        columns = list(columns_of(settings, part.encoder))
        facts = facts_of([task], [mode for _, mode in columns], part.seed)
        choices.note(part.encoder, name, cautions_of(facts))
        place = workdir / "evaluations" / name / part.encoder.replace(" ", "_")
        for column, mode in columns:
            tuned = choices.apply(name, column, mode, task, part.seed, place)
            for cell, outcome in _run(settings, tuned, mode, column, part, place):
                made[cell].append(dataclasses.replace(outcome, pretraining=part.seed))
    return made


def _run(
    settings: StudySettings,
    task: EvaluationTask,
    mode: str,
    column: str,
    part: Part,
    workdir: pathlib.Path,
) -> list[tuple[Cell, Outcome]]:
    if not settings.fractions:
        return [((part.encoder, column), o) for o in evaluate(task, [mode], [part.seed], workdir)]
    made = evaluate_fractions(task, mode, [part.seed], settings.fractions, workdir)
    row = f"{part.encoder}: {column}"
    return [((row, column_of(fraction)), outcome) for fraction, outcome in made]
