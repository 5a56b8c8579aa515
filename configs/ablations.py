"""Ablations: a table of variants, each pre-trained and judged alike, in one command.

    python -m cryjax.main --config=configs/ablations.py:list
    python -m cryjax.main --config=configs/ablations.py:sampling --workdir=runs/sampling \
        --config.base.transfer.data.dirs=prepared/mine --config.base.pretrain.steps=1000
    python -m cryjax.main --config=configs/ablations.py:sampling --workdir=runs/sampling \
        --config.only=random,d25

Tables: sampling, mix_back, policies (those of Fonseca et al. 2021, with their figures in a column
of their own: ResNet-18, kNN on FSDnoisy18k) and objectives (every method of this code base with one
encoder). `base` is a suite (configs/suite.py): its settings are shared by all rows. Finished rows
and parts are skipped; the table is written after each as results.md, .csv and .json.
"""

import math
from typing import Any

from ml_collections import ConfigDict

from configs import common, suite

UCLSER = "mix_back,{}normalise"
# the rows: changes to the suite, and the figure that the source gives
SAMPLING = {
    "random": (-1, 70.1),
    "d0": (0, 51.1),
    "d25": (25, 61.5),
    "d75": (75, 65.1),
    "d125": (125, 67.9),
    "d200": (200, 69.9),
    "d300": (300, 68.5),
    "d400": (400, 69.7),
}
MIX_BACK = {"with_energy": (0.05, True, 70.1), "without_energy": (0.02, False, 66.2)}
POLICIES = {
    "crop_compress_noise": ("crop,compress,noise,", 70.1),
    "crop_compress": ("crop,compress,", 69.6),
    "crop_spec_augment": ("crop,spec_augment,", 70.0),
    "crop": ("crop,", 69.0),
    "spec_augment": ("spec_augment,", 68.0),
    "none": ("", 60.1),
}

Rows = dict[str, tuple[dict[str, Any], float]]


def _augment(**changes: Any) -> dict[str, Any]:
    return {"pretrain": {"augment": changes}}


def _tables() -> dict[str, Rows]:
    sampling = {k: ({"pretrain": {"data": {"distance": d}}}, v) for k, (d, v) in SAMPLING.items()}
    mixes = {
        k: (_augment(mix_back={"alpha": alpha, "adjust_energy": energy}), v)
        for k, (alpha, energy, v) in MIX_BACK.items()
    }
    mixes["without"] = (_augment(order="crop,compress,noise,normalise"), 63.3)
    policies = {k: (_augment(order=UCLSER.format(p)), v) for k, (p, v) in POLICIES.items()}
    return {"sampling": sampling, "mix_back": mixes, "policies": policies, "objectives": _methods()}


def _methods() -> Rows:
    """Objective, augmentation, distance and optimiser of every method; the rest is the base's."""
    rows: Rows = {}
    for name in ("simclr", *suite.METHODS):
        base: Any = suite.get_config("" if name == "simclr" else name)
        theirs = base.pretrain.to_dict()
        taken = {key: theirs[key] for key in ("objective", "augment", "optim")}
        taken["data"] = {"distance": theirs["data"]["distance"]}
        rows[name] = ({"pretrain": taken}, float("nan"))
    return rows


def get_config(variant: str = "sampling") -> ConfigDict:
    tables = _tables()
    common.refuse(variant, ("list", "smoke", *tables))
    config: Any = ConfigDict()
    if variant == "list":
        config.task = "list"
        config.text = "\n".join(f"{t}: {', '.join(rows)}" for t, rows in tables.items())
        return config
    rows = tables["sampling" if variant in ("", "smoke") else variant]
    config.task = "ablate"
    config.table = variant or "sampling"
    config.only = ",".join(rows)  # rows to run
    config.modes = "knn" if variant != "objectives" else "knn,linear"  # columns of the table
    config.metric = "accuracy"
    config.base = suite.get_config("smoke" if variant == "smoke" else "")
    config.base.update({"transfer": {"modes": "majority," + config.modes}})
    config.rows = {name: changes for name, (changes, _) in rows.items()}
    figures = {name: figure for name, (_, figure) in rows.items()}
    config.published = {n: {"knn": f} for n, f in figures.items() if not math.isnan(f)}
    if variant == "smoke":
        config.only = "random,d25"
    return config
