"""Bytes to waveform to log-mel, on the host; never imports jax."""

from cryjax.audio.decode import AudioError, DecodeLimits, Recording, decode, read
from cryjax.audio.logmel import make_logmel, mel_filters

__all__ = [
    "AudioError",
    "DecodeLimits",
    "Recording",
    "decode",
    "make_logmel",
    "mel_filters",
    "read",
]
