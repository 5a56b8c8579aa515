"""Checksums of checkpoints: written before a checkpoint appears, verified before it is used."""

import pathlib

from cryjax.errors import UserError
from cryjax.files import load_json, save_json, sha256

NAME = "sha256.json"
ASIDE = "damaged"  # folder beside the checkpoints for those that fail
UNFINISHED = ".orbax-checkpoint-tmp"  # in the name of one that is being written


def steps_in(root: pathlib.Path) -> list[int]:
    """Lists the steps of whole checkpoints in a folder, the oldest first."""
    return sorted(int(p.name) for p in root.iterdir() if p.name.isdigit()) if root.is_dir() else []


def write_sums(root: pathlib.Path) -> None:
    """Puts the checksums of all items into the checkpoint that is about to get its name."""
    for folder in root.glob(f"*{UNFINISHED}*"):
        files = sorted(p for p in folder.glob("*/**/*") if p.is_file())
        save_json(folder / NAME, {p.relative_to(folder).as_posix(): sha256(p) for p in files})


def damage(step: pathlib.Path, part: str = "") -> str:
    """Says what is wrong with a checkpoint; "" where nothing is.

    Args:
      step: Folder of the checkpoint.
      part: Item to look at alone, such as "model"; "" looks at all.
    """
    try:
        sums = load_json(step / NAME, "")
    except UserError:
        return f"{step / NAME} is not readable"
    there = {p.relative_to(step).as_posix() for p in step.glob("*/**/*") if p.is_file()}
    mine = sorted(n for n in there | sums.keys() if not part or n.startswith(f"{part}/"))
    if not mine:
        return f"{step / part} is missing"
    found = (f"{step / name} {what}" for name in mine if (what := wrong(step, name, sums)))
    return next(found, "")


def wrong(folder: pathlib.Path, name: str, sums: dict[str, str], named_by: str = NAME) -> str:
    """Says what is wrong with a file; "" where nothing is.

    Args:
      folder: Where it lies.
      name: Its name, or the path to it.
      sums: What its sum must be, by name.
      named_by: Name of the file of sums.
    """
    if not (folder / name).is_file():
        return "is missing"
    if name not in sums:
        return f"is not named by {named_by}"
    return "" if sha256(folder / name) == sums[name] else "was changed after it was written"


def set_damaged_aside(root: pathlib.Path) -> None:
    """Moves damaged checkpoints out of the way, so that the newest whole one is the latest.

    Raises:
      UserError: No checkpoint is whole.
    """
    steps, moved = steps_in(root), 0
    for step in steps:
        if found := damage(root / str(step)):
            aside = root.parent / ASIDE / str(step)
            aside.parent.mkdir(exist_ok=True)
            number = len(list(aside.parent.glob(f"{step}*")))
            (root / str(step)).rename(aside.with_name(f"{step}-{number}"))
            print(f"checkpoint {step} is damaged ({found}); it is now in {aside.parent}")
            moved += 1
    if moved and moved == len(steps):
        raise UserError(
            f"every checkpoint of {root} was damaged; remove {root} to start from the beginning"
        )
