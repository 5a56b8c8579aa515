"""Artefacts: the same log-mels and numbers on the device, without cryjax, or a refusal by name."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from flax import nnx

import cryjax
from cryjax.audio import read
from cryjax.audio.decode import resample
from cryjax.audio.logmel import make_logmel, shortest_samples
from cryjax.deploy import artefact, cli, export, verify
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.device_logmel import dft, fft, make_device_logmel
from cryjax.deploy.function import make_recording_function
from cryjax.encoder import Encoder, normaliser_of
from cryjax.encoder import load as load_encoder
from cryjax.models import ENCODERS, EncoderSettings, build_encoder
from cryjax.spec import PRESETS, preset
from cryjax.train.variables import name_of

CHANGES = (
    "slicer,window=hamming,pad_mode=constant,hop_samples=333",
    "slicer,mel_scale=htk,mel_norm=none,n_mels=40,f_min_hz=0,f_max_hz=8000",
    "slicer,mel_shape=symmetric,window_samples=800,wave_norm=peak_0.9,wave_offset=0.001",
    "slicer,wave_norm=dc_peak,min_samples=48000,log=log10,log_floor=1e-6,top_db=5",
    "slicer,log=db,top_db=60,clip_norm=mean,sample_rate_hz=22050",
    "slicer,clip_norm=standardise,resize_frames=50",
    "slicer,log=none,resize_frames=300",
)


DAMAGED = (artefact.COMPILED, artefact.WEIGHTS, artefact.CONFIG, artefact.GOLDEN)


def waves_at(rate_hz, folder):
    paths = sorted(folder.rglob("*.ogg"))
    assert paths
    for path in paths[:2]:
        clip = read(str(path))
        yield resample(clip.wave, clip.rate_hz, rate_hz).astype(np.float32)


@pytest.mark.filterwarnings("ignore:Empty filters")  # course_literal has them
@pytest.mark.parametrize("text", [*PRESETS, *CHANGES])
def test_log_mels_of_the_device_are_those_of_the_host(text, recordings):
    """To 1e-3 in log units and 1e-5 of the power; more exact spectra would be another analysis."""
    spec = preset(text)
    host, device = make_logmel(spec), jax.jit(make_device_logmel(spec))
    for wave in waves_at(spec.sample_rate_hz, recordings("esc10")):
        long = np.resize(wave, max(len(wave), shortest_samples(spec)))
        expected = host(wave)
        made = np.asarray(device(long[None])[0])
        assert made.shape == expected.shape
        if spec.log == "none":
            np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6 * expected.max())
        else:
            np.testing.assert_allclose(made, expected, atol=1e-3)


def test_a_matrix_product_is_the_fft(recordings):
    spec = preset("laptop")
    for wave in waves_at(spec.sample_rate_hz, recordings("esc10")):
        mel = jnp.asarray(wave[None])
        expected, made = (np.asarray(make_device_logmel(spec, f)(mel)) for f in (fft, dft))
        np.testing.assert_allclose(made, expected, atol=2e-3)


def test_an_hour_needs_no_memory_for_an_hour_of_spectra():
    """230 MB of samples and 92 MB of log-mels come and go; its frames would be 1.5 GB."""
    hour = jax.ShapeDtypeStruct((1, 3600 * 16_000), np.float32)
    compiled = jax.jit(make_device_logmel(preset("slicer"))).lower(hour).compile()
    memory: Any = compiled.memory_analysis()
    assert memory.temp_size_in_bytes < 1e9


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "artefact"
    assert export.main([str(classifier), f"--out={out}"]) == 0
    return out


@pytest.fixture
def copied(exported, tmp_path):
    import shutil

    return pathlib.Path(shutil.copytree(exported, tmp_path / "copy"))


def test_an_artefact_is_loaded_as_the_classifier_that_it_was(classifier, exported, prepared):
    model, again = cryjax.load(classifier), cryjax.load(exported)
    assert isinstance(model, Classifier)
    assert isinstance(again, Classifier)
    assert again.fingerprint == model.fingerprint
    assert again.about == model.about
    assert model.meta.train_groups
    text = (exported / "config.json").read_text()  # handed on, it names no patient and no folder
    assert not any(f'"{group}"' in text for group in model.meta.train_groups)
    assert str(prepared.parent) not in text
    assert again.meta.data[0]["folder"] == prepared.name
    wave, rate = soundfile.read(prepared.parent / "0.wav", dtype="float32")
    for a, b in zip(
        model.predict(wave, sample_rate_hz=rate),
        again.predict(wave, sample_rate_hz=rate),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_compiled_function_says_what_the_classifier_says(classifier, exported, prepared):
    model = cryjax.load(classifier)
    assert isinstance(model, Classifier)
    call, weights = artefact.load_compiled(exported), artefact.load_weights(exported)
    wave, rate = soundfile.read(prepared.parent / "1.wav", dtype="float32")
    at_rate = resample(wave, rate, model.spec.sample_rate_hz)
    made = call(weights, np.stack([at_rate, at_rate[::-1]]))
    scores = model.predict(wave, sample_rate_hz=rate)
    h, start_s = model.embed(wave, sample_rate_hz=rate)
    np.testing.assert_allclose(made["h"][0], h, atol=1e-4 * np.abs(h).max())
    np.testing.assert_allclose(made["start_s"], start_s, atol=1e-6)
    np.testing.assert_allclose(made["windows"][0], scores.windows, atol=1e-4)
    np.testing.assert_allclose(made["recording"][0], scores.recording, atol=1e-4)
    with pytest.raises(ValueError, match="shapes"):
        call(weights, wave[None, :100])


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_traced_with_open_batch_and_length(name, trained):
    meta = dataclasses.replace(
        load_encoder(trained).meta,
        encoder=EncoderSettings(name, width=8).for_patches(48),
        spec=preset("laptop"),
        frames=48,
    )
    module = nnx.eval_shape(lambda: build_encoder(meta.encoder, meta.spec.n_mels, rngs=nnx.Rngs(0)))
    encoder = Encoder(module, normaliser_of(meta), meta)
    tree = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(module)))
    weights = {f"encoder.{name_of(path)}": array for path, array in tree}
    shape = jax.export.symbolic_shape("recordings, samples", constraints=["samples >= 1024"])
    wave = jax.ShapeDtypeStruct(shape, np.float32)
    made = jax.eval_shape(make_recording_function(encoder), weights, wave)
    assert made["h"].shape[::2] == (shape[0], encoder.features)


BARE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'cryjax', 'flax', 'orbax', 'grain', 'librosa', 'safetensors'}:
            raise ImportError(f'{name} is not here')
sys.meta_path.insert(0, Refuse())
"""


def reader_of(card, number=0):
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)[number]


def test_the_cards_reader_runs_where_cryjax_is_not(exported):
    card = (exported / artefact.CARD).read_text()
    reader = reader_of(card)
    assert reader.count("\n") <= 20
    command = [sys.executable, "-I", "-c", BARE + reader]
    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split()[0] for line in done.stdout.splitlines()]
    assert sorted(said) == ["h", "recording", "start_s", "windows"]
    for words in ("Not a medical device", "| tone | 0.9 |", "holdout", "1 seeds", "Licence"):
        assert words in card


def test_verify_recomputes_sums_and_outputs(exported, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cryjax", "verify", str(exported)])
    assert cli.main() == 0
    assert "model.jaxexp: largest difference from golden outputs" in capsys.readouterr().out
    sums = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=exported, capture_output=True, check=False
    )
    assert sums.returncode == 0


@pytest.mark.parametrize(
    "name", [artefact.COMPILED, artefact.WEIGHTS, artefact.CONFIG, "golden.npz"]
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_is_refused_by_name(copied, name, damage, capsys):
    path = copied / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    assert verify.main([str(copied)]) == 1
    assert name in capsys.readouterr().err
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        cryjax.load(copied)


def test_a_foreign_file_and_a_newer_version_are_refused(copied, capsys):
    (copied / "model.pkl").write_bytes(b"")
    assert verify.main([str(copied)]) == 1
    assert "model.pkl is not named by SHA256SUMS" in capsys.readouterr().err
    (copied / "model.pkl").unlink()
    config = json.loads((copied / artefact.CONFIG).read_text())
    (copied / artefact.CONFIG).write_text(json.dumps(config | {"version": 9}))
    artefact.write_sums(copied)
    assert verify.main([str(copied)]) == 1
    assert "artefact of version 9, this cryjax reads version 1" in capsys.readouterr().err


def test_weights_that_compute_something_else_are_found(copied, capsys):
    """Whole by its sums, wrong by its golden outputs."""
    import safetensors.numpy

    weights = artefact.load_weights(copied)
    name = next(k for k in weights if k.endswith("kernel"))
    safetensors.numpy.save_file(weights | {name: weights[name] * 1.5}, copied / artefact.WEIGHTS)
    artefact.write_sums(copied)
    assert verify.main([str(copied)]) == 1
    assert "model.jaxexp differs from its golden outputs" in capsys.readouterr().err


def test_export_replaces_artefacts_and_nothing_else(classifier, copied, tmp_path, capsys):
    assert export.main([str(classifier), f"--out={copied}"]) == 0
    assert verify.main([str(copied)]) == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    assert export.main([str(classifier), f"--out={mine}"]) == 1
    assert "holds more than an artefact's files" in capsys.readouterr().err
    assert (mine / "thesis.txt").exists()
    (mine / "SHA256SUMS").write_text("of a corpus that was downloaded")
    assert export.main([str(classifier), f"--out={mine}"]) == 1
    assert (mine / "thesis.txt").exists()
    assert not list(tmp_path.glob(".*tmp"))
