"""Devices and processes: a mesh of two axes over which batches and training states are split.

Rows of a batch are split over both axes, so that every device has its own. Arrays of a training
state are split over the second alone and gathered where a step uses them (ZeRO stage 3 of
Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054), so that each of its devices holds about
that fraction of weights, optimiser, teacher and queue.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import joblib
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cryjax.errors import UserError

DATA, MODEL = AXES = ("data", "model")  # of the mesh
SPLIT_FROM = 1024  # elements: smaller arrays are not worth a collective
THREADS_A_DEVICE = 2  # of XLA's pool on a CPU, at least


@dataclasses.dataclass(frozen=True)
class MeshSettings:
    """How devices share a training state; a run may continue with another.

    Attributes:
      model: Number of devices that one copy of weights, optimiser, teacher and queue is split over.
    """

    model: int = 1

    def __post_init__(self):
        if self.model < 1:
            raise UserError(f"mesh.model must be at least 1, got {self.model}")


def use_all_cores() -> None:
    """Gives the CPU platform one device for every two cores; call before the first use of jax.

    One device with two threads trains faster than two of one thread, if XLA convolves itself: see
    `convolve_without_ynnpack`. A collective that waits for the other devices holds a thread of
    XLA's pool, and a device may have several under way: with fewer than two threads a device a step
    could wait for ever. XLA ends a process whose devices wait 40 s for each other; a busy or
    suspended laptop gets ten minutes.
    """
    convolve_without_ynnpack()
    _default_flag("xla_cpu_collective_call_terminate_timeout_seconds", "600")
    cores = joblib.cpu_count()
    asked = re.search(r"xla_force_host_platform_device_count=(\d+)", os.environ["XLA_FLAGS"])
    devices = max(1, cores // THREADS_A_DEVICE) if asked is None else int(asked[1])
    if asked is None:
        jax.config.update("jax_num_cpu_devices", devices)
    os.environ.setdefault("NPROC", str(max(cores, THREADS_A_DEVICE * devices)))


def convolve_without_ynnpack() -> None:
    """Has XLA's own kernels convolve on CPUs; call before the first use of jax, else it is ignored.

    Those of YNNPACK, which jax 0.10 to 0.12 takes by default, leave all threads but one idle
    (0.10), and the kernel's gradient takes them two to four times as long.
    """
    _default_flag("xla_cpu_experimental_ynn_fusion_type", "-individual_convolution")


def keep_compiled() -> None:
    """Keeps compiled programs between runs, in $JAX_COMPILATION_CACHE_DIR or ~/.cache/cryjax."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = pathlib.Path.home() / ".cache" / "cryjax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def make_deterministic() -> None:
    """Asks a GPU for the same bits every time; call before the first use of jax."""
    _add_flags("--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0")


def _default_flag(name: str, value: str) -> None:
    """Adds a flag of XLA that the user did not give."""
    if name not in os.environ.get("XLA_FLAGS", ""):
        _add_flags(f"--{name}={value}")


def _add_flags(flags: str) -> None:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def connect(wanted: bool, address: str | None, count: int | None, index: int | None) -> None:
    """Joins the processes of one run; call before the first use of jax.

    SLURM and Open MPI are noticed; elsewhere it is asked for.

    Args:
      wanted: Whether to look for a cluster (Cloud TPU, SLURM, Open MPI) and to fail without one.
      address: host:port of process 0; None where the cluster tells it.
      count: Number of processes.
      index: Number of this process.
    """
    tasks = [os.environ.get(n, "1") for n in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    if address is not None:
        if count is None or index is None:
            raise UserError("--coordinator_address needs --num_processes and --process_id")
        jax.distributed.initialize(address, count, index)
    elif wanted or max(map(int, tasks)) > 1:
        jax.distributed.initialize()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Lets process 0 go through first, so that it makes what the others then find."""
    alone, first = jax.process_count() == 1, jax.process_index() == 0
    if not alone and not first:
        multihost_utils.sync_global_devices("process 0 is through")
    try:
        yield
    finally:
        if not alone and first:
            multihost_utils.sync_global_devices("process 0 is through")


def require_same_everywhere(value: Any) -> None:
    """Refuses a run whose processes differ in a JSON-able value, such as config and data."""
    if jax.process_count() == 1:
        return
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    everywhere = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    if bad := np.flatnonzero((everywhere != everywhere[0]).any(axis=1)).tolist():
        raise UserError(
            f"processes {bad} have another config or other data than process 0; start all of them "
            "with the same command on the same shards"
        )


def data_mesh(batch_size: int, model: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """Makes a mesh over as many devices as divide the batch, all of them where they do.

    Args:
      batch_size: Rows of a global batch.
      model: Length of the second axis.
      devices: Devices to take them from; None means all.

    Raises:
      UserError: The devices do not divide the batch, or `model` does not divide them.
    """
    devices = jax.devices() if devices is None else devices
    n = len(devices)
    if jax.process_count() == 1:
        n = max((k for k in range(model, n + 1, model) if batch_size % k == 0), default=0)
    if not n or n % model or batch_size % n:
        raise UserError(
            f"the {len(devices)} devices must divide batch_size {batch_size}, and mesh.model "
            f"{model} must divide them"
        )
    grid = np.array(devices[:n]).reshape(-1, model)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)


def processes() -> tuple[int, int]:
    """Returns the number of this process and how many there are."""
    return jax.process_index(), jax.process_count()


def _rows(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(AXES))


def _whole(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


@functools.cache
def _gathering(mesh: Mesh) -> Callable[[Any], Any]:
    """Makes the program that gives every device the whole of every array."""
    return jax.jit(lambda tree: tree, out_shardings=_whole(mesh))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array on every device of the mesh; all processes must call it."""
    if any(isinstance(x, jax.Array) and not x.is_fully_addressable for x in jax.tree.leaves(tree)):
        return _gathering(mesh)(tree)
    return jax.device_put(tree, _whole(mesh))


def state_shardings(tree: Any, mesh: Mesh) -> Any:
    """Says how each array of a training state is split: along its longest axis that divides.

    Where no axis divides by the mesh's second one, or the array is small, every device has a copy.
    """
    parts = mesh.shape[MODEL]

    def of(x: Any) -> NamedSharding:
        lengths = [n if n % parts == 0 else 0 for n in x.shape]
        if parts == 1 or x.size < SPLIT_FROM or not any(lengths):
            return _whole(mesh)
        place = lengths.index(max(lengths))
        return NamedSharding(mesh, PartitionSpec(*[None] * place, MODEL))

    return jax.tree.map(of, tree)


def shard_state(tree: Any, mesh: Mesh) -> Any:
    """Splits the arrays of a fresh training state over the mesh as `state_shardings` says."""
    return jax.device_put(tree, state_shardings(tree, mesh))


def gathered(tree: Any, mesh: Mesh | None) -> Any:
    """Within a compiled function: asks for the whole of every array on every device."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, _whole(mesh))


def split(tree: Any, mesh: Mesh | None) -> Any:
    """Within a compiled function: splits arrays as `state_shardings` says."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, state_shardings(tree, mesh))


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes the global batch, split over the mesh, from this process's rows."""
    return {
        name: jax.make_array_from_process_local_data(_rows(mesh), rows)
        for name, rows in batch.items()
    }


def shard_rows(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """Splits rows over the mesh that every process holds whole."""
    return jax.make_array_from_callback(rows.shape, _rows(mesh), lambda index: rows[index])


def gather_rows(array: jax.Array, mesh: Mesh) -> np.ndarray:
    """Reads a split array whole; every process of a run must call it."""
    if jax.process_count() > 1:
        array = _gathering(mesh)(array)
    return np.asarray(array)
