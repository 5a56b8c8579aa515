"""A whole recording to its representations and scores, as one function of the device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import core

from cryjax.audio.logmel import shortest_samples
from cryjax.deploy.artefact import Weights
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.device_logmel import fft, make_device_logmel
from cryjax.encoder import Encoder
from cryjax.evaluate.calibration import TINY
from cryjax.models.layers import in_eval_mode
from cryjax.train.variables import name_of

OUTPUTS = {
    "h": "(recordings, windows, features) representation of each window",
    "start_s": "(windows,) start of each window in seconds",
    "windows": "(recordings, windows, classes) probabilities of each window",
    "recording": "(recordings, classes) probabilities of each recording, recalibrated",
}


def outputs_of(encoder: Encoder) -> dict[str, str]:
    """Lists the outputs of an encoder's function, and what they are."""
    scores = isinstance(encoder, Classifier)
    return {k: v for k, v in OUTPUTS.items() if scores or k in ("h", "start_s")}


def weights_of(encoder: Encoder) -> Weights:
    """Lists every array of the encoder, and of the classifier where there is one, by name."""
    tree = nnx.to_pure_dict(nnx.state(encoder.module))
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    weights = {f"encoder.{name_of(path)}": np.asarray(array) for path, array in leaves}
    if isinstance(encoder, Classifier):
        weights |= {f"head.{k}": np.asarray(v, np.float32) for k, v in encoder.head.items()}
    return weights


def window_starts(encoder: Encoder, frames: Any) -> tuple[Any, jax.Array]:
    """Lays windows over a recording, like `cryjax.data.windows.cut` with aligned last windows.

    Args:
      encoder: Its windows are taken.
      frames: Length of the recording, a number or a symbolic dimension.

    Returns:
      Number of windows, and (windows,) first frame of each.
    """
    room = core.max_dim(frames - encoder.meta.frames, 0)
    count = 1 - (-room // encoder.meta.hop_frames)
    return count, jnp.minimum(jnp.arange(count) * encoder.meta.hop_frames, room)


def make_recording_function(
    encoder: Encoder, spectrum: Any = fft, *, as_stored: bool = True
) -> Callable[[Weights, jax.Array], dict[str, jax.Array]]:
    """Builds the function from weights and waveforms to what `OUTPUTS` lists.

    Windows are encoded one after another, those of all recordings of a batch together: memory
    stays flat for long recordings, and nothing is computed for nothing.

    Args:
      encoder: What encodes; a `Classifier` scores, too.
      spectrum: See `make_device_logmel`.
      as_stored: Rounds log-mels to 16 bits, as shards store them and `Encoder.embed` sees them.

    Returns:
      A function of `weights_of(encoder)` and of (recordings, samples) at the spec's sample rate, at
      least `shortest_samples(spec)` of them.
    """
    graph, state = nnx.split(in_eval_mode(encoder.module))
    like = nnx.to_pure_dict(state)
    logmel, rate = make_device_logmel(encoder.spec, spectrum), encoder.spec.frames_per_s
    within = np.arange(encoder.meta.frames)

    def function(weights: Weights, wave: jax.Array) -> dict[str, jax.Array]:
        arrays = jax.tree_util.tree_map_with_path(
            lambda path, _: weights[f"encoder.{name_of(path)}"], like
        )
        mel = logmel(wave)
        if as_stored:
            mel = jax.lax.reduce_precision(mel, exponent_bits=5, mantissa_bits=10)
        frames = mel.shape[1]

        def one(start: jax.Array) -> jax.Array:
            at = (start + within) % frames  # a recording shorter than a window is repeated
            return nnx.merge(graph, arrays)(encoder.normaliser(jnp.take(mel, at, axis=1)))

        count, starts = window_starts(encoder, frames)
        if isinstance(count, int) and count == 1:
            h = one(jnp.zeros((), jnp.int32))[:, None]
        else:
            h = jnp.moveaxis(jax.lax.map(one, starts), 0, 1)
        made = {"h": h, "start_s": starts / rate if rate else jnp.zeros(count)}
        return made | (_scores(encoder, weights, h) if isinstance(encoder, Classifier) else {})

    return function


def _scores(model: Classifier, weights: Weights, h: jax.Array) -> dict[str, jax.Array]:
    mean, std, bias = (weights[f"head.{name}"][None, None] for name in ("mean", "std", "bias"))
    logits = jnp.matmul((h - mean) / std, weights["head.kernel"], precision="highest") + bias
    windows = jax.nn.softmax(logits, axis=-1)
    level = jnp.log(jnp.maximum(windows.mean(axis=1), TINY)) / model.about["temperature"]
    shift = np.asarray(model.about["class_bias"], np.float32)[None]
    recording = jax.nn.softmax(level + shift, axis=-1)
    return {"windows": windows, "recording": recording}


def example_waves(encoder: Encoder) -> list[np.ndarray]:
    """Makes tones, clicks and noise on which an artefact proves that it computes the same.

    Returns:
      Two arrays (recordings, samples): two recordings of the shortest length, one of some windows.
    """
    spec, rng = encoder.spec, np.random.default_rng(0)
    hop = spec.hop_samples if spec.frames_per_s else spec.n_fft
    long = shortest_samples(spec) + (2 * encoder.meta.frames + 3) * hop + 7
    waves = []
    for rows, samples in ((2, shortest_samples(spec)), (1, long)):
        t = np.arange(samples) / spec.sample_rate_hz
        tone = np.sin(2 * np.pi * (200 + 900 * np.arange(1, rows + 1)[:, None] * t) * t)
        clicks = rng.random((rows, samples)) < 1e-3
        noise = 0.05 * rng.normal(size=(rows, samples))
        waves.append((0.3 * tone + 0.3 * clicks + noise).astype(np.float32))
    return waves
