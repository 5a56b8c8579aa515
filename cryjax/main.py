"""Runs the task of a config: python -m cryjax.main --config=configs/simclr.py --workdir=DIR.

Any setting can be overridden: --config.encoder.name=cnn14 --config.objective.temperature=0.2.
A config has variants behind a colon: --config=configs/simclr.py:smoke runs in a minute on a laptop.
An interrupted run continues when the same command is started again. Asked to stop (SIGTERM), a run
saves and exits with status 75: not done, start it again.
"""

import contextlib
import difflib
import importlib
import io
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from cryjax import help, overrides
from cryjax.errors import UserError
from cryjax.files import show
from cryjax.locks import hold
from cryjax.places import config_file, preparation
from cryjax.settings import choose, differences, from_dict
from cryjax.tasks import TASKS

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/, with :variant.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the processes of a TPU pod or cluster."
)
_ADDRESS = flags.DEFINE_string("coordinator_address", None, "host:port of process 0, else found.")
_COUNT = flags.DEFINE_integer(
    "num_processes", None, "Number of processes; with --coordinator_address."
)
_INDEX = flags.DEFINE_integer(
    "process_id", None, "Number of this process; with --coordinator_address."
)
_NAMES = flags.DEFINE_bool(
    "names", False, "Name groups and recordings in reports, instead of by short hashes."
)
TRY_AGAIN = 75  # sysexits.h: temporary failure
MANY_PROCESSES = ("pretrain",)  # tasks that may be spread; the others are small
EMBEDDED = "synthetic"  # beginning of the names of corpora made by code
EMBEDDED_SPEC = "laptop"  # of their log-mels
PREPARED_AS = "prepared_as.json"  # beside a corpus of a study: what it was asked for
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written and resumed from.")


def setting_names(config: ConfigDict, prefix: str = "config") -> Iterator[str]:
    """Yields every setting that can be overridden, by its full name."""
    for key, value in config.items():
        yield f"{prefix}.{key}"
        if isinstance(value, ConfigDict):
            yield from setting_names(value, f"{prefix}.{key}")


def chosen_config(argv: Sequence[str]) -> tuple[str, str] | None:
    """Finds file and variant of --config on the command line; None without one."""
    for number, argument in enumerate(argv):
        name, sign, value = argument.partition("=")
        if argument.startswith("-") and name.lstrip("-") == "config":
            value = value if sign else next(iter(argv[number + 1 :]), "")
            path, _, variant = value.partition(":")
            return path, variant
    return None


def with_config_file(argv: Sequence[str]) -> list[str]:
    """Puts the file in the place of a config's name, as in --config=simclr:smoke."""
    chosen = chosen_config(argv)
    if chosen is None:
        return list(argv)
    named = ":".join(chosen).removesuffix(":")
    found = named.replace(chosen[0], config_file(chosen[0]), 1)
    changed = {named: found, f"--config={named}": f"--config={found}"}
    return [changed.get(argument, argument) for argument in argv]


def explain_override(argv: Sequence[str], error: Exception) -> str:
    """Names the settings nearest to an override that does not exist."""
    chosen = chosen_config(argv)
    given = [a.split("=")[0].lstrip("-") for a in argv if a.lstrip("-").startswith("config.")]
    if chosen is None or not given:
        return str(error)
    path, variant = chosen
    names = list(setting_names(help.make_config(help.load_config(path), variant)))
    lines = [
        f"{name} is not a setting of {path}; nearest: {_nearest(name, names)}"
        for name in given
        if name not in names
    ]
    return "\n".join(lines) or str(error)


def _nearest(name: str, names: Sequence[str]) -> str:
    """Lists settings of nearly this name, and those of the same last part elsewhere."""
    same = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    near = [*same[:3], *difflib.get_close_matches(name, names, 3, 0.5)]
    return ", ".join(dict.fromkeys(near)) or "see the file"


def with_embedded(values: Any) -> Any:
    """Prepares the corpora made by code that settings name, and puts their folders in place."""
    if not isinstance(values, dict):
        return values
    made = {key: with_embedded(value) for key, value in values.items()}
    if root := made.get("embedded_dir"):
        for key in [k for k in made if k.endswith("dirs") and isinstance(made[k], str)]:
            names = [name.strip() for name in made[key].split(",")]
            made[key] = ",".join(_embedded(name, root) for name in names)
    return made


def with_corpora(config: dict[str, Any]) -> dict[str, Any]:
    """Prepares the corpora that a study needs, and puts their folders in the place of their names.

    Raises:
      UserError: Recordings are missing, or a folder holds the corpus prepared in another way.
    """
    folders = {}
    for name, how in config.pop("corpora", {}).items():
        folders[name] = folder = pathlib.Path(config["prepared"]) / name
        _prepare_corpus(folder, pathlib.Path(config["recordings"]), dict(how))

    def placed(values: Any, key: str = "") -> Any:
        if isinstance(values, dict):
            return {k: placed(v, k) for k, v in values.items()}
        if key.endswith("dirs") and isinstance(values, str):
            names = [name.strip() for name in values.split(",")]
            return ",".join(str(folders.get(name, name)) for name in names)
        return values

    return placed(config)


def _prepare_corpus(folder: pathlib.Path, recordings: pathlib.Path, how: dict[str, Any]) -> None:
    """Prepares a corpus that is not there yet, and remembers how beside it."""
    from cryjax.files import load_json, save_json

    remembered, wanted = folder / PREPARED_AS, dict(how)
    if remembered.exists() and _is_prepared(folder, how["spec"]):
        if (found := load_json(remembered, "remove the folder")) == wanted:
            return
        raise UserError(
            f"{folder} was prepared otherwise: {'; '.join(differences(found, wanted, 'corpus'))}; "
            "remove it, or name another folder with --config.prepared"
        )
    corpus, source = how.pop("corpus"), recordings / how.pop("source")
    if not source.exists():
        raise UserError(
            f"{source} is missing: this study is about recordings of the corpus {corpus}; put them "
            "there, or name the folder that holds them with --config.recordings"
        )
    _prepare(corpus, str(source), folder, **how)
    save_json(remembered, wanted)


def _prepare(corpus: str, source: str | None, folder: pathlib.Path, **how: Any) -> None:
    importlib.import_module(preparation("main")).prepare(corpus, source, str(folder), **how)


def _is_prepared(folder: pathlib.Path, spec: str) -> bool:
    from cryjax.data.shards import load_shards
    from cryjax.spec import preset

    try:
        return load_shards(folder).spec == preset(spec)
    except UserError:  # not there yet, or of another version
        return False


def show_names(values: Any) -> None:
    """Sets `clinical.names` wherever a config has it."""
    for key, value in values.items() if isinstance(values, dict) else ():
        if key == "clinical":
            value["names"] = True
        show_names(value)


def _embedded(name: str, root: str) -> str:
    if not name.startswith(EMBEDDED) or pathlib.Path(name).exists():
        return name
    folder = pathlib.Path(root) / name
    if not _is_prepared(folder, EMBEDDED_SPEC):
        _prepare(name, None, folder, spec=EMBEDDED_SPEC, workers=0)
    return str(folder)


def _main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; settings start with --config.")
    if _CONFIG.value is not None and _CONFIG.value.task == "list":
        show(_CONFIG.value.text)
        return
    if _CONFIG.value is None or _WORKDIR.value is None:
        raise app.UsageError("--config and --workdir are needed")
    from cryjax.train import mesh
    from cryjax.train.faults import PreemptedError

    logging.set_verbosity(logging.ERROR)  # Orbax tells every step of every save
    try:
        config = _CONFIG.value.to_dict()
        name, kind = choose(config["task"], TASKS, "config.task")
        _prepare_devices(config["task"], bool(config.get("deterministic")))
        task = importlib.import_module(name)
        from_dict(getattr(task, kind), config)  # a slip is answered before anything is prepared
        with mesh.main_first():
            config = with_embedded(with_corpora(config))
        if _NAMES.value:
            show_names(config)
        workdir = pathlib.Path(_WORKDIR.value)
        with hold(workdir / ".lock") if mesh.processes()[0] == 0 else contextlib.nullcontext():
            task.run(from_dict(getattr(task, kind), config), workdir)
    except PreemptedError as error:
        print(f"cryjax: {error}; the same command continues", file=sys.stderr)
        sys.exit(TRY_AGAIN)
    except UserError as error:
        sys.exit(f"cryjax: {error}")


def _prepare_devices(task: str, deterministic: bool) -> None:
    """Sets devices and processes up, before the first use of jax."""
    from cryjax.train import mesh

    if deterministic:
        mesh.make_deterministic()
    mesh.use_all_cores()
    mesh.keep_compiled()
    mesh.connect(_DISTRIBUTED.value, _ADDRESS.value, _COUNT.value, _INDEX.value)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # what was said survives a kill -9, and a terminal that knows no ± is no reason to end
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    index, count = mesh.processes()
    if count > 1 and task not in MANY_PROCESSES:
        raise UserError(f"config.task={task} runs in one process, this is one of {count}")
    if index:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - process 0 speaks for all


def _parse(args: Sequence[str]) -> list[str]:
    """Parses flags; answers --help, and names the nearest of what does not exist."""
    args = with_config_file(args)
    chosen = chosen_config(args[1:])
    try:
        if {"--help", "-h", "-help", "--helpfull"} & set(args[1:]):
            show(help.of_config(":".join(chosen)) if chosen else f"{__doc__}\n{_flags_in_words()}")
            sys.exit()
        if chosen is None:
            return flags.FLAGS(args)
        plain = help.make_config(help.load_config(chosen[0]), chosen[1])
        left, holder = flags.FLAGS(args), cast(Any, flags.FLAGS["config"])
        given = config_flags.get_override_values(holder)
        overrides.refuse_unread(given, holder.value)
        overrides.forget_of_another_encoder(given, holder.value, plain)
        return left
    except (AttributeError, KeyError) as error:
        sys.exit(f"cryjax: {explain_override(args[1:], error)}")
    except (flags.Error, UserError, SyntaxError) as error:
        sys.exit(f"cryjax: {error}")


def _flags_in_words() -> str:
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0] if __name__ == "__main__" else __name__)
    lines = [f"  --{flag.name:20} {flag.help} (default: {flag.default})" for flag in own]
    return "\n".join(["Flags:", "", *lines, "", help.overview()])


def cli() -> None:
    """Runs the command."""
    app.run(_main, flags_parser=_parse)


if __name__ == "__main__":
    cli()
