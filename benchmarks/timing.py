"""What all benchmarks share: cores, turns, medians, and where it was measured."""

import datetime
import importlib
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def answer_help() -> None:
    """Prints the script's own text and ends where that is asked for."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(sys.modules["__main__"].__doc__)
        sys.exit()


def on_cores(count: int) -> None:
    """Starts the script again on so many cores, before any library has counted them."""
    answer_help()
    cores = sorted(os.sched_getaffinity(0))[:count]
    if os.environ.get("CRYJAX_BENCHMARK_CORES") == str(count):
        return
    os.sched_setaffinity(0, cores)
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(count)
    )
    os.environ |= threads | {"CRYJAX_BENCHMARK_CORES": str(count)}
    spec: Any = sys.modules["__main__"].__spec__
    os.execv(sys.executable, [sys.executable, "-m", spec.name, *sys.argv[1:]])


def need(module: str, how: str) -> Any:
    """Imports a peer, or says how to get it; nothing is installed here."""
    try:
        return importlib.import_module(module)
    except ImportError:
        sys.exit(f"this benchmark needs {module}: {how}")


def machine(*packages: str) -> str:
    """Describes date, processor, cores and versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0))
    date = datetime.datetime.now(datetime.UTC).date()
    return f"{date}, {cores} core(s) of {names[0]}, Python {platform.python_version()}, {versions}"


def in_turns(work: Mapping[Any, Callable[[], Any]], rounds: int = 7) -> dict[Any, list[float]]:
    """Seconds of each, one after the other in every round, after one round that does not count."""
    for run in work.values():
        run()
    took: dict[Any, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - started)
    return took


def report(title: str, took: Mapping[str, list[float]], *, count: float, unit: str) -> None:
    """Prints a line each: rate, median seconds, spread, and the ratio to the last one's rate."""
    print(title)
    peer = statistics.median(list(took.values())[-1])
    for name, seconds in took.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds):.4g} to {max(seconds):.4g}"
        rate = f"{count / median:14,.1f} {unit}/s"
        print(f"  {name:34}{rate}{median:12.4g} s ({spread}){peer / median:8.2f} x", flush=True)
