"""Recordings to representations, window by window.

    cryjax embed runs/mine recordings/ --out=embeddings.parquet
    cryjax embed runs/mine "in/**/*.wav" more.csv --out=embeddings.npz

MODEL is the workdir of a training run, an export or a kept classifier. The ending of --out chooses
.parquet, .npz or .csv: path, start_s, end_s and one column (or a matrix h) of features. Recordings
that cannot be read are listed in <out>.quarantine.csv. Stopped, the same command continues.
--format=hoplite writes a database of perch-hoplite into the folder --out instead.
"""

import argparse
import pathlib
import sys

import numpy as np

from cryjax.deploy.classifier import load
from cryjax.deploy.command import add_recordings, answer, job_of
from cryjax.deploy.hoplite import save_hoplite
from cryjax.deploy.recordings import Embedded, joined, save_quarantine
from cryjax.errors import UserError
from cryjax.files import replacing

ENDINGS = (".parquet", ".npz", ".csv")


def save(path: pathlib.Path, parts: list[Embedded]) -> None:
    """Writes windows as the file's ending says.

    Raises:
      UserError: The ending is unknown, or its library is missing.
    """
    whole = joined(parts)
    with replacing(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, allow_pickle=False, **whole._asdict())
        elif path.suffix == ".csv":
            _save_csv(temporary, whole)
        else:
            _save_parquet(temporary, whole)


def _save_csv(path: pathlib.Path, whole: Embedded) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(
            ",".join(["path", "start_s", "end_s", *map(str, range(whole.h.shape[1]))]) + "\n"
        )
        for name, start, end, h in zip(*whole, strict=True):
            quoted = '"' + str(name).replace('"', '""') + '"'
            values = ",".join(f"{x:.6g}" for x in h)
            file.write(f"{quoted},{start:.3f},{end:.3f},{values}\n")


def _save_parquet(path: pathlib.Path, whole: Embedded) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("a .parquet file needs pyarrow: pip install pyarrow") from None
    size = whole.h.shape[1]
    features = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(whole.h.ravel()), size)
    columns = {
        "path": pyarrow.array(whole.path.tolist()),
        "start_s": pyarrow.array(whole.start_s),
        "end_s": pyarrow.array(whole.end_s),
        "h": features,
    }
    parquet.write_table(pyarrow.table(columns), path)


def load_embeddings(path: pathlib.Path) -> Embedded:
    """Reads windows that `cryjax embed` wrote as .parquet or .npz.

    Raises:
      UserError: It is no such file.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as kept:
                return Embedded(*(kept[name] for name in Embedded._fields))
        if path.suffix == ".parquet":
            from pyarrow import parquet

            table = parquet.read_table(path)
            h = table["h"].combine_chunks()
            values = h.flatten().to_numpy().reshape(len(h), -1)
            texts = np.array(table["path"].to_pylist())
            return Embedded(texts, table["start_s"].to_numpy(), table["end_s"].to_numpy(), values)
    except Exception as error:  # numpy's, zipfile's and pyarrow's own
        raise UserError(f"{path} is not readable as embeddings ({error})") from error
    raise UserError(f"{path} must end in .parquet or .npz")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_recordings(parser, "embeddings.parquet")
    parser.add_argument(
        "--format", choices=["table", "hoplite"], default="table", help="hoplite: see above"
    )
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    out = pathlib.Path(asked.out)
    if asked.format == "table" and out.suffix not in ENDINGS:
        raise UserError(f"--out must end in {', '.join(ENDINGS)}, got {out}")
    encoder = load(asked.model)
    job = job_of(encoder, asked)
    parts, bad = [], []
    for embedded, failed in job:
        parts.append(embedded)
        bad += failed
    if asked.format == "hoplite":
        save_hoplite(out, joined(parts), encoder)
    else:
        save(out, parts)
    save_quarantine(out.with_name(out.name + ".quarantine.csv"), bad)
    job.close()
    windows = sum(len(part.h) for part in parts)
    print(f"{windows} windows in {out}; {len(bad)} stretches could not be read")


if __name__ == "__main__":
    sys.exit(main())
