"""Which variables an update may move."""

from typing import Any

from flax import nnx

MODES = ("linear", "linear_bn", "finetune")


def trainable(model: nnx.Module, mode: str) -> Any:
    """The NNX filter of the parameters that a mode trains.

    Args:
      model: With a child `head`; batch normalisation is found by type, not by name.
      mode: "linear": the head; "linear_bn": the head and every scale and bias of batch
        normalisation; "finetune": everything.
    """
    head = nnx.PathContains("head")
    if mode == "linear":
        return nnx.All(nnx.Param, head)
    if mode == "linear_bn":
        norms = {path for path, m in nnx.iter_modules(model) if isinstance(m, nnx.BatchNorm)}
        in_norm = lambda path, _: tuple(path[:-1]) in norms  # noqa: E731
        return nnx.All(nnx.Param, nnx.Any(head, in_norm))
    if mode == "finetune":
        return nnx.Param
    raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
