"""Recordings that the tests of preparation share."""

import itertools

import numpy as np
import pytest
import soundfile


@pytest.fixture
def source(tmp_path):
    """Twelve good recordings of two classes and four bad ones."""
    rng = np.random.default_rng(0)
    for label, i in itertools.product(("cry", "other"), range(6)):
        folder = tmp_path / "raw" / label
        folder.mkdir(parents=True, exist_ok=True)
        rate = (8000, 44_100, 22_050)[i % 3]
        wave = 0.1 * rng.normal(size=int(rate * (0.4 + 0.3 * i))).astype(np.float32)
        soundfile.write(folder / f"{i}.wav", wave, rate)
    bad = tmp_path / "raw" / "cry"
    (bad / "text.wav").write_text("hello")
    (bad / "empty.wav").write_bytes(b"")
    whole = (bad / "5.wav").read_bytes()
    (bad / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(bad / "nan.wav", np.full(999, np.nan, np.float32), 8000, subtype="FLOAT")
    return tmp_path / "raw"
