"""Standardise a log-mel image, and turn it into MFCC and back."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.features.arrays import FeatureError, Frames


def standardise(log_mel: Frames) -> Frames:
    """Scale a log-mel image [shape=(n_frames, n_mels)] to mean 0 and deviation 1 over its cells.

    It is in dB, or anything that differs from dB by a factor and an offset.

    Raises
    ------
    FeatureError
        If all cells are equal.
    """
    centred: Frames = np.asarray(log_mel, dtype=np.float32)
    if not float(np.ptp(centred)) > 0:  # a NaN is refused with the constant image
        raise FeatureError(
            "Sound without content: expected a log-mel image with cells of different level, "
            "got a constant one (silence, or far too quiet)."
        )
    centred = centred - centred.mean()
    deviation = math.sqrt(float(np.vdot(centred, centred)) / centred.size)
    centred *= np.float32(1 / deviation)
    return centred


def mfcc_from_log_mel(log_mel: Frames, n_coefficients: int) -> Frames:
    """Orthonormal DCT-II of each frame, the first coefficients [shape=(n_frames, n_coefficients)].

    Raises
    ------
    UsageError
        If ``n_coefficients`` is not from 1 to the width of ``log_mel``.
    """
    mfcc: Frames = log_mel @ _dct(log_mel.shape[1], n_coefficients)
    return mfcc


def log_mel_from_mfcc(mfcc: Frames, n_mels: int) -> Frames:
    """Inverse DCT: the log-mel image [shape=(n_frames, n_mels)] with these MFCC, no finer detail.

    Raises
    ------
    UsageError
        If ``n_mels`` is less than the width of ``mfcc``.
    """
    log_mel: Frames = mfcc @ _dct(n_mels, mfcc.shape[1]).T
    return log_mel


@lru_cache(maxsize=16)
def _dct(n_mels: int, n_coefficients: int) -> NDArray[np.float32]:
    """Orthonormal DCT-II as a matrix [shape=(n_mels, n_coefficients)]."""
    if not 1 <= n_coefficients <= n_mels:
        raise UsageError(
            f"MFCC: expected 1 to {n_mels} coefficients, one a mel band at most, "
            f"got {n_coefficients}."
        )
    angle = np.pi / n_mels * (np.arange(n_mels)[:, None] + 0.5) * np.arange(n_coefficients)
    matrix = np.cos(angle) * math.sqrt(2 / n_mels)
    matrix[:, 0] = math.sqrt(1 / n_mels)
    return np.asarray(matrix, dtype=np.float32)
