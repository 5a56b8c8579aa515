"""The report: one self-contained HTML page for people who would rather look than read."""

import base64
import dataclasses
import html
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.pipeline import Corpus
from cryjax.evaluate import pictures
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.probe import Split
from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.table import Outcome, cell, in_words

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
       color: #1c2733 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #d5dde5 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
td, th { padding: .3em .7em; border-bottom: 1px solid #e3e9ef; text-align: left }
th { background: #f3f6f9 } img { max-width: 100% } figure { margin: 1em 0 }
figcaption, .note { color: #5a6b7b; font-size: 13px }
.warn { background: #fff3cd; border-left: 4px solid #d39e00; padding: .6em 1em }
pre { background: #f3f6f9; padding: 1em; overflow-x: auto; font-size: 12px }
"""


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


def _image(figure: Any, caption: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    pictures.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    caption = html.escape(caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(str(h))}</th>" for h in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _results(parts: Parts) -> str:
    header = ["mode", *NAMES, "seeds", "groups"]
    rows = [[r["mode"], *(cell(r[n]) for n in NAMES), r["seeds"], r["groups"]] for r in parts.rows]
    note = "Per cent: mean over seeds ± standard error over seeds [95 % interval over groups]."
    return f"{_table(header, rows)}<p class=note>{note} One row a recording.</p>"


def _split_table(parts: Parts) -> str:
    corpus, rows = parts.corpus, []
    for name in ("train", "val", "test"):
        mine = getattr(parts.split, name)
        counts = np.bincount(corpus.labels[mine], minlength=len(corpus.classes))
        rows.append([name, len(mine), len(set(corpus.groups[mine])), *counts])
    return _table(["part", "recordings", "groups", *corpus.classes], rows)


def _warnings(parts: Parts) -> str:
    found = []
    if "SYNTHETIC" in parts.facts["licence"]:
        found.append("Synthetic recordings, made by code: a demonstration without medical meaning.")
    if "LEAKY" in parts.facts["split rule"]:
        found.append("LEAKY split: the same groups are in training and test. Not to be reported.")
    seen = parts.facts["test groups seen (unlabelled) in pre-training"]
    if not seen.startswith("0 "):
        found.append(f"Pre-training saw test groups without their labels: {seen}.")
    return "".join(f"<p class=warn>{html.escape(text)}</p>" for text in found)


def _best(parts: Parts) -> Outcome:
    """The outcome to draw: linear where there is one; never chosen by its test score."""
    order = ["linear", "linear_bn", "finetune", "knn", "scratch"]
    rank = {mode: i for i, mode in enumerate(order)}
    return min(parts.outcomes, key=lambda o: rank.get(o.mode, len(order)))


def write(workdir: pathlib.Path, parts: Parts) -> pathlib.Path:
    """Writes `report.html` into the workdir and returns its path."""
    corpus, drawn = parts.corpus, _best(parts)
    labels, groups = corpus.labels[parts.split.test], corpus.groups[parts.split.test]
    mean = average_over(parts.embeddings, parts.owner, len(labels))
    named = f"{drawn.mode}, seed {drawn.seed}, fold {drawn.fold}"
    sections = [
        ("Results", _results(parts)),
        ("What was judged", _table(["", ""], [(k, in_words(v)) for k, v in parts.facts.items()])),
        ("Split", _split_table(parts)),
        ("Learning curves", _image(pictures.learning_curves(parts.curves), "Pre-training."))
        if parts.curves else ("", ""),
        ("ROC", _image(pictures.roc(drawn, corpus.classes), f"Test recordings; {named}.")),
        ("Confusion matrix", _image(pictures.confusion(drawn, corpus.classes), f"{named}.")),
        ("Embedding map", _image(pictures.embedding_map(mean, labels, groups, corpus.classes),
         "PCA of the test recordings' mean embedding, by class and by group.")),
        ("Recordings", _image(pictures.mels(corpus, parts.split.test),
         "One test recording of each class, log-mel as the encoder sees it.")),
        ("Config", f"<pre>{html.escape(json.dumps(parts.config, indent=2))}</pre>"),
    ]  # fmt: skip
    body = "".join(f"<h2>{title}</h2>{text}" for title, text in sections if title)
    title = html.escape(parts.facts["title"])
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{STYLE}</style><h1>{title}</h1>{_warnings(parts)}{body}</html>"
    )
    path = workdir / "report.html"
    path.write_text(page, encoding="utf-8")
    return path
