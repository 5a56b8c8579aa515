"""Malformed recordings by the dozen, as (name, bytes); no two are damaged alike."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile

RATE = 8000
U32 = 2**32 - 1


def encoded(kind: str, subtype: str | None = None, *, seconds: float = 1.0, seed: int = 0) -> bytes:
    """A second of noise."""
    wave = 0.3 * np.random.default_rng(seed).normal(size=int(seconds * RATE)).clip(-3, 3)
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def header(
    *,
    form: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    fmt_size: int = 16,
    size: int | None = None,
    data: bytes = b"\0\1" * RATE,
) -> bytes:
    """A wav whose header says whatever is asked for."""
    align = channels * bits // 8 & 0xFFFF
    rest = (rate * align) & U32
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", fmt_size, form, channels, rate, rest, align, bits)
    chunk += struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return struct.pack("<4sI4s", b"RIFF", len(chunk) + 4, b"WAVE") + chunk


def floats(*bad: float) -> bytes:
    """A float wav with these samples in its middle."""
    wave = np.zeros(RATE, "<f4")
    wave[100 : 100 + len(bad)] = bad
    return header(form=3, bits=32, data=wave.tobytes())


def flipped(data: bytes, at: float, bits: int = 0xFF) -> bytes:
    """One byte inverted, at a share of the length."""
    damaged = bytearray(data)
    damaged[int(at * (len(data) - 1))] ^= bits
    return bytes(damaged)


FORGED = {
    "rate": (0, 1, 999, 384_001, 4_000_000_000, U32),
    "channels": (0, 33, 255, 65_535),
    "bits": (0, 255, 65_535),
    "form": (0, 0xFF, 0x1234, 0xFFFE),
    "size": (2 * RATE + 2000, 10**6, 2**31, U32 - 1),
    "fmt_size": (0, 2, 15, 2**31, U32),
}
SAMPLES = {
    "nan": np.nan,
    "inf": np.inf,
    "minus_inf": -np.inf,
    "huge": 1e30,
    "loud": 11.0,
}


def _wavs() -> Iterator[tuple[str, bytes]]:
    good = header()
    for field, values in FORGED.items():
        for value in values:
            yield f"{field}_{value}.wav", header(**{field: value})
    for n in (0, 1, 4, 12, 20, 36, 44, 5000, 14_000):
        yield f"first_{n}.wav", good[:n]
    for name, value in SAMPLES.items():
        yield f"{name}.wav", floats(value)
    yield "page.wav", b"<html><body>404 Not Found</body></html>" * 40
    yield "zeros.wav", bytes(5000)
    yield "noise.wav", np.random.default_rng(1).bytes(5000)
    yield "no_data.wav", good[:36]
    yield "chunks_without_end.wav", good[:12] + b"junk\0\0\0\0" * 2000
    yield "chunk_beyond.wav", good[:12] + struct.pack("<4sI", b"LIST", U32) + good[12:]


def _compressed() -> Iterator[tuple[str, bytes]]:
    flac, ogg, mp3 = encoded("FLAC"), encoded("OGG", "VORBIS"), encoded("MP3", seconds=2)
    for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99):
        yield f"cut_{share}.flac", flac[: int(share * len(flac))]
    for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        yield f"flip_{share}.flac", flipped(flac, share)
    claim = bytearray(flac)
    claim[21] |= 0x0F  # the upper bits of STREAMINFO's number of samples
    yield "claims_years.flac", bytes(claim)
    yield "no_frames.flac", flac[:42]
    for share in (0.001, 0.02, 0.3, 0.6, 0.95):
        yield f"cut_{share}.ogg", ogg[: int(share * len(ogg))]
    for share in (0.002, 0.5):
        yield f"cut_{share}.mp3", mp3[: int(share * len(mp3))]
    yield "head.mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + mp3[:200]
    yield "noise.mp3", np.random.default_rng(2).bytes(4000)
    yield "noise.3gp", b"\0\0\0\x18ftyp3gp4" + np.random.default_rng(3).bytes(4000)
    yield "empty.m4a", b""
    yield "page.amr", b"<html></html>"
    yield "noise.aac", np.random.default_rng(4).bytes(4000)


def malformed() -> dict[str, bytes]:
    """All of them; every one must be refused."""
    return dict([*_wavs(), *_compressed()])


def doubtful() -> dict[str, bytes]:
    """Damage that a format may conceal: refused, or finite samples of a sane length."""
    ogg, mp3, wav = encoded("OGG", "VORBIS"), encoded("MP3", seconds=2), encoded("WAV", "PCM_16")
    shares = (0.05, 0.2, 0.4, 0.6, 0.8, 0.97)
    return {
        f"flip_{share}.{kind}": flipped(data, share)
        for kind, data in (("ogg", ogg), ("mp3", mp3), ("wav", wav))
        for share in shares
    } | {
        "streamed.wav": header(size=U32),
        "zero_size.wav": header(size=0),
        "bits_1.wav": header(bits=1),
        "bits_7.wav": header(bits=7),
    }
