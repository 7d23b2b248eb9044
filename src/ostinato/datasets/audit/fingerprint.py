"""Fingerprints of sound: pairs that may hold the same recording, and their similarity.

The **image** of a sound is its log-mel bands up to 7.2 kHz, smoothed by 16 cepstral coefficients,
each in units of its deviation.

Each frame has a **fingerprint**. The image of the 40 frames (3.1 s) from there on is multiplied
with 5 smooth waves in time and 8 in frequency; the signs of the products are one number of 40 bits.
That is the sub-fingerprint of [1]_ (signs of differences of band energies, and an index of equal
ones), with the wider, smoother patterns of [2]_ in place of differences of neighbours, because
frames are 77.5 ms apart here and 11.6 ms there: a copy that is shifted by half a frame must keep
its signs. For the same reason each frame has a second number, for the place half-way to the next.

**Candidates** are pairs that have equal numbers at two frames that are not neighbours, at one time
offset. Numbers are sorted, and each is compared with at most :data:`MOST_NEIGHBOURS` equal ones, so
the cost grows with n log n.

**Similarity** of a candidate is the correlation of the two images in blocks of 5 s, each shifted to
where it fits best (a copy that runs 2 % faster drifts by 0.1 s within one), averaged over up to
20 s around the frames that agree.

References
----------
.. [1] J. Haitsma, T. Kalker, "A highly robust audio fingerprinting system", ISMIR 2002.
.. [2] Y. Ke, D. Hoiem, R. Sukthankar, "Computer vision for music identification", CVPR 2005.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ostinato.features import Frames, log_mel_from_mfcc, mfcc_from_log_mel

WINDOW_FRAMES = 40
N_TIME_WAVES, N_FREQUENCY_WAVES = 5, 8
MOST_NEIGHBOURS = 32
MIN_SPREAD = 4
"""Frames between the first and the last that agree: the windows of neighbours overlap, and agree by
chance together."""

# 40 coefficients tell no more than 40 bands do. The 35 lowest reach 7.2 kHz: above, a copy that
# went through 16 kHz or a low bit rate has lost what the original has.
_N_BANDS, _N_BANDS_KEPT = 40, 35
# Coefficients kept of these, each in units of its deviation over GTZAN's tracks (time mean removed)
_DEVIATIONS = np.array(
    [2.37, .99, .81, .63, .51, .46, .41, .40, .39, .36, .35, .35, .35, .34, .35, .35],
    dtype=np.float32,
)  # fmt: skip
N_COEFFICIENTS = len(_DEVIATIONS)
_STEPS = 24  # of the 8-bit image, a deviation: it reaches to 5.3 deviations either way

_BLOCK, _SPAN, _SEARCH = 64, 256, 6  # frames: 5 s, 20 s, 0.5 s
_FLATTEST = 0.1  # deviations; the signs of a window that varies less are chance
_PART = 1 << 23  # numbers sorted at a time, so that memory is spent on numbers, not on sorting
_OFFSET_TOLERANCE = 4  # frames between offsets that count as one

Image = NDArray[np.int8]


def _time_waves() -> NDArray[np.float32]:
    """Half-cycle cosines under an arch, without their mean [shape=(window, n_time_waves)]."""
    t = (np.arange(WINDOW_FRAMES) + 0.5) / WINDOW_FRAMES
    waves = np.stack(
        [np.cos(np.pi * m * t) * np.sin(np.pi * t) for m in range(1, N_TIME_WAVES + 1)], axis=1
    )
    waves -= waves.mean(axis=0)
    return np.asarray(waves / np.linalg.norm(waves, axis=0), dtype=np.float32)


_WAVES = _time_waves()
_BITS = 1 << np.arange(N_TIME_WAVES * N_FREQUENCY_WAVES, dtype=np.int64)


def coefficients(mfcc: Frames) -> NDArray[np.float32]:
    """The image [shape=(n_frames, 16)], without its mean over time, from 40 MFCC a frame."""
    bands = log_mel_from_mfcc(mfcc[:, :_N_BANDS], _N_BANDS)[:, :_N_BANDS_KEPT]
    cepstrum = mfcc_from_log_mel(bands, N_COEFFICIENTS) * np.float32(np.sqrt(_N_BANDS / 128))
    centred: NDArray[np.float32] = (cepstrum - cepstrum.mean(axis=0)) / _DEVIATIONS
    return centred


def numbers(image: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fingerprints at each frame, and half-way to the next [shape=(n_frames - 39,) each].

    -1 where nothing changes, and for the last one half-way.
    """
    if len(image) < WINDOW_FRAMES:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    windows = sliding_window_view(image[:, :N_FREQUENCY_WAVES], WINDOW_FRAMES, axis=0)
    products = (windows @ _WAVES).reshape(len(windows), -1)  # (n, 8 * 5)
    varies = np.square(products).mean(axis=1) > _FLATTEST**2
    at = np.where(varies, (products > 0) @ _BITS, -1)
    between = np.full_like(at, -1)
    both = varies[1:] & varies[:-1]
    between[:-1] = np.where(both, (products[1:] + products[:-1] > 0) @ _BITS, -1)
    return at, between


@dataclass(frozen=True)
class Candidate:
    """Two entries (positions, a < b), a frame of a that agrees, and its place less that in b."""

    a: int
    b: int
    frame: int
    offset: int


@dataclass(frozen=True)
class Likeness:
    """Correlation of two images, at most 1, and where b begins in a, in frames."""

    similarity: float
    offset: float


@dataclass
class Index:
    """Fingerprints and images of entries, in the order they were added: 12 kB for 30 s of sound."""

    images: list[Image] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    _at: list[NDArray[np.int64]] = field(default_factory=list)
    _between: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, mfcc: Frames) -> NDArray[np.float32]:
        """Add the frames [shape=(n_frames, 40)] of an entry; return its image."""
        image = coefficients(mfcc)
        at, between = numbers(image)
        self._at.append(at)
        self._between.append(between)
        self.images.append(np.clip(np.rint(image * _STEPS), -127, 127).astype(np.int8))
        self.digests.append(hashlib.blake2b(mfcc.tobytes(), digest_size=16).digest())
        return image

    def __len__(self) -> int:
        return len(self.images)

    def candidates(self) -> list[Candidate]:
        """Pairs that have equal numbers at frames apart from each other, at one time offset."""
        codes, offsets, frames = self._votes()
        if not codes.size:
            return []
        order = np.lexsort((frames, offsets, codes))
        codes, offsets, frames = codes[order], offsets[order], frames[order]
        # One ascending key of pair and offset, so that a window of offsets is a range of rows.
        pairs, rank = np.unique(codes, return_inverse=True)
        reach = int(offsets.max()) - int(offsets.min()) + _OFFSET_TOLERANCE + 1
        key = rank * reach + (offsets - offsets.min())
        end = np.searchsorted(key, key + _OFFSET_TOLERANCE, side="right")
        n_votes = end - np.arange(key.size)
        by_votes = np.lexsort((n_votes, rank))
        best = by_votes[np.searchsorted(rank, np.arange(pairs.size), side="right") - 1]
        found = []
        for row in best[n_votes[best] > 1].tolist():
            rows = slice(row, int(end[row]))
            if np.ptp(frames[rows]) < MIN_SPREAD:
                continue
            a, b = divmod(int(codes[row]), len(self))
            found.append(Candidate(a, b, *(int(np.median(x[rows])) for x in (frames, offsets))))
        return found

    def likeness(self, pair: Candidate) -> Likeness:
        """Compare the images of a candidate around the frame that agrees."""
        a, b = self.images[pair.a], self.images[pair.b]
        begin, end = max(0, pair.offset), min(len(a), len(b) + pair.offset)  # of what they share
        begin = max(begin, min(pair.frame - _SPAN // 2, end - _SPAN))
        end = min(end, begin + _SPAN)
        similarities, shifts = [], []
        for first in range(begin, max(begin + 1, end - _BLOCK + 1), _BLOCK // 2):
            block = a[first : min(first + _BLOCK, end)].astype(np.float32)
            fits, shift = _best_fit(block, b, first - pair.offset)
            similarities.append(fits)
            shifts.append(shift)
        return Likeness(float(np.mean(similarities)), pair.offset - float(np.median(shifts)))

    def _votes(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Pair (a * n + b), offset, and frame of a, for every two equal numbers."""
        n_each = np.array([at.size for at in self._at], dtype=np.int64)
        owner = np.repeat(np.arange(len(self), dtype=np.int32), n_each)
        first = np.cumsum(n_each) - n_each
        codes = [np.empty(0, dtype=np.int64)]
        offsets, frames = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int32)]
        every = np.concatenate([*self._at, *self._between]) if len(self) else np.empty(0, np.int64)
        for x, y in _equal(every):
            both_between = (x >= owner.size) & (y >= owner.size)  # says nothing new
            x, y = x[~both_between] % owner.size, y[~both_between] % owner.size
            differ = owner[x] != owner[y]
            x, y = np.minimum(x, y)[differ], np.maximum(x, y)[differ]  # owners ascend
            a, b = owner[x], owner[y]
            codes.append(a.astype(np.int64) * len(self) + b)
            frames.append((x - first[a]).astype(np.int32))
            offsets.append(frames[-1] - (y - first[b]).astype(np.int32))
        return np.concatenate(codes), np.concatenate(offsets), np.concatenate(frames)


def _equal(every: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of equal numbers, each with up to MOST_NEIGHBOURS of those sorted next to it."""
    n_parts = 1 + every.size // _PART
    part = (every % n_parts).astype(np.int16)  # equal numbers are in one part
    for i in range(n_parts):
        where = np.flatnonzero((part == i) & (every >= 0))
        where = where[np.argsort(every[where], kind="stable")]
        sorted_numbers = every[where]
        for distance in range(1, MOST_NEIGHBOURS + 1):
            same = np.flatnonzero(sorted_numbers[distance:] == sorted_numbers[:-distance])
            if not same.size:
                break
            yield where[same], where[same + distance]


def _best_fit(block: NDArray[np.float32], image: Image, place: int) -> tuple[float, float]:
    """Highest correlation of a block with an image near a place, and how far from it, in frames.

    Shifts are tried in steps of half a frame, those between two frames on their mean.
    """
    n = len(block)
    low = max(0, place - _SEARCH)
    near = image[low : min(len(image), place + n + _SEARCH)].astype(np.float32)
    if len(near) < n:
        return 0.0, 0.0
    fine = np.empty((2 * len(near) - 1, near.shape[1]), dtype=np.float32)
    fine[::2] = near
    fine[1::2] = (near[1:] + near[:-1]) / 2
    windows = sliding_window_view(fine, 2 * n - 1, axis=0)[:, :, ::2]  # (shift, coefficient, n)
    windows = windows - windows.mean(axis=2, keepdims=True)
    block = (block - block.mean(axis=0)).T  # (coefficient, n)
    products = np.tensordot(windows, block, axes=2)
    norms = np.linalg.norm(windows.reshape(len(windows), -1), axis=1) * np.linalg.norm(block)
    fits = products / np.maximum(norms, 1e-6)
    best = int(np.argmax(fits))
    return float(fits[best]), low + best / 2 - place
