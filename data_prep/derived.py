"""Corpora made from others, for questions whose answer is known or that need two sources."""

import pathlib

import numpy as np
import scipy.signal
import soundfile

from cryjax.audio import AudioError, decode
from cryjax.data.manifest import Clip, save_csv
from cryjax.data.splits import assign_groups
from cryjax.errors import UserError
from data_prep import donateacry, esc, synthetic
from data_prep.corpus import CorpusRecipe

SITES = ("ward_a", "ward_b")
SITE_AGREES = 0.6  # share of recordings whose site says what their baby's label is
PITCH = 1.12  # factor on every frequency of an injured baby's cry
TREMOR_HZ, TREMOR = 9.0, 0.2  # rate and depth of its amplitude modulation
RATE_HZ = 8000
PARTS = 3  # of the babies, each tested on in turn
CLEAN_SHARE, FLIPPED = 0.1, 0.4


def find_cry_or_other(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists the cries of donateacry and all sounds of ESC-50 below one folder, as cry or other.

    The phone recordings hold nothing above 4 kHz: prepare with f_max_hz=3800, or a classifier
    hears the bandwidth.
    """
    cries = [
        (f"donateacry/{clip.path}", clip, "cry")
        for clip in donateacry.find(source / "donateacry", seed)
    ]
    sounds = [
        (f"esc50/{clip.path}", clip, "cry" if clip.label == "crying_baby" else "other")
        for clip in esc.find(source / "esc50", seed)
    ]
    return [
        Clip(path, label=label, group=clip.group, extra={"site": path.partition("/")[0]})
        for path, clip, label in cries + sounds
    ]


def find_noisy(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists ESC-50 with labels that are partly wrong, in the manner of FSDnoisy18k.

    Splits: fold 1 is `test`; of the sources in the other folds a tenth is `clean`, the rest
    `noisy`, where 40 % of the recordings have another class's label. `true_label` keeps the truth.
    """
    rng, clips = np.random.default_rng([seed, 50]), esc.find(source, seed)
    classes = sorted({clip.label for clip in clips})
    test = {clip.group for clip in clips if clip.split == "fold1"}
    clean: set[str] = set()
    for name in classes:
        groups = sorted({c.group for c in clips if c.label == name} - test)
        clean |= set(rng.permutation(groups)[: max(1, round(CLEAN_SHARE * len(groups)))].tolist())
    found = []
    for clip in clips:
        split = "test" if clip.group in test else "clean" if clip.group in clean else "noisy"
        label = clip.label
        if split == "noisy" and rng.random() < FLIPPED:
            label = str(rng.choice([name for name in classes if name != clip.label]))
        extra = {"true_label": clip.label}
        found.append(Clip(clip.path, label=label, group=clip.group, split=split, extra=extra))
    return found


def _injured(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raises every frequency by PITCH and lets the loudness tremble."""
    faster = np.asarray(scipy.signal.resample(wave, round(len(wave) / PITCH)))
    t = np.arange(len(faster)) / RATE_HZ
    swell = 1 - TREMOR * (0.5 + 0.5 * np.sin(2 * np.pi * (TREMOR_HZ * t + rng.random())))
    return faster * swell


def _at_site(wave: np.ndarray, site: str, rng: np.random.Generator) -> np.ndarray:
    """Adds the noise of a place, 20 to 30 dB below the cry."""
    white = rng.normal(size=len(wave))
    edges = (200, 900) if site == SITES[0] else (2200, 3600)
    sections = scipy.signal.butter(2, edges, "band", fs=RATE_HZ, output="sos")
    noise = np.asarray(scipy.signal.sosfilt(sections, white))
    level = 10 ** (-rng.uniform(20, 30) / 20) * wave.std() / max(noise.std(), 1e-9)
    return wave + level * noise


def make_injury(folder: pathlib.Path, seed: int, source: str | None) -> None:
    """Writes the cries of donateacry again, those of a random half of the babies changed a little.

    The change is of known size (frequencies 12 % higher, a tremor of 9 Hz that lowers the
    amplitude by up to a fifth) and is all that tells the classes apart, besides the noise of two
    sites, which agrees with the label for 60 % of the babies: a shortcut that is worth an AUC of
    0.6. The splits are thirds of the babies, to be tested on in turn.
    """
    root = pathlib.Path(source or "")
    clips = donateacry.find(root, seed)
    babies = sorted({clip.group for clip in clips})
    draw = np.random.default_rng([seed, 9])
    injured = dict(zip(babies, draw.permutation(len(babies)) % 2 == 0, strict=True))
    agrees = dict(zip(babies, draw.random(len(babies)) < SITE_AGREES, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([seed, 10, number])
        try:
            wave = decode(root / clip.path, sample_rate_hz=RATE_HZ).astype(np.float64)
        except AudioError as error:
            print(f"left out: {error}")
            continue
        hurt, site = injured[clip.group], SITES[int(injured[clip.group] == agrees[clip.group])]
        wave = _at_site(_injured(wave, rng) if hurt else wave, site, rng)
        path = f"{number:04d}.flac"
        soundfile.write(folder / path, 0.9 * wave / max(np.abs(wave).max(), 1e-9), RATE_HZ)
        label = "injured" if hurt else "healthy"
        rows.append({"path": path, "label": label, "group": clip.group, "site": site})
    if not rows:
        raise UserError(f"{root}: no recording could be read")
    labels, groups = ([row[key] for row in rows] for key in ("label", "group"))
    for row, part in zip(rows, assign_groups(labels, groups, [1] * PARTS, seed), strict=True):
        row["split"] = f"babies{part + 1}"  # no other corpus names a split so: see protect_splits
    save_csv(folder / "clips.csv", rows)


CRY_OR_OTHER = CorpusRecipe(
    "cry_or_other",
    find_cry_or_other,
    group="app id or Freesound recording",
    licence="donateacry: ODbL 1.0 / DbCL 1.0; ESC-50: CC BY-NC 3.0",
)
ESC_NOISY = CorpusRecipe(
    "esc_noisy",
    find_noisy,
    group="Freesound recording",
    split="official",
    licence="ESC-50: CC BY-NC 3.0",
)
INJURY = CorpusRecipe(
    "semi_synthetic_injury",
    synthetic.find,
    group="app id",
    split="official",
    licence="donateacry: ODbL 1.0 / DbCL 1.0; changed by cryjax, NO medical meaning",
    make=make_injury,
)
