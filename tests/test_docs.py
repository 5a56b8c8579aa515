"""The documentation runs: how-tos, block by block, and the tutorial, command by command."""

import pathlib
import re
import shutil
import sys
import types
from typing import Any

import numpy as np
import pytest
import soundfile
from shell import QUICK, run_shell

ROOT = pathlib.Path(__file__).parent.parent
HOWTO = sorted((ROOT / "docs" / "howto").glob("*.md"))


@pytest.fixture
def tables():
    """Puts back what a how-to adds."""
    from cryjax.evaluate.protocols import PROTOCOLS
    from cryjax.models import ENCODERS
    from data_prep import CORPORA

    known: tuple[dict[str, Any], ...] = (ENCODERS, PROTOCOLS, CORPORA)
    before = [dict(table) for table in known]
    yield
    for table, old in zip(known, before, strict=True):
        for added in table.keys() - old.keys():
            del table[added]


@pytest.fixture
def calls(tmp_path):
    """Recordings as the how-to on corpora names them."""
    folder, rng = tmp_path / "calls", np.random.default_rng(0)
    folder.mkdir()
    for name in ("frog_1_1", "frog_2_1", "bird_1_1", "bird_2_1"):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=16_000), 16_000)
    return folder


@pytest.mark.parametrize("path", HOWTO, ids=lambda path: path.stem)
def test_a_how_to_runs_as_it_stands(path, tables, calls, prepared, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    assert len(blocks) == 2
    module = types.ModuleType(f"howto_{path.stem}")
    sys.modules[module.__name__] = module
    given = {"SHARDS": str(prepared), "WORKDIR": tmp_path / "work"}
    given |= {"RECORDINGS": str(calls), "OUT": str(tmp_path / "shards")}
    vars(module).update(given)
    try:
        for block in blocks:
            exec(compile(block, str(path), "exec"), vars(module))  # what a reader pastes
    finally:
        del sys.modules[module.__name__]


def without_figures(text):
    return " ".join(re.sub(r"[-+]?\d+(\.\d+)?", "#", text).split())


@pytest.mark.slow
def test_the_tutorial_runs_command_by_command(tmp_path):
    """Its outputs are those of another, shorter run: words are compared, and not figures."""
    from data_prep.main import prepare

    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    prepare("synthetic", None, str(tmp_path / "made"), workers=0)
    shutil.copytree(tmp_path / "made" / "recordings", tmp_path / "mine")
    steps = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.M) if part]
    assert len(steps) == 6
    for step in steps:
        command, _, shown = step.partition("\n")
        short = command.replace("--config.steps=60", "--config.steps=20")
        said = run_shell(short, tmp_path, XLA_FLAGS=QUICK)
        heard = without_figures(said)
        for line in shown.splitlines():
            if not line.startswith(" 0."):  # the order of neighbours is another encoder's
                assert without_figures(line) in heard, (line, said[-3000:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["embed_and_probe", "read_reports"])
def test_a_notebook_runs_cell_by_cell(name, smoke, trained, tmp_path, monkeypatch):
    """By the cells' code in one namespace, which needs no notebook server."""
    import json

    from configs import transfer
    from cryjax.tasks import transfer as transfer_task
    from data_prep.main import prepare

    prepare("synthetic", None, str(tmp_path / "made"), workers=0)
    given = {"MODEL": trained, "RECORDINGS": tmp_path / "made" / "recordings"}
    for run in ("RUN_A", "RUN_B") if name == "read_reports" else ():
        given[run] = tmp_path / run
        settings = smoke(transfer, modes="majority,random_linear", seeds=1)
        transfer_task.run(settings, given[run])
    for key, value in given.items():
        monkeypatch.setenv(key, str(value))
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    module = types.ModuleType(name)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 4
    for number, text in enumerate(code):
        exec(compile(text, f"{name}, cell {number}", "exec"), vars(module))
