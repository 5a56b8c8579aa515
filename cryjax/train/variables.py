"""Arrays of a model: which an update may change, their names and shapes."""

import dataclasses
from typing import Any

import jax
from flax import nnx

TRAINABLE = ("head", "head_and_norms", "all")


@dataclasses.dataclass(frozen=True)
class _Within:
    """A filter of variables that lie directly in given modules; equal filters compare equal."""

    modules: frozenset

    def __call__(self, path: Any, _: Any) -> bool:
        return tuple(path[:-1]) in self.modules


def trainable(model: nnx.Module, what: str) -> Any:
    """Makes the NNX filter of the parameters that are trained.

    Args:
      model: Module with a child `head`; batch normalisation is found by type, not by name.
      what: "head"; "head_and_norms", the head and every scale and bias of batch normalisation; or
        "all".
    """
    head = nnx.PathContains("head")
    if what == "head":
        return nnx.All(nnx.Param, head)
    if what == "head_and_norms":
        norms = {path for path, m in nnx.iter_modules(model) if isinstance(m, nnx.BatchNorm)}
        return nnx.All(nnx.Param, nnx.Any(head, _Within(frozenset(norms))))
    if what == "all":
        return nnx.Param
    raise ValueError(f"what must be one of {', '.join(TRAINABLE)}, got {what!r}")


def name_of(path: Any) -> str:
    """Names an array by its place in a tree, such as encoder.convs.0.conv.kernel."""
    return ".".join(str(part.key) for part in path)


def shapes_of(tree: Any) -> dict[str, tuple[int, ...]]:
    """Lists every array's shape by its name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name_of(path): tuple(x.shape) for path, x in leaves}
