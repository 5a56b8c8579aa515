"""Commands that tests start: those of the documentation, and some that compile quickly."""

import os
import pathlib
import subprocess
import sys

import jax

# before jax 0.11 there is another way to compile fusions, in half of the time
OLDER_FUSIONS = "--xla_cpu_use_fusion_emitters=false" if jax.__version_info__ < (0, 11) else ""
# two thirds of a training's compilation, for steps that take a tenth longer
QUICK = f"{OLDER_FUSIONS} --xla_backend_optimization_level=1"
ROOT = pathlib.Path(__file__).parent.parent


def quickly(devices):
    """Returns the variables of a command that compiles quickly and has so many CPU devices."""
    flags = f"{QUICK} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def run_shell(script, cwd, **env):
    """Runs a script with this environment's commands; returns what it said."""
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=cwd,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr
