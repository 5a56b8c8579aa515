"""Log-mel against golden arrays of librosa 0.7.2, SpeechBrain and torchaudio."""

import dataclasses

import numpy as np
import pytest

from cryjax.audio import logmel, make_logmel, mel_filters
from cryjax.spec import FeatureSpec, preset, require_same


def test_uclser_equals_the_original(golden):
    g, spec = golden("uclser_logmel"), preset("uclser")
    wave = logmel.prepare_wave(g["wave"], dataclasses.replace(spec, wave_offset=0.0))
    np.testing.assert_allclose(wave, g["wave_norm"], atol=1e-6)
    np.testing.assert_allclose(mel_filters(spec), g["mel_basis"], atol=1e-6)
    np.testing.assert_allclose(make_logmel(spec)(g["wave"]), g["logmel"], atol=2e-5)
    short = make_logmel(spec)(g["short_wave"])
    assert short.shape == (101, 96)
    np.testing.assert_allclose(short, g["short_logmel"], atol=2e-5)


def test_ubenwa_equals_speechbrain(golden):
    g, spec = golden("ubenwa_frontend"), preset("ubenwa")
    np.testing.assert_allclose(mel_filters(spec).T, g["sb_filterbank_201x80"], atol=1e-4)
    raw = dataclasses.replace(spec, wave_norm="none", clip_norm="none")
    for wave, decibel, normalised in zip(
        g["wav"], g["sb_fbank_db"], g["sb_fbank_sentnorm"], strict=True
    ):
        np.testing.assert_allclose(make_logmel(raw)(wave), decibel, atol=5e-3)
        got = make_logmel(dataclasses.replace(raw, clip_norm="mean"))(wave)
        np.testing.assert_allclose(got, normalised, atol=5e-3)


@pytest.mark.filterwarnings("ignore:Empty filters")  # the slip that the preset keeps
def test_course_literal_equals_torchaudio_and_torchvision(golden):
    g, spec = golden("ubenwa_frontend"), preset("course_literal")
    np.testing.assert_allclose(mel_filters(spec).T, g["ta_filterbank_201x128"], atol=1e-5)
    unresized = make_logmel(dataclasses.replace(spec, resize_frames=0))
    resized = make_logmel(spec)
    for i, wave in enumerate(g["wav"]):
        np.testing.assert_allclose(unresized(wave).T, g["ta_mel_power"][i], rtol=1e-3, atol=1e-2)
        want = g["resize_128x64_antialias_True"][i, 0]
        np.testing.assert_allclose(resized(wave).T, want, rtol=1e-3, atol=1e-2)
        blunt = logmel.resize_matrix(81, 64, antialias=False) @ g["ta_mel_power"][i].T
        np.testing.assert_allclose(blunt.T, g["resize_128x64_antialias_False"][i, 0], rtol=1e-4)


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_slicer_equals_librosa_golden(golden, pad_mode):
    g = golden("logmel_librosa")
    spec = dataclasses.replace(preset("slicer"), pad_mode=pad_mode)
    np.testing.assert_allclose(mel_filters(spec), g["mel_filters"], atol=1e-7)
    np.testing.assert_allclose(make_logmel(spec)(g["wav"]).T, g[f"logmel_{pad_mode}"], atol=1e-3)


@pytest.mark.parametrize("name", ["uclser", "ubenwa", "slicer", "panns", "course"])
def test_no_band_is_empty_and_every_level_is_finite(name):
    spec = preset(name)
    assert (mel_filters(spec).max(axis=1) > 0).all()
    for wave in (np.zeros(9000, np.float32), np.ones(3, np.float32)):
        mel = make_logmel(spec)(wave)
        assert mel.dtype == np.float32
        assert mel.shape[1] == spec.n_mels
        assert np.isfinite(mel).all()


def test_differing_specs_name_the_field():
    uclser, slower = preset("uclser"), dataclasses.replace(preset("uclser"), hop_samples=221)
    with pytest.raises(
        ValueError, match="checkpoint .* shards differ: hop_samples: 220 against 221"
    ):
        require_same(uclser, slower, ours_is="the checkpoint", theirs_is="the shards")
    assert FeatureSpec.from_json(uclser.to_json()) == uclser
    with pytest.raises(ValueError, match="near: \\['uclser'\\]"):
        preset("uclsr")


def test_a_preset_takes_changes_of_its_fields():
    changed = preset("slicer,n_mels=48,f_min_hz=50")
    expected = dataclasses.replace(preset("slicer"), n_mels=48, f_min_hz=50.0, name=changed.name)
    assert changed == expected
    assert make_logmel(changed)(np.ones(3000, np.float32)).shape[1] == 48
    with pytest.raises(ValueError, match="no field 'n_mel'; near: \\['n_mels'"):
        preset("slicer,n_mel=48")
    with pytest.raises(ValueError, match="hop_samples must be int"):
        preset("slicer,hop_samples=10.5")
