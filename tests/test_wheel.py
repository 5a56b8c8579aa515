"""The wheel installs one name and works from any folder, without the repository."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from shell import QUICK

ROOT = pathlib.Path(__file__).parent.parent


def run(*command, cwd):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"XLA_FLAGS": QUICK}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment with the built wheel; dependencies are those of this one, by path."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    status, said = run(sys.executable, "-m", *build, f"--wheel-dir={folder}", ROOT, cwd=folder)
    assert status == 0, said
    (wheel,) = folder.glob("*.whl")
    status, said = run(sys.executable, "-m", "venv", folder / "fresh", cwd=folder)
    assert status == 0, said
    python = folder / "fresh" / "bin" / "python"
    status, said = run(
        python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder
    )
    assert status == 0, said
    (site,) = (folder / "fresh" / "lib").glob("python*/site-packages")
    # a path in a .pth file is searched, its own .pth files (of the editable cryjax) are not read
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return wheel, python


@pytest.mark.slow
def test_it_holds_one_name_and_trains_from_any_folder(installed, tmp_path):
    wheel, python = installed
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cryjax"}
    assert {"cryjax/py.typed", "cryjax/_configs/simclr.py", "cryjax/prepare/main.py"} <= set(names)
    for name in ("configs", "data_prep"):
        status, said = run(python, "-c", f"import {name}", cwd=tmp_path)
        assert status
        assert "ModuleNotFoundError" in said
    cryjax = python.with_name("cryjax")
    status, said = run(cryjax, "train", "--config=simclr:smoke", "--workdir=run", cwd=tmp_path)
    assert status == 0, said
    assert (tmp_path / "run" / "checkpoints").is_dir()
    recordings = tmp_path / "prepared" / "synthetic" / "recordings"
    status, said = run(cryjax, "embed", "run", recordings, "--out=e.npz", cwd=tmp_path)
    assert status == 0, said
    status, said = run(cryjax, "prepare", "--corpus=folder", f"--source={recordings}", cwd=tmp_path)
    assert status == 1
    assert "--out" in said
    status, said = run(cryjax, "train", "--help", cwd=tmp_path)
    assert status == 0
    assert "simclr.py" in said
    status, said = run(cryjax, "train", "--config=simcrl", "--workdir=x", cwd=tmp_path)
    assert status == 1
    assert "simclr.py" in said
