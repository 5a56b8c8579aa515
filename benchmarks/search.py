"""Which index `cryjax search` takes beyond a million rows: usearch, two of faiss, or none.

    python -m benchmarks.search [rows]       needs usearch and faiss-cpu; 1,200,000 rows by default

Rows of 512 features in 500 clusters of 20 dimensions each, as windows of recordings lie; 50
queries that are rows with noise. Prints seconds to build and to answer one query, size on disk,
and the share of the true 20 nearest that each finds.
"""

import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import machine, need, on_cores
from cryjax.deploy.search import nearest

FEATURES, CLUSTERS, DIMENSIONS, QUERIES, COUNT = 512, 500, 20, 50, 20


def rows_of(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws (count, FEATURES) float32 rows of length 1."""
    centres = rng.normal(size=(CLUSTERS, FEATURES)).astype(np.float32)
    bases = rng.normal(size=(CLUSTERS, DIMENSIONS, FEATURES)).astype(np.float32) / 4
    made = np.empty((count, FEATURES), np.float32)
    for number, mine in enumerate(np.array_split(np.arange(count), CLUSTERS)):
        inner = rng.normal(size=(len(mine), DIMENSIONS)).astype(np.float32)
        made[mine] = centres[number] + inner @ bases[number]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def by_usearch(h: np.ndarray, path: pathlib.Path) -> Callable[[np.ndarray], Any]:
    """Builds usearch's index of 16-bit values; searches it from disk."""
    from usearch.index import Index  # pyright: ignore[reportMissingImports]

    made = Index(ndim=FEATURES, metric="cos", dtype="f16")
    made.add(np.arange(len(h)), h)
    made.save(str(path))
    index = Index.restore(str(path), view=True)
    return lambda q: index.search(q, COUNT).keys


def by_faiss(kind: str) -> Callable[[np.ndarray, pathlib.Path], Callable[[np.ndarray], Any]]:
    """Builds an index of faiss by the name of its factory."""
    import faiss  # pyright: ignore[reportMissingImports]

    def build(h: np.ndarray, path: pathlib.Path) -> Callable[[np.ndarray], Any]:
        made = faiss.index_factory(FEATURES, kind, faiss.METRIC_INNER_PRODUCT)
        made.train(h[:: max(1, len(h) // 100_000)])
        made.add(h)
        if hasattr(made, "nprobe"):
            made.nprobe = 16
        faiss.write_index(made, str(path))
        return lambda q: made.search(q[None], COUNT)[1][0]

    return build


def main() -> None:
    """Prints a line each."""
    on_cores(2)
    need("usearch", "pip install usearch")
    need("faiss", "pip install faiss-cpu")
    count, rng = int((sys.argv[1:] or ["1200000"])[0]), np.random.default_rng(0)
    h = rows_of(count, rng)
    noise = rng.normal(size=(QUERIES, FEATURES)).astype(np.float32) / 100
    queries = h[rng.integers(0, count, QUERIES)] + noise
    started = time.perf_counter()
    true = [set(nearest(q, h, COUNT)[0].tolist()) for q in queries]
    exact = (time.perf_counter() - started) / QUERIES
    print(machine("numpy", "usearch", "faiss-cpu"))
    print(f"{count:,} rows; exact by numpy: {exact:.3f} s a query, {h.nbytes / 1e9:.2f} GB")
    works = {
        "usearch, 16 bits": by_usearch,
        "faiss HNSW32": by_faiss("HNSW32"),
        "faiss IVF1024, 16 bits": by_faiss("IVF1024,SQfp16"),
    }
    for name, build in works.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "index"
            started = time.perf_counter()
            search = build(h, path)
            built = time.perf_counter() - started
            started = time.perf_counter()
            found = [set(np.asarray(search(q)).tolist()) for q in queries]
            took = (time.perf_counter() - started) / QUERIES
            recall = np.mean([len(a & b) / COUNT for a, b in zip(found, true, strict=True)])
            size = path.stat().st_size / 1e9
        print(
            f"{name:24} built in {built:7.1f} s, {1000 * took:7.2f} ms a query, {size:.2f} GB, "
            f"recall {recall:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
