"""Cut the frames of a track into the windows that a model takes.

A model is trained on some windows of a track and judged on all of them
(:func:`ostinato.evaluation.pool_windows`). A track shorter than a window is repeated from its
beginning until the window is full, so that no window holds a silence that the track does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.features.arrays import Frames


def window_starts(n_frames: int, *, length: int, hop: int) -> NDArray[np.int64]:
    """First frames of the windows of a track [shape=(n_windows,)].

    Windows start every ``hop`` frames while a whole one fits; the last one ends with the track. A
    track no longer than a window has one window, from its first frame.

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
    """Windows of a track [shape=(n_windows, length, n_features)]; see :func:`window_starts`."""
    n_frames = frames.shape[0]
    starts = window_starts(n_frames, length=length, hop=hop)
    where = (starts[:, None] + np.arange(length)) % n_frames  # (n_windows, length)
    windows: NDArray[np.float32] = frames[where]
    return windows
