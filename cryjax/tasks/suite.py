"""A suite: for every fold and seed, pre-train and judge; then one table and one report."""

import copy
import dataclasses
import pathlib
from typing import Any

import jax

from cryjax.evaluate.table import Outcome
from cryjax.tasks import pretrain, transfer
from cryjax.tasks.common import Config, folds_of, open_data
from cryjax.tasks.judged import about


def _pretrain(config: Config, fold: dict[str, str], seed: int, workdir: pathlib.Path) -> None:
    chosen = copy.deepcopy(config["pretrain"])
    chosen["data"]["splits"] = fold.get("train", config["transfer"]["data"]["train"])
    chosen["data"]["hold_out_val"] = bool(fold)  # a suite of folds has no val split
    chosen["data"]["dirs"] = config["transfer"]["data"]["dirs"]
    pretrain.run(chosen | {"seed": seed}, workdir)


def run(config: Config, workdir: pathlib.Path) -> None:
    """Runs as `configs/suite.py` describes; finished parts of the workdir are skipped."""
    corpus = open_data(config["transfer"]["data"])
    there = sorted({clip.split for clip in corpus.clips})
    outcomes: list[Outcome] = []
    curves: list[pathlib.Path] = []
    judged: Any = None
    for fold in folds_of(config, there):
        for seed in range(config["seed"], config["seed"] + config["seeds"]):
            place = workdir / f"{fold.get('test', 'test')}-seed{seed}"
            print(f"\n{place.name}: pre-training")
            _pretrain(config, fold, seed, place / "pretrain")
            chosen = copy.deepcopy(config["transfer"])
            chosen["data"] |= fold
            chosen |= {"checkpoint": str(place / "pretrain"), "seed": seed, "seeds": 1}
            print(f"{place.name}: judging")
            judged, found = transfer.judge(chosen, place / "transfer", [seed])
            outcomes += [dataclasses.replace(o, seed=seed) for o in found]
            curves.append(place / "pretrain")
    if jax.process_index():
        return
    facts = about(judged, transfer.selected_by(config["transfer"]))
    facts |= {
        "title": f"{facts['title'].split(',')[0]}, test folds {config['folds'] or 'test'}",
        "seeds": f"{config['seeds']} a fold, each of pre-training, head and batches",
        "pre-training steps": config["pretrain"]["steps"],
        "pre-training batch": config["pretrain"]["batch_size"],
    }
    transfer.publish(workdir, judged, outcomes, facts, curves, {"suite": config})
