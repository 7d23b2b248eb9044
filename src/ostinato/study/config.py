"""Settings of a study: a frozen dataclass, and TOML that is checked into it.

A setting with a wrong name, type or value is refused by name; nothing is ignored.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tomli_w
from pydantic import BeforeValidator

from ostinato.datasets.augment_audio import NO_COPIES, AudioAugmentation
from ostinato.datasets.splits import (
    HOLDOUT_SHARES,
    LEAKING,
    PARTS,
    check_settings,
    refuse_leak,
)
from ostinato.errors import UsageError, near
from ostinato.features import FeatureSpec
from ostinato.inference.ear import open_ear
from ostinato.inference.musicnn import TAGS_SPEC
from ostinato.inference.registry import FETCHED, ear_path, is_ear
from ostinato.models import FAMILIES, family, parse_settings
from ostinato.models.settings import checked
from ostinato.study.results.schema import Claim
from ostinato.study.toml_file import TomlFile
from ostinato.training.settings import TrainingSettings

TAGS = "musicnn-tags"
FRAMES = ("mfcc", "log-mel-from-mfcc", "log-mel", TAGS)
"""Frames that no ear gives."""

AUTO_MODELS = ("auto",)
DEFAULT_MODELS = ("lstm", "residual-lstm", "conv-lstm")
EAR_MODELS = ("baseline", "lstm", "residual-lstm")
"""The default where an ear gives the frames."""


def parse_shares(text: str) -> dict[str, float]:
    """Shares of train, valid and test from percentages with sum 100: ``"80/10/10"``."""
    try:
        percent = [float(number) for number in text.split("/")]
    except ValueError:
        percent = []
    if len(percent) != len(PARTS) or not min(percent) > 0 or not math.isclose(sum(percent), 100):
        raise UsageError(
            f"shares: expected percentages of {', '.join(PARTS)} with sum 100, such as 80/10/10; "
            f"got '{text}'."
        )
    return {part: n / 100 for part, n in zip(PARTS, percent, strict=True)}


def _parsed_shares(given: Any) -> Any:
    return parse_shares(given) if isinstance(given, str) else given


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """All that decides a study's figures."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    title: str = ""  # the report's
    # "gtzan", the frames that ship with the package; a folder of audio; a table of it (.csv, .tsv;
    # see ostinato.datasets.table); or a file of mel frames (.npz).
    data: str = "gtzan"
    # The models' input: "mfcc"; "log-mel", mel bands; "log-mel-from-mfcc", mel bands reconstructed
    # from MFCC; "musicnn-tags", tags of musicnn, from a file of them (.npz) or a folder of such; or
    # the ear that gives them of audio, "musicnn" or another one by its name or its file (.onnx).
    frames: str = "mfcc"
    models: tuple[str, ...] = AUTO_MODELS  # families, in the order of the tables
    split: str = "auto"  # one of ostinato.datasets.splits.SPLITS, or a saved split (.tsv)
    split_seed: int = 0  # of splits that are drawn
    # Pieces that every recording is cut into, each trained on or judged alone; 1 leaves recordings
    # whole. For demonstrations of a leak.
    segments: int = 1
    allow_leak: bool = False  # allow a split that leaks, as a demonstration
    # Shares of train, valid and test in "holdout" and "song-holdout", with sum 1; in TOML also
    # "80/10/10".
    shares: Annotated[dict[str, float], BeforeValidator(_parsed_shares)] = field(
        default_factory=lambda: dict(HOLDOUT_SHARES)
    )
    repeats: int = 1  # how many times folds are drawn, with split seeds from split_seed on
    seeds: int = 3  # trainings per model, with seeds 0, 1, ...
    test: bool = True  # False does not use the test part: for choosing
    coefficients: int = 40  # MFCC per frame, also for "log-mel-from-mfcc"
    training: TrainingSettings = field(default_factory=TrainingSettings)  # for every model
    waveform: AudioAugmentation = NO_COPIES  # copies of the training recordings, if with sound
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # of families, if not default
    claim: Claim | None = None  # about the models; the report puts it to the test
    # How many trials of a search these settings are the best of, on validation folds; 0 is none.
    chosen_from: int = 0

    def __post_init__(self) -> None:
        if self.frames not in FRAMES and not is_ear(self.frames):
            known = (*FRAMES, *FETCHED)
            raise UsageError(
                f"frames: expected one of {', '.join(known)}, or the file of an ear (.onnx); got "
                f"'{self.frames}'" + near(self.frames, known)
            )
        if self.models == AUTO_MODELS:
            chosen = EAR_MODELS if self._are_external else DEFAULT_MODELS
            object.__setattr__(self, "models", chosen)
        if not self.models or len(set(self.models)) != len(self.models):
            raise UsageError(
                f"models: expected one or more of {', '.join(FAMILIES)}, each once; got "
                f"{', '.join(self.models) or 'none'}."
            )
        claimed = (self.claim.model, *self.claim.better_than) if self.claim else ()
        for name in (*self.models, *claimed):
            family(name)
        check_settings(self.split, shares=self.shares, repeats=self.repeats)
        if self.split in LEAKING and not self.allow_leak:
            refuse_leak(self.split)
        for name in ("segments", "seeds", "coefficients"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name}: expected 1 or more, got {value}.")
        if self.chosen_from < 0:
            raise UsageError(f"chosen_from: expected 0 or more, got {self.chosen_from}.")
        for name in (*self.models, *self.settings):
            self.model_settings(name)

    @property
    def ear(self) -> Path | None:
        """The file of the ear that gives the frames; None if none does.

        UsageError if it is not there.
        """
        return None if self.frames in FRAMES else ear_path(self.frames)

    @cached_property
    def spec(self) -> FeatureSpec:
        """The spec of the frames; of an ear, whose file is opened, DataError if it is none."""
        if self.frames == TAGS:
            return TAGS_SPEC
        if (ear := self.ear) is not None:
            return open_ear(ear).spec
        values: dict[str, Any] = {"kind": self.frames}
        if self.frames != "log-mel":
            values["n_coefficients"] = self.coefficients
        return FeatureSpec(**values)

    @property
    def _are_external(self) -> bool:
        return self.frames == TAGS or self.frames not in FRAMES

    def model_settings(self, name: str) -> Any:
        """The settings of a family: its defaults, with what this study changes."""
        if name not in self._parsed:
            values = self.settings.get(name, {})
            self._parsed[name] = parse_settings(
                name, values, prefix=f"settings.{name}.", external=self._are_external
            )
        return self._parsed[name]

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        """Settings by family, each checked once."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with all settings of all models written out."""
        written = {name: asdict(self.model_settings(name)) for name in self.models}
        values = asdict(self) | {"models": list(self.models), "settings": written}
        absent = [name for name in ("claim", "chosen_from") if not values[name]]
        return {k: v for k, v in values.items() if k not in absent}

    def to_toml(self) -> str:
        """As TOML that :func:`load_config` reads back; TOML leaves out what is None."""
        return tomli_w.dumps({k: v for k, v in self.to_dict().items() if v is not None})


def load_config(path: Path) -> StudyConfig:
    """Read a study's settings from TOML; UsageError if the file or a setting in it is wrong.

    The table ``[search]`` is that of :mod:`ostinato.study.search.space`.
    """
    file = TomlFile(path)
    with file.named_in_errors():
        return checked(StudyConfig, {k: v for k, v in file.values.items() if k != "search"})


def overridden(config: StudyConfig, **changes: Any) -> StudyConfig:
    """The same study with some settings changed; those that are None stay as they are."""
    return replace(config, **{k: v for k, v in changes.items() if v is not None})
