"""Files that are none, or not what their name says: one sentence each, and nothing is changed."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest

from ostinato.tagging.tags import TagError, read_tags, write_genres
from tests.tagging.test_id3 import frame, tag


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.mp3", b"", "it is empty"),
        ("text.mp3", b"No music, but words. " * 99, "no (sound|audio)"),
        ("text.flac", b"No music, but words. " * 99, "no (sound|audio)"),
        ("text.mp3", "No music, but words. ".encode("utf-16") * 99, "no (sound|audio)"),
        ("header.flac", b"fLaC\0\0\0\x22" + bytes(10), "cut off"),
        ("text.wav", b"No music, but words. " * 99, "no (sound|audio)"),
        ("page.webm", b"\x1aE\xdf\xa3" + b"\xff" * 99, "damaged"),
        ("only.ogg", b"OggS" + bytes(60), "no stream"),
        ("only.m4a", b"\0\0\0\x10ftypM4A \0\0\0\0", "moov"),
        ("only.wma", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 99, "cut off"),
    ],
)
def test_a_sentence_says_why(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    for call in (read_tags, lambda p: write_genres(p, ["Rock"])):
        with pytest.raises(TagError, match=f"(?s){name}.*{reason}|cannot hold") as told:
            call(path)
        assert str(told.value).count("\n") == 0
        assert path.read_bytes() == data


def test_a_file_that_is_not_there_a_folder_and_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    for name, reason in (("no.mp3", "No such file"), ("", "no file"), ("pipe.mp3", "no file")):
        for call in (read_tags, lambda p: write_genres(p, ["Rock"])):
            with pytest.raises(TagError, match=reason):
                call(tmp_path / name)


def test_content_counts_and_not_the_suffix(copy_of, tmp_path):
    wrong_of = {"tagged.flac": "a.mp3", "tagged.mp3": "a.flac", "tagged.ogg": "a.wav"}
    for right, wrong in wrong_of.items():
        path = tmp_path / wrong
        path.write_bytes(copy_of(right).read_bytes())
        assert read_tags(path).title == "Tïtle ♪"
        write_genres(path, ["Rock"])
        assert read_tags(path).genres == ("Rock",)


def test_names_in_any_bytes(copy_of, tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff\n\x1b[31m.mp3")
    path.write_bytes(copy_of("tagged.mp3").read_bytes())
    write_genres(path, ["Rock"])
    assert read_tags(path).genres == ("Rock",)


def test_a_genre_with_a_null_character_is_refused(copy_of):
    with pytest.raises(TagError, match="without a null"):
        write_genres(copy_of("bare.mp3"), ["Rock\0Jazz"])


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_sizes_that_are_claimed_are_not_allocated(copy_of, tmp_path):
    """256 MB of a tag, 4 GB of a comment, 16 EB of an atom; 200 MB are allowed."""
    ogg = copy_of("tagged.ogg").read_bytes()
    huge = {
        "a.mp3": b"ID3\3\0\0\x7f\x7f\x7f\x7f" + frame(3, "TCON", b"\0Pop") + b"APIC\x0f\xff",
        "b.mp3": tag(3, frame(3, "TCON", b"\0Pop"), b"TIT2\x7f\xff\xff\xff\0\0\0abc"),
        "a.flac": b"fLaC\x84\0\1\0" + b"\xff" * 300,
        "a.m4a": b"\0\0\0\1ftyp" + b"\x7f" + b"\xff" * 7 + bytes(99),
        "a.wav": b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xffINFOIGNR\xff\xff\xff\xff",
        "a.wv": b"wvpk" + bytes(99) + b"APETAGEX\xd0\7\0\0" + b"\xff" * 20,
        "a.ogg": ogg.replace(b"\x09\0\0\0genre", b"\xff\xff\xff\x7fgenre"),
    }
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 200_000_000, limits[1]))
    try:
        for name, data in huge.items():
            path = tmp_path / name
            path.write_bytes(data)
            for call in (read_tags, lambda p: write_genres(p, ["Rock"])):
                try:
                    call(path)
                except TagError as error:
                    assert name in str(error)  # noqa: PT017
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_damaged_tag_in_front_of_sound_says_nothing_and_is_not_touched(copy_of):
    path = copy_of("bare.mp3")
    sound = path.read_bytes()
    for broken in (b"ID3\3\0\0\xff\0\0\0", tag(5), tag(2, flags=0x40)):
        path.write_bytes(broken + sound)
        assert read_tags(path).genres == ()
        with pytest.raises(TagError):
            write_genres(path, ["Rock"])
        assert path.read_bytes() == broken + sound
