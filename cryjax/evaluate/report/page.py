"""The report: from the top for a clinician, to the bottom for a reviewer."""

import dataclasses
import hashlib
import json
import pathlib
import re
import secrets
import shlex
import sys
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from cryjax.encoder import Encoder
from cryjax.evaluate.embeddings import Embeddings
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report import checklist, html, plots
from cryjax.evaluate.report.cautions import cautions_of
from cryjax.evaluate.report.clinical import ClinicalSettings
from cryjax.evaluate.report.tables import Table, cell, in_words, mode_cell, note_of, restrictions
from cryjax.evaluate.task import EvaluationTask

NOT_FOR = (
    "Decisions about a single person: this is a research result, not a medical device.",
    "People, places, devices or recording habits other than those below: nothing here was tested "
    "on them.",
    "A claim that one method is better than another where the intervals overlap.",
)
SHOWN_FIRST = ("linear", "logistic", "linear_bn", "finetune", "knn", "scratch")

SALT = secrets.token_bytes(16)  # of the hashes of names


@dataclasses.dataclass(frozen=True)
class ReportParts:
    """What a report is made of.

    Attributes:
      tasks: The task of every fold; pictures are of the last one.
      outcomes: Predictions.
      rows: Rows of the table by recording.
      facts: What the table says about itself.
      clinical: What was reported besides the metrics.
      config: Settings of the run in plain values.
      embeddings: Embeddings of the last task's test recordings.
      encoder: What made them.
      curves: Workdirs of pre-training runs.
      tables: Further tables.
      training: Folders with the curves of what was trained on labels.
    """

    tasks: Sequence[EvaluationTask]
    outcomes: Sequence[Outcome]
    rows: Sequence[dict[str, Any]]
    facts: dict[str, Any]
    clinical: ClinicalSettings
    config: dict[str, Any]
    embeddings: Embeddings
    encoder: Encoder
    curves: Sequence[pathlib.Path]
    tables: Sequence[Table] = ()
    training: Sequence[pathlib.Path] = ()

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.tasks[-1].corpus.classes


def shown_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Chooses the outcome to draw, by its protocol and never by its test score."""
    rank = {mode: i for i, mode in enumerate(SHOWN_FIRST)}
    last = outcomes[-1].fold
    mine = [o for o in outcomes if o.fold == last and o.test.finite] or list(outcomes)
    return min(mine, key=lambda o: rank.get(o.mode, len(rank)))


def _headline(parts: ReportParts, shown: Outcome) -> str:
    facts = parts.facts
    row = next(r for r in parts.rows if r["mode"] == shown.mode)
    what = PROTOCOLS[shown.mode].label if shown.mode in PROTOCOLS else shown.mode
    people = f"{facts['clips']['test']} recordings of {facts['groups']['test']} groups"
    if row["folds"] > 1:
        people = f"{row['groups']} groups in {row['folds']} test folds"
    apart = "" if "LEAKY" in facts["split rule"] else " kept apart from training"
    accuracy, area = cell(row["balanced_accuracy"]), cell(row["auc"])
    text = (
        f"On {people}{apart}, {what} reached a balanced accuracy of {accuracy} % and an area under "
        f"the ROC curve of {area} %."
    )
    named = f"{len(parts.classes)} classes"
    if len(parts.classes) <= plots.MOST_NAMED:
        named = ", ".join(parts.classes)
    asked = f"Which of {named} is heard in a recording?"
    spread = "Mean ± standard error over training seeds [95 % interval over groups]."
    rule = f"Split: {facts['split rule']}; a group is one {facts['group']}."
    return (
        f"<p>Asked: {escape(asked)} {escape(rule)}</p>"
        f"<p class=headline>{escape(text)}</p><p class=note>{spread}{_made_by()}</p>"
        f"{_warnings(parts)}"
    )


def _made_by() -> str:
    """Repeats the command that this process was started by; of paths only the last part."""
    program, *arguments = sys.argv
    if pathlib.PurePath(program).stem not in ("main", "cryjax", "cryjax train"):
        return ""
    shown = [re.sub(r"(?:^|(?<=[=,]))/(?:[^/,]+/)*", "", argument) for argument in arguments]
    command = shlex.join(["python", "-m", "cryjax.main", *shown])
    return f" Made by <code>{escape(command)}</code>"


def _trivial(parts: ReportParts) -> str:
    """Says so where two numbers a band do as well as every encoder."""
    means = {r["mode"]: r["balanced_accuracy"]["mean"] for r in parts.rows}
    means = {mode: mean for mode, mean in means.items() if np.isfinite(mean)}
    simple = means.pop("mel_statistics", np.nan)
    others = {m: v for m, v in means.items() if m in PROTOCOLS and PROTOCOLS[m].weights != "none"}
    if not others or not simple >= max(others.values()):
        return ""
    return (
        "Mean and standard deviation of the mel bands alone do at least as well as every encoder: "
        "the task is trivial, or leaks through device or site."
    )


def _warnings(parts: ReportParts) -> str:
    facts, texts = parts.facts, []
    if "SYNTHETIC" in facts["licence"]:
        texts.append("Synthetic recordings, made by code: a demonstration without medical meaning.")
    texts += cautions_of(facts)
    if limits := restrictions(facts["licence"]):
        texts.append(f"The recordings' licence has {' and '.join(limits)}: {facts['licence']}.")
    if trivial := _trivial(parts):
        texts.append(trivial)
    texts += sorted({f"{o.mode}: {o.warning}." for o in parts.outcomes if o.warning})
    return "".join(f"<p class=warn>{escape(text)}</p>" for text in texts)


def _results(parts: ReportParts) -> str:
    header = ["mode", *NAMES, "seeds", "groups"]
    rows = [
        [mode_cell(r), *(cell(r[n]) for n in NAMES), r["seeds"], r["groups"]] for r in parts.rows
    ]
    return html.table(header, rows, f"{note_of(parts.rows)} By recording.")


def _split_table(parts: ReportParts) -> str:
    """Counts recordings, groups and classes of every part of every fold."""
    rows = []
    for task in parts.tasks:
        corpus = task.corpus
        for name, clips in task.split.parts().items():
            counts = np.bincount(corpus.labels[clips], minlength=len(corpus.classes))
            fold = [task.fold] if len(parts.tasks) > 1 else []
            rows.append([*fold, name, len(clips), len(set(corpus.groups[clips])), *counts])
    fold = ["test fold"] if len(parts.tasks) > 1 else []
    return html.table([*fold, "part", "recordings", "groups", *parts.classes], rows)


def _named(name: str, parts: ReportParts) -> str:
    """Names a group or recording: by a short hash, since names may tell who it is.

    The hash is another on each page: that of a known name could be looked for.
    """
    if parts.clinical.names:
        return pathlib.PurePath(name).name
    return f"#{hashlib.sha256(SALT + name.encode(errors='replace')).hexdigest()[:6]}"


def _map(parts: ReportParts) -> str:
    """Draws the test recordings' mean embeddings, with class, group and file at the pointer."""
    from sklearn.decomposition import PCA

    task = parts.tasks[-1]
    corpus, rows = task.corpus, task.split.test
    mean = parts.embeddings.means(len(rows))
    flat = PCA(2).fit_transform(mean) if len(mean) > 2 else np.zeros((len(mean), 2))
    clips = [corpus.clips[row] for row in rows]
    tips = [
        f"{c.label} · {_named(c.group, parts)} · {_named(c.path, parts)} {c.start_s:g} s"
        for c in clips
    ]
    drawing = html.scatter(flat, corpus.labels[rows], corpus.classes, tips)
    fold = f" of fold {task.fold}" if len(parts.tasks) > 1 else ""
    trained = f"{parts.encoder.meta.encoder.name}, trained by {parts.encoder.meta.trained_by}"
    caption = (
        f"PCA of the test recordings' mean embedding{fold}; encoder: {trained}. Colours are "
        "classes. Groups and recordings are named by hashes; --names shows names."
    )
    return html.figured(drawing, caption)


def _drawings(parts: ReportParts, shown: Outcome) -> list[tuple[str, str]]:
    classes, task = parts.classes, parts.tasks[-1]
    named = f"{shown.mode}, seed {shown.seed}, fold {shown.fold}"
    positive = parts.clinical.index("positive", classes)
    of = "the decided class" if positive is None else classes[positive]
    sections = []
    if shown.test.finite:
        curve = plots.reliability(shown.test, positive, of)
        sections = [
            ("ROC", html.image(plots.roc(shown.test, classes), f"Test recordings; {named}.")),
            ("Confusion matrix", html.image(plots.confusion(shown.test, classes), f"{named}.")),
            ("Reliability", html.image(curve, f"{named}; not recalibrated.")),
        ]
    sections += [
        ("Embedding map", _map(parts)),
        (
            "Recordings",
            html.image(
                plots.mels(task.corpus, task.split.test),
                "One test recording of each class, log-mel as the encoder sees it.",
            ),
        ),
    ]
    for title, runs in (("Pre-training", parts.curves), ("Training on labels", parts.training)):
        if any((run / "metrics.jsonl").exists() for run in runs):
            drawing = html.image(plots.learning_curves(runs), f"{title}, by step.")
            sections.append((f"{title}: curves", drawing))
    return sections


def write(workdir: pathlib.Path, parts: ReportParts) -> pathlib.Path:
    """Writes `report.html` into the workdir and returns its path."""
    corpus, shown = parts.tasks[-1].corpus, shown_outcome(parts.outcomes)
    modes = list(dict.fromkeys(o.mode for o in parts.outcomes))
    hashes = [(f"shards of {s.folder.name} (sha256)", s.fingerprint) for s in corpus.sets]
    facts = [(k, in_words(v)) for k, v in parts.facts.items()]
    items = checklist.items(parts.facts, corpus.classes, modes)
    sections = [
        ("Encoder", html.table(["", ""], checklist.about_encoder(parts.encoder))),
        ("Not to be used for", html.listed(NOT_FOR)),
        ("Results", _results(parts)),
        ("Who is in which part", _split_table(parts)),
        *((t.title, html.table(t.header, t.rows, t.note)) for t in parts.tables),
        *_drawings(parts, shown),
        ("Protocol", html.table(["", ""], facts)),
        ("Reporting checklist", html.table(["item", "what this run knows"], items)),
        ("Environment", html.table(["", ""], [*checklist.environment(), *hashes])),
        ("Config", f"<pre>{escape(json.dumps(parts.config, indent=2))}</pre>"),
    ]
    path = workdir / "report.html"
    text = html.page(parts.facts["title"], _headline(parts, shown), sections)
    path.write_text(text, encoding="utf-8")
    return path
