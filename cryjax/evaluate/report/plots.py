"""Pictures of reports; every function returns a matplotlib figure."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from cryjax.audio.logmel import band_centres_hz
from cryjax.data.corpus import Corpus
from cryjax.evaluate import calibration, metrics
from cryjax.evaluate.report.crossings import share_of
from cryjax.evaluate.scoring import Scored
from cryjax.train.log import load_metrics

matplotlib.use("Agg")
from matplotlib import pyplot as plt

matplotlib.rcParams["text.parse_math"] = False  # a class may be called $x$
TICK_ROOM = 0.06  # share of an axis that a number of four digits takes
MOST_NAMED = 10  # classes that a legend or a sentence names one by one
MOST_NAMED_CELLS = 60  # classes whose confusions are written as numbers


def close(figure: Any) -> None:
    """Frees the memory of a figure."""
    plt.close(figure)


def learning_curves(runs: Sequence[pathlib.Path]) -> Any:
    """Draws loss, accuracy and validation of each run, as far as they were measured."""
    names = [
        "loss",
        "val_loss",
        "accuracy",
        "val_accuracy",
        "knn_balanced_accuracy",
        "positive_cosine",
    ]
    histories = {run: load_metrics(run) for run in runs}
    names = [n for n in names if any(n in row for rows in histories.values() for row in rows)]
    width = max(len(names), 1)
    figure, axes = plt.subplots(
        1, width, figsize=(3.8 * width, 3), squeeze=False, sharex=True, layout="constrained"
    )
    for name, axis in zip(names, axes[0], strict=False):
        if name.startswith("val_") and name.removeprefix("val_") in names:  # beside each other
            axis.sharey(axes[0][names.index(name.removeprefix("val_"))])
        for run, rows in histories.items():
            named = run.name if run.parent.name == "curves" else run.parent.name
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=named, linewidth=1.2)
        axis.set(xlabel="step", ylabel=name.replace("_", " "))
        axis.grid(alpha=0.3)
    if 1 < len(runs) <= 12:
        lines, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside right upper", fontsize=7)
    return figure


def fraction_curve(
    rows: Sequence[dict[str, Any]], clips: Mapping[str, Sequence[int]], metric: str
) -> Any:
    """Draws a metric by the number of labelled recordings, one line for each series.

    Bands are two standard errors over seeds, bars the 95 % interval over groups.

    Args:
      rows: Rows of the table, whose modes are "series @ share".
      clips: Numbers of labelled recordings of the runs of each mode.
      metric: Metric to draw.
    """
    points: list[dict[str, Any]] = [
        {"series": row["mode"].rpartition(" @ ")[0], "clips": float(np.mean(clips[row["mode"]]))}
        | row
        for row in rows
    ]
    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    for name in dict.fromkeys(point["series"] for point in points):
        mine = sorted((p for p in points if p["series"] == name), key=lambda p: p["clips"])
        _line(axis, name, [p["clips"] for p in mine], [p[metric] for p in mine])
    numbers = sorted({round(p["clips"]) for p in points})
    ticks = numbers[:1]
    for number in numbers[1:]:  # a label that would touch the one before is left out
        if np.log(number / ticks[-1]) >= TICK_ROOM * np.log(numbers[-1] / numbers[0]):
            ticks.append(number)
    _log_axis(axis, ticks)
    axis.set(xlabel="labelled recordings", ylabel=metric.replace("_", " "))
    axis.set_title("band: ± 2 standard errors over seeds; bars: 95 % over groups", fontsize=8)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _line(axis: Any, name: str, x: Sequence[float], cells: Sequence[Mapping[str, Any]]) -> None:
    """Draws means, two standard errors over seeds as a band, and intervals as bars."""
    mean, error = (np.array([c[key] for c in cells]) for key in ("mean", "standard_error"))
    low, high = np.array([c["interval"] for c in cells]).T
    (line,) = axis.plot(x, mean, marker="o", markersize=4, label=name)
    band = 2 * np.nan_to_num(error)
    axis.fill_between(x, mean - band, mean + band, color=line.get_color(), alpha=0.25)
    axis.vlines(x, low, high, color=line.get_color(), alpha=0.5, linewidth=1)


def _log_axis(axis: Any, ticks: Sequence[float]) -> None:
    """Makes the horizontal axis logarithmic, with these numbers alone."""
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:.12g}" for tick in ticks], fontsize=8)
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def shares(rows: Sequence[dict[str, Any]], metric: str) -> Any:
    """Draws a study by share of labels: a panel for each protocol, a line for each encoder.

    Every task has a row of panels. Bands are two standard errors over seeds, bars 95 % intervals
    over groups.

    Args:
      rows: Cells with "task", "row" as "encoder: protocol", "column" as "20 %", "mean",
        "standard_error" and "interval".
      metric: What they measure, for the axis.
    """
    split = []
    for row in rows:
        encoder, _, protocol = row["row"].partition(": ")
        named = {"encoder": encoder, "protocol": protocol, "share": share_of(row["column"])}
        values = {k: 100 * np.array(row[k]) for k in ("mean", "standard_error", "interval")}
        split.append({"task": row["task"]} | named | values)
    tasks, protocols = (list(dict.fromkeys(r[key] for r in split)) for key in ("task", "protocol"))
    size = (2 + 3 * len(protocols), 3.4 * len(tasks))
    figure, axes = plt.subplots(
        len(tasks), len(protocols), figsize=size, sharey="row", squeeze=False, layout="constrained"
    )
    for (task, protocol), axis in zip(itertools.product(tasks, protocols), axes.flat, strict=True):
        mine = [r for r in split if (r["task"], r["protocol"]) == (task, protocol)]
        for encoder in dict.fromkeys(r["encoder"] for r in split):
            if cells := [r for r in mine if r["encoder"] == encoder]:
                _line(axis, encoder, [r["share"] for r in cells], cells)
        _log_axis(axis, sorted({r["share"] for r in mine}))
        axis.set_title(f"{task}, {protocol}", fontsize=9)
        axis.set_xlabel("labels (%)", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{metric.replace('_', ' ')} (%)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def study(rows: Sequence[dict[str, Any]], metric: str) -> Any:
    """Draws the cells of a study: a panel for each task, a group of points for each column.

    Points are means, bars 95 % intervals over groups, small points the pre-trainings.

    Args:
      rows: Cells with "task", "row", "column", "mean", "interval" and "by_seed".
      metric: What they measure, for the axis.
    """
    tasks, names, columns = (
        list(dict.fromkeys(row[key] for row in rows)) for key in ("task", "row", "column")
    )
    figure, axes = plt.subplots(
        len(tasks),
        1,
        figsize=(
            min(14, 3 + 0.16 * len(names) * len(columns) + 0.8 * len(columns)),
            3 * len(tasks),
        ),
        squeeze=False,
        layout="constrained",
    )
    colours = plt.get_cmap("tab10" if len(names) <= 10 else "tab20")
    for task, axis in zip(tasks, axes[:, 0], strict=True):
        for row in (row for row in rows if row["task"] == task):
            place = names.index(row["row"])
            x = columns.index(row["column"]) + 0.8 * ((place + 0.5) / len(names) - 0.5)
            low, high = (100 * end for end in row["interval"])
            colour = colours(place % colours.N)
            axis.vlines(x, low, high, color=colour, linewidth=1.5, alpha=0.6)
            axis.plot(x, 100 * row["mean"], "o", color=colour, markersize=5)
            seeds = 100 * np.array(row["by_seed"])
            axis.plot(np.full(len(seeds), x), seeds, ".", color=colour, markersize=3, alpha=0.7)
        axis.set_xticks(range(len(columns)), columns, fontsize=8)
        axis.set_xlim(-0.6, len(columns) - 0.4)
        axis.set_ylabel(f"{metric.replace('_', ' ')} (%)", fontsize=8)
        axis.set_title(task, fontsize=9)
        axis.grid(alpha=0.3, axis="y")
    for place, name in enumerate(names):
        axes[0][0].plot([], [], "o", color=colours(place % colours.N), label=name)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def roc(scored: Scored, classes: Sequence[str]) -> Any:
    """Draws the ROC curve of the second class of two, or of each class against the rest.

    More than MOST_NAMED classes are drawn alike, with the median of their areas in the legend.
    """
    from sklearn.metrics import roc_curve

    many, areas = len(classes) > MOST_NAMED, []
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    for c in [1] if len(classes) == 2 else range(len(classes)):
        truth = scored.labels == c
        if truth.all() or not truth.any():
            continue
        score = scored.scores[:, c]
        wrong, right, _ = roc_curve(truth, score)
        area = metrics.auc(np.stack([1 - score, score], 1), truth * 1)
        areas.append(area)
        if many:
            axis.plot(wrong, right, color="steelblue", alpha=0.35, linewidth=0.8)
        else:
            axis.plot(wrong, right, label=f"{classes[c]}  AUC {area:.2f}", linewidth=1.2)
    if many and areas:
        text = f"{len(areas)} classes, median AUC {np.median(areas):.2f}"
        axis.plot([], [], color="steelblue", label=text)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axis.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    axis.legend(fontsize=7, loc="lower right")
    return figure


def confusion(scored: Scored, classes: Sequence[str]) -> Any:
    """Draws the confusion matrix; rows are the true classes. Many are neither named nor counted."""
    table = metrics.confusion(scored)
    names = classes if len(classes) <= MOST_NAMED_CELLS else ()
    size = 2.5 + 0.4 * min(len(classes), MOST_NAMED_CELLS)
    figure, axis = plt.subplots(figsize=(size + 1, size))
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(table) if names else ():
        color = "white" if share[i, j] > 0.55 else "black"
        axis.text(j, i, str(n), ha="center", va="center", fontsize=8, color=color)
    axis.set(xlabel="predicted", ylabel="true", yticks=range(len(names)), yticklabels=names)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    return figure


def reliability(scored: Scored, positive: int | None, name: str) -> Any:
    """Draws the share of hits by probability; the diagonal is what probabilities promise.

    Args:
      scored: Predictions beside the truth.
      positive: Index of the class whose probability is drawn; None takes the highest.
      name: What the probability is of, for the axis.
    """
    confidence, hits, counts = np.array(calibration.reliability(scored, positive)).T
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axis.plot(confidence, hits, marker="o", linewidth=1.2)
    for x, y, n in zip(confidence, hits, counts, strict=True):
        axis.annotate(f"{n:.0f}", (x, y), fontsize=7, xytext=(4, -8), textcoords="offset points")
    axis.set(
        xlabel=f"probability of {name}",
        ylabel="share that is right",
        aspect="equal",
        xlim=(0, 1.02),
        ylim=(-0.02, 1.02),
    )
    return figure


def _hz_ticks(centres: np.ndarray) -> tuple[list[float], list[str]]:
    """Places round frequencies on an axis of bands, where they do not overlap."""
    places: list[float] = []
    texts: list[str] = []
    for hz in (8000, 4000, 2000, 1000, 500, 250, 125):
        place = float(np.interp(hz, centres, np.arange(len(centres)) + 0.5))
        room = not places or places[-1] - place >= len(centres) / 14
        if room and centres[0] <= hz <= centres[-1]:
            places.append(place)
            texts.append(f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz")
    return places, texts


def mels(corpus: Corpus, rows: np.ndarray, most: int = 10) -> Any:
    """Draws the log-mel of the first recording of each class."""
    labels = corpus.labels[rows]
    first = [rows[np.flatnonzero(labels == c)[0]] for c in np.unique(labels)][:most]
    columns = min(len(first), 5)
    lines = -(-len(first) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.6 * columns, 2.3 * lines), squeeze=False)
    centres = band_centres_hz(corpus.spec)
    seconds = 1 / corpus.spec.frames_per_s if corpus.spec.frames_per_s else 1.0
    for axis in axes.ravel():
        axis.axis("off")
    for axis, row in zip(axes.ravel(), first, strict=False):
        length = int(corpus.lengths[row])
        mel = corpus.frames.gather(np.array([row]), np.array([0]), length)[0].astype(np.float32)
        axis.axis("on")
        axis.set_yticks(*_hz_ticks(centres), fontsize=6)
        extent = (0, length * seconds, 0, corpus.spec.n_mels)
        axis.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
        axis.set_title(corpus.clips[row].label, fontsize=8)
        axis.tick_params(labelsize=6)
        axis.set_xlabel("s" if corpus.spec.frames_per_s else "frame", fontsize=7)
    figure.tight_layout()
    return figure
