"""Malformed recordings, archives and tables by the dozen, as (name, bytes); no two are alike."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
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


def _playlists() -> Iterator[tuple[str, bytes]]:
    """Texts that make a careless reader open other files, named as recordings of a phone."""
    target = "file:///etc/hostname"
    yield "hls.m4a", f"#EXTM3U\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()
    yield "hls.aac", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n".encode()
    dash = f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    head = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
    yield "dash.m4a", f'<?xml version="1.0"?>{head}{dash}'.encode()
    concat = "ffconcat version 1.0\n" + f"file '{target}'\n" * 5000
    yield "concat.m4a", concat.encode()
    yield "concat.wav", concat.encode()
    yield "session.amr", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 {target}\n".encode()
    yield "list.webm", f"[playlist]\nFile1={target}\n".encode()
    yield (
        "reference.wma",
        f"<asx version='3.0'><entry><ref href='{target}'/></entry></asx>".encode(),
    )


def _box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    """A box of an MP4 file, whose size may lie."""
    return struct.pack(">I4s", len(content) + 8 if size is None else size, kind) + content


def _containers() -> Iterator[tuple[str, bytes]]:
    kind = _box(b"ftyp", b"M4A \0\0\0\0M4A mp42isom")
    nested = b""
    for _ in range(3000):
        nested = _box(b"moov", nested)
    yield "nested.m4a", kind + nested
    yield "box_of_nothing.m4a", kind + _box(b"moov", b"", size=0) * 100
    yield "box_beyond.m4a", kind + _box(b"moov", b"\0" * 20, size=U32)
    yield "box_of_64_bits.m4a", kind + struct.pack(">I4sQ", 1, b"mdat", 2**63 - 1) + b"\0" * 99
    many = _box(b"stsz", struct.pack(">III", 0, 0, U32))
    tables = _box(b"mdia", _box(b"minf", _box(b"stbl", many)))
    yield "claims_samples.m4a", kind + _box(b"moov", _box(b"trak", tables))
    yield (
        "media_elsewhere.m4a",
        kind + _box(b"moov", _box(b"dref", b"\0\0\0\0\0\0\0\1url file:///x")),
    )
    yield "open.webm", b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 7 + b"\x18\x53\x80\x67\x01" + b"\xff" * 7
    yield "header.webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01" + b"\0" * 400
    asf = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    yield "claims.wma", asf + struct.pack("<QI", 2**62, U32) + b"\1\2" * 200
    caf = b"caff\0\1\0\0desc" + struct.pack(">QdIIIIII", 32, 8e3, 0x6C70636D, 0, 2, 1, 1, 16)
    yield "claims.caf", caf + b"data" + struct.pack(">q", 2**62) + b"\0\0\0\0"
    yield "no_rate.caf", caf.replace(struct.pack(">d", 8e3), struct.pack(">d", float("nan")))
    yield "archive.m4a", archives()["claims_60_bits.zip"]
    yield "archive.wav", gzip.compress(header())
    yield "archive.flac", archives()["sparse.tar"]


def malformed() -> dict[str, bytes]:
    """All recordings; every one must be refused."""
    return dict([*_wavs(), *_compressed(), *_playlists(), *_containers()])


def _tar(info: tarfile.TarInfo, content: bytes = b"", form: int = tarfile.PAX_FORMAT) -> bytes:
    file, info.size = io.BytesIO(), len(content)
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _sized(tar: bytes, size: bytes) -> bytes:
    """A tar whose first header claims another size, its checksum made right."""
    head = bytearray(tar[:512])
    head[124:136], head[148:156] = size.ljust(12, b"\0"), b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + tar[512:]


def archives() -> dict[str, bytes]:
    """Archives that claim, nest or hide; every one must be refused and leave nothing."""
    plain, noise = _tar(tarfile.TarInfo("x")), np.random.default_rng(5).bytes(20_000)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 100_000)
    zipped = file.getvalue()
    at = zipped.index(b"PK\1\2")
    claims = zipped[: at + 24] + struct.pack("<I", U32 - 1) + zipped[at + 28 :]
    sparse = tarfile.TarInfo("holes")
    sparse.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(1 << 42),
        "GNU.sparse.map": f"{(1 << 42) - 1},1",
        "GNU.sparse.numblocks": "1",
    }
    named = tarfile.TarInfo("x" * 300_000)
    dictionary = bytearray(lzma.compress(plain, lzma.FORMAT_ALONE))
    dictionary[1:5] = struct.pack("<I", U32)  # bytes that its reader must allocate
    return {
        "claims_60_bits.zip": claims,
        "many_ends.zip": zipped + zipped[at:] * 3 + b"\0" * 70_000,
        "cut_in_the_list.zip": zipped[: at + 20] + zipped[-22:],
        "sparse.tar": _tar(sparse),
        "claims.tar": _sized(plain, b"77777777777"),
        "negative.tar": _sized(plain, b"\xff" * 12),
        "long_name.tar": _tar(named, form=tarfile.GNU_FORMAT),
        "dictionary.tar.lzma": bytes(dictionary),
        "of_archives.tar.gz": gzip.compress(gzip.compress(plain)),
        "zeros.tar.gz": gzip.compress(b"\0" * (300 << 20), 1),
        "cut.tar.gz": gzip.compress(_tar(tarfile.TarInfo("y"), noise))[:-2000],
        "empty.zip": b"",
        "zlib.tar": zlib.compress(plain),
    }


def tables() -> dict[str, bytes]:
    """Tables of clips; every one must be refused by name."""
    row = b"path,label\na.wav,"
    return {
        "cell_without_end.csv": row + b'"' + b"x" * (30 << 20),
        "cell_of_megabytes.csv": row + b"x" * (30 << 20),
        "columns.csv": b"path" + b"".join(b",c%d" % i for i in range(100_000)) + b"\na.wav\n",
        "zeros.csv": row + b"\0" * (8 << 20),
        "utf16.csv": "path,label\na.wav,\u00e9\n".encode("utf-16"),
        "utf7.csv": row + b"+AOk-\xff\n",
        "nothing.csv": b"",
        "header.csv": b"path,label\n",
        "lines.csv": b"\n" * (1 << 20),
        "picture.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        "sheet.csv": b"PK\3\4" + bytes(range(256)) * 40,
    }


def manifests() -> dict[str, bytes]:
    """Contents of manifest.json; every one must be refused by name."""
    return {
        "deep": b"[" * 200_000,
        "deep_object": b'{"shards":' * 100_000,
        "number": b'{"schema": ' + b"9" * 1_000_000 + b"}",
        "list": b"[]",
        "word": b"NaN",
        "zeros": b"\0" * (4 << 20),
        "shards": b'{"schema": 2, "shards": {}, "classes": {}, "spec": []}',
        "open": b'{"schema": 2, "shards": [{"name": "' + b"x" * (20 << 20),
        "utf16": '{"schema": 2}'.encode("utf-16"),
    }


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
