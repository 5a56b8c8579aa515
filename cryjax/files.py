"""Files that appear whole: written under a name that nobody else uses, then renamed.

And text for standard output, whose reader may leave.
"""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import sys
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from cryjax.errors import UserError


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name in the same folder, which becomes `path` when the block succeeds.

    The temporary file is removed where it does not. Names are random: two processes that write the
    same file never write into each other's, and the last rename wins.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: pathlib.Path) -> str:
    """Computes the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _sha256(path: pathlib.Path, size: int, changed_ns: int) -> str:
    """Hashes a file once for as long as its size and time of change stay."""
    del size, changed_ns
    return sha256(path)


def has_sha256(path: pathlib.Path, digest: str) -> bool:
    """Tells whether a file is there with this hash; unchanged ones are read once."""
    if not path.exists():
        return False
    about = path.stat()
    return _sha256(path, about.st_size, about.st_mtime_ns) == digest


def save_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON under a temporary name and renames it."""
    with replacing(path) as temporary:
        text = json.dumps(value, indent=2, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def load_json(path: pathlib.Path, remedy: str) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      path: Its file.
      remedy: What to do where it is not readable, for the message.

    Raises:
      UserError: The file is not there, is no JSON, or is another value than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {type(value).__name__}, not an object; {remedy}")
    return value


def load_arrays(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """Reads the arrays of an .npz that this program made; None where there is none.

    Raises:
      UserError: It is cut or damaged.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); remove it, it is made again") from None


def show(text: str) -> None:
    """Prints a text, of which `head` or a pager may want the beginning alone."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit flushes again
