"""Distance of a window from all that a model learned from: high for noise, speech, tones.

A network names a genre for a dial tone as confidently as for a song. Two simple figures of a window
tell them apart, both compared with those of the training windows:

- the Mahalanobis distance of its statistics, the means and log deviations of each feature and the
  log deviations of its change from frame to frame (as in Lee et al. 2018, "A simple unified
  framework for detecting out-of-distribution samples", but of the frames, so that any model of
  these frames has it), with a covariance shrunk as Ledoit and Wolf (2004) do;
- its persistence, the mean over features of the correlation of a frame with the next: noise, whose
  means and deviations are like those of loud metal, has none.

Axes: B batch, T frames, F features, D statistics.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from ostinato.models import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation

_FLOOR = 1e-2  # of a deviation, before its logarithm; features have deviation 1
_LEAST_PERSISTENCE = 1e-2  # of noise, which has 0 within sampling error

#: Share of training windows within a distance of 1, by each figure alone.
INSIDE = 0.99


class Novelty(GenreModel):
    """Frames (B, T, F) -> distances (B,): a hundredth of the training windows lies beyond 1."""

    mean: Tensor
    whiten: Tensor
    reach: Tensor
    persistence: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(n_features)
        D = 3 * n_features
        self.register_buffer("mean", torch.zeros(D))
        self.register_buffer("whiten", torch.eye(D))
        self.register_buffer("reach", torch.ones(()))
        self.register_buffer("persistence", torch.ones(()))
        self.size = nn.Parameter(torch.zeros(()), requires_grad=False)  # models have one or more

    @torch.no_grad()
    def fit(self, windows: Iterable[Tensor]) -> None:
        """Fit on batches of the training part's windows (B, T, F); ``normalise`` is fitted."""
        found = [self.statistics(x) for x in windows]
        statistics = torch.cat([s for s, _ in found]).double()  # (N, D)
        self.mean.copy_(statistics.mean(dim=0))
        deviation = statistics.std(dim=0).clamp_min(1e-6)
        scaled = ((statistics - statistics.mean(dim=0)) / deviation).numpy()
        covariance = torch.from_numpy(LedoitWolf(assume_centered=True).fit(scaled).covariance_)
        root = torch.linalg.cholesky(torch.linalg.inv(covariance))  # (D, D)
        self.whiten.copy_(root / deviation[:, None])
        self.reach.copy_(self._mahalanobis(statistics.float()).quantile(INSIDE))
        self.persistence.copy_(torch.cat([p for _, p in found]).quantile(1 - INSIDE))

    def forward(self, x: Tensor) -> Tensor:
        """Distances of windows of frames."""
        statistics, persistence = self.statistics(x)
        strange = self._mahalanobis(statistics) / self.reach
        restless = self.persistence / persistence.clamp_min(_LEAST_PERSISTENCE)
        return torch.maximum(strange, restless)  # (B,)

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log deviations (B, D), and persistence (B,), of windows (B, T, F)."""
        x = self.normalise(x)
        mean = x.mean(dim=1)
        variance = (x - mean[:, None]).square().mean(dim=1).clamp_min(_FLOOR**2)  # (B, F)
        change = (x[:, 1:] - x[:, :-1]).square().mean(dim=1).clamp_min(_FLOOR**2)  # (B, F)
        statistics = torch.cat([mean, variance.log() / 2, change.log() / 2], dim=1)  # (B, D)
        return statistics, (1 - change / (2 * variance)).mean(dim=1)

    def _mahalanobis(self, statistics: Tensor) -> Tensor:
        """Root mean square of whitened statistics: (B, D) -> (B,)."""
        return ((statistics - self.mean) @ self.whiten).square().mean(dim=1).sqrt()
