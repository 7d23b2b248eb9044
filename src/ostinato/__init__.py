"""Ostinato: recurrent networks name the genre of music, and nobody can fool themselves about it."""

from __future__ import annotations

from ostinato.errors import DataError, MissingExtraError, OstinatoError, UsageError

__version__ = "0.1.0"

__all__ = ["DataError", "MissingExtraError", "OstinatoError", "UsageError", "__version__"]
