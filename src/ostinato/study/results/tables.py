"""Tables of several studies, as frozen dataclasses: a sweep's ``table.json``, and a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.evaluation.significance import Interval
from ostinato.study.results.model_schema import GradientNorm
from ostinato.study.results.schema import PairTest


@dataclass(frozen=True, kw_only=True)
class BaseDifference(Interval):
    """Accuracy of a row minus that of the base, and its sign-flip test by artist."""

    p: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """One model of one variant."""

    variant: str
    at: float | None  # place on the sweep's axis
    model: str
    label: str
    parameters: int
    split: str
    leaks: bool
    part: str
    n: int  # recordings that are judged
    n_train: int  # rows that a fold is trained on; below, their recordings and artists
    train_recordings: int
    train_artists: int
    # Shares of the judged recordings whose artist, or own recording, is in an earlier part.
    shared_artists: float
    shared_recordings: float
    seeds: int
    accuracy: Interval
    train_accuracy: float
    gap: Interval
    seconds: float
    gradient_norms: list[GradientNorm] | None
    recall: dict[str, float]
    difference: BaseDifference | None


@dataclass(frozen=True, kw_only=True)
class SweepTable:
    """``table.json``: every variant and model that is finished, and the variants that are not."""

    schema: int
    title: str
    axis: str | None
    base: str | None
    rows: list[SweepRow]
    waiting: list[str]


@dataclass(frozen=True, kw_only=True)
class ComparedModel(Interval):
    """One model of one study, named ``study/model``: its accuracy with its interval."""

    name: str
    study: str
    model: str
    label: str
    split: str
    parameters: int
    seeds: int
    chosen_from: int | None = None  # trials of a search that its settings are the best of


@dataclass(frozen=True, kw_only=True)
class RecallDifference(Interval):
    """Recall of a genre by two models, and their difference with its interval."""

    a: float
    b: float


@dataclass(frozen=True, kw_only=True)
class ComparedPair(PairTest):
    """Two models of several studies; ``p_holm`` is adjusted over all pairs of all studies."""

    recall: dict[str, RecallDifference]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Models of several studies on the part that all examined, the best first, and all pairs."""

    schema: int
    part: str
    n: int
    models: list[ComparedModel]
    comparisons: list[ComparedPair]
