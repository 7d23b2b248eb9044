"""A table of audio files as a listing: ``--data TABLE.csv``.

::

    path,genre,artist,title
    disc 1/track 3.flac,blues,Robert Johnson,Cross Road Blues
    /srv/music/a.mp3,jazz,Nina Simone,

``path`` (absolute, or relative to the table's folder) and ``genre`` are required; ``id``,
``artist``, ``album``, ``title`` and ``recording`` are optional. Files of one ``recording`` hold the
same sound; the id of another row will do. An empty cell means unknown. Columns may come in any
order, their names in any case; other columns are ignored with a note.

The file is UTF-8 with or without byte-order mark. A ``.csv`` has commas or, as spreadsheets of some
countries write it, semicolons; a ``.tsv`` has tabs. Spaces around a cell and empty rows are
ignored. Genres that differ in case and spaces only are an error. An artist may be several people,
in any spelling: see :mod:`ostinato.datasets.groups`.

Several genres of a file stand in one cell, the main one first, with semicolons: ``jazz;blues``. In
a table that semicolons separate, the cell is in double quotes: ``"jazz;blues"``.

A row without an id has its path, as written. Files named as GTZAN's get nothing from its table.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ostinato.datasets.corpus import Listing, Recording
from ostinato.errors import DataError, UsageError, first_of
from ostinato.storage import expanded, is_folder, printable

REQUIRED = ("path", "genre")
OPTIONAL = ("id", "artist", "album", "title", "recording")
SUFFIXES = (".csv", ".tsv")

_AND = ";"  # between the genres of one file
_LAYOUT = "a row a file, with its path and genre"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the table: one file."""

    line: int
    cell: str  # its path, as written
    path: Path
    recording: Recording


def is_table(path: Path) -> bool:
    """Whether a path has a table's suffix and is no folder."""
    return path.suffix.lower() in SUFFIXES and not is_folder(path)


def read_table(path: Path) -> Listing:
    """Read a table of audio files, without opening any of them.

    UsageError if it cannot be read; DataError if it is no such table, contradicts itself (a path or
    an id twice, a genre in two spellings), or none of its files exists.
    """
    text = _text(path)
    delimiter = _delimiter(path, text)
    lines = _lines(path, text, delimiter)
    header_line, header = next(lines, (1, []))
    names = _names(path, header_line, header)
    rows = [_row(path, line, row, names) for line, row in lines]
    if not rows:
        raise DataError(f"The table '{path}' names no file: expected {_LAYOUT}, got a header only.")
    _check_genres(path, rows)
    _check_unique(path, rows)
    _check_there(path, rows)
    unused = [name for name in header if name and name.casefold() not in (*REQUIRED, *OPTIONAL)]
    rows.sort(key=lambda row: (row.recording.genre, row.recording.id))
    return Listing(
        # "gtzan" is reserved for the collection with published lists.
        name=printable(path.name if path.stem == "gtzan" else path.stem),
        source=printable(str(path)),
        layout=_LAYOUT,
        recordings=[row.recording for row in rows],
        paths=[row.path for row in rows],
        notes=(f"Columns of the table that are not used: {first_of(unused, 12)}.",)
        if unused
        else (),
    )


# From bytes to rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"Cannot read the table '{path}': {reason}.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{_at(path, line)}, is not text in UTF-8: save the table in that encoding (in a "
            "spreadsheet: CSV UTF-8)."
        ) from None
    before, zero, _ = text.partition("\0")
    if zero:
        line = before.count("\n") + 1
        raise DataError(f"{_at(path, line)}, holds a zero byte: expected a table of text.")
    return text


def _delimiter(path: Path, text: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = re.sub('"[^"]*"', "", text.lstrip().partition("\n")[0])  # without quoted text
    return ";" if header.count(";") > header.count(",") else ","


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{_at(path, line)}, is damaged: {error}.") from error
        row = [cell.strip() for cell in row]
        if any(row):
            yield line, row


def _names(path: Path, line: int, header: Sequence[str]) -> list[str]:
    """The names of the columns in lower case."""
    names = [name.casefold() for name in header]
    if not set(REQUIRED) <= set(names):
        raise DataError(
            f"{_at(path, line)}: expected a header with the columns {' and '.join(REQUIRED)}, got "
            f"{first_of(header, 12) or 'nothing'}."
        )
    for name in (*REQUIRED, *OPTIONAL):
        if names.count(name) > 1:
            raise DataError(f"{_at(path, line)}: the column {name} occurs twice.")
    return names


# From rows to recordings


def _row(path: Path, line: int, row: Sequence[str], names: Sequence[str]) -> _Row:
    if len(row) != len(names):
        raise DataError(
            f"{_at(path, line)}: expected {len(names)} fields as in the header, got {len(row)}; a "
            "field that contains the separator must be in double quotes."
        )
    cells = dict(zip(names, row, strict=True))
    for name in REQUIRED:
        if not cells[name]:
            raise DataError(f"{_at(path, line)}: the {name} is empty.")
    genres = [" ".join(genre.split()) for genre in cells["genre"].split(_AND)]
    genre, *also = dict.fromkeys(filter(None, genres)) or [""]
    if not genre:
        raise DataError(f"{_at(path, line)}: the genre is '{cells['genre']}', a semicolon only.")
    words = {name: " ".join(cells.get(name, "").split()) for name in OPTIONAL}
    place = path.parent / expanded(cells["path"])
    recording = Recording(
        id=words["id"] or PurePath(cells["path"]).as_posix(),
        genre=genre,
        also=tuple(also),
        artist=words["artist"] or None,
        album=words["album"] or None,
        title=words["title"] or None,
        recording=words["recording"],
        path=str(place),
    )
    return _Row(line=line, cell=cells["path"], path=place, recording=recording)


def _check_genres(path: Path, rows: Sequence[_Row]) -> None:
    """Refuse a genre in two spellings."""
    genres: dict[str, tuple[str, int]] = {}  # as spelled first, and the line
    for row in rows:
        for genre in row.recording.genres:
            key = unicodedata.normalize("NFKC", genre).casefold()
            first, line = genres.setdefault(key, (genre, row.line))
            if first != genre:
                raise DataError(
                    f"The table '{path}' spells one genre in two ways: '{first}' in line {line} "
                    f"and '{genre}' in line {row.line}."
                )


def _check_unique(path: Path, rows: Sequence[_Row]) -> None:
    """Refuse a path or an id that occurs twice; with two genres it is a contradiction as well."""
    seen: dict[tuple[str, str], _Row] = {}
    for row in rows:
        name, whole = row.recording.id, os.path.normpath(row.path.absolute())
        for what, key, shown in (("path", whole, row.cell), ("id", name, name)):
            other = seen.setdefault((what, key), row)
            a, b = (_AND.join(each.recording.genres) for each in (other, row))
            if a != b:
                raise DataError(
                    f"The table '{path}' contradicts itself: the {what} '{shown}' has the genre "
                    f"'{a}' in line {other.line} and '{b}' in line {row.line}."
                )
            if other is not row:
                raise DataError(
                    f"The table '{path}' has the {what} '{shown}' twice, in lines {other.line} and "
                    f"{row.line}: keep one of them."
                )


def _check_there(path: Path, rows: Sequence[_Row]) -> None:
    """Refuse a table none of whose files exists: its paths are relative to another folder."""
    if not any(_is_there(row.path) for row in rows):
        raise DataError(
            f"None of the {len(rows)} files that the table '{path}' names exists: relative paths "
            f"are looked up in '{path.parent.absolute()}'; the first is '{rows[0].cell}' (line "
            f"{rows[0].line})."
        )


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # the worker that opens the file reports the reason
    return True


def _at(path: Path, line: int) -> str:
    return f"The table '{path}', line {line}"
