"""Encoders that a protocol trained, kept as checkpoints with their classifiers beside them."""

import dataclasses
import pathlib
import shutil

import numpy as np
from flax import nnx

from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.protocols.base import Predictions, plain
from cryjax.evaluate.task import EvaluationTask
from cryjax.train.checkpoint import save_model
from cryjax.train.meta import CheckpointMeta, audio_hashes

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
    objective = predictions.trained
    if objective is None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    network = objective.classifier
    meta = trained_meta(mode, task, int(predictions.chosen["step"]))
    save_model(folder, {"encoder": network["encoder"]}, meta)
    head = nnx.to_pure_dict(nnx.state(network["head"]))
    arrays = {
        "kernel": head["out"]["kernel"],
        "bias": head["out"]["bias"],
        "mean": head["mean"],
        "std": head["std"],
    }
    classes = np.array(task.corpus.classes)
    np.savez(folder / "classifier.npz", allow_pickle=False, classes=classes, **arrays)
    (folder / KEY).write_text(key, encoding="utf-8")  # last: it vouches for the rest


def trained_meta(mode: str, task: EvaluationTask, step: int) -> CheckpointMeta:
    """Describes an encoder that a protocol trained on labels."""
    protocol, corpus = PROTOCOLS[mode], task.corpus
    encoder = task.encoder(protocol.weights, 0)
    before, train = encoder.meta, task.split.train
    groups = {*before.train_groups, *corpus.global_groups[train].tolist()}
    audio = {*before.train_audio, *audio_hashes(corpus.clips[row] for row in train)}
    return dataclasses.replace(
        before,
        trained_by=mode,
        projector=None,
        frames=task.windows.frames,
        hop_frames=task.windows.hop_frames,
        train_groups=tuple(sorted(groups)),
        train_audio=tuple(sorted(audio)),
        data=corpus.describe(),
        config=plain(task.settings),
        selected_by=None,
        scores={},
        step=step,
        skipped_batches=0,
        started_from=encoder.fingerprint if protocol.weights == "pretrained" else None,
    )
