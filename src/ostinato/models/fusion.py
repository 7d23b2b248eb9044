"""Fusion: a CRNN and the baseline, and the mean of their probabilities.

The network sees a sequence, the statistics the spread and the speed of timbre
(:mod:`ostinato.models.layers.window_statistics`). Trained together, the head relies on whichever
fits the training tracks sooner; so they are trained apart and averaged with fixed weights (Kittler
et al. 1998, "On combining classifiers": the sum rule).

Axes: B batch, T frames, F features, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.baseline import BaselineClassifier, BaselineSettings
from ostinato.models.crnn import CRNNClassifier, CRNNSettings
from ostinato.models.genre_model import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation


@dataclass(frozen=True, kw_only=True)
class FusionSettings(CRNNSettings):
    """Settings of the fusion: those of :class:`~ostinato.models.crnn.CRNNSettings`, and these.

    Attributes
    ----------
    statistic_bands, modulation_bands, regularisation
        ``bands``, ``modulation_bands`` and ``regularisation`` of
        :class:`~ostinato.models.baseline.BaselineSettings`.
    share : float
        The network's weight in the mean, in [0, 1].
    """

    statistic_bands: int = 16
    modulation_bands: int = 12
    regularisation: float = 0.01
    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.baseline  # refuses what its settings refuse
        if not 0 <= self.share <= 1:
            raise UsageError(f"Expected a share in [0, 1], got {self.share}.")

    @property
    def network(self) -> CRNNSettings:
        """The network's own settings."""
        names = [field.name for field in fields(CRNNSettings)]
        return CRNNSettings(**{name: getattr(self, name) for name in names})

    @property
    def baseline(self) -> BaselineSettings:
        """The baseline's own settings."""
        return BaselineSettings(
            bands=self.statistic_bands,
            modulation_bands=self.modulation_bands,
            regularisation=self.regularisation,
        )


class FusionClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G): those of the mean of two models' probabilities.

    In training mode the logits are the network's own: the baseline is solved for, not trained.
    """

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: FusionSettings) -> None:
        super().__init__()
        self.network = CRNNClassifier(spec, n_genres, settings.network)
        self.baseline = BaselineClassifier(spec, n_genres, settings.baseline)
        self.share = settings.share

    @property
    def normalise(self) -> FrameNormalisation:  # type: ignore[override]
        """The network's."""
        return self.network.normalise

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        logits: Tensor = self.network(x)  # (B, G)
        if self.training:
            return logits
        ours = self.share * self.probabilities(logits)
        theirs = (1 - self.share) * self.probabilities(self.baseline(x))
        return self.logits(ours + theirs)
