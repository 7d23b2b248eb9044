"""Open a sound for seeking, whatever decodes it, and seek in a chain of streams."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ostinato.audio.chain import Link, check_links, find_links
from ostinato.audio.decode import is_for_soundfile, libsndfile_says, refused_before
from ostinato.audio.samples import AudioError, Waveform
from ostinato.audio.seek import ContainerSeeker, SoundfileSeeker

_MARGIN_S = 0.1  # around what is resampled


def open_seeker(path: Path, name: str) -> SoundfileSeeker | ContainerSeeker | ChainSeeker:
    """Open a file with libsndfile or FFmpeg, whichever suits its first bytes."""
    if not is_for_soundfile(path, name):
        links = find_links(path)
        return ChainSeeker(path, name, links) if links else ContainerSeeker(path, name)
    refusal = None
    try:
        seeker = SoundfileSeeker(path, name)
        if seeker.is_usable:
            return seeker
        seeker.close()
    except soundfile.LibsndfileError as error:
        refusal = libsndfile_says(error)
    with refused_before(refusal):
        return ContainerSeeker(path, name)


class ChainSeeker:
    """Reads stretches of a chained file, each link as a file of its own, at the first's rate."""

    def __init__(self, path: Path, name: str, links: list[Link]) -> None:
        self._path, self._name = path, name
        self._opened: tuple[Link, ContainerSeeker] | None = None
        self.alone: Counter[int] = Counter()
        self._begins: dict[Link, int] = {}  # of those that can be opened, in samples
        self.rate_hz = self._n_samples = 0
        failed: dict[Link, AudioError] = {}
        for link in links:
            try:
                seeker = self._seeker(link)
            except AudioError as error:
                failed[link] = error
                continue
            self.rate_hz = self.rate_hz or seeker.rate_hz
            self._begins[link] = self._n_samples
            self._n_samples += round((seeker.seconds or 0.0) * self.rate_hz)
        check_links(links, failed)
        self.seconds: float | None = self._n_samples / self.rate_hz

    def read(self, first: int, n_samples: int) -> tuple[Waveform, int]:
        """Samples from ``first`` on, fewer at the end, and where they start."""
        parts = [np.zeros(0, np.float32)]
        ends = [*self._begins.values(), self._n_samples][1:]
        for (link, begin), end in zip(self._begins.items(), ends, strict=True):
            n_here = min(first + n_samples, end) - max(first, begin)
            if n_here > 0:
                parts.append(self._read_link(link, max(0, first - begin), n_here))
        return np.concatenate(parts), first

    def _read_link(self, link: Link, first: int, n_samples: int) -> Waveform:
        """Samples of a link, counted at the rate of the chain."""
        seeker = self._seeker(link)
        if seeker.rate_hz == self.rate_hz:
            return seeker.read(first, n_samples)[0]
        # Where a sample of one rate falls on one of the other.
        step = seeker.rate_hz // math.gcd(seeker.rate_hz, self.rate_hz)
        begin = max(0, int((first / self.rate_hz - _MARGIN_S) * seeker.rate_hz) // step * step)
        n_read = math.ceil((n_samples / self.rate_hz + 3 * _MARGIN_S) * seeker.rate_hz) + step
        mono, _ = seeker.read(begin, n_read)
        resampled: Waveform = soxr.resample(mono, seeker.rate_hz, self.rate_hz, quality="HQ")
        skipped = first - begin * self.rate_hz // seeker.rate_hz
        return resampled[skipped : skipped + n_samples]

    def _seeker(self, link: Link) -> ContainerSeeker:
        if self._opened is None or self._opened[0] != link:
            self.close()
            self._opened = link, ContainerSeeker(self._path, self._name, link)
            self._opened[1].alone = self.alone
        return self._opened[1]

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None
