"""What a report states beside numbers: the encoder, the guidelines' items, the environment."""

import platform
from importlib import metadata
from typing import Any

import jax

from cryjax.audio.logmel import shortest_samples
from cryjax.encoder import Encoder

PACKAGES = (
    "cryjax",
    "jax",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "librosa",
    "scikit-learn",
)
OPEN = "not known to the run: to be filled in by the authors"


def about_encoder(encoder: Encoder) -> list[tuple[str, str]]:
    """Says what an encoder is, was trained on and expects, for model cards and reports."""
    spec, meta = encoder.spec, encoder.meta
    corpora = dict.fromkeys(
        f"{d.get('corpus')}: split {d.get('split_rule')}, a group is one {d.get('group')}, "
        f"licence {d.get('licence')}"
        for d in meta.data
    )
    hop_ms = 1000 * spec.hop_samples / spec.sample_rate_hz
    return [
        ("encoder", f"{meta.encoder.name}, {encoder.features} features for each window"),
        ("trained by", f"{meta.trained_by}, step {meta.step}" if meta.step else meta.trained_by),
        (
            "input",
            f"mono at {spec.sample_rate_hz} Hz, at least {shortest_samples(spec)} samples (shorter "
            f"ones are repeated); windows of {meta.frames} frames of {hop_ms:g} ms",
        ),
        ("data", "; ".join(corpora) or "none on record"),
        (
            "heard in training",
            f"{len(meta.train_groups)} groups, {len(meta.train_audio)} recordings by audio",
        ),
        ("fingerprint", encoder.fingerprint),
    ]


def items(facts: dict[str, Any], classes: list[str], modes: list[str]) -> list[tuple[str, str]]:
    """Lists items of TRIPOD+AI (Collins et al. 2024) and STARD 2015 with what the run knows."""
    clips, groups = facts["clips"], facts["groups"]
    sizes = ", ".join(f"{part} {clips[part]} clips of {groups[part]} groups" for part in clips)
    sizes += f"; folds: {facts['folds']}" if "folds" in facts else ""
    return [
        ("TRIPOD+AI 5 · data sources", f"{facts['title']}; licence: {facts['licence']}"),
        ("TRIPOD+AI 6 · participants: who, where, when; STARD 6-9", OPEN),
        ("TRIPOD+AI 7 · data preparation", "config and feature settings below, the same for all"),
        (
            "TRIPOD+AI 8 · outcome; STARD 11 reference standard",
            f"classes {', '.join(classes)}; how they were established: {OPEN}",
        ),
        ("TRIPOD+AI 9 · predictors; STARD 10 index test", "log-mel spectrograms of the recordings"),
        ("TRIPOD+AI 10 · sample size; STARD 18", f"{sizes}; its justification: {OPEN}"),
        (
            "TRIPOD+AI 11 · missing data; STARD 15, 16",
            "files that cannot be read are in "
            "quarantine.csv of the prepared folder; clips without a label are left out",
        ),
        ("TRIPOD+AI 12 · analytical methods", f"{', '.join(modes)}; {facts['selection']}"),
        ("TRIPOD+AI 12c · internal validation", f"{facts['split rule']}; group = {facts['group']}"),
        ("TRIPOD+AI 13 · class imbalance", "probe.<mode>.balance below"),
        ("TRIPOD+AI 14 · fairness", "the table of subgroups, as far as the manifest has columns"),
        (
            "TRIPOD+AI 15 · output; STARD 12a thresholds",
            "probabilities; thresholds are chosen on validation",
        ),
        ("TRIPOD+AI 17 · ethical approval", OPEN),
        ("TRIPOD+AI 18 · open science", "predictions.csv, metrics.json and this page"),
        ("TRIPOD+AI 23 · performance; STARD 23, 24", "above, with intervals over groups"),
        ("TRIPOD+AI 26 · limitations", "one corpus; no external validation was part of this run"),
    ]


def environment() -> list[tuple[str, str]]:
    """Lists versions, machine and devices."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} (not installed)")
    devices = jax.devices()
    return [
        ("packages", ", ".join(versions)),
        ("python", platform.python_version()),
        ("machine", f"{platform.system()} {platform.machine()}"),
        ("devices", f"{len(devices)} x {devices[0].device_kind} ({jax.process_count()} processes)"),
    ]
