"""Recordings to shards: one file a corpus turns raw files into clips; main.py writes the shards."""

from data_prep import donateacry, esc, folder, fsdd, fsdnoisy18k, icbhi, synthetic
from data_prep.corpus import Corpus

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        folder.FOLDER,
        folder.CSV,
        donateacry.DONATEACRY,
        esc.ESC,
        fsdd.FSDD,
        icbhi.ICBHI,
        fsdnoisy18k.FSDNOISY18K,
        synthetic.CRIES,
        synthetic.SOUNDS,
    )
}
