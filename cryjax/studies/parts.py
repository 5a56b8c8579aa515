"""The parts of a study: which encoder, seed and fold, pre-trained how and where."""

import dataclasses
import hashlib
import json
import pathlib
import statistics
from typing import Any

from cryjax.data.corpus import open_corpus
from cryjax.data.parts import folds_of
from cryjax.errors import UserError
from cryjax.evaluate.task import EvaluationData
from cryjax.pretraining import PretrainSettings
from cryjax.settings import from_dict, merged, unlike_defaults
from cryjax.studies.settings import RANDOM, StudySettings, evaluation_of
from cryjax.train.log import load_metrics


@dataclasses.dataclass(frozen=True)
class Part:
    """One encoder of one seed, pre-trained for one fold.

    Attributes:
      encoder: Name of the encoder.
      seed: Seed of its weights, batches and heads.
      first: Whether the fold is the study's first.
      data: Split of the first task.
      pretrain: Its pre-training; None for random weights.
      workdir: Where that is.
    """

    encoder: str
    seed: int
    first: bool
    data: EvaluationData
    pretrain: PretrainSettings | None
    workdir: pathlib.Path

    @property
    def fold(self) -> str:
        """Name of the test splits of the first task."""
        return "+".join(self.data.test)

    @property
    def name(self) -> str:
        """Name of the part within its study."""
        return f"{self.encoder}, {self.fold}, seed {self.seed}"


def pretraining_of(settings: PretrainSettings, data: EvaluationData, seed: int) -> PretrainSettings:
    """Decides what a fold pre-trains on: nothing that the evaluation validates or tests on."""
    drawn = not data.val and data.val_by == "group"
    pool = dataclasses.replace(
        settings.data,
        dirs=data.dirs,
        splits=data.train,
        hold_out_val_share=data.val_share if drawn else 0.0,
        protect_splits=tuple(dict.fromkeys((*settings.data.protect_splits, *data.val, *data.test))),
        on_protected="drop",
    )
    return dataclasses.replace(settings, data=pool, seed=seed)


def parts_of(settings: StudySettings) -> list[Part]:
    """Lists all encoders of all seeds and folds, the first seed of everything first.

    Encoders that share settings, data, fold and seed, in whichever study, share their folder.

    Raises:
      UserError: No encoder is to be run, or one starts from another that is not.
    """
    if not settings.only:
        raise UserError(f"config.only is empty: name some of {', '.join(settings.encoders)}")
    home = evaluation_of(settings, settings.home).data
    home = dataclasses.replace(home, folds=settings.folds)
    folds = folds_of(home, open_corpus(home.dirs, home).splits)
    most = max([settings.seeds, *settings.seeds_of.values()])
    parts: list[Part] = []
    for seed in range(most):
        for number, fold in enumerate(folds):
            data, places = dataclasses.replace(home, **fold), {}
            for name in settings.only:
                changes = settings.encoders[name]
                if seed >= settings.seeds_of.get(name, settings.seeds):
                    continue
                pretrain = None
                if name != RANDOM:
                    pretrain = _pretraining(settings, changes, data, seed, places)
                place = _place(settings, pretrain)
                places[name] = str(place)
                parts.append(Part(name, seed, number == 0, data, pretrain, place))
    return parts


def _pretraining(
    settings: StudySettings,
    changes: dict[str, Any],
    data: EvaluationData,
    seed: int,
    places: dict[str, str],
) -> PretrainSettings:
    plain = merged(settings.pretrain, changes)
    init = plain.get("init")
    if init in settings.encoders:
        if init not in places:
            raise UserError(
                f"config.only: an encoder starts from {init!r}, which must stand before it"
            )
        plain = merged(plain, {"init": places[init]})
    made = from_dict(PretrainSettings, plain, "config.pretrain")
    if made.data.dirs != PretrainSettings().data.dirs:  # a pool of its own, not the first task's
        return dataclasses.replace(made, seed=seed)
    return pretraining_of(made, data, seed)


def _place(settings: StudySettings, pretrain: PretrainSettings | None) -> pathlib.Path:
    """Names the folder of a pre-training after all that decides it."""
    runs = pathlib.Path(settings.runs)
    if pretrain is None:
        return runs / RANDOM
    folders = [pathlib.Path(path).name for path in pretrain.data.folders]
    start = pathlib.Path(pretrain.init).name if pretrain.init else None
    decisive = json.dumps([unlike_defaults(pretrain), folders, start], sort_keys=True)
    digest = hashlib.sha256(decisive.encode()).hexdigest()[:10]
    return runs / f"{pretrain.objective.name}-{'+'.join(folders)}-{digest}"


def minutes_of(workdir: pathlib.Path) -> float:
    """Computes how long a pre-training took, from the speeds that its log kept."""
    rows = [row for row in load_metrics(workdir) if row.get("clips_per_s")]
    if not rows:
        return 0.0
    plain = json.loads((workdir / "config.json").read_text(encoding="utf-8"))["config"]
    speed = statistics.median(row["clips_per_s"] for row in rows)
    return plain["steps"] * plain["batch_size"] / speed / 60


def facts_of(done: list[Part], of: int, evaluated_min: float) -> dict[str, str]:
    """Says what the numbers of a study are.

    Args:
      done: Parts that are in the table.
      of: Number of all parts.
      evaluated_min: Minutes that evaluating took.
    """
    trained = {part.workdir: part for part in done if part.pretrain is not None}
    minutes = {place: minutes_of(place) for place in trained}
    each: dict[str, list[float]] = {}
    for place, part in trained.items():
        each.setdefault(part.encoder, []).append(minutes[place])
    words = [f"{name} {statistics.mean(values):.0f}" for name, values in each.items()]
    return {
        "parts": f"{len(done)} of {of} (encoder, fold, seed)",
        "pre-training": f"{sum(minutes.values()):.0f} minutes in all; minutes of each: "
        f"{', '.join(words) or 'none'}",
        "evaluation": f"{evaluated_min:.0f} minutes in all",
    }
