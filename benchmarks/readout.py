"""What labels can read out of frozen embeddings: a second opinion on the linear probe.

    python -m benchmarks.readout runs/esc10

For every finished run of a suite, scikit-learn's logistic regression on the very embeddings that
`linear` and `random_linear` were trained on, averaged over a recording and standardised. Two
tables: test accuracy at each strength of regularisation, never chosen; and by labelled recordings
a class, the strength chosen on validation.
"""

import argparse
import collections
import itertools
import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cryjax.evaluate.scoring import average_over
from cryjax.evaluate.statistics import over_seeds
from cryjax.tasks.judged import Judged, prepare
from cryjax.train.mesh import keep_compiled, use_all_cores

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
LABELLED = (1, 3, 10)  # recordings a class; then all of them
ENCODERS = {"random": "random_linear", "pre-trained": "linear"}


class Readout:
    """One run's recordings: the mean embedding of their windows, under one encoder."""

    def __init__(self, judged: Judged, mode: str, seed: int):
        h, owner = judged.embeddings(mode, seed)
        self._x = average_over(h, owner, len(judged.rows))
        self._labels = judged.corpus.labels[judged.rows]
        sizes = (len(rows) for rows in (judged.split.train, judged.split.val, judged.split.test))
        bounds = np.cumsum([0, *sizes])
        self.train, self._val, self._test = (np.arange(a, b) for a, b in itertools.pairwise(bounds))

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """So many training recordings of every class, or as many as there are."""
        classes = [self.train[self._labels[self.train] == c] for c in np.unique(self._labels)]
        return np.concatenate([rng.choice(c, min(count, len(c)), replace=False) for c in classes])

    def accuracies(self, recordings: np.ndarray) -> list[tuple[float, float]]:
        """On validation and test, after fitting to some training recordings, at each strength."""
        found = []
        for strength in STRENGTHS:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
            model.fit(self._x[recordings], self._labels[recordings])
            val, test = (model.score(self._x[p], self._labels[p]) for p in (self._val, self._test))
            found.append((val, test))
        return found


def _show(title: str, columns: list[str], found: dict[str, list[list[float]]]) -> None:
    print(f"\n{title}\n| encoder | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name, runs in found.items():
        pairs = [over_seeds(values) for values in zip(*runs, strict=True)]
        cells = [
            f"{100 * mean:.1f}" + ("" if np.isnan(error) else f" ± {100 * error:.1f}")
            for mean, error in pairs
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Prints both tables: mean over runs ± its standard error."""
    parser = argparse.ArgumentParser(description="A second opinion on the linear probe.")
    parser.add_argument("suite", type=pathlib.Path, help="workdir of configs/suite.py")
    runs = sorted(parser.parse_args().suite.glob("*-seed*/transfer/config.json"))
    if not runs:
        parser.error("no finished run of a suite there")
    use_all_cores()
    keep_compiled()
    by_strength, by_labels = collections.defaultdict(list), collections.defaultdict(list)
    for path in runs:
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        judged = prepare(config)
        for name, mode in ENCODERS.items():
            readout = Readout(judged, mode, config["seed"])
            rng = np.random.default_rng(config["seed"])
            drawn = [readout.accuracies(readout.draw(count, rng)) for count in LABELLED]
            whole = readout.accuracies(readout.train)
            by_strength[name].append([test for _, test in whole])
            # the first strength that is best on validation
            chosen = [max(tried, key=lambda both: both[0])[1] for tried in [*drawn, whole]]
            by_labels[name].append(chosen)
        print(f"{path.parent.parent.name} is done", flush=True)
    _show("test accuracy by strength C", [f"C={s:g}" for s in STRENGTHS], by_strength)
    columns = [*(f"{n} a class" for n in LABELLED), "all"]
    _show("test accuracy by labelled recordings, C by validation", columns, by_labels)


if __name__ == "__main__":
    main()
