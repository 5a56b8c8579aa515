"""What `make demo` shows is true."""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_the_demo_shows_an_encoder_above_a_random_one(tmp_path):
    """With few labels, beyond the interval, and without a test baby in pre-training."""
    command = ["-m", "cryjax.main", f"--config={HERE}/configs/suite.py:demo", "--workdir=demo"]
    command += ["--config.transfer.modes=random_linear,linear"]  # its other rows take as long again
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "test groups seen (unlabelled) in pre-training: 0 of 7" in done.stdout
    found = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    (row,) = (row for row in found["more"]["Against random_linear"] if row["mode"] == "linear")
    assert row["accuracy"]["interval"][0] > 0
