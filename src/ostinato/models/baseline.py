"""Baseline: logistic regression on statistics of a window, solved for in seconds by scikit-learn.

The statistics are timbre, its variation and its movement
(:mod:`ostinato.models.layers.window_statistics`), as genre classifiers used them before networks. A
network that does not beat them is not worth its training. They are computed in PyTorch, so that the
model is saved, judged and exported as the others are.

Axes: B batch, T frames, F features, D statistics, G genres.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.genre_model import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.window_statistics import WindowStatistics

_MOST_STEPS = 2000


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """Settings of the baseline.

    Attributes
    ----------
    bands : int
        Bands of the modulation spectrum; divides the mel bands of the frames.
    modulation_bands : int
        Ranges of modulation frequency, at equal ratios.
    regularisation : float
        C of scikit-learn's ``LogisticRegression``: a smaller C keeps coefficients smaller.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    bands: int = 16
    modulation_bands: int = 12
    regularisation: float = 0.01

    def __post_init__(self) -> None:
        if self.bands < 1 or self.modulation_bands < 1 or not self.regularisation > 0:
            raise UsageError(
                "Expected at least one band and one modulation band, and a positive "
                f"regularisation; got bands {self.bands}, modulation_bands "
                f"{self.modulation_bands}, regularisation {self.regularisation}."
            )


class SolvedModel(GenreModel, ABC):
    """A model with a linear head on statistics (B, D), which is solved for, not trained.

    ``scale`` standardises the statistics; it is fitted on those of the training windows.
    """

    def __init__(self, *, n_features: int, n_statistics: int, n_genres: int) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(n_features)
        self.scale = FrameNormalisation(n_statistics)
        self.head = nn.Linear(n_statistics, n_genres)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        logits: Tensor = self.head(self.scale(self.statistics(x)))  # (B, G)
        return logits

    @abstractmethod
    def statistics(self, x: Tensor) -> Tensor:
        """Statistics of windows (B, T, F), unscaled [shape=(B, D)]."""

    @abstractmethod
    def solver(self, *, balanced: bool = False, against_rest: bool = False) -> Any:
        """The classifier of scikit-learn, not fitted, whose coefficients become the head's.

        ``balanced``: genres weigh the same, however many windows they have. ``against_rest``: it
        is one of two classes, a genre and the rest, whose windows may be weighed.
        """


class BaselineClassifier(SolvedModel):
    """Frames (B, T, F) -> logits (B, G)."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: BaselineSettings) -> None:
        window = WindowStatistics(spec, settings.bands, settings.modulation_bands)
        super().__init__(
            n_features=spec.n_features,
            n_statistics=window.width,
            n_genres=n_genres,
        )
        self.regularisation = settings.regularisation
        self.window = window

    def statistics(self, x: Tensor) -> Tensor:
        """Compute :class:`WindowStatistics` (B, D)."""
        statistics: Tensor = self.window(self.normalise(x), self.normalise)  # (B, D)
        return statistics

    def solver(self, *, balanced: bool = False, against_rest: bool = False) -> Any:
        """Logistic regression; what does not converge warns."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(
            C=self.regularisation,
            max_iter=_MOST_STEPS,
            class_weight="balanced" if balanced else None,
        )
