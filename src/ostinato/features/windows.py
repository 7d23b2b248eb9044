"""Frames -> windows, and the windows' logits -> one verdict a track.

A model is trained on windows of a track and heard on all of them: the verdict of a track is the
mean of its windows' probabilities. A track shorter than a window is repeated from its beginning
until the window is full, so that no part of a window is a silence the track does not hold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.features.frames import Frames


def window_starts(n_frames: int, *, length: int, hop: int) -> NDArray[np.int64]:
    """First frames of the windows of a track [shape=(n_windows,)].

    Every ``hop`` frames while a whole window fits; the last one ends with the track. A track no
    longer than a window has one window, from its first frame.

    Parameters
    ----------
    n_frames : int
        Frames of the track, at least 1.
    length, hop : int
        Of a window, in frames, at least 1.

    Raises
    ------
    DataError
        If the track has no frames, or ``length`` or ``hop`` is not positive.
    """
    if n_frames < 1 or length < 1 or hop < 1:
        raise DataError(
            "Expected at least one frame, and a window length and hop of at least one frame; "
            f"got {n_frames} frames, length {length}, hop {hop}."
        )
    last = max(n_frames - length, 0)
    starts = np.arange(0, last + 1, hop, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


def cut(frames: Frames, *, length: int, hop: int) -> NDArray[np.float32]:
    """Windows of a track [shape=(n_windows, length, n_features)].

    Parameters
    ----------
    frames : float32 array [shape=(n_frames, n_features)]
    length, hop : int
        Of a window, in frames.

    Raises
    ------
    DataError
        As :func:`window_starts`.
    """
    n_frames = frames.shape[0]
    starts = window_starts(n_frames, length=length, hop=hop)
    where = (starts[:, None] + np.arange(length)) % n_frames  # (n_windows, length)
    windows: NDArray[np.float32] = frames[where]
    return windows


def track_verdicts(
    logits: NDArray[np.float32], counts: NDArray[np.int64], *, temperature: float = 1.0
) -> NDArray[np.float64]:
    """One verdict a track from the logits of all windows.

    Parameters
    ----------
    logits : array [shape=(n_windows_of_all_tracks, n_genres)]
        The windows of the first track, then those of the second, and so on.
    counts : int array [shape=(n_tracks,)]
        Windows of each track, each at least 1.
    temperature : float
        Logits are divided by it before the softmax (Guo et al. 2017); 1 leaves them as they are.
        Positive.

    Returns
    -------
    probabilities : float64 array [shape=(n_tracks, n_genres)]
        The mean of the windows' probabilities; each row sums to 1.

    Raises
    ------
    DataError
        If there are no tracks, the counts do not add up to the number of windows, one of them is
        0, or the temperature is not positive.
    """
    if counts.size == 0 or counts.sum() != logits.shape[0] or (counts < 1).any():
        raise DataError(
            f"Expected window counts of at least 1 that add up to {logits.shape[0]} windows, "
            f"got {int(counts.sum())} in {counts.size} tracks."
        )
    if not temperature > 0:
        raise DataError(f"Expected a positive temperature, got {temperature}.")
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    probabilities = np.exp(scaled)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: NDArray[np.float64] = np.add.reduceat(probabilities, firsts, axis=0)
    return sums / counts[:, None]


def tempered(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities of verdicts with their logarithms divided by a temperature, normalised again.

    What a study calibrates is the verdict of a track, so this comes after the mean over windows;
    the order of genres stays (Guo et al. 2017).

    Parameters
    ----------
    probabilities : array [shape=(..., n_genres)]
        A probability of 0 counts as 1e-12.
    temperature : float
        Positive.

    Raises
    ------
    DataError
        If the temperature is not positive.
    """
    if not temperature > 0:
        raise DataError(f"Expected a positive temperature, got {temperature}.")
    scaled = np.log(np.clip(probabilities, 1e-12, 1.0)) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
