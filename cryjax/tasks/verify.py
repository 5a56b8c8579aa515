"""Verification: are two recordings of the same baby? Cosine of embeddings, equal error rate."""

import csv
import pathlib

import jax
import numpy as np

from cryjax.data.shards import save_json
from cryjax.evaluate.knn import unit
from cryjax.evaluate.operating import equal_error_rate
from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.statistics import interval_of
from cryjax.tasks.common import Config, claim, describe, names
from cryjax.tasks.judged import Judged, prepare_encoder

RESAMPLES = 2000


def _sides(judged: Judged, seed: int, period: str) -> dict[tuple[str, str], np.ndarray]:
    """(baby, period) to the unit mean embedding of its clips."""
    mode = "knn" if judged.encoder is not None else "random_knn"
    h, owner = judged.embeddings(mode, seed)
    x = average_over(h, owner, len(judged.rows))
    clips = [judged.corpus.clips[row] for row in judged.rows]
    sides: dict[tuple[str, str], int] = {}
    at = [sides.setdefault((clip.group, clip.column(period)), len(sides)) for clip in clips]
    means = unit(average_over(x, np.array(at), len(sides)))
    return {side: means[i] for side, i in sides.items()}


def _load_pairs(path: str) -> list[tuple[str, str, bool]]:
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = {"baby_id_B", "baby_id_D", "label"}
    if not rows or not wanted <= rows[0].keys():
        raise ValueError(f"{path}: expected columns {', '.join(sorted(wanted))} and at least a row")
    return [(r["baby_id_B"], r["baby_id_D"], r["label"] in ("1", "True", "true")) for r in rows]


def _interval(score: np.ndarray, same: np.ndarray, babies: np.ndarray) -> tuple[float, float]:
    """95 % interval when babies are drawn anew: a pair counts as often as both of its babies."""
    rng, found = np.random.default_rng(0), np.full(RESAMPLES, np.nan)
    who, at = np.unique(babies, return_inverse=True)
    at = at.reshape(babies.shape)
    for i in range(RESAMPLES):
        counts = rng.multinomial(len(who), np.full(len(who), 1 / len(who)))
        times = counts[at[0]] * np.where(same, 1, counts[at[1]])
        rows = np.repeat(np.arange(len(score)), times)
        if same[rows].any() and not same[rows].all():
            found[i] = equal_error_rate(score[rows], same[rows])[0]
    return interval_of(found)


def run(config: Config, workdir: pathlib.Path) -> None:
    """Verifies as `configs/verify.py` describes."""
    judged = prepare_encoder(config, names(config["data"]["splits"]))
    claim(workdir, config, describe(judged.corpus))
    if jax.process_index():
        return
    pairs, sides = _load_pairs(config["pairs"]), _sides(judged, config["seed"], config["period"])
    kept = [(a, b, s) for a, b, s in pairs if {(a, "B"), (b, "D")} <= sides.keys()]
    if not kept:
        raise ValueError(f"{config['pairs']}: no pair has both of its recordings in the folder")
    score = np.array([sides[a, "B"] @ sides[b, "D"] for a, b, _ in kept])
    same = np.array([s for _, _, s in kept])
    rate, threshold = equal_error_rate(score, same)
    low, high = _interval(score, same, np.array([[a, b] for a, b, _ in kept]).T)
    found = {
        "equal_error_rate": rate,
        "interval": [low, high],
        "threshold": threshold,
        "pairs": len(kept),
        "left_out": len(pairs) - len(kept),
    }
    save_json(workdir / "metrics.json", found)
    text = f"EER {100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] over babies"
    print(f"{text}, {len(kept)} pairs, {found['left_out']} without both recordings")
