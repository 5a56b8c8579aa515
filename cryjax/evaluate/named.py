"""Names that settings give to checkpoints and tasks, each once."""

import pathlib
from collections.abc import Iterable
from typing import Any

from cryjax.data.shards import load_shards
from cryjax.errors import UserError


def named_checkpoints(texts: tuple[str, ...]) -> dict[str, str]:
    """Reads entries of the form name=workdir.

    Raises:
      UserError: An entry has no name or no workdir.
    """
    pairs = {text: text.partition("=") for text in texts}
    if bad := [text for text, (name, _, path) in pairs.items() if not (name and path)]:
        raise UserError(f"config.checkpoints must be name=workdir,..., got {bad}")
    return named_once([(name, path) for name, _, path in pairs.values()], "config.checkpoints")


def named_once(pairs: Iterable[tuple[str, Any]], setting: str) -> dict[str, Any]:
    """Makes a dictionary of (name, value) pairs.

    Raises:
      UserError: A name is given twice: one of the two would be lost.
    """
    pairs = list(pairs)
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{setting} names {', '.join(twice)} twice; give each a name of its own")
    return dict(pairs)


def task_row(text: str) -> tuple[str, dict[str, Any]]:
    """Turns an entry of `cryjax.tasks.table.TableSettings.tasks` into a row's name and changes."""
    folder, *changes = text.split(":")
    data: dict[str, Any] = {"dirs": folder}
    splits = {clip.split for clip in load_shards(folder).clips}
    if not {"train", "test"} <= splits:
        data |= {"folds": "*"}
    elif "val" not in splits:
        data |= {"val": ""}
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise UserError(
                f"config.tasks: {text!r} must be folder:setting=value:..., got {change!r}"
            )
        data[key] = value.replace("+", ",")
        if key == "test":
            data |= {"folds": ""}
    if "test" in data and "train" not in data:  # on all others
        given = {name for key in ("test", "val") for name in data.get(key, "").split(",")}
        data["train"] = ",".join(sorted(splits - given))
    return pathlib.Path(folder).name, {"data": data}


def task_rows(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Makes rows of entries; those of one folder are named by all that they say."""
    rows = [(text, *task_row(text)) for text in texts]
    names = [name for _, name, _ in rows]
    whole = [
        f"{name}{text.removeprefix(text.partition(':')[0])}" if names.count(name) > 1 else name
        for text, name, _ in rows
    ]
    return named_once([(n, row[2]) for n, row in zip(whole, rows, strict=True)], "config.tasks")
