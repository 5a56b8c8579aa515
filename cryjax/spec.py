"""Feature specification: every constant between a waveform and its log-mel spectrogram."""

import dataclasses
import difflib
from typing import Any

from cryjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Every constant between a waveform and its log-mel spectrogram.

    It is stored with shards, checkpoints and exports, and compared wherever two of them meet.

    Attributes:
      name: Preset that it came from, with its changes; not part of the comparison.
      sample_rate_hz: Sample rate of the waveform that the spectrogram is computed from.
      wave_norm: Level of the waveform: "none"; "dc_peak" (minus its mean, divided by max|y| +
        0.005; Fonseca et al. 2021); "peak_0.9" (peak at 0.9).
      wave_offset: Added to every sample before the STFT.
      min_samples: Waveforms shorter than this are tiled to exactly this length; 0 leaves them.
      n_fft: Length of the FFT in samples.
      window_samples: Length of the periodic window, padded centrally to `n_fft`.
      hop_samples: Step between frames in samples.
      window: "hann" or "hamming".
      pad_mode: Edge padding of the centred STFT, "reflect" or "constant".
      n_mels: Number of mel bands.
      f_min_hz: Lower edge of the lowest band.
      f_max_hz: Upper edge of the highest band.
      mel_scale: "slaney" or "htk".
      mel_norm: Scale of a band's filter: "none" (height 1) or "slaney" (area 1).
      mel_shape: Filter shape: "triangle", or "symmetric" (SpeechBrain's: both half-widths are the
        distance to the band on the left).
      filter_rate_hz: Sample rate that the bands are laid out for; 0 means `sample_rate_hz`. Only
        `course_literal` sets it, to repeat a slip of the practical's slides.
      log: "log10", "ln", "db" (10 log10) or "none".
      log_offset: Constant added to the power before the logarithm.
      log_floor: Smallest power that enters the logarithm.
      top_db: Dynamic range in dB that is kept below a clip's maximum; 0 keeps all of it.
      clip_norm: Normalisation of a clip: "none"; "mean" (subtracts each band's mean over time);
        "standardise" (whole clip to mean 0 and standard deviation 1).
      resize_frames: Number of frames after an antialiased linear resize of the time axis; 0 does
        not resize.
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
        """Frame rate in Hz; 0 where the time axis is resized, so that a frame has no duration."""
        return 0.0 if self.resize_frames else self.sample_rate_hz / self.hop_samples

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for manifests and checkpoints."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "FeatureSpec":
        """Builds a specification from `to_json`'s values; refuses unknown fields by name."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise UserError(f"FeatureSpec has no field {unknown}; it was written by a newer cryjax")
        return cls(**values)


def require_same(ours: FeatureSpec, theirs: FeatureSpec, *, ours_is: str, theirs_is: str) -> None:
    """Refuses two specifications that differ, naming the fields and where each came from."""
    a, b = ours.to_json(), theirs.to_json()
    differing = [key for key in a if key != "name" and a[key] != b[key]]
    if differing:
        detail = ", ".join(f"{key}: {a[key]} against {b[key]}" for key in differing)
        raise UserError(f"the log-mels of {ours_is} and of {theirs_is} differ: {detail}")


PRESETS = {
    spec.name: spec
    for spec in (
        # Fonseca et al. 2021, released code with librosa 0.7.2.
        FeatureSpec(
            name="uclser",
            sample_rate_hz=22050,
            n_fft=2048,
            window_samples=660,
            hop_samples=220,
            n_mels=96,
            f_min_hz=50.0,
            f_max_hz=10500.0,
            window="hamming",
            wave_norm="dc_peak",
            wave_offset=1.1e-8,
            min_samples=22050,
            log="log10",
            log_offset=1.1e-8,
        ),
        # Gorin et al. 2023 through SpeechBrain's Fbank and sentence mean normalisation.
        FeatureSpec(
            name="ubenwa",
            sample_rate_hz=16000,
            n_fft=400,
            window_samples=400,
            hop_samples=160,
            n_mels=80,
            f_min_hz=0.0,
            f_max_hz=8000.0,
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
            name="slicer",
            sample_rate_hz=16000,
            n_fft=1024,
            window_samples=1024,
            hop_samples=160,
            n_mels=64,
            f_min_hz=60.0,
            f_max_hz=7800.0,
            mel_norm="slaney",
            log="ln",
            log_offset=1.1920929e-7,
        ),
        # Those of SLICER at 40 frames a second and 48 bands, for a processor without a GPU.
        FeatureSpec(
            name="laptop",
            sample_rate_hz=16000,
            n_fft=1024,
            window_samples=1024,
            hop_samples=400,
            n_mels=48,
            f_min_hz=60.0,
            f_max_hz=7800.0,
            mel_norm="slaney",
            log="ln",
            log_offset=1.1920929e-7,
        ),
        # Kong et al. 2020 (PANNs).
        FeatureSpec(
            name="panns",
            sample_rate_hz=32000,
            n_fft=1024,
            window_samples=1024,
            hop_samples=320,
            n_mels=64,
            f_min_hz=50.0,
            f_max_hz=14000.0,
            mel_norm="slaney",
            log="db",
            log_floor=1e-10,
        ),
        # The respiratory practical: as its slides mean it, and as they stand.
        FeatureSpec(
            # n_fft 4096, not 1024: 128 bands up to 2 kHz would leave some without a bin
            name="course",
            sample_rate_hz=16000,
            n_fft=4096,
            window_samples=1024,
            hop_samples=160,
            n_mels=128,
            f_min_hz=50.0,
            f_max_hz=2000.0,
            mel_scale="htk",
            log="ln",
            log_offset=1e-6,
            clip_norm="standardise",
            resize_frames=64,
        ),
        FeatureSpec(
            name="course_literal",
            sample_rate_hz=44100,
            n_fft=400,
            window_samples=400,
            hop_samples=200,
            n_mels=128,
            f_min_hz=0.0,
            f_max_hz=8000.0,
            mel_scale="htk",
            filter_rate_hz=16000,
            log="none",
            resize_frames=64,
        ),
    )
}


def preset(text: str) -> FeatureSpec:
    """Returns a preset by name, optionally with changes: "slicer" or "slicer,n_mels=48".

    Raises:
      UserError: The preset or a field is unknown (the nearest one is named), or a value has the
        wrong type.
    """
    name, *changes = text.split(",")
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS) or list(PRESETS)
        raise UserError(f"spec must be one of {', '.join(PRESETS)}, got {name!r}; near: {near}")
    base, changed = PRESETS[name], {}
    known = base.to_json()
    for change in changes:
        field, _, value = change.partition("=")
        if field not in known or field == "name":
            near = difflib.get_close_matches(field, known) or sorted(known)
            raise UserError(f"spec {text!r}: there is no field {field!r}; near: {near}")
        kind = type(known[field])
        try:
            changed[field] = kind(value)
        except ValueError as error:
            raise UserError(f"spec {text!r}: {field} must be {kind.__name__}") from error
    return dataclasses.replace(base, **changed | {"name": text})
