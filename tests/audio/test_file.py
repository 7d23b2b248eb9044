"""A sound read in parts is the sound read whole, in any order, and in little memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mutagen.ogg import OggPage
from numpy.typing import NDArray

from ostinato.audio import (
    SAMPLE_RATE,
    AudioError,
    decode,
    load_audio,
    open_audio,
    piped,
)
from ostinato.errors import UsageError
from tests.helpers.formats import AT_48_KHZ, WRITTEN, write, write_with_pyav
from tests.helpers.programs import run

Samples = NDArray[np.float32]

SECONDS = 6.0


@cache
def busy(rate_hz: int, *, seconds: float = SECONDS, channels: int = 2) -> Samples:
    """Tones that wander in pitch and loudness: nowhere the same [shape=(n, channels)].

    And no noise, which AAC would replace by one that every decoder draws anew.
    """
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = np.zeros((times.size, channels))
    for channel in range(channels):
        for pitch_hz in (190.0, 410.0 + 20 * channel, 870.0, 1900.0):
            phase = 2 * np.pi * pitch_hz * times + 3 * pitch_hz / 100 * np.sin(times**1.3)
            samples[:, channel] += np.sin(phase) * (1.2 + np.sin(0.9 * times**1.2 + pitch_hz))
    return (0.06 * samples).astype(np.float32)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@cache
def made(folder: Path, suffix: str, rate_hz: int) -> Path:
    return write(folder / f"busy-{rate_hz}{suffix}", busy(rate_hz), rate_hz)


def joined(path: Path, seconds: float) -> Samples:
    with open_audio(path) as sound:
        return np.concatenate(list(sound.blocks(seconds)))


# --- the same sound -----------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 22_050])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_blocks_put_together_are_the_whole(folder: Path, suffix: str, rate_hz: int) -> None:
    path = made(folder, suffix, 48_000 if suffix in AT_48_KHZ else rate_hz)
    whole = load_audio(path)
    with open_audio(path) as sound:
        for seconds in (0.037, 2.5, 1000.0):
            blocks = list(sound.blocks(seconds))
            lengths = {len(block) for block in blocks[:-1]}
            assert lengths <= {round(seconds * SAMPLE_RATE)}
            assert 0 < len(blocks[-1]) <= round(seconds * SAMPLE_RATE)
            np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
        assert sound.seconds is not None
        # WMA states a length before it is known; codecs pad their ends.
        assert sound.seconds == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.15)


# AAC and AC-3 put faint noise in place of some that they left out; MP2 is decoded into 16 bits.
INEXACT = {".m4a", ".m4b", ".m4r", ".mp4", ".3gp", ".3g2", ".aac", ".mkv"}
INEXACT |= {".ac3", ".eac3", ".m4v", ".mpeg", ".mp2", ".mpg"}


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_excerpt_is_the_same_stretch_of_the_whole(
    folder: Path, suffix: str, rate_hz: int
) -> None:
    path = made(folder, suffix, 48_000 if suffix in AT_48_KHZ else rate_hz)
    whole = load_audio(path)
    with open_audio(path) as sound:
        # Backwards as well, and from both sides of where seeking begins.
        for start_s in (4.5, 0.0, 3.217, 0.4, 1.1, 5.5):
            begin = round(start_s * SAMPLE_RATE)
            expected = whole[begin : begin + SAMPLE_RATE]
            got = sound.excerpt(start_s, 1.0)
            assert abs(len(got) - len(expected)) <= 1
            assert len(got) <= SAMPLE_RATE
            n = min(len(got), len(expected))
            tolerance = 1e-3 if suffix in INEXACT else 1e-6
            np.testing.assert_allclose(got[:n], expected[:n], atol=tolerance, err_msg=str(start_s))


@pytest.mark.parametrize(
    "options", [{}, {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}]
)
@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_mpeg_4_whole_and_in_fragments(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    path = tmp_path / "x.m4a"
    write_with_pyav(path, busy(44_100), 44_100, container="mp4", codec=codec, **options)
    whole = load_audio(path)
    with open_audio(path) as sound:
        got = sound.excerpt(3.3, 1.0)
    np.testing.assert_allclose(got, whole[72_765 : 72_765 + SAMPLE_RATE], atol=1e-3)


def test_any_rate_can_be_asked_for(folder: Path) -> None:
    # 44 100 and 16 000 Hz meet on few samples, 44 100 and 44 099 Hz on one a second.
    for rate_hz in (16_000, 44_099):
        whole = load_audio(made(folder, ".wav", 44_100), sample_rate_hz=rate_hz)
        with open_audio(made(folder, ".wav", 44_100), sample_rate_hz=rate_hz) as sound:
            np.testing.assert_allclose(np.concatenate(list(sound.blocks(1))), whole, atol=1e-6)
            begin = round(2.3 * rate_hz)
            np.testing.assert_allclose(
                sound.excerpt(2.3, 1), whole[begin : begin + rate_hz], atol=1e-6
            )


def test_excerpts_and_blocks_do_not_disturb_each_other(folder: Path) -> None:
    with open_audio(made(folder, ".mp3", 44_100)) as sound:
        expected = list(sound.blocks(1.0))
        first, second = sound.blocks(1.0), sound.blocks(1.0)
        for block in expected:
            np.testing.assert_array_equal(next(first), block)
            sound.excerpt(4.0, 0.1)
            np.testing.assert_array_equal(next(second), block)


def test_the_library_is_read_alike_in_parts_and_whole(shared_data: Path) -> None:
    # Real files: MP3 of a variable rate without a table to seek by, an m4a whose times jump, Opus
    # in Matroska with times in milliseconds, 8 kHz. The smallest of each kind.
    library = shared_data / "library"
    if not library.is_dir():
        pytest.skip("no library of recordings")
    by_size = sorted(library.iterdir(), key=lambda path: -path.stat().st_size)
    smallest = {path.suffix: path for path in by_size}
    assert len(smallest) >= 6
    for path in smallest.values():
        with open_audio(path) as sound:
            whole = np.concatenate(list(sound.blocks(60.0)))
            length_s = len(whole) / SAMPLE_RATE
            assert sound.seconds == pytest.approx(length_s, abs=0.05)
            for start_s in (0.5 * length_s, 0.31, length_s - 1.0):
                begin = round(start_s * SAMPLE_RATE)
                got = sound.excerpt(start_s, 2.0)
                expected = whole[begin : begin + 2 * SAMPLE_RATE]
                assert abs(len(got) - len(expected)) <= 2
                n = min(len(got), len(expected))
                np.testing.assert_allclose(got[:n], expected[:n], atol=1e-3, err_msg=path.name)


def test_an_mp3_that_states_no_length_is_counted(tmp_path: Path) -> None:
    # The first frames promise a much shorter file than it is: noise that fades to near silence.
    samples = busy(44_100, seconds=10.0)[:, 0].copy()
    samples[5 * 44_100 :] *= 1e-2
    soundfile.write(tmp_path / "x.mp3", samples, 44_100, bitrate_mode="VARIABLE")
    data = (tmp_path / "x.mp3").read_bytes()
    path = tmp_path / "bare.mp3"
    path.write_bytes(data[data.index(data[:2], 4) :])  # without the frame that states it
    whole = load_audio(path)
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.03)
        begin = 7 * SAMPLE_RATE
        np.testing.assert_allclose(
            sound.excerpt(7, 2), whole[begin : begin + 2 * SAMPLE_RATE], atol=1e-6
        )


def test_nothing_is_divided_by_its_peak(tmp_path: Path) -> None:
    samples = busy(44_100)[:, 0] * np.linspace(0.1, 50, 6 * 44_100, dtype=np.float32)
    path = tmp_path / "loud.wav"
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    whole = load_audio(path)
    streamed = joined(path, 0.5)
    assert np.abs(whole).max() > 2
    np.testing.assert_allclose(streamed, whole, atol=1e-5)
    with open_audio(path) as sound:
        got = sound.excerpt(4, 1)
    np.testing.assert_allclose(got, streamed[4 * SAMPLE_RATE : 5 * SAMPLE_RATE], atol=1e-5)


# --- streams without an end that can be seen, or a way back ---------------------------------------


def temporary() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("ostinato-*")}


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ".ogg"])
def test_a_stream_is_copied_and_the_copy_deleted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = made(folder, suffix, 44_100)
    reader, writer = os.pipe()
    feeder = subprocess.Popen(["cat", str(path)], stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe, open_audio(pipe) as sound:
        assert len(temporary()) == 1
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks(1.0))), joined(path, 1.0))
        assert sound.excerpt(3, 1).size == SAMPLE_RATE
    assert feeder.wait() == 0
    assert not temporary()


def test_a_stream_that_is_no_sound_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for data, reason in ((b"", "empty"), (b"eggs, milk, bread\n" * 500, "no sound format")):
        with pytest.raises(AudioError, match=reason) as caught:
            open_audio(io.BytesIO(data))
        assert caught.value.path == "<stream>"
        assert not temporary()
    with (
        Path(os.devnull).open("rb") as nothing,
        pytest.raises(AudioError, match=r"'(/dev/null|nul)'.* empty"),
    ):
        open_audio(nothing)


def test_a_stream_that_never_ends_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(piped, "MOST_SPOOLED_BYTES", 5 << 20)
    with pytest.raises(AudioError, match="does it ever end"):
        open_audio(Endless())  # type: ignore[arg-type]
    assert not temporary()


def test_a_copy_is_deleted_with_its_sound_where_nobody_closes_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sound = open_audio(io.BytesIO(made(folder, ".wav", 44_100).read_bytes()))
    assert len(temporary()) == 1
    del sound
    assert not temporary()


# --- lies, damage, wrong calls --------------------------------------------------------------------


def claims_ten_hours(path: Path) -> Path:
    """Change the header of a FLAC or MP3 file."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".flac":
        n_samples = 36_000 * 44_100  # 36 bits, the last of STREAMINFO's bytes 10 to 17
        data[21] = data[21] & 0xF0 | n_samples >> 32
        data[22:26] = struct.pack(">I", n_samples & 0xFFFF_FFFF)
    else:
        at = data.index(b"Xing" if b"Xing" in data[:200] else b"Info")
        assert data[at + 7] & 1  # it states its frames
        data[at + 8 : at + 12] = struct.pack(">I", 36_000 * 44_100 // 1152)
    lying = path.with_name(f"ten-hours{path.suffix}")
    lying.write_bytes(data)
    return lying


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_a_claimed_length_of_ten_hours_is_found_out(folder: Path, suffix: str) -> None:
    path = claims_ten_hours(made(folder, suffix, 44_100))
    begin = time.perf_counter()
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(36_000, rel=0.01)
        assert sound.excerpt(2.0, 1.0).size == SAMPLE_RATE
        assert sound.excerpt(5.5, 30.0).size < SAMPLE_RATE
        for start_s in (7.0, 18_000.0, 30_000.0):
            with pytest.raises(AudioError, match="nothing could be read at"):
                sound.excerpt(start_s, 30.0)
        assert sound.excerpt(36_001.0, 1.0).size == 0  # behind the end, true or not
        with pytest.raises(AudioError, match=r"only 6\.\d s of the 36\d{3}\.\d s"):
            list(sound.blocks(1.0))
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize("suffix", WRITTEN)
def test_behind_the_end_there_is_nothing(folder: Path, suffix: str) -> None:
    rate_hz = 48_000 if suffix in AT_48_KHZ else 44_100
    with open_audio(made(folder, suffix, rate_hz)) as sound:
        assert sound.excerpt(6.2, 1.0).size == 0
        assert sound.excerpt(1e9, 1.0).size == 0
        assert sound.excerpt(2.0, 1e9).size == pytest.approx(4 * SAMPLE_RATE, abs=4_000)


def float_wav(path: Path, samples: Samples) -> Path:
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    return path


def test_what_is_wrong_is_said_when_it_is_found(tmp_path: Path) -> None:
    mono = busy(44_100)[:, 0]
    holed = np.tile(mono, 2)
    holed[10 * 44_100] = np.nan
    with open_audio(float_wav(tmp_path / "nan.wav", holed)) as sound:
        blocks = sound.blocks(0.1)
        assert all(next(blocks).any() for _ in range(10))  # those well before it are good
        with pytest.raises(AudioError, match="NaN or infinite") as caught:
            list(blocks)
        assert caught.value.path == str(tmp_path / "nan.wav")
        assert sound.excerpt(0, 2).size
        with pytest.raises(AudioError, match="NaN or infinite"):
            sound.excerpt(9.5, 1)
    with open_audio(float_wav(tmp_path / "silent.wav", np.zeros_like(mono))) as sound:
        assert not sound.excerpt(1, 1).any()  # a pause is no error
        blocks = sound.blocks(0.5)
        assert not next(blocks).any()
        with pytest.raises(AudioError, match="no sound, all samples of its mono mix are 0"):
            list(blocks)
    with open_audio(float_wav(tmp_path / "short.wav", mono[:4_410])) as sound:
        with pytest.raises(AudioError, match=r"lasts 0\.1 s"):
            next(sound.blocks(0.05))
        assert sound.excerpt(0, 1).size == 2_205


def test_a_file_cut_short_is_refused_before_its_last_block(folder: Path, tmp_path: Path) -> None:
    for suffix in (".wav", ".flac", ".mp3"):
        data = made(folder, suffix, 44_100).read_bytes()
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(AudioError, match=r"cut short or damaged, only [23]\.\d s of the 6"):
            joined(path, 100.0)
        with pytest.raises(AudioError, match="cut short or damaged"), open_audio(path) as sound:
            sound.excerpt(4.0, 1.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_a_length_that_is_none_is_a_wrong_call(folder: Path, seconds: float) -> None:
    with open_audio(made(folder, ".wav", 44_100)) as sound:
        with pytest.raises(UsageError, match="length of a block"):
            sound.blocks(seconds)  # at the call, and not at the first block
        if seconds != 1e-9:
            with pytest.raises(UsageError, match="length of an excerpt"):
                sound.excerpt(0, seconds)


def test_other_wrong_calls(folder: Path) -> None:
    path = made(folder, ".wav", 44_100)
    with pytest.raises(UsageError, match="got 10"):
        open_audio(path, sample_rate_hz=10)
    sound = open_audio(path)
    for start_s in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="start of an excerpt"):
            sound.excerpt(start_s, 1)
    sound.close()
    sound.close()
    with pytest.raises(UsageError, match="it is closed"):
        sound.excerpt(0, 1)


def test_a_decoder_that_makes_no_progress_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 3))  # each look at it finds 3 s gone
    monkeypatch.setattr(decode.time, "monotonic", lambda: next(clock))

    class Packet:
        def decode(self) -> list[Any]:
            return []

    class Container:
        def demux(self, stream: object) -> Iterator[Packet]:
            while True:
                yield Packet()

    with pytest.raises(AudioError, match="gave no sample for 8 s"):
        for _ in decode.decoded_packets(Container(), None, "x.ogg"):  # type: ignore[arg-type]
            pass


# --- memory ---------------------------------------------------------------------------------------

HOUR = """
import pathlib, re, sys
from ostinato.audio import open_audio
def peak_mb():
    # And not getrusage, which counts what the process that started this one held.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search("VmHWM: *([0-9]+) kB", status.replace(chr(9), " "))[1]) / 1024
small, wav, mp3 = sys.argv[1:]
for name in (small, small.replace(".mp3", ".wav")):  # all libraries are loaded
    with open_audio(name) as sound:
        list(sound.blocks(1.0)), sound.excerpt(3.0, 2.0)
before = peak_mb()
with open_audio(wav) as sound:
    n_samples = sum(map(len, sound.blocks(10.0)))
with open_audio(mp3) as sound:
    seconds = sound.seconds
    for start_s in (3500.0, 20.0, 1800.0):
        assert sound.excerpt(start_s, 30.0).size == 30 * 22050
print(n_samples / 22050, seconds, peak_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_an_hour_takes_no_more_memory_than_a_minute(folder: Path, tmp_path: Path) -> None:
    small = made(folder, ".mp3", 44_100)
    made(folder, ".wav", 44_100)
    wav, mp3 = tmp_path / "hour.wav", tmp_path / "hour.mp3"
    piece = (busy(8_000, seconds=60.0, channels=1)[:, 0] * 2**15).astype(np.int16)
    with soundfile.SoundFile(wav, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(piece)
    data = small.read_bytes()
    data = data[data.index(data[:2], 4) :]
    seconds = load_audio(small).size / SAMPLE_RATE
    mp3.write_bytes(data * round(3600 / seconds))  # MP3 may be strung together
    wav_s, mp3_s, grown_mb = map(float, run(HOUR, small, wav, mp3).split())
    assert wav_s == pytest.approx(3600, abs=1e-3)
    assert mp3_s == pytest.approx(3600, rel=0.02)
    assert 0 < grown_mb < 100  # the samples of the WAV alone are 303 MB as they are given


def test_an_ogg_whose_end_cuts_off_more_than_its_last_packet_lasts_to_there(tmp_path: Path) -> None:
    """FFmpeg gives the last packet a negative length, which comes as one of a day."""
    path = write(tmp_path / "cut.ogg", busy(44_100, seconds=4.0), 44_100)
    with path.open("r+b") as file:
        pages = []
        while file.tell() < path.stat().st_size:
            pages.append(OggPage(file))
        pages[-1].position -= 2_000
        file.seek(pages[-1].offset)
        file.write(pages[-1].write())
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(4.0 - 2_000 / 44_100, abs=0.05)
        assert len(sound.excerpt(2.0, 1.0)) == SAMPLE_RATE
