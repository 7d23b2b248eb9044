"""The body of a request as it is written: one file, or the files of a form."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ostinato.server.folder import Folder, Upload, Writing
from ostinato.server.problems import Problem
from ostinato.storage import printable

FORM_BYTES = 64 << 10
"""All that a form holds beside its files, at most; and as much again for each file."""

_MOST_FIELDS = 16  # parts of a form that are no files
_NAME_LETTERS = 200
_NAMELESS = "upload"
_EXTENDED = re.compile(r"filename\*\s*=\s*\"?([\w-]*)'[^']*'([^;\"]*)", re.IGNORECASE)

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it writes what clients send


class OneFile:
    """A body that is a file."""

    def __init__(self, folder: Folder, disposition: str) -> None:
        self.complete: list[Upload] = []
        self._writing = Writing(folder, named(disposition))

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        self._writing.add(chunk)

    def finish(self) -> None:
        """Take the end."""
        if self._writing.n_bytes == 0:
            raise _no_file()
        self.complete.append(self._writing.end())

    def drop(self) -> None:
        """Delete what is not complete, or was not taken."""
        self._writing.drop()
        for upload in self.complete:
            upload.delete()


class Form:
    """A body of ``multipart/form-data``. What is no file is passed over.

    Raises
    ------
    Problem
        Here and in what follows: if it is malformed, or there is too much of something.
    """

    def __init__(self, folder: Folder, boundary: bytes, *, most_files: int) -> None:
        self.complete: list[Upload] = []
        self._folder, self._most_files = folder, most_files
        self._writing: Writing | None = None
        self._field, self._value, self._disposition = bytearray(), bytearray(), ""
        self._n_files = self._n_fields = self._n_beside = 0
        self._is_whole = False
        with _well_formed():
            if not boundary:
                raise FormParserError("there is no boundary")
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        with _well_formed():
            self._parser.write(chunk)

    def finish(self) -> None:
        """Take the end."""
        if not self._is_whole:
            raise Problem(
                400, "malformed", "Expected a whole form, got one that ends before its last part."
            )
        if self._n_files == 0:
            raise _no_file()

    def drop(self) -> None:
        """Delete what is not complete, or was not taken."""
        if self._writing is not None:
            self._writing.drop()
        for upload in self.complete:
            upload.delete()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._count_beside(len(self._field) + len(self._value))
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        disposition, self._disposition = self._disposition, ""
        if "filename" not in disposition.lower() or 'filename=""' in disposition:
            self._n_fields += 1
            if self._n_fields > _MOST_FIELDS:
                raise Problem(
                    400,
                    "malformed",
                    f"Expected at most {_MOST_FIELDS} parts without a file, got more.",
                )
            return
        if self._n_files == self._most_files:
            expected = f"at most {self._most_files} files" if self._most_files > 1 else "one file"
            raise Problem(413, "too-many-files", f"Expected {expected}, got more.")
        self._n_files += 1
        self._writing = Writing(self._folder, named(disposition))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._writing is None:
            self._count_beside(end - start)
        else:
            self._writing.add(data[start:end])

    def _on_part_end(self) -> None:
        if self._writing is not None:
            self.complete.append(self._writing.end())
            self._writing = None

    def _on_end(self) -> None:
        self._is_whole = True

    def _count_beside(self, n_bytes: int) -> None:
        self._n_beside += n_bytes
        if self._n_beside > FORM_BYTES * (1 + self._n_files):
            raise Problem(
                413,
                "too-large",
                f"Expected at most {FORM_BYTES >> 10} KiB in a form beside its files, got more.",
            )


def named(disposition: str) -> str:
    """What a Content-Disposition calls its file, as a line of text, which is never a path."""
    name = ""
    if extended := _EXTENDED.search(disposition):
        with contextlib.suppress(LookupError):  # no such encoding
            name = unquote(extended[2], encoding=extended[1] or "utf-8", errors="replace")
    if not name:
        _, options = parse_options_header(disposition)
        name = options.get(b"filename", b"").decode("utf-8", "replace")
    name = printable(name.strip())
    return (name if len(name) <= _NAME_LETTERS else f"{name[:_NAME_LETTERS]}...") or _NAMELESS


def _no_file() -> Problem:
    return Problem(
        422,
        "no-file",
        "Expected a sound file in the body, got none: send it as the body, or as a part of "
        "multipart/form-data that has a file name.",
    )


@contextlib.contextmanager
def _well_formed() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        said = printable(str(error))[:200]
        raise Problem(
            400, "malformed", f"Expected multipart/form-data, got something else: {said}."
        ) from error
