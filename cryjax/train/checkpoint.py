"""Orbax checkpoints: the latest two and the best, written in the background, exact to resume from.

A step's folder holds three items: `model` (encoder and projector: all that judging, adapting and
deploying need), `training` (the rest of the state) and `meta` (JSON). An export is the same folder
with the encoder alone and without `training`.
"""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import nnx
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy

from cryjax.models import build_encoder
from cryjax.models.heads import Projector
from cryjax.spec import FeatureSpec
from cryjax.train.state import TrainState, merge_trees
from cryjax.train.sums import damage, set_damaged_aside, steps_in, write_sums

FOLDER = "checkpoints"


MODEL = ("encoder", "projector")  # what outlives training


def _parts(state: TrainState) -> tuple[dict, dict]:
    """The model's arrays, trained and others as one tree, and everything else."""
    both = [{k: v for k, v in t.items() if k in MODEL} for t in (state.params, state.rest)]
    params, rest = (
        {k: v for k, v in t.items() if k not in MODEL} for t in (state.params, state.rest)
    )
    others = {"step": state.step, "opt_state": state.opt_state, "params": params, "rest": rest}
    return merge_trees(*both), others


def _pick(like: Any, tree: Any) -> Any:
    """The part of a tree that has the keys of another."""
    if not isinstance(like, dict):
        return tree
    return {key: _pick(value, tree[key]) for key, value in like.items()}


def _join(like: TrainState, model: dict, others: dict) -> TrainState:
    """The inverse of `_parts`."""
    params, rest = (
        {k: _pick(v, model[k] if k in MODEL else others[name][k]) for k, v in tree.items()}
        for name, tree in (("params", like.params), ("rest", like.rest))
    )
    return TrainState(others["step"], params, rest, others["opt_state"])


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Every array's shape by its name, such as encoder.convs.0.conv.kernel."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {".".join(str(part.key) for part in path): tuple(x.shape) for path, x in leaves}


def _abstract(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


@contextlib.contextmanager
def _explained(root: pathlib.Path) -> Iterator[None]:
    """Says what a failed write means for the run."""
    try:
        yield
    except Exception as error:
        last = max(steps_in(root), default=None)
        raise OSError(
            f"a checkpoint could not be written to {root} ({str(error).splitlines()[0][:300]}); "
            f"the last whole one is {last}; start the same command again, after making room or "
            "giving rights where that was it"
        ) from error


def _with_sums(root: pathlib.Path) -> ocp.AsyncOptions:
    """Orbax calls back between the last byte and the rename that makes a checkpoint."""
    main = jax.process_index() == 0
    return ocp.AsyncOptions(post_finalization_callback=lambda: write_sums(root) if main else None)


class Checkpointer:
    """Checkpoints of one workdir; damaged ones are set aside when it is opened.

    Attributes:
      meta: What every checkpoint says about itself; see `load_model`.
    """

    def __init__(self, workdir: pathlib.Path, meta: dict[str, Any], *, best: str = ""):
        """Opens or makes the folder.

        Args:
          workdir: Of the run.
          meta: JSON-able.
          best: Name of the score whose highest value is kept beside the latest; "" keeps none.
        """
        policies: list[Any] = [preservation_policy.LatestN(2)]
        if best:
            score: Callable = lambda metrics: metrics[best]  # noqa: E731
            policies.append(preservation_policy.BestN(get_metric_fn=score, n=1, reverse=False))
        self.meta, self._best, self._root = meta, best, (workdir / FOLDER).absolute()
        if jax.process_index() == 0:
            set_damaged_aside(self._root)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager = ocp.CheckpointManager(
            self._root,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                best_fn=(lambda metrics: metrics[best]) if best else None,
                cleanup_tmp_directories=True,
                create=True,
                async_options=_with_sums(self._root),
            ),
        )

    def save(self, step: int, state: TrainState, scores: dict[str, float], passed: int = 0) -> None:
        """Starts writing a checkpoint; training goes on meanwhile.

        Args:
          step: Its name.
          state: All of it is kept.
          scores: Of this step, maybe none.
          passed: Batches that the run has passed over.

        Raises:
          OSError: This one or the one before could not be written.
        """
        model, others = _parts(state)
        about = {"step": step, "scores": scores, "passed": passed, "parts": sorted(model)}
        with _explained(self._root):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    model=ocp.args.StandardSave(model),
                    training=ocp.args.StandardSave(others),
                    meta=ocp.args.JsonSave(self.meta | about),
                ),
                metrics=scores if self._best in scores else None,
                force=True,  # asked to stop, it is a step of its own
            )

    @property
    def latest(self) -> int | None:
        """Last step that was written whole; None where there is none."""
        return self._manager.latest_step()

    @property
    def best(self) -> int | None:
        """Step of the best score, else the latest."""
        step = self._manager.best_step() if self._best else None
        return self.latest if step is None else step

    @property
    def passed(self) -> int:
        """Batches that the run had passed over at the latest step."""
        return 0 if self.latest is None else _load_json(self._root, self.latest).get("passed", 0)

    def restore(self, state: TrainState) -> TrainState:
        """Reads the latest step into the shapes, types and shardings of `state`.

        Returns the state as it is where there is no checkpoint yet.
        """
        self._manager.wait_until_finished()
        step = self.latest
        if step is None:
            return state
        sharding = jax.tree.leaves(state)[0].sharding
        model, others = (_abstract(part, sharding) for part in _parts(state))
        found = self._manager.restore(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardRestore(model),
                training=ocp.args.StandardRestore(others),
            ),
        )
        return _join(state, found["model"], found["training"])

    def close(self) -> None:
        """Waits until everything is written."""
        with _explained(self._root):
            self._manager.wait_until_finished()
            self._manager.close()


def save_model(folder: pathlib.Path, parts: dict[str, Any], meta: dict[str, Any]) -> None:
    """Writes modules by their names in `MODEL`, such as an encoder alone, as a checkpoint."""
    arrays = {name: nnx.to_pure_dict(nnx.state(module)) for name, module in parts.items()}
    items = {
        "model": ocp.args.StandardSave(arrays),
        "meta": ocp.args.JsonSave(meta | {"parts": sorted(parts)}),
    }
    root = (folder / FOLDER).absolute()
    options = ocp.CheckpointManagerOptions(async_options=_with_sums(root))
    with _explained(root), ocp.CheckpointManager(root, options=options) as manager:
        manager.save(meta["step"], args=ocp.args.Composite(**items), force=True)
        manager.wait_until_finished()


def load_meta(folder: str | pathlib.Path, step: int | None = None) -> dict[str, Any]:
    """What a checkpoint says about itself; the best one by default.

    Raises:
      FileNotFoundError: There is no whole checkpoint in the folder.
      ValueError: It was changed after it was written.
    """
    root = pathlib.Path(folder) / FOLDER
    steps = steps_in(root)
    if not steps:
        raise FileNotFoundError(
            f"{folder}: no checkpoint; give the --workdir of a training run or of an export"
        )
    metas = {s: _load_json(root, s) for s in steps}
    if step is not None:
        return metas[step]
    selected = metas[steps[-1]].get("selected_by", "")
    scored = [s for s in steps if selected in metas[s]["scores"]]
    best = max(scored, key=lambda s: metas[s]["scores"][selected]) if scored else steps[-1]
    return metas[best]


def _load_json(root: pathlib.Path, step: int) -> dict[str, Any]:
    _require_whole(root, step, "meta")
    return json.loads((root / str(step) / "meta" / "metadata").read_text(encoding="utf-8"))


def _require_whole(root: pathlib.Path, step: int, part: str) -> None:
    if wrong := damage(root / str(step), part):
        raise ValueError(f"{wrong}; remove {root / str(step)} to use the checkpoint before it")


def load_model(folder: str | pathlib.Path, step: int | None = None) -> tuple[Any, Any, dict]:
    """Rebuilds the encoder of a training run or an export from its directory alone.

    Args:
      folder: A workdir with `checkpoints/`.
      step: Which; by default the best by the run's own selection, else the latest.

    Returns:
      The encoder; the projector or None; the checkpoint's meta: "encoder" and "projector"
      (settings), "spec", "statistics", "frames", "hop", "config", "data", "pretrained_groups",
      "step", "scores", "selected_by".
    """
    meta = load_meta(folder, step)
    spec, chosen = FeatureSpec.from_json(meta["spec"]), meta["encoder"]

    def build() -> dict[str, Any]:
        rngs = nnx.Rngs(0)
        parts = {"encoder": build_encoder(**chosen, mels=spec.n_mels, rngs=rngs)}
        if "projector" in meta["parts"]:
            width = parts["encoder"].features
            parts["projector"] = Projector(width, **meta["projector"], rngs=rngs)
        return parts

    parts = nnx.eval_shape(build)  # shapes alone: nothing is drawn, whatever size the meta claims
    root = (pathlib.Path(folder) / FOLDER).absolute()
    _require_whole(root, meta["step"], "model")
    path = root / str(meta["step"]) / "model"
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = {name: nnx.to_pure_dict(nnx.state(module)) for name, module in parts.items()}
    with ocp.StandardCheckpointer() as reader:
        held = _shapes(getattr(reader.metadata(path).item_metadata, "tree", {}))
        for name, shape in _shapes(target).items():
            if held.get(name) != shape:  # before a read starts that cannot end
                raise ValueError(
                    f"{path} does not hold the encoder that its meta describes: {name} is "
                    f"{held.get(name, 'not there')}, not {shape}"
                )
        found = reader.restore(path, _abstract(target, one))
    for name, module in parts.items():
        nnx.update(module, found[name])
    return parts["encoder"], parts.get("projector"), meta
