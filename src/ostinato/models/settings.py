"""Settings are parsed and checked once, from plain values into a frozen dataclass."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ostinato.errors import UsageError, near
from ostinato.models.layers.pooling import PoolKind, check_pooling

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Settings of every network.

    Attributes
    ----------
    dropout : float
        Before the head, and after the recurrent layers of an LSTM, in [0, 1).
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    dropout: float = 0.3
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        for name in ("dropout", "channel_dropout"):
            value = getattr(self, name, 0.0)
            if not 0 <= value < 1:
                raise UsageError(f"Expected a {name} in [0, 1), got {value}.")
        check_pooling(self.pooling)


def checked(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build a settings dataclass from plain values as JSON or TOML holds them, strictly.

    Raises
    ------
    UsageError
        Naming the first wrong setting, after ``prefix``: what was expected, what was got.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except UsageError as error:  # a value out of its range
        is_named = re.match(r"[\w.-]+: ", str(error)) or not prefix
        raise UsageError(f"{prefix if is_named else f'{prefix[:-1]}: '}{error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        *tables, last = (str(part) for part in first["loc"])
        name, got = prefix + ".".join((*tables, last)), first["input"]
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = near(last, _settings_of(kind, tables))
            raise UsageError(f"There is no setting '{name}'{known}") from None
        if first["type"] in ("list_type", "tuple_type") and not isinstance(got, list | dict):
            example = f"{last} = [{json.dumps(got)}]"
            raise UsageError(f"{name}: expected a list, such as {example}; got {got!r}.") from None
        if first["type"] == "literal_error":
            known = near(str(got), re.findall(r"'([^']+)'", first["ctx"]["expected"]))
            wrong = f"{name}: expected {first['ctx']['expected']}; got {got!r}{known}"
            raise UsageError(wrong) from None
        expected = first["msg"].lower().replace("input should be", "expected")
        raise UsageError(f"{name}: {expected}; got {got!r}.") from None


def _settings_of(kind: Any, tables: Sequence[str]) -> list[str]:
    """Names of the settings of a dataclass, or of one that is within it."""
    for name in tables:
        hint = get_type_hints(kind).get(name) if is_dataclass(kind) else None
        kind = next((k for k in (hint, *get_args(hint)) if is_dataclass(k)), None)
    return [f.name for f in fields(kind)] if is_dataclass(kind) else []
