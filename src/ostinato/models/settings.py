"""Settings are parsed and checked once, from plain values into a frozen dataclass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.errors import UsageError

T = TypeVar("T")


def checked(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build a settings dataclass from plain values, strictly.

    Parameters
    ----------
    kind : type
        The dataclass.
    values : dict
        As JSON or TOML holds them.
    prefix : str
        Before a setting's name in an error.

    Raises
    ------
    UsageError
        Naming the first wrong setting: what was expected, what was got.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = prefix + ".".join(str(part) for part in first["loc"])
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise UsageError(f"There is no setting '{name}'.") from None
        raise UsageError(f"{name}: {first['msg'].lower()}; got {first['input']!r}.") from None


def check_dropout(settings: object, *names: str) -> None:
    """Refuse a dropout that is not in [0, 1).

    Parameters
    ----------
    settings : dataclass
    names : str
        Its fields that are dropouts.

    Raises
    ------
    UsageError
    """
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise UsageError(f"Expected a {name} in [0, 1), got {getattr(settings, name)}.")
