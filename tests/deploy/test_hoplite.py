"""perch-hoplite opens and searches what `cryjax embed --format=hoplite` wrote; see .ci/run."""

import importlib.util

import numpy as np
import pytest

from cryjax.deploy import embed
from cryjax.deploy.table import load_embeddings

needs_hoplite = pytest.mark.skipif(
    importlib.util.find_spec("perch_hoplite") is None, reason="perch-hoplite is not installed"
)


@needs_hoplite
@pytest.mark.filterwarnings("ignore")  # its own
def test_its_own_search_finds_every_window(trained, prepared, tmp_path, capsys):
    from perch_hoplite.db import (  # pyright: ignore[reportMissingImports]
        sqlite_usearch_impl as hoplite,
    )

    command = [str(trained), str(prepared.parent), "--workers=1"]
    assert embed.main([*command, f"--out={tmp_path / 'e.npz'}"]) == 0
    assert embed.main([*command, f"--out={tmp_path / 'db'}", "--format=hoplite"]) == 0
    whole = load_embeddings(tmp_path / "e.npz")
    database = hoplite.SQLiteUSearchDB.create(str(tmp_path / "db"))
    assert database.count_embeddings() == len(whole.h)
    for row in (0, 17, len(whole.h) - 1):
        found = database.search(whole.h[row], 3, approximate=False)
        best = max(found, key=lambda result: result.sort_score)
        window = database.get_window(best.window_id)
        recording = database.get_recording(window.recording_id)
        expected = whole.h @ whole.h[row]
        (near,) = np.flatnonzero(
            (whole.path == recording.filename) & (np.abs(whole.start_s - window.offsets[0]) < 1e-6)
        )
        assert expected[near] == pytest.approx(expected.max(), rel=2e-3)  # stored in 16 bits
    assert embed.main([*command, f"--out={tmp_path / 'db'}", "--format=hoplite"]) == 1
    assert "is not empty; give another --out" in capsys.readouterr().err


@pytest.mark.skipif(needs_hoplite.args[0] is False, reason="perch-hoplite is installed")
def test_without_it_the_command_says_what_to_install(trained, prepared, tmp_path, capsys):
    out = tmp_path / "db"
    recording = str(prepared.parent / "0.wav")
    assert embed.main([str(trained), recording, f"--out={out}", "--format=hoplite"]) == 1
    assert "pip install --no-deps perch-hoplite" in capsys.readouterr().err
