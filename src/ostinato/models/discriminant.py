"""Discriminant: linear discriminant analysis of a window's statistics, for few tracks a genre.

All genres share one covariance, which is shrunk half-way to a diagonal one: a fair guess from ten
tracks each, where logistic regression has a weight of every statistic for every genre to find
(Friedman 1989, "Regularized discriminant analysis"). Genres are taken to be equally frequent, so
that those with many tracks are not preferred.

Axes: B batch, T frames, F features, D statistics, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.baseline import SolvedModel
from ostinato.models.layers.window_statistics import WindowStatistics


@dataclass(frozen=True, kw_only=True)
class DiscriminantSettings:
    """Settings of the discriminant. The vectors of an ear have no bands: it takes their means.

    Attributes
    ----------
    bands, modulation_bands
        Those of :class:`~ostinato.models.baseline.BaselineSettings`.
    shrinkage : float
        Weight of the diagonal covariance, in (0, 1].
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    bands: int = 16
    modulation_bands: int = 12
    shrinkage: float = 0.5

    def __post_init__(self) -> None:
        if self.bands < 1 or self.modulation_bands < 1 or not 0 < self.shrinkage <= 1:
            raise UsageError(
                "Expected at least one band and one modulation band, and a shrinkage above 0 up to "
                f"1; got bands {self.bands}, modulation_bands {self.modulation_bands}, shrinkage "
                f"{self.shrinkage}."
            )


class DiscriminantClassifier(SolvedModel):
    """Frames (B, T, F) -> logits (B, G)."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: DiscriminantSettings) -> None:
        external = spec.kind == "external"
        window = (
            None if external else WindowStatistics(spec, settings.bands, settings.modulation_bands)
        )
        super().__init__(
            n_features=spec.n_features,
            n_statistics=spec.n_features if window is None else window.width,
            n_genres=n_genres,
        )
        self.window = window
        self.shrinkage = settings.shrinkage

    def statistics(self, x: Tensor) -> Tensor:
        """Means of an ear's vectors, or :class:`WindowStatistics`, of windows (B, D)."""
        x = self.normalise(x)
        if self.window is None:
            return x.mean(dim=1)  # (B, D)
        statistics: Tensor = self.window(x, self.normalise)  # (B, D)
        return statistics

    def solver(self, *, balanced: bool = False, against_rest: bool = False) -> Any:
        """Linear discriminant analysis, all genres equally likely: balanced in any case.

        A genre against the rest is as likely as it is frequent.
        """
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        G = self.head.out_features
        return LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=self.shrinkage, priors=None if against_rest else [1 / G] * G
        )
