"""A pre-training step on many devices, compiled and not run: work, memory, traffic, time by chip.

    python -m benchmarks.scale --config=configs/paper/ubenwa.py:simclr --spec=ubenwa
    python -m benchmarks.scale --devices=8,64,256 --per_device=16 --model=1,4

The real step (encoder, augmentations, loss, optimiser) is lowered for that many virtual CPU devices
and partitioned by XLA; its program says what one device computes and exchanges. Batches grow with
the devices: the batch is `per_device` times their number. `--model` are lengths of the mesh's
second axis, over which weights and optimiser are split. Times are a bound on speed: operations at
40 % of the chip's peak in bfloat16, collectives as rings at the full rate of the slowest link, one
after the other. Compiled for a CPU, a reduction that is kept in parts counts as a whole one.
"""

import argparse
import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
from typing import Any

UTILISATION = 0.4
BYTES = {"f64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "pred": 1, "s64": 8, "u64": 8}
COLLECTIVE = re.compile(
    r"^.*? = (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)\(", re.M
)
SHAPE = re.compile(r"\b([a-z]+[0-9]*)\[([0-9,]*)\]")


@dataclasses.dataclass(frozen=True)
class Chip:
    """An accelerator and its links, by its maker's data sheet.

    Attributes:
      peak: Operations a second in bfloat16, dense.
      near: Bytes a second that a device sends within a group of `group` devices.
      far: Bytes a second that it sends beyond.
      group: Devices that the near link joins.
    """

    peak: float
    near: float
    far: float
    group: int


CHIPS = {
    "H100": Chip(989e12, 450e9, 50e9, 8),  # NVLink 4; InfiniBand NDR, one port a device
    "TPU v5e": Chip(197e12, 200e9, 200e9, 256),  # four links of 400 Gb/s within a pod of 256
}


def collectives(program: str) -> dict[str, float]:
    """Adds the bytes of the results of all collectives of a device's program, by their kind."""
    found: dict[str, float] = {}
    for shapes, kind in COLLECTIVE.findall(program):
        for dtype, lengths in SHAPE.findall(shapes):
            size = BYTES[dtype]
            for length in filter(None, lengths.split(",")):
                size *= int(length)
            found[kind] = found.get(kind, 0) + size
    return found


def measured(config: str, spec: str, devices: int, per_device: int, model: int) -> dict[str, Any]:
    """Compiles a step in this process and reads what its program says."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec

    from cryjax.pretraining import PretrainSettings, assemble, resolve
    from cryjax.settings import changed, from_dict
    from cryjax.spec import preset
    from cryjax.train.mesh import AXES, data_mesh, state_shardings
    from cryjax.train.optim import build_optimiser
    from cryjax.train.state import create, make_step

    path, _, variant = config.partition(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    values = module.get_config(variant).to_dict()
    batch = per_device * devices
    settings = from_dict(PretrainSettings, values)
    settings, _ = resolve(changed(settings, {"batch_size": batch, "init": None}))
    features = preset(spec)
    tx = build_optimiser(settings.optim, settings.steps)
    kept: list[Any] = []

    def fresh() -> Any:
        graphdef, state = create(assemble(settings, features, (0.0, 1.0), 50), tx)
        kept.append(graphdef)
        return state

    state = jax.eval_shape(fresh)
    mesh = data_mesh(batch, model)
    place = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)  # noqa: E731
    state = jax.tree.map(place, state, state_shardings(state, mesh))
    rows = NamedSharding(mesh, PartitionSpec(AXES))
    shape = (batch, 2, settings.windows.frames, features.n_mels)
    mel = jax.ShapeDtypeStruct(shape, jnp.float16, sharding=rows)
    label = jax.ShapeDtypeStruct((batch,), jnp.int32, sharding=rows)
    inputs = {"mel": mel, "label": label, "background": mel}
    if not settings.data.backgrounds:
        inputs.pop("background")
    step: Any = make_step(kept[0], tx, mesh=mesh)
    program = step.lower(state, inputs, jax.eval_shape(lambda: jax.random.key(0))).compile()
    memory = program.memory_analysis()
    return {
        "devices": devices,
        "model": model,
        "batch": batch,
        "operations": program.cost_analysis()["flops"],
        "state": memory.argument_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        **collectives(program.as_text()),
    }


def seconds(row: dict[str, Any], chip: Chip) -> tuple[float, float]:
    """Says how long a step computes and how long it exchanges, at least."""
    n = row["devices"]
    rate = chip.near if n <= chip.group else chip.far
    once = sum(row.get(k, 0) for k in ("all-gather", "all-to-all", "collective-permute"))
    sent = (n - 1) / n * (2 * row.get("all-reduce", 0) + once)
    return row["operations"] / (UTILISATION * chip.peak), sent / rate


def main() -> None:
    """Runs as the module's docstring describes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/paper/ubenwa.py:simclr")
    parser.add_argument("--spec", default="ubenwa")
    parser.add_argument("--devices", default="8,64,256")
    parser.add_argument("--per_device", type=int, default=16)
    parser.add_argument("--model", default="1")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        row = measured(
            asked.config, asked.spec, int(asked.devices), asked.per_device, int(asked.model)
        )
        print(json.dumps(row))
        return
    chips = [f"{name}: compute, exchange" for name in CHIPS]
    head = ["devices", "model", "batch", "TFLOP", "state MB", "temporary MB"]
    head += ["reduced MB", "gathered MB", *chips]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for count in asked.devices.split(","):
        for model in asked.model.split(","):
            row = in_own_process(asked, count, model)
            cells = [row["devices"], row["model"], row["batch"], f"{row['operations'] / 1e12:.3g}"]
            sizes = ("state", "temporary", "all-reduce", "all-gather")
            cells += [f"{row.get(name, 0) / 1e6:.0f}" for name in sizes]
            for chip in CHIPS.values():
                compute, exchange = seconds(row, chip)
                cells.append(f"{1e3 * compute:.1f} ms, {1e3 * exchange:.1f} ms")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def in_own_process(asked: Any, devices: str, model: str) -> dict[str, Any]:
    """Compiles in a process that sees so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.scale",
            "--one",
            f"--config={asked.config}",
            f"--spec={asked.spec}",
            f"--devices={devices}",
            f"--per_device={asked.per_device}",
            f"--model={model}",
        ],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
