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

from cryjax.tasks.transfer import Judged, prepare
from cryjax.train.mesh import keep_compiled, use_all_cores

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
LABELLED = (1, 3, 10, 0)  # recordings a class; 0 is all
ENCODERS = {"random": "random_linear", "pre-trained": "linear"}


class Readout:
    """One run's recordings: the mean embedding of their windows, under one encoder."""

    def __init__(self, judged: Judged, mode: str, seed: int):
        h, owner = judged.embeddings(mode, seed)
        sums = np.zeros((len(judged.rows), h.shape[1]))
        np.add.at(sums, owner, h)
        self._x = sums / np.bincount(owner)[:, None]
        self._labels = judged.corpus.labels[judged.rows]
        sizes = (len(rows) for rows in (judged.split.train, judged.split.val, judged.split.test))
        bounds = np.cumsum([0, *sizes])
        self.train, self._val, self._test = (np.arange(a, b) for a, b in itertools.pairwise(bounds))

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """So many training recordings of every class; all of them for 0."""
        if not count:
            return self.train
        classes = [self.train[self._labels[self.train] == c] for c in np.unique(self._labels)]
        return np.concatenate([rng.choice(c, min(count, len(c)), replace=False) for c in classes])

    def accuracies(self, recordings: np.ndarray, strength: float) -> tuple[float, float]:
        """On validation and test, after fitting to some training recordings."""
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(self._x[recordings], self._labels[recordings])
        return tuple(model.score(self._x[p], self._labels[p]) for p in (self._val, self._test))


def _show(title: str, columns: list[str], found: dict[str, list[list[float]]]) -> None:
    print(f"\n{title}\n| encoder | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name, runs in found.items():
        values = 100 * np.asarray(runs)
        error = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
        cells = [
            f"{m:.1f}" if error is None else f"{m:.1f} ± {error[i]:.1f}"
            for i, m in enumerate(values.mean(axis=0))
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
            tests = [readout.accuracies(readout.train, s)[1] for s in STRENGTHS]
            by_strength[name].append(tests)
            rng, row = np.random.default_rng(config["seed"]), []
            for count in LABELLED:
                recordings = readout.draw(count, rng)
                tried = [readout.accuracies(recordings, s) for s in STRENGTHS]
                row.append(max(tried, key=lambda both: both[0])[1])  # the first best on validation
            by_labels[name].append(row)
        print(f"{path.parent.parent.name} is done", flush=True)
    _show("test accuracy by strength C", [f"C={s:g}" for s in STRENGTHS], by_strength)
    columns = [f"{n or 'all'} a class" for n in LABELLED]
    _show("test accuracy by labelled recordings, C by validation", columns, by_labels)


if __name__ == "__main__":
    main()
