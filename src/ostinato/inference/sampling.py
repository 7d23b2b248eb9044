"""Choose the excerpts of a sound that a model listens to: all of it, or some spread over it.

A sound need not be in memory: a :class:`Sound` gives any part of itself. The quick way takes a few
excerpts, and all or more of them if these leave the genre open; the thorough way takes block after
block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from ostinato.features import Waveform

QUICK_OVER_S = 90.0
"""A longer sound is sampled: excerpts spread over it are taken, unless all is asked for."""

QUICK_SECONDS = 20.0
"""Length of those excerpts. Three of 20 s tell more of a song than two of 30 s."""

SECONDS_AN_EXCERPT = 80.0
"""The quick way takes one excerpt for each so many seconds: at least 3, at most 18."""

CLOSE = 0.15
"""If the two likeliest genres are closer than this after the excerpts, more is heard."""

CLOSE_ODDS = 2 * CLOSE
"""Likewise if the log odds of a genre of a multi-label model are closer to those of its threshold:
near 0.5, as two genres alone that are as close."""

WHOLE_UNDER_S = 1200.0
"""Then a sound of up to this length is heard whole, and more excerpts of a longer one."""

SILENT_DEVIATION = 10 ** (-70 / 20)
"""An excerpt whose samples have a smaller deviation is silent: 70 dB below full scale."""

STEADY_DB = 1.3
"""A sound whose bands change their levels less, in dB, is no music: noise, mains hum, a tone.

On 30 s of such sounds the mean deviation is 0.9 at most; in 20 s of music 2.2 at least, and in 10 s
2.0 (61 tracks of GTZAN and 17 other recordings).
"""

_FEWEST, _MOST = 3, 18
_BANDS, _LOWEST_HZ, _RANGE_DB = 12, 100, 40  # in which changes are looked for
_LOOK_S, _LOOKS_APART = 0.19, 4  # about; a look is a power of two of samples, a quarter of all
_FEWEST_LOOKS = 8
_GOLDEN = (math.sqrt(5) - 1) / 2


class Sound(Protocol):
    """A sound that need not be in memory."""

    @property
    def seconds(self) -> float | None:
        """Its stated length; None if it states none."""

    @property
    def heard_channel(self) -> int | None:
        """The channel, from 1, that was read alone so far, where all cancel each other out."""

    def excerpt(self, start_s: float, seconds: float) -> Waveform:
        """Read a stretch; a shorter one at the end of the sound."""

    def blocks(self, seconds: float) -> Iterator[Waveform]:
        """Read all of it in blocks; AudioError if it cannot be decoded, or is silent."""


def quick_starts(seconds: float) -> list[float]:
    """Starts of the excerpts of the quick way, in seconds.

    Each is in the middle of an equal part of the sound: the beginning and the end, which are often
    unlike the rest, are left out.
    """
    return _middles(seconds, _n_excerpts(seconds))


def closer_starts(seconds: float) -> list[float] | None:
    """Starts of further excerpts, twice as many, two between each two of :func:`quick_starts`.

    None if the sound is so short that all of it should be taken.
    """
    if seconds <= WHOLE_UNDER_S:
        return None
    n = 3 * _n_excerpts(seconds)
    return [start_s for i, start_s in enumerate(_middles(seconds, n)) if i % 3 != 1]


def cut_out(sound: Sound, starts: Iterable[float]) -> Iterator[tuple[float, Waveform]]:
    """Excerpts of :data:`QUICK_SECONDS` from these starts, each with its start in seconds."""
    return ((start_s, sound.excerpt(start_s, QUICK_SECONDS)) for start_s in starts)


def _n_excerpts(seconds: float) -> int:
    return min(max(int(seconds / SECONDS_AN_EXCERPT), _FEWEST), _MOST)


def _middles(seconds: float, n: int) -> list[float]:
    starts: list[float] = ((np.arange(n) + 0.5) / n * seconds - QUICK_SECONDS / 2).tolist()
    return starts


class SoundInMemory:
    """A waveform [shape=(n_samples,)] as a :class:`Sound`."""

    def __init__(
        self, waveform: Waveform, sample_rate_hz: int, *, heard_channel: int | None = None
    ) -> None:
        self._waveform = waveform
        self._rate_hz = sample_rate_hz
        self.heard_channel = heard_channel

    @property
    def seconds(self) -> float:
        """Its length."""
        return self._waveform.size / self._rate_hz

    def excerpt(self, start_s: float, seconds: float) -> Waveform:
        """Cut out a stretch; a shorter one at the end of the sound."""
        first = round(start_s * self._rate_hz)
        return self._waveform[first : first + round(seconds * self._rate_hz)]

    def blocks(self, seconds: float) -> Iterator[Waveform]:
        """Cut all of it into blocks."""
        length = round(seconds * self._rate_hz)
        for first in range(0, self._waveform.size, length):
            yield self._waveform[first : first + length]


def is_silent(piece: Waveform) -> bool:
    """Whether a piece of sound is empty, or deviates less than :data:`SILENT_DEVIATION`."""
    return piece.size == 0 or float(np.std(piece)) < SILENT_DEVIATION


def is_steady(piece: Waveform, sample_rate_hz: int) -> bool:
    """Whether the levels of a piece's bands change less than :data:`STEADY_DB`.

    It is the standard deviation over time of the level, in dB, in bands of equal ratio, the mean
    over those within 40 dB of the loudest. A piece of less than 6 to 8 s is never called steady.
    """
    n = 2 ** round(math.log2(_LOOK_S * sample_rate_hz))
    places = np.arange(piece.size // (_LOOKS_APART * n))
    if places.size < _FEWEST_LOOKS:
        return False
    places = places + places * _GOLDEN % 1 * (1 - 1 / _LOOKS_APART)  # no beat keeps step with them
    starts = (places * _LOOKS_APART * n).astype(int)
    looks = np.lib.stride_tricks.sliding_window_view(piece, n)[starts]  # (looks, n)
    spectra = np.fft.rfft(looks * np.hanning(n).astype(np.float32))  # (looks, n // 2 + 1)
    power = np.square(spectra.real) + np.square(spectra.imag)
    edges_hz = np.geomspace(_LOWEST_HZ, sample_rate_hz / 2, _BANDS + 1)
    edges = (edges_hz * n / sample_rate_hz).astype(int)
    bands = np.add.reduceat(power, edges[:-1], axis=1)  # (looks, bands)
    levels = bands.mean(axis=0)
    heard = bands[:, levels >= levels.max() * 10 ** (-_RANGE_DB / 10)]
    decibels = 10 * np.log10(heard + 1e-9 * bands.max() + np.finfo(np.float32).tiny)
    return float(decibels.std(axis=0).mean()) < STEADY_DB
