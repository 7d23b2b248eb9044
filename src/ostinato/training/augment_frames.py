"""Augmentation of windows of frames, on the batch.

Each augmentation is a pure function of the windows (B, T, F) and of one drawn number a window;
:class:`FrameAugmentation` draws. Mel bands are changed directly on log-mel frames, and on MFCC
through their bands: the inverse DCT, the change, the DCT again. All of these are linear in the
coefficients, so together they are one small matrix a window, from a table, not two transforms a
frame.

Axes: B batch, S frames of a longer window, T frames, F features, M mel bands.

References
----------
D. S. Park et al., "SpecAugment: a simple data augmentation method for automatic speech
recognition", Interspeech 2019 (masks).
J. Schlüter, T. Grill, "Exploring data augmentation for improved singing voice detection with
neural networks", ISMIR 2015 (stretching, shifting, tilting and level of mel spectrograms).
H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation
7(1), 1995.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec, log_mel_from_mfcc
from ostinato.training.settings import TrainingSettings

_LARGEST_SHARE = 0.99  # of a mask or a stretch that a weak genre's multiplier has made larger
_OF_BANDS = ("pitch", "tilt", "gain", "mask_bands")  # settings that change mel bands


@dataclass(frozen=True, eq=False)
class MelBands:
    """How the mel bands of a frame (M) are read from its features (F), and changed in them.

    Attributes
    ----------
    basis : float32 tensor [shape=(M, F)] or None
        ``basis @ features`` are the bands; its columns are orthonormal, so that ``basis.T @ bands``
        are the features. None where the features are the bands, as are those below.
    shifts : float32 tensor [shape=(2 M - 1, F, F)] or None
        ``features @ shifts[M - 1 + n]`` are those of the bands moved up by n.
    below : float32 tensor [shape=(M + 1, F, F)] or None
        ``features @ below[m]`` are those of the lowest m bands, the others being 0.
    """

    n_mels: int
    basis: Tensor | None = None
    shifts: Tensor | None = None
    below: Tensor | None = None

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, spec: FeatureSpec) -> MelBands:
        """The mel bands of frames of a spec: the inverse DCT of MFCC, or the frames themselves."""
        M, F = spec.n_mels, spec.n_coefficients
        if spec.kind != "mfcc":
            return cls(M)
        basis = log_mel_from_mfcc(np.eye(F, dtype=np.float32), M).T.astype(np.float64)  # (M, F)
        read_from = np.arange(M) - np.arange(1 - M, M)[:, None]  # (2 M - 1, M)
        moved = basis[read_from.clip(0, M - 1)]  # (2 M - 1, M, F)
        outer = basis[:, :, None] * basis[:, None]  # (M, F, F)
        below = np.concatenate([np.zeros((1, F, F)), outer.cumsum(axis=0)])  # (M + 1, F, F)
        shifts = (basis.T @ moved).transpose(0, 2, 1)  # (2 M - 1, F, F)
        tensors = (
            torch.from_numpy(a.astype(np.float32, order="C")) for a in (basis, shifts, below)
        )
        return cls(M, *tensors)

    def features_of(self, bands: Tensor) -> Tensor:
        """Features of one frame of these bands: (M,) -> (F,)."""
        return bands if self.basis is None else self.basis.to(bands).T @ bands


def stretch(x: Tensor, factors: Tensor, offsets: Tensor, *, length: int) -> Tensor:
    """Play windows faster or slower, by linear interpolation between frames.

    (B, S, F) -> (B, ``length``, F). Frame t of the result is read at frame ``offset + t * factor``
    of the window [each shape=(B,)]; beyond its ends the first and the last frame are repeated.
    """
    B, S, F = x.shape
    steps = torch.arange(length, device=x.device)
    where = (offsets[:, None] + factors[:, None] * steps).clamp(0, S - 1)  # (B, T)
    return _read(x.reshape(B * S, F), where, S).view(B, length, F)


def shift_bands(x: Tensor, shifts: Tensor, bands: MelBands) -> Tensor:
    """Shift windows along the mel bands, by linear interpolation: a change of pitch.

    A mel band is no fixed interval: of 128 Slaney bands to 11 kHz one is two semitones at 215 Hz, a
    semitone at 430 Hz, and a little less than half a semitone from 1 kHz on. ``shifts`` are in mel
    bands, fractions too, upwards where positive; the outermost band is repeated at the free end.
    """
    B, T, F = x.shape
    M = bands.n_mels
    if bands.shifts is None:
        columns = x.transpose(1, 2).reshape(B * M, T)
        where = (torch.arange(M, device=x.device) - shifts[:, None]).clamp(0, M - 1)  # (B, M)
        return _read(columns, where, M).view(B, M, T).transpose(1, 2)  # (B, T, F)
    # A fraction's band is a mean of two whole shifts' bands, and so is its matrix.
    table = bands.shifts.to(x).view(2 * M - 1, F * F)
    where = shifts.clamp(1 - M, M - 1)[:, None]  # (B, 1)
    matrices = _read(table, where, 2 * M - 1, first=1 - M)  # (B, F * F)
    return x @ matrices.view(B, F, F)  # (B, T, F)


def tilt(x: Tensor, slopes: Tensor, bands: MelBands) -> Tensor:
    """Add a line over the mel bands to every frame of a window: brighter, or duller.

    The highest band gains the slope and the lowest loses it, in the units of log-mel frames.
    """
    line = torch.linspace(-1, 1, bands.n_mels, device=x.device, dtype=x.dtype)
    return x + slopes[:, None, None] * bands.features_of(line)


def gain(x: Tensor, levels: Tensor, bands: MelBands) -> Tensor:
    """Change the level of a window: all bands of all frames by the same.

    With MFCC this is the zeroth coefficient. Frames are standardised over their excerpt, so the
    model learns to ignore not how loud a recording is, but a window relative to its excerpt.
    ``levels`` are in the units of log-mel frames, some 15 dB each.
    """
    ones = torch.ones(bands.n_mels, device=x.device, dtype=x.dtype)
    return x + levels[:, None, None] * bands.features_of(ones)


def mask_bands(
    x: Tensor, firsts: Tensor, widths: Tensor, *, fill: Tensor, bands: MelBands
) -> Tensor:
    """Replace neighbouring mel bands of every frame of a window by those of ``fill``, a frame (F,).

    ``firsts`` are the lowest masked bands, ``widths`` their numbers (Park et al. 2019).
    """
    if bands.below is None:
        masked = _run(firsts, widths, bands.n_mels)  # (B, M)
        return torch.where(masked[:, None], fill, x)
    below = bands.below.to(x)
    inside = below[firsts + widths] - below[firsts]  # (B, F, F): onto the masked bands
    outside = torch.eye(x.shape[2], device=x.device, dtype=x.dtype) - inside
    return torch.baddbmm((fill @ inside)[:, None], x, outside)  # (B, T, F)


def mask_time(x: Tensor, firsts: Tensor, widths: Tensor, *, fill: Tensor) -> Tensor:
    """Replace ``widths`` frames of a window, from ``firsts`` on, by ``fill`` (Park et al. 2019)."""
    return torch.where(_run(firsts, widths, x.shape[1])[:, :, None], fill, x)


def add_noise(x: Tensor, deviation: Tensor) -> Tensor:
    """Add Gaussian noise of this deviation for each feature [shape=(F,)] to every value.

    Training with noise is regularisation (Bishop 1995).
    """
    return x + deviation * torch.randn_like(x)


def mixup(x: Tensor, *, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Blend every window with another one of the batch (Zhang et al. 2018).

    ``alpha`` is both parameters of the Beta distribution of the shares; 0 blends nothing.

    Returns
    -------
    blended : tensor [shape=(B, T, F)]
    partners : int64 tensor [shape=(B,)]
        Position of the window that each was blended with.
    share : tensor [shape=(B,)]
        Share of the window itself, at least a half, so that it stays the main one.
    """
    B = len(x)
    if alpha == 0:
        return x, torch.arange(B, device=x.device), x.new_ones(B)
    shape = torch.full((B,), alpha)
    share = torch.distributions.Beta(shape, shape).sample().to(x)
    share = torch.maximum(share, 1 - share)
    partners = torch.randperm(B, device=x.device)
    weight = share[:, None, None]
    return weight * x + (1 - weight) * x[partners], partners, share


class FrameAugmentation:
    """Draws the augmentations that settings turn on, and applies them to windows of frames.

    In this order: stretch, pitch, tilt, gain, the mask of bands, the mask of frames. An
    augmentation of strength 0 draws no random number, and leaves windows unchanged, bit by bit.

    Parameters
    ----------
    fill : tensor [shape=(F,)]
        Masked cells become this: the mean of the training frames.
    largest_strength : float
        Largest of the strengths of windows.

    Raises
    ------
    UsageError
        If pitch shifts by as many mel bands as there are, or frames without mel bands would have
        them changed.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        spec: FeatureSpec,
        fill: Tensor,
        *,
        largest_strength: float = 1.0,
    ) -> None:
        of_bands = [name for name in _OF_BANDS if getattr(settings, name)]
        if spec.kind == "external" and of_bands:
            raise UsageError(
                f"training.{of_bands[0]}: expected 0, for {spec.describe()} are no mel bands; got "
                f"{getattr(settings, of_bands[0]):g}."
            )
        if settings.pitch >= spec.n_mels:
            raise UsageError(
                f"training.pitch: expected a shift of less than {spec.n_mels} mel bands, all that "
                f"there are; got {settings.pitch:g}."
            )
        self.settings = settings
        self.bands = MelBands.of(spec)
        self.fill = fill
        fastest = 1 + min(settings.stretch * largest_strength, _LARGEST_SHARE)
        #: Frames to cut for a window: more than it keeps where it may be played faster.
        self.source_frames = math.ceil((settings.window_frames - 1) * fastest) + 1

    def __call__(self, x: Tensor, strengths: Tensor | None = None) -> Tensor:
        """Augment windows: (B, source_frames, F) -> (B, window_frames, F).

        ``strengths`` (B,) multiply all strengths, window by window; None is 1.
        """
        s, fill = self.settings, self.fill.to(x)
        by = x.new_ones(len(x)) if strengths is None else strengths.to(x)
        if s.stretch:
            x = stretch(x, *self._speeds(by, x.shape[1]), length=s.window_frames)
        if s.pitch:
            x = shift_bands(x, s.pitch * by * _either_way(by), self.bands)
        if s.tilt:
            x = tilt(x, s.tilt * by * _either_way(by), self.bands)
        if s.gain:
            x = gain(x, s.gain * by * _either_way(by), self.bands)
        if s.mask_bands:
            firsts, widths = _some_run(_share(s.mask_bands, by), self.bands.n_mels)
            x = mask_bands(x, firsts, widths, fill=fill, bands=self.bands)
        if s.mask_time:
            x = mask_time(x, *_some_run(_share(s.mask_time, by), x.shape[1]), fill=fill)
        return x

    def _speeds(self, by: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
        """Factors, as often slower as faster, and offsets that keep within ``n_frames``."""
        factors = (1 + _share(self.settings.stretch, by)) ** _either_way(by)
        room = n_frames - 1 - (self.settings.window_frames - 1) * factors
        return factors, room.clamp_min(0) * torch.rand_like(factors)


def _share(strength: float, by: Tensor) -> Tensor:
    """A strength below 1, multiplied for each window and kept below 1 [shape=(B,)]."""
    return (strength * by).clamp_max(_LARGEST_SHARE)


def _either_way(like: Tensor) -> Tensor:
    """Uniform in (-1, 1) [shape=(B,)]."""
    return 2 * torch.rand_like(like) - 1


def _some_run(shares: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """First and number of neighbours to mask: 0 to ``share * n`` of ``n``, each as likely.

    As in SpecAugment the width is drawn first, then the place, all places as likely.
    """
    widest = (shares * n + 1e-4).floor()  # 0.3 * 10 is 3, in float32 as well
    widths = (torch.rand_like(shares) * (widest + 1)).long()
    firsts = (torch.rand_like(shares) * (n - widths + 1)).long()
    return firsts, widths


def _read(rows: Tensor, where: Tensor, n: int, *, first: int = 0) -> Tensor:
    """Rows at fractional places, by linear interpolation, in one pass over the memory.

    ``rows`` are a run of n rows for each window, end to end [shape=(B * n, K)], or one for all
    [shape=(n, K)]; ``where`` [shape=(B, T)] goes from ``first`` to ``first + n - 1``; the result is
    (B * T, K).
    """
    low = where.floor()
    share = (where - low).to(rows.dtype)  # before the offsets, which would cost it digits
    pair = torch.stack([low, (low + 1).clamp_max(first + n - 1)], dim=2).long() - first  # (B, T, 2)
    if len(rows) > n:
        pair += n * torch.arange(len(where), device=rows.device)[:, None, None]
    return functional.embedding_bag(
        pair.flatten(0, 1),
        rows,
        per_sample_weights=torch.stack([1 - share, share], dim=2).flatten(0, 1),
        mode="sum",
    )


def _run(firsts: Tensor, widths: Tensor, n: int) -> Tensor:
    """Which of ``n`` neighbours are masked: bool (B, n)."""
    i = torch.arange(n, device=firsts.device)
    return (i >= firsts[:, None]) & (i < (firsts + widths)[:, None])
