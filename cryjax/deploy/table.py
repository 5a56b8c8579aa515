"""Windows as tables: .parquet, .npz or .csv, written, read, and read in blocks."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from cryjax.deploy.recordings import Embedded, joined
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


class EmbeddingsFile:
    """Windows of a file, read in blocks where it is .parquet and once where it is .npz.

    Args:
      path: File that `cryjax embed` wrote.

    Raises:
      UserError: See `load_embeddings`.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._parquet: Any = None
        if path.suffix != ".parquet":
            self._whole = load_embeddings(path)
            return
        from pyarrow import parquet

        try:
            self._parquet = parquet.ParquetFile(path)
        except Exception as error:  # pyarrow's own
            raise UserError(f"{path} is not readable as embeddings ({error})") from error

    def __len__(self) -> int:
        if self._parquet is None:
            return len(self._whole.h)
        return self._parquet.metadata.num_rows

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """Yields (rows, features) features, the last block with what is left."""
        if self._parquet is None:
            h = self._whole.h
            yield from (h[first : first + rows] for first in range(0, len(h), rows))
            return
        for batch in self._parquet.iter_batches(rows, columns=["h"]):
            h = batch.column("h")
            yield h.flatten().to_numpy().reshape(len(h), -1)

    def places(self, rows: np.ndarray) -> Iterator[tuple[str, float, float]]:
        """Yields recording, start and end in seconds of some windows."""
        if self._parquet is None:
            columns = [column[rows].tolist() for column in self._whole[:3]]
        else:
            names = list(Embedded._fields[:3])
            table = self._parquet.read(columns=names).take(rows)
            columns = [table[name].to_pylist() for name in names]
        yield from zip(*columns, strict=True)
