"""What all benchmarks share: cores, turns, medians, limits, and where it was measured."""

import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LIMIT = "limit: "  # begins the name of what bounds the work on this machine
RECORDS = "CRYJAX_BENCHMARK_RECORDS"  # file that every report adds a line of JSON to
EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


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


def processor() -> str:
    """Describes the processor, its vector extensions, and its threads on how many cores."""
    found: dict[str, list[str]] = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), []).append(value.strip())
    name = next(iter(found.get("model name", [platform.processor() or platform.machine()])))
    flags = next(iter(found.get("flags", found.get("Features", [""])))).split()
    vectors = " ".join(flag for flag in EXTENSIONS if flag in flags)
    places = zip(found.get("physical id", []), found.get("core id", []), strict=False)
    threads = len(found.get("processor", []))
    return f"{name}, {vectors or 'no known vectors'}, {threads} threads of {len(set(places))} cores"


def machine(*packages: str) -> str:
    """Describes date, processor, cores and versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0))
    date = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{date}, {cores} core(s) of {processor()}; Python {platform.python_version()}, {versions}"
    )


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


def copying(*arrays: np.ndarray) -> Callable[[], None]:
    """Makes a function that copies these arrays: nothing that reads and writes them is faster."""
    targets = [np.empty_like(array) for array in arrays]

    def run() -> None:
        for target, array in zip(targets, arrays, strict=True):
            np.copyto(target, array)

    return run


def multiplying(operations: float, side: int = 2048) -> Callable[[], None]:
    """Makes a function that does so many operations as float32 matrix products, by all cores."""
    a, b = (np.random.default_rng(i).random((side, side), np.float32) for i in range(2))
    rows = max(1, round(operations / (2 * side**2)))

    def run() -> None:
        for first in range(0, rows, side):
            a[: min(side, rows - first)] @ b  # pyright: ignore[reportUnusedExpression]

    return run


def report(title: str, took: Mapping[str, list[float]], *, count: float, unit: str) -> None:
    """Prints a line each: rate, median seconds, spread, and the ratio to the last one's rate.

    A name that begins with `LIMIT` is what bounds the first one's work. Where $RECORDS names a
    file, all of it is added there as a line of JSON.
    """
    print(title)
    peer = statistics.median(list(took.values())[-1])
    for name, seconds in took.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds):.4g} to {max(seconds):.4g}"
        rate = f"{count / median:14,.1f} {unit}/s"
        print(f"  {name:34}{rate}{median:12.4g} s ({spread}){peer / median:8.2f} x", flush=True)
    if path := os.environ.get(RECORDS):
        date = str(datetime.datetime.now(datetime.UTC).date())
        record = {"title": title, "date": date, "processor": processor(), "seconds": dict(took)}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
