"""The process that runs a verb: its three streams, and the signals that end it."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, BinaryIO, NoReturn, TextIO, cast

from ostinato.errors import UsageError

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def settled() -> Iterator[None]:
    """Settle the streams, and end on SIGTERM and SIGHUP as on an error, within the context.

    Closed streams lead nowhere. What is written to a file or a pipe is UTF-8, whatever the locale
    says; a terminal keeps its encoding, and what it lacks is shown with backslashes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _open(number, name)
    streams = sys.stdout, sys.stderr
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    sys.stdout = cast("TextIO", _Named(sys.stdout, "standard output"))
    sys.stderr = cast("TextIO", _Named(sys.stderr, "standard error"))
    # A signal that is ignored, as behind nohup, stays ignored.
    handled = [s for s in _ENDING if signal.getsignal(s) == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        sys.stdout, sys.stderr = streams
        for stream in streams:
            try:
                stream.flush()
            except OSError:  # the interpreter would try again as it ends, and complain
                _lead_nowhere(stream.fileno())


def standard_input() -> BinaryIO:
    """Give the bytes of standard input; UsageError if it is closed."""
    if sys.stdin is None:
        raise UsageError("Expected sound on standard input, but it is closed.")
    return sys.stdin.buffer


class _Named:
    """A stream whose errors name it, as those of a file do."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._stream, attribute)

    def write(self, text: str) -> int:
        with self._naming():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._naming():
            self._stream.flush()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self._name
            raise


def _open(number: int, name: str) -> None:
    """Have a descriptor lead nowhere if it is closed; else writing to it waits for its reader."""
    try:
        if os.name == "posix":
            os.set_blocking(number, True)
        else:
            os.fstat(number)
    except OSError:  # closed: the next file to be opened would get this number, and be written to
        _lead_nowhere(number)
    if name != "stdin" and getattr(sys, name) is None:
        setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, number)
    if nowhere != number:
        os.close(nowhere)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
