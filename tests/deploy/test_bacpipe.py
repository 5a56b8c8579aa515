"""bacpipe's model interface; by its contract where the package or torch is not installed."""

import sys
import types

import numpy as np
import pytest

import cryjax
from cryjax.deploy import artefact, export
from cryjax.deploy.bacpipe import model_of

onnxruntime = pytest.importorskip("onnxruntime", reason="an extra")
pytest.importorskip("jax2onnx", reason="an extra")
pytestmark = pytest.mark.filterwarnings("ignore")  # of jax2onnx


class Contract:
    """What bacpipe 1.3.5's ModelBaseClass promises to its models."""

    def __init__(self, sr, segment_length, model_name, device="cpu", **settings):
        self.sr, self.segment_length, self.device = sr, segment_length, device
        self.batch_size = int(100_000 * 16 / segment_length)
        del model_name, settings


class Tensor(np.ndarray):
    """What the adapter uses of torch's."""

    def cpu(self):
        return self

    def numpy(self):
        return np.asarray(self)

    def new_tensor(self, values):
        return np.array(values, np.float32).view(Tensor)


@pytest.fixture
def base(monkeypatch):
    """bacpipe's base class, or its contract."""
    try:
        from bacpipe.model_pipelines.model_utils import ModelBaseClass  # pyright: ignore
    except ImportError:
        for name in ("bacpipe", "bacpipe.model_pipelines", "bacpipe.model_pipelines.model_utils"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        module = sys.modules["bacpipe.model_pipelines.model_utils"]
        monkeypatch.setattr(module, "ModelBaseClass", Contract, raising=False)
        return Contract
    return ModelBaseClass


def test_segments_are_embedded_and_scored_as_by_cryjax(base, classifier, tmp_path):
    model = cryjax.load(classifier)
    export.save_artefact(model, tmp_path / "made", classifier, onnx=True)
    theirs = model_of(tmp_path / "made")(model_name="mine")
    assert isinstance(theirs, base)
    assert theirs.sr == model.spec.sample_rate_hz
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.normal(size=(3, theirs.segment_length)).astype(np.float32)
    try:
        import torch  # pyright: ignore[reportMissingImports]

        batch = torch.from_numpy(wave)
    except ImportError:
        batch = wave.view(Tensor)
    theirs.prepare_inference()
    h = theirs(theirs.preprocess(batch))
    scores = theirs.classifier_predictions(h)
    assert type(h) is type(scores) is type(batch)
    for row, (mine, known) in enumerate(zip(h.numpy(), scores.numpy(), strict=True)):
        expected, _ = model.embed(wave[row], sample_rate_hz=theirs.sr)
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(mine, expected[0], atol=2e-2 * scale)
        np.testing.assert_allclose(known, model.score_windows(expected)[0], atol=2e-2)
    assert theirs.classes == model.classes


def test_an_artefact_without_onnx_is_refused_with_the_command(base, tmp_path):
    (tmp_path / artefact.CONFIG).write_text("{}")
    with pytest.raises(FileNotFoundError, match="cryjax export MODEL --out=.* --onnx"):
        model_of(tmp_path)
