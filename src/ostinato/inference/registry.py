"""Which models there are: those that ship, those whose ear is fetched, and a user's own.

A model is asked for by its name here, or by the path of an ONNX file
(:mod:`ostinato.inference.model_file`). The ear that a model hears through
(:mod:`ostinato.inference.ear`) is a file of its own, in the user's folder for data or beside the
model.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ostinato.errors import DataError, UsageError, near
from ostinato.features import FeatureSpec
from ostinato.inference.ear import Ear, open_ear
from ostinato.inference.model_file import SUFFIX, ModelGraph, open_graph
from ostinato.storage import expanded, is_file, user_data

WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder of the models that ship."""

FETCHED = {"musicnn": 29}
"""Ears that others made, and the MB to download: they do not ship, ``ostinato fetch`` gets them.
Each is also the name of the model that ships, as a head, to hear through it.
"""

VECTORS_OF = {"musicnn": "musicnn-tags"}
"""What the vectors of a fetched ear are called, which is not the name of its file."""

HEAD = "-head"
"""The name of a file that ships ends so if it is a head: it takes what a fetched ear gives."""


def shipped() -> tuple[str, ...]:
    """Names of the models that ship, the default ones first."""
    names = {path.stem for path in WEIGHTS.glob(f"*{SUFFIX}") if not path.stem.endswith(HEAD)}
    return tuple(sorted(names, key=lambda name: (not name.startswith("default"), name)))


def own_path(name: str) -> Path:
    """Where the file of a user's own model of this name lies: what ``ostinato train`` learned.

    UsageError if a model that ships or can be fetched has the name, or there is no home.
    """
    if name in (*shipped(), *FETCHED) or name.endswith(HEAD):
        raise UsageError(
            f"Expected a name of its own for the model, got '{name}', which ships with the "
            f"package; choose a file with --out NAME{SUFFIX}."
        )
    return user_data("models") / f"{name}{SUFFIX}"


def own() -> tuple[str, ...]:
    """Names of the user's own models."""
    with suppress(UsageError):  # there is no home
        folder = user_data("models")
        return tuple(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))
    return ()


def fetched_path(name: str) -> Path:
    """Where the file of an ear of this name lies: fetched, or put there."""
    return user_data(f"{name}{SUFFIX}")


def model_path(name_or_path: str | Path) -> Path:
    """The file of a model, given its path, or its name: of :func:`shipped`, :data:`FETCHED` or
    :func:`own`.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(SUFFIX) or "/" in name or "\\" in name:
        return expanded(name_or_path)
    if name in shipped():
        return WEIGHTS / f"{name}{SUFFIX}"
    if name in own():
        return own_path(name)
    if name not in FETCHED:
        known = (*shipped(), *FETCHED, *own())
        raise UsageError(
            f"Expected a model of {', '.join(known)}, or the path of an {SUFFIX} file; got '{name}'"
            + near(name, known)
        )
    path = fetched_path(name)
    if not is_file(path):
        raise UsageError(
            f"Model '{name}': expected its ear at {path}, got no file there; it does not ship with "
            f"the package, so run ostinato fetch {name} first."
        )
    return WEIGHTS / f"{name}{HEAD}{SUFFIX}"


def kept_name(name_or_path: str | Path) -> str:
    """What a model is asked for by in any folder: its name, or the absolute path of its file."""
    known = (*shipped(), *FETCHED, *own())
    return name if (name := str(name_or_path)) in known else str(model_path(name).absolute())


def load_graph(name_or_path: str | Path) -> ModelGraph:
    """Load a model by its name or path."""
    graph = open_graph(model_path(name_or_path))
    if name_or_path in FETCHED:
        return replace(graph, info=replace(graph.info, name=str(name_or_path)))
    return graph


def is_ear(name: str) -> bool:
    """Whether this is the name of an ear that can be fetched, or is there, or a file's path."""
    if name.endswith(SUFFIX) or name in FETCHED:
        return True
    with suppress(UsageError):  # there is no home
        return Path(name).name == name and is_file(fetched_path(name))
    return False


def ear_path(name: str) -> Path:
    """The file of an ear, given its name or its path; UsageError if there is no file."""
    if name.endswith(SUFFIX):
        path, instead = expanded(name), "give the path of an ear's file"
    else:
        path = fetched_path(name)
        instead = f"run ostinato fetch {name} first" if name in FETCHED else "put it there"
    if not is_file(path):
        raise UsageError(f"Ear '{name}': expected it at {path}, got no file there; {instead}.")
    return path


def ear_file(spec: FeatureSpec) -> str:
    """What the file of the ear is called that gives frames of this spec."""
    names = {vectors: ear for ear, vectors in VECTORS_OF.items()}
    return names.get(spec.name, spec.name) + SUFFIX


def find_ear(spec: FeatureSpec, *, model: Path) -> Ear:
    """Open the ear that gives a model's frames: beside the model's file, or among the user's data.

    Raises
    ------
    UsageError
        If it is in neither place.
    DataError
        If what is there is no ear, is damaged, or is another ear than the model's.
    """
    file = ear_file(spec)
    name = file.removesuffix(SUFFIX)
    places = [model.parent / file]
    with suppress(UsageError):  # there is no home
        places.append(fetched_path(name))
    wrong: DataError | None = None
    for place in filter(is_file, places):
        try:
            ear = open_ear(place)
        except DataError as error:
            again = f" To get it again: ostinato fetch {name}" if name in FETCHED else ""
            wrong = DataError(f"{error}{again}")
            continue
        if spec == (ear.spec if spec.sha256 else replace(ear.spec, sha256="")):
            return ear
        wrong = DataError(
            f"{model}: expected the ear of {spec.describe()}, which it learned from, got {place} "
            f"of {ear.spec.describe()}: put the right one there, or train the model again."
        )
    if wrong is not None:
        raise wrong
    instead = f"run ostinato fetch {name}" if name in FETCHED else f"put {file} there"
    raise UsageError(
        f"{model}: expected the ear of {spec.describe()} at {' or '.join(map(str, places))}, got "
        f"no file there; {instead}."
    )
