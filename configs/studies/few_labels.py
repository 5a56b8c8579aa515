"""Few labels: curves by share, and semi-supervised learning after Oliver et al. 2018.

Only training labels are few: validation keeps all of its own, which choose the step and, for the
semi-supervised methods, a weight from three values; that is more than whoever has few labels has.
Every method trains on the labels for as many updates, self-training as often as it has rounds, and
transfer (SimCLR, linear+BN), whose pre-training comes on top, is a rival.
"""

from typing import Any

from configs import laptop
from configs.studies import shared
from cryjax.evaluate.report.crossings import column_of
from cryjax.settings import merged
from cryjax.studies.settings import StudySettings

ENCODERS: dict[str, Any] = {"random": {}, "SimCLR": {}}  # one with labels would know them all
WEIGHTS = {  # of the unlabelled loss: a third of, and three times, what the source uses
    "autoencoder": (0.3, 1.0, 3.0),
    "pi_model": (6.0, 20.0, 60.0),
    "vat": (0.3, 1.0, 3.0),
    "pseudo_label": (0.3, 1.0, 3.0),
    "mean_teacher": (10.0, 30.0, 100.0),
}
# by row and column: what pre-training gives at each share, and where curves meet
COMPARED = tuple(
    f"{ours}/{column_of(share)} > {theirs}/{column_of(share)}"
    for ours, theirs in (
        ("SimCLR: finetune", "random: finetune"),
        ("SimCLR: linear_bn", "SimCLR: finetune"),
    )
    for share in shared.FRACTIONS
)
CROSSINGS = (
    "SimCLR: logistic > random: finetune/100 %",
    "SimCLR: finetune > random: finetune/100 %",
    "random: finetune > SimCLR: logistic",
    "SimCLR: finetune > SimCLR: linear_bn",
)
SHARES = {"five": 0.05, "twenty": 0.2}


def _fractions(corpus: str, folds: tuple[str, ...]) -> StudySettings:
    return StudySettings(
        study=f"fractions_{corpus}",
        question=f"How many labels of {corpus} does each encoder need?",
        corpora=shared.corpora(corpus),
        folds=folds,
        seeds=2,
        pretrain=laptop.PRETRAIN,
        encoders=ENCODERS,
        transfer=shared.TRANSFER,
        tasks={corpus: {"data": {"dirs": corpus}}},
        home=corpus,
        modes=("logistic", "linear", "linear_bn", "finetune"),
        tuned={"finetune": (shared.whole_network(steps=1200),)},
        fractions=shared.FRACTIONS,
        compare=COMPARED,
        crossings=CROSSINGS,
    )


def _semi(corpus: str, folds: tuple[str, ...], unit: str) -> StudySettings:
    training = shared.whole_network(steps=1200, batch_size=64)
    tasks: dict[str, Any] = {
        f"{corpus}_{name}_per_cent": {
            "data": {"dirs": corpus, "folds": folds},
            "label": {"fraction": share, "unit": unit},
        }
        for name, share in SHARES.items()
    }
    return StudySettings(
        study=f"semi_{corpus}",
        question=f"What do recordings without labels of {corpus} add to few with them?",
        corpora=shared.corpora(corpus),
        folds=folds,
        seeds=2,
        pretrain=laptop.PRETRAIN,
        encoders={"random": {}, "SimCLR": {}},
        transfer=merged(
            merged(shared.TRANSFER, training), {"semi": {"self_training": {"rounds": 3}}}
        ),
        tasks=tasks,
        home=next(iter(tasks)),
        modes=("scratch", *WEIGHTS, "self_training", "linear_bn"),
        tuned={
            mode: tuple({"semi": {mode: {"ramp": {"weight": weight}}}} for weight in weights)
            for mode, weights in WEIGHTS.items()
        }
        | {"linear_bn": ({"augment": {"order": "normalise"}},)},
        compare=tuple(f"SimCLR/linear_bn > random/{mode}" for mode in ("scratch", *WEIGHTS)),
    )


STUDIES = {
    "fractions_esc50": _fractions("esc50", ("fold1",)),
    "fractions_commands": _fractions("commands", ()),
    "semi_esc50": _semi("esc50", ("fold1",), "group"),
    # 18 speakers train: a twentieth of them is one, so recordings are drawn
    "semi_commands": _semi("commands", (), "recording"),
}
