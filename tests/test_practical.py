"""docs/practical.md runs from top to bottom on the sample, its trainings cut short."""

import pathlib
import re

import pytest
from shell import QUICK, run_shell

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.slow
def test_every_command_of_the_practical_runs(recordings, tmp_path):
    text = (ROOT / "docs" / "practical.md").read_text()
    blocks = [b for b in re.findall(r"```\n(.*?)```", text, re.DOTALL) if b.startswith("python")]
    assert len(blocks) == 5
    short = " --config.seeds=1 --config.probe.scratch.epochs=2 --config.probe.linear.steps=20\n"
    fewer = ("autoencoder,pi_model,vat,pseudo_label", "pseudo_label")  # all run in test_protocols
    for block in blocks:
        trainings = re.sub(r"(cryjax\.main (?:.*\\\n)*.*)\n", r"\1" + short, block.replace(*fewer))
        given = {"RECORDINGS": str(recordings("icbhi_sample")), "OUT": str(tmp_path)}
        run_shell(trainings, ROOT, XLA_FLAGS=QUICK, **given)
    assert (tmp_path / "recording.png").stat().st_size > 50_000
    for name in ("simple_cnn", "cnn_gru", "leaky_val", "leaky_test", "few"):
        page = (tmp_path / name / "report.html").read_text()
        assert ("LEAKY: " in page) == name.startswith("leaky")
        assert "Training on labels: curves" in page
        assert "Confusion matrix" in page
