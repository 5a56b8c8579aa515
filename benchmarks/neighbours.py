"""kNN of 2,000 queries among 16,000 embeddings of 512 features, k = 200, on two cores.

    python -m benchmarks.neighbours

Beside scikit-learn's brute force with the cosine, and faiss's exact index where it is installed
(pip install faiss-cpu); the votes are compared first.
"""

import importlib.util
from collections.abc import Callable

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.timing import LIMIT, in_turns, machine, need, on_cores, report
from cryjax.evaluate.knn import KnnSettings, knn_shares, unit
from cryjax.train.mesh import use_all_cores

BANK, QUERIES, FEATURES, K, CLASSES = 16_000, 2_000, 512, 200, 20


def of_faiss(bank: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> Callable:
    """Prepares the same votes from faiss, whose index holds vectors of length one."""
    faiss = need("faiss", "pip install faiss-cpu")
    index = faiss.IndexFlatIP(FEATURES)
    index.add(unit(bank))

    def shares() -> np.ndarray:
        _, found = index.search(unit(queries), K)
        voted = np.arange(QUERIES)[:, None] * CLASSES + labels[found]
        counts = np.bincount(voted.ravel(), minlength=QUERIES * CLASSES)
        return counts.reshape(QUERIES, CLASSES) / K

    return shares


def main() -> None:
    """Compares shares, then prints both times and that of the matrix product alone."""
    on_cores(2)
    use_all_cores()
    rng = np.random.default_rng(0)
    bank, queries = (rng.normal(size=(n, FEATURES)).astype(np.float32) for n in (BANK, QUERIES))
    labels = rng.integers(0, CLASSES, BANK)
    nobody, theirs = (
        np.arange(QUERIES) + BANK,
        KNeighborsClassifier(K, algorithm="brute", metric="cosine", n_jobs=2).fit(bank, labels),
    )

    def ours() -> np.ndarray:
        return knn_shares(
            queries, nobody, bank, np.arange(BANK), labels, KnnSettings(K), classes=CLASSES
        )

    peers = {"scikit-learn, brute, cosine": lambda: theirs.predict_proba(queries)}
    if importlib.util.find_spec("faiss"):
        peers["faiss, exact"] = of_faiss(bank, queries, labels)
    for peer in peers.values():
        np.testing.assert_allclose(ours(), peer(), atol=1.01 / K)
    limit = {f"{LIMIT}the matrix product alone": lambda: queries @ bank.T}
    work = {"ours": ours} | limit | peers
    print(machine("jax", "scikit-learn"))
    report(
        f"k = {K}, {BANK:,} x {QUERIES:,} x {FEATURES}",
        in_turns(work),
        count=QUERIES,
        unit="queries",
    )


if __name__ == "__main__":
    main()
