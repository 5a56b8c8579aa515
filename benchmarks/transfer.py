"""An evaluation of 400 clips by 7 modes and 3 seeds: how much of its time is not training.

    python -m benchmarks.transfer

Noise of ten classes and 100 groups, two cores, the preset `laptop`, an encoder after one update,
the lengths of configs/transfer.py. The evaluation runs twice, each time as a process of its own:
with nothing compiled before, and with what the first has kept. Training is the loops of updates,
validations that choose the step included, and the fits of logistic regressions.
"""

import collections
import contextlib
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import soundfile

from benchmarks.timing import machine, on_cores

CLIPS, CLASSES, RATE = 400, 10, 22_050
MODES = ("majority", "mel_statistics", "knn", "logistic", "linear", "linear_bn", "finetune")
SEEDS = 3
UPDATES, FITS, COMPILING = "updates and validations", "logistic regressions", "compiling"
OTHERS = "all else"


class Clock:
    """Seconds by what they went to; what happens within another counts for itself alone."""

    def __init__(self):
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self._names, self._since = [OTHERS], time.perf_counter()

    def _book(self) -> None:
        now = time.perf_counter()
        self.seconds[self._names[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Books the time within to a name."""
        self._book()
        self._names.append(name)
        try:
            yield
        finally:
            self._book()
            self._names.pop()

    def wrap(self, owner: Any, function: str, name: str) -> None:
        """Books every call of a module's function to a name."""
        inner: Callable = getattr(owner, function)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.on(name):
                return inner(*args, **kwargs)

        setattr(owner, function, timed)

    def compiled(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        """Takes jax's word of a program that was traced, lowered or compiled."""
        if event.startswith("/jax/core/compile/"):
            self.seconds[COMPILING] += duration_secs
            self.seconds[self._names[-1]] -= duration_secs


def make(folder: pathlib.Path) -> None:
    """Makes a prepared corpus, and a checkpoint after one update."""
    from configs import laptop
    from cryjax.settings import changed
    from cryjax.tasks import pretrain
    from data_prep.main import prepare

    rng, rows = np.random.default_rng(0), ["path,label,group"]
    for i in range(CLIPS):
        path = folder / f"{i}.wav"
        soundfile.write(path, 0.1 * rng.normal(size=2 * RATE), RATE)
        rows.append(f"{path.name},class{i % CLASSES},g{i // 4}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    data = str(folder / "prepared")
    prepare("csv", str(folder / "clips.csv"), data, spec="laptop", split="holdout", workers=0)
    settings = changed(laptop.settings(), {"steps": 1, "data": {"dirs": data}})
    pretrain.run(settings, folder / "run")


def evaluate(folder: pathlib.Path, workdir: str) -> None:
    """Evaluates, and says what took how long."""
    clock = Clock()
    with clock.on("imports"):
        import jax

        from configs import transfer as config
        from cryjax.evaluate import task, training
        from cryjax.evaluate.protocols import logistic
        from cryjax.settings import changed
        from cryjax.tasks import transfer
        from cryjax.train.mesh import keep_compiled
    keep_compiled()
    jax.monitoring.register_event_duration_secs_listener(clock.compiled)
    clock.wrap(training, "run_loop", UPDATES)
    clock.wrap(logistic, "fit_many", FITS)
    clock.wrap(task, "embed_once", "embedding")
    clock.wrap(transfer, "publish", "tables and report")
    changes = {
        "checkpoint": str(folder / "run"),
        "data": {"dirs": str(folder / "prepared"), "cache_dir": str(folder / workdir / "cache")},
        "modes": MODES,
        "seeds": SEEDS,
    }
    with clock.on(OTHERS), contextlib.redirect_stdout(sys.stderr):
        transfer.run(changed(config.settings(), changes), folder / workdir)
    total = sum(clock.seconds.values())
    waited = 1 - (clock.seconds[UPDATES] + clock.seconds[FITS]) / total
    print(f"{workdir}: {total:.1f} s, {waited:.0%} of it not training")
    for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:26}{seconds:7.1f} s")


def main() -> None:
    """Prints where the time goes."""
    on_cores(2)
    if len(sys.argv) > 1:
        evaluate(pathlib.Path(sys.argv[1]), sys.argv[2])
        return
    print(machine("jax", "numpy"))
    print(f"{CLIPS} clips, {SEEDS} seeds, {', '.join(MODES)}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with contextlib.redirect_stdout(sys.stderr):
            make(folder)
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
        for workdir in ("cold", "warm"):
            command = [sys.executable, "-m", "benchmarks.transfer", str(folder), workdir]
            subprocess.run(command, env=env, check=True)


if __name__ == "__main__":
    main()
