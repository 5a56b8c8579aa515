"""Linear probes of 10 seeds by 5 label fractions: all at once beside scikit-learn one by one.

    python -m benchmarks.probes [features] [classes]

2,000 made-up embeddings to learn from and 2,000 to test on; the same rows, strength (C = 1) and
tolerance (1e-4) on both sides. Accuracies are compared first; medians of three rounds, the two
sides in turn. Needs nothing beyond the installed package.
"""

import statistics
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression

from cryjax.evaluate.logistic import fit_many
from cryjax.train.mesh import keep_compiled

FRACTIONS, SEEDS, ROWS = (0.05, 0.1, 0.2, 0.5, 1.0), 10, 2000


def embeddings(features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectified mixtures of 64 latent directions with a mean a class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 2 * ROWS)
    means = 0.35 * rng.normal(size=(classes, 64))
    latent = means[labels] + rng.normal(size=(2 * ROWS, 64))
    mixed = latent @ rng.normal(size=(64, features)) / 8
    x = np.maximum(mixed + 0.5 * rng.normal(size=mixed.shape), 0)
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), labels


def masks() -> np.ndarray:
    """(seeds * fractions, rows) nested subsets."""
    orders = [np.random.default_rng(seed).permutation(ROWS) for seed in range(SEEDS)]
    return np.array([np.argsort(o) < f * ROWS for o in orders for f in FRACTIONS])


def main() -> None:
    """Prints both accuracies, both times and their ratio."""
    features, classes = map(int, (sys.argv[1:] + ["2048", "2"][len(sys.argv) - 1 :]))
    keep_compiled()
    x, labels = embeddings(features, classes)
    known, asked, y, truth = x[:ROWS], x[ROWS:], labels[:ROWS], labels[ROWS:]
    counted, took = masks(), {"ours": [], "scikit-learn": []}

    def ours() -> np.ndarray:
        fits = fit_many(known, y, counted, np.ones(len(counted)), classes=classes)
        return (fits.probabilities(asked).argmax(axis=2) == truth).mean(axis=1)

    def theirs() -> np.ndarray:
        models = (LogisticRegression(max_iter=1000).fit(known[m], y[m]) for m in counted)
        return np.array([model.score(asked, truth) for model in models])

    first = time.perf_counter()
    a, b = ours(), theirs()
    print(f"first round of both, compilation included: {time.perf_counter() - first:.1f} s")
    shape = (SEEDS, len(FRACTIONS))
    for name, value in (("ours", a), ("scikit-learn", b)):
        means = ", ".join(f"{100 * v:.2f}" for v in value.reshape(shape).mean(axis=0))
        print(f"accuracy of {name} at {FRACTIONS}: {means}")
    print(f"largest difference of one fit: {100 * np.abs(a - b).max():.2f} points")
    for _ in range(3):
        for name, run in (("ours", ours), ("scikit-learn", theirs)):
            started = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in took.items()}
    spread = {n: f"{min(v):.2f} to {max(v):.2f}" for n, v in took.items()}
    print(f"{features} features, {classes} classes, {len(counted)} fits, seconds: {medians}")
    print(f"spread: {spread}; ratio {medians['scikit-learn'] / medians['ours']:.1f}")


if __name__ == "__main__":
    main()
