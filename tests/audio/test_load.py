"""Any file becomes the same kind of waveform, or one error that says which file and why."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ostinato.audio import (
    AUDIO_SUFFIXES,
    MIN_SECONDS,
    SAMPLE_RATE,
    AudioError,
    AudioStream,
    formats,
    load_audio,
    open_audio,
    waveform_from_array,
)
from ostinato.errors import OstinatoError, UsageError
from ostinato.storage import printable
from tests.helpers.formats import (
    TONE_HZ,
    UNWRITTEN,
    WRITTEN,
    Samples,
    tone,
    write,
    write_with_pyav,
)


def dominant_hz(waveform: Samples, rate_hz: int = SAMPLE_RATE) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * rate_hz / len(waveform))


def assert_is_waveform(waveform: Samples) -> None:
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert waveform.flags.c_contiguous
    assert np.isfinite(waveform).all()


# --- good files ---------------------------------------------------------------------------------


def test_every_listed_suffix_is_tested() -> None:
    assert {*WRITTEN, *UNWRITTEN} == AUDIO_SUFFIXES, "say in tests/helpers/formats.py how"
    assert set(UNWRITTEN.values()) < set(formats.CONTAINERS.split(","))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_keeps_pitch_and_duration(
    tmp_path: Path, suffix: str, channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / f"tone{suffix}", tone(48_000, channels=channels), 48_000)
    waveform = load_audio(path)
    assert_is_waveform(waveform)
    # Codecs pad their first and last frame: at most 2048 samples each.
    assert len(waveform) / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)
    assert dominant_hz(waveform) == pytest.approx(TONE_HZ, abs=1)
    assert capfd.readouterr() == ("", "")  # no decoder talks past us


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for suffix in (".mp3", ".m4a", ".flac", ".ogg"):
        path = write(tmp_path / f"tone{suffix}", tone(44_100), 44_100)
        for name in ("renamed.wav", "renamed.raw", "renamed"):
            path = path.rename(tmp_path / name)
            assert dominant_hz(load_audio(path)) == pytest.approx(TONE_HZ, abs=1)


@pytest.mark.parametrize(
    "name", ["Bach: Air", "http:x", "a|b 100%d ?#&", "été 音楽 🎻", "-i", "'\""]
)
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_no_name_is_special(
    tmp_path: Path, name: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A relative name too: that is where a colon looks like an address to FFmpeg.
    if os.name == "nt" and set(name) & set(':|?"'):
        pytest.skip("Windows does not allow this name")
    write(tmp_path / f"tone{suffix}", tone(22_050), 22_050).rename(tmp_path / f"{name}{suffix}")
    monkeypatch.chdir(tmp_path)
    assert len(load_audio(f"{name}{suffix}")) == len(load_audio(tmp_path / f"{name}{suffix}"))


@pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_a_name_that_is_not_unicode_can_be_read_and_its_error_printed(
    tmp_path: Path, suffix: str
) -> None:
    target = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Caf\xe9" + suffix.encode()))
    try:
        write(tmp_path / f"tone{suffix}", tone(22_050), 22_050).rename(target)
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    assert_is_waveform(load_audio(target))
    target.write_bytes(b"")
    with pytest.raises(AudioError) as caught:
        load_audio(target)
    assert str(caught.value).encode("utf-8")


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_every_rate_agrees_with_scipy_in_the_passband(tmp_path: Path, rate_hz: int) -> None:
    times = np.arange(2 * rate_hz) / rate_hz
    tones_hz = (110.0, 440.0, 1000.0, 2000.0)  # in the passband of all of these, scipy's too
    samples = sum(0.1 * np.sin(2 * np.pi * hz * times) for hz in tones_hz)
    path = tmp_path / "tones.wav"
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    waveform = load_audio(path)
    common = int(np.gcd(rate_hz, SAMPLE_RATE))
    expected = scipy.signal.resample_poly(
        samples, SAMPLE_RATE // common, rate_hz // common, window=("kaiser", 12.0)
    )
    assert len(waveform) == pytest.approx(2 * SAMPLE_RATE, abs=1)
    inside = slice(SAMPLE_RATE // 10, -SAMPLE_RATE // 10)  # the ends are at each filter's mercy
    n = min(len(waveform), len(expected))
    np.testing.assert_allclose(waveform[:n][inside], expected[:n][inside], atol=1e-4)
    times = np.arange(len(waveform)) / SAMPLE_RATE
    exact = sum(0.1 * np.sin(2 * np.pi * hz * times) for hz in tones_hz)
    np.testing.assert_allclose(waveform[inside], exact[inside], atol=1e-5)


def test_what_lies_above_the_new_half_rate_is_removed_and_not_folded_down(tmp_path: Path) -> None:
    times = np.arange(2 * 44_100) / 44_100
    samples = 0.5 * np.sin(2 * np.pi * 500 * times) + 0.5 * np.sin(2 * np.pi * 15_000 * times)
    soundfile.write(tmp_path / "x.wav", samples, 44_100, subtype="FLOAT")
    waveform = load_audio(tmp_path / "x.wav")[2000:-2000]
    spectrum = np.abs(np.fft.rfft(waveform * np.blackman(len(waveform))))
    folded = spectrum[round((22_050 - 15_000) * len(waveform) / SAMPLE_RATE)]
    assert folded < 1e-4 * spectrum.max()


def test_another_rate_can_be_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(44_100), 44_100)
    assert len(load_audio(path, sample_rate_hz=16_000)) == 32_000
    with pytest.raises(UsageError, match="sample rate"):
        load_audio(path, sample_rate_hz=0)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_mono_is_the_mean_of_all_channels(tmp_path: Path, channels: int) -> None:
    samples = tone(SAMPLE_RATE, channels=channels)
    soundfile.write(tmp_path / "x.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    waveform = load_audio(tmp_path / "x.wav")
    np.testing.assert_allclose(waveform, samples.mean(axis=1, dtype=np.float64), atol=1e-7)


def test_a_sound_of_eight_channels_is_read(tmp_path: Path) -> None:
    # PyAV 18 looks for the end of the list of channels behind them, and crashes on eight or more.
    samples = np.repeat(tone(48_000), 8, axis=1)
    with av.open(str(tmp_path / "x.m4a"), "w", format="ipod") as output:
        stream = output.add_stream("aac", rate=48_000, layout="7.1")
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="7.1")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler("fltp", "7.1", 48_000, frame_size=1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(piece))
    waveform = load_audio(tmp_path / "x.m4a")
    assert_is_waveform(waveform)
    assert dominant_hz(waveform) == pytest.approx(TONE_HZ, abs=1)
    assert np.abs(waveform).max() == pytest.approx(0.45, abs=0.1)


def test_stereo_is_half_the_sum_to_the_last_bit(tmp_path: Path) -> None:
    samples = tone(SAMPLE_RATE, channels=2)
    soundfile.write(tmp_path / "x.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_array_equal(
        load_audio(tmp_path / "x.wav"), (samples[:, 0] + samples[:, 1]) / 2
    )


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        (".wav", "PCM_U8", 2**-7),
        (".aiff", "PCM_S8", 2**-7),
        (".flac", "PCM_S8", 2**-7),
        (".wav", "PCM_16", 2**-15),
        (".wav", "PCM_24", 2**-23),
        (".flac", "PCM_24", 2**-23),
        (".aiff", "PCM_24", 2**-23),
        (".au", "PCM_32", 2**-23),  # float32 holds 24 bits
        (".wav", "PCM_32", 2**-23),
        (".wav", "FLOAT", 0.0),
        (".aiff", "FLOAT", 0.0),
        (".wav", "DOUBLE", 0.0),
        (".au", "DOUBLE", 0.0),
    ],
)
def test_every_width_is_read_to_its_last_step(
    tmp_path: Path, suffix: str, subtype: str, step: float
) -> None:
    samples = tone(SAMPLE_RATE)
    path = tmp_path / f"x{suffix}"
    soundfile.write(path, samples, SAMPLE_RATE, subtype=subtype)
    np.testing.assert_allclose(load_audio(path), samples[:, 0], atol=1.01 * step, rtol=0)


def test_pyav_and_soundfile_agree_on_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Integers (interleaved) and floats take the same way through both decoders.
    paths = []
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        paths.append(tmp_path / f"{subtype}.wav")
        soundfile.write(paths[-1], tone(44_100, channels=2), 44_100, subtype=subtype)
    paths.append(write(tmp_path / "x.flac", tone(44_100, channels=2), 44_100))
    by_soundfile = [load_audio(path) for path in paths]
    monkeypatch.setattr("ostinato.audio.decode.SOUNDFILE_MAGIC", ())
    for path, expected in zip(paths, by_soundfile, strict=True):
        np.testing.assert_allclose(load_audio(path), expected, atol=1e-6, err_msg=path.name)


def test_louder_than_full_scale_is_neither_scaled_nor_clipped(tmp_path: Path) -> None:
    samples = tone(SAMPLE_RATE)
    soundfile.write(tmp_path / "loud.wav", 50 * samples, SAMPLE_RATE, subtype="FLOAT")
    loud = load_audio(tmp_path / "loud.wav")
    np.testing.assert_array_equal(loud, 50 * samples[:, 0])


@pytest.mark.parametrize("rate_hz", [SAMPLE_RATE, 44_100])
def test_every_road_scales_sound_alike(tmp_path: Path, rate_hz: int) -> None:
    """A square wave at full scale, in a float file at twice that: resampled, it rings."""
    square = 2 * np.sign(np.sin(2 * np.pi * 441 * np.arange(2 * rate_hz) / rate_hz + 0.1))
    path = tmp_path / "square.wav"
    soundfile.write(path, square, rate_hz, subtype="FLOAT")
    expected = load_audio(path)
    assert np.abs(expected).max() >= (2 if rate_hz == SAMPLE_RATE else 2.1)
    of_array = waveform_from_array(square, sample_rate_hz=rate_hz)
    with open_audio(path) as sound:
        in_blocks = np.concatenate(list(sound.blocks(0.3)))
        excerpt = sound.excerpt(0.5, 1.0)
    with path.open("rb") as file, AudioStream.from_stream(file) as live:
        in_chunks = np.concatenate(list(live.chunks()))
    np.testing.assert_array_equal(of_array, expected)
    np.testing.assert_allclose(in_blocks, expected, atol=1e-5)
    np.testing.assert_allclose(excerpt, expected[11_025 : 11_025 + 22_050], atol=1e-5)
    np.testing.assert_allclose(in_chunks, expected, atol=1e-5)


def _patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize("length", [0, 0x7FFF_F000, 0xFFFF_FFFF, 92_610])
def test_a_wav_whose_stated_length_means_nothing_is_read(tmp_path: Path, length: int) -> None:
    # 0 and the huge ones: written to a pipe. 92 610 bytes: 5 % more than there are.
    path = write(tmp_path / "x.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    data = path.read_bytes()
    path.write_bytes(_patched(data, data.index(b"data") + 4, struct.pack("<I", length)))
    assert len(load_audio(path)) == 2 * SAMPLE_RATE


def test_an_au_and_a_flac_of_unknown_length_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.au", tone(SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(_patched(path.read_bytes(), 8, b"\xff" * 4))
    assert len(load_audio(path)) == 2 * SAMPLE_RATE
    path = write(tmp_path / "x.flac", tone(SAMPLE_RATE), SAMPLE_RATE)
    data = path.read_bytes()
    path.write_bytes(_patched(data, 21, bytes([data[21] & 0xF0, 0, 0, 0, 0])))  # STREAMINFO
    assert len(load_audio(path)) == 2 * SAMPLE_RATE


def _vbr_mp3_without_length(path: Path) -> Path:
    """Noise that fades to near silence: the first frames promise a shorter file than it is."""
    samples = np.random.default_rng(0).standard_normal(10 * 44_100) * 0.2
    samples[5 * 44_100 :] *= 1e-3
    soundfile.write(path, samples, 44_100, bitrate_mode="VARIABLE")
    data = path.read_bytes()
    assert b"Xing" in data[:200]
    path.write_bytes(data[data.index(data[:2], 4) :])  # without the first frame, which states it
    return path


def test_a_variable_rate_mp3_without_a_length_header_is_read_to_its_end(tmp_path: Path) -> None:
    # libsndfile guesses the length from the first frames and stops there, without an error.
    path = _vbr_mp3_without_length(tmp_path / "x.mp3")
    assert soundfile.info(path).duration < 5  # if this ever fails, MP3 may go back to libsndfile
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(10, abs=0.1)


def test_mp3_inside_wav_is_read_to_its_end_too(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_with_pyav(path, tone(44_100), 44_100, container="wav", codec="libmp3lame")
    assert "MPEG" in soundfile.info(path).subtype
    waveform = load_audio(path)
    assert len(waveform) / SAMPLE_RATE == pytest.approx(2, abs=0.1)
    assert dominant_hz(waveform) == pytest.approx(TONE_HZ, abs=1)


def test_tags_do_not_matter_whatever_their_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mp3", tone(SAMPLE_RATE), SAMPLE_RATE)
    data = path.read_bytes()
    id3v1 = b"TAG" + "Café".encode("latin-1").ljust(30, b"\0") * 3 + b"1999" + b"\xe9" * 30 + b"\f"
    picture = (
        b"ID3\x03\0\0" + bytes([0, 0, 2, 0]) + b"TIT2\0\0\0\x05\0\0\0Caf\xe9".ljust(256, b"\0")
    )
    path.write_bytes(picture + data + id3v1)
    assert len(load_audio(path)) == pytest.approx(2 * SAMPLE_RATE, abs=2000)
    path = write(tmp_path / "x.flac", tone(SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(picture + path.read_bytes())  # some taggers put ID3 before FLAC
    assert len(load_audio(path)) == 2 * SAMPLE_RATE


def test_a_length_is_found_behind_a_long_tag(tmp_path: Path) -> None:
    """Four bytes of 7 bits each say how long it is (ID3v2.4, 6.2): here 0, 1, 28, 32 are 20 000."""
    path = tmp_path / "x.mp3"
    _cut(".mp3")(path)
    sound = path.read_bytes()
    for size, field in ((20_000, b"\0\1\x1c\x20"), (1 << 21, b"\1\0\0\0")):
        path.write_bytes(b"ID3\4\0\0" + field + bytes(size) + sound)
        with pytest.raises(AudioError, match=r"only [12].\d s of the 6.0 s"):
            load_audio(path)


@pytest.mark.parametrize(("share", "is_refused"), [(0.05, False), (0.2, True), (0.8, True)])
def test_so_many_packets_must_be_readable(tmp_path: Path, share: float, is_refused: bool) -> None:
    """The file states no length by which a loss would be seen."""
    data = bytearray(_vbr_mp3_without_length(tmp_path / "x.mp3").read_bytes())
    starts = [m.start() for m in re.finditer(re.escape(data[:2]), data)]
    random = np.random.default_rng(0)
    for start in random.choice(starts[5:-5], round(share * len(starts)), replace=False):
        data[start + 4 : start + 36] = b"\xff" * 32
    (tmp_path / "x.mp3").write_bytes(data)
    if is_refused:
        with pytest.raises(AudioError, match="packets are unreadable"):
            load_audio(tmp_path / "x.mp3")
    else:
        assert len(load_audio(tmp_path / "x.mp3")) / SAMPLE_RATE == pytest.approx(10, abs=1.5)


def test_little_damage_does_no_harm(tmp_path: Path) -> None:
    for suffix in (".flac", ".mp3", ".m4a"):
        path = write(tmp_path / f"x{suffix}", tone(44_100, seconds=10), 44_100)
        data = path.read_bytes()
        path.write_bytes(_patched(data, len(data) // 2, b"\xaa" * 50))
        assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("suffix", [".wav", ".au", ".aiff", ".flac", ".mp3", ".webm"])
def test_a_missing_last_twentieth_is_tolerated(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", tone(48_000, seconds=10), 48_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 19 // 20])
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(9.5, abs=0.4)


# --- real recordings ----------------------------------------------------------------------------


def test_a_library_as_people_keep_it(shared_data: Path) -> None:
    paths = sorted((shared_data / "library").iterdir())
    assert len(paths) == 17
    for path in paths:
        waveform = load_audio(path)
        assert_is_waveform(waveform)
        with av.open(str(path)) as container:
            stated_s = container.duration / av.time_base
        assert len(waveform) / SAMPLE_RATE == pytest.approx(stated_s, abs=0.05), path.name
        assert 40 < stated_s < 300, path.name


def test_gtzan_is_read_bit_for_bit(shared_data: Path) -> None:
    paths = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))
    assert len(paths) == 61
    for path in paths:
        expected, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == SAMPLE_RATE
        np.testing.assert_array_equal(load_audio(path), expected, err_msg=path.name)


# --- bad files ----------------------------------------------------------------------------------


def _cut(suffix: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        source = write(path.with_name(f"whole{suffix}"), tone(48_000, seconds=6), 48_000)
        data = source.read_bytes()
        path.write_bytes(data[: len(data) // 3])

    return make


def _cut_faststart_m4a(path: Path) -> None:
    samples = tone(44_100, seconds=6)
    write_with_pyav(path, samples, 44_100, container="ipod", codec="aac", movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


def _wav(samples: NDArray[Any], rate_hz: int = SAMPLE_RATE) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        soundfile.write(path, samples, rate_hz, format="WAV", subtype="FLOAT")

    return make


def _wav_header(field: bytes, at: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        soundfile.write(path, tone(SAMPLE_RATE), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        path.write_bytes(_patched(path.read_bytes(), at, field))

    return make


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(data), None)[1]


def _video(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _wav_of_64_bits(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as output:
        stream = output.add_stream("pcm_s64le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(SAMPLE_RATE).T, format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler("s64", "mono", SAMPLE_RATE)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(piece))


def _with(value: float) -> Samples:
    samples = tone(SAMPLE_RATE, channels=2)
    samples[1234, 1] = value
    return samples


GARBAGE = np.random.default_rng(1).bytes(200_000)
UNKNOWN = "no sound format that can be read"


def _caf_of_one_sample_packets(n: int) -> bytes:
    """A header that lists a packet for each sample: what can be read so is read too slowly."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack(">q", len(body)) + body

    described = struct.pack(">d4sIIIII", 44_100.0, b"lpcm", 0, 0, 1, 1, 16)
    listed = struct.pack(">qqii", n, n, 0, 0) + b"\2" * n
    samples = b"\0\0\0\0" + b"\1\2" * n
    chunks = (b"desc", described), (b"pakt", listed), (b"data", samples)
    return b"caff\0\1\0\0" + b"".join(chunk(*each) for each in chunks)


BAD: Sequence[tuple[str, str, Callable[[Path], Any], str]] = [
    ("missing", "x.wav", lambda path: None, "No such file"),
    ("folder", "x.wav", lambda path: path.mkdir(), "a folder, not a file"),
    ("empty", "x.wav", _bytes(b""), r"empty \(0 bytes\)"),
    ("one byte", "x.mp3", _bytes(b"I"), UNKNOWN),
    ("text", "x.wav", _bytes(b"eggs, milk, bread\n" * 500), UNKNOWN),
    ("text mp3", "x.mp3", _bytes(b"eggs, milk, bread\n" * 500), UNKNOWN),
    ("playlist", "x.wav", _bytes(b"#EXTM3U\n#EXTINF:5,\nx.mp3\n#EXT-X-ENDLIST\n"), UNKNOWN),
    ("raw", "x.raw", _bytes(b"\1\2" * 40_000), UNKNOWN),
    ("garbage mp3", "x.mp3", _bytes(GARBAGE), "damaged"),
    ("garbage m4a", "x.m4a", _bytes(GARBAGE), UNKNOWN),
    ("garbage aac", "x.aac", _bytes(GARBAGE), "no audio stream"),
    # jazz.00054 of GTZAN as it is handed round is a RIFF header with something else behind it.
    ("riff garbage", "jazz.00054.wav", _bytes(b"RIFF" + GARBAGE), "Format not recognised"),
    ("wave garbage", "x.wav", _bytes(b"RIFF\0\0\1\0WAVEfmt " + GARBAGE), "Malformed 'fmt ' chunk"),
    ("header only", "x.wav", _wav(np.zeros(0)), "no samples|" + UNKNOWN),
    ("half a header", "x.wav", _bytes(b"RIFF\0\0\1\0WAVEfmt "), UNKNOWN),
    ("wrong codec", "x.wav", _wav_header(b"\x99\x99", 20), "codec of its audio stream"),
    ("no channels", "x.wav", _wav_header(b"\0\0", 22), "Channel count is zero"),
    ("1 Hz", "x.wav", _wav_header(b"\1\0\0\0", 24), "1000 to 1000000 Hz, got 1"),
    ("cut wav", "x.wav", _cut(".wav"), r"only 2.0 s of the 6.0 s"),
    ("cut au", "x.au", _cut(".au"), r"only 2.0 s of the 6.0 s"),
    ("cut aiff", "x.aiff", _cut(".aiff"), r"only 2.0 s of the 6.0 s"),
    ("cut flac", "x.flac", _cut(".flac"), r"only 1.9 s of the 6.0 s|only 2.0 s of the 6.0 s"),
    ("cut mp3", "x.mp3", _cut(".mp3"), r"only [12].\d s of the 6.0 s"),
    ("cut webm", "x.webm", _cut(".webm"), r"only [12].\d s of the 6.0 s"),
    ("cut m4a", "x.m4a", _cut(".m4a"), UNKNOWN),  # its index was at the end
    ("cut m4a, index first", "x.m4a", _cut_faststart_m4a, r"only [12].\d s of the 6.0 s"),
    ("64 bits", "x.wav", _wav_of_64_bits, "integers of 8, 16 or 32 bits or floats, got 's64'"),
    ("video", "x.mp4", _video, "no audio stream"),
    ("silent", "x.wav", _wav(np.zeros(SAMPLE_RATE)), "no sound, all samples .* are 0"),
    ("silent 48k", "x.wav", _wav(np.zeros(48_000), 48_000), "no sound, all samples .* are 0"),
    ("constant", "x.wav", _wav(np.full(SAMPLE_RATE, 0.25)), "no sound, all samples .* are 0.25"),
    ("NaN", "x.wav", _wav(_with(np.nan)), "NaN or infinite"),
    ("infinite", "x.wav", _wav(_with(np.inf)), "NaN or infinite"),
    ("minus infinite", "x.wav", _wav(_with(-np.inf)), "NaN or infinite"),
    ("nearly infinite", "x.wav", _wav(_with(3e38)), "NaN or infinite"),
    ("0.1 s", "x.wav", _wav(tone(SAMPLE_RATE, seconds=0.1)), "lasts 0.1 s, at least 0.5 s"),
    ("packets of one sample", "x.caf", _bytes(_caf_of_one_sample_packets(4000)), "one sample each"),
    ("null in name", "x\0.wav", lambda path: None, "null"),
]


@pytest.mark.parametrize(
    ("name", "make", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_bad_file_is_one_sentence_that_names_it(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    make: Callable[[Path], Any],
    reason: str,
) -> None:
    path = tmp_path / name
    make(path)
    capfd.readouterr()
    with pytest.raises(AudioError, match=reason) as caught:
        load_audio(path)
    error = caught.value
    message = str(error)
    assert isinstance(error, OstinatoError)
    assert error.exit_status == 1
    assert error.path == str(path)
    assert printable(str(path)) in message
    assert error.reason in message
    assert message.endswith(".")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")  # libmpg123 and FFmpeg keep quiet


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(*args: object, **kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match="cannot be opened \\(Permission denied\\)"):
        load_audio(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.wav")
    with pytest.raises(AudioError, match="not a file"):
        load_audio(tmp_path / "x.wav")


def test_the_shortest_allowed_file_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(44_100, seconds=MIN_SECONDS), 44_100)
    assert len(load_audio(tmp_path / "x.wav")) == MIN_SECONDS * SAMPLE_RATE


def test_damage_at_random_is_survived_or_named(tmp_path: Path) -> None:
    # Whatever the bytes, the answer is a waveform or an AudioError: one file must not stop a run.
    rng = np.random.default_rng(3)
    named = []
    for suffix in WRITTEN:
        whole = write(tmp_path / f"whole{suffix}", tone(48_000, seconds=1), 48_000).read_bytes()
        path = tmp_path / f"x{suffix}"
        for _ in range(20):
            data = bytearray(whole)
            for _ in range(rng.integers(1, 20)):
                end = len(data) if rng.random() < 0.5 else min(400, len(data))
                data[rng.integers(end)] = rng.integers(256)
            path.write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
            try:
                assert_is_waveform(load_audio(path))
                named.append("")
            except AudioError as error:
                named.append(Path(error.path).name)
    assert {Path(name).stem for name in named} == {"", "x"}  # both happened


def test_an_error_comes_home_from_a_worker_process() -> None:
    error = AudioError("a/b.wav", "it is empty (0 bytes)")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(error, protocol))
        assert type(copy) is AudioError
        assert (copy.path, copy.reason, str(copy)) == (error.path, error.reason, str(error))


# --- arrays -------------------------------------------------------------------------------------


def test_an_array_gives_what_the_file_gives(tmp_path: Path) -> None:
    samples = tone(44_100, channels=2)
    soundfile.write(tmp_path / "x.wav", samples, 44_100, subtype="FLOAT")
    np.testing.assert_array_equal(
        waveform_from_array(samples, sample_rate_hz=44_100), load_audio(tmp_path / "x.wav")
    )


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"),
    [
        ("i1", 2**7, 0),
        ("u1", 2**7, 128),
        ("i2", 2**15, 0),
        (">i2", 2**15, 0),
        ("i4", 2**31, 0),
        ("f2", 1, 0),
        ("f4", 1, 0),
        ("f8", 1, 0),
        (">f8", 1, 0),
    ],
)
def test_integers_are_scaled_by_their_range(dtype: str, scale: int, zero: int) -> None:
    exact = tone(SAMPLE_RATE, channels=2).astype(np.float64)
    raw = exact * scale + zero
    samples = (np.round(raw) if np.dtype(dtype).kind in "iu" else raw).astype(dtype)
    waveform = waveform_from_array(samples, sample_rate_hz=SAMPLE_RATE)
    assert waveform.dtype == np.dtype("f4")
    step = {1: 2**-8, 2: 2**-11}.get(samples.dtype.itemsize, 1e-7)
    np.testing.assert_allclose(waveform, exact.mean(axis=1), atol=step)


def test_full_scale_integers_do_not_overflow_in_the_downmix() -> None:
    square = np.where(np.arange(SAMPLE_RATE) % 100 < 50, 32_767, -32_768).astype(np.int16)
    waveform = waveform_from_array(np.stack([square, square], 1), sample_rate_hz=SAMPLE_RATE)
    np.testing.assert_array_equal(waveform, square / np.float32(32_768))


def test_the_array_is_neither_changed_nor_shared() -> None:
    samples = tone(SAMPLE_RATE)[:, 0] * 10
    before = samples.copy()
    waveform = waveform_from_array(samples, sample_rate_hz=SAMPLE_RATE)
    waveform[:] = 0
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "reason"),
    [
        (np.zeros((0,)), SAMPLE_RATE, r"got \(0,\)"),
        (np.zeros((50_000, 0)), SAMPLE_RATE, r"got \(50000, 0\)"),
        (np.zeros((9, 9, 9)), SAMPLE_RATE, r"got \(9, 9, 9\)"),
        (0.5, SAMPLE_RATE, r"got \(\)"),
        (tone(SAMPLE_RATE, channels=2).T, SAMPLE_RATE, "transposed"),
        (np.arange(50_000), SAMPLE_RATE, "got int64"),
        (np.ones(50_000, bool), SAMPLE_RATE, "got bool"),
        (np.ones(50_000, complex), SAMPLE_RATE, "got complex128"),
        (["a", "b"], SAMPLE_RATE, "got <U1"),
        (tone(SAMPLE_RATE), 0, "got 0"),
        (tone(SAMPLE_RATE), -44_100, "got -44100"),
        (np.zeros(50_000), SAMPLE_RATE, "no sound"),
        (np.full(50_000, 128, np.uint8), SAMPLE_RATE, "no sound"),
        (tone(SAMPLE_RATE, seconds=0.1), SAMPLE_RATE, "lasts 0.1 s"),
        (_with(np.nan), SAMPLE_RATE, "NaN"),
        (tone(SAMPLE_RATE).astype(np.float64) * 1e300, SAMPLE_RATE, "infinite"),
    ],
)
def test_a_bad_array_is_one_sentence(samples: Any, rate_hz: int, reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as caught:
        waveform_from_array(samples, sample_rate_hz=rate_hz)
    assert caught.value.path == "<array>"


def test_a_wrong_target_rate_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="got 10"):
        waveform_from_array(tone(SAMPLE_RATE), sample_rate_hz=SAMPLE_RATE, target_sample_rate_hz=10)


@settings(max_examples=30, deadline=None)
@given(
    rate_hz=st.integers(4_000, 100_000),
    channels=st.integers(1, 8),
    gain=st.floats(1e-6, 1e6),
    seed=st.integers(0, 9),
)
def test_any_sound_becomes_a_waveform_of_its_length(
    rate_hz: int, channels: int, gain: float, seed: int
) -> None:
    samples = np.random.default_rng(seed).standard_normal((int(0.6 * rate_hz), channels)) * gain
    waveform = waveform_from_array(samples, sample_rate_hz=rate_hz)
    assert_is_waveform(waveform)
    assert len(waveform) == pytest.approx(len(samples) * SAMPLE_RATE / rate_hz, abs=1)
