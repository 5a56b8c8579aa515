"""The windows that sound most like a clip.

    cryjax search runs/mine --like=clip.wav embeddings.parquet

Compares the clip's mean representation with every window of files that `cryjax embed` wrote with
the same encoder, by cosine: exact, in seconds for a million windows.
"""

import argparse
import pathlib
import sys

import numpy as np

from cryjax.audio import AudioError, read
from cryjax.deploy.classifier import load
from cryjax.deploy.command import answer
from cryjax.deploy.embed import load_embeddings
from cryjax.deploy.recordings import joined
from cryjax.errors import UserError


def nearest(query: np.ndarray, h: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the rows of highest cosine with a query; returns their numbers and cosines."""
    lengths = np.maximum(np.linalg.norm(h, axis=1), 1e-12)
    cosine = h @ (query / max(float(np.linalg.norm(query)), 1e-12)) / lengths
    count = min(count, len(cosine))
    best = np.argpartition(-cosine, count - 1)[:count]
    order = best[np.argsort(-cosine[best], kind="stable")]
    return order, cosine[order]


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
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    encoder = load(asked.model)
    try:
        clip = read(asked.like)
    except AudioError as error:
        raise UserError(f"{asked.like}: {error}") from None
    h, _ = encoder.embed(clip.wave, sample_rate_hz=clip.rate_hz)
    files = [load_embeddings(pathlib.Path(name)) for name in asked.embeddings]
    if any(file.h.shape[1] != encoder.features for file in files):
        raise UserError("the embeddings are of another encoder: embed again with this one")
    paths, start_s, end_s, known = joined(files)
    rows, cosines = nearest(h.mean(axis=0), known, asked.count)
    print("cosine  start_s    end_s  path")
    for row, cosine in zip(rows, cosines, strict=True):
        print(f"{cosine:6.3f}  {start_s[row]:7.2f}  {end_s[row]:7.2f}  {paths[row]}")


if __name__ == "__main__":
    sys.exit(main())
