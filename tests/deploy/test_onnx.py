"""ONNX models of every encoder that jax2onnx converts; see .ci/run for where it stands."""

import re
import subprocess
import sys

import numpy as np
import pytest

from cryjax.data.windows import Windows
from cryjax.deploy import artefact, export
from cryjax.deploy.classifier import load
from cryjax.deploy.verify import verify
from cryjax.encoder import random_encoder
from cryjax.errors import UserError
from cryjax.models import ENCODERS, EncoderSettings
from cryjax.spec import preset

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # onnx's and jax2onnx's own
    pytest.mark.skipif(not export.has_onnx(), reason="jax2onnx is not installed"),
]
FAST = {"vgg", "cnn_gru"}
REFUSED = {"resnet18"}  # jax2onnx 0.17.1 loses a transposition around its sums
SLOW = sorted(set(ENCODERS) - FAST - REFUSED)


def encoder_of(name, spec="laptop"):
    return random_encoder(
        EncoderSettings(name, width=4),
        preset(spec),
        Windows(64, 32),
        normalise="dataset",
        statistics=(-5.0, 3.0),
        seed=0,
    )


@pytest.mark.parametrize(
    "name",
    [
        *sorted(FAST),
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
    ],
)
def test_an_encoder_is_converted_and_compared(name, tmp_path):
    encoder = encoder_of(name)
    export.save_artefact(encoder, tmp_path / "made", tmp_path, onnx=True)
    assert any(line.startswith("model.onnx: largest") for line in verify(tmp_path / "made"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_one_that_is_not_converted_is_refused_by_name(name, tmp_path):
    with pytest.raises(UserError, match=f"jax2onnx does not convert {name}"):
        export.save_artefact(encoder_of(name), tmp_path / "made", tmp_path, onnx=True)
    assert not (tmp_path / "made").exists()


def test_a_preset_that_resizes_in_time_is_converted(tmp_path):
    export.save_artefact(encoder_of("vgg", "course"), tmp_path / "made", tmp_path, onnx=True)
    assert len(verify(tmp_path / "made")) == 3


def test_scores_come_out_and_the_cards_reader_runs(classifier, tmp_path):
    out = tmp_path / "made"
    export.save_artefact(load(classifier), out, classifier, onnx=True)
    assert len(verify(out)) == 3
    card = (out / artefact.CARD).read_text()
    reader = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[1]
    bare = "import sys\nfor name in ('jax', 'cryjax', 'flax', 'onnx'): sys.modules[name] = None\n"
    paths = f"import sys\nsys.path += {[p for p in sys.path if p]!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", paths + bare + reader],
        cwd=out,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said["recording"] == "(1, 2)"
    assert np.array(list(said)).tolist() == ["h", "windows", "recording"]
