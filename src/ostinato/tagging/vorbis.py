"""Vorbis comments: the fields of FLAC and Ogg, and the same comments with other genres.

Comments other than those of the genre, and the one that is asked for, are the bytes that they were,
valid UTF-8 or not, in their order (xiph.org, "Ogg Vorbis I format specification: comment field and
header specification").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO, NamedTuple

from ostinato.tagging.file_bytes import read_at

KIND = "Vorbis comment"
_FIELDS = {
    b"GENRE": "genre",
    b"ARTIST": "artist",
    b"ALBUMARTIST": "album_artist",
    b"ALBUM ARTIST": "album_artist",
    b"ALBUM": "album",
    b"TITLE": "title",
    b"DATE": "year",
    b"YEAR": "year",
}
_GENRE, _OURS = b"GENRE", b"OSTINATO"
_LONGEST_READ = 1 << 16  # a text; pictures are longer


class Comments(NamedTuple):
    """A block of comments: who wrote it, each comment, and what follows the last."""

    vendor: bytes
    entries: list[bytes]
    rest: bytes

    def with_genres(self, genres: Sequence[str], comment: str | None) -> Comments:
        """The same comments with other genres."""
        new = {_GENRE: [f"GENRE={genre}".encode() for genre in genres]}
        if comment is not None:
            new[_OURS] = [f"OSTINATO={comment}".encode()] if comment else []
        entries, replaced = list[bytes](), set(new)
        for entry in self.entries:
            key = key_of(entry)
            entries += new.pop(key, []) if key in replaced else [entry]
        return self._replace(entries=entries + [entry for made in new.values() for entry in made])

    def packed(self) -> bytes:
        """The block without what follows it."""
        counted = [self.vendor, *self.entries]
        sized = [struct.pack("<I", len(data)) + data for data in counted]
        return sized[0] + struct.pack("<I", len(self.entries)) + b"".join(sized[1:])


def key_of(entry: bytes) -> bytes:
    """Name of a comment's field, in capitals."""
    return entry.split(b"=", 1)[0].upper()


def comments_in(block: bytes) -> Comments:
    """The comments of a block; Damaged if they do not lie in it."""
    file = BytesIO(block)
    vendor = read_at(file, 4, _u32(file, 0))
    at = 4 + len(vendor)
    n_entries, at = _u32(file, at), at + 4
    entries = []
    for _ in range(n_entries):  # each takes four bytes at least, or it ends here
        entries.append(read_at(file, at + 4, _u32(file, at)))
        at += 4 + len(entries[-1])
    return Comments(vendor, entries, block[at:])


def read_fields(file: BinaryIO, at: int, n_bytes: int) -> dict[str, list[str]]:
    """Texts by field of the block at a place; comments that hold no text are passed over."""
    said: dict[str, list[str]] = {}
    end = at + n_bytes
    at += 4 + _u32(file, at)
    n_entries, at = _u32(file, at), at + 4
    for _ in range(n_entries):
        if at + 4 > end:
            break
        size, at = _u32(file, at), at + 4
        if size <= min(_LONGEST_READ, end - at):
            name, _, text = read_at(file, at, size).partition(b"=")
            if field := _FIELDS.get(name.upper()):
                said.setdefault(field, []).append(text.decode("utf-8", "replace"))
        at += size
    return said


def _u32(file: BinaryIO, at: int) -> int:
    return int.from_bytes(read_at(file, at, 4), "little")
