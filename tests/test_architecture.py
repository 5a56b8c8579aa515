"""Imports follow the dataflow: no module may import a later stage."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = {  # room -> what it may import of ours, besides itself
    "spec": set(),
    "types": set(),
    "audio": {"spec"},
    "data": {"spec", "audio"},
    "augment": {"types", "spec"},
    "models": {"types", "spec"},
    "objectives": {"types", "augment", "models"},
    "train": {"types", "spec", "data", "augment", "models", "objectives"},
}
ROOMS["evaluate"] = {*ROOMS["train"], "train"}
ROOMS["deploy"] = {"types", "spec", "audio", "data", "models", "train", "evaluate"}
ROOMS["tasks"] = {*ROOMS["evaluate"], "evaluate"}
HOST = {"spec", "audio", "data"}
CONFIG_LIBRARIES = {"ml_collections"}


def files(room):
    return [ROOT / "cryjax" / f"{room}.py", *(ROOT / "cryjax" / room).rglob("*.py")]


def imported(path):
    """Names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_earlier_rooms(room):
    there = [f for f in files(room) if f.exists()]
    assert there
    for file in there:
        for name in imported(file):
            top, _, rest = name.partition(".")
            assert top not in CONFIG_LIBRARIES, f"{file} imports {name}"
            if room in HOST:
                assert top not in {"jax", "flax", "optax", "orbax"}, f"{file} imports {name}"
            if top == "cryjax" and rest:
                assert rest.split(".")[0] in ROOMS[room] | {room}, f"{file} imports {name}"


def test_every_room_has_its_rule():
    rooms = {p.stem for p in (ROOT / "cryjax").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__pycache__", "main"} == set(ROOMS)


def test_no_file_grows_past_300_lines():
    for folder in ("cryjax", "configs", "data_prep"):
        for file in (ROOT / folder).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 300, file


def test_data_prep_never_needs_jax():
    for file in (ROOT / "data_prep").glob("*.py"):
        assert not {n.split(".")[0] for n in imported(file)} & {"jax", "flax"}, file
