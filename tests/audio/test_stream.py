"""Live sound comes out as it went in, at once, whatever its bytes are cut into."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import ostinato
from ostinato.audio import (
    SAMPLE_RATE,
    AudioError,
    AudioStream,
    RawFormat,
    Recent,
    waveform_from_array,
)
from ostinato.errors import MissingExtraError, UsageError

Samples = NDArray[np.float32]

RATE_HZ = 44_100


def sound(seconds: float = 2.0, channels: int = 2) -> Samples:
    """Noise, quiet enough never to be above 1 [shape=(n_samples, channels)]."""
    rng = np.random.default_rng(11)
    return (0.1 * rng.standard_normal((round(seconds * RATE_HZ), channels))).astype(np.float32)


class Dribble(io.RawIOBase):
    """A stream of which every read gives a few bytes, another number each time."""

    name = "<dribble>"

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._sizes = np.random.default_rng(2)

    def read(self, size: int = -1) -> bytes:
        assert size > 0  # never all there is: there may be no end
        return self._data.read(min(size, int(self._sizes.integers(1, 5_000))))


def heard(stream: Any, raw: RawFormat | None = None, **options: Any) -> Samples:
    with AudioStream.from_stream(stream, raw, **options) as live:
        return np.concatenate([np.zeros(0, np.float32), *live.chunks()])


def wav(samples: Samples, subtype: str, *, size: int | None = None, before: bytes = b"") -> bytes:
    """A WAV with a data size of one's own, and chunks before its samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="WAV", subtype=subtype)
    data = file.getvalue()
    at = data.index(b"data")
    field = data[at + 4 : at + 8] if size is None else struct.pack("<I", size)
    return data[:at] + before + b"data" + field + data[at + 8 :]


def test_a_wav_that_names_its_format_behind_an_extension() -> None:
    """WAVE_FORMAT_EXTENSIBLE: the format is in the first two bytes of the subformat's GUID."""
    samples = sound()
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="WAVEX", subtype="PCM_16")
    data = file.getvalue()
    assert struct.unpack("<H", data[20:22]) == (0xFFFE,)
    np.testing.assert_array_equal(
        heard(io.BytesIO(data)), heard(io.BytesIO(wav(samples, "PCM_16")))
    )


# --- byte streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "step"), [("s16le", 2**-15), ("f32le", 1e-6)])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_bare_samples_are_those_of_the_array(encoding: str, step: float, channels: int) -> None:
    samples = sound(channels=channels)
    if encoding == "s16le":
        data = np.round(samples * 2**15).astype("<i2").tobytes()
    else:
        data = samples.astype("<f4").tobytes()
    raw = RawFormat(encoding=encoding, rate_hz=RATE_HZ, n_channels=channels)
    expected = waveform_from_array(samples, sample_rate_hz=RATE_HZ)
    np.testing.assert_allclose(heard(Dribble(data), raw), expected, atol=step)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_a_wav_of_every_width_is_what_libsndfile_reads(subtype: str) -> None:
    data = wav(sound(), subtype)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    expected = waveform_from_array(samples, sample_rate_hz=RATE_HZ)
    np.testing.assert_allclose(heard(Dribble(data)), expected, atol=1e-6)


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF])
def test_a_size_that_means_not_known_yet_is_no_size(size: int) -> None:
    # As arecord, SoX and FFmpeg write it to a pipe.
    data = wav(sound(), "PCM_16", size=size)
    assert heard(Dribble(data)).size == 2 * SAMPLE_RATE


def test_what_follows_the_stated_samples_is_not_heard() -> None:
    # Tags behind the sound would be clicks. Chunks before it, of odd length too, are passed over.
    before = b"LIST" + struct.pack("<I", 5) + b"eggs!\0" + b"junk" + struct.pack("<I", 0)
    data = wav(sound(), "PCM_16", before=before) + b"LIST" + b"\x7f" * 10_000
    clean = heard(Dribble(wav(sound(), "PCM_16")))
    np.testing.assert_array_equal(heard(Dribble(data)), clean)


def test_what_ffmpeg_writes_to_a_pipe(tmp_path: Path) -> None:
    # FFmpeg's muxer, writing where it cannot go back: sizes of 0xFFFFFFFF, and a LIST chunk.
    class Pipe:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    samples = sound()
    with av.open(pipe, "w", format="wav") as output:  # type: ignore[call-overload]
        stream = output.add_stream("pcm_s16le", rate=RATE_HZ, layout="stereo")
        whole = np.round(samples * 2**15).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="stereo")
        frame.sample_rate = RATE_HZ
        for piece in (frame, None):
            output.mux(stream.encode(piece))
    assert b"\xff\xff\xff\xff" in pipe.data[:200]
    expected = waveform_from_array(samples, sample_rate_hz=RATE_HZ)
    np.testing.assert_allclose(heard(Dribble(pipe.data)), expected, atol=2**-15)


def test_the_last_half_of_a_sample_is_left_out() -> None:
    raw = RawFormat(rate_hz=SAMPLE_RATE, n_channels=2)
    assert heard(Dribble(b"\1\2" * 2 * 30_000 + b"\1\2\3"), raw).size == 30_000


def test_sound_is_given_before_more_of_it_comes() -> None:
    # 0.25 s into a pipe that stays open: a reader that filled its buffer first would never answer.
    reader, writer = os.pipe()
    raw = RawFormat(rate_hz=SAMPLE_RATE, n_channels=1)
    with os.fdopen(reader, "rb") as stream, AudioStream.from_stream(stream, raw) as live:
        chunks = live.chunks()
        os.write(writer, b"\1\2" * 5_000)
        got: list[Samples] = []
        waiting = threading.Thread(
            target=lambda: [got.append(next(chunks)) for _ in range(3)], daemon=True
        )
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()
        assert sum(map(len, got)) == 5_000
        os.close(writer)
        assert list(chunks) == []


def test_silence_is_heard_too() -> None:
    assert not heard(io.BytesIO(bytes(88_200)), RawFormat(rate_hz=SAMPLE_RATE)).any()


def test_another_rate_can_be_asked_for() -> None:
    assert heard(io.BytesIO(wav(sound(), "PCM_16")), sample_rate_hz=16_000).size == 32_000
    with pytest.raises(UsageError, match="got 10"):
        heard(io.BytesIO(wav(sound(), "PCM_16")), sample_rate_hz=10)


HEADER = wav(sound(0.1), "PCM_16")[:44]


def patched(at: int, value: bytes) -> bytes:
    return HEADER[:at] + value + HEADER[at + len(value) :] + bytes(1000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ended before its first byte"),
        (HEADER, "ended before its first sample"),
        (HEADER[:30], "format is cut short"),
        (HEADER[:12], "leads to no samples"),
        (b"ID3\4" + bytes(1000), "put 'ffmpeg -i - -f wav -' in between"),
        (bytes(1000), "expected live sound as WAV"),
        (patched(20, b"\x55\0"), "integers or floats, got format 0x55 of 16 bits"),
        (patched(22, b"\0\0"), "1 to 64 channels, got 0"),
        (patched(22, b"\xff\xff"), "1 to 64 channels, got 65535"),
        (patched(24, b"\1\0\0\0"), "sample rate of 1000 to 1000000 Hz, got 1"),
        (patched(16, b"\4\0\0\0"), "format is cut short"),
        (patched(16, b"\xff\xff\xff\x7f"), "leads to no samples"),  # and is not read: 2 GiB
    ],
)
def test_a_bad_stream_is_one_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as caught:
        heard(Dribble(data))
    assert caught.value.path == "<dribble>"
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_samples_that_are_no_numbers_are_named(value: float) -> None:
    samples = sound()
    samples[50_000] = value
    raw = RawFormat(encoding="f32le", rate_hz=RATE_HZ)
    with pytest.raises(AudioError, match="NaN or infinite: is its format right"):
        heard(Dribble(samples.tobytes()), raw)


def test_a_stream_that_breaks_is_named() -> None:
    class Breaks(Dribble):
        def read(self, size: int = -1) -> bytes:
            if self._data.tell() > 20_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(AudioError, match=r"'<dribble>' .* read \(Input/output error"):
        heard(Breaks(bytes(50_000)), RawFormat())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"encoding": "mp3"}, "expected s16le or f32le, got 'mp3'"),
        ({"rate_hz": 0}, "Rate of live sound"),
        ({"n_channels": 0}, "expected 1 to 64, got 0"),
    ],
)
def test_a_format_that_cannot_be(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        RawFormat(**settings)


INTERRUPTED = """
import sys
from ostinato.audio import AudioStream, RawFormat
with AudioStream.from_stream(sys.stdin.buffer, RawFormat()) as live:
    for n, chunk in enumerate(live.chunks()):
        if not n:
            print("hearing", flush=True)
print("interrupted", live.interrupted)
"""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_ends_it_as_an_end_does() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env=os.environ | {"PYTHONPATH": str(Path(ostinato.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=False,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.closing(process.stdin):
        process.stdin.write(bytes(100_000))
        process.stdin.flush()
        assert process.stdout.readline() == b"hearing\n"
        time.sleep(1.0)  # it has printed, and must be back at waiting for sound
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    assert said == b"interrupted True\n"
    assert errors == b""
    assert process.returncode == 0


# --- the microphone -------------------------------------------------------------------------------


class FakePortAudioError(Exception):
    pass


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module in place of sounddevice: a microphone of 48 kHz that breaks after 1 s."""
    module = types.ModuleType("sounddevice")

    class InputStream:
        closed = 0

        def __init__(self, **settings: Any) -> None:
            assert settings == {
                "device": None,
                "channels": 1,
                "dtype": "float32",
                "samplerate": 48_000,
            }
            self.n_read = 0

        def __enter__(self) -> InputStream:
            return self

        def __exit__(self, *error: object) -> None:
            InputStream.closed += 1

        def read(self, n_samples: int) -> tuple[Samples, bool]:
            if self.n_read >= 48_000:
                raise FakePortAudioError("Device unavailable")
            self.n_read += n_samples
            return np.full((n_samples, 1), 0.25, np.float32), False

    def query_devices(device: object, kind: str) -> dict[str, float]:
        if device == "none":
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": 48_000.0}

    module.InputStream = InputStream  # type: ignore[attr-defined]
    module.PortAudioError = FakePortAudioError  # type: ignore[attr-defined]
    module.query_devices = query_devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_the_microphone_is_heard_until_it_breaks_and_let_go(sounddevice: Any) -> None:
    got: list[Samples] = []
    with AudioStream.microphone() as live:
        assert live.rate_hz == 48_000
        with pytest.raises(AudioError, match=r"'<microphone>' .*Device unavailable"):
            got.extend(live.chunks())
        assert not sounddevice.InputStream.closed
    assert sounddevice.InputStream.closed == 1


def test_no_such_microphone(sounddevice: Any) -> None:
    with pytest.raises(AudioError, match="No input device matching 'none'"):
        AudioStream.microphone("none")


def test_without_sounddevice_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[live\]"'):
        AudioStream.microphone()


# --- the last seconds -----------------------------------------------------------------------------


def test_recent_is_the_end_of_all_that_was_heard() -> None:
    rng = np.random.default_rng(4)
    recent = Recent(0.5)
    n = round(0.5 * SAMPLE_RATE)
    everything = np.zeros(0, np.float32)
    assert recent.waveform().size == 0
    for size in [*rng.integers(1, 2 * n, 60), n, n - 1, n + 1, 5 * n]:
        chunk = rng.standard_normal(size).astype(np.float32)
        recent.add(chunk)
        everything = np.concatenate([everything, chunk])
        np.testing.assert_array_equal(recent.waveform(), everything[-n:])
        assert recent.heard_s == pytest.approx(everything.size / SAMPLE_RATE)


def test_recent_gives_a_copy_that_later_sound_does_not_change() -> None:
    recent = Recent(1.0)
    recent.add(np.ones(30_000, np.float32))
    before = recent.waveform()
    recent.add(np.zeros(30_000, np.float32))
    assert before.all()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_recent_of_no_length_is_a_wrong_call(seconds: float) -> None:
    with pytest.raises(UsageError, match="expected more than 0"):
        Recent(seconds)
