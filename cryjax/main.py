"""Runs the task a config names: python -m cryjax.main --config=configs/simclr.py --workdir=DIR.

Any setting can be overridden: --config.encoder.name=cnn14 --config.objective.temperature=0.2.
A config has variants behind a colon: --config=configs/simclr.py:smoke runs in a minute on a laptop.
An interrupted run continues when the same command is started again. Asked to stop (SIGTERM), a run
saves and exits with status 75: not done, start it again.
"""

import difflib
import importlib
import importlib.util
import io
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from cryjax.tasks import TASKS

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/, with :variant.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the processes of a TPU pod or cluster."
)
_ADDRESS = flags.DEFINE_string("coordinator_address", None, "host:port of process 0, else found.")
_COUNT = flags.DEFINE_integer("num_processes", None, "Of the run; with --coordinator_address.")
_INDEX = flags.DEFINE_integer("process_id", None, "Of this one; with --coordinator_address.")
TRY_AGAIN = 75  # sysexits.h: temporary failure
MANY_PROCESSES = ("pretrain",)  # tasks that may be spread; the others are small
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written and resumed from.")


def paths(config: ConfigDict, prefix: str = "config") -> Iterator[str]:
    """Every setting that can be overridden, by its full name."""
    for key, value in config.items():
        yield f"{prefix}.{key}"
        if isinstance(value, ConfigDict):
            yield from paths(value, f"{prefix}.{key}")


def explain_override(argv: Sequence[str], error: Exception) -> str:
    """Names the settings nearest to an override that does not exist."""
    chosen = next((a for a in argv if a.split("=")[0].lstrip("-") == "config"), None)
    given = [a.split("=")[0].lstrip("-") for a in argv if a.lstrip("-").startswith("config.")]
    if chosen is None or not given:
        return str(error)
    path, _, variant = chosen.partition("=")[2].partition(":")
    loader = importlib.util.spec_from_file_location("config_of_error", path)
    if loader is None or loader.loader is None or not pathlib.Path(path).exists():
        return str(error)
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    there = list(paths(module.get_config(variant)))
    lines = [
        f"{name} is not a setting of {path}; near: "
        f"{', '.join(difflib.get_close_matches(name, there, 3, 0.5)) or 'see the file'}"
        for name in given
        if name not in there
    ]
    return "\n".join(lines) or str(error)


def _main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; settings start with --config.")
    if _CONFIG.value is not None and _CONFIG.value.task == "list":
        print(_CONFIG.value.text)
        return
    if _CONFIG.value is None or _WORKDIR.value is None:
        raise app.UsageError("--config and --workdir are needed")
    config = _CONFIG.value.to_dict()
    if config["task"] not in TASKS:
        raise app.UsageError(f"config.task must be one of {', '.join(TASKS)}")
    from cryjax.train.faults import PreemptedError

    logging.set_verbosity(logging.ERROR)  # Orbax tells every step of every save
    try:
        _prepare(config)
        task = importlib.import_module(TASKS[config["task"]])
        task.run(config, pathlib.Path(_WORKDIR.value))
    except PreemptedError as error:
        print(f"cryjax: {error}; the same command continues", file=sys.stderr)
        sys.exit(TRY_AGAIN)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"cryjax: {error}")


def _prepare(config: dict) -> None:
    """Devices and processes, before the first use of jax."""
    from cryjax.train import mesh

    if config.get("deterministic"):
        mesh.make_deterministic()
    mesh.use_all_cores()
    mesh.keep_compiled()
    mesh.connect(_DISTRIBUTED.value, _ADDRESS.value, _COUNT.value, _INDEX.value)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what was said survives a kill -9
    index, count = mesh.processes()
    if count > 1 and config["task"] not in MANY_PROCESSES:
        raise ValueError(
            f"config.task={config['task']} runs in one process, this is one of {count}"
        )
    if index:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - process 0 speaks for all


def cli() -> None:
    """The command."""
    try:
        app.run(_main)
    except (AttributeError, KeyError) as error:
        sys.exit(f"cryjax: {explain_override(sys.argv[1:], error)}")


if __name__ == "__main__":
    cli()
