"""Attributes of ASF (WMA), and the same attributes with other genres.

Attributes other than those of the genre, and of the comment that is asked for, are the bytes that
they were, in their order. The first genre is in the extended content description, others are in
the metadata library, which is where programs write and look for them (Microsoft, "Advanced Systems
Format specification").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple
from uuid import UUID

from ostinato.tagging.file_bytes import NEW_PADDING, read_at, replace_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags

HEADER = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_FILE = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_CONTENT = UUID("75b22633-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_EXTENDED = UUID("d2d0a440-e307-11d2-97f0-00a0c95ea850").bytes_le
_EXTENSION = UUID("5fbf03b5-a92e-11cf-8ee3-00c00c205365").bytes_le
_LIBRARY = UUID("44231c94-9498-49d1-a141-1d134e457054").bytes_le
_PADDING = UUID("1806d474-cadf-4509-a4ba-9aabcb96aae8").bytes_le
_SIGNATURE = UUID("2211b3fc-bd23-11d2-b4b7-00a0c955fc6e").bytes_le

_FIELDS = {
    "WM/Genre": "genre",
    "Author": "artist",
    "WM/AlbumArtist": "album_artist",
    "WM/AlbumTitle": "album",
    "Title": "title",
    "WM/Year": "year",
    "date": "year",  # as FFmpeg writes it
}
_GENRES = ("wm/genre", "wm/genreid")
_OURS = "ostinato"
_TEXT = 0
_HEAD_BYTES = 24
_TOP_BYTES = _HEAD_BYTES + 6  # of the header: its count of objects, and two bytes
_EXTENSION_BYTES = 22  # of its body: a GUID, two bytes, the size of the objects
_MOST_BYTES = 1 << 28


class _Object(NamedTuple):
    kind: bytes
    body: bytes

    def packed(self) -> bytes:
        """Its bytes in the file."""
        return self.kind + struct.pack("<Q", _HEAD_BYTES + len(self.body)) + self.body


class _Attribute(NamedTuple):
    name: str
    kind: int
    value: bytes
    raw: bytes


def _objects(data: bytes) -> list[_Object]:
    """Objects one behind the other; Damaged unless they fill the data."""
    at, found = 0, list[_Object]()
    while at < len(data):
        size = int.from_bytes(data[at + 16 : at + 24], "little")
        if size < _HEAD_BYTES or at + size > len(data):
            raise Damaged("the objects of its header do not fill it")
        found.append(_Object(data[at : at + 16], data[at + _HEAD_BYTES : at + size]))
        at += size
    return found


def _header(file: BinaryIO) -> tuple[bytes, list[_Object]]:
    """The first bytes of the header, and its objects."""
    top = read_at(file, 0, _TOP_BYTES)
    size = int.from_bytes(top[16:24], "little")
    if not _TOP_BYTES <= size <= min(_MOST_BYTES, size_of(file)):
        raise Damaged("it is cut off, or states a size that is not its own")
    return top, _objects(read_at(file, _TOP_BYTES, size - _TOP_BYTES))


def _extended(body: bytes) -> Iterator[_Attribute]:
    """Attributes of the extended content description."""
    at = 2
    for _ in range(int.from_bytes(body[:2], "little")):
        begin = at
        name, at = _sized(body, at)
        kind, at = int.from_bytes(body[at : at + 2], "little"), at + 2
        value, at = _sized(body, at)
        yield _Attribute(_text(name), kind, value, body[begin:at])
    if at != len(body):
        raise Damaged("the attributes of its header are damaged")


def _sized(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2], "little")
    if end > len(body):
        raise Damaged("the attributes of its header are damaged")
    return body[at + 2 : end], end


def _library(body: bytes) -> Iterator[_Attribute]:
    """Attributes of the metadata library."""
    at = 2
    for _ in range(int.from_bytes(body[:2], "little")):
        if at + 12 > len(body):
            raise Damaged("the attributes of its header are damaged")
        _, _, n_name, kind, n_value = struct.unpack_from("<4HI", body, at)
        end = at + 12 + n_name + n_value
        name, value = body[at + 12 : at + 12 + n_name], body[at + 12 + n_name : end]
        yield _Attribute(_text(name), kind, value, body[at:end])
        at = end
    if at != len(body):
        raise Damaged("the attributes of its header are damaged")


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace").rstrip("\0")


def read(file: BinaryIO) -> FileTags:
    """Tags of an ASF file."""
    said: dict[str, list[str]] = {}
    _, objects = _header(file)
    for kind, body in [*objects, *_in_extension(objects)]:
        found: list[tuple[str, str]] = []
        if kind == _CONTENT and len(body) >= 10:
            n_title, n_author = struct.unpack_from("<2H", body)
            found.append(("Title", _text(body[10 : 10 + n_title])))
            found.append(("Author", _text(body[10 + n_title : 10 + n_title + n_author])))
        elif kind in (_EXTENDED, _LIBRARY):
            attributes = _extended(body) if kind == _EXTENDED else _library(body)
            found += [(a.name, _text(a.value)) for a in attributes if a.kind == _TEXT]
        for name, text in found:
            if field := _FIELDS.get(name):
                said.setdefault(field, []).append(text)
    return file_tags("ASF", said)


def _in_extension(objects: Sequence[_Object]) -> list[_Object]:
    extension = next((o for o in objects if o.kind == _EXTENSION), None)
    return _objects(extension.body[_EXTENSION_BYTES:]) if extension else []


# --- Writing ------------------------------------------------------------------------------------


def write(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the attributes of the header."""
    top, objects = _header(file)
    if any(o.kind == _SIGNATURE for o in objects):
        raise Damaged("its header is signed, and would not be what was signed")
    first = [_packed_extended("WM/Genre", genre) for genre in genres[:1]]
    others = [_packed_library("WM/Genre", genre) for genre in genres[1:]]
    first += [_packed_extended("Ostinato", comment)] if comment else []
    replaced = (*_GENRES, _OURS) if comment is not None else _GENRES
    inner = _in_extension(objects)
    objects = _with(objects, _EXTENDED, first, replaced)
    inner = _with(inner, _LIBRARY, others, replaced)
    old_size = int.from_bytes(top[16:24], "little")
    objects = _with_inner(objects, inner)
    objects = _padded(objects, old_size - _size(objects))
    grown = _size(objects) - old_size
    objects = [_with_file_size(o, size_of(file), grown) for o in objects]
    body = b"".join(o.packed() for o in objects)
    head = HEADER + struct.pack("<QI", _TOP_BYTES + len(body), len(objects)) + top[28:30]
    replace_at(file, 0, old_size, head + body)


def _size(objects: Sequence[_Object]) -> int:
    return _TOP_BYTES + sum(_HEAD_BYTES + len(o.body) for o in objects)


def _packed_extended(name: str, text: str) -> bytes:
    coded, value = (f"{part}\0".encode("utf-16-le") for part in (name, text))
    if len(value) > 0xFFFF:
        raise Damaged("a text of more than 32,766 characters does not fit into its header")
    return struct.pack("<H", len(coded)) + coded + struct.pack("<2H", _TEXT, len(value)) + value


def _packed_library(name: str, text: str) -> bytes:
    coded, value = (f"{part}\0".encode("utf-16-le") for part in (name, text))
    return struct.pack("<4HI", 0, 0, len(coded), _TEXT, len(value)) + coded + value


def _with(
    objects: list[_Object], kind: bytes, new: list[bytes], replaced: Sequence[str]
) -> list[_Object]:
    """Objects of which that of a kind holds new attributes, in the place of those of some names."""
    i = next((i for i, o in enumerate(objects) if o.kind == kind), len(objects))
    body = objects[i].body if i < len(objects) else bytes(2)
    held = list(_extended(body) if kind == _EXTENDED else _library(body))
    kept = [a.raw for a in held if a.name.casefold() not in replaced]
    if not new and len(kept) == len(held):
        return objects
    raw = kept + new
    packed = _Object(kind, struct.pack("<H", len(raw)) + b"".join(raw))
    return [*objects[:i], packed, *objects[i + 1 :]]


def _with_inner(objects: list[_Object], inner: list[_Object]) -> list[_Object]:
    """Objects of which the header extension holds these ones."""
    i = next((i for i, o in enumerate(objects) if o.kind == _EXTENSION), None)
    if i is None and not inner:
        return objects
    packed = b"".join(o.packed() for o in inner)
    top = UUID("abd3d211-a9ba-11cf-8ee6-00c00c205365").bytes_le + b"\6\0"
    if i is None:
        i, objects = len(objects), [*objects, _Object(_EXTENSION, b"")]
    else:
        top = objects[i].body[: _EXTENSION_BYTES - 4]
    whole = _Object(_EXTENSION, top + struct.pack("<I", len(packed)) + packed)
    return [*objects[:i], whole, *objects[i + 1 :]]


def _padded(objects: list[_Object], spare: int) -> list[_Object]:
    """Objects that take up ``spare`` bytes more, by padding; still more if that is less than 0."""
    for i, o in enumerate(objects):
        if o.kind == _PADDING and len(o.body) + spare >= 0:
            return [*objects[:i], _Object(_PADDING, bytes(len(o.body) + spare)), *objects[i + 1 :]]
    if spare == 0:
        return objects
    inner = _in_extension(objects)
    if any(o.kind == _PADDING and len(o.body) + spare >= 0 for o in inner):
        return _with_inner(objects, _padded(inner, spare))
    n_bytes = spare - _HEAD_BYTES if spare >= _HEAD_BYTES else NEW_PADDING
    return [*objects, _Object(_PADDING, bytes(n_bytes))]


def _with_file_size(o: _Object, old_size: int, grown: int) -> _Object:
    """An object of which the file's size is the new one, if it states the old one."""
    if o.kind != _FILE or o.body[16:24] != struct.pack("<Q", old_size):
        return o
    return _Object(_FILE, o.body[:16] + struct.pack("<Q", old_size + grown) + o.body[24:])
