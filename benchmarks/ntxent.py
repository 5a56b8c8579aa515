"""NT-Xent, value and gradient: in blocks beside the whole matrix and PyTorch's cross-entropy.

    python -m benchmarks.ntxent [batch ...]      4096 and 32768 by default; the latter takes minutes

Two cores, projections of 128; values and gradients are compared where the matrix fits, and the
memory that XLA plans for each is printed. PyTorch is left out where it is not installed.
"""

import importlib.util
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.timing import in_turns, machine, on_cores, report
from cryjax.objectives.losses import l2_normalise, nt_xent
from cryjax.train.mesh import data_mesh, shard_batch, use_all_cores

DIM, TEMPERATURE, FITS = 128, 0.2, 8192


def whole(z: jax.Array) -> jax.Array:
    """Computes all similarities at once."""
    n, unit = len(z), l2_normalise(jnp.concatenate([z[:, 0], z[:, 1]]))
    logits = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, unit @ unit.T / TEMPERATURE)
    labels = jnp.roll(jnp.arange(2 * n), n)
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def by_torch(z: np.ndarray) -> Any:
    """Computes the usual form: similarities, the diagonal taken out, cross-entropy."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(2)
    views, n = torch.tensor(z, requires_grad=True), len(z)

    def run() -> Any:
        unit = functional.normalize(torch.cat([views[:, 0], views[:, 1]]), dim=1)
        logits = unit @ unit.T / TEMPERATURE
        logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
        loss = functional.cross_entropy(logits, torch.arange(2 * n).roll(n))
        (grad,) = torch.autograd.grad(loss, views)
        return loss.item(), grad.numpy()

    return run


def main() -> None:
    """Prints a block a batch."""
    on_cores(2)
    use_all_cores()
    print(machine("jax", *(["torch"] if importlib.util.find_spec("torch") else [])))
    for n in map(int, sys.argv[1:] or ["4096", "32768"]):
        z = np.random.default_rng(0).normal(size=(n, 2, DIM)).astype(np.float32)
        mesh = data_mesh(n)
        placed = shard_batch({"z": z}, mesh)["z"]
        losses: dict[str, Any] = {
            "blocks": lambda z: nt_xent(z[:, 0], z[:, 1], temperature=TEMPERATURE)
        }
        losses |= {"whole matrix": whole} if n <= FITS else {}
        work, found = {}, {}
        for name, loss in losses.items():
            compiled = jax.jit(jax.value_and_grad(loss)).lower(placed).compile()
            analysis: Any = compiled.memory_analysis()
            print(f"{n}: {name} plans {analysis.temp_size_in_bytes / 1e6:,.0f} MB a device")
            work[name] = lambda run=compiled, z=placed: jax.block_until_ready(run(z))
            found[name] = jax.device_get(work[name]())
        if n <= FITS and importlib.util.find_spec("torch"):
            work["PyTorch"] = by_torch(z)
            found["PyTorch"] = work["PyTorch"]()
        for value, grad in found.values():
            np.testing.assert_allclose(value, found["blocks"][0], rtol=1e-5)
            np.testing.assert_allclose(grad, found["blocks"][1], atol=1e-3 * np.abs(grad).max())
        rounds = 7 if n <= FITS else 1
        report(f"NT-Xent at {n}", in_turns(work, rounds), count=n, unit="clips")


if __name__ == "__main__":
    main()
