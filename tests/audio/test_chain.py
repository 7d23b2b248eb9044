"""Clocks that begin anywhere, and streams one behind the other: both roads hear all of it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ostinato.audio import SAMPLE_RATE, AudioError, load_audio, open_audio
from ostinato.audio.chain import OneRate, find_links
from ostinato.audio.decode import packets
from tests.audio.test_file import busy

HOUR_S = 3600.0
WRAP_S = 2**33 / 90_000  # where the clock of an MPEG stream begins anew


def recorded(
    path: Path,
    container: str,
    codec: str,
    *,
    start_s: float = 0.0,
    seconds: float = 6.0,
    rate_hz: int = 48_000,
    n_channels: int = 2,
    **options: str,
) -> Path:
    """Encode with a clock that begins at ``start_s``."""
    samples = busy(rate_hz, seconds=seconds, channels=n_channels)
    layout = {1: "mono", 2: "stereo"}[n_channels]
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        stream.codec_context.options = {"strict": "-2"}  # FFmpeg's own Vorbis is experimental
        stream.bit_rate = 96_000 * n_channels
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, layout, rate_hz, frame_size=size)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(piece):
                ticks = round(start_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                output.mux(packet)
    return path


def assert_both_roads_hear(path: Path, seconds: float, *, tolerance: float = 1e-3) -> None:
    """The whole is so long, and excerpts all over it are stretches of it."""
    whole = load_audio(path)
    assert len(whole) / SAMPLE_RATE == pytest.approx(seconds, abs=0.08)
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(seconds, abs=0.08)
        for start_s in (0.6 * seconds, 0.0, seconds - 1.2, 0.3 * seconds):
            begin = round(start_s * SAMPLE_RATE)
            got, expected = sound.excerpt(start_s, 1.0), whole[begin : begin + SAMPLE_RATE]
            assert len(got) == len(expected) == SAMPLE_RATE
            np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=str(start_s))


# --- clocks -------------------------------------------------------------------------------------

FORMATS = {
    "Opus": ("ogg", "libopus"),
    "Vorbis": ("ogg", "vorbis"),
    "FLAC in Ogg": ("ogg", "flac"),
    "WebM": ("webm", "libopus"),
    "Matroska": ("matroska", "aac"),
    "ASF": ("asf", "libmp3lame"),
    "NUT": ("nut", "aac"),
    "MPEG-4": ("mp4", "aac"),
    "FLV": ("flv", "libmp3lame"),
    "transport stream": ("mpegts", "aac"),
    "program stream": ("mpeg", "mp2"),
    "Windows television": ("wtv", "mp2"),
}


@pytest.mark.parametrize("start_s", [0.0, 34.0, HOUR_S])
@pytest.mark.parametrize("name", FORMATS)
def test_a_clock_may_begin_anywhere(tmp_path: Path, name: str, start_s: float) -> None:
    container, codec = FORMATS[name]
    assert_both_roads_hear(recorded(tmp_path / "x", container, codec, start_s=start_s), 6.0)


@pytest.mark.parametrize("start_s", [WRAP_S - 3.0, WRAP_S - 50.0, WRAP_S - 65.0])
def test_a_clock_may_begin_anew(tmp_path: Path, start_s: float) -> None:
    """An MPEG stream's does every 26.5 hours; FFmpeg tells times below zero then."""
    path = tmp_path / "x"
    recorded(path, "mpegts", "libmp3lame", start_s=start_s, seconds=70.0, rate_hz=22_050)
    assert_both_roads_hear(path, 70.0)


@pytest.mark.parametrize("starts_s", [(0.0, 0.0), (0.0, HOUR_S), (HOUR_S, 0.0)])
@pytest.mark.parametrize("container", ["mpegts", "mpeg"])
def test_mpeg_streams_put_together_have_a_clock_each(
    tmp_path: Path, container: str, starts_s: tuple[float, float]
) -> None:
    parts = [recorded(tmp_path / "x", container, "mp2", start_s=s).read_bytes() for s in starts_s]
    (tmp_path / "x").write_bytes(b"".join(parts))
    assert_both_roads_hear(tmp_path / "x", 12.0)


def test_a_stream_that_begins_later_beside_the_first_is_passed_over() -> None:
    """PyAV raises an IndexError at its packets; behind them, the first goes on."""

    class Container:
        parts: ClassVar = [["a", "b"], ["c"], []]

        def demux(self, stream: object) -> Iterator[str]:
            yield from self.parts.pop(0)
            if self.parts:
                raise IndexError("list index out of range")

    assert list(packets(Container(), None)) == ["a", "b", "c"]


@pytest.mark.parametrize("start_s", [0.0, 34.0, HOUR_S])
@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
        ("webm", "libopus", {"live": "1"}),
        ("matroska", "aac", {"live": "1"}),
    ],
)
def test_a_live_recording_states_no_length(
    tmp_path: Path, container: str, codec: str, options: dict[str, str], start_s: float
) -> None:
    path = recorded(tmp_path / "x", container, codec, start_s=start_s, **options)
    assert_both_roads_hear(path, 6.0)


@pytest.mark.parametrize("name", ["Matroska", "WebM"])
def test_a_late_clock_hides_no_cut(tmp_path: Path, name: str) -> None:
    container, codec = FORMATS[name]
    path = recorded(tmp_path / "x", container, codec, start_s=HOUR_S)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"only [23]\.\d s of the 6\.0 s"):
        load_audio(path)


def test_an_asf_that_is_cut_is_as_long_as_it_is(tmp_path: Path) -> None:
    path = recorded(tmp_path / "x", "asf", "libmp3lame", start_s=HOUR_S)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_both_roads_hear(path, 3.0, tolerance=1.0)


@pytest.mark.parametrize("start_s", [0.0, HOUR_S])
def test_a_hole_in_an_ogg_is_seen_by_its_clock(tmp_path: Path, start_s: float) -> None:
    data = recorded(tmp_path / "x", "ogg", "vorbis", start_s=start_s).read_bytes()
    pages = [b"OggS" + page for page in data.split(b"OggS")[1:]]
    assert len(pages) >= 6
    holed = pages[: len(pages) // 2] + pages[len(pages) // 2 + 2 :]
    (tmp_path / "x").write_bytes(b"".join(holed))
    with pytest.raises(AudioError, match=r"only [34]\.\d s of the 6\.0 s"):
        load_audio(tmp_path / "x")


# --- chains -------------------------------------------------------------------------------------

LINKS = {
    "Vorbis": [("vorbis", 48_000, 2)] * 2,
    "Opus": [("libopus", 48_000, 2)] * 3,
    "FLAC": [("flac", 48_000, 2)] * 2,
    "other rates": [("vorbis", 44_100, 2), ("vorbis", 22_050, 2), ("vorbis", 48_000, 2)],
    "other channels": [("libopus", 48_000, 2), ("libopus", 48_000, 1)],
    "FLAC of other rates and channels": [("flac", 44_100, 2), ("flac", 48_000, 1)],
    "other codecs": [("flac", 48_000, 1), ("vorbis", 44_100, 2), ("libopus", 48_000, 2)],
}


@pytest.mark.parametrize("start_s", [0.0, HOUR_S])
@pytest.mark.parametrize("name", LINKS)
def test_a_chain_is_heard_as_its_links_are(tmp_path: Path, name: str, start_s: float) -> None:
    links = [
        recorded(
            tmp_path / f"{n}.ogg", "ogg", codec,
            rate_hz=rate_hz, n_channels=channels, start_s=start_s * (n % 2), seconds=3.0 + n,
        )
        for n, (codec, rate_hz, channels) in enumerate(LINKS[name])
    ]  # fmt: skip
    path = tmp_path / "chain"
    path.write_bytes(b"".join(link.read_bytes() for link in links))
    assert len(find_links(path)) == len(links)
    assert_both_roads_hear(path, sum(3.0 + n for n in range(len(links))))
    each = np.concatenate([load_audio(link) for link in links])
    whole = load_audio(path)
    n_samples = min(len(each), len(whole))
    assert abs(len(each) - len(whole)) < 10
    if len({rate_hz for _, rate_hz, _ in LINKS[name]}) == 1:
        # All but the seams, where a resampler of the whole hears what is behind.
        assert np.mean(np.abs(whole[:n_samples] - each[:n_samples]) > 1e-3) < 0.01


def test_a_broken_link_ends_no_recording_and_many_do(tmp_path: Path) -> None:
    link = recorded(tmp_path / "x.ogg", "ogg", "vorbis").read_bytes()
    broken = link[:4] + link[4:200].replace(b"vorbis", b"xorbis")
    path = tmp_path / "chain"
    path.write_bytes(link + broken + link)
    assert len(find_links(path)) == 3
    assert_both_roads_hear(path, 12.0)
    path.write_bytes(link + broken + link[4000:] + link)  # a quarter of it
    for read in (load_audio, open_audio):
        with pytest.raises(AudioError, match=r"no sound|audio stream|damaged") as caught:
            read(path)
        assert caught.value.path == str(path)


def test_streams_side_by_side_are_no_chain(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.ogg"), "w") as output:
        streams = [output.add_stream("libopus", rate=48_000, layout="mono") for _ in range(2)]
        for n in range(100):
            for stream in streams:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), layout="mono")
                frame.sample_rate, frame.pts = 48_000, 960 * n
                output.mux(stream.encode(frame))
    assert (tmp_path / "x.ogg").read_bytes().count(b"OpusHead") == 2
    assert find_links(tmp_path / "x.ogg") == []


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_files_put_together_may_change_rate_and_channels(
    tmp_path: Path, container: str, codec: str
) -> None:
    parts = [(44_100, 2), (22_050, 1), (48_000, 2)]
    data = [
        recorded(tmp_path / "x", container, codec, rate_hz=rate_hz, n_channels=n).read_bytes()
        for rate_hz, n in parts
    ]
    path = tmp_path / "all"
    path.write_bytes(b"".join(data))
    whole = load_audio(path)
    assert len(whole) / SAMPLE_RATE == pytest.approx(18.0, abs=0.4)
    with open_audio(path) as sound:
        # FFmpeg times all of an AAC by its first rate.
        assert sound.seconds == pytest.approx(18.0, rel=0.15)
        begin = 2 * SAMPLE_RATE
        expected = whole[begin : begin + SAMPLE_RATE]
        np.testing.assert_allclose(sound.excerpt(2.0, 1.0), expected, atol=1e-3)
        assert sound.excerpt(14.0, 1.0).size == SAMPLE_RATE
        blocks = np.concatenate(list(sound.blocks(1.0)))
    np.testing.assert_allclose(blocks, whole, atol=1e-5)


def test_the_length_header_of_the_first_is_not_that_of_all(tmp_path: Path) -> None:
    quiet_first = busy(44_100, seconds=10.0).copy()
    quiet_first[: 4 * 44_100] *= 1e-3
    soundfile.write(tmp_path / "x.mp3", quiet_first, 44_100, bitrate_mode="VARIABLE")
    path = tmp_path / "all.mp3"
    path.write_bytes((tmp_path / "x.mp3").read_bytes() * 3)
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(30.0, abs=0.3)
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(30.0, abs=0.3)


# --- one rate -----------------------------------------------------------------------------------


def in_blocks(samples: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def test_the_first_rate_stays_and_others_are_brought_to_it() -> None:
    sounds = {rate_hz: busy(rate_hz, seconds=2.0)[:, 0] for rate_hz in (44_100, 16_000, 48_000)}
    one_rate = OneRate("x")
    got = []
    for rate_hz, samples in sounds.items():
        for block in in_blocks(samples, 1000):
            got += one_rate.add([block] * 2 if rate_hz == 16_000 else [block], rate_hz)
    together = np.concatenate([channels[-1] for channels in got + one_rate.rest()])
    assert together.size == pytest.approx(3 * 2 * 44_100, abs=5)
    np.testing.assert_array_equal(together[: 2 * 44_100], sounds[44_100])
    for n in (1, 2):  # the same sound: but for the ends
        at = n * 2 * 44_100
        part = together[at + 4_000 : at + 84_000]
        np.testing.assert_allclose(part, sounds[44_100][4_000:84_000], atol=2e-3)
    assert one_rate.rest() == []


def test_a_rate_that_no_sound_changes_to_is_refused() -> None:
    one_rate = OneRate("x.mp3")
    one_rate.add([np.zeros(10, np.float32)], 96_000)
    with pytest.raises(AudioError, match="changes from 96000 to 1200 Hz"):
        one_rate.add([np.zeros(10, np.float32)], 1_200)
