"""Which models a server offers, by the names that its clients use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ostinato.errors import UsageError
from ostinato.inference.default_model import in_use
from ostinato.inference.registry import FETCHED, fetched_path, model_path, own, shipped
from ostinato.storage import is_file


@dataclass(frozen=True)
class Served:
    """A model that is offered.

    Attributes
    ----------
    name : str
        What clients call it; never a path.
    source : str
        What :meth:`~ostinato.inference.classifier.Classifier.load` takes.
    must_load : bool
        Whether the server does not start without it.
    """

    name: str
    source: str
    must_load: bool = True


def served(asked: Sequence[str] | None) -> tuple[Served, ...]:
    """The models that are asked for; or the default one, those that ship, are fetched, and own.

    The first is the one that is used where a client names none.

    Raises
    ------
    UsageError
        If a model is not known, or two would have one name.
    DataError
        If the user's settings file is damaged.
    """
    if asked is None:
        with in_use(None) as default:
            first = _one(str(default))
        there = [name for name in FETCHED if is_file(fetched_path(name))]
        others = (Served(name, name, must_load=False) for name in (*shipped(), *there, *own()))
        return first, *(each for each in others if each.name != first.name)
    models = tuple(map(_one, asked))
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Expected models of different names (--model), got '{name}' twice.")
    return models


def _one(asked: str) -> Served:
    path = model_path(asked)
    is_name = asked in (*shipped(), *FETCHED, *own())
    return Served(asked if is_name else Path(path).stem, asked)
