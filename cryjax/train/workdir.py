"""A workdir belongs to one run: settings and data are compared before anything continues."""

import json
import pathlib
from typing import Any

from cryjax.data.shards import save_json
from cryjax.errors import UserError
from cryjax.settings import differences, identity
from cryjax.train.mesh import processes, require_same_everywhere

NAME = "config.json"
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
      UserError: The workdir holds another run; names the first differences.
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
        old = json.loads(path.read_text(encoding="utf-8"))
        _require_same(workdir, old, record, growing)
    if processes()[0] == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        save_json(path, record)
    return old["config"] if old else None


def _require_same(
    workdir: pathlib.Path, old: dict[str, Any], new: dict[str, Any], growing: tuple[str, ...]
) -> None:
    before, now = dict(old.get("config", {})), dict(new["config"])
    for name in growing:
        if before.get(name, 0) <= now[name]:
            before.pop(name, None)
            now.pop(name)
    found = differences(before, now)
    found += differences(old.get("data"), new["data"], "data")
    found += differences(old.get("facts"), new["facts"], "facts")
    if found:
        raise UserError(
            f"{workdir} holds another run ({'; '.join(found[:5])}); give a new --workdir, or the "
            "config it was started with"
        )
