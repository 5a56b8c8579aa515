"""How far do few labels go? Linear probes of every seed, fraction and strength, fitted at once."""

import collections
import copy
import pathlib
from typing import Any

import jax
import numpy as np

from cryjax.data.fractions import nested_fractions
from cryjax.evaluate import pictures, table
from cryjax.evaluate.logistic import Fits, fit_many
from cryjax.evaluate.metrics import score
from cryjax.evaluate.scoring import Scored, average_over
from cryjax.evaluate.table import Outcome
from cryjax.tasks.common import Config, claim, describe, names, numbers, open_data
from cryjax.tasks.judged import Judged, about, prepare

ENCODERS = {"random": "random_linear", "pre-trained": "linear"}


def _embeddings(judged: Judged, mode: str, seed: int) -> np.ndarray:
    """(rows, features) of train, val and test, one after another: the mean over windows."""
    h, owner = judged.embeddings(mode, seed)
    return average_over(h, owner, len(judged.rows))


def _fit(judged: Judged, x: np.ndarray, seeds: list[int], config: Config) -> tuple[Fits, Any]:
    """All fits on one encoder's embeddings, and their (seed, fraction, strength)."""
    train = judged.split.train
    labels, groups = judged.corpus.labels[train], judged.corpus.groups[train]
    fractions, strengths = numbers(config["fractions"]), numbers(config["strengths"])
    plan, counted = [], []
    for seed in seeds:
        taken = nested_fractions(labels, groups, fractions, seed=seed, unit=config["unit"])
        for fraction, mask in zip(fractions, taken, strict=True):
            plan += [(seed, fraction, strength) for strength in strengths]
            counted += [mask] * len(strengths)
    fits = fit_many(
        x[: len(train)], labels, np.array(counted), np.array([p[2] for p in plan]),
        classes=len(judged.corpus.classes),
    )  # fmt: skip
    return fits, zip(plan, [int(c.sum()) for c in counted], strict=True)


def _choose(judged: Judged, x: np.ndarray, fits: Fits, plan: Any, config: Config):
    """(seed, fraction) to the fit whose strength is best on validation, the first of equals."""
    split, corpus = judged.split, judged.corpus
    n, m = len(split.train), len(split.val)
    val, test = fits.probabilities(x[n : n + m]), fits.probabilities(x[n + m :])
    best: dict[tuple[int, float], tuple[float, int, int]] = {}
    for i, ((seed, fraction, _), count) in enumerate(plan):
        value = score(val[i], corpus.labels[split.val])[config["select"]]
        if value > best.get((seed, fraction), (-np.inf,))[0]:
            best[seed, fraction] = (value, i, count)
    for key, (_, i, count) in best.items():
        yield *key, count, val[i], test[i]


def _scored(judged: Judged, part: str, scores: np.ndarray) -> Scored:
    rows = getattr(judged.split, part)
    return Scored(scores, judged.corpus.labels[rows], judged.corpus.groups[rows])


def _fold_config(config: Config, fold: str, seed: int) -> Config:
    """The transfer settings of one fold and seed; {fold} and {seed} are filled in."""
    chosen = copy.deepcopy(config)
    chosen["pool"] = ""
    chosen["checkpoint"] = config["checkpoint"].format(fold=fold, seed=seed)
    if fold:
        others = [f for f in names(config["folds_there"]) if f != fold]
        chosen["data"] |= {"test": fold, "val": "", "train": ",".join(others)}
    return chosen


def _on_fold(config: Config, fold: str, seeds: list[int], counts: dict) -> list[Outcome]:
    """Outcomes of every encoder, seed and fraction on one fold; mode is encoder @ fraction."""
    outcomes = []
    by_checkpoint = collections.defaultdict(list)
    for seed in seeds:
        by_checkpoint[_fold_config(config, fold, seed)["checkpoint"]].append(seed)
    for mine in by_checkpoint.values():
        judged = prepare(_fold_config(config, fold, mine[0]))
        for name, mode in ENCODERS.items():
            if mode == "linear" and judged.encoder is None:
                continue
            for together in [mine] if mode == "linear" else [[seed] for seed in mine]:
                x = _embeddings(judged, mode, together[0])
                fits, plan = _fit(judged, x, together, config)
                for seed, fraction, count, val, test in _choose(judged, x, fits, plan, config):
                    parts = {"val": _scored(judged, "val", val)}
                    parts["test"] = _scored(judged, "test", test)
                    label = f"{name} @ {100 * fraction:g} %"
                    outcomes.append(Outcome(label, seed, fold, judged.split.test, **parts))
                    counts[name, fraction].append(count)
    return outcomes


def run(config: Config, workdir: pathlib.Path) -> None:
    """Draws the curve as `configs/label_fractions.py` describes."""
    seeds = [config["seed"] + i for i in range(config["seeds"])]
    folds = names(config["folds"]) or [""]
    corpus = open_data(config["data"])
    claim(workdir, config, describe(corpus))
    there = sorted({clip.split for clip in corpus.clips})
    if unknown := [f for f in folds if f and f not in there]:
        raise ValueError(f"no split {unknown}; there are {', '.join(there)}")
    config = config | {"folds_there": ",".join(there)}
    counts: dict[tuple[str, float], list[int]] = collections.defaultdict(list)
    outcomes = [o for fold in folds for o in _on_fold(config, fold, seeds, counts)]
    if jax.process_index():
        return
    judged = prepare(_fold_config(config, folds[-1], seeds[-1]))
    chosen = f"strength of regularisation with the best {config['select']} on val"
    facts = about(judged, chosen) | {
        "title": f"{corpus.sets[0].info['corpus']}, linear probes by share of labels",
        "labels": f"nested, drawn by {config['unit']}, stratified; the validation part keeps all",
        "labelled clips": {
            f"{100 * f:g} %": f"{np.mean(n):.0f}"
            for (name, f), n in counts.items()
            if name == "random"
        },
        "checkpoint": config["checkpoint"] or "none",
        "test folds": config["folds"] or "test",
    }
    rows = table.save(workdir, outcomes, corpus, facts)
    points = [
        {"encoder": name, "fraction": fraction, "clips": float(np.mean(counts[name, fraction]))}
        | next(r for r in rows if r["mode"] == f"{name} @ {100 * fraction:g} %")
        for name, fraction in counts
    ]
    figure = pictures.fraction_curve(points, config["metric"])
    figure.savefig(workdir / "curve.png", dpi=130, bbox_inches="tight")
    pictures.close(figure)
    print(table.as_markdown(rows, facts["title"]))
    print(f"curve: {workdir / 'curve.png'}")
