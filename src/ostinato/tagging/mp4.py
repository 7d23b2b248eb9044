"""Items of MP4 (iTunes' list in ``moov.udta.meta.ilst``), and the same items with other genres.

Atoms other than those of the genre, and of the comment that is asked for, are the bytes that they
were, in their order. Where the list outgrows its place, sound moves, and so do the tables that say
where it lies (ISO/IEC 14496-12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from ostinato.tagging.file_bytes import NEW_PADDING, read_at, replace_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags
from ostinato.tagging.genre_names import name_of

_FIELDS = {
    b"\xa9gen": "genre",
    b"gnre": "genre",
    b"\xa9ART": "artist",
    b"aART": "album_artist",
    b"\xa9alb": "album",
    b"\xa9nam": "title",
    b"\xa9day": "year",
}
_GENRES = (b"\xa9gen", b"gnre")
_MEAN, _OURS = b"com.apple.iTunes", b"OSTINATO"
_PATH = (b"moov", b"udta", b"meta", b"ilst")
_HOLD_TABLES = (b"trak", b"mdia", b"minf", b"stbl")
_UNMOVABLE = (b"saio", b"cmov")
_TABLES = {b"stco": ">I", b"co64": ">Q"}
_HANDLER = bytes(8) + b"mdirappl" + bytes(9)
_UTF8, _UTF16 = 1, 2


class _Atom(NamedTuple):
    name: bytes
    at: int
    body: int
    end: int


def _atoms(file: BinaryIO, begin: int, end: int) -> Iterator[_Atom]:
    """Atoms between two places, one behind the other."""
    at = begin
    while at + 8 <= end:
        size, name = struct.unpack(">I4s", read_at(file, at, 8))
        body = at + 8
        if size == 1:
            (size,) = struct.unpack(">Q", read_at(file, body, 8))
            body += 8
        elif size == 0:
            size = end - at
        if size < body - at or at + size > end:
            if name == b"mdat" or not any(name):  # sound that is cut off; the end of QuickTime's
                return
            raise Damaged("its atoms do not fit into each other")
        yield _Atom(name, at, body, at + size)
        at += size


def _inside(file: BinaryIO, atom: _Atom) -> list[_Atom]:
    begin = atom.body
    if (
        atom.name == b"meta" and read_at(file, begin + 4, 4) != b"hdlr"
    ):  # QuickTime's has no version
        begin += 4
    return list(_atoms(file, begin, atom.end))


def _path(file: BinaryIO) -> list[_Atom]:
    """Atoms on the way to the list of items, as far as they are there."""
    found: list[_Atom] = []
    atoms: Iterator[_Atom] | list[_Atom] = _atoms(file, 0, size_of(file))
    for name in _PATH:
        atom = next((atom for atom in atoms if atom.name == name), None)
        if atom is None:
            break
        found.append(atom)
        atoms = _inside(file, atom) if name != _PATH[-1] else []
    return found


def read(file: BinaryIO) -> FileTags:
    """Tags of an MP4 file."""
    path = _path(file)
    if not path:
        raise Damaged("it has no header (moov): it is cut off, or was never finished")
    if len(path) < len(_PATH):
        return FileTags()
    said: dict[str, list[str]] = {}
    for atom in _inside(file, path[-1]):
        if field := _FIELDS.get(atom.name):
            said.setdefault(field, []).extend(_texts(file, atom))
    return file_tags("MP4", said)


def _texts(file: BinaryIO, item: _Atom) -> list[str]:
    texts = []
    for data in _atoms(file, item.body, item.end):
        if data.name != b"data" or data.end - data.body < 8:
            continue
        whole = read_at(file, data.body, data.end - data.body)
        kind, value = int.from_bytes(whole[1:4]), whole[8:]
        if item.name == b"gnre":
            texts.append(name_of(int.from_bytes(value[:2]) - 1))
        else:
            texts.append(value.decode("utf-16-be" if kind == _UTF16 else "utf-8", "replace"))
    return texts


# --- Writing ------------------------------------------------------------------------------------


def write(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the list of items, which is made if it is not there."""
    path = _path(file)
    if not path:
        raise Damaged("it has no header (moov): it is cut off, or was never finished")
    old = _inside(file, path[-1]) if len(path) == len(_PATH) else []
    new = {"genre": _genre(genres)}
    if comment is not None:
        new["comment"] = _comment(comment)
    pieces, ready = [], dict(new)
    for atom in old:
        raw = read_at(file, atom.at, atom.end - atom.at)
        role = "genre" if atom.name in _GENRES else "comment" if _is_ours(raw) else ""
        pieces.append(ready.pop(role, b"") if role in new else raw)
    items = _atom(b"ilst", b"".join([*pieces, *ready.values()]))
    if len(path) == len(_PATH):
        _put(file, path, items)
    elif genres or comment:
        _insert(file, path, items)


def _atom(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _data(text: str) -> bytes:
    return _atom(b"data", struct.pack(">2I", _UTF8, 0) + text.encode("utf-8"))


def _genre(genres: Sequence[str]) -> bytes:
    return _atom(b"\xa9gen", b"".join(map(_data, genres))) if genres else b""


def _comment(comment: str) -> bytes:
    named = _atom(b"mean", bytes(4) + _MEAN) + _atom(b"name", bytes(4) + _OURS)
    return _atom(b"----", named + _data(comment)) if comment else b""


def _is_ours(item: bytes) -> bool:
    """Whether an item is the comment that tells where a genre comes from."""
    named = _comment("-")[8 : -len(_data("-"))]
    return item[4:8] == b"----" and item[8 : 8 + len(named)].upper() == named.upper()


def _free(n_bytes: int) -> bytes:
    return _atom(b"free", bytes(n_bytes))


def _insert(file: BinaryIO, path: list[_Atom], items: bytes) -> None:
    """Put a list of items where there is none."""
    new = items + _free(NEW_PADDING)
    if len(path) < 3:
        new = _atom(b"meta", bytes(4) + _atom(b"hdlr", _HANDLER) + new)
    if len(path) < 2:
        new = _atom(b"udta", new)
    # At the end, but for QuickTime's list of users' data, which a zero ends.
    at = path[-1].body if path[-1].name == b"udta" else path[-1].end
    _replace(file, path, at, 0, new)


def _put(file: BinaryIO, path: list[_Atom], items: bytes) -> None:
    """Put a list of items in the place of another, and of free room beside it."""
    *parents, ilst = path
    beside = _inside(file, parents[-1])
    i = beside.index(ilst)
    for atom in beside:
        if atom.name == b"hdlr" and read_at(file, atom.body + 8, 4) != b"mdir":
            raise Damaged("its list of tags is of a kind that is not written here")
    at, end = ilst.at, ilst.end
    if i + 1 < len(beside) and beside[i + 1].name == b"free":
        end = beside[i + 1].end
    elif i and beside[i - 1].name == b"free":
        at = beside[i - 1].at
    spare = end - at - len(items)
    if spare:
        items += _free(spare - 8 if spare >= 8 else NEW_PADDING)
    _replace(file, parents, at, end - at, items)


def _replace(file: BinaryIO, parents: list[_Atom], at: int, old_size: int, new: bytes) -> None:
    """Replace bytes in the last of these atoms; mend their sizes, and where sound lies."""
    grown = len(new) - old_size
    patches = _sizes(file, parents, grown) if grown else []
    moov = parents[0]
    behind = next(_atoms(file, moov.end, size_of(file)), None)
    if grown and behind and behind.name == b"free" and behind.end - behind.at >= grown + 8:
        rest = read_at(file, at + old_size, moov.end - at - old_size)
        new += rest + _free(behind.end - behind.at - grown - 8)
        old_size = behind.end - at  # nothing behind it moves
    elif grown:
        patches += _tables(file, moov, at + old_size, grown)
    for place, data in patches:
        file.seek(place)
        file.write(data)
    replace_at(file, at, old_size, new)


def _sizes(file: BinaryIO, parents: list[_Atom], grown: int) -> list[tuple[int, bytes]]:
    patches = []
    for atom in parents:
        (size,) = struct.unpack(">I", read_at(file, atom.at, 4))
        if size == 1:
            patches.append((atom.at + 8, struct.pack(">Q", atom.end - atom.at + grown)))
        elif size:  # 0: up to the end of the file
            patches.append((atom.at, struct.pack(">I", size + grown)))
    return patches


def _tables(file: BinaryIO, moov: _Atom, moved: int, grown: int) -> list[tuple[int, bytes]]:
    """New tables of places in the file, of which those from ``moved`` on move."""
    for atom in _atoms(file, 0, size_of(file)):
        if atom.name in (b"moof", b"mfra", b"sidx"):
            raise Damaged("its tags have no room, and what is in fragments (moof) cannot be moved")
    patches, todo = [], _inside(file, moov)
    while todo:
        atom = todo.pop()
        if atom.name in _HOLD_TABLES:
            todo += _inside(file, atom)
        elif atom.name in _UNMOVABLE:
            raise Damaged("its tags have no room, and what is encrypted or packed cannot be moved")
        elif form := _TABLES.get(atom.name):
            table = read_at(file, atom.body + 8, atom.end - atom.body - 8)
            n = min(
                int.from_bytes(read_at(file, atom.body + 4, 4)), len(table) // struct.calcsize(form)
            )
            places = struct.unpack_from(f">{n}{form[1]}", table)
            moving = [place + grown if place >= moved else place for place in places]
            if form == ">I" and moving and max(moving) > 0xFFFF_FFFF:
                raise Damaged("its tags have no room, and its tables no places beyond 4 GiB")
            patches.append((atom.body + 8, struct.pack(f">{n}{form[1]}", *moving)))
    return patches
