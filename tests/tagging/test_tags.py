"""Tags of whole files, in every format: what is read, what is written, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
from mutagen.id3 import ID3

from ostinato.tagging.tags import FileTags, TagError, other_items, read_tags, write_genres
from tests.helpers.tagged import BY_FFMPEG, TAGGED


def heard(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)


def by_ffmpeg(path: Path) -> dict[str, str]:
    """Metadata of a file and its stream, by names in small letters, as ffprobe prints them."""
    with av.open(str(path)) as container:
        both = (container.metadata, container.streams[0].metadata)
        return {name.casefold(): text for metadata in both for name, text in metadata.items()}


def by_mutagen(path: Path):
    """Tags of a file, as mutagen reads them."""
    alone = {".tta": ID3, ".aac": ID3}  # mutagen knows these files by more than their tags
    return alone[path.suffix](path) if path.suffix in alone else mutagen.File(path).tags


@pytest.mark.parametrize("suffix", TAGGED)
class TestFormats:
    def test_genres_are_read_as_they_were_written(self, suffix, copy_of):
        path = copy_of(f"bare{suffix}")
        for genres in (("Rock",), ("Jazz", "Viking Metal"), ("Zydeco ♪", "Rock"), ()):
            write_genres(path, genres)
            assert read_tags(path).genres == genres

    def test_another_reader_finds_one_genre_by_its_plain_name(self, suffix, copy_of):
        path = copy_of(f"bare{suffix}")
        write_genres(path, ["Rock"], comment="ostinato 0.1: rock 62%")
        if suffix != ".dsf":  # FFmpeg reads it, PyAV has not got it
            assert by_ffmpeg(path)["genre"] == "Rock"
            ours = None if suffix == ".tta" else "ostinato 0.1: rock 62%"  # in ID3, not in APE
            assert by_ffmpeg(path).get("ostinato") == ours
        tags = by_mutagen(path)
        genre = next(tags[name] for name in tags.keys() if name.endswith(("enre", "gen", "TCON")))  # noqa: SIM118
        assert "Rock" in (str(genre), str(genre[0]))

    def test_the_proof_finds_no_other_item_changed(self, suffix, copy_of):
        path = copy_of(f"{'tagged' if suffix in BY_FFMPEG else 'bare'}{suffix}")
        before = other_items(path)
        for genres in (["Rock"], ["Zydeco ♪", "Rock"] * 99, []):
            write_genres(path, genres, comment="x")
            assert other_items(path) == before

    def test_samples_are_what_they_were(self, suffix, copy_of):
        path = copy_of(f"bare{suffix}")
        before = heard(path)
        write_genres(path, ["Rock", "Jazz"], comment="x")
        assert np.array_equal(heard(path), before)
        write_genres(path, ["A genre with a much longer name"] * 40)
        assert np.array_equal(heard(path), before)


@pytest.mark.parametrize("suffix", sorted({*TAGGED} & {*BY_FFMPEG}))
class TestOtherTags:
    def test_all_fields_are_read(self, suffix, copy_of):
        tags = read_tags(copy_of(f"tagged{suffix}"))
        assert tags.kind
        assert (tags.genres, tags.artist, tags.album) == (("Pop",), "An Artist", "An Album")
        assert (tags.title, tags.year) == ("Tïtle ♪", 1999)

    def test_the_proof_sees_a_letter_that_changed(self, suffix, copy_of):
        path = copy_of(f"tagged{suffix}")
        before, data = other_items(path), path.read_bytes()
        for text in (b"An Artist", "An Artist".encode("utf-16-le")):
            path.write_bytes(data := data.replace(text, text.replace(b"s", b"S")))
        assert other_items(path) != before

    def test_they_stay(self, suffix, copy_of):
        path = copy_of(f"tagged{suffix}")
        before = by_ffmpeg(path)
        write_genres(path, ["Rock"])
        assert by_ffmpeg(path) == before | {"genre": "Rock"}


@pytest.mark.parametrize("suffix", [".mka", ".webm"])
def test_matroska_is_read_and_not_written(suffix, copy_of):
    path = copy_of(f"tagged{suffix}")
    before = path.read_bytes()
    assert read_tags(path).genres == ("Pop",)
    assert not read_tags(path).is_writable
    with pytest.raises(TagError, match="cannot hold tags here"):
        write_genres(path, ["Rock"])
    assert path.read_bytes() == before


def test_a_file_without_tags_says_nothing(copy_of):
    assert read_tags(copy_of("bare.wav")) == FileTags()
