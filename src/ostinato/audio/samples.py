"""Samples as floats, and the checks that every road from sound shares."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import OstinatoError, UsageError
from ostinato.storage import printable

MIN_READABLE = 0.9
"""The part of a file that must be readable: of the stated length, and of its packets."""

Waveform: TypeAlias = NDArray[np.float32]
"""Mono samples, full scale 1.0, not clipped [shape=(n_samples,)]."""

UNKNOWN_BYTES = 0x7F00_0000
"""Sizes from here on mean "not known when the header was written".

SoX to a pipe puts 0x7F000000 in AIFF and about 0x7FFFF000 in WAV, FFmpeg 0xFFFFFFFF.
"""

LARGEST = np.float32(1e30)
"""Samples from here on are as good as infinite: resampling would make them so."""

# A rate outside is a damaged header, and resampling by it could fill the memory.
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 1_000_000
RATES = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz"


class AudioError(OstinatoError):
    """A sound cannot be used; the message says which, and why, in one sentence.

    ``path`` is the file, or ``"<array>"``, ``"<stdin>"`` and the like; ``reason`` is a clause
    without a full stop.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"'{printable(path)}' cannot be used as sound: {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        # Worker processes send their errors home pickled, by default with the message alone.
        return type(self), (self.path, self.reason)


class SilentAudioError(AudioError):
    """All samples of a sound are the same: it is silent from beginning to end."""


def check_rate(name: str, rate_hz: int) -> None:
    """Refuse a rate of samples that no sound has."""
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise AudioError(name, f"expected a sample rate of {RATES}, got {rate_hz}")


def check_target_rate(what: str, rate_hz: int) -> None:
    """Refuse a call that asks for a rate that no sound has."""
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise UsageError(f"{what}: expected {RATES}, got {rate_hz}.")


def check_complete(name: str, *, read_s: float, stated_s: float | None) -> None:
    """Refuse a file of which less than 90 % of its stated length could be read."""
    if stated_s is not None and read_s < MIN_READABLE * stated_s:
        seconds = f"{read_s:.1f} s of the {stated_s:.1f} s"
        reason = f"it is cut short or damaged, only {seconds} that it states could be read"
        raise AudioError(name, reason)


# By kind and bytes, whatever the byte order.
FULL_SCALE = {"u1": 2.0**7, "i1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31}


def as_float(samples: NDArray[np.generic]) -> Waveform:
    """Scale samples of any type to float32 with full scale 1.0: all the scaling that sound gets."""
    scaled = samples.astype(np.float32, copy=False)
    if samples.dtype.kind == "f":
        return scaled
    if samples.dtype.kind == "u":
        scaled = scaled - np.float32(128)
    return scaled * np.float32(1 / FULL_SCALE[samples.dtype.str[1:]])
