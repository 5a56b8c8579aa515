"""Imports follow the dataflow in the whole repository: no module may import a later stage."""

import ast
import functools
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
BASE = {"errors", "files", "settings", "spec", "types"}
ROOMS = {  # room of cryjax -> what it may import of cryjax, besides itself
    "errors": set(),
    "places": set(),
    "types": set(),
    "files": {"errors"},
    "locks": {"errors"},
    "overrides": {"errors"},
    "settings": {"errors"},
    "spec": {"errors"},
    "audio": {"errors", "spec"},
    "data": {"errors", "files", "locks", "settings", "spec", "audio"},
    "augment": BASE,
    "models": BASE,
    "objectives": {*BASE, "augment", "models"},
    "train": {*BASE, "locks", "data", "augment", "models", "objectives"},
}
ROOMS["encoder"] = {*ROOMS["train"], "audio", "train"} - {"objectives"}
ROOMS["evaluate"] = {*ROOMS["train"], "audio", "train", "encoder"}
ROOMS["pretraining"] = {*ROOMS["evaluate"], "evaluate"}
ROOMS["deploy"] = {*BASE, "places", "audio", "data", "models", "train", "encoder", "evaluate"}
ROOMS["serve"] = {*ROOMS["deploy"], "deploy"}
ROOMS["studies"] = {*ROOMS["pretraining"], "pretraining"}
ROOMS["tasks"] = {*ROOMS["studies"], "studies"}
ROOMS["help"] = {"errors", "places", "tasks"}
ROOMS["main"] = {*BASE, "data", "help", "locks", "overrides", "places", "tasks", "train"}
FOLDERS = {  # other folders -> what of ours they may import; None is everything
    "cryjax": {"cryjax"},
    "data_prep": {"cryjax", "data_prep"},
    "configs": {"cryjax", "configs"},
    "benchmarks": None,
    "faults": None,
}
HOST = ROOMS["data"] | {"data"}  # rooms that never need jax
CONFIGS_KNOWN_TO = {"cryjax/main.py", "cryjax/settings.py"}  # that ml_collections exists


@functools.cache
def imported(path):
    """Names of the modules that a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def files(*folders):
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_earlier_rooms(room):
    path = ROOT / "cryjax" / f"{room}.py"
    for file in [path] if path.exists() else files(f"cryjax/{room}"):
        for name in imported(file):
            top, _, rest = name.partition(".")
            if room in HOST:
                assert top not in {"jax", "flax", "optax", "orbax"}, f"{file} imports {name}"
            if top == "cryjax" and rest:
                assert rest.split(".")[0] in ROOMS[room] | {room}, f"{file} imports {name}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_no_later_folder(folder):
    allowed = FOLDERS[folder]
    for file in files(folder):
        for name in imported(file):
            top = name.partition(".")[0]
            assert top != "tests", f"{file} imports {name}"
            if allowed is not None and top in FOLDERS:
                assert top in allowed, f"{file} imports {name}"
            if folder == "cryjax" and name_of(file) not in CONFIGS_KNOWN_TO:
                assert top != "ml_collections", f"{file} imports {name}"


def test_data_prep_imports_host_rooms_alone():
    for file in files("data_prep"):
        for name in imported(file):
            top, *rest = name.split(".")
            assert top not in {"jax", "flax"}, f"{file} imports {name}"
            if top == "cryjax":
                assert rest[0] in HOST, f"{file} imports {name}"


def test_every_room_and_folder_has_its_rule():
    rooms = {p.stem for p in (ROOT / "cryjax").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(ROOMS)
    tracked = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert tracked == set(FOLDERS)


def run_afresh(code):
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_importing_cryjax_imports_no_jax_until_a_name_is_used():
    code = (
        "import cryjax, sys; assert 'jax' not in sys.modules; cryjax.FeatureSpec; "
        "assert 'jax' not in sys.modules; assert callable(cryjax.nt_xent); "
        "assert 'jax' in sys.modules; [getattr(cryjax, name) for name in dir(cryjax)]"
    )
    run_afresh(code)


def test_commands_start_without_scikit_learn():
    """Its import takes a second of three, and it is used at the end of an evaluation alone."""
    code = (
        "import sys; from cryjax.deploy import embed, predict, search; from cryjax.serve import app"
        "; from cryjax.tasks import transfer; "
        "assert not {'sklearn', 'scipy.fft', 'scipy.stats', 'scipy.optimize'} & sys.modules.keys()"
    )
    run_afresh(code)


def test_no_file_grows_past_300_lines_and_tasks_stay_small():
    for file in files("cryjax", "configs", "data_prep", "benchmarks", "faults"):
        assert len(file.read_text().splitlines()) <= 300, file
        assert file.name != "utils.py"
    sizes = [len(file.read_text().splitlines()) for file in files("cryjax/tasks")]
    assert max(sizes) <= 120
    assert sum(sizes) <= 700


def test_settings_are_typed_below_main():
    """Nobody indexes a config with a string; what decides a number is a field with a type."""
    known = {"cryjax/main.py", "cryjax/settings.py"}
    for file in files("cryjax"):
        if name_of(file) not in known:
            assert not re.search(r"\bconfig\[\"|\bsettings\[\"", file.read_text()), file


def test_protocols_are_the_only_table_of_modes():
    """What a mode does is an attribute of its protocol, not its name in some other list."""
    from cryjax.evaluate.protocols import PROTOCOLS

    table = ROOT / "cryjax/evaluate/protocols/__init__.py"
    for file in files("cryjax/evaluate", "cryjax/tasks"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Dict | ast.Set) and file != table:
                keys = node.keys if isinstance(node, ast.Dict) else node.elts
                texts = {k.value for k in keys if isinstance(k, ast.Constant)}
                assert len(texts & PROTOCOLS.keys()) < 3, f"{file}:{node.lineno}"
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                texts = {s.value for s in sides if isinstance(s, ast.Constant)}
                assert not texts & (PROTOCOLS.keys() - {"majority"}), f"{file}:{node.lineno}"


def test_the_formatter_decides():
    code = files("cryjax", "configs", "data_prep", "benchmarks", "faults", "tests")
    skipped = [p for p in code if "# fmt: " + "skip" in p.read_text()]
    assert len(skipped) <= 5
