"""How fast the page's ranking finds a class, beside random picking: 20 labels, then the top 50.

    python -m benchmarks.labelling MODEL RECORDINGS [class ...]

RECORDINGS is a folder with ESC-50's names (<fold>-<source>-<take>-<class number>.*), MODEL an
encoder that was not trained on their labels. A simulated listener knows one example of a class,
then labels what the page ranks first for it and the most uncertain in turn, until 10 windows of
the class and 10 of others are known: the last 10 of each are what the probe learns from. Counted
is the precision in per cent among the 50 windows ranked highest, without the recordings that hold
a labelled window. Beside it a probe of 10 and 10 windows picked by chance, and the share of the
class in all recordings. Every fourth window, five starts; ± is the standard error over starts.
"""

import pathlib
import re
import sys
import tempfile

import numpy as np

from benchmarks.timing import answer_help, machine
from cryjax.deploy.search import nearest
from cryjax.serve.explore import probe

EACH, TOP, STARTS, MOST, EVERY = 10, 50, 5, 400, 4
NAMES = {"20": "crying_baby", "0": "dog", "24": "coughing", "14": "chirping_birds", "38": "water"}


def ranked(h: np.ndarray, labels: dict[int, int], place: int) -> int:
    """Chooses the window that a listener is shown next: the highest, or the most uncertain."""
    if len(set(labels.values())) > 1:
        p = probe(h, labels, 2)[:, 1]
        order = np.argsort(-p) if place % 2 else np.argsort(np.abs(p - 0.5))
    else:
        mine = [row for row, label in labels.items() if label]
        order, _ = nearest(h[mine].mean(axis=0), h, len(h))
        order = order if place % 2 else order[len(order) // 4 :]  # something else, to have two
    return next(int(row) for row in order if int(row) not in labels)


def by_page(
    h: np.ndarray, true: np.ndarray, rng: np.random.Generator
) -> tuple[dict[int, int], int]:
    """Labels what the page ranks first; returns 10 and 10 labels, and how many were heard."""
    labels = {int(rng.choice(np.flatnonzero(true))): 1}
    while min(list(labels.values()).count(kind) for kind in (0, 1)) < EACH and len(labels) < MOST:
        row = ranked(h, labels, len(labels))
        labels[row] = int(true[row])
    kept = [[row for row, label in labels.items() if label == kind][-EACH:] for kind in (0, 1)]
    return {row: kind for kind in (0, 1) for row in kept[kind]}, len(labels)


def by_chance(true: np.ndarray, rng: np.random.Generator) -> dict[int, int]:
    """Labels 10 windows of the class and 10 of others, picked by chance."""
    return {
        int(row): kind
        for kind in (0, 1)
        for row in rng.choice(np.flatnonzero(true == kind), EACH, replace=False)
    }


def precision(h: np.ndarray, true: np.ndarray, owner: np.ndarray, labels: dict[int, int]) -> float:
    """Counts the class among the windows that rank highest, of recordings without any label."""
    p = probe(h, labels, 2)[:, 1]
    p[np.isin(owner, owner[list(labels)])] = -1
    return float(true[np.argsort(-p)[:TOP]].mean())


def main() -> None:
    """Prints a table."""
    answer_help()
    if len(sys.argv) < 3:
        sys.exit("python -m benchmarks.labelling MODEL RECORDINGS [class ...]")
    import cryjax
    from cryjax.deploy.job import Job
    from cryjax.deploy.recordings import Embedded, find, joined

    model = cryjax.load(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        job = Job(model, find([sys.argv[2]]), pathlib.Path(folder) / "job")
        whole = Embedded(*(column[::EVERY] for column in joined([part for part, _ in job])))
    files = sorted(set(whole.path))
    place = {name: i for i, name in enumerate(files)}
    owner = np.array([place[name] for name in whole.path])
    number = {name: re.split(r"[-.]", pathlib.PurePath(name).name)[3] for name in files}
    kinds = np.array([number[name] for name in whole.path])
    print(machine("jax", "numpy"))
    print(f"{len(whole.h)} windows of {len(files)} recordings")
    print("class            page's ranking    heard      by chance  all recordings")
    for kind in sys.argv[3:] or ("20", "0", "24"):
        true, found, heard = (kinds == kind).astype(int), ([], []), []
        for seed in range(STARTS):
            rng = np.random.default_rng(seed)
            labels, count = by_page(whole.h, true, rng)
            heard.append(count)
            for values, chosen in zip(found, (labels, by_chance(true, rng)), strict=True):
                values.append(precision(whole.h, true, owner, chosen))
        cells = [
            f"{100 * np.mean(v):5.1f} ± {100 * np.std(v, ddof=1) / STARTS**0.5:.1f}" for v in found
        ]
        share = len({n for n in files if number[n] == kind}) / len(files)
        line = f"{NAMES.get(kind, kind):16} {cells[0]:>14} {np.mean(heard):8.0f} {cells[1]:>14}"
        print(f"{line} {100 * share:15.1f}", flush=True)


if __name__ == "__main__":
    main()
