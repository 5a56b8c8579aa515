"""Linear probes of 10 seeds by 5 label fractions: all at once beside one after another.

    python -m benchmarks.probes [features] [classes]      torch where it is installed

2,000 made-up embeddings to learn from and 2,000 to test on, two cores. Beside scikit-learn's
LogisticRegression (the same rows and strength C = 1; at its tolerance of 1e-6, because at the
default of 1e-4 its probabilities are up to 0.28 from the optimum where ours are within 1e-3) and,
where torch is installed, a loop of SGD in it: 300 full batches at the rate and momentum that reach
scikit-learn's accuracy. Accuracies are compared first; ours includes nothing of compilation.
"""

import importlib.util
import sys
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.timing import in_turns, machine, on_cores, report
from cryjax.evaluate.logistic import fit_many
from cryjax.train.mesh import keep_compiled

FRACTIONS, SEEDS, ROWS = (0.05, 0.1, 0.2, 0.5, 1.0), 10, 2000
STEPS, RATE = 300, 0.02


def embeddings(features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes rectified mixtures of 64 latent directions with a mean a class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 2 * ROWS)
    means = 0.35 * rng.normal(size=(classes, 64))
    latent = means[labels] + rng.normal(size=(2 * ROWS, 64))
    mixed = latent @ rng.normal(size=(64, features)) / 8
    x = np.maximum(mixed + 0.5 * rng.normal(size=mixed.shape), 0)
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), labels


def masks() -> np.ndarray:
    """Makes (seeds * fractions, rows) nested subsets."""
    orders = [np.random.default_rng(seed).permutation(ROWS) for seed in range(SEEDS)]
    return np.array([np.argsort(o) < f * ROWS for o in orders for f in FRACTIONS])


def by_torch(known: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int) -> Callable:
    """Makes a loop of fits by SGD with momentum, full batches, the same penalty."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(2)
    x, labels, other = (torch.from_numpy(a) for a in (known, y, asked))

    def fit(mask: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(np.flatnonzero(mask))
        layer = torch.nn.Linear(x.shape[1], classes)
        optimiser = torch.optim.SGD(layer.parameters(), RATE, 0.9, nesterov=True)
        mine, truth = x[rows], labels[rows]
        for _ in range(STEPS):
            optimiser.zero_grad()
            penalty = (layer.weight**2).sum() / 2 / len(rows)
            (functional.cross_entropy(layer(mine), truth) + penalty).backward()
            optimiser.step()
        return layer(other).argmax(dim=1).numpy()

    return fit


def main() -> None:
    """Prints accuracies, times and ratios."""
    on_cores(2)
    features, classes = map(int, (sys.argv[1:] + ["2048", "2"][len(sys.argv) - 1 :]))
    keep_compiled()
    x, labels = embeddings(features, classes)
    known, asked, y, truth = x[:ROWS], x[ROWS:], labels[:ROWS], labels[ROWS:]
    counted = masks()

    def ours() -> np.ndarray:
        fits = fit_many(known, y, counted, np.ones(len(counted)), classes=classes)
        return (fits.probabilities(asked).argmax(axis=2) == truth).mean(axis=1)

    def theirs() -> np.ndarray:
        models = (LogisticRegression(max_iter=5000, tol=1e-6).fit(known[m], y[m]) for m in counted)
        return np.array([model.score(asked, truth) for model in models])

    work: dict[str, Callable[[], np.ndarray]] = {"ours, all at once": ours}
    there = importlib.util.find_spec("torch") is not None
    if there:
        fit = by_torch(known, y, asked, classes)
        work[f"PyTorch, {STEPS} steps of SGD each"] = lambda: np.array(
            [(fit(m) == truth).mean() for m in counted]
        )
    work["scikit-learn, one by one"] = theirs
    print(machine("jax", "scikit-learn", *(["torch"] if there else [])))
    for name, run in work.items():
        means = run().reshape(SEEDS, len(FRACTIONS)).mean(axis=0)
        print(f"accuracy, {name}: {', '.join(f'{100 * v:.2f}' for v in means)} at {FRACTIONS}")
    title = f"{features} features, {classes} classes, {len(counted)} fits"
    report(title, in_turns(work, 3), count=len(counted), unit="fits")


if __name__ == "__main__":
    main()
