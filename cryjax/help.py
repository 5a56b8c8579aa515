"""Help: tasks, configs and variants in an overview, and every setting of a config in words."""

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import pathlib
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

from cryjax.errors import UserError
from cryjax.places import config_folder
from cryjax.tasks import TASKS

WIDTH = 100
PROBE = "?"  # a variant that no config has: asked for it, a config names its own


def load_config(path: str) -> Any:
    """Imports a config file.

    Raises:
      UserError: It is not there; the nearest names beside it are named.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        beside = [p.as_posix() for p in sorted(file.parent.glob("*.py"))]
        beside = beside or [p.as_posix() for p in sorted(config_folder().glob("*.py"))]
        near = difflib.get_close_matches(file.as_posix(), beside, 3) or beside
        raise UserError(f"{path} is not there; nearest: {', '.join(near) or 'none'}")
    loader = importlib.util.spec_from_file_location("config_of_help", file)
    if loader is None or loader.loader is None:
        raise UserError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    return module


def make_config(module: Any, variant: str) -> Any:
    """Makes a file's config; without a variant its function is called without one."""
    return module.get_config(variant) if variant else module.get_config()


def variants_of(module: Any) -> tuple[str, ...]:
    """Lists the variants of a config file."""
    try:
        module.get_config(PROBE)
    except UserError as error:
        return getattr(error, "known", ())
    except TypeError:  # it takes no variant
        pass
    return ()


def overview() -> str:
    """Lists tasks, and configs with one line each and their variants."""
    folder, lines = config_folder(), ["Tasks (config.task of a config):", ""]
    for name, (module, _) in TASKS.items():
        spec = importlib.util.find_spec(module)
        source = (
            pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        )
        lines.append(f"  {name:16} {source.partition(chr(10))[0].strip(chr(34))}")
    lines += ["", "Configs (python -m cryjax.main --config=FILE:VARIANT --workdir=DIR):", ""]
    for path in sorted([*folder.glob("*.py"), *folder.glob("paper/*.py")]):
        if "def get_config" not in path.read_text(encoding="utf-8"):
            continue
        module = load_config(str(path))
        about = (module.__doc__ or "").strip().partition("\n")[0]
        lines.append(f"  {path.as_posix():26} {about}")
        if variants := [v for v in variants_of(module) if v]:
            indented = textwrap.wrap(", ".join(variants), WIDTH - 32)
            lines += [f"  {'':26}   :{line}" for line in indented]
    return "\n".join([*lines, "", "--config=FILE --help shows the settings of a config."])


def attributes(kind: Any) -> dict[str, str]:
    """Reads what a settings class says of its fields, those of its bases included."""
    found: dict[str, str] = {}
    for base in reversed(getattr(kind, "__mro__", ())):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, _, body = text.partition("Attributes:\n" if "Attributes:\n" in text else "Args:\n")
        name = ""
        for line in body.split("\n\n")[0].splitlines():
            if match := re.match(r"  (\w+): (.*)", line):
                name, found[match[1]] = match[1], match[2]
            elif name:
                found[name] += f" {line.strip()}"
    return found


def _member(hint: Any, value: Any) -> Any:
    """Finds the settings class of a nested part, among several by its name."""
    kinds = [k for k in (typing.get_args(hint) or (hint,)) if dataclasses.is_dataclass(k)]
    if len(kinds) > 1:
        named = [k for k in kinds if getattr(k, "name", None) == value.get("name")]
        return named[0] if named else None
    return kinds[0] if kinds else None


def settings_lines(values: dict[str, Any], kind: Any, prefix: str = "config") -> Iterator[str]:
    """Yields a line or more for every setting: its name, default and meaning."""
    if kind is None and values.get("task") in TASKS:
        module, name = TASKS[values["task"]]
        kind = getattr(importlib.import_module(module), name)
    hints = typing.get_type_hints(kind) if isinstance(kind, type) else {}
    about = attributes(kind)
    for key, value in values.items():
        hint = hints.get(key)
        if isinstance(value, dict) and value:
            if isinstance(hint, types.GenericAlias):
                hint = None
            yield from settings_lines(value, _member(hint, value), f"{prefix}.{key}")
            continue
        shown = "" if value == "" else repr(value) if not isinstance(value, str) else value
        yield f"--{prefix}.{key}={shown}"
        if meaning := about.get(key):
            yield from (f"      {line}" for line in textwrap.wrap(meaning, WIDTH - 6))


def _in_lines(text: str) -> str:
    """Breaks the lines that a backslash had joined."""
    return re.sub(" {5,}--", " \\\n        --", text.strip())


def of_config(chosen: str) -> str:
    """Describes a config: what its file says, and its settings with defaults and meaning.

    Raises:
      UserError: The file or the variant is not there.
    """
    path, _, variant = chosen.partition(":")
    module = load_config(path)
    config = make_config(module, variant)
    lines = [
        _in_lines(module.__doc__ or ""),
        "",
        f"Variants: {', '.join(variants_of(module)) or '-'}",
    ]
    if config.task == "list":
        return "\n".join([*lines, "", config.text])
    return "\n".join([*lines, "", "Settings:", "", *settings_lines(config.to_dict(), None)])
