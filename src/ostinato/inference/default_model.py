"""The model that is used where none is named: a user's own default, or the one that ships.

The first of these that says something decides: what a call names, the environment variable
``OSTINATO_MODEL``, the user's settings file (``ostinato models --use`` writes it), and else
:data:`SHIPPED`. The settings file is JSON, ``{"model": NAME}``, in the user's folder for settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.inference.session import DeviceError
from ostinato.storage import WriteError, cause, user_settings, write_text

SHIPPED = "default"
"""The model that is used where nobody chose one."""

VARIABLE = "OSTINATO_MODEL"

BACK = f"ostinato models --use {SHIPPED}"
"""What undoes a choice, whatever is in the settings file."""

_FILE, _KEY = "settings.json", "model"


class Chosen(NamedTuple):
    """The user's default model, and who chose it."""

    model: str  # its name, or the path of its file
    by: str  # VARIABLE, the settings file's path, or "" where nobody chose


def chosen() -> Chosen:
    """The user's default model.

    Raises
    ------
    DataError
        If the settings file cannot be read, or holds something else than a model.
    """
    if model := os.environ.get(VARIABLE):
        return Chosen(model, VARIABLE)
    path = user_settings(_FILE)
    if path is None or not os.path.lexists(path):
        return Chosen(SHIPPED, "")
    return Chosen(_read(path), str(path))


@contextmanager
def in_use(model: str | Path | None) -> Iterator[str | Path]:
    """Give the model to use: the one that is named, or the default if none is (None).

    An error within the context says who chose the default, and how to choose another.
    """
    if model is not None:
        yield model
        return
    default = chosen()
    try:
        yield default.model
    except DeviceError:
        raise  # no other model would help
    except OstinatoError as error:
        if not default.by:
            raise
        if default.by == VARIABLE:
            kind = UsageError if isinstance(error, UsageError) else DataError
            raise kind(f"{VARIABLE}: {error}") from error
        told = f"{default.by} chooses the default model: {error} To go back: {BACK}"
        raise DataError(told) from error


def choose(model: str) -> Path | None:
    """Make a model the user's default; gives the settings file, None if there is none any more.

    ``model`` is a name or an absolute path, which is not looked at; :data:`SHIPPED` goes back.

    Raises
    ------
    UsageError
        If there is no home folder.
    WriteError
        If the settings file cannot be written or removed.
    """
    path = user_settings(_FILE)
    if model != SHIPPED:
        if path is None:
            raise UsageError(
                f"Expected a home folder, to keep {_FILE} in, got none; set {VARIABLE}={model}."
            )
        write_text(path, json.dumps({_KEY: model}) + "\n")
        return path
    try:
        if path is not None and os.path.lexists(path):
            path.unlink()
    except OSError as error:
        raise WriteError(f"Cannot remove {path}: {cause(error)}.") from error
    return None


def _read(path: Path) -> str:
    """The model that a settings file names."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise _damaged(path, f"a file that can be read, got '{error.strerror}'") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "JSON, got another text") from error
    if not isinstance(values, dict) or values.keys() != {_KEY}:
        got = ", ".join(map(repr, values)) if isinstance(values, dict) else type(values).__name__
        raise _damaged(path, f"the one key '{_KEY}', got {got or 'none'}")
    model = values[_KEY]
    if not (isinstance(model, str) and model):
        raise _damaged(path, f"the name of a model, or a file's path, got {model!r}")
    return model


def _damaged(path: Path, expected: str) -> DataError:
    return DataError(f"{path}: expected {expected}; to go back to the model that ships: {BACK}")
