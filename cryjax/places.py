"""Where configs and data preparation lie: beside cryjax in its repository, inside it in a wheel.

A wheel has one top-level name: `hatch_build.py` puts `configs/` at `cryjax/_configs` and
`data_prep/` at `cryjax/prepare`, with their imports changed. Here alone it is decided which are
meant.
"""

import importlib.util
import pathlib

INSIDE = pathlib.Path(__file__).parent / "_configs"
BESIDE = pathlib.Path(__file__).parent.parent / "configs"


def config_folder() -> pathlib.Path:
    """Returns the folder of the configs that came with this cryjax."""
    if INSIDE.is_dir():
        return INSIDE
    here = pathlib.Path("configs")
    return here if here.is_dir() else BESIDE


def config_file(name: str) -> str:
    """Finds a config by its file, or by its name among those that came with this cryjax.

    Args:
      name: A file, or a name such as `simclr`, `paper/simclr` or `configs/simclr.py`.

    Returns:
      The file; `name` itself where there is none.
    """
    if pathlib.Path(name).is_file():
        return name
    inner = name.removeprefix("configs/").removesuffix(".py")
    found = config_folder() / f"{inner}.py"
    return str(found) if inner and found.is_file() else name


def preparation(module: str) -> str:
    """Names a module of data preparation, such as `main`, for an import."""
    there = importlib.util.find_spec("cryjax.prepare") is not None
    return f"{'cryjax.prepare' if there else 'data_prep'}.{module}"
