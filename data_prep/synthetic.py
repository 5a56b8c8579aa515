"""The synthetic corpora: cries with triggers and a subtle factor, and generic sounds."""

import functools
import itertools
import pathlib

import numpy as np
import soundfile

from cryjax.data import synthetic
from cryjax.data.manifest import Clip, load_manifest, save_csv
from cryjax.errors import UserError
from data_prep.corpus import CorpusRecipe

LICENCE = "SYNTHETIC, made by cryjax for demonstration and tests; no medical meaning; CC0"
BABIES, TAKES, SECONDS, SOUND_TAKES = 48, 2, 4.0, 40


def _cries(seed: int):
    """Rows and waves of every baby, trigger and take."""
    for number in range(BABIES):
        baby = synthetic.make_baby(number, seed)
        for trigger, take in itertools.product(synthetic.TRIGGERS, range(TAKES)):
            row = {
                "path": f"{baby.name}-{trigger}-{take}.flac",
                "label": trigger,
                "group": baby.name,
                "site": baby.site,
                "injury": "yes" if baby.injured else "no",
            }
            yield row, synthetic.cry(baby, trigger, seconds=SECONDS, seed=seed + 7919 * take)


def _sounds(seed: int):
    for kind, take in itertools.product(synthetic.SOUNDS, range(SOUND_TAKES)):
        row = {"path": f"{kind}-{take}.flac", "label": kind, "group": f"{kind}-{take}"}
        yield row, synthetic.sound(kind, seconds=SECONDS, seed=seed + 7919 * take)


def _write(rows_and_waves, folder: pathlib.Path, seed: int, source: str | None) -> None:
    """Recordings as 16-bit FLAC, the manifest last."""
    if source is not None:
        raise UserError(f"--source={source} is not read: these recordings are made by code")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row, wave in rows_and_waves(seed):
        samples = np.round(wave * 32767).astype(np.int16)
        soundfile.write(folder / row["path"], samples, synthetic.RATE_HZ)
        rows.append(row)
    save_csv(folder / "clips.csv", rows)


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Reads the manifest that was written beside the recordings."""
    del seed
    return load_manifest(source / "clips.csv")


CRIES = CorpusRecipe(
    "synthetic",
    find,
    group="baby",
    licence=LICENCE,
    make=functools.partial(_write, _cries),
    made_by_code=True,
)
SOUNDS = CorpusRecipe(
    "synthetic_sounds",
    find,
    group="recording",
    licence=LICENCE,
    make=functools.partial(_write, _sounds),
    made_by_code=True,
)
