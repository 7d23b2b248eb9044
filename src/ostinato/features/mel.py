"""The inner loop of the features: samples in frames -> power in mel bands.

Two things make it fast, measured in ``benchmarks/features.py``: a block of frames stays in the
processor's second cache from window to mel band, and the mel bands are summed by dense products
over the few bins that 16 neighbouring bands touch. NumPy's transform is used, since the import of
``scipy.fft`` takes longer than the frames of several minutes of sound.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

_BLOCK_FRAMES = 64
_GROUP_BANDS = 16

_Real: TypeAlias = NDArray[np.floating]


@lru_cache(maxsize=16)
def hann(n_fft: int) -> NDArray[np.float32]:
    """Periodic Hann window [shape=(n_fft,)]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


def mel_corners(*, n_mels: int, fmin_hz: float, fmax_hz: float, scale: str) -> _Real:
    """Where mel bands begin, peak and end, equally spaced in mel [shape=(n_mels + 2,)], in Hz."""
    low, high = _hz_to_mel(np.array([fmin_hz, fmax_hz]), scale)
    return _mel_to_hz(np.linspace(low, high, n_mels + 2), scale)


def bins_in_bands(bins_hz: _Real, corners_hz: _Real) -> NDArray[np.intp]:
    """How many bins have a weight above 0 in each band [shape=(n_mels,)]."""
    first = np.searchsorted(bins_hz, corners_hz[:-2], side="right")
    return np.asarray(np.searchsorted(bins_hz, corners_hz[2:], side="left") - first)


def mel_triangles(bins_hz: _Real, corners_hz: _Real, *, norm: str) -> _Real:
    """Weights of the bins in triangular bands [shape=(n_mels, n_bins)]."""
    left, peak, right = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    rising = (bins_hz - left) / (peak - left)
    falling = (right - bins_hz) / (right - peak)
    weights = np.maximum(0, np.minimum(rising, falling))  # (n_mels, n_bins)
    return np.asarray(weights * (2 / (right - left)) if norm == "slaney" else weights)


# Slaney's scale is linear up to 1000 Hz and logarithmic above it; HTK's is one logarithm.
_SLANEY_HZ_PER_MEL = 200 / 3
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = math.log(6.4) / 27


def _hz_to_mel(hz: _Real, scale: str) -> _Real:
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hz / 700))
    above = np.log(np.maximum(hz / _SLANEY_BREAK_HZ, 1)) / _SLANEY_LOG_STEP
    return np.asarray(np.minimum(hz, _SLANEY_BREAK_HZ) / _SLANEY_HZ_PER_MEL + above)


def _mel_to_hz(mel: _Real, scale: str) -> _Real:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    above = np.exp(np.maximum(mel - _SLANEY_BREAK_MEL, 0) * _SLANEY_LOG_STEP)
    return np.asarray(np.minimum(mel, _SLANEY_BREAK_MEL) * _SLANEY_HZ_PER_MEL * above)


class Bands(NamedTuple):
    """Some neighbouring mel bands, and the bins they touch.

    ``weights`` has a row for the real and a row for the imaginary part of each bin, so that the
    product with their squares adds the two.
    """

    parts: slice  # of the spectrum seen as float32: real, imaginary, real, ...
    mels: slice
    weights: NDArray[np.float32]  # (n_parts, n_bands)


def grouped(bank: NDArray[np.float32]) -> tuple[Bands, ...]:
    """Split a filterbank [shape=(n_mels, n_bins)] into groups of neighbouring bands."""
    groups = []
    for first in range(0, len(bank), _GROUP_BANDS):
        mels = slice(first, min(first + _GROUP_BANDS, len(bank)))
        touched = np.flatnonzero(bank[mels].any(axis=0))
        low, high = int(touched[0]), int(touched[-1]) + 1
        weights = np.repeat(bank[mels, low:high].T, 2, axis=0)  # (2 * n_touched, n_bands)
        groups.append(Bands(slice(2 * low, 2 * high), mels, np.ascontiguousarray(weights)))
    return tuple(groups)


def mel_power(framed: NDArray[np.float32], groups: tuple[Bands, ...]) -> NDArray[np.float32]:
    """Power in mel bands [shape=(n_frames, n_mels)] of samples in frames [shape=(n_frames, n_fft)].

    Frames may overlap in memory; ``groups`` is a filterbank, from :func:`grouped`.
    """
    n_frames, n_fft = framed.shape
    window = hann(n_fft)
    buffer = np.empty((_BLOCK_FRAMES, n_fft), dtype=np.float32)
    spectra = np.empty((_BLOCK_FRAMES, 1 + n_fft // 2), dtype=np.complex64)
    power = np.empty((n_frames, groups[-1].mels.stop), dtype=np.float32)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        rows = slice(first, min(first + _BLOCK_FRAMES, n_frames))
        block = buffer[: rows.stop - first]
        block[:] = framed[rows]  # copy, then multiply in place: faster than one multiply out of it
        block *= window
        spectrum = spectra[: len(block)]
        np.fft.rfft(block, out=spectrum)
        parts = spectrum.view(np.float32)  # (block, 2 * n_bins)
        np.square(parts, out=parts)
        for group in groups:
            np.matmul(parts[:, group.parts], group.weights, out=power[rows, group.mels])
    return power
