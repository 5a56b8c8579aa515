"""An embedding by Beam is that of one machine, byte for byte."""

import importlib.util

import pytest

from cryjax.deploy import embed, job

THERE = importlib.util.find_spec("apache_beam") is not None


@pytest.mark.skipif(not THERE, reason="Apache Beam is an extra: pip install -e .[beam]")
@pytest.mark.filterwarnings("ignore")
def test_beam_embeds_what_one_machine_embeds(trained, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "WINDOWS_A_PIECE", 16)
    command = [str(trained), str(prepared.parent), "--workers=1"]
    assert embed.main([*command, f"--out={tmp_path}/local.npz"]) == 0
    by_beam = [f"--out={tmp_path}/beam.npz", "--beam=DirectRunner"]
    assert embed.main([*command, *by_beam]) == 0
    assert (tmp_path / "beam.npz").read_bytes() == (tmp_path / "local.npz").read_bytes()


@pytest.mark.skipif(THERE, reason="Apache Beam is installed")
def test_without_beam_the_extra_is_named(trained, prepared, tmp_path, capsys):
    command = [str(trained), str(prepared.parent), f"--out={tmp_path}/e.npz"]
    assert embed.main([*command, "--beam=DirectRunner"]) == 1
    assert "pip install cryjax[beam]" in capsys.readouterr().err
