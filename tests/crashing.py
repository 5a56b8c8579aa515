"""Stands for decoders with a fault: what data_prep's workers must survive."""

import os
import signal
import time

import numpy as np

from cryjax.data.manifest import Clip
from cryjax.data.preparation import Prepared


def make():
    """What a worker calls a clip with."""
    return prepare


def prepare(clip: Clip) -> Prepared:
    """Crashes, hangs or eats memory, by the clip's name; else gives its number back."""
    if clip.path == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if clip.path == "hang":
        time.sleep(600)
    if clip.path == "hunger":
        try:
            np.ones(1 << 40)
        except MemoryError:
            return Prepared(reason="does not fit into memory")
    return Prepared(np.zeros((1, 1)), seconds=float(clip.path))
