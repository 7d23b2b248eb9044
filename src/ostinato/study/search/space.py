"""What a search varies: the table ``[search]`` of a study's TOML, or a default for its models.

::

    models = ["residual-lstm"]

    [search]
    objective = "macro-f1"                                        # or "accuracy"
    training.learning_rate = {low = 5e-4, high = 8e-3, log = true}
    settings.residual-lstm.width = {low = 16, high = 64, step = 16}
    settings.residual-lstm.pooling = ["mean-max", "attention"]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from ostinato.datasets.splits import ARMS, LEAKING
from ostinato.errors import UsageError, near
from ostinato.models import FAMILIES, family
from ostinato.models.baseline import SolvedModel
from ostinato.models.settings import checked
from ostinato.study.config import StudyConfig
from ostinato.study.toml_file import TomlFile

MODELS = "models"
#: Tables and settings that may vary. All others decide what the trials are judged on.
VARIED = (MODELS, "frames", "coefficients", "waveform", "training", "settings")


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where the setting is.

    With ``log`` all ratios are as likely; ``step`` is the distance between two numbers.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UsageError(f"expected low below high, got {self.low:g} and {self.high:g}.")
        if self.log and (self.low <= 0 or self.step is not None):
            raise UsageError("expected a positive low and no step where log = true.")
        if self.step is not None and not self.step > 0:
            raise UsageError(f"expected a positive step, got {self.step:g}.")


Choices = tuple[Any, ...]
Space = dict[str, Range | Choices]
"""By dotted name of the setting."""

DEFAULT_TRAINING: Space = {
    "learning_rate": Range(low=5e-4, high=8e-3, log=True),
    "weight_decay": Range(low=1e-3, high=1e-1, log=True),
    "label_smoothing": Range(low=0.0, high=0.2),
    "noise": Range(low=0.0, high=0.6),
    "mixup": Range(low=0.0, high=0.4),
}
#: Searched by default, for each family that has settings of these names.
DEFAULT_SETTINGS: Space = {
    "width": Range(low=16, high=96, step=16),
    "depth": Range(low=1, high=4),
    "dropout": Range(low=0.0, high=0.6),
    "channel_dropout": Range(low=0.0, high=0.5),
    "texture_frames": (9, 18, 36),
    "regularisation": Range(low=1e-4, high=1.0, log=True),
    "shrinkage": Range(low=0.05, high=1.0),
}


@dataclass(frozen=True, kw_only=True)
class Trials:
    """How trials are chosen and judged: what ``[search]`` holds beside the settings that vary."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    objective: Literal["macro-f1", "accuracy"] = "macro-f1"  # of the pooled validation folds
    seeds: int = 1  # trainings per fold; the objective is their mean
    # Trials chosen together, from all those before: as many can run side by side. The figures
    # depend on it, so that they do not depend on how many do.
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("seeds", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected 1 or more, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study whose settings are searched for."""

    base: StudyConfig  # with all models that trials choose from
    space: Space
    trials: Trials

    def config(self, values: Mapping[str, Any]) -> StudyConfig:
        """The study of one trial, from its values by dotted name.

        UsageError, named below ``search``, if a value is none of its setting's.
        """
        chosen = values.get(MODELS, self.base.models[0])
        whole = self.base.to_dict() | {MODELS: [chosen]}
        whole["settings"] = {chosen: dict(whole["settings"][chosen])}
        whole["seeds"] = self.trials.seeds
        for name, value in values.items():
            *tables, last = name.split(".")
            if (tables[:1] == ["settings"] and tables[1] != chosen) or name == MODELS:
                continue
            table = whole
            for key in tables:
                table[key] = dict(table[key])
                table = table[key]
            table[last] = value
        return checked(StudyConfig, whole, "search.")

    @property
    def own(self) -> dict[str, Any]:
        """The values that the study has itself, by dotted name."""
        whole = self.base.to_dict()
        values = {name: _at(whole, name) for name in self.space}
        return values | ({MODELS: self.base.models[0]} if MODELS in self.space else {})

    def facts(self) -> dict[str, str]:
        """All that decides the trials beside the data and the split, for a store to be held to."""
        config = self.base.to_dict()
        for name in ("title", "claim", "seeds", "chosen_from"):
            config.pop(name, None)
        space = {n: asdict(v) if isinstance(v, Range) else v for n, v in self.space.items()}
        parts = {"settings": config, "space": space, "way of choosing": asdict(self.trials)}
        return {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}


def load_search(path: Path) -> Search:
    """Read a study's TOML with its table ``[search]``; without one, the default space.

    Without a split it is ``artist-folds``, and the test part is not used.

    Raises
    ------
    UsageError
        If the file is none of a study, uses the test part or leaks, or the table has a setting
        with a wrong name, or a range or choice that the setting cannot have.
    """
    file = TomlFile(path)
    with file.named_in_errors():
        return _search(dict(file.values))


def _search(values: dict[str, Any]) -> Search:
    table = values.pop("search", {})
    if not isinstance(table, dict):
        raise UsageError(f"search: expected a table [search], got {table!r}.")
    if "variants" in values:
        raise UsageError("variants: expected a study without variants for a search.")
    if values.get("test") is True:
        raise UsageError(
            "test: expected test = false, since a search must not use the test part; got true."
        )
    base = checked(StudyConfig, {"split": "artist-folds"} | values | {"test": False})
    if base.split in (*LEAKING, *ARMS):
        raise UsageError(f"split: expected one that does not leak for a search, got {base.split}.")
    names = {field.name for field in fields(Trials)}
    trials = checked(Trials, {k: v for k, v in table.items() if k in names}, "search.")
    given = dict(_flat({k: v for k, v in table.items() if k not in names}))
    if MODELS in given:
        base = checked(StudyConfig, base.to_dict() | {MODELS: given[MODELS]}, "search.")
    space: Space = {MODELS: base.models} if len(base.models) > 1 else {}
    if set(given) <= {MODELS}:
        found = Search(base=base, space=space | default_space(base), trials=trials)
    else:
        own = base.to_dict()
        space |= {name: _varied(name, v, own) for name, v in given.items() if name != MODELS}
        found = Search(base=base, space=space, trials=trials)
    for name, varied in found.space.items():  # each end and choice must be a value of its setting
        at = {MODELS: name.split(".")[1]} if name.startswith("settings.") else {}
        ends = varied if isinstance(varied, tuple) else ends_of(varied, found.own[name])
        for value in ends:
            found.config({**at, name: value})
    return found


def default_space(base: StudyConfig) -> Space:
    """Settings of the training and of the models that are worth trying, where no table names any.

    A model that is solved for has no training; texture windows are left alone on an ear's frames.
    """
    space: Space = {}
    if not all(_is_solved(name) for name in base.models):
        space |= {f"training.{name}": varied for name, varied in DEFAULT_TRAINING.items()}
    for model in base.models:
        own = {field.name for field in fields(family(model).settings)}
        if getattr(base.model_settings(model), "texture_frames", 0) == 1:
            own -= {"texture_frames"}
        space |= {f"settings.{model}.{n}": v for n, v in DEFAULT_SETTINGS.items() if n in own}
    return space


def _is_solved(name: str) -> bool:
    made = family(name).make
    return isinstance(made, type) and issubclass(made, SolvedModel)


def ends_of(varied: Range, own: Any) -> tuple[float, float]:
    """Both ends of a range, whole where the setting's own value is."""
    if isinstance(own, int):
        return int(varied.low), int(varied.high)
    return float(varied.low), float(varied.high)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names, with a range or choices each."""
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and not {"low", "high"} & set(value):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, dict | list):
            yield name, value
        else:
            raise UsageError(
                f"search.{name}: expected a range, such as {{low = 1, high = 4}}, or a list of "
                f"choices; got {value!r}."
            )


def _varied(name: str, value: Any, own: Mapping[str, Any]) -> Range | Choices:
    """A range or choices of a setting, checked against the kind of the setting's own value."""
    first = name.split(".")[0]
    if first in own and first not in VARIED:
        raise UsageError(
            f"search.{name}: expected one of {', '.join(VARIED)}, since the others decide what "
            "the trials are judged on."
        )
    try:
        kept = _at(own, name)
    except KeyError as error:
        parent, _, last = name.rpartition(".")
        if first == "settings" and parent.count(".") == 1 and parent.split(".")[1] in FAMILIES:
            model = parent.split(".")[1]
            if model not in own[MODELS]:
                raise UsageError(
                    f"search.{name}: expected a setting of {', '.join(own[MODELS])}, which are the "
                    f"study's models; got one of {model}."
                ) from error
        known = _at(own, parent) if parent and _is_table(own, parent) else own
        raise UsageError(f"There is no setting 'search.{name}'{near(last, known)}") from error
    if isinstance(value, list):
        if len(value) < 2 or len({json.dumps(v) for v in value}) < len(value):
            raise UsageError(f"search.{name}: expected two or more different choices.")
        return tuple(value)
    if isinstance(kept, bool) or not isinstance(kept, int | float):
        raise UsageError(f"search.{name}: expected a list of choices, for it is no number.")
    varied = checked(Range, value, f"search.{name}.")
    numbers = (varied.low, varied.high, varied.step or 0)
    if isinstance(kept, int) and any(n != int(n) for n in numbers):
        raise UsageError(f"search.{name}: expected whole numbers, as the setting is.")
    return replace(varied, low=float(varied.low), high=float(varied.high))


def _at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name; KeyError where there is none."""
    found: Any = values
    for key in name.split("."):
        if not isinstance(found, Mapping):
            raise KeyError(name)
        found = found[key]
    return found


def _is_table(values: Mapping[str, Any], name: str) -> bool:
    try:
        return isinstance(_at(values, name), Mapping)
    except KeyError:
        return False
