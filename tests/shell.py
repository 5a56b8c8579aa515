"""Commands of the documentation, run as a reader runs them."""

import os
import pathlib
import subprocess
import sys


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
