"""The tags of an audio file that tell which recordings belong together: artist, album, title."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ostinato.audio.decode import open_container
from ostinato.audio.samples import AudioError


class Tags(NamedTuple):
    """What a file says of itself; None where it says nothing."""

    artist: str | None = None
    album: str | None = None
    title: str | None = None


def read_tags(path: Path) -> Tags:
    """Read a file's tags, in whatever form its format has them; none if it cannot be opened."""
    try:
        with open_container(path, str(path)) as container:
            said: dict[str, str] = {}
            for source in (*(stream.metadata for stream in container.streams.audio),
                           container.metadata):  # fmt: skip
                said |= {name.casefold(): " ".join(text.split()) for name, text in source.items()}
    except AudioError:
        return Tags()
    artist = said.get("artist") or said.get("album_artist") or said.get("albumartist")
    return Tags(artist or None, said.get("album") or None, said.get("title") or None)
