"""Reads the tags of an audio file, as players read them, and writes its genres.

Which format a file is of is told by its first bytes, and by its suffix only where an MPEG stream
may begin with anything. Nothing of the sound is read.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from mutagen import MutagenError

from ostinato.audio.decode import main_stream, open_container
from ostinato.audio.samples import AudioError
from ostinato.storage import cause
from ostinato.tagging import ape, asf, chunks, flac, id3_files, mp4, ogg
from ostinato.tagging.file_bytes import read_at, size_of
from ostinato.tagging.file_tags import Damaged, FileTags, TagError, file_tags
from ostinato.tagging.id3 import header_in
from ostinato.tagging.other_items import other_items

__all__ = ["FileTags", "TagError", "other_items", "read_tags", "write_genres"]


class _Format(NamedTuple):
    name: str
    read: Callable[[BinaryIO], FileTags]
    write: Callable[[BinaryIO, Sequence[str], str | None], None]


def _write_ape(file: BinaryIO, genres: Sequence[str], comment: str | None) -> None:
    ape.write(file, genres, comment)
    id3_files.write_v1_genre(file, genres)


_FRONT = _Format("MPEG audio", id3_files.read_front, id3_files.write_front)
_APE = _Format("APE", ape.read, _write_ape)
_MP4 = _Format("MP4", mp4.read, mp4.write)
_MARKS = (
    (0, b"OggS", _Format("Ogg", ogg.read, ogg.write)),
    (0, b"DSD ", _Format("DSF", id3_files.read_dsf, id3_files.write_dsf)),
    (0, asf.HEADER, _Format("ASF", asf.read, asf.write)),
    *((0, mark, _APE) for mark in (b"wvpk", b"MAC ", b"MP+", b"MPCK", b"tBaK", b"OFR ")),
    *((4, mark, _MP4) for mark in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
)
_MPEG_SUFFIXES = {".mp3", ".mp2", ".mp1", ".mpga", ".aac"}
_HEAD_BYTES = 16
_SEARCHED_BYTES = 1 << 16
_MOST_TAGS = 8  # in front, one behind the other
# Sync, layer II or III, a known bit rate: MPEG audio; then AAC (ADTS). UTF-16 begins like layer I.
_MPEG = re.compile(
    rb"\xff(?:[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x00-\xef]|[\xf0\xf1\xf8\xf9])", re.DOTALL
)


def read_tags(path: Path) -> FileTags:
    """Read what a file says of itself, as players read it.

    Raises
    ------
    TagError
        If it is no audio file, or its tags cannot be read.
    """
    with _opened(path, "rb", "read") as file:
        found = _format_of(file, path)
        if found is not None:
            return found.read(file)
    return _by_ffmpeg(path)


def write_genres(path: Path, genres: Sequence[str], *, comment: str | None = None) -> None:
    """Write genres into the file at ``path``, and nothing else.

    Parameters
    ----------
    path
        A copy that nobody else sees: it is changed where it is, and after an error it may be of no
        use.
    genres
        The likeliest first; empty to remove the genre.
    comment
        Text that tells where they come from, in a field of its own; empty to remove that; None
        leaves what is there.

    Raises
    ------
    TagError
        If the format cannot hold tags here, or what the file has cannot be kept byte for byte.
    """
    if unusable := [text for text in (*genres, comment or "") if "\0" in text]:
        raise TagError(f"Expected genres without a null character, got {unusable[0]!r}.")
    with _opened(path, "r+b", "write") as file:
        found = _format_of(file, path)
        if found is None:
            raise Damaged("its format cannot hold tags here")
        found.write(file, genres, comment)


@contextmanager
def _opened(path: Path, mode: Literal["rb", "r+b"], doing: str) -> Iterator[BinaryIO]:
    """Open a regular file; what goes wrong within the context is a TagError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer for ever
            raise Damaged("it is no file")
        with path.open(mode) as file:
            yield file
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _error(doing, path, cause(error)) from error
    except (Damaged, MutagenError) as error:
        raise _error(doing, path, str(error)) from error


def _error(doing: str, path: Path, reason: str) -> TagError:
    return TagError(f"Cannot {doing} the tags of {path}: {reason}.", reason)


def _format_of(file: BinaryIO, path: Path) -> _Format | None:
    """The format of a file by its first bytes, behind ID3 tags; None if it holds no tags here."""
    size = size_of(file)
    if not size:
        raise Damaged("it is empty (0 bytes)")
    begin = 0
    for _ in range(_MOST_TAGS):
        file.seek(begin)
        head = file.read(_HEAD_BYTES)
        header = header_in(head)
        if header is None:
            break
        begin += header.total
    if head.startswith(b"fLaC"):
        return _Format("FLAC", partial(flac.read, begin=begin), partial(flac.write, begin=begin))
    for at, mark, found in _MARKS:
        if head.startswith(mark, at) and (begin == 0 or found is _APE):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE" and begin == 0:
        return _Format("WAV", chunks.wav.read, chunks.wav.write)
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC") and begin == 0:
        return _Format("AIFF", chunks.aiff.read, chunks.aiff.write)
    if begin or _MPEG.match(head) or head.startswith(b"TTA1"):
        return _FRONT
    if path.suffix.lower() in _MPEG_SUFFIXES:  # which may begin with the end of another frame
        searched = read_at(file, 0, min(size, _SEARCHED_BYTES))
        return _FRONT if _MPEG.search(searched) else None
    return None


def _by_ffmpeg(path: Path) -> FileTags:
    """Tags of a format that is only read: Matroska, and whatever else holds sound."""
    try:
        with open_container(path, str(path)) as container:
            main_stream(container, str(path))  # or an error: the suffix alone opens it as FLAC
            said: dict[str, list[str]] = {}
            for metadata in (container.metadata, *(s.metadata for s in container.streams.audio)):
                for name, text in metadata.items():
                    said.setdefault(_NAMES.get(name.casefold(), ""), []).append(text)
            kind = container.format.name.split(",")[0].capitalize() if said else ""
            return file_tags(kind, said, is_writable=False)
    except AudioError as error:
        raise _error("read", path, error.reason) from error


_NAMES = {
    "genre": "genre",
    "artist": "artist",
    "album_artist": "album_artist",
    "album": "album",
    "title": "title",
    "date": "year",
    "year": "year",
}
