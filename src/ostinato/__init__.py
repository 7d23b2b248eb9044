"""Ostinato: recurrent networks name the genre of music, and nobody can fool themselves about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ostinato.errors import DataError, MissingExtraError, OstinatoError, UsageError

if TYPE_CHECKING:
    from ostinato.inference.classifier import Classifier, Verdict, classify

    __version__: str

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

# ONNX Runtime of Linux reports home unless this is set before it is first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_LAZY = ("Classifier", "Verdict", "classify")


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: ``import ostinato`` itself takes no time."""
    if name == "__version__":
        return _installed_version()
    if name not in _LAZY:
        raise AttributeError(f"module 'ostinato' has no attribute '{name}'")
    from ostinato.inference import classifier

    return getattr(classifier, name)


def _installed_version() -> str:
    """The version that was installed: of a tag, or of the commits after it."""
    from importlib import metadata

    try:
        return metadata.version("ostinato")
    except metadata.PackageNotFoundError:  # run from a folder of sources
        return "0+unknown"
