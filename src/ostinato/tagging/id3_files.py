"""Files that hold an ID3 tag in front (MP3, AAC, TTA) or at the end (DSF), and ID3v1.

An MP3 may have three tags. Players believe the ID3v2 tag first, then an APEv2 tag, and the ID3v1
tag at the end where neither says anything; the other two are kept in step with the first.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from ostinato.tagging import ape
from ostinato.tagging.file_bytes import read_at, replace_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, file_tags
from ostinato.tagging.genre_names import name_of, number_of
from ostinato.tagging.id3 import HEAD_BYTES, Header, header_in, new_tag, read_fields, spliced

_V1_BYTES = 128


class Place(NamedTuple):
    """Where a tag is; ``n_bytes`` are behind its header, of those that it states."""

    at: int
    header: Header
    n_bytes: int


def tag_at(file: BinaryIO, at: int, end: int) -> Place | None:
    """The tag that begins here, if one does."""
    file.seek(at)
    head = file.read(HEAD_BYTES)
    header = header_in(head)
    if header is None:
        if head.startswith(b"ID3"):
            raise Damaged("the header of its ID3 tag is damaged")
        return None
    return Place(at, header, max(0, min(header.size, end - at - HEAD_BYTES)))


def read_tag(file: BinaryIO, at: int, end: int) -> tuple[str, dict[str, list[str]]]:
    """Form of the tag that begins here, and texts by field; what is damaged says nothing."""
    try:
        if place := tag_at(file, at, end):
            said = read_fields(file, place.at, place.header, place.n_bytes)
            return f"ID3v2.{place.header.version}", said
    except Damaged:
        pass
    return "", {}


def changed(file: BinaryIO, place: Place, genres: Sequence[str], comment: str | None) -> bytes:
    """The tag with other genres."""
    return spliced(read_at(file, place.at, place.header.total), genres, comment)


# --- In front -----------------------------------------------------------------------------------


def read_front(file: BinaryIO) -> FileTags:
    """Tags of a file that has ID3 in front, and perhaps APE and ID3v1 at the end."""
    end = size_of(file)
    kind, said = read_tag(file, 0, end)
    if {"genre", "artist", "album", "title", "year", "album_artist"} <= said.keys():
        return file_tags(kind, said)
    behind, of_ape = ape.read_fields(file)
    of_v1 = _v1_fields(read_v1(file))
    kind = kind or ("APEv2" if behind else "ID3v1" if of_v1 else "")
    return file_tags(kind, said, of_ape, of_v1)


def write_front(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the ID3 tag in front, and into others where they hold one already.

    Of TTA, FFmpeg reads no ID3 beside an APE tag, so that gets a genre even if it has none.
    """
    place = tag_at(file, 0, size_of(file))
    v1 = read_v1(file)
    if place:
        new = changed(file, place, genres, comment)
    else:
        new = new_tag(_v1_frames(v1), genres, comment) if genres or comment else b""
    is_tta = read_at(file, place.header.total if place else 0, 4) == b"TTA1"
    ape.keep_in_step(file, genres, even_new=is_tta)
    write_v1_genre(file, genres)
    replace_at(file, 0, place.header.total if place else 0, new)


# --- ID3v1 --------------------------------------------------------------------------------------


def read_v1(file: BinaryIO) -> bytes:
    """The 128 bytes of an ID3v1 tag; empty if there is none."""
    at = size_of(file) - _V1_BYTES
    tag = read_at(file, at, _V1_BYTES) if at >= 0 else b""
    return tag if tag.startswith(b"TAG") else b""


def write_v1_genre(file: BinaryIO, genres: Sequence[str]) -> None:
    """Keep an ID3v1 tag that is there in step: its genre is the number of the first."""
    if read_v1(file):
        file.seek(-1, 2)
        file.write(bytes([number_of(genres[0] if genres else "")]))


def _v1_frames(tag: bytes) -> dict[str, str]:
    """Texts of an ID3v1 tag by the names of ID3v2.3's frames.

    A new tag in front says them too, since many players do not read ID3v1 beside it.
    """
    if not tag:
        return {}
    title, artist, album, year = (
        tag[begin:end].split(b"\0")[0].strip().decode("latin-1")
        for begin, end in ((3, 33), (33, 63), (63, 93), (93, 97))
    )
    track = str(tag[126]) if tag[125] == 0 and tag[126] else ""
    return {"TIT2": title, "TPE1": artist, "TALB": album, "TYER": year, "TRCK": track}


def _v1_fields(tag: bytes) -> dict[str, list[str]]:
    if not tag:
        return {}
    said = _v1_frames(tag)
    names = {"title": "TIT2", "artist": "TPE1", "album": "TALB", "year": "TYER"}
    return {"genre": [name_of(tag[127])]} | {field: [said[n]] for field, n in names.items()}


# --- At the end ---------------------------------------------------------------------------------

_DSF = struct.Struct("<4s3Q")  # magic, size of this chunk, of the file, where the tag is


def read_dsf(file: BinaryIO) -> FileTags:
    """Tags of a DSF file."""
    *_, at = _DSF.unpack(read_at(file, 0, _DSF.size))
    end = size_of(file)
    return file_tags(*read_tag(file, at, end)) if 0 < at < end else FileTags()


def write_dsf(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    """Write genres into the tag of a DSF file, which is made at its end if it is not there."""
    magic, n_head, _, at = _DSF.unpack(read_at(file, 0, _DSF.size))
    end = size_of(file)
    if at == 0:
        at, room, new = end, 0, new_tag({}, genres, comment)
        if not new:
            return
    elif place := tag_at(file, at, end):
        room, new = place.header.total, changed(file, place, genres, comment)
    else:
        raise Damaged("there is no tag where its header says that one is")
    replace_at(file, at, room, new)
    file.seek(0)
    file.write(_DSF.pack(magic, n_head, end - room + len(new), at))
