"""How far do few labels go? Linear probes of every seed, fraction and strength, fitted at once."""

import collections
import pathlib
from typing import Any

import jax
import numpy as np

from cryjax.data.fractions import nested_fractions
from cryjax.evaluate import pictures, table
from cryjax.evaluate.logistic import Fits, fit_many
from cryjax.evaluate.metrics import score
from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.table import Outcome
from cryjax.tasks.common import Config, claim, describe, folds_of, numbers, open_data
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
        x[: len(train)],
        labels,
        np.array(counted),
        np.array([p[2] for p in plan]),
        classes=len(judged.corpus.classes),
    )
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


def _on_fold(
    config: Config, fold: dict[str, str], seeds: list[int], counts: dict
) -> tuple[Judged, list[Outcome]]:
    """What was judged, and outcomes of every encoder, seed and fraction; {fold} is filled in."""
    name_of_fold, outcomes, judged = fold.get("test", ""), [], None
    by_checkpoint = collections.defaultdict(list)
    for seed in seeds:
        checkpoint = config["checkpoint"].format(fold=name_of_fold, seed=seed)
        by_checkpoint[checkpoint].append(seed)
    for checkpoint, mine in by_checkpoint.items():
        there = {"checkpoint": checkpoint, "data": config["data"] | fold}
        judged = prepare(config | there)
        for name, mode in ENCODERS.items():
            if mode == "linear" and judged.encoder is None:
                continue
            for together in [mine] if mode == "linear" else [[seed] for seed in mine]:
                x = _embeddings(judged, mode, together[0])
                fits, plan = _fit(judged, x, together, config)
                for seed, fraction, count, val, test in _choose(judged, x, fits, plan, config):
                    parts = {k: judged.scored(k, v) for k, v in (("val", val), ("test", test))}
                    label = f"{name} @ {100 * fraction:g} %"
                    outcomes.append(Outcome(label, seed, name_of_fold, judged.split.test, **parts))
                    counts[name, fraction].append(count)
    assert judged is not None
    return judged, outcomes


def run(config: Config, workdir: pathlib.Path) -> None:
    """Draws the curve as `configs/label_fractions.py` describes."""
    seeds = [config["seed"] + i for i in range(config["seeds"])]
    corpus = open_data(config["data"])
    claim(workdir, config, describe(corpus))
    folds = folds_of(config, sorted({clip.split for clip in corpus.clips}))
    counts: dict[tuple[str, float], list[int]] = collections.defaultdict(list)
    found = [_on_fold(config, fold, seeds, counts) for fold in folds]
    outcomes = [outcome for _, mine in found for outcome in mine]
    if jax.process_index():
        return
    judged, _ = found[-1]
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
