"""Statistics of a window: its timbre, how that varies, and how fast it moves.

Means and deviations of timbre (Tzanetakis and Cook 2002), and the modulation spectrum, how strongly
each band of frequencies beats at each rate (Lee et al. 2009, "Automatic music genre classification
based on modulation spectral analysis").

Axes: B batch, T frames, F features, M bands, K bins, R modulation bands, D statistics.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.layers.normalisation import FrameNormalisation

_FLOOR = 1e-3  # of a deviation, before its logarithm; features have deviation 1
_POWER_FLOOR = 1e-4


class WindowStatistics(nn.Module):
    """Normalised frames (B, T, F) -> statistics (B, D).

    Means, log deviations, log deviations of the change from frame to frame, and log modulation
    spectrum, in this order. Of the vectors of an ear, which are few and have no bands, means and
    log deviations alone.

    ``n_bands`` is M, ``n_modulation_bands`` R, and ``width`` D.
    """

    def __init__(self, spec: FeatureSpec, n_bands: int, n_modulation_bands: int) -> None:
        super().__init__()
        self.n_modulation_bands = n_modulation_bands
        self.image = None if spec.kind == "external" else MelImage(spec, n_bands)
        self.width = 2 * spec.n_features
        if self.image is not None:
            self.width += spec.n_features + n_bands * n_modulation_bands

    def forward(self, x: Tensor, normalise: FrameNormalisation) -> Tensor:
        """Statistics of frames (B, T, F) that ``normalise`` has normalised."""
        parts = [x.mean(dim=1), _log_deviation(x)]
        if self.image is not None:
            parts.append(_log_deviation(x[:, 1:] - x[:, :-1]))
            parts.append(self.modulation(self.image(x, normalise)))
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
    variance = centred.square().sum(dim=1) / max(x.shape[1] - 1, 1)
    return variance.clamp_min(_FLOOR**2).log() / 2
