"""Protocols: ways to evaluate, one file a way; `PROTOCOLS` is the only table of them."""

from typing import Any

from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions
from cryjax.evaluate.protocols.logistic import LogisticProbe, MelStatistics
from cryjax.evaluate.protocols.majority import Majority
from cryjax.evaluate.protocols.nearest_neighbours import NearestNeighbours
from cryjax.evaluate.protocols.probe import FromScratch, Probe
from cryjax.evaluate.protocols.self_training import SelfTraining
from cryjax.evaluate.protocols.semi_supervised import SemiSupervised


def _whole_network(kind: type[FromScratch], label: str, **method: Any) -> FromScratch:
    """Makes a protocol that trains the whole network from fresh weights."""
    return kind(
        label,
        weights="random",
        rule="scratch",
        trains_what="all",
        keeps=True,
        **method,
    )


def _semi_supervised(label: str, method: str) -> FromScratch:
    return _whole_network(SemiSupervised, label, method=method)


PROTOCOLS: dict[str, EvaluationProtocol] = {
    "majority": Majority("the most frequent class", weights="none", deterministic=True),
    "mel_statistics": MelStatistics(
        "mean and standard deviation of the mel bands", weights="none", deterministic=True
    ),
    "knn": NearestNeighbours(
        "the nearest labelled recordings", deterministic=True, fresh="random_knn"
    ),
    "knn_within": NearestNeighbours(
        "the nearest recordings within the evaluated part",
        bank="within",
        deterministic=True,
        fresh="random_knn_within",
    ),
    "random_knn_within": NearestNeighbours(
        "the nearest recordings within the evaluated part, by fresh weights",
        weights="random",
        bank="within",
    ),
    "random_knn": NearestNeighbours("the nearest recordings by fresh weights", weights="random"),
    "logistic": LogisticProbe(
        "logistic regression on frozen representations", deterministic=True, fresh="random_logistic"
    ),
    "random_logistic": LogisticProbe(
        "logistic regression on representations of fresh weights", weights="random"
    ),
    "linear": Probe(
        "a linear classifier on frozen representations",
        rule="linear",
        keeps=True,
        fresh="random_linear",
    ),
    "random_linear": Probe(
        "a linear classifier on representations of fresh weights", weights="random", rule="linear"
    ),
    "linear_bn": Probe(
        "a linear classifier with the encoder's batch normalisation adapted",
        rule="linear_bn",
        trains_what="head_and_norms",
        keeps=True,
        fresh="random_linear_bn",
    ),
    "random_linear_bn": Probe(
        "a linear classifier with the batch normalisation of fresh weights adapted",
        weights="random",
        rule="linear_bn",
        trains_what="head_and_norms",
    ),
    "finetune": Probe(
        "a fine-tuned encoder",
        rule="finetune",
        trains_what="all",
        keeps=True,
        fresh="scratch",
    ),
    "scratch": _whole_network(FromScratch, "a network trained from scratch"),
    "autoencoder": _semi_supervised("supervised training with an autoencoder", "autoencoder"),
    "pi_model": _semi_supervised("a Pi-model", "pi_model"),
    "vat": _semi_supervised("virtual adversarial training", "vat"),
    "pseudo_label": _semi_supervised("pseudo-labels", "pseudo_label"),
    "mean_teacher": _semi_supervised("a mean teacher", "mean_teacher"),
    "self_training": _whole_network(SelfTraining, "self-training"),
}

__all__ = ["PROTOCOLS", "EvaluationProtocol", "Predictions"]
