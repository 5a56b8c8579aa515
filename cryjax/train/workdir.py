"""A workdir belongs to one run: settings and data are compared before anything continues."""

import json
import pathlib
from typing import Any

from cryjax.errors import UserError
from cryjax.files import load_json, save_json
from cryjax.settings import differences, identity
from cryjax.train.mesh import processes, require_same_everywhere

NAME = "config.json"
MADE = ("checkpoints", "outcomes")  # folders that only a claimed workdir has
COMPARED = ("fingerprint", "corpus", "spec", "damaged")  # of a prepared folder; not where it lies


def claim(
    workdir: pathlib.Path,
    settings: Any,
    data: list[dict[str, Any]],
    *,
    facts: dict[str, Any] | None = None,
    growing: tuple[str, ...] = (),
) -> dict[str, Any] | None:
    """Writes config.json, or refuses a workdir that belongs to another run.

    Settings that do not decide what is computed (`cryjax.settings.free`), such as paths, may
    change: prepared folders are compared by their content. Only the first process writes.

    Args:
      workdir: Folder of the run, made if needed.
      settings: Settings dataclass of the task.
      data: Descriptions of the prepared folders; see `Corpus.describe`.
      facts: Further plain values that decide the run, such as fingerprints of checkpoints.
      growing: Top-level settings that a run may raise when it is resumed.

    Returns:
      The settings that the run had before, in plain values; None for a new run.

    Raises:
      UserError: The workdir holds another run, whose first differences are named, or one whose
        config.json is gone.
    """
    record = {
        "config": identity(settings),
        "data": [{name: d[name] for name in COMPARED} for d in data],
        "facts": facts or {},
    }
    record = json.loads(json.dumps(record))  # as it will be read back
    require_same_everywhere(record)
    path, old = workdir / NAME, None
    if path.exists():
        old = load_json(path, f"put it back, or give a new --workdir than {workdir}")
        _require_same(workdir, old, record, growing)
    elif made := [name for name in MADE if any(workdir.glob(f"{name}/*"))]:
        raise UserError(
            f"{path} is missing while {workdir / made[0]} is there: nothing tells which run it is "
            "of; put it back, or give a new --workdir"
        )
    if processes()[0] == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        save_json(path, record)
    return old["config"] if old else None


def require_same_settings(
    workdir: pathlib.Path, before: dict[str, Any], now: dict[str, Any], growing: tuple[str, ...]
) -> None:
    """Refuses a checkpoint that says of itself that other settings made it; see `claim`."""
    now = json.loads(json.dumps(now))  # as it will be read back
    _require_same(workdir, {"config": before}, {"config": now}, growing)


def _require_same(
    workdir: pathlib.Path, old: dict[str, Any], new: dict[str, Any], growing: tuple[str, ...]
) -> None:
    before, now = dict(old.get("config", {})), dict(new["config"])
    for name in growing:
        if before.get(name, 0) <= now[name]:
            before.pop(name, None)
            now.pop(name)
    found = differences(before, now)
    for name in sorted(new.keys() - {"config"}):
        found += differences(old.get(name), new[name], name)
    if found:
        raise UserError(
            f"{workdir} holds another run ({'; '.join(found[:5])}); give a new --workdir, or the "
            "config it was started with"
        )
