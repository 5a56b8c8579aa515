"""ICBHI 2017 respiratory sounds (Rocha et al. 2019): one clip a breathing cycle, group = patient.

Traps: the official list splits by recording, so patients 156 and 218 are on both sides
(--split=official is refused, official_strict drops their train side); it names 91 files with
another device than the archive, so names are matched on their first four fields; recording indices
look like `1b1` and stay strings.
"""

import csv
import pathlib
import re
import warnings

from cryjax.data.manifest import Clip
from cryjax.errors import UserError
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_NAME = re.compile(r"(\d{3})_([^_]+)_([A-Z][a-z])_(sc|mc)_(\w+)")
_CLASSES = {("0", "0"): "normal", ("1", "0"): "crackle", ("0", "1"): "wheeze", ("1", "1"): "both"}
_ABNORMAL = dict.fromkeys(_CLASSES.values(), "abnormal") | {"normal": "normal"}
_LAYOUT = "<patient>_<index>_<site>_<mode>_<device>.wav with a .txt of cycles beside each"
SPLIT_LIST = "ICBHI_challenge_train_test.txt"
SHORTEST_S = 0.05


def _beside(source: pathlib.Path, name: str) -> pathlib.Path | None:
    """Finds a side file in the folder or in its info/."""
    return next((p for p in (source / name, source / "info" / name) if p.exists()), None)


def _official(source: pathlib.Path) -> dict[tuple[str, ...], str]:
    """Maps the first four fields of a name to train or test; empty without the list."""
    path = _beside(source, SPLIT_LIST)
    lines = path.read_text().split("\n") if path else []
    pairs = (line.split() for line in lines if line.strip())
    return {tuple(stem.split("_")[:4]): split for stem, split in pairs}


def _patients(source: pathlib.Path) -> dict[str, dict[str, str]]:
    """Maps patients to age, sex and diagnosis, as far as the side files are there."""
    about: dict[str, dict[str, str]] = {}
    if path := _beside(source, "demographic_info.txt"):
        for fields in (line.split() for line in path.read_text().splitlines()):
            if len(fields) >= 3:
                about[fields[0]] = {"age": fields[1], "sex": fields[2]}
    if path := _beside(source, "patient_diagnosis.csv"):
        with path.open(newline="") as file:
            for row in csv.reader(file):
                about.setdefault(row[0], {})["diagnosis"] = row[1]
    return about


def _cycles(path: pathlib.Path) -> list[tuple[float, float, str]]:
    """Reads start, end and class of every cycle of a file; too short ones are reported."""
    cycles = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            start_s, end_s = float(fields[0]), float(fields[1])
            label = _CLASSES[fields[2], fields[3]]
        except (ValueError, IndexError, KeyError):
            raise UserError(
                f"{path}:{number}: expected start, end, crackle 0/1, wheeze 0/1, got {line!r}"
            ) from None
        if end_s - start_s < SHORTEST_S:
            warnings.warn(
                f"{path}:{number}: a cycle of {end_s - start_s:.3f} s is left out", stacklevel=2
            )
            continue
        cycles.append((start_s, end_s, label))
    return cycles


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every annotated cycle, with site, mode, device and what is known of the patient."""
    del seed
    official, patients, clips = _official(source), _patients(source), []
    for name in audio_files(source, [".wav"]):
        path = source / name
        match, annotation = _NAME.fullmatch(path.stem), path.with_suffix(".txt")
        if match is None:
            continue
        if not annotation.exists():
            raise UserError(f"{annotation} is missing; the layout expected is {_LAYOUT}")
        patient, index, site, mode, device = match.groups()
        split = official.get((patient, index, site, mode), "")
        extra = {"site": site, "mode": mode, "device": device}
        extra |= {"age": "", "sex": "", "diagnosis": ""} | patients.get(patient, {})
        clips += [
            Clip(name, start, end, label, patient, split, extra | {"abnormal": _ABNORMAL[label]})
            for start, end, label in _cycles(annotation)
        ]
    return require_clips(clips, source, _LAYOUT)


ICBHI = CorpusRecipe(
    "icbhi",
    find,
    group="patient",
    licence="ICBHI 2017: free for research with citation; not redistributable with cryjax",
)
