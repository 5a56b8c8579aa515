"""A study: pre-trains and evaluates its encoders, and writes one table, one figure, one verdict."""

import pathlib
import time
from collections import defaultdict

from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report.study import StudyReport, add_seconds
from cryjax.locks import hold
from cryjax.studies.evaluation import Choices, evaluate_part
from cryjax.studies.parts import facts_of, parts_of
from cryjax.studies.settings import StudySettings
from cryjax.tasks import pretrain
from cryjax.train.log import Countdown

__all__ = ["StudySettings", "run"]


def run(settings: StudySettings, workdir: pathlib.Path) -> None:
    """Runs as `configs/study.py` describes; what is there already is not run again."""
    s, text = settings, ""
    parts, choices = parts_of(settings), Choices(settings)
    cells: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    countdown = Countdown("part", len(parts))
    report = StudyReport(
        s.study, s.question, s.metric, s.compare, s.published, s.ranks, s.crossings
    )
    for number, part in enumerate(parts, 1):
        countdown.begin(part.name)
        if part.pretrain is not None:
            with hold(part.workdir / ".lock"):
                pretrain.run(part.pretrain, part.workdir)
        started = time.monotonic()
        for name in [s.home, *sorted(s.tasks.keys() - {s.home})][: None if part.first else 1]:
            for cell, outcomes in evaluate_part(settings, part, name, choices, workdir).items():
                cells[name, *cell] += outcomes
        seconds = add_seconds(workdir / "seconds.json", part.name, time.monotonic() - started)
        about = facts_of(parts[:number], len(parts), sum(seconds.values()) / 60)
        text = report.save(workdir, cells, about | choices.facts(), choices.cautions())
    print(f"\n{text}\nwritten to {workdir / settings.study}.md, .csv, .json and .png")
