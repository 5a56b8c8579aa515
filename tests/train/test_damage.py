"""Damaged checkpoints: set aside, named, and never loaded."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

from configs import simclr
from cryjax.encoder import load
from cryjax.files import sha256
from cryjax.tasks import pretrain
from cryjax.train import sums
from cryjax.train.checkpoint import load_meta, load_model
from cryjax.train.log import load_metrics
from faults.checkpoints import largest
from faults.runs import flip


def flip_largest(folder):
    """One bit of the largest file."""
    path = largest(folder)
    flip(path)
    return path


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(
    smoke, trained, tmp_path, capsys
):
    shutil.copytree(trained, tmp_path / "run")
    root = tmp_path / "run" / "checkpoints"
    assert sums.steps_in(root) == [2, 4]
    path = flip_largest(root / "4" / "model")
    with pytest.raises(ValueError, match=f"{path.name} was changed after it was written; remove"):
        load_model(tmp_path / "run", 4)
    pretrain.run(smoke(simclr), tmp_path / "run")
    said = capsys.readouterr().out
    assert "checkpoint 4 is damaged" in said
    assert "continuing at step 2 of 4" in said
    assert (tmp_path / "run" / "damaged" / "4-0").is_dir()
    for a, b in zip(
        *(jax.tree.leaves(nnx.state(load(w).module)) for w in (trained, tmp_path / "run")),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert load_metrics(tmp_path / "run")[-1]["step"] == 4


def test_where_every_checkpoint_is_damaged_nothing_is_started(smoke, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    root = tmp_path / "run" / "checkpoints"
    flip_largest(root / "2" / "training")
    (root / "4" / sums.NAME).write_text("{")
    with pytest.raises(ValueError, match="every checkpoint of .* was damaged; remove"):
        pretrain.run(smoke(simclr), tmp_path / "run")


def test_a_missing_file_of_a_checkpoint_is_named(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run/checkpoints/4/meta/metadata").unlink()
    with pytest.raises(ValueError, match="metadata is missing"):
        load_meta(tmp_path / "run")


def test_a_checkpoint_that_claims_a_huge_encoder_allocates_nothing(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    step = tmp_path / "run/checkpoints/4"
    meta = json.loads((step / "meta/metadata").read_text())
    meta["encoder"]["width"] = 1 << 20  # some terabytes
    (step / "meta/metadata").write_text(json.dumps(meta))
    told = json.loads((step / sums.NAME).read_text())
    told["meta/metadata"] = sha256(step / "meta/metadata")
    (step / sums.NAME).write_text(json.dumps(told))
    with pytest.raises(ValueError, match="not hold the encoder that its meta describes: encoder"):
        load_model(tmp_path / "run", 4)


def test_a_checkpoint_without_its_config_is_refused(smoke, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    record = json.loads(path.read_text())
    record["config"]["objective"]["temperature"] = 0.3
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="temperature: 0.2 there, 0.3 here"):
        pretrain.run(smoke(simclr, **{"objective.temperature": 0.3}), tmp_path / "run")
    path.unlink()
    with pytest.raises(ValueError, match=r"config.json is missing while .*checkpoints is there"):
        pretrain.run(smoke(simclr), tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"config.json holds list, not an object; put it back"):
        pretrain.run(smoke(simclr), tmp_path / "run")


@pytest.mark.parametrize("text", ["{}", "[]", "not json"])
def test_sums_that_name_nothing_vouch_for_nothing(trained, tmp_path, text):
    shutil.copytree(trained, tmp_path / "run")
    (*_, step) = sums.steps_in(tmp_path / "run" / "checkpoints")
    folder = tmp_path / "run" / "checkpoints" / str(step)
    assert sums.damage(folder) == ""
    assert sums.damage(folder, "model") == ""
    (folder / sums.NAME).write_text(text)
    assert sums.damage(folder, "model")
    assert sums.damage(folder)


def test_a_file_that_the_sums_do_not_name_is_damage(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (*_, step) = sums.steps_in(tmp_path / "run" / "checkpoints")
    folder = tmp_path / "run" / "checkpoints" / str(step)
    (folder / "model" / "more").write_text("x")
    assert "model/more is not named by sha256.json" in sums.damage(folder)
