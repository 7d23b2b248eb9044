"""WAV and AIFF files: chunks, of which one holds an ID3 tag, and WAV's INFO.

Many programs read the list INFO of a WAV and not its ID3 tag; where it names a genre, that is kept
in step.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from ostinato.tagging.file_bytes import read_at, replace_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags
from ostinato.tagging.id3 import new_tag
from ostinato.tagging.id3_files import changed, read_tag, tag_at

_INFO = {
    b"IGNR": "genre",
    b"IART": "artist",
    b"IPRD": "album",
    b"INAM": "title",
    b"ICRD": "year",
    b"NAME": "title",  # this and the next in AIFF
    b"AUTH": "artist",
}

_NAME = re.compile(rb"[ -~]{4}")


class _Chunk(NamedTuple):
    name: bytes
    at: int  # of its eight bytes of header
    size: int  # of what follows them, without a byte of padding

    @property
    def body(self) -> int:
        """Where its body begins."""
        return self.at + 8

    @property
    def end(self) -> int:
        """Where its body ends."""
        return self.body + self.size


class Chunked(NamedTuple):
    """Reads and writes the ID3 chunk of a format, of which one order of bytes is that of sizes."""

    order: str  # as struct names it
    new_name: bytes
    plain_kind: str  # of what is said in other chunks

    def read(self, file: BinaryIO) -> FileTags:
        """Tags of the ID3 chunk, if there is one; of other chunks where it says nothing."""
        chunks = self._all(file)
        chunk = self._id3(chunks)
        kind, said = read_tag(file, chunk.body, chunk.end) if chunk else ("", {})
        info: dict[str, list[str]] = {}
        for chunk in (*self._info(file, chunks), *chunks):
            field = _INFO.get(chunk.name)
            if field and chunk.end <= size_of(file):
                text = read_at(file, chunk.body, chunk.size).split(b"\0")[0]
                info.setdefault(field, []).append(text.decode("utf-8", "replace"))
        return file_tags(kind or (self.plain_kind if info else ""), said, info)

    def write(self, file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
        """Write genres into the ID3 chunk, which is made at the end if it is not there."""
        chunks = self._all(file)
        if any(chunk.end > size_of(file) for chunk in chunks):
            raise Damaged("it is cut off: its header states more bytes than it has")
        if not chunks or chunks[-1].end + chunks[-1].size % 2 < self._end(file):
            raise Damaged("its chunks do not fill it: a size in it is wrong")
        for chunk in self._info(file, chunks):
            if chunk.name == b"IGNR":
                self._write_info(file, chunks, chunk, "; ".join(genres))
                chunks = self._all(file)
                break
        if held := self._id3(chunks):
            place = tag_at(file, held.body, held.end)
            if place is None:
                raise Damaged("its ID3 chunk holds no tag")
            tag_ends = place.at + place.header.total
            if tag_ends > held.end:
                raise Damaged("its ID3 tag is larger than the chunk that holds it")
            new = changed(file, place, genres, comment)
            self._put(file, held, new + read_at(file, tag_ends, held.end - tag_ends))
        elif new := new_tag({}, genres, comment):
            self._append(file, new)

    def _all(self, file: BinaryIO) -> list[_Chunk]:
        return list(self._between(file, 12, self._end(file)))

    def _end(self, file: BinaryIO) -> int:
        """Where the chunks end, by what the file states and has."""
        (stated,) = struct.unpack(f"{self.order}I", read_at(file, 4, 4))
        return min(size_of(file), 8 + int(stated))

    def _between(self, file: BinaryIO, at: int, end: int) -> Iterator[_Chunk]:
        while at + 8 <= end:
            name, size = struct.unpack(f"{self.order}4sI", read_at(file, at, 8))
            if not _NAME.fullmatch(name):
                return
            yield _Chunk(name, at, size)
            at += 8 + size + size % 2

    def _id3(self, chunks: list[_Chunk]) -> _Chunk | None:
        return next((chunk for chunk in chunks if chunk.name.lower() == b"id3 "), None)

    def _info(self, file: BinaryIO, chunks: list[_Chunk]) -> Iterator[_Chunk]:
        """Chunks in the lists of the kind INFO."""
        for chunk in chunks:
            end = min(size_of(file), chunk.end)
            if chunk.name == b"LIST" and read_at(file, chunk.body, min(4, end)) == b"INFO":
                for inner in self._between(file, chunk.body + 4, end):
                    if inner.end <= end:
                        yield inner

    def _write_info(self, file: BinaryIO, chunks: list[_Chunk], inner: _Chunk, text: str) -> None:
        """Write the text of a chunk of INFO; zeros fill it if it gets shorter."""
        around = next(chunk for chunk in chunks if chunk.at < inner.at < chunk.end)
        before = read_at(file, around.body, inner.at - around.body)
        behind_at = min(inner.end + inner.size % 2, around.end)
        behind = read_at(file, behind_at, around.end - behind_at)
        new = self._packed(inner.name, (text.encode("utf-8") + b"\0").ljust(inner.size, b"\0"))
        self._put(file, around, before + new + behind)

    def _packed(self, name: bytes, body: bytes) -> bytes:
        return struct.pack(f"{self.order}4sI", name, len(body)) + body + bytes(len(body) % 2)

    def _put(self, file: BinaryIO, chunk: _Chunk, body: bytes) -> None:
        """Put a body in the place of a chunk's."""
        room = min(self._end(file), chunk.end + chunk.size % 2) - chunk.at
        self._change(file, chunk.at, room, self._packed(chunk.name, body))

    def _append(self, file: BinaryIO, body: bytes) -> None:
        """Put an ID3 chunk at the end."""
        end = self._end(file)
        padding = bytes(end % 2)  # which the last chunk may lack
        self._change(file, end, 0, padding + self._packed(self.new_name, body))

    def _change(self, file: BinaryIO, at: int, room: int, new: bytes) -> None:
        stated = self._end(file) - 8 - room + len(new)
        if stated > 0xFFFF_FFFF:
            raise Damaged("it would be larger than the 4 GiB that its format allows")
        replace_at(file, at, room, new)
        file.seek(4)
        file.write(struct.pack(f"{self.order}I", stated))


wav = Chunked("<", b"id3 ", "INFO")
aiff = Chunked(">", b"ID3 ", "AIFF")
