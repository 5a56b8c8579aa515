"""Evaluation of a checkpoint: kNN, linear, linear+BN, fine-tuning, beside simple baselines.

    python -m cryjax.main --config=configs/transfer.py --workdir=runs/evaluated \
        --config.checkpoint=runs/simclr --config.data.dirs=prepared/mine

Modes, each a protocol of cryjax.evaluate.protocols: majority; mel_statistics (mean and standard
deviation of the mel bands, which hear the device or the site); knn, logistic, linear, linear_bn and
finetune of the checkpoint; random_knn, random_logistic, random_linear and scratch of fresh weights;
knn_within and random_knn_within (neighbours within the evaluated part, as Fonseca et al. 2021).
Without a checkpoint only those of fresh weights run. `data.folds` tests on each named split in turn
("*" for all). Where `data.val` names no split, `data.val_share` of train validates, by group. Steps
and strengths are chosen on validation; the encoder moves ten times slower than the head (Gorin et
al. 2023 leave the rates open; these are ours).

Few labels: `label.fraction` hides the labels of the other training groups, drawn by seed, nested
(`label.unit=recording` where there are too few groups). Semi-supervised modes, fresh weights, every
training recording as unlabelled: autoencoder, pi_model, vat, pseudo_label, mean_teacher, and
self_training in rounds; `semi` has their settings, `augment.order` what is random in them:

    python -m cryjax.main --config=configs/transfer.py --workdir=runs/few \
        --config.label.fraction=0.05 --config.modes=scratch,pi_model,vat,pseudo_label \
        --config.augment.order=random_resized_crop,spec_augment,normalise
"""

from typing import Any

from configs import common
from cryjax.settings import changed, to_config
from cryjax.tasks.transfer import TransferSettings

TINY = {"steps": 2, "eval_every": 2, "batch_size": 8}
SMOKE = {
    "seeds": 1,
    "modes": "majority,mel_statistics,random_knn,random_linear,scratch",
    "data": {"frames": 48},
    "probe": {
        "linear": TINY | {"steps": 4},
        "linear_bn": TINY,
        "finetune": TINY,
        "scratch": TINY,
    },
}


def settings(variant: str = "") -> TransferSettings:
    common.refuse(variant, ("smoke",))
    return changed(TransferSettings(), SMOKE if variant == "smoke" else {})


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
