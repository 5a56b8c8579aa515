"""Pictures of the report, each a matplotlib figure."""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_curve

from cryjax.data.pipeline import Corpus
from cryjax.evaluate import metrics
from cryjax.evaluate.table import Outcome
from cryjax.train.log import load_metrics

matplotlib.use("Agg")
from matplotlib import pyplot as plt

GROUPS_SHOWN = 12


def close(figure: Any) -> None:
    """Frees a figure."""
    plt.close(figure)


def learning_curves(runs: Sequence[pathlib.Path]) -> Any:
    """Loss, and the kNN score where it was measured, of each pre-training run."""
    names = ["loss", "knn_balanced_accuracy", "positive_cosine"]
    histories = {run: load_metrics(run) for run in runs}
    names = [n for n in names if any(n in row for rows in histories.values() for row in rows)]
    figure, axes = plt.subplots(1, max(len(names), 1), figsize=(4.5 * max(len(names), 1), 3),
                                squeeze=False)  # fmt: skip
    for name, axis in zip(names, axes[0], strict=False):
        for run, rows in histories.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=run.parent.name, linewidth=1.2)
        axis.set(xlabel="step", ylabel=name.replace("_", " "))
        axis.grid(alpha=0.3)
    if 1 < len(runs) <= 12:
        axes[0][0].legend(fontsize=7)
    return figure


def fraction_curve(points: Sequence[dict[str, Any]], metric: str) -> Any:
    """A metric by labelled recordings: band of two standard errors over seeds, bars over groups."""
    figure, axis = plt.subplots(figsize=(6.5, 4))
    for name in dict.fromkeys(point["encoder"] for point in points):
        mine = sorted((p for p in points if p["encoder"] == name), key=lambda p: p["clips"])
        x = np.array([p["clips"] for p in mine])
        mean, error = (np.array([p[metric][k] for p in mine]) for k in ("mean", "standard_error"))
        low, high = np.array([p[metric]["interval"] for p in mine]).T
        (line,) = axis.plot(x, mean, marker="o", markersize=4, label=name)
        band = 2 * np.nan_to_num(error)
        axis.fill_between(x, mean - band, mean + band, color=line.get_color(), alpha=0.25)
        axis.vlines(x, low, high, color=line.get_color(), alpha=0.5, linewidth=1)
    axis.set_xscale("log")
    ticks = sorted({round(p["clips"]) for p in points})
    axis.set_xticks(ticks, [str(t) for t in ticks], fontsize=8)
    axis.minorticks_off()
    axis.set(xlabel="labelled recordings", ylabel=metric.replace("_", " "))
    axis.set_title("band: ± 2 standard errors over seeds; bars: 95 % over groups", fontsize=8)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def roc(outcome: Outcome, classes: Sequence[str]) -> Any:
    """ROC curve: of the second class of two, or of each class against the rest."""
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    for c in [1] if len(classes) == 2 else range(len(classes)):
        truth = outcome.test.labels == c
        if truth.all() or not truth.any():
            continue
        wrong, right, _ = roc_curve(truth, outcome.test.scores[:, c])
        area = metrics.auc(
            np.stack([1 - outcome.test.scores[:, c], outcome.test.scores[:, c]], 1), truth * 1
        )
        axis.plot(wrong, right, label=f"{classes[c]}  AUC {area:.2f}", linewidth=1.2)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axis.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    axis.legend(fontsize=7, loc="lower right")
    return figure


def confusion(outcome: Outcome, classes: Sequence[str]) -> Any:
    """Confusion matrix, rows are the true classes."""
    table = metrics.confusion(outcome.test.scores, outcome.test.labels)
    size = 2.5 + 0.4 * len(classes)
    figure, axis = plt.subplots(figsize=(size + 1, size))
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(table):
        color = "white" if share[i, j] > 0.55 else "black"
        axis.text(j, i, str(n), ha="center", va="center", fontsize=8, color=color)
    ticks = range(len(classes))
    axis.set_xticks(ticks, classes, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(ticks, classes, fontsize=8)
    axis.set(xlabel="predicted", ylabel="true")
    return figure


def embedding_map(
    mean: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str]
) -> Any:
    """Two principal components, coloured by class and by group (the largest groups named)."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8))
    flat = PCA(2).fit_transform(mean) if len(mean) > 2 else np.zeros((len(mean), 2))
    colours = plt.get_cmap("tab20")
    for c, name in enumerate(classes):
        axes[0].scatter(*flat[labels == c].T, s=14, color=colours(c % 20), label=name)
    names, counts = np.unique(groups, return_counts=True)
    shown = names[np.argsort(-counts, kind="stable")][:GROUPS_SHOWN]
    others = ~np.isin(groups, shown)
    axes[1].scatter(*flat[others].T, s=10, color="lightgrey", label="other groups")
    for g, name in enumerate(shown):
        axes[1].scatter(*flat[groups == name].T, s=14, color=colours(g % 20), label=name[:16])
    for axis, title in zip(axes, ("by class", "by group"), strict=True):
        axis.set(title=title, xlabel="component 1", ylabel="component 2")
        axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    return figure


def mels(corpus: Corpus, rows: np.ndarray, most: int = 10) -> Any:
    """The log-mel of the first recording of each class."""
    labels = corpus.labels[rows]
    first = [rows[np.flatnonzero(labels == c)[0]] for c in np.unique(labels)][:most]
    columns = min(len(first), 5)
    lines = -(-len(first) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.6 * columns, 2.3 * lines), squeeze=False)
    seconds = 1 / corpus.spec.frames_per_s if corpus.spec.frames_per_s else 1.0
    for axis in axes.ravel():
        axis.axis("off")
    for axis, row in zip(axes.ravel(), first, strict=False):
        length = int(corpus.lengths[row])
        mel = corpus.frames.gather(np.array([row]), np.array([0]), length)[0].astype(np.float32)
        axis.axis("on")
        extent = (0, length * seconds, 0, corpus.spec.n_mels)
        axis.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
        axis.set_title(corpus.clips[row].label, fontsize=8)
        axis.tick_params(labelsize=6)
        axis.set_xlabel("s" if corpus.spec.frames_per_s else "frame", fontsize=7)
    figure.tight_layout()
    return figure
