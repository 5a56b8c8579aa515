"""kNN during pre-training: how well representations separate the classes of a split."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.data.windows import Windows
from cryjax.encoder import make_forward, over_windows
from cryjax.errors import UserError
from cryjax.evaluate.knn import BANKS, KnnSettings, knn_shares, vote
from cryjax.evaluate.metrics import score
from cryjax.evaluate.scoring import Scored
from cryjax.train.state import TrainState, merge_trees

SCORE = "knn_balanced_accuracy"


@dataclasses.dataclass(frozen=True)
class MonitorSettings(KnnSettings):
    """kNN scores during pre-training, which then select the checkpoint.

    Attributes:
      every: Updates between scores; None scores never.
      bank: Where neighbours come from: "train", the clips that are trained on, or "within", the
        other clips of `data.val` itself (Fonseca et al. 2021), which embeds far fewer clips.
    """

    every: int | None = None
    bank: str = "train"

    def __post_init__(self):
        super().__post_init__()
        if self.bank not in BANKS:
            raise UserError(f"knn.bank must be one of {', '.join(BANKS)}, got {self.bank!r}")


def _h(model: Any, mel: Any) -> Any:
    return model.encoder(model.policy.normalise(mel))


def _z(model: Any, mel: Any) -> Any:
    return model.projector(_h(model, mel))


def make_monitor(
    settings: MonitorSettings,
    corpus: Corpus,
    objective: Any,
    *,
    bank: np.ndarray,
    query: np.ndarray,
    windows: Windows,
) -> Callable[[TrainState], dict[str, float]]:
    """Makes the function from a training state to kNN scores.

    Args:
      settings: k, features and bank.
      corpus: Where the clips are.
      objective: What is trained, with `encoder`, `policy` and, for z, `projector`.
      bank: Clips that are trained on.
      query: Clips that are scored.
      windows: How clips are cut.

    Raises:
      UserError: A clip has no label, or there is no projector.
    """
    within = settings.bank == "within"
    rows = query if within else np.concatenate([bank, query])
    nobody = not (len(query) and (within or len(bank)))
    if not corpus.classes or nobody or (corpus.labels[rows] < 0).any():
        raise UserError(
            "knn.every scores labelled clips of data.val by labelled clips of other groups that "
            "are trained on; set config.knn.every=None, or prepare a folder with labels"
        )
    project = getattr(objective, "projector", None)
    if settings.features == "z" and project is None:
        raise UserError("knn.features=z needs an objective with a projector")

    forward, _ = make_forward(objective, _h if settings.features == "h" else _z)
    first = 0 if within else len(bank)

    def evaluate(state: TrainState) -> dict[str, float]:
        arrays = merge_trees(state.params, state.rest)
        h, owner = over_windows(forward, arrays, corpus.frames, rows, corpus.lengths[rows], windows)
        asked = owner >= first
        known = asked if within else ~asked
        if not np.isfinite(h).all():
            return {SCORE: float("nan"), "knn_accuracy": float("nan")}
        shares = knn_shares(
            h[asked],
            owner[asked],
            h[known],
            owner[known],
            corpus.labels[rows[owner[known]]],
            settings,
            classes=len(corpus.classes),
        )
        scores, decisions = vote(shares, owner[asked] - first, len(query))
        labels, groups = corpus.labels[query], corpus.groups[query]
        values = score(Scored.of(scores, labels, groups, decisions))
        return {SCORE: values["balanced_accuracy"], "knn_accuracy": values["accuracy"]}

    return evaluate
