"""The metadata that travels with every trained model.

A model without it is a heap of numbers: which genres its outputs are, which frames it was taught
on, how long its windows are. Whoever loads weights reads this first, and refuses frames of another
spec.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.files import write_text

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a trained model is.

    Attributes
    ----------
    family : str
        Name of the model family, e.g. ``"residual-lstm"``.
    settings : dict
        Settings of the family.
    genres : tuple of str
        Outputs, in order; at least one, each once.
    spec : FeatureSpec
        Frames that it takes.
    window_frames, window_hop : int
        How a track is cut, in frames; at least 1.
    temperature : float
        Divides the logits before the softmax; positive.
    provenance : dict
        Data, split, seed, version: plain values.

    Raises
    ------
    DataError
        If a value has the wrong type or is out of its range.
    """

    family: str
    settings: dict[str, Any]
    genres: tuple[str, ...]
    spec: FeatureSpec
    window_frames: int
    window_hop: int
    temperature: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What a file holds comes in here unchecked: nothing is of its declared type until seen.
        genres, temperature = self.genres, self.temperature
        named = isinstance(genres, tuple) and all(isinstance(genre, str) for genre in genres)
        number = isinstance(temperature, int | float) and 0 < temperature < math.inf
        whole = "a whole number of at least 1"
        for name, is_right, expected in (
            ("family", isinstance(self.family, str), "a name"),
            ("settings", isinstance(self.settings, dict), "a table"),
            ("genres", named and 0 < len(genres) == len(set(genres)), "names, each once"),
            ("spec", isinstance(self.spec, FeatureSpec), "a table of feature settings"),
            ("window_frames", _is_count(self.window_frames), whole),
            ("window_hop", _is_count(self.window_hop), whole),
            ("temperature", number, "a positive number"),
            ("provenance", isinstance(self.provenance, dict), "a table"),
        ):
            if not is_right:
                got = getattr(self, name)
                raise DataError(f"Model metadata '{name}': expected {expected}, got {got!r}.")

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the schema's number."""
        values = asdict(self) | {"genres": list(self.genres), "spec": self.spec.to_dict()}
        return {"schema": SCHEMA, **values}

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> ModelInfo:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, is not JSON, holds another schema or a wrong value.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"Cannot read the model's metadata {path}: {error.strerror or error}."
            ) from error
        except ValueError as error:
            raise DataError(
                f"{path}: expected model metadata, got a file that is not JSON ({error})."
            ) from error
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise DataError(
                f"{path}: expected model metadata of schema {SCHEMA}, got {schema}; it was written "
                "by another version of Ostinato, or is no model's."
            )
        names = {f.name for f in fields(cls)}
        optional = {"temperature", "provenance"}
        wrong = sorted(names - optional - values.keys()) + sorted(values.keys() - names)
        if wrong:
            fault = "lacks" if wrong[0] in names else "holds the unknown field"
            raise DataError(f"{path}: the metadata of this model {fault} '{wrong[0]}'.")
        try:
            if isinstance(values["genres"], list):  # a lone name would become its letters
                values["genres"] = tuple(values["genres"])
            if isinstance(values["spec"], dict):
                values["spec"] = FeatureSpec.from_dict(values["spec"])
            return cls(**values)
        except (DataError, UsageError) as error:  # a damaged file is no wrong call
            raise DataError(f"{path}: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
