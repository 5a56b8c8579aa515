"""What the commands share that many machines can work on: a part of the work, or Apache Beam."""

import importlib
from types import ModuleType

from cryjax.errors import UserError


def part_of(text: str) -> tuple[int, int]:
    """Reads i/n, the number of a part and that of all parts.

    Raises:
      UserError: It is not of that form, or there is no such part.
    """
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise UserError(f"--part must be i/n with 0 <= i < n, got {text!r}")
    return int(index), int(count)


def import_beam(module: str) -> ModuleType:
    """Imports a module that needs Apache Beam.

    Raises:
      UserError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(
            "--beam needs Apache Beam: pip install cryjax[beam], in an environment of its own"
        ) from None
