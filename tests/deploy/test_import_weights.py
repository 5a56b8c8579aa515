"""Published weights: the same activations, and files that are wrong are refused by name."""

import dataclasses
import pathlib
import pickle
import subprocess
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch_names import nchw, resnet_recipe

from configs import knn
from cryjax.deploy import import_weights
from cryjax.deploy.names import KINDS
from cryjax.encoder import load
from cryjax.models import build_encoder
from cryjax.models.layers import in_eval_mode
from cryjax.spec import preset
from cryjax.tasks import transfer as transfer_task

SCALED = ("--mean=-0.84", "--std=1.2", "--train-frames=1e4")
VALUES = 96e4


def imported(tmp_path, kind, arrays, *more):
    np.savez(tmp_path / "weights.npz", **arrays)
    import_weights.main(
        [
            f"--kind={kind}",
            f"--source={tmp_path / 'weights.npz'}",
            f"--out={tmp_path / 'out'}",
            *more,
        ]
    )
    return load(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vgg", "crnn"])
def test_uclsers_release_gives_its_own_activations_on_standardised_mels(golden, tmp_path, kind):
    g, weights = golden(f"uclser_{kind}"), golden(f"uclser_{kind}_weights")
    encoder = imported(tmp_path, f"uclser_{kind}", weights, *SCALED)
    h = in_eval_mode(encoder.module)(nchw(g["input"]) / np.sqrt(VALUES))
    np.testing.assert_allclose(h, g["h"], rtol=2e-3, atol=2e-3 * np.abs(g["h"]).max())
    z = in_eval_mode(encoder.projector)(jnp.asarray(g["h"]))
    np.testing.assert_allclose(z, g["proj_unnormalised"], rtol=1e-3, atol=1e-4)
    assert encoder.meta.statistics == (-0.84, 1.2)
    assert encoder.meta.data[0]["licence"].startswith("MIT")


@pytest.mark.slow
def test_uclsers_resnet_without_a_head(golden, tmp_path):
    g, (weights, _) = golden("uclser_resnet18"), resnet_recipe()
    opened = imported(tmp_path, "uclser_resnet18", weights, *SCALED)
    assert opened.projector is None
    encoder = opened.module
    # eps of the first norm weighs more after the scale is undone, hence the tolerance
    scale = jnp.sqrt(VALUES)
    norm = encoder.stem.norm
    norm.mean[...], norm.var[...] = norm.mean[...] * scale, norm.var[...] * VALUES
    h = in_eval_mode(encoder)(nchw(g["input"]))
    np.testing.assert_allclose(h, g["h"], rtol=1e-3, atol=1e-3 * np.abs(g["h"]).max())


def small(name):
    """A kind with a small encoder, and arrays as its authors would name and lay them out."""
    kind = KINDS[name]
    settings = dataclasses.replace(kind.encoder, width=40 if name == "byola" else 4)
    kind = dataclasses.replace(kind, encoder=settings)
    rng, arrays = np.random.default_rng(0), {}
    encoder = build_encoder(settings, preset(kind.spec).n_mels, rngs=nnx.Rngs(0))
    for path, theirs in kind.names().items():
        wanted = import_weights._wanted(import_weights._at(encoder, path), theirs)
        for key, variable in wanted.items():
            shape = variable.shape
            if len(shape) == 4:  # HWIO to OIHW
                shape = (shape[3], shape[2], shape[0], shape[1])
            arrays[key] = rng.normal(size=shape[::-1] if len(shape) == 2 else shape)
    return kind, {k: v.astype(np.float32) for k, v in arrays.items()}


@pytest.mark.parametrize(  # the others' whole files are read above
    "name", [pytest.param(k, marks=pytest.mark.slow if "uclser" in k else ()) for k in KINDS]
)
def test_every_kind_takes_its_whole_file(name):
    kind, arrays = small(name)
    given = arrays | {f"{p.rstrip('.')}.weight": np.zeros(3) for p in kind.ignored if p != "head."}
    given |= {"bn0.num_batches_tracked": np.array(7)}
    encoder, projector, settings = import_weights.import_arrays(kind, given, values=1.0)
    assert projector is None
    assert settings == kind.encoder
    for path, theirs in kind.names().items():
        node = import_weights._at(encoder, path)
        for key, variable in import_weights._wanted(node, theirs).items():
            got, want = np.asarray(variable[...]), arrays[key]
            if got.ndim == 4:
                want = want.transpose((3, 2, 1, 0) if kind.transposed else (2, 3, 1, 0))
            np.testing.assert_array_equal(got, want.T if got.ndim == 2 else want, err_msg=key)


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=() if k == "byola" else pytest.mark.slow) for k in KINDS]
)
def test_a_file_that_lacks_or_adds_arrays_is_refused_by_name(name):
    kind, given = small(name)
    first = sorted(given)[0]
    less = {k: v for k, v in given.items() if k != first}
    with pytest.raises(ValueError, match=f"1 arrays are missing: {first}"):
        import_weights.import_arrays(kind, less, values=1.0)
    more = given | {"surplus.weight": np.zeros(2)}
    with pytest.raises(ValueError, match="1 arrays are unexpected: surplus.weight"):
        import_weights.import_arrays(kind, more, values=1.0)
    with pytest.raises(ValueError, match=f"{first} has shape"):
        import_weights.import_arrays(kind, given | {first: np.zeros((2, 2, 2))}, values=1.0)


def test_an_imported_encoder_is_evaluated_like_any_other(golden, tmp_path, smoke):
    weights = golden("uclser_vgg_weights")
    imported(tmp_path, "uclser_vgg", weights, "--mean=-2", "--std=1.5")
    config = smoke(knn, checkpoint=str(tmp_path / "out"), modes="majority,knn")
    transfer_task.run(config, tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()


class Evil:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("EXECUTED"),)


def test_nothing_is_ever_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.npz"
    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "evil.npy", "a.npy")
    with pytest.raises(ValueError, match=r"weights.npz: not a readable file of arrays alone"):
        import_weights.load_arrays(path)
    other = tmp_path / "weights.pkl"
    other.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"must end in .npz, .safetensors, .pth or .pt"):
        import_weights.load_arrays(other)
    assert not (tmp_path / "EXECUTED").exists()


def test_what_is_missing_on_the_command_line_is_said(tmp_path, golden):
    np.savez(tmp_path / "w.npz", a=np.zeros(2))
    base = [f"--source={tmp_path / 'w.npz'}", f"--out={tmp_path / 'out'}"]
    with pytest.raises(SystemExit, match="statistics were never published: give --data=PREPARED"):
        import_weights.main(["--kind=byola", *base])
    with pytest.raises(
        SystemExit, match=r"\d+ arrays are missing: backward|\d+ arrays are missing: conv"
    ):
        import_weights.main(["--kind=uclser_crnn", "--mean=0", "--std=1", *base])
    with pytest.raises(SystemExit, match="absent.npz: no such file"):
        import_weights.main(["--kind=panns_cnn14", "--source=absent.npz", f"--out={tmp_path}"])
    run = subprocess.run(
        [sys.executable, "-m", "cryjax.deploy.import_weights", "--help"],
        check=True,
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert "uclser_vgg" in run.stdout
