"""What a study found, as frozen dataclasses: ``results.json`` of a study, ``run.json`` of a run.

Every key of the two files is a field here, explained in ``docs/reference/results.md``. A field with
a default of None is absent from the file where it is None; any other None is written as null. The
files are read and written in :mod:`ostinato.study.results.files`.

Shares, accuracies, precisions, recalls and F1 are fractions in [0, 1]; losses are in nats; times in
seconds. A part is ``"train"``, ``"valid"`` or ``"test"``. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter

from ostinato.datasets.corpus import Skipped
from ostinato.datasets.splits import PARTS
from ostinato.errors import UsageError
from ostinato.evaluation import paired
from ostinato.evaluation.paired import McNemar
from ostinato.evaluation.significance import Interval
from ostinato.study.results.model_schema import ModelResults, Table

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim that a study puts to the test: one model is better than others."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    model: str
    better_than: tuple[str, ...]
    over_fits_least: bool = False
    hardest_genres: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.better_than or self.model in self.better_than:
            raise UsageError(
                "claim.better_than: expected one or more models other than claim.model, "
                f"'{self.model}'; got {', '.join(self.better_than) or 'none'}."
            )


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The corpus that a study was run on."""

    name: str
    source: str
    genres: list[str]
    n_recordings: int
    spec: Table
    frames: str
    skipped: list[Skipped]
    left_out: dict[str, int]
    notes: list[str]
    artists_known: bool


@dataclass(frozen=True, kw_only=True)
class Census:
    """Rows, recordings and artists of one part of a fold."""

    n: int
    per_genre: dict[str, int]
    artists_per_genre: dict[str, int]
    unknown_artists: int
    recordings: int | None = None  # different ones: fewer than rows, where these are pieces


@dataclass(frozen=True, kw_only=True)
class FoldFacts:
    """One fold: its parts, and how many recordings of each share an artist with an earlier part."""

    parts: dict[str, Census]
    shared_artists: dict[str, int]
    shared_recordings: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """The split of a study, and the accuracy of always saying a part's commonest genre."""

    name: str
    leaks: bool
    repeats: int
    notes: list[str]
    folds: list[FoldFacts]
    majority: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """What the models of a study share, and in what they differ."""

    parameters: dict[str, int]
    same: list[str]
    differ: list[str]


@dataclass(frozen=True, kw_only=True)
class GapComparison:
    """Over-fitting gap of ``a`` minus that of ``b``."""

    a: str
    b: str
    difference: Interval


@dataclass(frozen=True, kw_only=True)
class PairTest(GapComparison):
    """Two models on the same recordings: accuracy of ``a`` minus that of ``b``, and its tests."""

    p: float
    p_holm: float
    mcnemar: McNemar | None

    @classmethod
    def of(cls, found: paired.Comparison, **more: Any) -> Self:
        """A comparison as it is written."""
        return cls(
            a=found.a, b=found.b, difference=found.difference, p=found.sign_flip.p,
            p_holm=found.p_holm, mcnemar=found.mcnemar, **more,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CorrectedT(paired.CorrectedT):
    """The corrected resampled t test over folds that were drawn repeatedly."""

    folds: int
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Comparison(PairTest):
    """Two models of a study on one part."""

    part: str
    corrected_t: CorrectedT | None


@dataclass(frozen=True, kw_only=True)
class MissedRecording:
    """A recording that no model named rightly, and what was said of it most often."""

    id: str
    genre: str
    artist: str | None
    title: str | None
    faults: list[str]
    said: str
    share: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Missed:
    """The recordings of a part that no model named rightly with any seed."""

    part: str
    n: int
    trainings: int
    recordings: list[MissedRecording]


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """How many other recipes were examined on the test part: in all, and before the study's."""

    file: str
    test_part: str
    other_recipes: int
    earlier_recipes: int


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """``results.json``."""

    schema: int
    ostinato: str
    title: str
    config: Table
    data: DataFacts
    split: SplitFacts
    fairness: Fairness
    models: dict[str, ModelResults]
    missed: Missed
    comparisons: list[Comparison]
    gap_comparisons: list[GapComparison]
    ledger: LedgerEntry | None = None
    digests: dict[str, str] | None = None  # of data and split

    @property
    def claim(self) -> Claim | None:
        """The claim in the study's settings, if it has one."""
        found = self.config.get("claim")
        return TypeAdapter(Claim).validate_python(found) if found else None

    @property
    def chosen_from(self) -> int:
        """How many trials of a search the study's settings are the best of; 0 without one."""
        found = self.config.get("chosen_from", 0)
        return found if isinstance(found, int) else 0

    @property
    def examined(self) -> str:
        """``"test"``, or ``"valid"`` where the test part was left untouched or does not exist."""
        return "test" if all(m.test_accuracy for m in self.models.values()) else "valid"

    @property
    def parts(self) -> list[str]:
        """The parts with figures, in the order train, valid, test."""
        return [part for part in PARTS if part != "test" or self.examined == "test"]

    @property
    def n_seeds(self) -> int:
        """How many seeds each model was trained with."""
        return len(next(iter(self.models.values())).train_accuracy.seeds)

    def n_recordings(self, part: str) -> int:
        """How many recordings a part has, pooled over folds."""
        return sum(fold.parts[part].n for fold in self.split.folds)
