"""Probabilities: softmax or sigmoid, temperature, and the mean over the windows of a track.

- Temperature (Guo et al. 2017, On calibration of modern neural networks): logits, or logarithms of
  probabilities, are divided by T before the softmax. The order of genres stays.
- Pooling: the probabilities of a track are the mean of those of its windows. What a study
  calibrates is a track, so a temperature comes after the mean.

Conventions: all arithmetic in float64; genres are the last axis; a probability of 0 counts as
:data:`SMALLEST`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError

SMALLEST = 1e-12  # a probability of 0 for the truth costs 27.6 nats, not infinitely many


def softmax(logits: NDArray[np.floating], *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities from logits [shape=(..., n_genres)], which the temperature divides.

    Raises
    ------
    UsageError
        If the temperature is not a positive number.
    """
    if not 0 < temperature < float("inf"):
        raise UsageError(f"Expected a positive temperature, got {temperature}.")
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities from logits of any shape, each on its own: of genres that may come together."""
    return np.asarray((1 + np.tanh(logits.astype(np.float64) / 2)) / 2)


def apply_temperature(
    probabilities: NDArray[np.float64], temperature: float
) -> NDArray[np.float64]:
    """Softmax of log-probabilities [shape=(..., n_genres)], which the temperature divides.

    Errors are those of :func:`softmax`.
    """
    return softmax(np.log(np.clip(probabilities, SMALLEST, 1.0)), temperature=temperature)


def pool_windows(
    logits: NDArray[np.float32], counts: NDArray[np.int64], *, multi_label: bool = False
) -> NDArray[np.float64]:
    """Probabilities of each track, the mean over its windows [shape=(n_tracks, n_genres)].

    Parameters
    ----------
    logits : array [shape=(n_windows_of_all_tracks, n_genres)]
        The windows of the first track, then those of the second, and so on.
    counts : int array [shape=(n_tracks,)]
        Windows of each track, at least 1.
    multi_label : bool
        Whether a track may have several genres: their probabilities are by a sigmoid.

    Raises
    ------
    DataError
        If there are no tracks, the counts do not add up to the number of windows, or one is 0.
    """
    if counts.size == 0 or counts.sum() != logits.shape[0] or (counts < 1).any():
        raise DataError(
            f"Expected window counts of at least 1 that add up to {logits.shape[0]} windows, "
            f"got {int(counts.sum())} in {counts.size} tracks."
        )
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    each = sigmoid(logits) if multi_label else softmax(logits)
    sums: NDArray[np.float64] = np.add.reduceat(each, firsts, axis=0)
    return sums / counts[:, None]
