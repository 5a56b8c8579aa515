"""Verification: are two recordings of the same baby? Cosine of embeddings, equal error rate."""

import csv
import dataclasses
import pathlib

import jax
import numpy as np

from cryjax.errors import UserError
from cryjax.evaluate.knn import unit
from cryjax.evaluate.operating_points import equal_error_rate
from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.statistics import interval_of
from cryjax.evaluate.task import EvaluationSettings, EvaluationTask, open_unlabelled
from cryjax.files import save_json
from cryjax.train.workdir import claim

RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class VerifySettings(EvaluationSettings):
    """What is verified.

    Attributes:
      task: Name of the task.
      seed: Seed of a random encoder, where there is no checkpoint.
      pairs: CSV with the columns baby_id_B, baby_id_D and label.
      period: Column of the manifest that says B (birth) or D (discharge).
      splits: Splits of `data.dirs` that are read.
    """

    task: str = "verify"
    seed: int = 0
    pairs: str = ""
    period: str = "period"
    splits: tuple[str, ...] = ("val", "test")


def _sides(task: EvaluationTask, seed: int, period: str) -> dict[tuple[str, str], np.ndarray]:
    """Maps (baby, period) to the unit mean embedding of its clips."""
    encoder = task.encoder("pretrained" if task.pretrained else "random", seed)
    rows = task.split.rows
    x, clips = task.embeddings(encoder).means(len(rows)), [task.corpus.clips[row] for row in rows]
    sides: dict[tuple[str, str], int] = {}
    at = [sides.setdefault((clip.group, clip.column(period)), len(sides)) for clip in clips]
    means = unit(average_over(x, np.array(at), len(sides)))
    return {side: means[i] for side, i in sides.items()}


def _load_pairs(path: str) -> list[tuple[str, str, bool]]:
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = {"baby_id_B", "baby_id_D", "label"}
    if not rows or not wanted <= rows[0].keys():
        raise UserError(f"{path}: expected columns {', '.join(sorted(wanted))} and at least a row")
    return [(r["baby_id_B"], r["baby_id_D"], r["label"] in ("1", "True", "true")) for r in rows]


def _interval(score: np.ndarray, same: np.ndarray, babies: np.ndarray) -> tuple[float, float]:
    """Computes a 95 % interval over babies: a pair counts as often as both its babies are drawn."""
    rng, rates = np.random.default_rng(0), np.full(RESAMPLES, np.nan)
    who, at = np.unique(babies, return_inverse=True)
    at = at.reshape(babies.shape)
    for i in range(RESAMPLES):
        counts = rng.multinomial(len(who), np.full(len(who), 1 / len(who)))
        times = counts[at[0]] * np.where(same, 1, counts[at[1]])
        rows = np.repeat(np.arange(len(score)), times)
        if same[rows].any() and not same[rows].all():
            rates[i] = equal_error_rate(score[rows], same[rows])[0]
    return interval_of(rates)


def run(settings: VerifySettings, workdir: pathlib.Path) -> None:
    """Verifies as `configs/verify.py` describes."""
    task = open_unlabelled(settings, settings.splits)
    claim(workdir, settings, task.corpus.describe())
    if jax.process_index():
        return
    pairs, sides = _load_pairs(settings.pairs), _sides(task, settings.seed, settings.period)
    kept = [(a, b, s) for a, b, s in pairs if {(a, "B"), (b, "D")} <= sides.keys()]
    if not kept:
        raise UserError(f"{settings.pairs}: no pair has both of its recordings in the folder")
    score = np.array([sides[a, "B"] @ sides[b, "D"] for a, b, _ in kept])
    same = np.array([s for _, _, s in kept])
    rate, threshold = equal_error_rate(score, same)
    low, high = _interval(score, same, np.array([[a, b] for a, b, _ in kept]).T)
    seen = task.seen_in_training()
    found = {
        "groups_seen_in_training": seen["groups"],
        "equal_error_rate": rate,
        "interval": [low, high],
        "threshold": threshold,
        "pairs": len(kept),
        "left_out": len(pairs) - len(kept),
    }
    save_json(workdir / "metrics.json", found)
    text = f"EER {100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] over babies"
    print(f"{text}, {len(kept)} pairs, {found['left_out']} without both recordings")
    if seen["groups"]:
        print(f"caution: the encoder was trained on {seen['groups']} of the groups that are read")
