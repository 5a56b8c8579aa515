"""Publishing: from the outcomes of all folds to tables, predictions, a page and a few lines."""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.audio.decode import AUDIO_SUFFIXES
from cryjax.data.leaks import LEAK, OK, UNKNOWN, audit
from cryjax.data.windows import window_counts
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report import page, tables
from cryjax.evaluate.report.cautions import SEEN
from cryjax.evaluate.report.clinical import ClinicalSettings
from cryjax.evaluate.report.clinical import tables as clinical_tables
from cryjax.evaluate.task import EvaluationTask
from cryjax.evaluate.trained import is_of
from cryjax.settings import to_dict

QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""  # as Python writes text


def facts_of(tasks: Sequence[EvaluationTask], modes: Sequence[str], seed: int) -> dict[str, Any]:
    """Collects what every table says about its numbers.

    Args:
      tasks: The task of every fold.
      modes: Names of the protocols.
      seed: Seed of the label subset that is counted.
    """
    task = tasks[-1]
    corpus, info = task.corpus, task.corpus.sets[0].info
    leaks = dict.fromkeys(t.split.leak for t in tasks)
    seen = [t.seen_in_training() for t in tasks]
    groups = sum(len(set(t.corpus.groups[t.split.test])) for t in tasks)
    clips = sum(len(t.split.test) for t in tasks)
    chosen = sum(s["selecting"] for s in seen)
    selecting = f"the checkpoint's step by {chosen} of {groups} test groups (LEAKY)"
    label = task.settings.label
    known = _from_to([len(t.labelled(seed).train) for t in tasks])
    parts = {name: [(t, t.split.parts()[name]) for t in tasks] for name in task.split.parts()}
    several = {"folds": f"{len(tasks)}; sizes are those of a fold, the smallest to the largest"}
    facts = {
        "title": f"{info['corpus']} ({info['label']}), test {', '.join(t.fold for t in tasks)}",
        "split rule": "; ".join(filter(None, [info["split_rule"], *leaks])),
        "group": info["group"],
        **(several if len(tasks) > 1 else {}),
        "clips": {name: _from_to([len(rows) for _, rows in of]) for name, of in parts.items()},
        "groups": {
            name: _from_to([len(set(t.corpus.groups[rows])) for t, rows in of])
            for name, of in parts.items()
        },
        "labels": "all of the training part"
        if label.fraction == 1
        else f"{100 * label.fraction:g} % of it by {label.unit}, drawn by seed: {known} clips",
        "windows": _windows_in_words(task),
        "selection": "; ".join(
            filter(None, [_said("selection", modes, task), selecting if chosen else ""])
        )
        or "nothing is selected",
        SEEN: (
            f"{sum(s['groups'] for s in seen)} of {groups}; by identical audio "
            f"{sum(s['clips'] for s in seen)} of {clips} test recordings"
        ),
        "audit": _audited(tasks),
        "licence": info["licence"],
        "checkpoint": shown_path(task.settings.checkpoint or "none"),
        "encoder": task.pretrained.fingerprint[:12] if task.pretrained else "fresh weights",
    }
    if corpus.notes:
        facts["preparation"] = "; ".join(map(_without_names, corpus.notes))
    if notes := [*caution(tasks), *filter(None, [_said("caveats", modes, task)])]:
        facts["note"] = "; ".join(notes)
    if unheard := sorted({name for t in tasks for name in _without_training(t)}):
        facts["classes without a training recording"] = ", ".join(unheard)
    return facts


def _without_names(note: str) -> str:
    """Takes the names of groups out of a note of preparation, which quotes them."""
    return re.sub(QUOTED, "…", note) if note.startswith("group") else note


def _from_to(sizes: Sequence[int]) -> int | str:
    """Writes the sizes of all folds: a number where they are equal."""
    low, high = min(sizes), max(sizes)
    return low if low == high else f"{low} to {high}"


def _audited(tasks: Sequence[EvaluationTask]) -> str:
    """Says whether groups or recordings are on both sides of a fold, by the worst of them."""
    found = []
    for task in tasks:
        clips = [
            dataclasses.replace(task.corpus.clips[row], split=name)
            for name, rows in task.split.parts().items()
            for row in rows
        ]
        found.append(audit(clips))
    worst = max(found, key=lambda one: (OK, UNKNOWN, LEAK).index(one.verdict))
    return f"{worst.verdict}: {worst.reason}"


def shown_path(path: str) -> str:
    """Writes a path for a report, which may leave the machine: never where it lies in full."""
    whole = pathlib.Path(path).is_absolute()
    name, sign, rest = ("", "", path) if whole else path.partition("=")  # or an entry name=workdir
    return (
        f"{name}{sign}.../{pathlib.Path(rest).name}" if pathlib.Path(rest).is_absolute() else path
    )


def _shown_paths(values: Any) -> Any:
    """Shortens all absolute paths among plain values."""
    if isinstance(values, dict):
        return {key: _shown_paths(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_shown_paths(value) for value in values]
    return shown_path(values) if isinstance(values, str) else values


def caution(tasks: Sequence[EvaluationTask]) -> list[str]:
    """Lists what makes scores of these folds unsteady or empty, before anything is run."""
    said = []
    for task in tasks:
        labels, classes = task.corpus.labels, task.corpus.classes
        for name, rows in task.split.parts().items():
            there = np.unique(labels[rows])
            if len(there) == 1 and len(classes) > 1:
                said.append(
                    f"fold {task.fold}: {name} holds {classes[there[0]]!r} alone: its AUC is not "
                    "defined and its accuracy says little; give it recordings of other classes"
                )
    return said


def _without_training(task: EvaluationTask) -> list[str]:
    """Lists classes that are tested and never trained: no protocol can name them."""
    labels, split = task.corpus.labels, task.split
    return [task.corpus.classes[c] for c in np.setdiff1d(labels[split.test], labels[split.train])]


def _said(what: str, modes: Sequence[str], task: EvaluationTask) -> str:
    """Joins what the protocols say of themselves, each sentence once."""
    said = [getattr(PROTOCOLS[mode], what)(task) for mode in modes]
    return "; ".join(dict.fromkeys(filter(None, said)))


def _windows_in_words(task: EvaluationTask) -> str:
    windows, rate = task.windows, task.corpus.spec.frames_per_s
    if windows.whole:
        return "none: recordings in one piece"
    seconds = f" ({windows.frames / rate:.2f} s)" if rate else ""
    words = f"{windows.frames} frames{seconds}, hop {windows.hop_frames}"
    if task.pretrained is not None and task.pretrained.meta.frames != windows.frames:
        words += f"; the checkpoint was trained with {task.pretrained.meta.frames}"
    return words


def publish(
    workdir: pathlib.Path,
    tasks: Sequence[EvaluationTask],
    outcomes: Sequence[Outcome],
    facts: dict[str, Any],
    clinical: ClinicalSettings,
    config: Any,
    *,
    curves: Sequence[pathlib.Path] = (),
) -> None:
    """Writes tables, predictions and report, and prints the first table.

    Args:
      workdir: Where they are written.
      tasks: The task of every fold.
      outcomes: Outcomes of all folds.
      facts: What the numbers are.
      clinical: What is reported besides the metrics.
      config: Settings of the run.
      curves: Workdirs of pre-training runs.
    """
    outcomes, task = tables.unique_runs(outcomes), tasks[-1]
    corpus = task.corpus
    facts = facts | tables.learnt(outcomes)
    more = clinical_tables(
        outcomes,
        corpus,
        clinical,
        shown=page.shown_outcome(outcomes),
        leaky="LEAKY" in f"{facts['split rule']} {facts['selection']}",
        windows=window_counts(corpus.lengths, task.windows),
    )
    rows = tables.save(workdir, outcomes, corpus, facts, more)
    print("\n" + tables.main_table(rows, facts["title"]).as_markdown())
    shown = page.shown_outcome(outcomes).mode
    for compared in [t for t in more if t.title == f"Against {clinical.reference}"]:
        for row in [r for r in compared.raw if r["mode"] == shown]:
            low, high = (100 * x for x in row["accuracy"]["interval"])
            gain = (
                f"{100 * row['accuracy']['mean']:+.1f} points of accuracy [{low:.1f}, {high:.1f}]"
            )
            print(f"{shown} against {clinical.reference}: {gain}, paired by group")
    for fact in ("audit", SEEN, "note"):
        if fact in facts:
            print(f"{fact}: {facts[fact]}")
    encoder = task.encoder("pretrained" if task.pretrained else "random", 0)
    made = task.embeddings(encoder)
    n = len(task.split.test)
    parts = page.ReportParts(
        tasks=tasks,
        outcomes=outcomes,
        rows=rows,
        facts=facts,
        clinical=clinical,
        config=_shown_paths(to_dict(config)),
        embeddings=made.of(len(task.split.rows) - n, n),
        encoder=encoder,
        curves=curves,
        tables=more,
        training=sorted(path.parent for path in workdir.glob("**/curves/*/metrics.jsonl")),
    )
    print(
        f"report: {page.write(workdir, parts)}\n"
        f"numbers: results.md, results.csv, metrics.json and predictions.csv in {workdir}"
    )
    keys = {o.key for o in outcomes}
    found = sorted(workdir.glob("**/best/linear*-seed*"))
    if kept := [path for path in found if any(is_of(path, key) for key in keys)]:
        print(_next_commands(kept[0], task.settings.data.dirs[0], task.corpus.classes))


def _next_commands(kept: pathlib.Path, shards: str, classes: Sequence[str]) -> str:
    """Writes what can be done with a kept classifier; recordings are named if they lie beside."""
    script = pathlib.Path(sys.executable).with_name("cryjax")
    there = not shutil.which("cryjax") and script.exists()
    cryjax = os.path.relpath(script) if there else "cryjax"
    recordings, clip = "RECORDINGS", "CLIP.wav"
    made = pathlib.Path(shards) / "recordings"
    if found := sorted(path for path in made.glob("*") if path.suffix in AUDIO_SUFFIXES):
        recordings, clip = str(made), str(found[0])
    table = "embeddings.parquet"
    which = f" --class={shlex.quote(classes[-1])}" if len(classes) > 2 else ""
    return (
        f"next: {cryjax} predict {kept} {recordings} --out=scores.csv{which}\n"
        f"      {cryjax} embed {kept} {recordings} --out={table}\n"
        f"      {cryjax} search {kept} --like={clip} {table}\n"
        f"      {cryjax} export {kept} --out=artefact && {cryjax} verify artefact\n"
        f"      {cryjax} serve {kept} --embeddings={table}"
    )
