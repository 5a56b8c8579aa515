"""From recordings and from shards, every encoder and every preset gives the same embeddings."""

import numpy as np
import pytest
import soundfile

from cryjax.data.corpus import open_corpus
from cryjax.data.preparation import Worker
from cryjax.data.windows import Windows
from cryjax.deploy.job import Job
from cryjax.deploy.recordings import find
from cryjax.encoder import random_encoder
from cryjax.evaluate.embeddings import embed
from cryjax.models import ENCODERS, EncoderSettings
from cryjax.spec import PRESETS, preset
from data_prep.main import prepare

CASES = [("laptop", name) for name in ENCODERS]
CASES += [(name, "vgg") for name in PRESETS if name != "laptop"]
SMALL = {"cnn14": 4, "efficientnet_b0": None, "simple_cnn": None}


@pytest.fixture(scope="module")
def shards_of(tmp_path_factory):
    """Prepares three recordings of other rates and lengths, by preset."""
    root, rng, made = tmp_path_factory.mktemp("rates"), np.random.default_rng(0), {}
    rows = ["path,label,group"]
    for i, (rate, channels, seconds) in enumerate(
        ((16_000, 1, 1.25), (22_050, 1, 2.3), (44_100, 2, 0.4))
    ):
        wave = 0.1 * rng.normal(size=(int(rate * seconds), channels))
        soundfile.write(root / f"{i}.wav", wave, rate)
        rows.append(f"{i}.wav,{'ab'[i % 2]},g{i}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")

    def shards(spec):
        if spec not in made:
            made[spec] = root / spec
            source, out = str(root / "clips.csv"), str(made[spec])
            prepare("csv", source, out, spec=spec, split="by_clip", workers=0)
        return root, made[spec]

    return shards


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Empty filters")  # of the practical as its slides stand
@pytest.mark.parametrize(("spec", "name"), CASES)
def test_recordings_and_shards_give_the_same(shards_of, tmp_path, spec, name):
    root, shards = shards_of(spec)
    width = SMALL.get(name, 8)
    encoder = random_encoder(
        EncoderSettings(name, width=width),
        preset(spec),
        Windows(64, 32),
        normalise="dataset",
        statistics=(-5.0, 3.0),
        seed=0,
    )
    job = Job(encoder, find([str(root / f"{i}.wav") for i in range(3)]), tmp_path)
    prepared = map(Worker(tmp_path, encoder.spec), job.pieces[0])
    made, bad = job.embed(0, list(prepared))
    assert not bad
    assert (made.end_s > made.start_s).all()
    corpus = open_corpus([str(shards)])
    known = embed(encoder, corpus, np.arange(len(corpus.clips)), encoder.windows)
    scale = np.abs(known.h).max()
    assert scale > 0
    for number, clip in enumerate(corpus.clips):
        mine = made.h[made.path == str(root / clip.path)]
        theirs = known.h[known.window_to_clip == number]
        np.testing.assert_allclose(mine, theirs, atol=1e-4 * scale)
