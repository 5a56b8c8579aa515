import os
import pathlib
import tempfile

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 8)
# the same small programs are compiled again and again: keep them while the tests run
CACHE = tempfile.TemporaryDirectory(prefix="cryjax-tests-")
jax.config.update("jax_compilation_cache_dir", CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
jax.config.update("jax_numpy_rank_promotion", "raise")

HERE = pathlib.Path(__file__).parent
SHARED = HERE.parent.parent / "shared"


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
