"""The interface of HEAR 2021 (Turian et al. 2022): load_model and two ways to embed.

Audio is (sounds, samples) at the model's rate, of numpy or torch; embeddings come back as the same.
Source: https://hearbenchmark.com/hear-api.html. With torch installed, hear-validator runs on it:
`hear-validator cryjax.deploy.hear --model runs/mine`.
"""

from typing import Any

import numpy as np

from cryjax.audio.decode import require_wave
from cryjax.data.windows import Windows
from cryjax.deploy.classifier import load
from cryjax.encoder import Encoder
from cryjax.errors import UserError

STEP_MS = 50.0  # between timestamps, or less


def _module() -> Any:
    """Returns torch's class of modules where torch is installed: hear-validator asks for one."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return object
    return torch.nn.Module


class HearModel(_module()):
    """An encoder as HEAR wants it; a torch module without parameters where torch is installed.

    Attributes:
      sample_rate: Rate of the audio in Hz.
      scene_embedding_size: Length of an embedding of a whole sound.
      timestamp_embedding_size: Length of an embedding at a time.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.sample_rate = encoder.spec.sample_rate_hz
        self.scene_embedding_size = self.timestamp_embedding_size = encoder.features

    def windows_of(self, waves: np.ndarray, windows: Windows) -> np.ndarray:
        """Embeds (sounds, samples) audio window by window.

        Returns:
          (sounds, windows, size) embeddings.
        """
        mels = [self.encoder.mel(wave, sample_rate_hz=self.sample_rate) for wave in waves]
        h, _, _ = self.encoder.embed_mels(mels, windows)
        return h.reshape(len(mels), -1, h.shape[-1])


def load_model(model_file_path: str = "") -> HearModel:
    """Loads the encoder of a folder."""
    return HearModel(load(model_file_path))


def _sounds(audio: Any) -> np.ndarray:
    array = np.asarray(audio.detach().cpu() if hasattr(audio, "detach") else audio)
    if array.ndim != 2:
        raise UserError(f"audio must be (sounds, samples), got {array.shape}")
    return np.stack([require_wave(wave) for wave in array])


def _like(audio: Any, array: np.ndarray) -> Any:
    """Returns an array as the library of the audio has them."""
    if not hasattr(audio, "detach"):
        return array
    import torch  # pyright: ignore[reportMissingImports]

    return torch.from_numpy(array).to(audio.device)


def get_scene_embeddings(audio: Any, model: HearModel) -> Any:
    """Computes (sounds, size) embeddings of whole sounds: the mean over windows."""
    return _like(audio, model.windows_of(_sounds(audio), model.encoder.windows).mean(axis=1))


def get_timestamp_embeddings(audio: Any, model: HearModel) -> tuple[Any, Any]:
    """Computes embeddings at evenly spaced times.

    Each is of a window around its time; a sound is continued by zeros beyond its ends.

    Returns:
      (sounds, times, size) embeddings and (sounds, times) times in milliseconds.
    """
    encoder, sounds = model.encoder, _sounds(audio)
    spec = encoder.spec
    if not spec.frames_per_s:
        raise UserError(f"the spec {spec.name} resizes recordings in time: it has no timestamps")
    hop = max(1, int(STEP_MS / 1000 * spec.frames_per_s))
    half = encoder.meta.frames * spec.hop_samples // 2
    padded = np.pad(sounds, ((0, 0), (half, half)))
    made = model.windows_of(padded, Windows(encoder.meta.frames, hop, "dropped"))
    step_ms = 1000 * hop / spec.frames_per_s
    duration_ms = 1000 * sounds.shape[1] / model.sample_rate
    times = np.arange(made.shape[1], dtype=np.float32) * step_ms
    kept = times <= duration_ms
    times = np.broadcast_to(times[kept], (len(sounds), int(kept.sum()))).copy()
    return _like(audio, made[:, kept]), _like(audio, times)
