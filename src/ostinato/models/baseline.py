"""Baseline: logistic regression on statistics of a window. No network, and nothing is trained.

What genre classifiers were before they were networks: means and deviations of timbre (Tzanetakis
and Cook 2002), and the modulation spectrum, how fast and how strongly each band of frequencies
beats (Lee et al. 2009, "Automatic music genre classification based on modulation spectral
analysis"). The coefficients are solved for, by scikit-learn, in seconds; a network that cannot beat
them has no excuse. Computed in PyTorch, so that the model is saved, judged and exported as the
others are.

Axes: B batch, T frames, F features, M bands, R modulation bands, D statistics, G genres.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.bands import MelImage
from ostinato.models.layers import FrameNormalisation, GenreModel

_FLOOR = 1e-3  # of a deviation, before its logarithm; features have deviation 1
_POWER_FLOOR = 1e-4


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """Settings of the baseline.

    Attributes
    ----------
    bands : int
        Of which the modulation spectrum is taken; divides the mel bands of the frames.
    modulation_bands : int
        Ranges of modulation frequency, at equal ratios.
    regularisation : float
        C of scikit-learn's ``LogisticRegression``: smaller holds the coefficients smaller.
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


class SolvedModel(GenreModel):
    """A model that is not trained by gradients: statistics (B, D), and a linear head solved for.

    Attributes
    ----------
    scale : FrameNormalisation
        Of the statistics; fitted on those of the training windows.
    head : Linear
        From scaled statistics to logits.
    regularisation : float
        As in :class:`BaselineSettings`.
    """

    scale: FrameNormalisation
    head: nn.Linear
    regularisation: float

    def statistics(self, x: Tensor) -> Tensor:
        """What the head is to see of windows (B, T, F), unscaled [shape=(B, D)]."""
        raise NotImplementedError


class BaselineClassifier(SolvedModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    spec : FeatureSpec
        Of the frames.
    n_genres : int
        G.
    settings : BaselineSettings
    """

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: BaselineSettings) -> None:
        super().__init__()
        self.regularisation = settings.regularisation
        self.normalise = FrameNormalisation(spec.n_features)
        self.image = MelImage(spec, settings.bands)
        self.n_modulation_bands = settings.modulation_bands
        n_statistics = 3 * spec.n_features + settings.bands * settings.modulation_bands
        self.scale = FrameNormalisation(n_statistics)
        self.head = nn.Linear(n_statistics, n_genres)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        logits: Tensor = self.head(self.scale(self.statistics(x)))  # (B, G)
        return logits

    def statistics(self, x: Tensor) -> Tensor:
        """Means, log deviations, log deviations of the change, and the modulation spectrum.

        Raises
        ------
        UsageError
            If a window is so short that a range of modulation frequency would be empty.
        """
        x = self.normalise(x)
        parts = (
            x.mean(dim=1),
            _log_deviation(x),
            _log_deviation(x[:, 1:] - x[:, :-1]),
            self.modulation(self.image(x, self.normalise)),
        )
        return torch.cat(parts, dim=1)  # (B, D)

    def modulation(self, bands: Tensor) -> Tensor:
        """Log power of each band's movement, by modulation frequency: (B, T, M) -> (B, R M)."""
        T = bands.shape[1]
        edges = modulation_edges(T, self.n_modulation_bands)
        waves = _waves(T).to(bands)  # (2, K, T)
        moving = bands - bands.mean(dim=1, keepdim=True)
        power = (waves[0] @ moving).square() + (waves[1] @ moving).square()  # (B, K, M)
        means = [power[:, low:high].mean(dim=1) for low, high in itertools.pairwise(edges)]
        return (torch.cat(means, dim=1) + _POWER_FLOOR).log()  # (B, R M)


def modulation_edges(n_frames: int, n_bands: int) -> list[int]:
    """Bins of the Fourier transform over time at which each modulation band begins, and the end.

    They lie at equal ratios from the slowest movement that the window holds to the fastest; bin 0,
    which does not move, is left out.

    Raises
    ------
    UsageError
        If the window has too few frames for so many bands.
    """
    n_bins = n_frames // 2 + 1
    edges = np.geomspace(1, n_bins, n_bands + 1).round().astype(int)
    for i in range(1, len(edges)):  # the lowest bands would share a bin: each has one of its own
        edges[i] = max(edges[i], edges[i - 1] + 1)
    if edges[-1] > n_bins:
        raise UsageError(
            f"Expected windows of at least {2 * n_bands} frames, for {n_bands} modulation bands, "
            f"got {n_frames}."
        )
    return [int(edge) for edge in edges]


def _waves(n_frames: int) -> Tensor:
    """Windowed cosines and sines of every bin [shape=(2, K, T)]: a transform as a product.

    Windows are short, and a product is exported as what it is, where a transform is not.
    """
    time = np.arange(n_frames)
    taper = 0.5 - 0.5 * np.cos(2 * math.pi * time / (n_frames - 1))
    angles = 2 * math.pi * np.outer(np.arange(n_frames // 2 + 1), time) / n_frames  # (K, T)
    return torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)]) * taper)


def _log_deviation(x: Tensor) -> Tensor:
    """Logarithm of the deviation over time: (B, T, F) -> (B, F)."""
    centred = x - x.mean(dim=1, keepdim=True)
    variance = centred.square().sum(dim=1) / (x.shape[1] - 1)
    return variance.clamp_min(_FLOOR**2).log() / 2
