"""What a study found about one model and its runs: parts of ``results.json``, and ``run.json``.

The conventions are those of :mod:`ostinato.study.results.schema`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ostinato.evaluation.metrics import GenreMetrics, Metrics
from ostinato.evaluation.significance import Interval

#: Settings, as nested tables of plain values.
Table = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class LastEpoch:
    """Accuracies of the last epoch's own weights, which are not those that are kept."""

    train_accuracy: float
    valid_accuracy: float
    gap: float


@dataclass(frozen=True, kw_only=True)
class WeakGenre:
    """A genre's recall on inner folds of the training part, and the weight made of it."""

    recall: float
    weight: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: one model, one seed, one fold."""

    recipe: str
    seed: int
    fold: int
    epochs: int
    seconds: float
    finished: str
    curves: dict[str, list[int | float | None]]
    parts: dict[str, Metrics]
    gap: float
    last_epoch: LastEpoch
    weak_genres: dict[str, WeakGenre] | None = None
    versions: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord(Run):
    """``run.json``: a training, with what is the same for all runs of its model."""

    ostinato: str
    family: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """An interval without its estimate."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SeedInterval(Interval):
    """A mean over seeds with its interval by artist and seed, and the value of every seed."""

    seeds: list[float]


@dataclass(frozen=True, kw_only=True)
class Accuracy(SeedInterval):
    """An accuracy; beside it Wilson's interval, which assumes independent tracks."""

    wilson: Bounds


@dataclass(frozen=True, kw_only=True)
class ArtistFreeAccuracy(SeedInterval):
    """Accuracy on the ``n`` test recordings by artists of no other part."""

    n: int


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """A mean over seeds, and the value of every seed."""

    mean: float
    seeds: list[float]


@dataclass(frozen=True, kw_only=True)
class MacroF1(SeedMean):
    """Macro-F1; with an interval on the parts that are judged."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Accuracy of the mean of the seeds' probabilities, with its interval by artist."""

    accuracy: float
    low: float
    high: float

    @property
    def interval(self) -> Interval:
        """The accuracy as an interval."""
        return Interval(self.accuracy, self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class GenreScores(GenreMetrics):
    """Precision, recall and F1 of a genre, mean over seeds; intervals, None with one artist."""

    artists: int
    intervals: dict[str, tuple[float, float] | None]


@dataclass(frozen=True, kw_only=True)
class CalibrationScores:
    """Quality of probabilities, and the range of the ECE of a calibrated model."""

    nll: float
    brier: float
    ece: float
    ece_low: float
    ece_high: float


@dataclass(frozen=True, kw_only=True)
class ReliabilityPoint:
    """A point of the reliability diagram, with Wilson's interval; ``n`` is in recordings."""

    confidence: float
    accuracy: float
    low: float
    high: float
    n: float


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """The risk-coverage curve, and the area under it."""

    aurc: float
    coverage: list[float]
    risk: list[float]


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """One seed's threshold, the share that it answers, and the share right of these."""

    threshold: float
    coverage: float
    precision: float | None


@dataclass(frozen=True, kw_only=True)
class Abstaining:
    """What thresholds chosen for a target precision do; means over the seeds that reach it.

    ``seeds`` has None for a seed that no threshold brings to the target, in some fold.
    """

    target: float
    seeds: list[OperatingPoint | None]
    coverage: float | None
    precision: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Calibration and abstaining of a model on the examined part, mean over seeds."""

    part: str
    fitted_on: str
    temperature: float
    temperatures: list[float]
    before: CalibrationScores
    after: CalibrationScores
    reliability: list[ReliabilityPoint]
    risk_coverage: RiskCoverage
    abstaining: list[Abstaining]


@dataclass(frozen=True, kw_only=True)
class GradientNorm:
    """Gradient norm of one recurrent layer: mean over runs, and their range."""

    first_epoch: Interval
    all_epochs: Interval


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """All figures of one model; those of the test part are None where it was left untouched."""

    label: str
    settings: Table
    parameters: int
    seconds: float
    train_accuracy: Accuracy
    train_macro_f1: MacroF1
    valid_accuracy: Accuracy
    valid_macro_f1: MacroF1
    test_accuracy: Accuracy | None = None
    test_macro_f1: MacroF1 | None = None
    test_accuracy_artist_free: ArtistFreeAccuracy | None = None
    gap: SeedInterval
    gap_last_epoch: SeedMean
    ensemble: dict[str, Ensemble]
    per_genre: dict[str, dict[str, GenreScores]]
    confusion: dict[str, list[list[float]]]
    confidence: Confidence | None
    ensemble_confidence: Confidence | None
    gradient_norms: list[GradientNorm] | None = None
    runs: list[Run]

    def accuracy(self, part: str) -> Accuracy:
        """Mean accuracy over seeds on a part that has figures."""
        return cast("Accuracy", getattr(self, f"{part}_accuracy"))

    def macro_f1(self, part: str) -> MacroF1:
        """Macro-F1 on a part that has figures."""
        return cast("MacroF1", getattr(self, f"{part}_macro_f1"))
