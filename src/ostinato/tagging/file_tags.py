"""What a file's tags say, whatever their format, and the error where they cannot be used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.errors import OstinatoError

_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")


class TagError(OstinatoError):
    """A file's tags cannot be read or written (exit status 1); ``reason`` says why, as a clause."""

    def __init__(self, sentence: str, reason: str | None = None) -> None:
        super().__init__(sentence)
        self.reason = sentence if reason is None else reason


class Damaged(Exception):  # noqa: N818 - a clause for the sentence of a TagError
    """Why the bytes of a tag cannot be used, as a clause; turned into a TagError with the path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTags:
    """What a file says of itself; empty or None where it says nothing.

    ``kind`` is the form of its tags, such as ``"ID3v2.3"`` or ``"Vorbis comment"``; empty if the
    file has none yet. ``is_writable`` is false if its format cannot hold tags here.
    """

    kind: str = ""
    genres: tuple[str, ...] = ()
    artist: str = ""
    album_artist: str = ""
    album: str = ""
    title: str = ""
    year: int | None = None
    is_writable: bool = True


Fields = Mapping[str, Sequence[str]]
"""Texts by field: genre, artist, album_artist, album, title, year."""

FIELDS = ("genre", "artist", "album_artist", "album", "title", "year")


def file_tags(kind: str, *sources: Fields, is_writable: bool = True) -> FileTags:
    """The tags that texts make up; a field is that of the first source that says anything."""
    said: dict[str, list[str]] = {}
    for field in FIELDS:
        for source in sources:
            texts = [" ".join(text.split()) for text in source.get(field, ())]
            if found := list(dict.fromkeys(filter(None, texts))):
                said[field] = found
                break
    year = _YEAR.search(" ".join(said.pop("year", ())))
    genres = tuple(said.pop("genre", ()))
    texts_of: dict[str, Any] = {field: "; ".join(texts) for field, texts in said.items()}
    texts_of["year"] = int(year[0]) if year else None
    return FileTags(kind=kind, genres=genres, is_writable=is_writable, **texts_of)
