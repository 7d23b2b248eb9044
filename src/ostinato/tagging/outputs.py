r"""The rows of a run for other programs: csv, JSON lines, Parquet, and playlists.

Names of files need not be text: in csv, JSON and Parquet, bytes that are not UTF-8 become
``\udcff`` and so on. Rows are a stream: no memory grows with them but 8 bytes a row of playlists.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ostinato.errors import require
from ostinato.storage import WriteError, as_text, cause, csv_line, printable, replacing
from ostinato.tagging.row import Row

COLUMNS = (
    "path", "folder", "artist", "album", "title", "year", "genres", "heard", "probability",
    "action", "new", "why", "seconds", "model", "model_version", "written",
)  # fmt: skip
"""The columns. ``genres`` are those that the file has, ``heard`` those of the verdict."""

ROWS_A_GROUP = 10_000
"""Rows of Parquet that are in memory at a time."""


@contextmanager
def row_writer(format_: str, stream: TextIO) -> Iterator[Callable[[Row], None]]:
    """Give what writes a row, as ``csv`` (a header first), ``json`` or ``parquet``.

    Parquet goes to the stream's bytes (``stream.buffer``).

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed, which writes Parquet.
    """
    if format_ == "parquet":
        with parquet_writer(stream.buffer) as write:
            yield write
        return

    def write_line(line: str) -> None:
        stream.write((printable(line) if stream.isatty() else line) + "\n")
        stream.flush()  # the reader of a pipe need not wait

    if format_ == "csv":
        write_line(csv_line(COLUMNS))
    line_of = row_as_csv if format_ == "csv" else row_as_json
    yield lambda row: write_line(line_of(row))


def row_as_csv(row: Row) -> str:
    """A line of csv, without its end: several genres with ``;`` between them."""
    return csv_line(map(_cell, values_of(row).values()))


def row_as_json(row: Row) -> str:
    """A line of JSON: lists stay lists, and ``ranked`` has every genre with its probability."""
    ranked = row.verdict.ranked if row.verdict else ()
    told = [{"genre": genre, "probability": probability} for genre, probability in ranked]
    return json.dumps(values_of(row) | {"ranked": told})


def values_of(row: Row) -> dict[str, Any]:
    """The row by :data:`COLUMNS`; None where nothing is known."""
    tags, verdict = row.tags, row.verdict
    return {
        "path": as_text(str(row.path)),
        "folder": as_text(str(row.path.parent)),
        "artist": as_text(tags.artist),
        "album": as_text(tags.album),
        "title": as_text(tags.title),
        "year": tags.year,
        "genres": [as_text(genre) for genre in tags.genres],
        "heard": [as_text(genre) for genre in row.genres],
        "probability": verdict.probability if verdict else None,
        "action": row.action,
        "new": [as_text(genre) for genre in row.new],
        "why": as_text(row.why),
        "seconds": row.seconds,
        "model": verdict.model if verdict else None,
        "model_version": verdict.model_version if verdict else None,
        "written": row.written,
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)


@contextmanager
def parquet_writer(stream: BinaryIO) -> Iterator[Callable[[Row], None]]:
    """Give what writes a row into a Parquet file, :data:`ROWS_A_GROUP` at a time.

    The file is whole when the context ends.
    """
    arrow = require("pyarrow", extra="parquet", needed_for="Parquet")
    parquet = require("pyarrow.parquet", extra="parquet", needed_for="Parquet")
    texts = arrow.list_(arrow.string())
    kinds = {
        "year": arrow.int64(), "genres": texts, "heard": texts, "new": texts,
        "probability": arrow.float64(), "seconds": arrow.float64(), "written": arrow.bool_(),
    }  # fmt: skip
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    waiting: list[dict[str, Any]] = []
    with parquet.ParquetWriter(stream, schema) as file:

        def flush() -> None:
            file.write_table(arrow.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(values_of(row))
            if len(waiting) == ROWS_A_GROUP:
                flush()

        yield write
        if waiting:
            flush()


class Playlists:
    """M3U8 playlists, one a genre, of the files that have it in the end.

    The lists are written by :meth:`write`, each whole: one of an earlier run is replaced.

    Parameters
    ----------
    folder : Path
        Where they will be; paths in them are relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._here = folder, folder.resolve()  # ".." leads to where it really lies
        self._names: dict[str, str] = {}  # of a genre, without regard to case: its file's
        self._entries: dict[str, array[int]] = {}  # of a file's name: where its entries begin
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the object
        self._end = 0
        self._n_left_out, self._left_out = 0, ""
        self._last: tuple[Path | None, str] = None, ""  # a folder, and its path from ours

    def add(self, row: Row) -> None:
        """Put a file into the lists of its genres; WriteError if no temporary file can be."""
        if not row.new:
            return
        path = self._relative(row.path)
        if len(path.splitlines()) != 1 or path != path.rstrip() or as_text(path) != path:
            self._n_left_out, self._left_out = self._n_left_out + 1, str(row.path)
            return
        tags = row.tags
        title = " - ".join(filter(None, (tags.artist, tags.title or row.path.stem)))
        seconds = -1 if row.seconds is None else round(row.seconds)
        told = as_text(" ".join(title.split()))
        begins = self._end
        try:
            self._end += self._spool.write(f"#EXTINF:{seconds},{told}\n{path}\n".encode())
        except OSError as error:
            raise WriteError(
                f"Cannot write a temporary file of playlists: {cause(error)}."
            ) from error
        for name in dict.fromkeys(map(self._name, row.new)):
            self._entries.setdefault(name, array("Q")).append(begins)

    def write(self) -> list[str]:
        """Write the lists; gives sentences on what was written, and what was left out.

        Raises
        ------
        WriteError
            If the folder cannot be made, or a list not be written.
        """
        with closing(self._spool) as spool:
            for name, entries in self._entries.items():
                with replacing(self._folder / name) as temporary, temporary.open("wb") as file:
                    file.write(b"#EXTM3U\n")
                    for begins in entries:
                        spool.seek(begins)
                        file.write(spool.readline() + spool.readline())
        n = len(self._entries)
        told = [f"{n:,} playlist{'' if n == 1 else 's'} in {printable(str(self._folder))}"]
        if self._n_left_out:
            others = self._n_left_out - 1
            more = f" and {others:,} more" if others else ""
            told.append(
                f"Left out of playlists, for M3U8 cannot hold the name: "
                f"{printable(self._left_out)}{more}"
            )
        return [f"{sentence}." for sentence in told]

    def _relative(self, path: Path) -> str:
        """The path as the lists have it, with slashes; not taken for a comment or an address."""
        parent, relative = self._last
        if parent != path.parent:
            try:
                relative = Path(os.path.relpath(path.parent, self._here)).as_posix()
            except ValueError:  # on another drive
                return path.absolute().as_posix()
            self._last = path.parent, relative
        text = path.name if relative == "." else f"{relative}/{path.name}"
        return text if re.match(r"[\w.(/]", text) and ":" not in text else f"./{text}"

    def _name(self, genre: str) -> str:
        """The name of a genre's file, which no other genre has."""
        key = genre.casefold()
        if key not in self._names:
            base, number = file_name(genre), 1
            taken = {name.casefold() for name in self._names.values()}
            name = f"{base}.m3u8"
            while name.casefold() in taken:
                number += 1
                name = f"{base} ({number}).m3u8"
            self._names[key] = name
        return self._names[key]


_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 200  # bytes of UTF-8; most file systems allow 255


def file_name(text: str) -> str:
    """A name for a file, without its suffix, that every file system takes: ``Rock/Pop`` as
    ``Rock_Pop``.
    """
    name = _UNSAFE.sub("_", text).encode()[:_LONGEST].decode(errors="ignore").strip(" .")
    return f"_{name}" if _DEVICES.match(name) or not name else name
