"""The metadata of a trained model, kept in its file.

It says which genres the outputs are, which frames the model takes, and how long its windows are.
Whoever loads weights reads this first, and refuses frames of another spec.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.storage import write_text

SCHEMA = 1
TAKES_FRAMES, TAKES_WAVEFORM = "frames", "waveform"

# Older files lack the other fields, which then have their defaults.
_NEEDED = {"family", "settings", "genres", "spec", "window_frames", "window_hop"}
_TUPLES = ("genres", "thresholds")

SHORTEST_SHARE = 1 / 3
"""Share of a window that a sound must fill to be judged.

Measured with three shipped models on 68 stretches of 17 recordings: where a third of a window is
filled, at most a tenth of the music is taken for unlike music, and seven to nine in ten of the sure
verdicts are those on 30 s. On 2 s, a third to three fifths are, and five to seven in ten.
"""

# Largest feature settings that a file may ask for, far above any use.
_MOST = {
    "sample_rate_hz": 384_000, "n_fft": 1 << 16, "hop_samples": 1 << 20, "n_mels": 1 << 12,
    "n_coefficients": 1 << 12, "excerpt_seconds": 600, "top_db": 1000, "width": 1 << 16,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The metadata of a trained model.

    Above ``novelty_threshold``, a distance from what it learned from, or below ``threshold``, a
    probability, the model abstains. It abstains as well where ``other`` is the likeliest genre.
    ``accuracy`` is empty, or has ``mean``, ``low`` and ``high`` (95 %) in [0, 1], ``n`` recordings,
    and ``protocol``: how it was measured, in words.

    A model with ``thresholds`` is multi-label: each genre has a probability of its own, by a
    sigmoid, and all at or above their thresholds are named. It has no ``temperature`` but 1, and no
    ``threshold``.

    Raises
    ------
    DataError
        If a value has the wrong type or is out of its range.
    """

    family: str  # e.g. "residual-lstm"
    settings: dict[str, Any]  # the family's
    genres: tuple[str, ...]  # the outputs, in order; at least one, each once
    spec: FeatureSpec  # the frames that the model takes
    window_frames: int  # length of a window, in frames
    window_hop: int  # from one window to the next, in frames
    temperature: float = 1.0  # divides the logarithms of a track's probabilities; positive
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split, seed: plain values
    name: str = ""
    version: str = ""
    licence: str = ""
    threshold: float | None = None  # of the probability after the temperature
    precision: float | None = None  # the share of right verdicts that gave the threshold
    novelty_threshold: float | None = None
    accuracy: dict[str, Any] = field(default_factory=dict)
    takes: str = TAKES_FRAMES  # or TAKES_WAVEFORM: excerpts of sound
    other: str = ""  # the genre of what is none of the others, if the model learned one
    thresholds: tuple[float, ...] = ()  # of each genre, in a multi-label model

    def __post_init__(self) -> None:
        # Values from a file come in unchecked: none is known to have its declared type.
        genres, novelty, accuracy = self.genres, self.novelty_threshold, self.accuracy
        named = isinstance(genres, tuple) and all(isinstance(genre, str) for genre in genres)
        temperate = _is_number(self.temperature) and self.temperature > 0
        one_label = _is_share(self.threshold) or self.threshold is None
        each = isinstance(self.thresholds, tuple) and all(map(_is_share, self.thresholds))
        if self.thresholds:
            temperate, one_label = self.temperature == 1, self.threshold is None
            each = each and named and len(self.thresholds) == len(genres)
        other = self.other == "" or (named and len(genres) > 1 and self.other in genres)
        measured = isinstance(accuracy, dict) and (not accuracy or _is_accuracy(accuracy))
        novel = novelty is None or (_is_number(novelty) and novelty > 0)
        whole, share = "a whole number of at least 1", "a number from 0 to 1, or nothing"
        for name, is_right, expected in (
            ("family", isinstance(self.family, str), "a name"),
            ("settings", isinstance(self.settings, dict), "a table"),
            ("genres", named and 0 < len(genres) == len(set(genres)), "names, each once"),
            ("spec", isinstance(self.spec, FeatureSpec), "a table of feature settings"),
            ("window_frames", _is_count(self.window_frames), whole),
            ("window_hop", _is_count(self.window_hop), whole),
            ("temperature", temperate, "a positive number (1 with thresholds)"),
            ("provenance", isinstance(self.provenance, dict), "a table"),
            ("name", isinstance(self.name, str), "a name"),
            ("version", isinstance(self.version, str), "a version, as text"),
            ("licence", isinstance(self.licence, str), "a licence, as text"),
            ("threshold", one_label, f"{share} (nothing with thresholds)"),
            ("precision", self.precision is None or _is_share(self.precision), share),
            ("novelty_threshold", novel, "a positive number, or nothing"),
            ("accuracy", measured, "nothing, or mean, low and high in [0, 1], n and protocol"),
            ("takes", self.takes in (TAKES_FRAMES, TAKES_WAVEFORM), "frames or waveform"),
            ("other", other, "one of several genres, or nothing"),
            ("thresholds", each, "a number from 0 to 1 for each genre, or none"),
        ):
            if not is_right:
                got = getattr(self, name)
                raise DataError(f"Model metadata '{name}': expected {expected}, got {got!r}.")

    @property
    def multi_label(self) -> bool:
        """Whether a sound may have several genres."""
        return bool(self.thresholds)

    @property
    def window_s(self) -> float:
        """Seconds of sound that fill a window, at most an excerpt."""
        spec = self.spec
        last_frame = 0 if spec.center else spec.n_fft
        n_samples = (self.window_frames - 1) * spec.hop_samples + last_frame
        return min(n_samples / spec.sample_rate_hz, spec.excerpt_seconds)

    @property
    def shortest_s(self) -> float:
        """Seconds of sound below which there is no verdict."""
        return SHORTEST_SHARE * self.window_s

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the schema's number."""
        lists = {name: list(getattr(self, name)) for name in _TUPLES}
        return {"schema": SCHEMA, **asdict(self), **lists, "spec": self.spec.to_dict()}

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> ModelInfo:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, is not JSON, holds another schema or a wrong value.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"Cannot read the model's metadata {path}: {error.strerror or error}."
            ) from error
        return cls.from_json(text, source=str(path))

    def to_json(self) -> str:
        """The JSON of :meth:`save`, in one line."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> ModelInfo:
        """Read JSON that :meth:`to_json` or :meth:`save` made; errors name ``source``, its file."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{source}: expected model metadata, got a file that is not JSON ({error})."
            ) from error
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        if schema != SCHEMA or isinstance(schema, bool):
            raise DataError(
                f"{source}: expected model metadata of schema {SCHEMA}, got {schema}; it was "
                "written by another version of Ostinato, or is not a model's."
            )
        names = {f.name for f in fields(cls)}
        missing = sorted(_NEEDED - values.keys())
        wrong = missing + sorted(values.keys() - names)
        if wrong:
            fault = "lacks" if missing else "holds the unknown field"
            raise DataError(f"{source}: the metadata of this model {fault} '{wrong[0]}'.")
        try:
            for name in _TUPLES:
                if isinstance(values.get(name), list):  # a single name would become its letters
                    values[name] = tuple(values[name])
            if isinstance(values["spec"], dict):
                values["spec"] = strangers_spec(values["spec"])
            return cls(**values)
        except (DataError, UsageError) as error:  # the file is damaged, the call is right
            raise DataError(f"{source}: {error}") from error


def strangers_spec(values: dict[str, Any]) -> FeatureSpec:
    """Read feature settings from a stranger's file: none may ask for more memory than there is."""
    limits = _MOST | {"n_fft": 1 << 24} if values.get("kind") == "external" else _MOST
    for name, most in limits.items():
        value = values.get(name)
        if isinstance(value, int | float) and value > most:
            raise DataError(f"Feature setting '{name}': expected at most {most}, got {value!r}.")
    return FeatureSpec.from_dict(values)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # a whole number may be too large for isfinite


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_accuracy(values: dict[str, Any]) -> bool:
    if values.keys() != {"mean", "low", "high", "n", "protocol"}:
        return False
    shares = all(_is_share(values[name]) for name in ("mean", "low", "high"))
    return shares and _is_count(values["n"]) and isinstance(values["protocol"], str)
