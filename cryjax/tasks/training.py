"""Modes that train: from settings to a probe, and self-training's rounds of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from cryjax.augment import build_policy
from cryjax.data.pipeline import Corpus
from cryjax.evaluate.embed import Kept, embedded_corpus
from cryjax.evaluate.probe import FILTERS, UNTRAINED, Probe, ProbeSettings, Split
from cryjax.objectives import Supervised
from cryjax.objectives.semi import SEMI
from cryjax.tasks.judged import Judged
from cryjax.train.log import MetricLog
from cryjax.train.optim import OptimSettings


def _build(mode: str, judged: Judged, settings: ProbeSettings, keep: bool):
    """(seed, class weights) to the objective of a mode."""
    config = judged.config

    def build(seed: int, weights: list[float]) -> Supervised:
        encoder, policy = judged.network(mode, seed)
        if keep:
            encoder, policy = Kept(encoder.features), build_policy({"order": "normalise"})
        given = {"class_weights": weights, "rngs": nnx.Rngs(seed + 1)}
        if mode not in SEMI:
            return Supervised(encoder, policy, **given)
        chosen = {"labelled": settings.batch_size, "steps": settings.steps, **config["semi"][mode]}
        if mode == "autoencoder":
            chosen |= {"frames": config["data"]["frames"], "mels": judged.corpus.spec.n_mels}
        return SEMI[mode](encoder, policy, **chosen, **given)

    return build


def make_probe(
    mode: str,
    judged: Judged,
    corpus: Callable[[int], Corpus] | None = None,
    split: Callable[[int], Split] | None = None,
) -> Probe:
    """The probe of a mode; corpus and split are those of the labels unless given, by seed."""
    config, data = judged.config, judged.config["data"]
    chosen = config["probe"]
    optim = OptimSettings(**chosen["scratch" if mode in UNTRAINED else FILTERS[mode]])
    settings = {"frames": data["frames"], "hop": data["hop"], **chosen["settings"]}
    keep = FILTERS[mode] == "linear" and not (
        judged.policy((0.0, 1.0)).augments or settings["released"]
    )
    if keep:  # the encoder runs once, not at every step
        settings |= {**chosen["linear_settings"], "frames": 1, "hop": 1}
    if epochs := config.get("epochs", 0):  # a step is a batch; validate once an epoch
        each = max(1, len(judged.split.train) // settings["batch_size"])
        settings |= {"steps": epochs * each, "eval_every": each}
    final = ProbeSettings(**settings, optim=optim)

    def kept(seed: int) -> Corpus:
        return embedded_corpus(judged.hidden(seed), judged.rows, *judged.embeddings(mode, seed))

    unlabelled = (judged.split.train, round(config["semi"]["ratio"] * final.batch_size))
    return Probe(
        mode,
        _build(mode, judged, final, keep),
        corpus or (kept if keep else judged.hidden),
        split or judged.labelled,
        final,
        unlabelled=unlabelled if mode in SEMI else None,
    )


def _surest(scores: np.ndarray, most: int, threshold: float) -> np.ndarray:
    """Positions of the surest guesses, at most so many a class, all at or above the threshold."""
    guess, sure = scores.argmax(axis=1), scores.max(axis=1)
    taken = [
        mine[np.argsort(-sure[mine], kind="stable")][:most]
        for mine in (np.flatnonzero((guess == c) & (sure >= threshold)) for c in np.unique(guess))
    ]
    return np.concatenate(taken)


def self_training(judged: Judged, seed: int, log: MetricLog | None) -> dict[str, np.ndarray]:
    """Rounds of training, labelling the surest recordings without a label, and training anew."""
    chosen, split = judged.config["semi"]["self_training"], judged.labelled(seed)
    pool, rounds = np.setdiff1d(judged.split.train, split.train), chosen["rounds"]
    hidden = judged.hidden(seed)
    now: dict[str, Any] = {"corpus": hidden, "split": split}
    probe = make_probe("scratch", judged, lambda _: now["corpus"], lambda _: now["split"])
    if not len(pool):  # every label is known
        return probe.fit(seed, log=log)
    found = probe.fit(seed, log=log if rounds == 1 else None, extra=pool)
    for number in range(1, rounds):
        most = round(number / (rounds - 1) * len(pool) / len(judged.corpus.classes))
        taken = _surest(found["extra"], max(1, most), chosen["threshold"])
        labels = hidden.labels.copy()
        labels[pool[taken]] = found["extra"][taken].argmax(axis=1)
        now["corpus"] = dataclasses.replace(judged.corpus, labels=labels)
        rows = np.concatenate([split.train, pool[taken]])
        now["split"] = dataclasses.replace(split, train=rows)
        found = probe.fit(seed, log=log if number == rounds - 1 else None, extra=pool)
    return found
