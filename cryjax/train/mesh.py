"""Devices: one mesh axis, data; the batch is split over it, everything else is replicated."""

import os
import pathlib
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def use_all_cores() -> None:
    """Gives the CPU platform one device a core; call before the first use of jax.

    Two devices of one core each train faster than one device with two threads.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


def keep_compiled() -> None:
    """Keeps compiled programs between runs, in $JAX_COMPILATION_CACHE_DIR or ~/.cache/cryjax."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = pathlib.Path.home() / ".cache" / "cryjax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def data_mesh(batch_size: int) -> jax.sharding.Mesh:
    """A mesh over as many devices as divide the batch, all of them if they can."""
    n = jax.device_count()
    if jax.process_count() == 1:
        n = max(k for k in range(1, n + 1) if batch_size % k == 0)
    elif batch_size % n:
        raise ValueError(f"batch_size {batch_size} must divide by the {n} devices")
    return jax.make_mesh((n,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:n])


def processes() -> tuple[int, int]:
    """This process and how many there are."""
    return jax.process_index(), jax.process_count()


def replicate(tree: Any, mesh: jax.sharding.Mesh) -> Any:
    """Puts a copy of every array on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard_batch(batch: dict[str, np.ndarray], mesh: jax.sharding.Mesh) -> dict[str, jax.Array]:
    """Makes the global batch from this process's rows."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return {
        name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()
    }
