"""The windows that sound most like a clip.

    cryjax search runs/mine --like=clip.wav embeddings.parquet

Compares the clip's mean representation with every window of files that `cryjax embed` wrote with
the same encoder, by cosine. Up to a million windows exactly; in more, through an index of faiss
(pip install faiss-cpu), which is built once and kept beside the file: --exact does without.
"""

import argparse
import hashlib
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cryjax.audio import AudioError, read
from cryjax.deploy.classifier import load
from cryjax.deploy.command import answer
from cryjax.deploy.table import EmbeddingsFile
from cryjax.errors import UserError
from cryjax.files import replacing

EXACT_ROWS = 1_000_000
BLOCK = 65_536  # windows that are read at once
LISTS, ROWS_A_LIST, PROBED, TRAINED = 1024, 40, 16, 100_000  # of the index; see `by_index`

Found = tuple[np.ndarray, np.ndarray]  # rows of a file, cosines


def nearest(query: np.ndarray, h: np.ndarray, count: int) -> Found:
    """Finds the rows of highest cosine with a query; returns their numbers and cosines."""
    lengths = np.maximum(np.linalg.norm(h, axis=1), 1e-12)
    cosine = h @ (query / max(float(np.linalg.norm(query)), 1e-12)) / lengths
    count = min(count, len(cosine))
    best = np.argpartition(-cosine, count - 1)[:count]
    order = best[np.argsort(-cosine[best], kind="stable")]
    return order, cosine[order]


def exactly(file: EmbeddingsFile, query: np.ndarray, count: int) -> Found:
    """Finds the nearest windows of a file, block by block."""
    first, best = 0, (np.zeros(0, int), np.zeros(0))
    for h in file.blocks(BLOCK):
        if h.shape[1] != len(query):
            raise UserError(
                f"{file.path} holds {h.shape[1]} features, this encoder has {len(query)}: "
                "embed again with this one"
            )
        rows, cosines = nearest(query, h, count)
        rows, cosines = np.append(best[0], first + rows), np.append(best[1], cosines)
        order = np.argsort(-cosines, kind="stable")[:count]
        best, first = (rows[order], cosines[order]), first + len(h)
    return best


def by_index(file: EmbeddingsFile, query: np.ndarray, count: int) -> Found:
    """Finds nearly the nearest windows of a file by its index, which is built where it is missing.

    Windows are put into lists by the nearest of some centres, as 16-bit values; the `PROBED` lists
    nearest to the query are searched (Jegou et al. 2011). Chosen by `python -m benchmarks.search`.

    Raises:
      UserError: faiss is not installed, or the file is of another encoder.
    """
    path = file.path
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            f"{path} holds more than {EXACT_ROWS:,} windows: pip install faiss-cpu, or --exact"
        ) from None
    about = path.stat()
    key = hashlib.sha256(f"{about.st_size} {about.st_mtime_ns}".encode()).hexdigest()
    kept = path.with_name(f"{path.name}.{key[:12]}.faiss")
    if not kept.exists():
        _build(faiss, file, kept)
    index = faiss.read_index(str(kept), faiss.IO_FLAG_MMAP)
    if index.d != len(query):
        raise UserError(f"{path} is of another encoder: embed again with this one")
    index.nprobe = min(PROBED, index.nlist)
    unit = query / max(float(np.linalg.norm(query)), 1e-12)
    cosines, rows = index.search(unit[None].astype(np.float32), count)
    return rows[0][rows[0] >= 0], cosines[0][rows[0] >= 0]


def _build(faiss: Any, file: EmbeddingsFile, kept: pathlib.Path) -> None:
    total = len(file)
    every, lists = max(1, total // TRAINED), max(1, min(LISTS, total // ROWS_A_LIST))
    sample = np.concatenate([_unit(h)[::every] for h in file.blocks(BLOCK)])
    kind = f"IVF{lists},SQfp16"
    index = faiss.index_factory(sample.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    for h in file.blocks(BLOCK):
        index.add(_unit(h))
        print(f"index: {index.ntotal:,} of {total:,} windows", file=sys.stderr)
    with replacing(kept) as temporary:
        faiss.write_index(index, str(temporary))


def _unit(h: np.ndarray) -> np.ndarray:
    return (h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the encoder")
    parser.add_argument(
        "embeddings", metavar="EMBEDDINGS", nargs="+", help=".parquet or .npz files"
    )
    parser.add_argument("--like", required=True, help="recording to compare with")
    parser.add_argument(
        "--count", type=int, default=20, help="windows shown (default: %(default)s)"
    )
    parser.add_argument("--exact", action="store_true", help="no index, however many windows")
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    encoder = load(asked.model)
    if asked.count < 1:
        raise UserError(f"--count must be at least 1, got {asked.count}")
    try:
        clip = read(asked.like)
    except AudioError as error:
        raise UserError(f"{asked.like}: {error}") from None
    h, _ = encoder.embed(clip.wave, sample_rate_hz=clip.rate_hz)
    query, lines = h.mean(axis=0), []
    for name in asked.embeddings:
        file = EmbeddingsFile(pathlib.Path(name))
        search: Callable[..., Found] = by_index
        if asked.exact or len(file) <= EXACT_ROWS:
            search = exactly
        rows, cosines = search(file, query, asked.count)
        lines += zip(cosines.tolist(), file.places(rows), strict=True)
    print("cosine  start_s    end_s  path")
    for cosine, (name, start_s, end_s) in sorted(lines, key=lambda x: -x[0])[: asked.count]:
        print(f"{cosine:6.3f}  {start_s:7.2f}  {end_s:7.2f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
