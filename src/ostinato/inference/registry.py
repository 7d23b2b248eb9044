"""Which models there are: those that ship with the package, and those that were fetched.

A model is asked for by its name here, or by the path of an ONNX file
(:mod:`ostinato.inference.model_file`).
"""

from __future__ import annotations

from pathlib import Path

from ostinato.errors import UsageError, near
from ostinato.inference.model_file import SUFFIX, ModelGraph, open_graph
from ostinato.storage import expanded, is_file, user_data

WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder of the models that ship."""

FETCHED = {"musicnn": 29}
"""Models that others made, and the MB to download: they do not ship, ``ostinato fetch`` gets them.
"""

HEAD = "-head"
"""The name of a file that ships ends so if it is a head: it takes what another network gives."""


def shipped() -> tuple[str, ...]:
    """Names of the models that ship, the default ones first."""
    names = {path.stem for path in WEIGHTS.glob(f"*{SUFFIX}") if not path.stem.endswith(HEAD)}
    return tuple(sorted(names, key=lambda name: (not name.startswith("default"), name)))


def fetched_path(name: str) -> Path:
    """Where the file of a model of :data:`FETCHED` lies once it was fetched."""
    return user_data(f"{name}{SUFFIX}")


def model_path(name_or_path: str | Path) -> Path:
    """The file of a model, given its name in :func:`shipped` or :data:`FETCHED`, or its path."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(SUFFIX) or "/" in name or "\\" in name:
        return expanded(name_or_path)
    if name in shipped():
        return WEIGHTS / f"{name}{SUFFIX}"
    if name not in FETCHED:
        known = (*shipped(), *FETCHED)
        raise UsageError(
            f"Expected a model of {', '.join(known)}, or the path of an {SUFFIX} file; got '{name}'"
            + near(name, known)
        )
    path = fetched_path(name)
    if not is_file(path):
        raise UsageError(
            f"Model '{name}': expected it at {path}, got no file there; it does not ship with the "
            f"package, so run ostinato fetch {name} first."
        )
    return path


def kept_name(name_or_path: str | Path) -> str:
    """What a model is asked for by in any folder: its name, or the absolute path of its file."""
    known = (*shipped(), *FETCHED)
    return name if (name := str(name_or_path)) in known else str(model_path(name).absolute())


def load_graph(name_or_path: str | Path) -> ModelGraph:
    """Load a model by its name or path."""
    return open_graph(model_path(name_or_path))
