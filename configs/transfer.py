"""Judging a checkpoint: kNN, linear, linear+BN, fine-tuning, beside majority and from scratch.

    python -m cryjax.main --config=configs/transfer.py --workdir=runs/judged \
        --config.checkpoint=runs/simclr

Modes: majority, knn, linear, linear_bn, finetune, and with fresh weights scratch, random_linear,
random_knn; knn_within is uclser's kNN of the test part within itself (`knn.compat`: with the
released label lookup). Without a checkpoint only those with fresh weights and majority run.
`data.val=""` takes `data.val_share` of train by group ("by_clip": across groups, to teach what that
pretends; "released": all of train too, as uclser's code; both say LEAKY). Selection is on
validation only; the encoder moves ten times slower than the head (Gorin et al. 2023 leave the rates
open; these are ours). `probe.settings.released` judges linear modes as LAPE's code: batch
statistics and dropout live, best step on test; it says LEAKY.

Few labels: `label.fraction` hides the labels of the other training groups, drawn by seed, nested
(`label.unit=recording` where there are too few groups). Semi-supervised modes, fresh weights, every
training recording as unlabelled: autoencoder, pi_model, vat, pseudo_label, mean_teacher, and
self_training in rounds; `semi` has their settings, `augment.order` what is random in them:

    python -m cryjax.main --config=configs/transfer.py --workdir=runs/few \
        --config.label.fraction=0.05 --config.modes=scratch,pi_model,vat,pseudo_label \
        --config.augment.order=crop,spec_augment,normalise
"""

from ml_collections import ConfigDict

from configs import common


def clinical() -> ConfigDict:
    """See `cryjax.evaluate.clinic.Clinical`; `subgroups` are manifest columns."""
    return ConfigDict(
        {
            "positive": "",
            "normal": "",
            "specificities": (0.8, 0.9, 0.95),
            "prevalence": 0.0,
            "reference": "random_linear",
            "patches": False,
            "subgroups": ("site", "device", "sex", "age"),
        }
    )


def semi() -> ConfigDict:
    """`ratio`: unlabelled rows of a batch for each labelled one; the others by mode.

    `ramp`: see `cryjax.objectives.semi.Ramp`; `beta` weighs the entropy of unlabelled predictions.
    """

    def ramp(weight: float, **changes) -> dict:
        return {
            "ramp": {"weight": weight, "shape": "gaussian", "start": 0.0, "end": 0.3, **changes}
        }

    shared = {"beta": 0.0, "move_statistics": False}
    return ConfigDict(
        {
            "ratio": 1.0,
            "autoencoder": {**ramp(1.0, shape="constant"), **shared},
            "pi_model": {**ramp(20.0), **shared, "both": True},
            "vat": {**ramp(1.0), **shared, "epsilon": 0.03, "iterations": 1, "xi": 0.0},
            "pseudo_label": {
                **ramp(1.0, shape="linear", start=0.1, end=0.5),
                **shared,
                "threshold": 0.95,
            },
            "mean_teacher": {**ramp(8.0), **shared, "decay": 0.99},
            "self_training": {"rounds": 4, "threshold": 0.5},
        }
    )


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    config = ConfigDict()
    config.task = "transfer"
    config.checkpoint = ""
    config.pool = ""  # of a checkpoint's audio_ntt: mean, as LAPE judges, instead of its own
    config.seed = 0
    config.seeds = 3
    config.modes = "majority,knn,random_linear,linear,linear_bn,finetune,scratch"
    config.data = common.data(train="train", val="val", test="test", val_share=0.15)
    config.encoder = common.encoder()  # of fresh weights where there is no checkpoint
    config.augment = common.augment("normalise")
    config.keep = False  # the chosen step's encoder in best/, a checkpoint like any other
    config.label = ConfigDict({"fraction": 1.0, "unit": "group"})
    config.semi = semi()
    config.clinical = clinical()
    config.knn = ConfigDict({"k": 20, "features": "h", "compat": False})
    adam = {"name": "adamw", "weight_decay": 1e-4, "decay": "kernels", "schedule": "cosine"}
    config.probe = ConfigDict(
        {
            "settings": {
                "steps": 200,
                "batch_size": 32,
                "eval_every": 50,
                "balance": "sampling",
                "select": "balanced_accuracy",
                "released": False,
            },
            # over `settings` where linear runs on embeddings made once: when nothing is augmented
            "linear_settings": {"steps": 1000, "batch_size": 64, "eval_every": 50},
            "linear": common.optim(**adam, learning_rate=1e-2),
            "linear_bn": common.optim(**adam, learning_rate=1e-2, encoder_rate=0.1),
            "finetune": common.optim(**adam, learning_rate=3e-3, encoder_rate=0.1),
            "scratch": common.optim(**adam, learning_rate=1e-3),
        }
    )
    if variant == "smoke":
        config.seeds, config.modes = 1, "majority,random_knn,random_linear,scratch"
        config.data.frames = 48
        config.probe.update({"settings": {"steps": 2, "eval_every": 2, "batch_size": 8}})
        config.probe.linear_settings = {"steps": 4, "batch_size": 8, "eval_every": 2}
    return config
