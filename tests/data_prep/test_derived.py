"""Corpora made from others: labels that are partly wrong, cries among sounds, a known injury."""

import collections

import numpy as np
import pytest

from cryjax.audio import decode
from cryjax.data.leaks import audit
from cryjax.data.shards import load_shards
from data_prep import CORPORA, derived
from data_prep.main import prepare
from data_prep.plan import Options, make_plan


def test_a_tenth_is_clean_and_forty_per_cent_of_the_rest_is_wrong(recordings):
    clips = CORPORA["esc_noisy"].find(recordings("esc50"), 0)
    parts = collections.Counter(clip.split for clip in clips)
    assert sum(parts.values()) == 2000
    assert 0.07 < parts["clean"] / (parts["clean"] + parts["noisy"]) < 0.13
    wrong = {
        part: np.mean([c.label != c.extra["true_label"] for c in clips if c.split == part])
        for part in parts
    }
    assert wrong["test"] == wrong["clean"] == 0
    assert wrong["noisy"] == pytest.approx(derived.FLIPPED, abs=0.04)
    assert {c.extra["true_label"] for c in clips if c.split == "clean"} == {c.label for c in clips}
    assert audit(clips).shared == {}
    assert clips == CORPORA["esc_noisy"].find(recordings("esc50"), 0)


def test_cries_and_other_sounds_are_found_below_one_folder(recordings):
    root = recordings("esc50").parent
    recordings("donateacry")
    clips = CORPORA["cry_or_other"].find(root, 0)
    counts = collections.Counter((clip.label, clip.extra["site"]) for clip in clips)
    assert counts == {("cry", "donateacry"): 457, ("cry", "esc50"): 40, ("other", "esc50"): 1960}
    assert all((root / clip.path).exists() for clip in clips[::100])


@pytest.mark.slow
def test_the_injury_is_of_the_size_it_says(recordings, tmp_path):
    source = recordings("donateacry")
    plan = make_plan(CORPORA["semi_synthetic_injury"], str(source), tmp_path / "out", Options())
    labels = {}
    for clip in plan.clips:
        labels.setdefault(clip.group, set()).add(clip.label)
    assert all(len(found) == 1 for found in labels.values())  # a baby is injured or not
    share = np.mean([found == {"injured"} for found in labels.values()])
    assert share == pytest.approx(0.5, abs=0.01)
    agrees = np.mean([(c.label == "injured") == (c.extra["site"] == "ward_b") for c in plan.clips])
    assert agrees == pytest.approx(derived.SITE_AGREES, abs=0.1)
    assert audit(plan.clips).shared == {}
    for part in ("babies1", "babies2", "babies3"):
        here = [clip.label == "injured" for clip in plan.clips if clip.split == part]
        assert len(here) / len(plan.clips) == pytest.approx(1 / 3, abs=0.02)
        assert np.mean(here) == pytest.approx(0.5, abs=0.07)
    originals = CORPORA["donateacry"].find(source, 0)
    hurt = next(i for i, clip in enumerate(plan.clips) if clip.label == "injured")
    number = int(plan.clips[hurt].path.removesuffix(".flac"))
    before = decode(source / originals[number].path, sample_rate_hz=8000)
    after = decode(tmp_path / "out" / "recordings" / plan.clips[hurt].path, sample_rate_hz=8000)
    assert len(before) / len(after) == pytest.approx(derived.PITCH, rel=1e-3)


def test_classes_can_be_kept_or_left_out(recordings, tmp_path):
    source, recipe = str(recordings("esc50")), CORPORA["esc"]
    kept = make_plan(recipe, source, tmp_path, Options(classes="breathing,coughing"))
    assert kept.classes == ["breathing", "coughing"]
    assert len(kept.clips) == 80
    rest = make_plan(recipe, source, tmp_path, Options(classes="-crying_baby"))
    assert len(rest.classes) == 49
    assert len(rest.clips) == 1960
    for chosen, reason in (("breathin", "no breathin; there are"), ("-dog,cat", "either name")):
        with pytest.raises(ValueError, match=reason):
            make_plan(recipe, source, tmp_path, Options(classes=chosen))


def test_a_corpus_of_some_classes_can_be_opened(prepared, tmp_path):
    """The flag's text took the place of the manifest's classes, and nothing could open it."""
    table = str(prepared.parent / "clips.csv")
    prepare("csv", table, str(tmp_path / "out"), split="holdout", workers=0, classes="tone")
    found = load_shards(tmp_path / "out")
    assert found.classes == ["tone"]
    assert found.info["kept_classes"] == "tone"
    assert len(found.clips) == 18
