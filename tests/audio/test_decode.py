import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from cryjax.audio import AudioError, DecodeLimits, decode, read
from cryjax.audio.decode import length_s, require_wave
from cryjax.data.manifest import load_manifest


def tone(seconds=1.0, rate=16_000, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    def write(name="a.wav", data=None, rate=16_000, **kwargs):
        soundfile.write(tmp_path / name, tone() if data is None else data, rate, **kwargs)
        return tmp_path / name

    return write


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "PCM_U8", "ULAW"])
def test_any_sample_format_is_full_scale_one(wav, subtype):
    got = decode(wav(subtype=subtype), sample_rate_hz=16_000)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, tone(), atol=0.02)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.aiff", "a.caf"])
def test_formats_of_libsndfile(wav, name):
    assert len(decode(wav(name), sample_rate_hz=16_000)) == pytest.approx(16_000, abs=1200)


def test_channels_are_averaged_and_rates_resampled(wav):
    stereo = np.stack([tone(rate=44_100), np.zeros(44_100, np.float32)], axis=1)
    path = wav(data=stereo, rate=44_100, subtype="FLOAT")
    got = decode(path, sample_rate_hz=22_050)
    assert len(got) == 22_050
    np.testing.assert_allclose(got[500:-500], tone(rate=22_050)[500:-500] / 2, atol=1e-3)
    assert read(path).rate_hz == 44_100
    assert read(path).channels == 2


def test_a_stretch_is_cut_and_clipped_to_the_end(wav):
    path = wav(data=np.arange(16_000, dtype=np.float32) / 16_000, subtype="FLOAT")
    got = read(path, start_s=0.5, end_s=0.75).wave
    np.testing.assert_allclose(got, np.arange(8000, 12_000) / 16_000, atol=1e-6)
    assert len(read(path, start_s=0.9, end_s=9.0).wave) == 1600
    with pytest.raises(AudioError, match="no samples"):
        read(path, start_s=2.0)


def broken(name, path):
    """Damages a good file."""
    data = path.read_bytes()
    if name == "text":
        path.write_text("this is no audio")
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif name == "header":
        path.write_bytes(data[:30])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "not readable"),
        ("empty", "not readable"),
        ("header", "not readable"),
        ("truncated", "truncated: .* bytes missing"),
    ],
)
def test_damaged_files_name_themselves_and_a_remedy(wav, name, reason):
    path = wav()
    broken(name, path)
    with pytest.raises(AudioError, match=reason) as error:
        read(path)
    assert error.value.path == str(path)
    assert error.value.remedy


def test_a_short_missing_tail_is_flagged_and_a_longer_one_refused(wav):
    """A header that promises 40 ms more than a 1 s file holds is used; 150 ms more is not."""
    whole = wav("whole.wav").read_bytes()
    assert not read(wav("whole.wav")).short_tail
    path = wav("short.wav")
    path.write_bytes(whole[: -2 * 640])
    got = read(path)
    assert got.short_tail
    assert len(got.wave) == 16_000 - 640
    np.testing.assert_allclose(got.wave, tone()[: len(got.wave)], atol=1e-4)
    path.write_bytes(whole[: -2 * 2400])
    with pytest.raises(AudioError, match="truncated: 4800 of 32000 bytes missing"):
        read(path)


def test_values_and_claims_beyond_the_limits_are_refused(wav):
    with pytest.raises(AudioError, match="not finite"):
        read(wav(data=np.array([0, np.nan, 0], np.float32), subtype="FLOAT"))
    with pytest.raises(AudioError, match="peak of 1e\\+30"):
        read(wav(data=np.full(99, 1e30, np.float32), subtype="FLOAT"))
    with pytest.raises(AudioError, match="sample rate 1 Hz; rates of 1000 to 384000 Hz"):
        read(wav(rate=1))
    with pytest.raises(AudioError, match="33 channels"):
        read(wav(data=np.zeros((9, 33), np.float32)))
    with pytest.raises(AudioError, match="1 s long; at most 0 s"):
        read(wav(), limits=DecodeLimits(max_s=0.5))
    with pytest.raises(AudioError, match="no such file"):
        read("nowhere.wav")


def test_a_phone_format_without_ffmpeg_names_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "a.3gp").write_bytes(b"x")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(AudioError, match="install ffmpeg"):
        read(tmp_path / "a.3gp")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_phone_formats_go_through_ffmpeg(wav, tmp_path):
    path = tmp_path / "a.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav(), path], check=True)
    got = decode(path, sample_rate_hz=16_000)
    assert len(got) == pytest.approx(16_000, abs=2500)
    assert np.abs(got).max() == pytest.approx(0.5, abs=0.1)
    stereo = tmp_path / "stereo.m4a"
    encode = ["ffmpeg", "-v", "error", "-i", wav(), "-af", "aformat=channel_layouts=stereo"]
    subprocess.run([*encode, "-filter:a", "pan=stereo|c0=c0|c1=c0", stereo], check=True)
    both = read(stereo)
    assert both.channels == 2  # ffmpeg's own mix was 3 dB louder than the mean of the channels
    assert both.wave.std() == pytest.approx(got.std(), rel=0.05)
    assert length_s(stereo) == pytest.approx(1.0, abs=0.2)
    caf = tmp_path / "phone.caf"
    encode = ["ffmpeg", "-v", "error", "-i", wav(), "-c:a", "adpcm_ima_qt", caf]
    subprocess.run(encode, check=True)
    assert len(decode(caf, sample_rate_hz=16_000)) == pytest.approx(16_000, abs=200)
    assert read(caf).rate_hz == 16_000
    path.write_bytes(b"rubbish")
    assert length_s(path) is None
    with pytest.raises(AudioError, match="not readable by ffmpeg"):
        read(path)


@pytest.mark.parametrize(
    ("wave", "reason"),
    [
        (np.ones(9, np.int16), "floating point from -1 to 1, got int16"),
        (np.ones((2, 9)), r"is \(samples,\), got \(2, 9\): average its channels"),
        (np.ones(0), "got no sample"),
        (np.array([0.1, np.nan]), "got NaN or inf"),
        (np.array([0.1, 3e4]), "got a peak of 30000"),
    ],
)
def test_a_waveform_that_no_decoder_gives_is_refused(wave, reason):
    """Integers became other features, and two channels ended the process."""
    with pytest.raises(ValueError, match=reason):
        require_wave(wave)


def test_a_manifest_names_file_line_and_column(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("file,label\na.wav,cry\n")
    with pytest.raises(ValueError, match="column \\['path'\\] is missing"):
        load_manifest(path)
    path.write_text("path,start_s,end_s\na.wav,2,1\n")
    with pytest.raises(ValueError, match="clips.csv:2: start_s and end_s must be seconds"):
        load_manifest(path)
    path.write_text("path\n")
    with pytest.raises(ValueError, match="no clips"):
        load_manifest(path)
    path.write_text("path,site\nx/a.wav,w1\n")
    clip = load_manifest(path)[0]
    assert (clip.group, clip.extra) == ("x/a", {"site": "w1"})


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_playlist_under_the_name_of_a_recording_reads_no_other_file(wav, tmp_path):
    secret = wav("secret.wav")
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    texts = {"hls": hls, "concat": f"ffconcat version 1.0\nfile '{secret}'\n"}
    for name, text in texts.items():
        path = tmp_path / f"{name}.m4a"
        path.write_text(text)
        with pytest.raises(AudioError, match="not readable by ffmpeg"):
            read(path)
