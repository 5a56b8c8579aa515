import concurrent.futures
import itertools
import pickle
import time

import numpy as np
import pytest

from cryjax.data import cache
from cryjax.data.batches import Sampling, make_batches, too_short_for_distance
from cryjax.data.cache import open_frames
from cryjax.data.corpus import DataSettings, open_corpus
from cryjax.data.pool import Pool
from cryjax.data.shards import load_shards
from cryjax.data.windows import Windows, cut, window_counts


def take(n, *args, **kwargs):
    return list(itertools.islice(make_batches(*args, **kwargs), n))


def assert_same(batches, others):
    for a, b in zip(batches, others, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_cache_and_shards_give_the_same_rows(make_corpus):
    folder, _ = make_corpus()
    sampling = Sampling(101, views=2, backgrounds="own")
    streams = [
        take(5, corpus, corpus.rows(["train"]), sampling, batch_size=4, seed=3)
        for corpus in (
            open_corpus([str(folder)], DataSettings(source=s)) for s in ("cache", "shards")
        )
    ]
    assert_same(*streams)


def test_a_view_is_the_clip_from_its_start_and_a_short_clip_is_tiled(make_corpus):
    folder, mels = make_corpus()
    shards = load_shards(folder)
    frames = pickle.loads(pickle.dumps(open_frames(shards)[0]))
    got = frames.gather(np.array([0, 3]), np.array([7, 0]), 101)
    np.testing.assert_array_equal(got[0], mels[0][7:108])
    np.testing.assert_array_equal(got[1], np.concatenate([mels[3], mels[3][:41]]))


def test_the_cache_is_built_once_whoever_asks_at_once(make_corpus, monkeypatch):
    shards, built, build = load_shards(make_corpus()[0]), [], cache._build

    def slow(*args):
        built.append(args)
        time.sleep(0.5)
        build(*args)

    monkeypatch.setattr(cache, "_build", slow)
    want = open_frames(shards, source="shards")[0].gather(np.array([1]), np.array([3]), 20)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        opened = list(pool.map(lambda _: open_frames(shards), range(3)))
    for frames, damaged in opened:
        assert damaged == []
        got = frames.gather(np.array([1]), np.array([3]), 20)
        np.testing.assert_array_equal(got, want)
    assert len(built) == 1


def test_a_resumed_stream_continues_the_straight_one(make_corpus):
    corpus = open_corpus([str(make_corpus()[0])])
    args = corpus, corpus.rows(["train"]), Sampling(50, views=2)
    straight = take(9, *args, batch_size=4, seed=0)
    assert_same(straight[6:], take(3, *args, batch_size=4, seed=0, start_step=6))
    other = take(1, *args, batch_size=4, seed=1)
    assert any((a["index"] != b["index"]).any() for a, b in zip(straight, other, strict=False))


def test_processes_cut_the_same_global_batch(make_corpus):
    corpus = open_corpus([str(make_corpus()[0])])
    args = corpus, corpus.rows(["train"]), Sampling(50, views=2, backgrounds="own")
    whole = take(4, *args, batch_size=4, seed=0)
    parts = [take(4, *args, batch_size=4, seed=0, process=(i, 2)) for i in range(2)]
    joined = [
        {name: np.concatenate([a[name], b[name]]) for name in a}
        for a, b in zip(*parts, strict=True)
    ]
    assert_same(whole, joined)


def test_an_epoch_holds_every_clip_once(make_corpus):
    corpus = open_corpus([str(make_corpus()[0])])
    batches = take(3, corpus, corpus.rows(["train"]), Sampling(50), batch_size=2, seed=5)
    assert sorted(np.concatenate([b["index"] for b in batches])) == list(range(6))


@pytest.mark.parametrize("batch_size", [4, 5, 6])
def test_a_batch_across_epochs_holds_no_clip_twice(make_corpus, batch_size):
    """Twice in a batch, a clip was its own negative; each epoch holds every clip all the same."""
    corpus = open_corpus([str(make_corpus()[0])])
    given: tuple = corpus, corpus.rows(["train"]), Sampling(50)
    drawn = [b["index"].tolist() for b in take(30, *given, batch_size=batch_size, seed=5)]
    assert all(len(set(batch)) == batch_size for batch in drawn)
    rows = [row for batch in drawn for row in batch]
    assert all(sorted(rows[i : i + 6]) == list(range(6)) for i in range(0, len(rows) - 5, 6))
    assert len({tuple(rows[i : i + 6]) for i in range(0, len(rows) - 5, 6)}) > 5
    (later,) = take(1, *given, batch_size=batch_size, seed=5, start_step=17)
    assert later["index"].tolist() == drawn[17]


@pytest.mark.parametrize("distance", [0, 25, 200, 400])
def test_the_second_view_starts_the_given_distance_later_in_every_row(make_corpus, distance):
    corpus = open_corpus([str(make_corpus(lengths=(501, 510))[0])])
    sampling = Sampling(101, views=2, distance=distance)
    batches = take(200, corpus, corpus.rows(["*"]), sampling, batch_size=2, seed=0)
    starts = np.concatenate([b["mel"][..., 0, 0] % 1000 for b in batches]).astype(int)
    assert set(starts[:, 1] - starts[:, 0]) == {distance}
    assert starts[:, 0].min() <= 10
    assert starts[:, 1].max() >= 400
    assert too_short_for_distance(corpus, corpus.rows(["*"]), sampling) == 0


def test_clips_shorter_than_the_distance_are_clamped_and_counted(make_corpus):
    corpus = open_corpus([str(make_corpus(lengths=(130, 130, 501))[0])])
    sampling = Sampling(101, views=2, distance=400)
    batch = take(1, corpus, corpus.rows(["*"]), sampling, batch_size=3, seed=0)[0]
    moved = (batch["mel"][:, 1, 0, 0] - batch["mel"][:, 0, 0, 0]).astype(int)
    np.testing.assert_array_equal(moved[np.argsort(batch["index"])], [29, 29, 400])
    assert too_short_for_distance(corpus, corpus.rows(["*"]), sampling) == 2


def test_random_starts_reach_both_ends(make_corpus):
    corpus = open_corpus([str(make_corpus(lengths=(104, 104))[0])])
    batches = take(40, corpus, corpus.rows(["*"]), Sampling(101, views=2), batch_size=2, seed=0)
    assert {int(x) % 1000 for b in batches for x in b["mel"][..., 0, 0].ravel()} == {0, 1, 2, 3}


def test_backgrounds_are_other_clips_and_differ_between_views(make_corpus):
    corpus = open_corpus([str(make_corpus()[0])])
    sampling = Sampling(40, views=2, backgrounds="own")
    for batch in take(30, corpus, corpus.rows(["*"]), sampling, batch_size=6, seed=0):
        clip = batch["background"][..., 0, 0] // 1000
        assert (clip != batch["index"][:, None]).all()
        assert (clip[:, 0] != clip[:, 1]).all()


@pytest.mark.parametrize(("backgrounds", "own_hear_replay"), [("own", False), ("both", True)])
def test_backgrounds_come_from_the_rows_own_source(make_corpus, backgrounds, own_hear_replay):
    corpus = open_corpus([str(make_corpus(lengths=(60,) * 12)[0])])
    pool = Pool(np.arange(6), np.arange(6, 12))
    sampling = Sampling(40, views=2, backgrounds=backgrounds, replay=4)
    heard = set()
    for batch in take(20, corpus, pool, sampling, batch_size=8, seed=0):
        background = batch["background"][..., 0, 0] // 1000
        assert (background != batch["index"][:, None]).all()
        heard |= set((background[~batch["replayed"]] >= 6).ravel().tolist())
    assert heard == ({True, False} if own_hear_replay else {False})


def test_balanced_sampling_draws_every_class_alike(make_corpus):
    corpus = open_corpus([str(make_corpus(lengths=(50,) * 20, labels="aaaaaaaaab")[0])])
    sampling = Sampling(40, balanced=True)
    batches = take(30, corpus, corpus.rows(["*"]), sampling, batch_size=20, seed=0)
    assert 0.45 < np.mean([b["label"] for b in batches]) < 0.55


def test_joined_folders_read_on(make_corpus):
    a, mels_a = make_corpus(name="a")
    b, mels_b = make_corpus(lengths=(120, 130), name="b", split=("val",))
    corpus = open_corpus([str(a), str(b)])
    got = corpus.frames.gather(np.array([7, 0]), np.array([3, 5]), 50)
    np.testing.assert_array_equal(got[0], mels_b[1][3:53])
    np.testing.assert_array_equal(got[1], mels_a[0][5:55])
    np.testing.assert_array_equal(corpus.labels, [0, 1, 2, 0, 1, 2, 3, 4])
    assert [name.split("/")[1] for name in corpus.classes] == [*"abc", *"abc"]
    np.testing.assert_array_equal(corpus.rows(["train"], whole=1), np.arange(8))
    np.testing.assert_array_equal(corpus.rows(["*"]), np.arange(8))
    mean, std = corpus.statistics(np.array([0, 7]))
    values = np.concatenate([mels_a[0].ravel(), mels_b[1].ravel()]).astype(float)
    np.testing.assert_allclose([mean, std], [values.mean(), values.std()], rtol=1e-6)


LENGTHS = np.array([101, 251, 260, 60, 150])


def test_windows_follow_the_released_rule():
    windows = Windows(101, 50, last="dropped")
    (got,) = cut(LENGTHS, windows)
    assert got.window_to_clip.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4]
    assert got.starts.tolist() == [0, 0, 50, 100, 150, 0, 50, 100, 150, 0, 0]
    assert window_counts(LENGTHS, windows).tolist() == [1, 4, 4, 1, 1]


def test_the_last_window_ends_with_the_clip():
    windows = Windows(101, 50)
    (got,) = cut(LENGTHS, windows)
    assert got.window_to_clip.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 4, 4]
    assert got.starts.tolist() == [0, 0, 50, 100, 150, 0, 50, 100, 150, 159, 0, 0, 49]
    assert window_counts(LENGTHS, windows).tolist() == [1, 4, 5, 1, 2]


def test_whole_recordings_are_one_window_of_few_lengths():
    windows = Windows(101, 50, whole=True)
    got = [(c.frames, c.window_to_clip.tolist()) for c in cut(LENGTHS, windows)]
    assert got == [(64, [3]), (128, [0]), (160, [4]), (256, [1]), (288, [2])]
    assert window_counts(LENGTHS, windows).tolist() == [1] * 5


def test_wrong_folders_and_splits_are_named(make_corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="not a prepared corpus"):
        load_shards(tmp_path)
    folder, _ = make_corpus()
    shards = load_shards(folder)
    with pytest.raises(ValueError, match="no split \\['test'\\]; there are train"):
        shards.rows(["test"])
    with pytest.raises(ValueError, match="cannot be written .*--config.data.cache_dir"):
        open_frames(shards, cache_dir="/proc/nowhere")
    (folder / "shard-1.arrayrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="shard-1.arrayrecord: 0 where manifest.json says"):
        open_frames(shards)
