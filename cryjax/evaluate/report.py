"""The report: from the top for a clinician, to the bottom for a reviewer."""

import dataclasses
import html
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from cryjax.data.pipeline import Corpus
from cryjax.evaluate import checklist, page, pictures
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.probe import Split
from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.table import NOTE, Outcome, Table, cell, in_words

NOT_FOR = (
    "Decisions about a single person: this is a research result, not a medical device.",
    "People, places, devices or recording habits other than those below: nothing here was tested "
    "on them.",
    "A claim that one method is better than another where the intervals overlap.",
)
NAMED = {
    "linear": "a linear classifier on frozen representations",
    "linear_bn": "a classifier with the encoder's batch normalisation adapted",
    "finetune": "a fine-tuned encoder",
    "knn": "the nearest neighbours among labelled recordings",
    "scratch": "a network trained from scratch",
}


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a report is made of.

    Attributes:
      corpus: That was judged on.
      split: Its parts.
      outcomes: Test predictions.
      rows: Of the table, by recording.
      facts: What the table says about itself.
      config: Of the task.
      embeddings: (windows, features) of test recordings.
      owner: (windows,) position among the test recordings.
      curves: Workdirs of pre-training runs.
      tables: More of them.
      training: Folders with the curves of what was trained on labels.
    """

    corpus: Corpus
    split: Split
    outcomes: Sequence[Outcome]
    rows: Sequence[dict[str, Any]]
    facts: dict[str, Any]
    config: dict[str, Any]
    embeddings: np.ndarray
    owner: np.ndarray
    curves: Sequence[pathlib.Path]
    tables: Sequence[Table] = ()
    training: Sequence[pathlib.Path] = ()


def drawn(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome to draw: linear where there is one; never chosen by its test score."""
    rank = {mode: i for i, mode in enumerate(NAMED)}
    return min(outcomes, key=lambda o: rank.get(o.mode, len(rank)))


def _headline(parts: Parts, shown: Outcome) -> str:
    facts = parts.facts
    row = next(r for r in parts.rows if r["mode"] == shown.mode)
    what = NAMED.get(shown.mode, shown.mode)
    people = f"{facts['clips']['test']} recordings of {facts['groups']['test']} groups"
    if row["folds"] > 1:
        people = f"{row['groups']} groups in {row['folds']} test folds"
    apart = "" if "LEAKY" in facts["split rule"] else " kept apart from training"
    accuracy, area = cell(row["balanced_accuracy"]), cell(row["auc"])
    text = (
        f"On {people}{apart}, {what} reached a balanced accuracy of {accuracy} % and an area under "
        f"the ROC curve of {area} %."
    )
    asked = f"Which of {', '.join(parts.corpus.classes)} is heard in a recording?"
    spread = "Mean ± standard error over training seeds [95 % interval over groups]."
    rule = f"Split: {facts['split rule']}; a group is one {facts['group']}."
    return (
        f"<p>Asked: {html.escape(asked)} {html.escape(rule)}</p>"
        f"<p class=headline>{html.escape(text)}</p><p class=note>{spread}</p>{_warnings(parts)}"
    )


def _warnings(parts: Parts) -> str:
    facts, found = parts.facts, []
    if "SYNTHETIC" in facts["licence"]:
        found.append("Synthetic recordings, made by code: a demonstration without medical meaning.")
    for fact in ("split rule", "selection"):
        if "LEAKY" in facts[fact]:
            found.append(f"LEAKY: {facts[fact]}. Not to be reported.")
    seen = facts["test groups seen (unlabelled) in pre-training"]
    if not seen.startswith("0 "):
        found.append(f"Pre-training saw test groups without their labels: {seen}.")
    limits = [flag for flag in ("NC", "ND") if flag in facts["licence"].replace("-", " ").split()]
    if limits:
        found.append(f"The recordings' licence has {' and '.join(limits)}: {facts['licence']}.")
    return "".join(f"<p class=warn>{html.escape(text)}</p>" for text in found)


def _results(parts: Parts) -> str:
    header = ["mode", *NAMES, "seeds", "groups"]
    rows = [[r["mode"], *(cell(r[n]) for n in NAMES), r["seeds"], r["groups"]] for r in parts.rows]
    return page.table(header, rows, f"{NOTE} One row a recording.")


def _split_table(parts: Parts) -> str:
    corpus, rows = parts.corpus, []
    for name in ("train", "val", "test"):
        mine = getattr(parts.split, name)
        counts = np.bincount(corpus.labels[mine], minlength=len(corpus.classes))
        rows.append([name, len(mine), len(set(corpus.groups[mine])), *counts])
    return page.table(["part", "recordings", "groups", *corpus.classes], rows)


def _map(parts: Parts) -> str:
    """The test recordings' mean embeddings; class, group and file where the pointer rests."""
    corpus, rows = parts.corpus, parts.split.test
    mean = average_over(parts.embeddings, parts.owner, len(rows))
    flat = PCA(2).fit_transform(mean) if len(mean) > 2 else np.zeros((len(mean), 2))
    clips = [corpus.clips[row] for row in rows]
    tips = [f"{clip.label} · {clip.group} · {clip.path} {clip.start_s:g} s" for clip in clips]
    drawing = page.scatter(flat, corpus.labels[rows], corpus.classes, tips)
    known = parts.facts["checkpoint"] != "none"
    encoder = "the pre-trained encoder" if known else "an encoder with fresh, untrained weights"
    caption = f"PCA of the test recordings' mean embedding by {encoder}; colours are classes."
    return page.figured(drawing, caption)


def _drawings(parts: Parts, shown: Outcome) -> list[tuple[str, str]]:
    corpus = parts.corpus
    named = f"{shown.mode}, seed {shown.seed}, fold {shown.fold}"
    sections = [
        ("ROC", page.image(pictures.roc(shown, corpus.classes), f"Test recordings; {named}.")),
        ("Confusion matrix", page.image(pictures.confusion(shown, corpus.classes), f"{named}.")),
        ("Reliability", page.image(pictures.reliability(shown.test), f"{named}; not scaled.")),
        ("Embedding map", _map(parts)),
        (
            "Recordings",
            page.image(
                pictures.mels(corpus, parts.split.test),
                "One test recording of each class, log-mel as the encoder sees it.",
            ),
        ),
    ]
    for title, runs in (("Pre-training", parts.curves), ("Training on labels", parts.training)):
        if any((run / "metrics.jsonl").exists() for run in runs):
            drawing = page.image(pictures.learning_curves(runs), f"{title}, by step.")
            sections.append((f"{title}: curves", drawing))
    return sections


def write(workdir: pathlib.Path, parts: Parts) -> pathlib.Path:
    """Writes `report.html` into the workdir and returns its path."""
    corpus, shown = parts.corpus, drawn(parts.outcomes)
    modes = list(dict.fromkeys(o.mode for o in parts.outcomes))
    hashes = [(f"shards of {s.folder.name} (sha256)", s.fingerprint) for s in corpus.sets]
    facts = [(k, in_words(v)) for k, v in parts.facts.items()]
    sections = [
        ("Not to be used for", page.listed(NOT_FOR)),
        ("Results", _results(parts)),
        ("Who is in which part", _split_table(parts)),
        *((t.title, page.table(t.header, t.rows, t.note)) for t in parts.tables),
        *_drawings(parts, shown),
        ("Protocol", page.table(["", ""], facts)),
        (
            "Reporting checklist",
            page.table(
                ["item", "what this run knows"], checklist.items(parts.facts, corpus.classes, modes)
            ),
        ),
        ("Environment", page.table(["", ""], [*checklist.environment(), *hashes])),
        ("Config", f"<pre>{html.escape(json.dumps(parts.config, indent=2))}</pre>"),
    ]
    path = workdir / "report.html"
    text = page.page(parts.facts["title"], _headline(parts, shown), sections)
    path.write_text(text, encoding="utf-8")
    return path
