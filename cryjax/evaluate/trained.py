"""Encoders that a protocol trained, kept as checkpoints with their classifiers beside them."""

import contextlib
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
from flax import nnx

from cryjax.errors import UserError
from cryjax.evaluate.calibration import Recalibration, fit_recalibration, recalibrated
from cryjax.evaluate.embeddings import PrecomputedEncoder
from cryjax.evaluate.operating_points import choose_threshold
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.protocols.base import Predictions, plain
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import EvaluationTask
from cryjax.files import save_json
from cryjax.train.checkpoint import save_model
from cryjax.train.meta import CheckpointMeta, audio_hashes

CLASSIFIER, ABOUT = "classifier.npz", "classifier.json"
SPECIFICITIES = (0.5, 0.8, 0.9, 0.95)
KEY = "outcome.txt"  # beside a trained encoder: the key of the run that trained it


def is_of(folder: pathlib.Path, key: str) -> bool:
    """Tells whether a folder holds the encoder that the run of this key trained."""
    name = folder / KEY
    return name.exists() and name.read_text(encoding="utf-8") == key


def save_trained(
    folder: pathlib.Path, key: str, mode: str, task: EvaluationTask, predictions: Predictions
) -> None:
    """Writes a trained encoder as a checkpoint, its classifier beside it as plain arrays.

    What another run of the same protocol and seed had left there is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    objective = predictions.trained
    if objective is None:  # it diverged
        return
    network = objective.classifier
    encoder = network["encoder"]
    if isinstance(encoder, PrecomputedEncoder):  # it never changed, and was not trained with
        encoder = task.encoder(PROTOCOLS[mode].weights, 0).module
    meta = trained_meta(mode, task, int(predictions.chosen["step"]))
    save_model(folder, {"encoder": encoder}, meta)
    head = nnx.to_pure_dict(nnx.state(network["head"]))
    arrays = {
        "kernel": head["out"]["kernel"],
        "bias": head["out"]["bias"],
        "mean": head["mean"],
        "std": head["std"],
    }
    np.savez(folder / CLASSIFIER, allow_pickle=False, **arrays)
    save_json(folder / ABOUT, about_classifier(mode, task, predictions))
    (folder / KEY).write_text(key, encoding="utf-8")  # last: it vouches for the rest


def about_classifier(mode: str, task: EvaluationTask, predictions: Predictions) -> dict[str, Any]:
    """Describes a classifier: classes, and what validation chose to make decisions by.

    Recalibration and thresholds are fitted on validation alone. Thresholds are cuts on the
    recording's recalibrated probability of each class against the rest, by the specificity that
    they keep on validation. Where that lacks a class, probabilities stay as they come; where it
    leaks there are no thresholds either.
    """
    val, corpus = predictions.val, task.corpus
    rules = (corpus.sets[0].info["split_rule"], task.split.leak, PROTOCOLS[mode].selection(task))
    leaky = "LEAKY" in " ".join(filter(None, rules))
    lacking = np.setdiff1d(np.arange(len(corpus.classes)), val.labels)
    if leaky or len(lacking):
        change = Recalibration(1.0, np.zeros(len(corpus.classes)), frozenset())
    else:
        change = fit_recalibration(val)
    fair = Scored.of(recalibrated(val.scores, change), val.labels, val.groups)
    thresholds: dict[str, dict[str, float]] = {}
    for index, name in enumerate(corpus.classes):
        for specificity in () if leaky else SPECIFICITIES:
            with contextlib.suppress(UserError):  # validation lacks the class, or all others
                cut = choose_threshold(fair, positive=index, specificity=specificity)
                thresholds.setdefault(name, {})[f"{specificity:g}"] = min(cut.value, 1.0)
    return {
        "classes": corpus.classes,
        "temperature": change.temperature,
        "class_bias": [float(x) for x in change.bias],
        "thresholds": thresholds,
        "validation": {"recordings": len(val.labels), "groups": len(set(val.groups))},
        "caution": "validation leaks: no recalibration, no thresholds"
        if leaky
        else f"validation lacks {', '.join(corpus.classes[i] for i in lacking)}: no recalibration"
        if len(lacking)
        else None,
        "licence": corpus.sets[0].info["licence"],
    }


def trained_meta(mode: str, task: EvaluationTask, step: int) -> CheckpointMeta:
    """Describes an encoder that a protocol trained on labels."""
    protocol, corpus = PROTOCOLS[mode], task.corpus
    encoder = task.encoder(protocol.weights, 0)
    before, train = encoder.meta, task.split.train
    groups = {*before.train_groups, *corpus.global_groups[train].tolist()}
    selecting = task.split.parts()[protocol.selects_by(task)[1] or "val"]
    chosen = {*before.selection_groups, *corpus.global_groups[selecting].tolist()}
    audio = {*before.train_audio, *audio_hashes(corpus.clips[row] for row in train)}
    return dataclasses.replace(
        before,
        trained_by=mode,
        projector=None,
        frames=task.windows.frames,
        hop_frames=task.windows.hop_frames,
        train_groups=tuple(sorted(groups)),
        train_audio=tuple(sorted(audio)),
        selection_groups=tuple(sorted(chosen)),
        data=[*(before.data if protocol.weights == "pretrained" else []), *corpus.describe()],
        config=plain(task.settings),
        selected_by=None,
        scores={},
        step=step,
        skipped_batches=0,
        started_from=encoder.fingerprint if protocol.weights == "pretrained" else None,
    )
