"""The digest of what is heard: it ignores every kind of tag, and nothing of the sound."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TCON, TXXX

from ostinato.audio.chain import find_links
from ostinato.audio.samples import AudioError
from ostinato.tagging.payload import payload_digest
from tests.helpers.formats import AT_48_KHZ, tone, write

RATE_HZ = 44_100
#: What can be tagged, and how its text is set in mutagen.
TAGGED = {
    ".mp3": lambda text: TXXX(encoding=3, desc="note", text=[text]),
    ".wav": lambda text: TXXX(encoding=3, desc="note", text=[text]),
    ".aiff": lambda text: TXXX(encoding=3, desc="note", text=[text]),
    ".dsf": lambda text: TXXX(encoding=3, desc="note", text=[text]),
    ".tta": lambda text: TXXX(encoding=3, desc="note", text=[text]),
    ".flac": str,
    ".ogg": str,
    ".opus": str,
    ".m4a": lambda text: text,
    ".wma": str,
    ".wv": str,
}


def made(folder: Path, suffix: str, *, seconds: float = 0.5) -> Path:
    rate_hz = 48_000 if suffix in AT_48_KHZ else RATE_HZ
    return write(folder / f"tone{suffix}", tone(rate_hz, seconds=seconds, channels=2), rate_hz)


def tag(path: Path, text: str) -> None:
    """Set one text, whatever the format calls it."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.setall("TXXX", [TAGGED[path.suffix](text)])
    else:
        file.tags["\xa9cmt" if path.suffix == ".m4a" else "comment"] = [text]
    file.save()


@pytest.mark.parametrize("suffix", TAGGED)
@pytest.mark.parametrize("length", [3, 90_000], ids=["short", "long"])
def test_tags_do_not_count(tmp_path: Path, suffix: str, length: int) -> None:
    path = made(tmp_path, suffix)
    before, untagged = payload_digest(path), path.read_bytes()
    tag(path, "x" * length)
    assert path.read_bytes() != untagged
    assert payload_digest(path) == before
    tag(path, "y")
    assert payload_digest(path) == before


@pytest.mark.parametrize("suffix", [*TAGGED, ".aac", ".webm", ".mka", ".ac3", ".dff", ".au"])
def test_a_changed_byte_of_sound_counts(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path, suffix)
    before = payload_digest(path)
    data = bytearray(path.read_bytes())
    data[len(data) * 5 // 8] ^= 1
    path.write_bytes(data)
    assert payload_digest(path) != before


def test_sound_of_other_samples_or_another_rate_is_another(tmp_path: Path) -> None:
    digests = set()
    for rate_hz in (44_100, 48_000):
        path = write(tmp_path / f"{rate_hz}.wav", tone(44_100, seconds=0.2), rate_hz)
        digests.add(payload_digest(path))
    path = write(tmp_path / "longer.wav", tone(44_100, seconds=0.3), 44_100)
    assert len(digests | {payload_digest(path)}) == 3


ID3V1 = b"TAG" + bytes(124) + b"\x11"
LYRICS = b"LYRICSBEGININD00002" + b"10"
LYRICS += b"%06dLYRICS200" % len(LYRICS)
ID3V2_END = b"ID3\4\0\x10\0\0\0\x14" + bytes(20) + b"3DI\4\0\x10\0\0\0\x14"


@pytest.mark.parametrize("suffix", [".mp3", ".aac", ".flac"])
@pytest.mark.parametrize(
    "behind",
    [ID3V1, LYRICS, LYRICS + ID3V1, b"TAG+" + bytes(223) + ID3V1, ID3V2_END, ID3V2_END + ID3V1],
)
def test_tags_at_the_end_do_not_count(tmp_path: Path, suffix: str, behind: bytes) -> None:
    path = made(tmp_path, suffix)
    before = payload_digest(path)
    path.write_bytes(path.read_bytes() + behind)
    assert payload_digest(path) == before


@pytest.mark.parametrize("suffix", [".mp3", ".wv", ".tta"])
@pytest.mark.parametrize("behind", [b"", ID3V1])
def test_an_ape_tag_does_not_count(tmp_path: Path, suffix: str, behind: bytes) -> None:
    path = made(tmp_path, suffix)
    before = payload_digest(path)
    path.write_bytes(path.read_bytes() + behind)
    for length in (5, 3_000):
        ape = APEv2()
        ape["Comment"] = "a" * length
        ape.save(path)
        assert payload_digest(path) == before
    APEv2(path).delete()
    assert payload_digest(path) == before


def test_two_id3_tags_one_behind_the_other_do_not_count(tmp_path: Path) -> None:
    path = made(tmp_path, ".mp3")
    before, sound = payload_digest(path), path.read_bytes()
    for _ in range(2):
        tags = ID3()
        tags.add(TCON(encoding=3, text=["Polka"]))
        tags.add(APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=b"\xff\xfb\x90" * 900))
        single = tmp_path / "tags.mp3"
        single.write_bytes(b"")
        tags.save(single)
        path.write_bytes(single.read_bytes() + path.read_bytes())
        assert payload_digest(path) == before
    assert path.read_bytes().endswith(sound)


def test_pictures_and_id3_in_a_flac_do_not_count(tmp_path: Path) -> None:
    path = made(tmp_path, ".flac")
    before = payload_digest(path)
    flac = FLAC(path)
    picture = Picture()
    picture.data = b"\xff\xd8" + bytes(70_000)
    flac.add_picture(picture)
    flac.save()
    assert payload_digest(path) == before
    ID3().save(path)
    assert payload_digest(path) == before


@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}, {"movflags": "frag_keyframe"}])
def test_the_place_of_the_index_of_an_m4a_does_not_count(tmp_path: Path, options: dict) -> None:
    path = made(tmp_path, ".m4a")
    moved = tmp_path / "moved.m4a"
    with av.open(str(path)) as old, av.open(str(moved), "w", format="ipod", options=options) as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    assert payload_digest(moved) == payload_digest(path)


def test_every_link_of_a_chained_ogg_counts(tmp_path: Path) -> None:
    first, second = (made(tmp_path, suffix) for suffix in (".ogg", ".opus"))
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(first.read_bytes() + second.read_bytes())
    assert len(find_links(chained)) == 2
    before = payload_digest(chained)
    tag(first, "longer than it was before")
    chained.write_bytes(first.read_bytes() + second.read_bytes())
    assert payload_digest(chained) == before
    chained.write_bytes(second.read_bytes() + first.read_bytes())
    assert payload_digest(chained) != before


def test_a_codec_that_nothing_decodes_has_a_digest(tmp_path: Path) -> None:
    path = made(tmp_path, ".wav")
    data = bytearray(path.read_bytes())
    data[20:22] = b"\x34\x12"  # the codec, in its number in WAV
    path.write_bytes(data)
    before = payload_digest(path)
    tag(path, "some words")
    assert payload_digest(path) == before


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_an_ogg_that_is_cut_short_or_damaged_has_a_digest(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path, suffix, seconds=2)
    data = path.read_bytes()
    whole, digests = payload_digest(path), set()
    place = data.index(b"OggS", len(data) // 2)
    for damaged in (data[:-1], data[:place], data[:place] + b"?" + data[place + 1 :]):
        path.write_bytes(damaged)
        digests.add(payload_digest(path))
    assert len(digests | {whole}) == 4


def test_a_tag_of_many_pages_in_an_ogg_does_not_count(tmp_path: Path) -> None:
    path = made(tmp_path, ".ogg", seconds=2)
    before = payload_digest(path)
    for length in (200_000, 65_025 - 60, 0):  # 65,025 bytes fill a page
        tag(path, "x" * length)
        assert payload_digest(path) == before


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    path = made(tmp_path, ".mp3")
    other = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff: \xe4.mp3"))
    shutil.copyfile(path, other)
    assert payload_digest(other) == payload_digest(path)


@pytest.mark.parametrize("data", [b"", b"nothing that is heard" * 99])
def test_what_is_no_sound_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "no.mp3"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"no\.mp3"):
        payload_digest(path)
    with pytest.raises(AudioError, match="gone"):
        payload_digest(tmp_path / "gone.mp3")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    with pytest.raises(AudioError, match="pipe"):
        payload_digest(tmp_path / "pipe.mp3")
