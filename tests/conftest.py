import fcntl
import functools
import importlib
import os
import pathlib
import tempfile

import jax
import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict
from shell import OLDER_FUSIONS

from cryjax.settings import changed, from_dict
from cryjax.tasks import TASKS
from cryjax.train.mesh import convolve_without_ynnpack

# more devices than cores, on a machine that has other work: see use_all_cores
os.environ.setdefault("NPROC", "64")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_collective_call_terminate_timeout_seconds=600")
convolve_without_ynnpack()
jax.config.update("jax_num_cpu_devices", 8)
# most of a test's time is compilation; commands that tests start compile as users have it, or
# QUICK, and so does `.ci/run` with its newer Python
if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:
    jax.config.update("jax_disable_most_optimizations", True)
    with pytest.MonkeyPatch.context() as here:
        split = "--xla_cpu_parallel_codegen_split_count=1"
        here.setenv("XLA_FLAGS", f"{os.environ['XLA_FLAGS']} {OLDER_FUSIONS} {split}")
        jax.devices()  # reads the flags, once
# the same small programs are compiled again and again: keep them while the tests run
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):  # workers have their starter's
    CACHE = tempfile.TemporaryDirectory(prefix="cryjax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_numpy_rank_promotion", "raise")

HERE = pathlib.Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
LONG = {
    "test_demo.py",
    "test_practical.py",
    "test_docs.py",
    "test_first_hour.py",
    "test_wheel.py",
}


def pytest_collection_modifyitems(items):
    """Starts what takes minutes first: at the end one process would wait for the other."""
    items.sort(key=lambda item: (item.path.name not in LONG, "slow" not in item.keywords))


@pytest.fixture(scope="session")
def golden():
    """Loads a golden file: the copy in tests/golden, else the one in the shared folder."""

    def load(name):
        for path in (HERE / "golden" / f"{name}.npz", SHARED / "golden" / f"{name}.npz"):
            if path.exists():
                with np.load(path) as arrays:
                    return dict(arrays)
        pytest.skip(f"golden array {name} is not shipped and ../shared is absent")

    return load


@pytest.fixture(scope="session")
def recordings():
    """A folder of the shared real recordings."""

    def folder(name):
        if not (SHARED / "data" / name).exists():
            pytest.skip(f"../shared/data/{name} is absent")
        return SHARED / "data" / name

    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Fills a folder in one of the processes that share the tests; the others wait and read it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def folder(name, fill):
        path, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                path.mkdir()
                fill(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def prepared(once):
    """A small prepared corpus: tones and noises of twelve groups."""
    return once("corpus", tones_and_noises) / "prepared"


def tones_and_noises(root):
    from data_prep.main import prepare

    rng, rows = np.random.default_rng(0), ["path,label,group"]
    for i in range(36):
        label, group = ("tone", "noise")[i % 2], f"g{i // 3}"
        t = np.arange(20_000) / 16_000
        wave = (
            np.sin(2 * np.pi * rng.uniform(300, 900) * t)
            if label == "tone"
            else rng.normal(size=len(t))
        )
        soundfile.write(root / f"{i}.wav", 0.3 * wave / np.abs(wave).max(), 16_000)
        rows.append(f"{i}.wav,{label},{group}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    prepare("csv", str(root / "clips.csv"), str(root / "prepared"), split="holdout", workers=0)


@pytest.fixture(scope="session")
def smoke(prepared):
    """A config's smoke variant on the small corpus, with a tiny encoder, as its settings."""

    def make(module, **changes):
        config = module.get_config("smoke")
        for part in (config, config.get("pretrain", {}), config.get("transfer", {})):
            if "data" in part and "dirs" in part.data:
                part.data.dirs = str(prepared)
            if "encoder" in part:
                part.encoder = ConfigDict({"name": "vgg", "width": 4})
        name, kind = TASKS[config.task]
        settings = getattr(importlib.import_module(name), kind)
        return changed(from_dict(settings, config.to_dict()), nested(changes))

    return make


def nested(flat):
    """Dotted names as nested dictionaries."""
    tree = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        part = tree
        for key in path:
            part = part.setdefault(key, {})
        part[last] = value
    return tree


@pytest.fixture(scope="session")
def trained(smoke, once):
    """A pre-training run of four steps."""
    from configs import simclr
    from cryjax.tasks import pretrain

    return once("run", lambda workdir: pretrain.run(smoke(simclr), workdir))


@pytest.fixture(scope="session")
def judged_by(smoke, trained, once):
    """Workdir of an evaluation by one mode, which kept its classifier."""
    from configs import transfer
    from cryjax.tasks import transfer as transfer_task

    def run(mode):
        settings = smoke(transfer, checkpoint=str(trained), modes=mode, seeds=1)
        return once(f"judged by {mode}", functools.partial(transfer_task.run, settings))

    return run


@pytest.fixture(scope="session")
def classifier(judged_by):
    """Folder of a linear classifier of tones and noises."""
    return judged_by("linear") / "best" / "linear-seed0"


@pytest.fixture
def interrupted(monkeypatch):
    """Pre-trains until an interrupt within the fourth step."""
    from cryjax.tasks import pretrain

    def run(config, workdir):
        original = pretrain.make_step

        def dies_in_step_3(*args, **settings):
            step, calls = original(*args, **settings), []

            def stepping(*inputs):
                calls.append(1)
                if len(calls) == 4:
                    raise KeyboardInterrupt
                return step(*inputs)

            return stepping

        with monkeypatch.context() as patch:
            patch.setattr(pretrain, "make_step", dies_in_step_3)
            with pytest.raises(KeyboardInterrupt):
                pretrain.run(config, workdir)

    return run
