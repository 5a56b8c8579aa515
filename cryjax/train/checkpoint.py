"""Orbax checkpoints: the latest two and the best, written in the background, exact to resume from.

A step's folder holds three items: `model` (encoder and projector, all that evaluation, adaptation
and deployment need), `training` (the rest of the state) and `meta` (JSON). An export is the same
folder with the encoder alone and without `training`.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import nnx
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy

from cryjax.errors import MissingFileError, StorageError, UserError
from cryjax.models import build_encoder
from cryjax.models.heads import Projector
from cryjax.train.meta import CheckpointMeta
from cryjax.train.state import TrainState, merge_trees
from cryjax.train.sums import damage, set_damaged_aside, steps_in, write_sums
from cryjax.train.variables import shapes_of
from cryjax.train.workdir import require_same_settings

FOLDER = "checkpoints"
MODEL = ("encoder", "projector")  # what outlives training


def _parts(state: TrainState) -> tuple[dict, dict]:
    """Separates the model's arrays, trained and others as one tree, from everything else."""
    both = [{k: v for k, v in t.items() if k in MODEL} for t in (state.params, state.rest)]
    params, rest = (
        {k: v for k, v in t.items() if k not in MODEL} for t in (state.params, state.rest)
    )
    others = {"step": state.step, "opt_state": state.opt_state, "params": params, "rest": rest}
    return merge_trees(*both), others


def _one_copy(x: jax.Array) -> jax.Array:
    """Takes one device's copy of what all hold, whose parts would each be a program of Orbax's."""
    return x.addressable_data(0) if x.is_fully_replicated and jax.process_count() == 1 else x


def _pick(like: Any, tree: Any) -> Any:
    """Picks the part of a tree that has the keys of another."""
    if not isinstance(like, dict):
        return tree
    return {key: _pick(value, tree[key]) for key, value in like.items()}


def _join(like: TrainState, model: dict, others: dict) -> TrainState:
    """Puts the two parts of `_parts` together again."""
    params, rest = (
        {k: _pick(v, model[k] if k in MODEL else others[name][k]) for k, v in tree.items()}
        for name, tree in (("params", like.params), ("rest", like.rest))
    )
    return TrainState(others["step"], params, rest, others["opt_state"])


def _abstract(tree: Any, sharding: jax.sharding.Sharding | None = None) -> Any:
    """Describes arrays without their values, each where it lies unless told otherwise."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding or x.sharding), tree
    )


@contextlib.contextmanager
def _explained(root: pathlib.Path) -> Iterator[None]:
    """Turns a failed write into an error that says what it means for the run."""
    try:
        yield
    except Exception as error:
        last = max(steps_in(root), default=None)
        raise StorageError(
            f"a checkpoint could not be written to {root} ({str(error).splitlines()[0][:300]}); "
            f"the last whole one is {last}; start the same command again, after making room or "
            "giving rights where that was it"
        ) from error


def _with_sums(root: pathlib.Path) -> ocp.AsyncOptions:
    """Writes checksums between the last byte and the rename that makes a checkpoint."""
    main = jax.process_index() == 0
    return ocp.AsyncOptions(post_finalization_callback=lambda: write_sums(root) if main else None)


class Checkpointer:
    """The checkpoints of one workdir; damaged ones are set aside when it is opened.

    Args:
      workdir: Folder of the run; checkpoints lie in `checkpoints/`.
      meta: What every checkpoint says about itself. Where `selected_by` is set, the checkpoint
        with the highest such score is kept beside the latest ones.
    """

    def __init__(self, workdir: pathlib.Path, meta: CheckpointMeta):
        policies: list[Any] = [preservation_policy.LatestN(2)]
        if meta.selected_by:
            policies.append(
                preservation_policy.BestN(
                    get_metric_fn=meta.rank,
                    n=1,
                    reverse=False,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self.meta, self._root = meta, (workdir / FOLDER).absolute()
        if jax.process_index() == 0:
            set_damaged_aside(self._root)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager = ocp.CheckpointManager(
            self._root,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                best_fn=meta.rank if meta.selected_by else None,
                cleanup_tmp_directories=True,
                create=True,
                async_options=_with_sums(self._root),
            ),
        )
        if self.latest is not None:
            before = _load_meta(self._root, self.latest).config
            require_same_settings(workdir, before, meta.config, growing=("steps",))

    def save(
        self, step: int, state: TrainState, scores: dict[str, float], skipped_batches: int = 0
    ) -> None:
        """Starts to write a checkpoint; training goes on meanwhile.

        Args:
          step: Number of updates, which names the checkpoint.
          state: State of training; all of it is kept.
          scores: Scores of this step, maybe none.
          skipped_batches: Batches that the run has passed over.

        Raises:
          StorageError: This checkpoint or the one before could not be written.
        """
        model, others = jax.tree.map(_one_copy, _parts(state))
        parts = tuple(sorted(model))
        meta = dataclasses.replace(
            self.meta, step=step, scores=scores, skipped_batches=skipped_batches, parts=parts
        )
        with _explained(self._root):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    model=ocp.args.StandardSave(model),
                    training=ocp.args.StandardSave(others),
                    meta=ocp.args.JsonSave(meta.to_json()),
                ),
                metrics=scores if self.meta.selected_by in scores else None,
                force=True,  # a run that is asked to stop saves at a step of its own
            )

    @property
    def latest(self) -> int | None:
        """The last step that was written whole; None where there is none."""
        return self._manager.latest_step()

    @property
    def best(self) -> int | None:
        """The step of the best score, else the latest."""
        step = self._manager.best_step() if self.meta.selected_by else None
        return self.latest if step is None else step

    @property
    def skipped_batches(self) -> int:
        """Batches that the run had passed over at the latest step."""
        return 0 if self.latest is None else _load_meta(self._root, self.latest).skipped_batches

    def restore(self, state: TrainState) -> TrainState:
        """Reads the latest step into the shapes, types and shardings of `state`.

        Returns the state as it is where there is no checkpoint yet.
        """
        self._manager.wait_until_finished()
        if (step := self.latest) is None:
            return state
        model, others = (_abstract(part) for part in _parts(state))
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardRestore(model),
                training=ocp.args.StandardRestore(others),
            ),
        )
        return _join(state, restored["model"], restored["training"])

    def close(self) -> None:
        """Waits until everything is written."""
        with _explained(self._root):
            self._manager.wait_until_finished()
            self._manager.close()


def save_model(folder: pathlib.Path, parts: dict[str, Any], meta: CheckpointMeta) -> None:
    """Writes modules as a checkpoint without training state.

    Args:
      folder: Folder of the checkpoint, made if needed.
      parts: Modules by their names in `MODEL`, such as an encoder alone.
      meta: What the checkpoint says about itself; its step names it.
    """
    arrays = {name: nnx.to_pure_dict(nnx.state(module)) for name, module in parts.items()}
    meta = dataclasses.replace(meta, parts=tuple(sorted(parts)))
    items = {"model": ocp.args.StandardSave(arrays), "meta": ocp.args.JsonSave(meta.to_json())}
    root = (folder / FOLDER).absolute()
    options = ocp.CheckpointManagerOptions(async_options=_with_sums(root))
    with _explained(root), ocp.CheckpointManager(root, options=options) as manager:
        manager.save(meta.step, args=ocp.args.Composite(**items), force=True)
        manager.wait_until_finished()


def load_meta(folder: str | pathlib.Path, step: int | None = None) -> CheckpointMeta:
    """Reads what a checkpoint says about itself.

    Args:
      folder: Workdir of a run, or an export.
      step: Which checkpoint; None is the best by the run's own selection, else the latest.

    Raises:
      MissingFileError: There is no whole checkpoint in the folder, or not this step.
      UserError: It was changed after it was written, or written by another version.
    """
    root = pathlib.Path(folder) / FOLDER
    steps = steps_in(root)
    if not steps:
        raise MissingFileError(
            f"{folder}: no checkpoint; give the --workdir of a training run or of an export"
        )
    if step is not None and step not in steps:
        raise MissingFileError(f"{folder}: no checkpoint of step {step}; there are {steps}")
    if step is not None:
        return _load_meta(root, step)
    metas = [_load_meta(root, s) for s in steps]
    selected = metas[-1].selected_by
    scored = [meta for meta in metas if selected in meta.scores]
    return max(scored, key=lambda m: m.rank(m.scores)) if scored else metas[-1]


def _load_meta(root: pathlib.Path, step: int) -> CheckpointMeta:
    _require_whole(root, step, "meta")
    path = root / str(step) / "meta" / "metadata"
    return CheckpointMeta.from_json(json.loads(path.read_text(encoding="utf-8")), str(path))


def _require_whole(root: pathlib.Path, step: int, part: str) -> None:
    if wrong := damage(root / str(step), part):
        raise UserError(f"{wrong}; remove {root / str(step)} to use the checkpoint before it")


def load_model(
    folder: str | pathlib.Path, step: int | None = None
) -> tuple[dict[str, Any], CheckpointMeta]:
    """Rebuilds the modules of a training run or an export from its folder alone.

    Args:
      folder: Workdir of a run, or an export.
      step: Which checkpoint; None is the best by the run's own selection, else the latest.

    Returns:
      The modules by their names in `MODEL`, and what the checkpoint says about itself.
    """
    meta = load_meta(folder, step)

    def build() -> dict[str, Any]:
        rngs = nnx.Rngs(0)
        parts = {"encoder": build_encoder(meta.encoder, meta.spec.n_mels, rngs=rngs)}
        if "projector" in meta.parts and meta.projector is not None:
            width = parts["encoder"].features
            parts["projector"] = Projector(width, meta.projector, rngs=rngs)
        return parts

    parts = nnx.eval_shape(build)  # shapes alone: nothing is drawn, whatever size the meta claims
    root = (pathlib.Path(folder) / FOLDER).absolute()
    _require_whole(root, meta.step, "model")
    path = root / str(meta.step) / "model"
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = {name: nnx.to_pure_dict(nnx.state(module)) for name, module in parts.items()}
    with ocp.StandardCheckpointer() as reader:
        held = shapes_of(getattr(reader.metadata(path).item_metadata, "tree", {}))
        for name, shape in shapes_of(target).items():
            if held.get(name) != shape:  # before a read starts that cannot end
                raise UserError(
                    f"{path} does not hold the encoder that its meta describes: {name} is "
                    f"{held.get(name, 'not there')}, not {shape}"
                )
        arrays = reader.restore(path, _abstract(target, one))
    for name, module in parts.items():
        nnx.update(module, arrays[name])
    return parts, meta
