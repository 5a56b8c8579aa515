"""Audio files to float32 mono, with caps and checks; damage is refused, never concealed."""

import contextlib
import dataclasses
import io
import pathlib
import re
import shutil
import struct
import subprocess

import numpy as np
import soundfile
import soxr

from cryjax.errors import UserError

FFMPEG_SUFFIXES = {".3gp", ".3g2", ".m4a", ".mp4", ".aac", ".amr", ".webm", ".wma"}
RAW_SUFFIXES = {".aac", ".amr"}  # without an index: their length is a guess
MIXED_SUFFIXES = {".caf"}  # containers that libsndfile opens, but not with every codec (IMA4)
OPEN_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".w64"}
AUDIO_SUFFIXES = FFMPEG_SUFFIXES | MIXED_SUFFIXES | OPEN_SUFFIXES
FFMPEG_BYTES_A_SECOND = 4 * 192_000  # float samples at the highest rate it may deliver
FFMPEG_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,aac,amr,matroska,webm,asf,caf"
# no playlist may lead to other files
FFMPEG_SAFE = ("-protocol_whitelist", "file,pipe", "-format_whitelist", FFMPEG_FORMATS)
SHORT_TAIL_SHARE, SHORT_TAIL_S = 0.01, 0.05  # that a header may promise too much (mp3 in wav)
OF_INTEGERS = 1000.0  # a peak above which floats are integers that were cast
STREAMED_SIZES = {0, 0x7FFFFFFF, 0xFFFFFFFF}  # what a writer leaves that never knew the length


class AudioError(Exception):
    """A recording cannot be used; says which one, why, and what to do about it."""

    def __init__(self, path: str | pathlib.Path, reason: str, remedy: str):
        super().__init__(f"{path}: {reason}; {remedy}")
        self.path, self.reason, self.remedy = str(path), reason, remedy

    def __reduce__(self):
        return AudioError, (self.path, self.reason, self.remedy)


@dataclasses.dataclass(frozen=True)
class DecodeLimits:
    """Caps on what a file may claim or hold.

    Attributes:
      min_rate_hz: Lowest accepted sample rate; resampling a file of 1 Hz would fill the memory.
      max_rate_hz: Highest accepted sample rate.
      max_channels: Largest accepted number of channels.
      max_s: Longest accepted recording, or stretch of one, in seconds.
      max_samples: Largest accepted number of samples; a gigabyte of float32 by default.
      max_abs: Largest accepted absolute sample value of a float file.
      timeout_s: Seconds after which a call of ffmpeg is ended.
    """

    min_rate_hz: int = 1000
    max_rate_hz: int = 384_000
    max_channels: int = 32
    max_s: float = 4 * 3600.0
    max_samples: int = 1 << 28
    max_abs: float = 10.0
    timeout_s: float = 120.0


@dataclasses.dataclass(frozen=True)
class Recording:
    """A decoded recording or a stretch of it.

    Attributes:
      wave: (samples,) float32 mono signal at `rate_hz`, the mean of the channels.
      rate_hz: Sample rate of the file.
      channels: Number of channels of the file.
      short_tail: Whether the header promises a little more than the file holds, up to 1 % or
        50 ms; what is missing at most belongs to the end.
    """

    wave: np.ndarray
    rate_hz: int
    channels: int
    short_tail: bool = False


def _is_short_tail(missing: float, promised: float, per_second: float) -> bool:
    """Tells whether so little is missing that the recording can be used."""
    return missing <= max(SHORT_TAIL_SHARE * promised, SHORT_TAIL_S * per_second)


def _check_wav_length(path: pathlib.Path) -> bool:
    """Returns whether a wav lacks a short tail; libsndfile is silent about missing bytes.

    Raises:
      AudioError: More than a short tail is missing.
    """
    size, per_second = path.stat().st_size, 0
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return False
        while len(header := file.read(8)) == 8:
            name, length = header[:4], struct.unpack("<I", header[4:])[0]
            if name == b"data":
                missing = 0 if length in STREAMED_SIZES else file.tell() + length - size
                if missing > 0 and not _is_short_tail(missing, length, per_second):
                    reason = f"truncated: {missing} of {length} bytes missing"
                    raise AudioError(path, reason, "fetch the file again")
                return missing > 0
            if name == b"fmt " and len(values := file.read(min(length, 12))) == 12:
                per_second = struct.unpack("<8xI", values)[0]
                length -= 12
            file.seek(length + length % 2, 1)
    return False


def _checked_rate(path: pathlib.Path, sound: soundfile.SoundFile, limits: DecodeLimits) -> None:
    if not limits.min_rate_hz <= sound.samplerate <= limits.max_rate_hz:
        allowed = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise AudioError(path, f"sample rate {sound.samplerate} Hz", f"rates of {allowed} are read")
    if sound.channels > limits.max_channels:
        reason = f"{sound.channels} channels"
        raise AudioError(path, reason, f"at most {limits.max_channels} are read; mix it down")


def _read_blocks(path: pathlib.Path, sound: soundfile.SoundFile, frames: int) -> np.ndarray:
    """Reads mono samples second by second, so that no claimed length is allocated up front."""
    blocks, left = [], frames
    while left > 0:
        block = sound.read(min(left, sound.samplerate), dtype="float32", always_2d=True)
        if not len(block):
            if _is_short_tail(left, sound.frames, sound.samplerate):
                break
            reason = f"truncated: {left} of {frames} samples missing"
            raise AudioError(path, reason, "fetch the file again")
        blocks.append(block[:, 0] if sound.channels == 1 else block.mean(axis=1))
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _read_soundfile(
    path: pathlib.Path, start_s: float, end_s: float | None, limits: DecodeLimits
) -> Recording:
    short_tail = _check_wav_length(path)
    try:
        with soundfile.SoundFile(path) as sound:
            _checked_rate(path, sound, limits)
            rate = sound.samplerate
            first = min(round(start_s * rate), sound.frames)
            last = sound.frames if end_s is None else min(round(end_s * rate), sound.frames)
            if last - first > (most := min(limits.max_s * rate, limits.max_samples)):
                reason = f"{(last - first) / rate:.0f} s long"
                raise AudioError(path, reason, f"at most {most / rate:.0f} s are read; cut it")
            sound.seek(first)
            wave = _read_blocks(path, sound, last - first)
            short_tail |= len(wave) < last - first
            return Recording(wave, rate, sound.channels, short_tail)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError) as error:
        reason = f"not readable as audio ({error})"
        raise AudioError(
            path, reason, "check that it is an audio file, or fetch it again"
        ) from None


def _read_ffmpeg(
    path: pathlib.Path, start_s: float, end_s: float | None, limits: DecodeLimits
) -> Recording:
    """Reads phone formats through the user's own ffmpeg binary, at the file's own rate."""
    binary = shutil.which("ffmpeg")
    if binary is None:
        remedy = "install ffmpeg, or convert the file to wav or flac"
        raise AudioError(path, f"{path.suffix} needs ffmpeg, which is not installed", remedy)
    until = limits.max_s + 1 if end_s is None else end_s - start_s
    most = int((limits.max_s + 1) * FFMPEG_BYTES_A_SECOND)
    call = [binary, "-nostdin", "-v", "error", *FFMPEG_SAFE]
    call += ["-i", f"file:{path}", "-vn", "-ss", str(start_s), "-t", str(until), "-fs", str(most)]
    call += ["-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]  # its own mix to mono is 3 dB louder
    try:
        done = subprocess.run(call, capture_output=True, timeout=limits.timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise AudioError(path, f"ffmpeg took over {limits.timeout_s} s", "convert it") from None
    if done.returncode or done.stderr:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["ffmpeg failed"]
        raise AudioError(path, f"not readable by ffmpeg ({reason[0][:200]})", "fetch it again")
    with soundfile.SoundFile(io.BytesIO(done.stdout)) as sound:
        _checked_rate(path, sound, limits)
        wave = sound.read(dtype="float32", always_2d=True).mean(axis=1)
        longest = min(limits.max_s * sound.samplerate, limits.max_samples)
        if len(wave) > longest or len(done.stdout) >= most:
            kept_s = longest / sound.samplerate
            raise AudioError(path, "too long", f"at most {kept_s:.0f} s are read; cut it")
        return Recording(wave, sound.samplerate, sound.channels)


def length_s(path: pathlib.Path) -> float | None:
    """Reads how long a recording is in seconds; None where its file does not tell."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        return soundfile.info(path).duration
    binary = shutil.which("ffmpeg")
    if binary is None or path.suffix.lower() not in FFMPEG_SUFFIXES - RAW_SUFFIXES | MIXED_SUFFIXES:
        return None
    call = [binary, "-nostdin", *FFMPEG_SAFE, "-i", f"file:{path}"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(call, capture_output=True, timeout=60, check=False)
        if told := re.search(rb"Duration: (\d+):(\d+):(\d+\.\d+)", done.stderr):
            hours, minutes, seconds = map(float, told.groups())
            return 3600 * hours + 60 * minutes + seconds
    return None


def _read_any(
    path: pathlib.Path, start_s: float, end_s: float | None, limits: DecodeLimits
) -> Recording:
    """Reads by libsndfile or ffmpeg, as the suffix says; tries both where the codec decides."""
    suffix = path.suffix.lower()
    if suffix in FFMPEG_SUFFIXES:
        return _read_ffmpeg(path, start_s, end_s, limits)
    try:
        return _read_soundfile(path, start_s, end_s, limits)
    except AudioError as error:
        if suffix not in MIXED_SUFFIXES or "unsupported encoding" not in error.reason:
            raise
        return _read_ffmpeg(path, start_s, end_s, limits)


def read(
    path: str | pathlib.Path,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    limits: DecodeLimits | None = None,
) -> Recording:
    """Reads a recording, or a stretch of it, as mono at its own rate.

    Args:
      path: File of any format that libsndfile reads; 3gp, m4a, aac, amr, webm, and caf with a
        codec of its own, are read through the `ffmpeg` binary.
      start_s: Start of the stretch in seconds.
      end_s: End of the stretch in seconds; None or anything beyond the end is the end.
      limits: Caps; `DecodeLimits()` by default.

    Returns:
      The recording, with at least one sample, all finite and within `max_abs`.

    Raises:
      AudioError: The file cannot be used; says why and what to do.
    """
    path, limits = pathlib.Path(path), limits or DecodeLimits()
    if not path.is_file():
        raise AudioError(path, "no such file", "check the path in the manifest")
    recording = _read_any(path, start_s, end_s, limits)
    if not len(recording.wave):
        raise AudioError(path, "no samples", "the file is empty or the stretch lies beyond its end")
    if not np.isfinite(recording.wave).all():
        raise AudioError(path, "not finite: NaN or Inf samples", "export it again from its source")
    if (peak := np.abs(recording.wave).max()) > limits.max_abs:
        remedy = f"samples must lie within {limits.max_abs}; export it at full scale 1.0"
        raise AudioError(path, f"peak of {peak:g}", remedy)
    return recording


def require_wave(wave: object) -> np.ndarray:
    """Returns a waveform as (samples,) float32; refuses what no decoder would have given.

    Raises:
      UserError: It is of integers, of several channels, empty, not finite, or far beyond 1.
    """
    given = np.asarray(wave)
    if given.dtype.kind != "f":
        raise UserError(f"waveforms are floating point from -1 to 1, got {given.dtype}")
    if given.ndim != 1:
        raise UserError(f"a waveform is (samples,), got {given.shape}: average its channels")
    if not len(given) or not np.isfinite(given).all():
        what = "NaN or inf" if len(given) else "no sample"
        raise UserError(f"a waveform is finite and not empty, got {what}")
    if (peak := np.abs(given).max()) > OF_INTEGERS:
        raise UserError(f"waveforms are floating point from -1 to 1, got a peak of {peak:g}")
    return given.astype(np.float32)


def resample(wave: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    """Resamples (samples,) to another rate, band-limited (soxr HQ, which librosa uses)."""
    if rate_hz == wanted_hz:
        return wave
    return soxr.resample(wave, rate_hz, wanted_hz, quality="HQ").astype(np.float32)


def decode(
    path: str | pathlib.Path,
    *,
    sample_rate_hz: int,
    start_s: float = 0.0,
    end_s: float | None = None,
    limits: DecodeLimits | None = None,
) -> np.ndarray:
    """Reads a recording as `read` does, as (samples,) float32 mono at `sample_rate_hz`."""
    recording = read(path, start_s=start_s, end_s=end_s, limits=limits)
    return resample(recording.wave, recording.rate_hz, sample_rate_hz)
