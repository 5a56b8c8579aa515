"""Does it learn: pre-trained encoders beside random ones, labels and training from scratch."""

import dataclasses
from typing import Any

from configs import laptop
from configs.studies import shared
from cryjax.settings import merged
from cryjax.studies.settings import StudySettings

SUPERVISED: dict[str, Any] = {
    "objective": {"name": "supervised"},
    "augment": shared.CROPS,
}
COMPARED = (
    "SimCLR/knn > random/knn",
    "SimCLR/logistic > random/logistic",
    "SimCLR/linear > random/linear",
    "SimCLR/linear_bn > random/linear_bn",
    "SimCLR/finetune > random/finetune",
    "SimCLR/linear > supervised/linear",
)
SPEC_AUGMENT = {
    "order": "mix_back,random_resized_crop,spec_augment,compress,gaussian_noise,normalise",
    "spec_augment": {"max_frames": 8, "max_bands": 8},
}
# candidates for the laptop's recipe, each about nine minutes of two cores
RECIPES: dict[str, Any] = {
    "random": {},
    "temperature_02": {"objective": {"name": "simclr", "temperature": 0.2}},
    "base": {},
    "spec_augment": {"augment": SPEC_AUGMENT},
    "crop_04": {"augment": {"random_resized_crop": {"scale": (0.4, 1.0)}}},
    "frames_64": {"steps": 680, "data": {"frames": 64, "hop_frames": 32}},
    "frames_32": {"steps": 1350, "data": {"frames": 32, "hop_frames": 16}},
    "batch_256": {"steps": 450, "batch_size": 256},
    "width_32": {"steps": 400, "encoder": {"name": "vgg", "width": 32}},
    "rate_0001": {"optim": {"learning_rate": 1e-3}},
    "audio_ntt": {"steps": 800, "encoder": {"name": "audio_ntt", "width": 512}},
    "audio_ntt_96": {
        "steps": 400,
        "encoder": {"name": "audio_ntt", "width": 512},
        "data": {"frames": 96, "hop_frames": 48},
    },
    "resnet18": {"steps": 1200, "encoder": {"name": "resnet18", "width": 32}},
    "resnet18_96": {
        "steps": 800,
        "encoder": {"name": "resnet18", "width": 32},
        "data": {"frames": 96, "hop_frames": 48},
    },
}

WIDE_NTT = {"name": "audio_ntt", "width": 1024}
# what an hour of two cores is worth to each, where RECIPES have nine minutes
HOURS: dict[str, Any] = {
    "random": {},
    "audio_ntt": {"steps": 4000, "encoder": WIDE_NTT},
    "vgg_32": RECIPES["width_32"] | {"steps": 2400},
    "resnet18": RECIPES["resnet18"] | {"steps": 7000},
    "base": RECIPES["base"] | {"steps": 5400},
}


def _recipes() -> StudySettings:
    return StudySettings(
        study="recipes",
        question="Which recipe gives most for nine minutes? Chosen on fold 4 of ESC-50.",
        corpora=shared.corpora("esc50"),
        folds=("fold4",),
        seeds=1,
        pretrain=merged(laptop.PRETRAIN, {"steps": 900, "data": {"frames": 48}}),
        encoders=RECIPES,
        transfer=merged(shared.TRANSFER, {"data": {"frames": None, "hop_frames": None}}),
        tasks={"esc50": {"data": {"dirs": "esc50"}}},
        home="esc50",
        modes=("knn", "logistic", "linear"),
    )


def _hours() -> StudySettings:
    return dataclasses.replace(
        _recipes(),
        study="hours",
        question="How much further does an hour go? Chosen on fold 4 of ESC-50.",
        encoders=HOURS,
        transfer=merged(shared.TRANSFER, {"encoder": WIDE_NTT}),
        compare=tuple(
            f"audio_ntt/{mode} > {other}/{mode}"
            for mode in ("knn", "logistic", "linear")
            for other in ("random", "vgg_32", "resnet18", "base")
        ),
    )


def _learns(study: str, corpus: str, folds: tuple[str, ...]) -> StudySettings:
    return StudySettings(
        study=study,
        question=f"Does pre-training without labels help on {corpus}?",
        corpora=shared.corpora(corpus),
        folds=folds,
        pretrain=laptop.PRETRAIN,
        encoders={"random": {}, "SimCLR": {}, "supervised": SUPERVISED},
        transfer=shared.TRANSFER,
        tasks={corpus: {"data": {"dirs": corpus}}},
        home=corpus,
        modes=("majority", "mel_statistics", "knn", "logistic", "linear", "linear_bn", "finetune"),
        tuned={"finetune": (shared.whole_network(steps=1200),)},
        compare=COMPARED,
    )


STUDIES = {
    "recipes": _recipes(),
    "hours": _hours(),
    "learns": _learns("learns", "esc50", ("fold1", "fold2")),
    "learns_commands": _learns("learns_commands", "commands", ()),
}
