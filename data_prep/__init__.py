"""Recordings to shards: one file a corpus turns raw files into clips; main.py writes the shards."""

from data_prep import (
    audioset,
    birds,
    chillanto,
    cryceleb,
    donateacry,
    esc,
    folder,
    fsd50k,
    fsdd,
    fsdnoisy18k,
    icbhi,
    icbhi_balanced,
    iemocap,
    librispeech,
    nsynth,
    speech_commands,
    synthetic,
    tut2018,
    urbansound8k,
    vggsound,
    voxceleb,
    voxforge,
)
from data_prep.corpus import CorpusRecipe

CORPORA: dict[str, CorpusRecipe] = {
    corpus.name: corpus
    for corpus in (
        folder.FOLDER,
        folder.CSV,
        donateacry.DONATEACRY,
        cryceleb.CRYCELEB,
        chillanto.CHILLANTO,
        icbhi.ICBHI,
        icbhi_balanced.ICBHI_BALANCED,
        esc.ESC,
        fsdd.FSDD,
        fsdnoisy18k.FSDNOISY18K,
        fsd50k.FSD50K,
        vggsound.VGGSOUND,
        audioset.AUDIOSET,
        urbansound8k.URBANSOUND8K,
        tut2018.TUT2018,
        birds.BIRDS,
        nsynth.NSYNTH,
        iemocap.IEMOCAP,
        librispeech.LIBRISPEECH,
        voxceleb.VOXCELEB1,
        voxforge.VOXFORGE,
        speech_commands.SPEECH_COMMANDS,
        speech_commands.SPEECH_COMMANDS_V1,
        speech_commands.SPEECH_COMMANDS_12,
        synthetic.CRIES,
        synthetic.SOUNDS,
    )
}
