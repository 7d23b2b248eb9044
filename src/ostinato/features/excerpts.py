"""Cut a sound into excerpts, held in memory or block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ostinato.features.arrays import Waveform, check_form
from ostinato.features.spec import FeatureSpec

EXCERPT_TOLERANCE = 0.05
"""A last piece longer than an excerpt by this share is kept whole."""


def excerpts(waveform: Waveform, spec: FeatureSpec) -> list[Waveform]:
    """Cut a waveform into excerpts of ``spec.excerpt_seconds``.

    A shorter waveform is one excerpt. The last excerpt of a longer one ends with the sound and may
    overlap the one before it; a last piece of up to 5 % more than an excerpt is kept whole (GTZAN's
    tracks of "30 s" last 29.9 to 30.7 s, and are one excerpt each). Every sample is in an excerpt.

    Raises
    ------
    FeatureError
        If ``waveform`` is not one-dimensional float32.
    """
    check_form(waveform)
    return [excerpt for _, excerpt in streamed_excerpts([waveform], spec)]


def streamed_excerpts(
    blocks: Iterable[Waveform], spec: FeatureSpec
) -> Iterator[tuple[float, Waveform]]:
    """Cut a sound that arrives in blocks of any lengths, as :func:`excerpts` cuts a whole one.

    Yields each excerpt with its start in seconds; two excerpts and a block are in memory at most.
    """
    length = spec.excerpt_samples
    longest = length + int(EXCERPT_TOLERANCE * length)
    first = 0
    before = rest = np.zeros(0, dtype=np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block]) if rest.size else block
        while rest.size > longest:
            before, rest = rest[:length], rest[length:]
            yield first / spec.sample_rate_hz, before
            first += length
    if before.size and rest.size < length:
        first -= length - rest.size
        rest = np.concatenate([before[rest.size :], rest])
    yield first / spec.sample_rate_hz, rest
