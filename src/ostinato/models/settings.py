"""Settings are parsed and checked once, from plain values into a frozen dataclass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.errors import UsageError
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
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = prefix + ".".join(str(part) for part in first["loc"])
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise UsageError(f"There is no setting '{name}'.") from None
        raise UsageError(f"{name}: {first['msg'].lower()}; got {first['input']!r}.") from None
