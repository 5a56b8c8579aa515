"""Encoder: what a checkpoint means to everything that evaluates it or puts it to use."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.audio.decode import require_wave, resample
from cryjax.audio.logmel import make_logmel
from cryjax.augment.normalise import NormaliseSettings, build_normaliser
from cryjax.data.cache import ArrayFrames, Frames
from cryjax.data.windows import Windows, cut
from cryjax.errors import UserError
from cryjax.models import EncoderSettings, build_encoder, require_fits
from cryjax.models.layers import in_eval_mode
from cryjax.spec import FeatureSpec
from cryjax.train.checkpoint import load_model
from cryjax.train.mesh import data_mesh, gather_rows, replicate, shard_rows
from cryjax.train.meta import CheckpointMeta

Forward = Callable[[Any, jax.Array], jax.Array]
BATCH = 64  # windows that are encoded together
PROGRAMS = 16  # compiled functions that are kept, for other weights of the same structure
QUEUED = 2  # batches that the host may be ahead of the device


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A network with everything that decides what it computes.

    Attributes:
      module: Maps normalised (batch, time, mel) to (batch, features).
      normaliser: Brings log-mels as stored to the scale that the module expects.
      meta: Settings, feature specification, windows and provenance.
      projector: Head of pre-training; None where it was not kept.
    """

    module: Any
    normaliser: Any
    meta: CheckpointMeta
    projector: Any = None

    @property
    def spec(self) -> FeatureSpec:
        """Feature specification of its log-mels."""
        return self.meta.spec

    @property
    def features(self) -> int:
        """Length of a representation."""
        return self.module.features

    @property
    def windows(self) -> Windows:
        """The windows that it was trained for."""
        return Windows(self.meta.frames, self.meta.hop_frames)

    @property
    def network(self) -> Any:
        """Module from log-mels as stored to representations."""
        return nnx.Sequential(self.normaliser, self.module)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash (SHA-256) over settings, feature specification, normaliser and arrays.

        The only key by which caches and results know which encoder they are of.
        """
        about = self.meta.to_json()
        spec = {k: v for k, v in about["spec"].items() if k != "name"}
        decisive = [about["encoder"], spec, about["normalise"], type(self.module).__name__]
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
        state = jax.device_get(nnx.to_pure_dict(nnx.state(self.network)))
        for path, array in jax.tree_util.tree_leaves_with_path(state):
            digest.update(jax.tree_util.keystr(path).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def with_projection(self) -> "Encoder":
        """Returns the encoder with its projector behind it: representations z instead of h.

        Raises:
          UserError: The projector was not kept.
        """
        if self.projector is None:
            raise UserError(
                "features=z needs the projector of a pre-training checkpoint; exports and encoders "
                "that were trained on labels hold none"
            )
        return dataclasses.replace(self, module=_Projected(self.module, self.projector))

    def embed(self, wave: np.ndarray, *, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
        """Embeds a waveform window by window.

        Args:
          wave: (samples,) float32 mono signal.
          sample_rate_hz: Its sample rate.

        Returns:
          (windows, features) float32 representations, and (windows,) start of each in seconds.

        Raises:
          UserError: The waveform is of integers, of several channels, empty or not finite.
        """
        h, _, start_s = self.embed_mels([self.mel(wave, sample_rate_hz=sample_rate_hz)])
        return h, start_s

    def mel(self, wave: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
        """Computes a waveform's (frames, mels) log-mel, as shards hold it; raises as `embed`."""
        wave = resample(require_wave(wave), sample_rate_hz, self.spec.sample_rate_hz)
        return self.logmel(wave).astype(np.float16)

    def embed_mels(
        self, mels: Sequence[np.ndarray], windows: Windows | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeds log-mels window by window.

        Args:
          mels: (frames, mels) log-mels of recordings.
          windows: How they are cut; None is as the encoder's evaluations do.

        Returns:
          (windows, features) float32 representations, (windows,) the position of each window's
          recording, and (windows,) its start there in seconds.
        """
        lengths = np.array([len(mel) for mel in mels])
        frames, windows = ArrayFrames(np.concatenate(mels), lengths), windows or self.windows
        h, owner = over_windows(*self._forward, frames, np.arange(len(mels)), lengths, windows)
        starts = np.concatenate([part.starts for part in cut(lengths, windows)])
        return h, owner, starts / (self.spec.frames_per_s or np.inf)

    @property
    def window_s(self) -> float:
        """Length of a window in seconds; endless where recordings are resized in time."""
        rate = self.spec.frames_per_s
        return self.windows.frames / rate if rate else np.inf

    @functools.cached_property
    def logmel(self) -> Callable[[np.ndarray], np.ndarray]:
        """Function from (samples,) at the spec's rate to (frames, mels) log-mel."""
        return make_logmel(self.spec)

    @functools.cached_property
    def _forward(self) -> tuple[Forward, Any]:
        return make_forward(self.network)


class _Projected(nnx.Module):
    """An encoder and its projector as one module."""

    def __init__(self, module: Any, projector: Any):
        self.module, self.projector = module, projector
        self.features = projector.settings.dim

    def __call__(self, mel: jax.Array) -> jax.Array:
        return self.projector(self.module(mel))


def load(folder: str | pathlib.Path, step: int | None = None, **overrides: Any) -> Encoder:
    """Loads the encoder of a training run or of an export.

    Args:
      folder: Workdir of a run, or an export.
      step: Which checkpoint; None is the best by the run's own selection, else the latest.
      **overrides: Fields of `EncoderSettings` that change how the weights are used, such as
        `pool="mean"`; they become part of the encoder's settings and fingerprint.

    Raises:
      MissingFileError: There is no checkpoint.
      UserError: It is damaged, or it has no such setting.
    """
    parts, meta = load_model(folder, step)
    module = parts["encoder"]
    if overrides:
        settings = dataclasses.replace(meta.encoder, **overrides)
        meta = dataclasses.replace(meta, encoder=settings)
        changed = nnx.eval_shape(
            lambda: build_encoder(settings, meta.spec.n_mels, rngs=nnx.Rngs(0))
        )
        nnx.update(changed, nnx.state(module))
        module = changed
    return Encoder(module, normaliser_of(meta), meta, parts.get("projector"))


def random_encoder(
    settings: EncoderSettings,
    spec: FeatureSpec,
    windows: Windows,
    *,
    normalise: str,
    statistics: tuple[float, float],
    seed: int,
) -> Encoder:
    """Builds an encoder with fresh weights, the baseline of every pre-trained one.

    Args:
      settings: Which encoder.
      spec: Feature specification of its log-mels.
      windows: Windows that it will encode.
      normalise: Name of the normaliser; see `NormaliseSettings.by`.
      statistics: Mean and standard deviation of the training log-mels.
      seed: Seed of the weights.
    """
    settings = settings.for_patches(windows.frames)
    meta = CheckpointMeta(
        encoder=settings,
        spec=spec,
        normalise=normalise,
        statistics=statistics,
        frames=windows.frames,
        hop_frames=windows.hop_frames,
        trained_by="nothing: fresh weights",
    )
    module = build_encoder(settings, spec.n_mels, rngs=nnx.Rngs(seed))
    require_fits(module, settings, windows.frames, spec.n_mels)
    return Encoder(module, normaliser_of(meta), meta)


def normaliser_of(meta: CheckpointMeta) -> Any:
    """Builds the normaliser that an encoder's input was brought to scale by."""
    return build_normaliser(NormaliseSettings(meta.normalise), meta.statistics, evaluating=True)


def _call(model: Any, mel: jax.Array) -> jax.Array:
    return model(mel)


def make_forward(
    model: Any, apply: Callable[[Any, jax.Array], jax.Array] = _call
) -> tuple[Forward, Any]:
    """Compiles `apply(model, mel)` in evaluation mode, once for all models of one structure.

    Args:
      model: A module; its running statistics are used.
      apply: Function of the module and of (batch, time, mel), by default the module's own call. It
        should be the same function at every call: a new one is compiled anew.

    Returns:
      The compiled function of (arrays, mel), and the model's arrays.
    """
    graphdef, arrays = nnx.split(in_eval_mode(model))
    return _forward_of(graphdef, apply), nnx.to_pure_dict(arrays)


@functools.lru_cache(maxsize=PROGRAMS)
def _forward_of(graphdef: Any, apply: Callable[[Any, jax.Array], jax.Array]) -> Forward:
    return jax.jit(lambda arrays, mel: apply(nnx.merge(graphdef, arrays), mel.astype(jnp.float32)))


def over_windows(
    forward: Forward,
    arrays: Any,
    frames: Frames,
    clips: np.ndarray,
    lengths: np.ndarray,
    windows: Windows,
) -> tuple[np.ndarray, np.ndarray]:
    """Runs `forward` over every window of some clips, in batches of few shapes.

    Args:
      forward: Function from `make_forward`.
      arrays: Arrays of the model.
      frames: Reader of log-mel frames.
      clips: (clips,) clip numbers of that reader.
      lengths: (clips,) their lengths in frames.
      windows: How clips are cut.

    Returns:
      (windows, ...) float32 outputs and (windows,) position in `clips` of each window's clip, in
      the order of the clips.
    """
    outputs, owners, devices = [], [], jax.device_count()
    for part in cut(lengths, windows):
        size = -(-max(1, BATCH * windows.frames // part.frames) // devices) * devices
        mesh = data_mesh(size)
        there, n = replicate(arrays, mesh), len(part.starts)
        batches = []
        for first in range(0, n, size):  # the last batch is filled up: one shape is compiled
            take = np.minimum(np.arange(first, first + size), n - 1)
            chosen = clips[part.window_to_clip[take]]
            mel = frames.gather(chosen, part.starts[take], part.frames)
            batches.append(forward(there, shard_rows(mel, mesh)))
            if len(batches) > QUEUED:
                jax.block_until_ready(batches[-QUEUED - 1])
        outputs += [np.concatenate([gather_rows(x, mesh) for x in batches])[:n]]
        owners.append(part.window_to_clip)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(outputs).astype(np.float32)[order], owner[order]
