"""Ostinato: recurrent networks name the genre of music, and nobody can fool themselves about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato.errors import DataError, MissingExtraError, OstinatoError, UsageError

if TYPE_CHECKING:
    from ostinato.inference.classifier import Classifier, Verdict, classify

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "DataError",
    "MissingExtraError",
    "OstinatoError",
    "UsageError",
    "Verdict",
    "__version__",
    "classify",
]

_OF_INFERENCE = ("Classifier", "Verdict", "classify")


def __getattr__(name: str) -> object:
    """What listens is imported when it is asked for: the package itself takes no time."""
    if name not in _OF_INFERENCE:
        raise AttributeError(f"module 'ostinato' has no attribute '{name}'")
    from ostinato.inference import classifier as inference

    return getattr(inference, name)
