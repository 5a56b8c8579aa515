"""What a mel is: the contract that travels with every shard set, checkpoint and artefact."""

import dataclasses
import difflib
from typing import Any


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Every constant between a waveform and its log-mel spectrogram.

    Attributes:
      name: The preset it came from; not part of the comparison.
      sample_rate_hz: Rate of the waveform that the mel is computed from.
      wave_norm: "none"; "dc_peak" (minus the mean, divided by max|y| + 0.005, uclser); "peak_0.9".
      wave_offset: Added to every sample before the STFT.
      min_samples: Shorter waveforms are tiled to exactly this length; 0 leaves them.
      n_fft: Length of the FFT in samples.
      window_samples: Length of the periodic window, padded centrally to `n_fft`.
      hop_samples: Step between frames in samples.
      window: "hann" or "hamming".
      pad_mode: Edge padding of the centred STFT, "reflect" or "constant".
      n_mels: Number of bands.
      f_min_hz: Lower edge of the lowest band.
      f_max_hz: Upper edge of the highest band.
      mel_scale: "slaney" or "htk".
      mel_norm: "none" (triangles of height 1), "slaney" (area 1).
      mel_shape: "triangle", or "symmetric" (SpeechBrain: both half-widths are the left spacing).
      filter_rate_hz: Rate the bands are laid out for; 0 is `sample_rate_hz`. Differs only in
        `course_literal`, which keeps the practical's slip.
      log: "log10", "ln", "db" (10 log10) or "none".
      log_offset: Added before the log.
      log_floor: Lower clamp before the log.
      top_db: Clip's dynamic range below its own maximum; 0 leaves it.
      clip_norm: "none"; "mean" (per band over time); "standardise" (whole clip).
      resize_frames: Frames after an antialiased linear resize of the time axis; 0 leaves them.
    """

    name: str
    sample_rate_hz: int
    n_fft: int
    window_samples: int
    hop_samples: int
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    window: str = "hann"
    pad_mode: str = "reflect"
    mel_scale: str = "slaney"
    mel_norm: str = "none"
    mel_shape: str = "triangle"
    filter_rate_hz: int = 0
    wave_norm: str = "none"
    wave_offset: float = 0.0
    min_samples: int = 0
    log: str = "ln"
    log_offset: float = 0.0
    log_floor: float = 0.0
    top_db: float = 0.0
    clip_norm: str = "none"
    resize_frames: int = 0

    @property
    def frames_per_s(self) -> float:
        """Frames a second; 0 where the time axis is resized and a frame has no fixed length."""
        return 0.0 if self.resize_frames else self.sample_rate_hz / self.hop_samples

    def to_json(self) -> dict[str, Any]:
        """Plain values, for manifests and checkpoints."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "FeatureSpec":
        """The inverse of `to_json`; unknown fields are refused by name."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(
                f"FeatureSpec has no field {unknown}; it was written by a newer cryjax"
            )
        return cls(**values)


def require_same(ours: FeatureSpec, theirs: FeatureSpec, *, ours_is: str, theirs_is: str) -> None:
    """Refuses two specs that differ, naming the fields and where each spec came from."""
    a, b = ours.to_json(), theirs.to_json()
    differing = [key for key in a if key != "name" and a[key] != b[key]]
    if differing:
        detail = ", ".join(f"{key}: {a[key]} against {b[key]}" for key in differing)
        raise ValueError(f"the mel of {ours_is} is not the mel of {theirs_is}: {detail}")


PRESETS = {
    spec.name: spec
    for spec in (
        # Fonseca et al. 2021, released code with librosa 0.7.2.
        FeatureSpec(
            "uclser",
            22050,
            2048,
            660,
            220,
            96,
            50.0,
            10500.0,
            window="hamming",
            wave_norm="dc_peak",
            wave_offset=1.1e-8,
            min_samples=22050,
            log="log10",
            log_offset=1.1e-8,
        ),
        # Gorin et al. 2023 through SpeechBrain's Fbank and sentence mean normalisation.
        FeatureSpec(
            "ubenwa",
            16000,
            400,
            400,
            160,
            80,
            0.0,
            8000.0,
            window="hamming",
            pad_mode="constant",
            mel_scale="htk",
            mel_shape="symmetric",
            wave_norm="peak_0.9",
            log="db",
            log_floor=1e-10,
            top_db=80.0,
            clip_norm="mean",
        ),
        # Seth et al. 2023 (SLICER), DeLoRes, BYOL-A: librosa 0.8.1.
        FeatureSpec(
            "slicer",
            16000,
            1024,
            1024,
            160,
            64,
            60.0,
            7800.0,
            mel_norm="slaney",
            log="ln",
            log_offset=1.1920929e-7,
        ),
        # Kong et al. 2020 (PANNs).
        FeatureSpec(
            "panns",
            32000,
            1024,
            1024,
            320,
            64,
            50.0,
            14000.0,
            mel_norm="slaney",
            log="db",
            log_floor=1e-10,
        ),
        # The respiratory practical: as its slides mean it, and as they stand.
        FeatureSpec(
            # n_fft 4096, not 1024: 128 bands up to 2 kHz would leave some without a bin
            "course",
            16000,
            4096,
            1024,
            160,
            128,
            50.0,
            2000.0,
            mel_scale="htk",
            log="ln",
            log_offset=1e-6,
            clip_norm="standardise",
            resize_frames=64,
        ),
        FeatureSpec(
            "course_literal",
            44100,
            400,
            400,
            200,
            128,
            0.0,
            8000.0,
            mel_scale="htk",
            filter_rate_hz=16000,
            log="none",
            resize_frames=64,
        ),
    )
}


def preset(text: str) -> FeatureSpec:
    """A preset by its name, with or without changes: "slicer" or "slicer,n_mels=48".

    Raises:
      ValueError: The preset or a field is unknown (the nearest is named), or a value has not the
        type of the preset's.
    """
    name, *changes = text.split(",")
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS) or list(PRESETS)
        raise ValueError(f"spec must be one of {', '.join(PRESETS)}, got {name!r}; near: {near}")
    found, wanted = PRESETS[name], {}
    known = found.to_json()
    for change in changes:
        field, _, value = change.partition("=")
        if field not in known or field == "name":
            near = difflib.get_close_matches(field, known) or sorted(known)
            raise ValueError(f"spec {text!r}: a mel has no field {field!r}; near: {near}")
        kind = type(known[field])
        try:
            wanted[field] = kind(value)
        except ValueError as error:
            raise ValueError(f"spec {text!r}: {field} must be {kind.__name__}") from error
    return dataclasses.replace(found, **wanted | {"name": text})
