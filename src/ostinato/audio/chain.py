"""Streams one behind the other in one file, as recordings of Internet radio are.

Ogg allows them ("chained"): each link has headers of its own, its own clock, and perhaps another
rate, other channels or another codec. FFmpeg follows some of them and refuses others, and its clock
jumps where a link begins. So each link is decoded as a file of its own. In raw MP3 and AAC, files
put together are one stream, whose frames may change their rate.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soxr

from ostinato.audio.channels import Channels
from ostinato.audio.samples import MIN_READABLE, AudioError, check_rate

if TYPE_CHECKING:
    from av import AudioFrame

_OGG = b"OggS"
# The page that begins a stream: the mark, version 0, and flags of which the second bit is set.
_BEGINS = re.compile(rb"OggS\0[\x02\x03\x06\x07]", re.DOTALL)
_READ_BYTES = 1 << 20
_PAGE_HEAD_BYTES = 27 + 255
_MOST_RATIO = 24  # of 192 to 8 kHz; more is damage, and would fill the memory
_MOST_LINKS = 10_000  # a day of radio has some hundred; more is damage, and FFmpeg's to refuse


class Link(NamedTuple):
    """A stretch of a file that is a stream of its own, in bytes."""

    begin: int
    end: int

    def url(self, path: str) -> str:
        """The link as FFmpeg opens it."""
        return f"subfile,,start,{self.begin},end,{self.end},,:file:{path}"


def find_links(path: Path) -> list[Link]:
    """Find the links of a chained Ogg file; of any other file none."""
    with path.open("rb") as file:
        if file.read(len(_OGG)) != _OGG:
            return []
        file.seek(0)
        begins: list[int] = []
        page_ends = -1  # where the last first page ends: streams side by side begin together
        at, kept = 0, b""
        while (data := file.read(_READ_BYTES)) and len(begins) <= _MOST_LINKS:
            window = kept + data
            for found in _BEGINS.finditer(window):
                place = at - len(kept) + found.start()
                if place != page_ends:
                    begins.append(place)
                page_ends = place + _page_bytes(path, place)
            at += len(data)
            kept = window[-(len(_OGG) + 1) :]
        size = at
    if not 1 < len(begins) <= _MOST_LINKS:
        return []
    begins[0] = 0
    return [Link(*edges) for edges in zip(begins, [*begins[1:], size], strict=True)]


def check_links(links: list[Link], failed: dict[Link, AudioError]) -> None:
    """Raise the first error where links are broken that make up a tenth of the file or more."""
    n_failed = sum(link.end - link.begin for link in failed)
    if n_failed > (1 - MIN_READABLE) * links[-1].end:
        raise next(iter(failed.values()))


def _page_bytes(path: Path, place: int) -> int:
    """Length of the page of Ogg that begins here."""
    with path.open("rb") as file:
        file.seek(place)
        head = file.read(_PAGE_HEAD_BYTES)
    n_segments = head[26] if len(head) > 26 else 0
    return 27 + n_segments + sum(head[27 : 27 + n_segments])


class OggClock:
    """Compares the clock of a stream in Ogg with the samples that are decoded of it.

    What is missing is seen by it. Frames before the second page may be told a wrong time (FLAC),
    and a stream that was recorded from its 34th second on begins there.
    """

    def __init__(self) -> None:
        self._n_samples = 0
        self._differences_s: list[float] = []  # of clock and count
        self._last: AudioFrame | None = None

    def add(self, frame: AudioFrame) -> None:
        """Take the next frame."""
        if frame.pts is not None:
            self._last = frame
            if len(self._differences_s) < N_FIRST_OGG and frame.time_base is not None:
                count_s = self._n_samples / frame.sample_rate
                self._differences_s.append(float(frame.pts * frame.time_base) - count_s)
        self._n_samples += frame.samples

    def span_s(self) -> float | None:
        """From sample 0 to behind the last one, by the clock, in seconds."""
        if (last := self._last) is None or last.pts is None or last.time_base is None:
            return None
        end_s = float(last.pts * last.time_base) + last.samples / last.sample_rate
        return end_s - clock_at_0(self._differences_s)


N_FIRST_OGG = 64
"""Frames of Ogg by which clock and count are compared: more than are on a page."""


def clock_at_0(differences: Sequence[float]) -> float:
    """What a clock says at sample 0, by its difference from the count at each first frame."""
    return statistics.median(differences[len(differences) // 2 :])


class OneRate:
    """Brings blocks of changing rates to the rate of the first; that one's stay as they are."""

    def __init__(self, name: str, rate_hz: int = 0) -> None:
        self.rate_hz = rate_hz  # 0 until it is known
        self._name = name
        self._now = rate_hz, 0  # rate and number of channels that the resampler takes
        self._resampler: soxr.ResampleStream | None = None

    def add(self, channels: Channels, rate_hz: int) -> list[Channels]:
        """Take a block; give what is ready of it, behind the rest of what was before."""
        if rate_hz == self.rate_hz == self._now[0]:
            return [channels]
        ready: list[Channels] = []
        if self._now != (rate_hz, len(channels)):
            ready = self.rest()
            self._change_to(rate_hz, len(channels))
        return ready + (self._resampled(channels) if self._resampler else [channels])

    def rest(self) -> list[Channels]:
        """Give what the resampler still holds; the next block begins anew."""
        ready = self._resampled([]) if self._resampler else []
        self._resampler, self._now = None, (self.rate_hz, 0)
        return ready

    def _change_to(self, rate_hz: int, n_channels: int) -> None:
        check_rate(self._name, rate_hz)
        self.rate_hz = self.rate_hz or rate_hz
        self._now = rate_hz, n_channels
        if max(rate_hz, self.rate_hz) > _MOST_RATIO * min(rate_hz, self.rate_hz):
            rates = f"from {self.rate_hz} to {rate_hz} Hz"
            raise AudioError(self._name, f"its sample rate changes {rates}")
        if rate_hz != self.rate_hz:
            self._resampler = soxr.ResampleStream(rate_hz, self.rate_hz, n_channels, quality="HQ")

    def _resampled(self, channels: Channels) -> list[Channels]:
        """Resample a block, or without one the last of what was before."""
        assert self._resampler is not None
        n_channels = self._now[1]
        block = np.zeros((0, n_channels), np.float32)
        if channels:
            block = np.stack(channels, axis=1)  # (n_samples, n_channels)
        block = self._resampler.resample_chunk(block, last=not channels)
        block = block.reshape(-1, n_channels)  # one channel comes without an axis of its own
        return [[np.ascontiguousarray(column) for column in block.T]] if block.size else []
