"""What goes wrong in ways a user can mend: one sentence each, never a traceback.

Every error that Ostinato raises on purpose is an :class:`OstinatoError`. Its text is one sentence
that says what was expected, what was got, the likely cause and which file. The command line prints
that sentence and leaves with ``exit_status``.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Sequence
from types import ModuleType


class OstinatoError(Exception):
    """Something could not be done (exit status 1).

    Examples
    --------
    >>> import ostinato
    >>> try:
    ...     ostinato.classify("no-such-song.mp3")
    ... except ostinato.OstinatoError as error:
    ...     print(error)
    'no-such-song.mp3' cannot be used as sound: it cannot be opened (No such file or directory).
    """

    exit_status = 1


class UsageError(OstinatoError):
    """The call itself is wrong: an unknown name, a setting that does not exist (exit status 2)."""

    exit_status = 2


class DataError(OstinatoError):
    """A collection, a table or a split cannot be used for what was asked (exit status 1)."""


class MissingExtraError(OstinatoError):
    """An optional part of Ostinato is not installed (exit status 1)."""

    def __init__(self, extra: str, needed_for: str, module: str) -> None:
        super().__init__(
            f"{needed_for} needs the Python package '{module}', which is not installed: "
            f'pip install "ostinato[{extra}]"'
        )
        self.extra = extra
        self.needed_for = needed_for
        self.module = module

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        # Worker processes send their errors home pickled, by default with the message alone.
        return type(self), (self.extra, self.needed_for, self.module)


def require(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """Import a module that an extra installs, or raise MissingExtraError.

    ``needed_for`` is what the user asked for, as the subject of a sentence: ``"Training"``.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name != package:
            raise  # the package is there; something inside it, or below it, is broken
        raise MissingExtraError(extra, needed_for, package) from error


def near(name: str, known: Iterable[str]) -> str:
    """End a sentence about a name that is not known: ``; did you mean 'lstm'?`` or a full stop."""
    alike = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean '{alike[0]}'?" if alike else "."


def joined(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def first_of(names: Sequence[str], most: int) -> str:
    """List names in a sentence: ``most`` of them, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
