"""Waveforms and frames as arrays, and the error where a sound has no frames."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import OstinatoError

Waveform: TypeAlias = NDArray[np.float32]
Frames: TypeAlias = NDArray[np.float32]


class FeatureError(OstinatoError):
    """A sound has no frames: it is too short, constant, not finite, or of the wrong form."""


def check_form(waveform: Waveform) -> None:
    """Refuse what is not a one-dimensional array of float32."""
    if waveform.ndim != 1 or waveform.dtype != np.float32:
        raise FeatureError(
            "Waveform: expected a one-dimensional array of float32 (mono), "
            f"got {waveform.dtype} of shape {waveform.shape}."
        )
