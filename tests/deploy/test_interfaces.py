"""Interfaces of others: scikit-learn's transformer and HEAR's functions."""

import pickle
import shutil
from typing import Any

import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from cryjax.deploy import hear, sklearn
from cryjax.deploy.sklearn import Embedder
from cryjax.encoder import Encoder, load


@pytest.fixture(scope="module")
def recordings_of(prepared):
    """Paths, labels and groups of the small corpus."""
    paths = [str(prepared.parent / f"{i}.wav") for i in range(36)]
    return paths, np.arange(36) % 2, np.arange(36) // 3


def test_a_pipeline_is_cross_validated_by_groups(trained, recordings_of):
    paths, labels, groups = recordings_of
    pipeline = make_pipeline(Embedder(str(trained)), StandardScaler(), LogisticRegression())
    folds = GroupKFold(3)
    scores = cross_val_score(pipeline, paths, labels, groups=groups, cv=folds)
    assert scores.mean() > 0.8  # tones and noises


def test_paths_and_waveforms_give_the_encoders_mean(trained, recordings_of):
    paths, *_ = recordings_of
    wave, rate = soundfile.read(paths[0], dtype="float32")
    expected = load(trained).embed(wave, sample_rate_hz=rate)[0].mean(axis=0)
    made = Embedder(str(trained)).fit_transform(paths[:2])
    assert made.shape == (2, len(expected))
    np.testing.assert_allclose(made[0], expected, rtol=1e-5, atol=1e-6)
    (again,) = Embedder(str(trained), sample_rate_hz=rate).transform([wave])
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="needs sample_rate_hz"):
        Embedder(str(trained)).transform([wave])
    with pytest.raises(ValueError, match="nothing.wav"):
        Embedder(str(trained)).transform(["nothing.wav"])


def test_it_is_cloned_and_pickled_by_its_folder(trained, recordings_of):
    paths, *_ = recordings_of
    embedder = Embedder(str(trained)).fit(paths)
    made = embedder.transform(paths[:1])
    data = pickle.dumps(embedder)
    assert len(data) < 2000  # no weights
    np.testing.assert_array_equal(pickle.loads(data).transform(paths[:1]), made)
    copy = clone(embedder)
    assert isinstance(copy, Embedder)
    copy.set_params(sample_rate_hz=8000)
    assert copy.get_params() == {"model": str(trained), "sample_rate_hz": 8000}
    assert list(embedder.get_feature_names_out())[:2] == ["h0", "h1"]
    with pytest.raises(FileNotFoundError):
        Embedder("nowhere").fit(paths)


UNFIT = {  # checks of scikit-learn that mean tables of numbers
    "check_estimators_dtypes": "integers have no level as waveforms: refused",
    "check_estimator_sparse_tag": "a sparse matrix is no list of recordings; fit reads none",
    "check_estimator_sparse_array": "the same",
    "check_estimator_sparse_matrix": "the same",
    "check_array_api_input": "needs SCIPY_ARRAY_API",
    "check_do_not_raise_errors_in_init_or_set_params": "types are checked in these tests alone",
}


def test_clones_share_the_encoder_of_a_folder_until_it_changes(trained, tmp_path):
    """Every fold of a cross-validation loaded and compiled it anew."""
    folder = shutil.copytree(trained, tmp_path / "run")
    embedder: Any = Embedder(str(folder))
    first = embedder._encoder()
    copy: Any = clone(embedder)
    assert copy._encoder() is first
    assert pickle.loads(pickle.dumps(embedder))._encoder() is first
    (folder / "checkpoints" / "a save under way").mkdir()  # training goes on
    assert copy._encoder() is not first


def test_short_recordings_share_batches(trained, monkeypatch):
    """Each took a batch of 64 windows of its own."""
    waves, calls = np.random.default_rng(0).normal(size=(9, 3000)).astype(np.float32), []
    model = hear.load_model(str(trained))
    embedder = Embedder(str(trained), sample_rate_hz=model.sample_rate).fit([])
    apart = np.stack([embedder.transform([wave])[0] for wave in waves])
    do = Encoder.embed_mels
    counted = lambda *given: (calls.append(1), do(*given))[1]  # noqa: E731
    monkeypatch.setattr(Encoder, "embed_mels", counted)
    together, scenes = embedder.transform(list(waves)), hear.get_scene_embeddings(waves, model)
    for made in (together, scenes):  # places within a batch may round differently
        np.testing.assert_allclose(made, apart, rtol=1e-4, atol=1e-5)
    assert len(calls) == 2
    monkeypatch.setattr(sklearn, "TOGETHER", 40)  # frames: two recordings
    np.testing.assert_allclose(embedder.transform(list(waves)), apart, rtol=1e-4, atol=1e-5)
    assert len(calls) > 4
    assert embedder.transform([]).shape == (0, apart.shape[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, of checks that are skipped
def test_scikit_learns_own_checks_pass(trained):
    embedder, passed = Embedder(str(trained), sample_rate_hz=16_000), set()
    checks: Any = estimator_checks_generator(embedder)
    for estimator, check in checks:
        name = check.func.__name__
        if name not in UNFIT:
            check(estimator)
            passed.add(name)
    assert {"check_transformer_general", "check_estimators_pickle", "check_set_params"} <= passed
    assert len(passed) >= 20


@pytest.mark.parametrize("bad", [np.array([0.0, np.nan]), np.zeros((2, 3)), np.array([1, 2])])
def test_waveforms_that_are_none_are_refused(trained, bad):
    with pytest.raises(ValueError, match="waveform"):
        Embedder(str(trained), sample_rate_hz=16_000).transform([bad])


def test_hear_gives_scenes_and_evenly_spaced_times(trained):
    model = hear.load_model(str(trained))
    assert model.sample_rate == model.encoder.spec.sample_rate_hz
    rng, seconds = np.random.default_rng(0), 2.0
    audio = 0.1 * rng.normal(size=(3, int(seconds * model.sample_rate))).astype(np.float32)
    scenes = hear.get_scene_embeddings(audio, model)
    assert scenes.shape == (3, model.scene_embedding_size)
    assert scenes.dtype == np.float32
    expected = model.encoder.embed(audio[1], sample_rate_hz=model.sample_rate)[0]
    embeddings, times = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (3, times.shape[1], model.timestamp_embedding_size)
    assert times.dtype == np.float32
    steps = np.diff(times, axis=1)
    np.testing.assert_allclose(steps, steps[0, 0], rtol=1e-4)
    assert 0 < steps[0, 0] <= hear.STEP_MS
    assert times[0, 0] == 0
    assert seconds * 1000 - steps[0, 0] < times[0, -1] <= seconds * 1000
    np.testing.assert_allclose(scenes[1], expected.mean(axis=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"audio must be \(sounds, samples\)"):
        hear.get_scene_embeddings(audio[0], model)


def test_a_sound_is_heard_when_it_is_there(trained):
    """Moved by a whole number of steps, it has the same embeddings so much later."""
    model = hear.load_model(str(trained))
    spec, rate = model.encoder.spec, model.sample_rate
    step = int(hear.STEP_MS / 1000 * spec.frames_per_s) * spec.hop_samples
    rng, moved = np.random.default_rng(0), 20
    early = 1e-3 * rng.normal(size=6 * rate).astype(np.float32)
    early[2 * rate : 2 * rate + 2000] += 0.5 * np.sin(np.arange(2000)).astype(np.float32)
    late = np.roll(early, moved * step)
    made, _ = hear.get_timestamp_embeddings(np.stack([early, late]), model)
    inner = slice(30, 60)  # far from the ends, where the sound is
    scale = np.abs(made).max()
    after = made[1][inner.start + moved : inner.stop + moved]
    np.testing.assert_allclose(after, made[0][inner], atol=1e-2 * scale)
    assert np.abs(made[1][inner] - made[0][inner]).max() > 5e-2 * scale
