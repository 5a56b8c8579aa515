"""Ablations: a table of variants, each pre-trained and evaluated alike, in one command.

    python -m cryjax.main --config=configs/ablations.py:list
    python -m cryjax.main --config=configs/ablations.py:sampling --workdir=runs/sampling \
        --config.base.transfer.data.dirs=prepared/mine --config.base.pretrain.steps=1000
    python -m cryjax.main --config=configs/ablations.py:sampling --workdir=runs/sampling \
        --config.only=random,d25

Tables: sampling, mix_back, policies (those of Fonseca et al. 2021, with their figures in a column
of their own: ResNet-18, kNN on FSDnoisy18k) and objectives (every method of this code base with one
encoder). The first three are evaluated as the source does it: z, the 200 nearest windows within the
evaluated part. `base` is a suite (configs/suite.py): its settings are shared by all rows. Finished
rows and parts are skipped; the table is written after each as results.md, .csv and .json.
"""

import math
from typing import Any

from ml_collections import ConfigDict

from configs import common, suite
from cryjax.settings import changed, to_config, to_dict
from cryjax.tasks.table import TableSettings

UCLSER = "mix_back,{}normalise"
# the rows: changes to the suite, and the figure that the source gives
SAMPLING = {
    "random": (None, 70.1),
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
    "crop_compress_noise": ("random_resized_crop,compress,gaussian_noise,", 70.1),
    "crop_compress": ("random_resized_crop,compress,", 69.6),
    "crop_spec_augment": ("random_resized_crop,spec_augment,", 70.0),
    "crop": ("random_resized_crop,", 69.0),
    "spec_augment": ("spec_augment,", 68.0),
    "none": ("", 60.1),
}
SOURCE_KNN = {"k": 200, "features": "z"}

Rows = dict[str, tuple[dict[str, Any], float]]


def _augment(**changes: Any) -> dict[str, Any]:
    return {"pretrain": {"augment": changes}}


def tables() -> dict[str, Rows]:
    sampling = {k: ({"pretrain": {"data": {"distance": d}}}, v) for k, (d, v) in SAMPLING.items()}
    mixes = {
        k: (_augment(mix_back={"alpha": alpha, "adjust_energy": energy}), v)
        for k, (alpha, energy, v) in MIX_BACK.items()
    }
    without = "random_resized_crop,compress,gaussian_noise,normalise"
    mixes["without"] = (_augment(order=without), 63.3)
    policies = {k: (_augment(order=UCLSER.format(p)), v) for k, (p, v) in POLICIES.items()}
    return {"sampling": sampling, "mix_back": mixes, "policies": policies, "objectives": _methods()}


def _methods() -> Rows:
    """Takes what makes every method; encoder, data and length are the base's."""
    rows: Rows = {}
    for name in ("simclr", *suite.METHODS):
        theirs = to_dict(suite.settings("" if name == "simclr" else name).pretrain)
        taken = {key: theirs[key] for key in ("objective", "augment", "optim")}
        taken["data"] = {"distance": theirs["data"]["distance"]}
        rows[name] = ({"pretrain": taken}, float("nan"))
    return rows


def get_config(variant: str = "sampling") -> Any:
    known = tables()
    common.refuse(variant, ("list", "smoke", *known))
    if variant == "list":
        text = "\n".join(f"{t}: {', '.join(rows)}" for t, rows in known.items())
        return ConfigDict({"task": "list", "text": text})
    name = "sampling" if variant in ("", "smoke") else variant
    rows, smoke = known[name], variant == "smoke"
    modes = "knn,linear" if name == "objectives" else "knn_within"
    random = "random_linear" if name == "objectives" else "random_knn_within"
    shown = ("majority", "mel_statistics", random, *modes.split(","))
    base = changed(
        suite.settings("smoke" if smoke else ""),
        {"transfer": {"modes": ",".join(shown)}},
    )
    if name != "objectives":
        base = changed(base, {"transfer": {"knn": SOURCE_KNN}})
    figures = {row: figure for row, (_, figure) in rows.items() if not math.isnan(figure)}
    config = to_config(
        TableSettings(
            table=name,
            only=("random", "d25") if smoke else tuple(rows),
            modes=shown,
            published={row: {"knn_within": figure} for row, figure in figures.items()},
        )
    )
    config.base = suite.without_decided(to_config(base))
    config.rows = ConfigDict({row: changes for row, (changes, _) in rows.items()})
    return config
