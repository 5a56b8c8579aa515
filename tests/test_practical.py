"""docs/practical.md runs from top to bottom on the sample, its trainings cut short."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.slow
def test_every_command_of_the_practical_runs(recordings, tmp_path):
    text = (ROOT / "docs" / "practical.md").read_text()
    blocks = [b for b in re.findall(r"```\n(.*?)```", text, re.DOTALL) if b.startswith("python")]
    assert len(blocks) == 5
    env = {
        **os.environ,
        "RECORDINGS": str(recordings("icbhi_sample")),
        "OUT": str(tmp_path),
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    short = " --config.probe.scratch.steps=20 --config.probe.scratch.eval_every=10\n"
    for block in blocks:
        trainings = re.sub(r"(cryjax\.main (?:.*\\\n)*.*)\n", r"\1" + short, block)
        done = subprocess.run(
            ["bash", "-ec", trainings],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "recording.png").stat().st_size > 50_000
    for name in ("simple_cnn", "cnn_gru", "leaky_val", "leaky_test", "few"):
        page = (tmp_path / name / "report.html").read_text()
        assert ("LEAKY: " in page) == name.startswith("leaky")
        assert "Training on labels: curves" in page
        assert "Confusion matrix" in page
