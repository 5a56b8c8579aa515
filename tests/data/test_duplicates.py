import pytest

from cryjax.data.duplicates import copies, handle_copies
from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.data.splits import make_splits


def clip(path, group, audio, label="a"):
    return Clip(path, label=label, group=group, extra={"audio_sha256": audio})


CLIPS = [
    clip("0.wav", "ann", "x"),
    clip("1.wav", "bob", "y"),
    clip("2.wav", "cem", "x"),
    clip("3.wav", "cem", "z"),
    clip("4.wav", "dee", "z", label="b"),
    clip("5.wav", "eva", ""),
    clip("6.wav", "fay", ""),
]


def test_copies_are_found_and_silent_clips_are_none():
    assert copies(CLIPS) == [[0, 2], [3, 4]]


def test_copies_become_one_group_before_a_split_is_drawn():
    merged, notes = handle_copies(CLIPS, "group")
    assert [c.group for c in merged] == ["ann", "bob", "ann", "ann", "ann", "eva", "fay"]
    assert merged[4].extra["group_before_merge"] == "dee"
    assert notes == [
        "2 clips are exact copies of 2 others; 3 groups became 1; "
        "1 of these recordings have copies with another label"
    ]
    for seed in range(20):
        done = make_splits(merged, "kfold:2", seed).clips
        assert len({done[i].split for i in (0, 2, 3, 4)}) == 1


def test_copies_can_be_dropped_or_kept():
    dropped, notes = handle_copies(CLIPS, "drop")
    assert [c.path for c in dropped if c.split == LEFT_OUT] == ["2.wav", "4.wav"]
    assert "left out" in notes[0]
    kept, notes = handle_copies(CLIPS, "keep")
    assert kept == CLIPS
    assert "kept as they are" in notes[0]
    with pytest.raises(ValueError, match="duplicates must be one of group, drop, keep, got 'no'"):
        handle_copies(CLIPS, "no")
