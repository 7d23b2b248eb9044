"""APEv2 tags at the end of a file: their items, and the same items with other genres.

The specification is that of hydrogenaudio (APEv2). Items other than those of the genre, and of the
comment that is asked for, are the bytes that they were, in their order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from ostinato.tagging.file_bytes import read_at, replace_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags

_MAGIC = b"APETAGEX"
_EDGE = struct.Struct("<8s4I8s")  # header or footer: magic, version, size, items, flags, reserved
_HAS_HEADER, _IS_HEADER = 1 << 31, 1 << 29
_MOST_BYTES = 1 << 30
_FIELDS = {
    "genre": (b"genre",),
    "artist": (b"artist",),
    "album_artist": (b"album artist", b"albumartist"),
    "album": (b"album",),
    "title": (b"title",),
    "year": (b"year", b"date"),
}
_OURS = b"ostinato"


class _Tag(NamedTuple):
    """Where a tag is in the file: all of it, and its items."""

    at: int
    end: int
    items: bytes
    version: int
    n_items: int
    flags: int


class _Item(NamedTuple):
    key: bytes
    raw: bytes
    text: bytes  # what it says; empty if it is no text


def _tags_end(file: BinaryIO) -> int:
    """Where an APE tag would end: before ID3v1 and Lyrics3 tags."""
    end = size_of(file)
    if end >= 128 and read_at(file, end - 128, 3) == b"TAG":
        end -= 128
        foot = read_at(file, end - 15, 15) if end >= 15 else b""
        if foot.endswith(b"LYRICS200") and foot[:6].isdigit() and int(foot[:6]) <= end - 15:
            end -= 15 + int(foot[:6])
    return end


def _found(file: BinaryIO) -> _Tag | None:
    end = _tags_end(file)
    if end < _EDGE.size or read_at(file, end - _EDGE.size, 8) != _MAGIC:
        return None
    footer = read_at(file, end - _EDGE.size, _EDGE.size)
    _, version, size, n_items, flags, _ = _EDGE.unpack(footer)
    at = end - size
    if size < _EDGE.size or size > _MOST_BYTES or at < 0:
        raise Damaged("its APE tag states a size that is not its own")
    items = read_at(file, at, size - _EDGE.size)
    if flags & _HAS_HEADER:
        at -= _EDGE.size
        if read_at(file, at, 8) != _MAGIC:
            raise Damaged("its APE tag states a size that is not its own")
    return _Tag(at, end, items, version, n_items, flags)


def _items(tag: _Tag) -> Iterator[_Item]:
    """Items of a tag; Damaged where they do not fill it."""
    at = 0
    for _ in range(tag.n_items):
        key_ends = tag.items.find(b"\0", at + 8)
        if key_ends < 0:
            break
        size, flags = struct.unpack_from("<2I", tag.items, at)
        end = key_ends + 1 + size
        if end > len(tag.items):
            break
        text = tag.items[key_ends + 1 : end] if not flags & 6 else b""
        yield _Item(tag.items[at + 8 : key_ends], tag.items[at:end], text)
        at = end
    if at != len(tag.items):
        raise Damaged("its APE tag is damaged")


def read_fields(file: BinaryIO) -> tuple[str, dict[str, list[str]]]:
    """Name of the form, empty without a tag, and texts by field; what is damaged says nothing."""
    said: dict[str, list[str]] = {}
    try:
        if (tag := _found(file)) is None:
            return "", said
        for item in _items(tag):
            for field, keys in _FIELDS.items():
                if item.key.lower() in keys:
                    texts = item.text.decode("utf-8", "replace").split("\0")
                    said.setdefault(field, []).extend(texts)
    except Damaged:
        pass
    return "APEv2", said


def read(file: BinaryIO) -> FileTags:
    """Tags of a file that has them at its end."""
    return file_tags(*read_fields(file))


def write(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the tag at the end of a file, which is made if it is not there."""
    tag = _found(file)
    if tag is None:
        end = _tags_end(file)
        tag = _Tag(end, end, b"", 2000, 0, _HAS_HEADER)
    new = {b"genre": _item(b"Genre", genres)}
    if comment is not None:
        new[_OURS] = _item(b"Ostinato", [comment] if comment else [])
    _replace(file, tag, new)


def keep_in_step(file: BinaryIO, genres: Sequence[str], *, even_new: bool) -> None:
    """Write genres into an APE tag that is there, and has a genre already or ``even_new``."""
    tag = _found(file)
    if tag and (even_new or any(item.key.lower() == b"genre" for item in _items(tag))):
        _replace(file, tag, {b"genre": _item(b"Genre", genres)})


def _item(key: bytes, texts: Sequence[str]) -> bytes:
    value = "\0".join(texts).encode("utf-8")
    return struct.pack("<2I", len(value), 0) + key + b"\0" + value if texts else b""


def _replace(file: BinaryIO, tag: _Tag, new: dict[bytes, bytes]) -> None:
    """Put new items, by their keys in lower case, in the place of the old ones."""
    replaced, ready = set(new), dict(new)
    pieces = [
        ready.pop(item.key.lower(), b"") if item.key.lower() in replaced else item.raw
        for item in _items(tag)
    ]
    pieces = [piece for piece in [*pieces, *ready.values()] if piece]
    items = b"".join(pieces)
    flags = tag.flags & ~_IS_HEADER
    edge = (_MAGIC, tag.version, len(items) + _EDGE.size, len(pieces))
    header = _EDGE.pack(*edge, flags | _IS_HEADER, bytes(8)) if flags & _HAS_HEADER else b""
    whole = header + items + _EDGE.pack(*edge, flags, bytes(8)) if pieces else b""
    replace_at(file, tag.at, tag.end - tag.at, whole)
