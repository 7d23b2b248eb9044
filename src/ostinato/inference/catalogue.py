"""What is said of the models that there are: shipped, fetched, the user's own, and the default.

All of it is read from the models' files.
"""

from __future__ import annotations

from typing import Any

from ostinato.errors import OstinatoError
from ostinato.inference.classifier import Classifier
from ostinato.inference.default_model import chosen, in_use
from ostinato.inference.model_file import SUFFIX, open_graph
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.registry import (
    FETCHED,
    HEAD,
    WEIGHTS,
    fetched_path,
    model_path,
    own,
    shipped,
)
from ostinato.inference.session import DeviceError
from ostinato.storage import is_file


def catalogue() -> list[dict[str, Any]]:
    """Describe the models: shipped, of FETCHED, the user's own, and the default if it is a file.

    The values are plain, and None where a file does not say. A model that cannot be used has its
    ``problem``, a sentence; one that was not fetched is described by its head, which ships.

    Raises
    ------
    DataError
        If the user's settings file is damaged.
    UsageError
        If the name of the default is not known, or the device cannot be used.
    """
    default = chosen()
    kinds = {"shipped": shipped(), "fetched": FETCHED, "own": own()}
    known = [(name, kind) for kind, names in kinds.items() for name in names]
    if default.by and default.model not in dict(known):
        with in_use(None) as model:
            model_path(model)
        known.append((default.model, "file"))
    return [_described(name, kind) | {"default": name == default.model} for name, kind in known]


def accuracy(name: str) -> dict[str, Any]:
    """The measured accuracy of a file that ships, as :class:`ModelInfo` has it."""
    return open_graph(WEIGHTS / f"{name}{SUFFIX}").info.accuracy


def _described(name: str, kind: str) -> dict[str, Any]:
    file = fetched_path(name) if kind == "fetched" else model_path(name)
    info, problem = None, None
    try:
        if kind == "fetched":  # by its head, which ships
            info = open_graph(WEIGHTS / f"{name}{HEAD}{SUFFIX}").info
        if kind == "fetched" and not is_file(file):
            problem = f"not fetched: ostinato fetch {name} ({FETCHED[name]} MB)"
        else:
            loaded = Classifier.load(name).info
            info = info or loaded
    except DeviceError:
        raise
    except OstinatoError as error:
        problem = str(error)
    return {
        "name": name,
        "kind": kind,
        "problem": problem,
        "bytes": file.stat().st_size if is_file(file) else None,
        **said_of(info),
    }


def said_of(info: ModelInfo | None) -> dict[str, Any]:
    """What a model's file says of it, as plain values; None where it says nothing."""
    provenance = {} if info is None else info.provenance
    return {
        "version": info and (info.version or None),
        "family": info and info.family,
        "parameters": provenance.get("parameters"),
        "accuracy": info and (info.accuracy or None),
        "temperature": info and info.temperature,
        "threshold": info and info.threshold,
        "thresholds": info and list(info.thresholds),
        "precision": info and info.precision,
        "genres": info and list(info.genres),
        "other": info and (info.other or None),
        "trained_on": {
            "data": provenance.get("data"),
            "split": provenance.get("split"),
            "recordings": provenance.get("train"),
        },
        "licence": info and (info.licence or None),
    }
