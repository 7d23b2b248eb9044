"""Files of every format, made once and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tagged import BY_FFMPEG, TAGGED, write_bare, write_tagged

SAID = {
    "title": "Tïtle ♪",
    "artist": "An Artist",
    "album": "An Album",
    "date": "1999-05-01",
    "genre": "Pop",
}


@pytest.fixture(scope="session")
def encoded(tmp_path_factory):
    """A folder of files ``bare.SUFFIX`` and ``tagged.SUFFIX``, which say SAID."""
    folder = tmp_path_factory.mktemp("encoded")
    for suffix in sorted({*TAGGED, *BY_FFMPEG}):
        bare = write_bare(folder / f"bare{suffix}")
        if suffix in BY_FFMPEG:
            write_tagged(folder / f"tagged{suffix}", bare, SAID)
    return folder


@pytest.fixture
def copy_of(encoded, tmp_path):
    """Copies one of them into a folder of the test's own."""

    def copied(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes((encoded / name).read_bytes())
        return path

    return copied
