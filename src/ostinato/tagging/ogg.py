"""Comments of Ogg: those of the first stream of sound, and the same with other genres (RFC 3533).

The packet of comments is the second of its stream, in Vorbis, Opus, Speex and FLAC alike. Pages are
written by mutagen. In a file of several links, one behind the other, the first link is changed, by
which players name the whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import BinaryIO, NamedTuple

from mutagen.ogg import OggPage

from ostinato.tagging import vorbis
from ostinato.tagging.file_bytes import read_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags

_HEAD = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_MOST_BYTES = 1 << 28


class _Codec(NamedTuple):
    """How a codec begins its first packet and that of its comments, and whether padding may end it.

    ``n_counted`` bytes, behind one, count the bytes of what follows them (FLAC's block).
    """

    first: bytes
    comments: bytes
    may_pad: bool = True
    n_counted: int = 0


_CODECS = (
    _Codec(b"\x01vorbis", b"\x03vorbis"),
    _Codec(b"OpusHead", b"OpusTags"),
    _Codec(b"\x7fFLAC", b"", may_pad=False, n_counted=3),
    _Codec(b"Speex   ", b""),
)


class _Page(NamedTuple):
    at: int
    flags: int
    serial: int
    lacing: bytes

    @property
    def body(self) -> int:
        """Where its packets begin."""
        return self.at + _HEAD.size + len(self.lacing)

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.body + sum(self.lacing)


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Pages in order; it ends where none begins."""
    at, end = 0, size_of(file)
    while at + _HEAD.size <= end:
        magic, _, flags, _, serial, _, _, n_lacing = _HEAD.unpack(read_at(file, at, _HEAD.size))
        if magic != b"OggS":
            return
        page = _Page(at, flags, serial, read_at(file, at + _HEAD.size, n_lacing))
        if page.end > end:
            return
        yield page
        at = page.end


def _comments_in(file: BinaryIO) -> tuple[_Codec, int, bytes]:
    """Codec and serial number of the first stream of sound, and its packet of comments."""
    codec, serial, packet = None, 0, bytearray()
    for page in _pages(file):
        if codec is None:
            head = read_at(file, page.body, min(8, page.end - page.body))
            codec = next((c for c in _CODECS if head.startswith(c.first)), None)
            serial = page.serial
            if not page.flags & _FIRST:
                break
        elif page.serial == serial:
            sizes = list(page.lacing)
            n_segments = next((i + 1 for i, size in enumerate(sizes) if size < 255), len(sizes))
            packet += read_at(file, page.body, sum(sizes[:n_segments]))
            if len(packet) > _MOST_BYTES:
                break
            if sizes and sizes[n_segments - 1] < 255:
                return codec, serial, bytes(packet)
    if codec is None:
        raise Damaged("it holds no stream of Vorbis, Opus, FLAC or Speex")
    raise Damaged("its comments are damaged, or cut off")


def _divided(codec: _Codec, packet: bytes) -> tuple[bytes, bytes]:
    """What is before the comments of a packet, and the rest."""
    n_before = 1 + codec.n_counted if codec.n_counted else len(codec.comments)
    before, block = packet[:n_before], packet[n_before:]
    if before != codec.comments and not (codec.n_counted and before[0] & 0x7F == 4):
        raise Damaged("its second packet holds no comments")
    return before, block


def read(file: BinaryIO) -> FileTags:
    """Tags of an Ogg file."""
    codec, _, packet = _comments_in(file)
    _, block = _divided(codec, packet)
    return file_tags(vorbis.KIND, vorbis.read_fields(BytesIO(block), 0, len(block)))


def write(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the comments of an Ogg file; zeros behind them take up the difference."""
    codec, serial, packet = _comments_in(file)
    before, block = _divided(codec, packet)
    comments = vorbis.comments_in(block)
    new = comments.with_genres(genres, comment).packed()
    rest = comments.rest
    framing = rest[:1] if codec.comments.startswith(b"\x03") else b""
    padding = rest[len(framing) :]
    is_padding = codec.may_pad and not padding.strip(b"\0")
    if is_padding:
        n_padding = len(block) - len(new) - len(framing)
        rest = framing + bytes(max(0, n_padding))
    if codec.n_counted:
        before = before[:1] + (len(new) + len(rest)).to_bytes(codec.n_counted)
    file.seek(0)
    old_pages = _pages_of_comments(file, serial)
    packets = OggPage.to_packets(old_pages)
    packets[0] = before + new + rest
    new_pages = OggPage._from_packets_try_preserve(packets, old_pages)
    _Pages.replace(file, old_pages, new_pages)  # type: ignore[no-untyped-call]


def _pages_of_comments(file: BinaryIO, serial: int) -> list[OggPage]:
    """Pages of a stream behind its first one, up to that where its second packet ends."""
    pages: list[OggPage] = []
    while True:
        page = OggPage(file)
        if page.serial & 0xFFFF_FFFF == serial and not page.first:
            pages.append(page)
            if page.complete or len(page.packets) > 1:
                return pages


class _Pages(OggPage):
    """mutagen's pages, of which no more are numbered than those of a link."""

    @staticmethod
    def renumber(fileobj: BinaryIO, serial: int, start: int) -> None:
        """Number the pages of a stream from here to its last one."""
        while True:
            try:
                page = OggPage(fileobj)
            except EOFError:
                return
            if page.serial != serial:
                continue
            if page.first:  # of a later link
                return
            page.sequence = start
            start += 1
            fileobj.seek(page.offset or 0)
            fileobj.write(page.write())
            if page.last:
                return
