"""What FFmpeg decodes is heard, whatever holds it; the rest is refused with what converts it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from ostinato.audio import SAMPLE_RATE, AudioError, find_audio, load_audio, open_audio
from tests.audio.test_load import dominant_hz
from tests.helpers.formats import TONE_HZ, tone, write, write_with_pyav

# Containers that no suffix of AUDIO_SUFFIXES stands for.
CONTAINERS = {
    "transport stream": ("mpegts", "aac"),
    "transport stream of MP3": ("mpegts", "libmp3lame"),
    "NUT": ("nut", "aac"),
    "RealMedia": ("rm", "ac3"),
    "Flash": ("swf", "libmp3lame"),
    "S/PDIF": ("spdif", "ac3"),
    "AAC in LATM": ("latm", "aac"),
    "Windows television": ("wtv", "mp2"),
    "SoX": ("sox", "pcm_s32le"),
    "IRCAM": ("ircam", "pcm_s16le"),
    "Voice": ("voc", "pcm_u8"),
    "ALAC in CAF": ("caf", "alac"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_any_container_is_heard_whole_and_by_seeking(tmp_path: Path, name: str) -> None:
    container, codec = CONTAINERS[name]
    path = tmp_path / "x"  # the content decides
    rate_hz = {"libmp3lame": 44_100, "pcm_u8": 20_000}.get(codec, 48_000)
    write_with_pyav(path, tone(rate_hz, seconds=6), rate_hz, container=container, codec=codec)
    whole = load_audio(path)
    assert len(whole) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)
    assert dominant_hz(whole) == pytest.approx(TONE_HZ, abs=1)
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(6.0, abs=0.1)
        got, expected = sound.excerpt(3.2, 1.0), whole[70_560 : 70_560 + SAMPLE_RATE]
    np.testing.assert_allclose(got, expected, atol=2e-2)  # AAC and AC-3 add noise of their own


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".avi"])
def test_a_film_is_heard_by_its_sound(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    with av.open(str(path), "w") as output:
        picture = output.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 64
        sound = output.add_stream("ac3", rate=48_000, layout="stereo")
        sound.codec_context.open()
        for _ in range(100):  # 4 s, of which 3 have sound
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(picture.encode(frame))
        samples = np.ascontiguousarray(tone(48_000, seconds=3, channels=2).T)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler("fltp", "stereo", 48_000, frame_size=1536)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(sound.encode(piece))
        output.mux(picture.encode(None))
    waveform = load_audio(path)
    assert len(waveform) / SAMPLE_RATE == pytest.approx(3, abs=0.1)
    with open_audio(path) as film:
        assert film.seconds == pytest.approx(3, abs=0.1)
        assert dominant_hz(film.excerpt(1.5, 1.0)) == pytest.approx(TONE_HZ, abs=2)


@pytest.mark.parametrize(
    ("suffix", "rates"), [(".ac3", (96_000, 448_000)), (".mp2", (64_000, 384_000))]
)
def test_a_length_that_is_guessed_is_not_believed(
    tmp_path: Path, suffix: str, rates: tuple[int, int]
) -> None:
    """By the first bit rate, the file is three times as long as it is."""
    data = []
    for bit_rate, seconds in zip(rates, (2, 8), strict=True):
        path = tmp_path / f"{bit_rate}{suffix}"
        samples = tone(48_000, seconds=seconds, channels=2)
        write_with_pyav(
            path, samples, 48_000, container=suffix[1:], codec=suffix[1:], bit_rate=bit_rate
        )
        data.append(path.read_bytes())
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"".join(data))
    with av.open(str(path)) as container:
        assert container.duration > 25e6
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(10, abs=0.1)
    with open_audio(path) as sound:
        assert sound.seconds == pytest.approx(10, abs=0.1)
        assert sound.excerpt(9.0, 0.5).size == SAMPLE_RATE // 2


@pytest.mark.parametrize("suffix", [".wv", ".tta", ".mkv", ".flv"])
def test_a_stated_length_tells_that_a_file_is_cut_short(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", tone(44_100, seconds=6), 44_100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"only [23]\.\d s of the 6\.\d s"):
        load_audio(path)


def test_awkward_files_are_heard(shared_data: Path) -> None:
    awkward = shared_data / "awkward"
    if not awkward.is_dir():
        pytest.skip("no awkward files")
    lengths_s = {
        "clock-at-1h.opus": 12, "clock-at-1h.mka": 12, "chained-vorbis.ogg": 110,
        "wavpack.wv": 12, "core-audio.caf": 12, "suffixes/apple.aifc": 12,
        "suffixes/audiobook.m4b": 12, "suffixes/broadcast.mp2": 12, "suffixes/matroska.mka": 12,
    }  # fmt: skip
    for name, seconds in lengths_s.items():
        assert len(load_audio(awkward / name)) / SAMPLE_RATE == pytest.approx(seconds, abs=0.05)
        with open_audio(awkward / name) as sound:
            assert sound.seconds == pytest.approx(seconds, abs=0.05)
            assert sound.excerpt(seconds - 2.0, 1.0).size == SAMPLE_RATE
    assert sorted(p.name for p in find_audio(awkward / "suffixes").paths) == sorted(
        p.name for p in (awkward / "suffixes").iterdir()
    )


LEADS_ELSEWHERE = {
    "x.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ntone.wav\n#EXT-X-ENDLIST\n",
    "x.ffconcat": "ffconcat version 1.0\nfile tone.wav\n",
    "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 4 RTP/AVP 0\n",
    "x.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<Period><AdaptationSet><Representation><BaseURL>tone.wav</BaseURL></Representation>"
    "</AdaptationSet></Period></MPD>",
    "x.asx": '<asx version="3.0"><entry><ref href="tone.wav"/></entry></asx>',
    "x.wav": "[Reference]\nRef1=tone.wav?MSWMExt=.asf\n",
}


@pytest.mark.parametrize("name", LEADS_ELSEWHERE)
def test_no_file_opens_another(tmp_path: Path, name: str) -> None:
    write(tmp_path / "tone.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    (tmp_path / name).write_text(LEADS_ELSEWHERE[name])
    with pytest.raises(AudioError, match="no sound format that can be read"):
        load_audio(tmp_path / name)


@pytest.mark.parametrize("suffix", ["amr", "g722", "gsm", "al", "sw", "sln", "dfpwm", "adp"])
def test_no_name_makes_sound_of_what_is_none(tmp_path: Path, suffix: str) -> None:
    for data in (b"eggs, milk, bread\n" * 5000, np.random.default_rng(0).bytes(90_000)):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(data)
        with pytest.raises(AudioError, match="no sound format that can be read"):
            load_audio(path)


def encrypted(path: Path) -> None:
    write(path.with_name("open.m4a"), tone(44_100), 44_100)
    path.write_bytes(path.with_name("open.m4a").read_bytes().replace(b"mp4a", b"drms"))


REFUSED = [
    (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk", "MIDI.*'fluidsynth -F out.wav SOUNDFONT FILE'"),
    (b"RIFF\0\1\0\0RMIDdata" + bytes(200), "MIDI"),
    (b"Extended Module: tune" + bytes(500), "tracker module.*'openmpt123 --render FILE'"),
    (bytes(1080) + b"M.K." + bytes(500), "tracker module"),
    (b"OFR " + bytes(500), "'ofr --decode FILE'"),
    (b"eggs, milk, bread\n" * 500, "no sound format .*'ffmpeg -i FILE out.wav' may convert it"),
    (encrypted, r"encrypted \(DRM\)"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_what_is_refused_is_told_with_what_converts_it(
    tmp_path: Path, make: object, reason: str
) -> None:
    path = tmp_path / "x.m4a"
    if isinstance(make, bytes):
        path.write_bytes(make)
    else:
        encrypted(path)
    for read in (load_audio, open_audio):
        with pytest.raises(AudioError, match=reason) as caught:
            read(path)
        assert "Invalid" not in str(caught.value)


def test_any_four_bytes_may_name_a_codec(tmp_path: Path) -> None:
    path = write(tmp_path / "x.m4a", tone(44_100), 44_100)
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"\xff\xfe\0\x80"))
    assert load_audio(path).size  # its header says in another place that it is AAC
