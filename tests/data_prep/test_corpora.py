"""Every recipe reads its layout: fabricated trees here, the real ones where they are."""

import collections

import numpy as np
import pytest
import soundfile

from cryjax.data import synthetic
from cryjax.data.splits import make_splits, shared_groups
from data_prep import CORPORA, donateacry, esc, fsdnoisy18k, icbhi


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


APP = "0D1AD73E-4C5E-45F3-85C4-9A3CB71E8856"


def test_donateacry_reads_both_layouts(tmp_path):
    tree(
        tmp_path,
        f"hungry/{APP.lower()}-1430738409-1.0-m-04-hu.wav",
        f"{APP}-1430738409123-1.7-f-72-dk.caf.caf",
        f"{APP}-1430738409-001-1.7-f-22-ch.3gp",
        "x.wav",
    )
    clips = donateacry.find(tmp_path, 0)
    assert len(clips) == 3
    assert {c.group for c in clips} == {APP}
    by_reason = {c.column("reason"): c for c in clips}
    assert by_reason["hungry"].extra["age"] == "0-4 weeks"
    assert by_reason["unknown"].label == ""
    assert by_reason["cold_hot"].column("sex") == "f"
    with pytest.raises(ValueError, match="no column 'agee'; near: age"):
        clips[0].column("agee")


def test_esc_reads_both_layouts(tmp_path):
    clips = esc.find(tree(tmp_path / "ten", "004 - Baby cry/5-198411-B.ogg", "junk.ogg"), 0)
    assert [(c.label, c.group, c.split) for c in clips] == [("Baby cry", "198411", "fold5")]
    fifty = tree(tmp_path / "fifty", "audio/1-100032-A-0.wav", "meta/esc50.csv")
    (fifty / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n1-100032-A-0.wav,1,0,dog,True,100032,A\n"
    )
    clip = esc.find(fifty, 0)[0]
    assert (clip.path, clip.label, clip.group, clip.split) == (
        "audio/1-100032-A-0.wav",
        "dog",
        "100032",
        "fold1",
    )


def test_fsdnoisy18k_reads_its_tables(tmp_path):
    meta = tmp_path / "FSDnoisy18k.meta"
    meta.mkdir()
    (meta / "train.csv").write_text(
        "fname,label,aso_id,manually_verified,noisy_small\n17.wav,Fire,/m/x,1,0\n18.wav,Rain,/m/y,0,1\n"
    )
    with pytest.raises(ValueError, match="test.csv is missing"):
        fsdnoisy18k.find(tmp_path, 0)
    (meta / "test.csv").write_text("fname,label,aso_id\n19.wav,Fire,/m/x\n")
    got = {c.path: (c.label, c.split) for c in fsdnoisy18k.find(tmp_path, 0)}
    assert got == {
        "FSDnoisy18k.audio_train/17.wav": ("Fire", "val"),
        "FSDnoisy18k.audio_train/18.wav": ("Rain", "train"),
        "FSDnoisy18k.audio_test/19.wav": ("Fire", "test"),
    }


def icbhi_tree(tmp_path):
    for patient, index in ((156, "1b1"), (156, "2b3"), (101, "1b1"), (102, "1b1")):
        stem = f"{patient}_{index}_Al_sc_Meditron"
        tree(tmp_path, f"{stem}.wav")
        (tmp_path / f"{stem}.txt").write_text(
            "0\t1.5\t0\t0\n1.5\t3\t1\t0\n3\t3.01\t0\t1\n3\t9\t1\t1\n"
        )
    (tmp_path / icbhi.SPLIT_LIST).write_text(  # another device than the file: the first four decide
        "156_1b1_Al_sc_LittC2SE\ttrain\n156_2b3_Al_sc_Meditron\ttest\n"
        "101_1b1_Al_sc_Meditron\ttrain\n102_1b1_Al_sc_Meditron\ttest\n"
    )
    (tmp_path / "demographic_info.txt").write_text("101 3 F NA 19 99\n")
    (tmp_path / "patient_diagnosis.csv").write_text("101,URTI\n")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*a cycle of 0.010 s is left out")
def test_icbhi_has_a_row_a_cycle_and_a_strict_split(tmp_path):
    clips = icbhi.find(icbhi_tree(tmp_path), 0)
    assert collections.Counter(c.label for c in clips) == {"normal": 4, "crackle": 4, "both": 4}
    first = next(c for c in clips if c.group == "101")
    assert (first.start_s, first.end_s, first.split) == (0.0, 1.5, "train")
    assert (first.extra["sex"], first.extra["diagnosis"], first.extra["site"]) == (
        "F",
        "URTI",
        "Al",
    )
    with pytest.raises(ValueError, match="'156'"):
        make_splits(clips, "official", 0)
    strict = make_splits(clips, "official_strict", 0).clips
    assert not shared_groups(strict)
    assert {c.group for c in strict if c.split == "train"} == {"101"}
    assert {c.group for c in strict if c.split == "test"} == {"102", "156"}


def test_icbhi_names_the_line_of_a_wrong_annotation(tmp_path):
    tree(tmp_path, "101_1b1_Al_sc_Meditron.wav")
    (tmp_path / "101_1b1_Al_sc_Meditron.txt").write_text("0\t1\t0\n")
    with pytest.raises(ValueError, match="Meditron.txt:1: expected start, end, crackle"):
        icbhi.find(tmp_path, 0)


REAL = {
    "donateacry": ("donateacry", 457, 221, {"hungry": 382, "discomfort": 27, "tired": 24}),
    "donateacry_raw": ("donateacry", 1128, None, {}),
    "esc10": ("esc", 400, 304, {"Baby cry": 40}),
    "fsdd": ("fsdd", 3000, 6, {"0": 300}),
    "icbhi_sample": ("icbhi", 97, 4, {"normal": 82, "crackle": 1, "wheeze": 14}),
}


@pytest.mark.parametrize("folder", REAL)
def test_the_real_folders_hold_what_they_should(recordings, folder):
    name, clips, groups, labels = REAL[folder]
    found = CORPORA[name].find(recordings(folder), 0)
    assert len(found) == clips
    if groups:
        assert len({c.group for c in found}) == groups
    counts = collections.Counter(c.label for c in found)
    assert labels.items() <= counts.items()


def test_synthetic_cries_are_deterministic_and_differ_by_baby_and_trigger(tmp_path):
    baby = synthetic.make_baby(3, 0)
    once, again = (synthetic.cry(baby, "pain", seconds=1.0, seed=5) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert baby.injured
    others = [
        synthetic.cry(synthetic.make_baby(4, 0), "pain", seconds=1.0, seed=5),
        synthetic.cry(baby, "hunger", seconds=1.0, seed=5),
        synthetic.cry(baby, "pain", seconds=1.0, seed=6),
    ]
    assert all((once != other).any() for other in others)
    for wave in (once, *(synthetic.sound(kind, seconds=0.5, seed=0) for kind in synthetic.SOUNDS)):
        assert wave.dtype == np.float32
        assert np.abs(wave).max() == pytest.approx(0.8, abs=1e-6)


def test_the_synthetic_corpus_says_what_it_is(tmp_path, monkeypatch):
    from data_prep import synthetic as recipe

    monkeypatch.setattr(recipe, "BABIES", 4)
    monkeypatch.setattr(recipe, "SECONDS", 0.5)
    corpus = CORPORA["synthetic"]
    assert corpus.make is not None
    corpus.make(tmp_path, 0, None)
    clips = corpus.find(tmp_path, 0)
    assert len(clips) == 24
    assert "SYNTHETIC" in corpus.licence
    assert {c.column("injury") for c in clips} == {"yes", "no"}
    wave, rate = soundfile.read(tmp_path / clips[0].path)
    assert (len(wave), rate) == (8000, 16_000)
