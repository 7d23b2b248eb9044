"""FLAC's blocks of metadata, and the same blocks with other genres (RFC 9639, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from ostinato.tagging import vorbis
from ostinato.tagging.file_bytes import NEW_PADDING, read_at, replace_at
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags

_MAGIC = b"fLaC"
_PADDING, _COMMENTS = 1, 4
_LAST = 0x80
_MOST_BLOCKS = 10_000
_MOST_BYTES = (1 << 24) - 1


class _Block(NamedTuple):
    kind: int
    at: int  # of its body
    size: int


def _blocks(file: BinaryIO, begin: int) -> list[_Block]:
    """Blocks behind the mark at ``begin``; Damaged where no sound follows them."""
    at, is_last, blocks = begin + len(_MAGIC), False, list[_Block]()
    while not is_last:
        if len(blocks) > _MOST_BLOCKS:
            raise Damaged("the blocks of its header have no end")
        head = read_at(file, at, 4)
        is_last = bool(head[0] & _LAST)
        blocks.append(_Block(head[0] & ~_LAST, at + 4, int.from_bytes(head[1:])))
        at += 4 + blocks[-1].size
    return blocks


def read(file: BinaryIO, begin: int) -> FileTags:
    """Tags of a FLAC file whose mark is at ``begin``."""
    for block in _blocks(file, begin):
        if block.kind == _COMMENTS:
            return file_tags(vorbis.KIND, vorbis.read_fields(file, block.at, block.size))
    return FileTags()


def write(file: BinaryIO, genres: Sequence[str], comment: str | None, begin: int) -> None:
    """Write genres into the block of comments, which is made if it is not there.

    What it grows or shrinks by is taken from, or given to, a block of padding.
    """
    blocks = _blocks(file, begin)
    end = blocks[-1].at + blocks[-1].size
    sound = read_at(file, end, 2)
    if sound[0] != 0xFF or sound[1] & 0xFC != 0xF8:
        raise Damaged("no sound follows the header, so the sizes in it are wrong")
    held = [(block.kind, read_at(file, block.at, block.size)) for block in blocks]
    kinds = [kind for kind, _ in held]
    if _COMMENTS in kinds:
        place = kinds.index(_COMMENTS)
        comments = vorbis.comments_in(held[place][1])
        del held[place]
    elif not genres and not comment:
        return
    else:
        place = kinds.index(_PADDING) if _PADDING in kinds else len(kinds)
        comments = vorbis.Comments(b"Ostinato", [], b"")
    comments = comments.with_genres(genres, comment)
    held.insert(place, (_COMMENTS, comments.packed() + comments.rest))
    room = end - begin - len(_MAGIC)
    new = _padded(held, room)
    if max(len(body) for _, body in new) > _MOST_BYTES:
        raise Damaged("its comments would be larger than the 16 MiB that FLAC allows")
    packed = [bytes([kind]) + len(body).to_bytes(3) + body for kind, body in new]
    packed[-1] = bytes([packed[-1][0] | _LAST]) + packed[-1][1:]
    replace_at(file, begin + len(_MAGIC), room, b"".join(packed))


def _padded(held: list[tuple[int, bytes]], room: int) -> list[tuple[int, bytes]]:
    """Blocks that fill a room, by one of padding that changes; more if they do not fit."""
    spare = room - sum(4 + len(body) for _, body in held)
    for i, (kind, body) in enumerate(held):
        if kind == _PADDING and 0 <= len(body) + spare <= _MOST_BYTES:
            return [*held[:i], (_PADDING, bytes(len(body) + spare)), *held[i + 1 :]]
        if kind == _PADDING and len(body) + 4 + spare == 0:
            return held[:i] + held[i + 1 :]
    if spare == 0:
        return held
    return [*held, (_PADDING, bytes(spare - 4 if 4 <= spare <= _MOST_BYTES else NEW_PADDING))]
