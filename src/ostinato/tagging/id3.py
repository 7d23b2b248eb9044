"""ID3v2 tags: their frames, what some of them say, and the same tag with other genres.

Nothing but the frames of the genre, and of the comment that is asked for, is encoded anew: all
others are the bytes that they were, with their flags and in their order (ID3v2.2, v2.3 and v2.4
by M. Nilsson, id3.org). A tag that is unsynchronised as a whole (v2.2, v2.3) is divided as it
lies in the file.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO, NamedTuple

from ostinato.tagging.file_bytes import NEW_PADDING
from ostinato.tagging.file_tags import Damaged
from ostinato.tagging.genre_names import genres_in, tcon_texts

HEAD_BYTES = 10
OURS = "ostinato"
"""Description of the comment that tells where a genre comes from."""

_UNSYNC, _EXTENDED, _FOOTER, _COMPRESSED_22 = 0x80, 0x40, 0x10, 0x40
_NAME = re.compile(rb"[!-~]{2,4}[ \0]?")
_FRAME_NAME = re.compile(rb"[A-Z][A-Z0-9]{3}")
_NOT_UNSYNC = re.compile(rb"\xff(?:[\xe0-\xff]|\Z)")
_LIKE_SYNC = re.compile(rb"[\0\xe0-\xff]")
_MOST_BYTES = (1 << 28) - 1
_MOST_INFLATED = 1 << 20

_FIELDS = {
    "genre": (b"TCO", b"TCON"),
    "artist": (b"TP1", b"TPE1"),
    "album_artist": (b"TP2", b"TPE2"),
    "album": (b"TAL", b"TALB"),
    "title": (b"TT2", b"TIT2"),
    "year": (b"TYE", b"TDRC", b"TYER"),
}
_FIELD_OF = {name: field for field, names in _FIELDS.items() for name in names}
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")


class Header(NamedTuple):
    """The first ten bytes of a tag; ``size`` is that of what follows, without a footer."""

    version: int
    revision: int
    flags: int
    size: int

    @property
    def total(self) -> int:
        """Bytes of the whole tag in the file."""
        has_footer = self.version == 4 and self.flags & _FOOTER
        return HEAD_BYTES + self.size + (HEAD_BYTES if has_footer else 0)


class Frame(NamedTuple):
    """A frame: its name and flags, where it begins, and the bytes of its header and body."""

    name: bytes
    flags: int
    at: int
    head: int
    size: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.at + self.head + self.size


def header_in(data: bytes) -> Header | None:
    """The header of a tag that begins here, or None."""
    if len(data) < HEAD_BYTES or not data.startswith(b"ID3") or max(data[6:10]) > 0x7F:
        return None
    return Header(data[3], data[4], data[5], _synchsafe(data[6:10]))


def _synchsafe(data: bytes) -> int:
    size = 0
    for byte in data:
        size = size << 7 | byte & 0x7F
    return size


def _as_synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def _resynchronised(data: bytes) -> tuple[bytes, list[int]]:
    """Data without the zeros of unsynchronisation, and where in it each was."""
    zeros = [found.end() - 1 for found in re.finditer(rb"\xff\0", data)]
    return data.replace(b"\xff\0", b"\xff"), [at - i for i, at in enumerate(zeros)]


# --- Reading ------------------------------------------------------------------------------------


def _frames(
    source: BinaryIO, begin: int, end: int, version: int, *, plain: bool
) -> Iterator[Frame]:
    """Frames between two places, up to padding or what is no frame; ``plain`` sizes in v2.4."""
    head, at = (6 if version == 2 else 10), begin
    while at + head <= end:
        source.seek(at)
        top = source.read(head)
        name = top[:3] if version == 2 else top[:4]
        if len(top) < head or not _NAME.fullmatch(name):
            return
        sizes = top[3:6] if version == 2 else top[4:8]
        if version == 4 and not plain:
            if max(sizes) > 0x7F:
                return
            size = _synchsafe(sizes)
        else:
            size = int.from_bytes(sizes)
        if at + head + size > end:
            return
        yield Frame(name, int.from_bytes(top[8:10]), at, head, size)
        at += head + size


def _sizes_are_plain(source: BinaryIO, begin: int, end: int) -> bool:
    """Whether the frames of a v2.4 tag state their sizes as v2.3 does, as iTunes once wrote."""
    for plain in (False, True):
        frames_end = begin
        for frame in _frames(source, begin, end, 4, plain=plain):
            frames_end = frame.end
        source.seek(frames_end)
        if not source.read(end - frames_end).strip(b"\0"):  # padding, and nothing else
            return plain
    return False


def _extended_bytes(source: BinaryIO, begin: int, header: Header) -> int:
    """Length of the extended header."""
    if header.version < 3 or not header.flags & _EXTENDED:
        return 0
    source.seek(begin)
    stated = source.read(4)
    if len(stated) < 4 or _FRAME_NAME.fullmatch(stated):  # a flag that lies
        return 0
    size = _synchsafe(stated) if header.version == 4 else 4 + int.from_bytes(stated)
    return size if 6 <= size <= header.size else 0


class _Opened(NamedTuple):
    """A tag whose frames can be walked: in the file, or in memory without unsynchronisation."""

    source: BinaryIO
    frames: list[Frame]
    begin: int  # of the frames
    end: int  # of the tag, less a footer
    plain: bool
    zeros: list[int] | None  # where in the source unsynchronisation had one; None without it

    def lies_at(self, place: int) -> int:
        """Where in the tag a place of the source lies."""
        return place if self.zeros is None else HEAD_BYTES + place + bisect_right(self.zeros, place)


def _opened(file: BinaryIO, at: int, header: Header, n_bytes: int) -> _Opened:
    """Find the frames of the tag at a place, of which no more than these bytes are there."""
    if header.version not in (2, 3, 4):
        raise Damaged(f"its tag is ID3v2.{header.version}, and only v2.2, v2.3 and v2.4 are known")
    if header.version == 2 and header.flags & _COMPRESSED_22:
        raise Damaged("its ID3v2.2 tag is compressed, which no standard describes")
    begin = at + HEAD_BYTES
    source, end, zeros = file, begin + n_bytes, None
    if header.version < 4 and header.flags & _UNSYNC:
        file.seek(begin)
        data = file.read(n_bytes)
        if not _NOT_UNSYNC.search(data):  # else the flag lies
            data, zeros = _resynchronised(data)
            source, begin, end = BytesIO(data), 0, len(data)
    begin += _extended_bytes(source, begin, header)
    plain = header.version == 4 and _sizes_are_plain(source, begin, end)
    frames = list(_frames(source, begin, end, header.version, plain=plain))
    return _Opened(source, frames, begin, end, plain, zeros)


def read_fields(file: BinaryIO, at: int, header: Header, n_bytes: int) -> dict[str, list[str]]:
    """Texts by field of the tag at a place; only frames that hold them are read."""
    opened = _opened(file, at, header, n_bytes)
    said: dict[str, list[str]] = {}
    for frame in opened.frames:
        if field := _FIELD_OF.get(frame.name):
            said.setdefault(field, []).extend(_texts(_body(opened.source, frame, header)))
    if "genre" in said:
        said["genre"] = genres_in(said["genre"], header.version)
    return said


def _body(source: BinaryIO, frame: Frame, header: Header) -> bytes:
    """What a frame holds, decoded; nothing if it is encrypted or damaged."""
    source.seek(frame.at + frame.head)
    data = source.read(frame.size)
    flags = frame.flags
    if header.version == 3:
        grouped, encrypted, packed = flags & 0x20, flags & 0x40, flags & 0x80
        skip = (4 if packed else 0) + (1 if grouped else 0)
    elif header.version == 4:
        grouped, encrypted, packed = flags & 0x40, flags & 0x04, flags & 0x08
        if (flags & 0x02 or header.flags & _UNSYNC) and not _NOT_UNSYNC.search(data):
            data = _resynchronised(data)[0]
        skip = (1 if grouped else 0) + (4 if flags & 0x01 else 0)
    else:
        return data
    if encrypted:
        return b""
    if packed:
        try:
            return zlib.decompressobj().decompress(data[skip:], _MOST_INFLATED)
        except zlib.error:
            return b""
    return data[skip:]


def _texts(body: bytes) -> list[str]:
    """Texts of a text frame."""
    if not body or body[0] >= len(_ENCODINGS):
        return []
    return _decoded(body[1:], body[0]).rstrip("\0").split("\0")


def _decoded(data: bytes, encoding: int) -> str:
    if encoding == 1 and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16-le", "replace")
    text = data.decode(_ENCODINGS[encoding], "replace")
    return text.replace("\ufeff", "")  # each of several texts has a mark of its own


# --- Writing ------------------------------------------------------------------------------------


def new_tag(fields: Mapping[str, str], genres: Sequence[str], comment: str | None) -> bytes:
    """A tag of version 2.3 for a file that has none; empty if it would say nothing.

    ``fields`` are texts by the name of their frame, such as those of an ID3v1 tag.
    """
    new = _New(Header(3, 0, 0, 0), plain=False, unsync=False)
    frames = [new.text(name, [text]) for name, text in fields.items() if text]
    frames += [new.genres(genres), new.comment(comment)]
    if not any(frames):
        return b""
    return _whole(new.header, b"".join(frames) + bytes(NEW_PADDING))


def spliced(old: bytes, genres: Sequence[str], comment: str | None) -> bytes:
    """The same tag with other genres; of the same size if that suffices, else with new padding.

    ``comment`` takes the place of the comment that is described as :data:`OURS`; None leaves it.

    Raises
    ------
    Damaged
        If the tag cannot be changed without a loss.
    """
    header = header_in(old)
    if header is None or header.total > len(old):
        raise Damaged("its ID3 tag is damaged, or cut off")
    opened = _opened(BytesIO(old), 0, header, header.size)
    new = _New(header, plain=opened.plain, unsync=opened.zeros is not None)
    ready = {"genres": new.genres(genres), "comment": new.comment(comment)}
    pieces: list[bytes] = []
    for frame in opened.frames:
        if role := _role(opened.source, frame, header, replaces_comment=comment is not None):
            pieces.append(ready.pop(role, b""))
        else:
            pieces.append(old[opened.lies_at(frame.at) : opened.lies_at(frame.end)])
    pieces = [piece for piece in [*pieces, *ready.values()] if piece]
    n_frames = len(pieces)
    frames_end = opened.frames[-1].end if opened.frames else opened.begin
    rest = old[opened.lies_at(frames_end) : HEAD_BYTES + header.size]
    pieces += [rest] if rest.strip(b"\0") else []  # it is neither frames nor padding
    extended_at = opened.lies_at(0) if opened.zeros is not None else HEAD_BYTES
    extended = _without_padding(old[extended_at : opened.lies_at(opened.begin)], header)
    body = _joined([extended, *pieces], unsync=new.unsync)
    n_padding = header.size - len(body)
    if header.total > HEAD_BYTES + header.size:  # a footer: no padding may be before it
        n_padding = 0
    elif n_padding < 0:
        n_padding = NEW_PADDING
    whole = _whole(header, body + bytes(n_padding))
    again = _opened(BytesIO(whole), 0, header, len(whole) - HEAD_BYTES)
    if n_frames and (len(again.frames), again.plain) != (n_frames, opened.plain):
        raise Damaged("its ID3 tag is damaged: what is written into it would not be read")
    return whole


def _role(source: BinaryIO, frame: Frame, header: Header, *, replaces_comment: bool) -> str:
    """Which of what is written a frame holds; empty for all others."""
    if frame.name in _FIELDS["genre"]:
        return "genres"
    if frame.name in (b"COM", b"COMM") and replaces_comment:
        body = _body(source, frame, header)
        if len(body) > 4 and body[0] < len(_ENCODINGS):
            description = _decoded(body[4:], body[0]).split("\0")[0]
            return "comment" if description.casefold() == OURS else ""
    return ""


def _without_padding(extended: bytes, header: Header) -> bytes:
    """An extended header that states no size of padding, as nothing needs it.

    It is Damaged if it holds a checksum of the frames.
    """
    crc_flag = extended[4:5] if header.version == 3 else extended[5:6]
    if crc_flag and crc_flag[0] & (0x80 if header.version == 3 else 0x20):
        raise Damaged("its ID3 tag holds a checksum of itself, which would be wrong then")
    return extended[:6] + bytes(4) if header.version == 3 and extended else extended


def _joined(pieces: Sequence[bytes], *, unsync: bool) -> bytes:
    """Pieces of a tag together; a zero between two where they would look like a frame of MPEG."""
    joined = bytearray()
    for piece in pieces:
        if unsync and joined.endswith(b"\xff") and _LIKE_SYNC.match(piece):
            joined += b"\0"
        joined += piece
    if unsync and joined.endswith(b"\xff"):
        joined += b"\0"
    return bytes(joined)


def _whole(header: Header, body: bytes) -> bytes:
    """A tag of what follows its header."""
    if len(body) > _MOST_BYTES:
        raise Damaged("its ID3 tag would be larger than 256 MiB, which the format allows")
    top = bytes([header.version, header.revision, header.flags]) + _as_synchsafe(len(body))
    has_footer = header.total > HEAD_BYTES + header.size
    return b"ID3" + top + body + (b"3DI" + top if has_footer else b"")


class _New(NamedTuple):
    """Makes frames for a tag with this header."""

    header: Header
    plain: bool  # sizes of v2.4
    unsync: bool  # the tag is, as a whole

    def genres(self, genres: Sequence[str]) -> bytes:
        """The frame of these genres; nothing for none."""
        return (
            self.text("TCON", texts) if (texts := tcon_texts(genres, self.header.version)) else b""
        )

    def text(self, name: str, texts: Sequence[str]) -> bytes:
        """A frame of texts."""
        encoding, written = self._written("\0".join(texts))
        return self._frame(name, bytes([encoding]) + written)

    def comment(self, comment: str | None) -> bytes:
        """The comment that is described as :data:`OURS`; nothing for none."""
        if not comment:
            return b""
        encoding, text = self._written(comment)
        described = (
            b"\xff\xfe" + OURS.encode("utf-16-le") + b"\0\0" if encoding == 1 else b"ostinato\0"
        )
        return self._frame("COMM", bytes([encoding]) + b"eng" + described + text)

    def _written(self, text: str) -> tuple[int, bytes]:
        """ID3's number of an encoding that players of the version read, and the text in it."""
        if text.isascii():
            return 0, text.encode("ascii")
        if self.header.version == 4:
            return 3, text.encode("utf-8")
        try:
            return 0, text.encode("latin-1")
        except UnicodeEncodeError:
            return 1, b"\xff\xfe" + text.encode("utf-16-le")

    def _frame(self, name: str, body: bytes) -> bytes:
        n_bytes = len(body)
        if self.header.version == 2:
            frame = name[:3].encode() + n_bytes.to_bytes(3) + body
        elif self.header.version == 3:
            frame = name.encode() + n_bytes.to_bytes(4) + b"\0\0" + body
        else:  # ASCII and UTF-8 stay as they are in unsynchronisation, which is a flag only
            size = n_bytes.to_bytes(4) if self.plain else _as_synchsafe(n_bytes)
            flags = b"\0\x02" if self.header.flags & _UNSYNC else b"\0\0"
            frame = name.encode() + size + flags + body
        return re.sub(rb"\xff(?=[\0\xe0-\xff]|\Z)", b"\xff\0", frame) if self.unsync else frame
