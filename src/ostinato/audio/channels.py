"""Mix the channels of a sound; where they cancel each other out, hear the loudest alone.

A recording whose one channel is the other turned over (L = -R, a wrongly wired cable) is silent in
the mean of its channels. So the sound is divided into stretches of 2 s, counted from its first
sample. Where the sum of all channels has almost no energy in a stretch, its loudest channel is
heard; everywhere else the samples are the mean, bit for bit.

Whether a stretch is mixed is told by any 50 ms of it in which the channels do not cancel, which in
music are almost always its first: little is computed, and nothing is held back. An excerpt can
be decided so without the rest of a stretch, and :func:`excerpt` reads the rest where it cannot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from ostinato.audio.samples import Waveform

Channels: TypeAlias = Sequence[Waveform]
"""Samples of every channel, one array a channel [each shape=(n_samples,)]."""

AT_ONCE = 1 << 14
"""Samples that are mixed at once."""

CANCELLED = 10 ** (-18 / 10)
"""Energy of the sum of the channels over the sum of their energies, below which a stretch is
cancelled. It is 1 for channels that have nothing in common, and 0 for L = -R.

Stretches of 17 recordings have at least -2 dB. Of L = -0.98 R, an encoder that knows nothing of it
leaves -20 dB (MP3 at 64 kbit/s) to -35 dB, mostly noise.
"""

_NOT_CANCELLED = 10 ** (-9 / 10)  # of a cell: those of music have -9 dB at least, of noise -11
_QUIET = 1e-6  # energy of a sample: a cell that is quieter is mostly what an encoder left
_CELL_S, _CELLS = 0.05, 40
_AS_LOUD = 10 ** (-0.1 / 10)  # 0.1 dB: of channels that differ less, the first is heard


def downmix(channels: Channels) -> Waveform:
    """Average channels into a new array [shape=(n_samples,)].

    One by one: ``mean(axis=1)`` over a short last axis takes 15 times as long for stereo, almost as
    much as decoding.
    """
    if len(channels) == 1:
        return channels[0].copy()
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        mono: Waveform = channels[0] + channels[1]
        for channel in channels[2:]:
            mono += channel
    mono *= np.float32(1 / len(channels))
    return mono


def joined(blocks: Iterable[Channels]) -> Iterator[Channels]:
    """Put blocks of as many channels together until they have :data:`AT_ONCE` samples or more.

    Frames of MP3 are of 26 ms: one by one they take longer to mix than to decode.
    """
    waiting: list[Channels] = []
    n_waiting = 0
    for channels in blocks:
        if waiting and (n_waiting >= AT_ONCE or len(channels) != len(waiting[0])):
            yield _together(waiting)
            waiting, n_waiting = [], 0
        waiting.append(channels)
        n_waiting += channels[0].size
    if waiting:
        yield _together(waiting)


def _together(blocks: Sequence[Channels]) -> Channels:
    if len(blocks) == 1:
        return blocks[0]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


class Mixer:
    """Mixes blocks of a sound in order, the first of which begins at sample ``at``.

    Attributes
    ----------
    stretch : int
        Length of a stretch, in samples.
    doubtful : dict of int to (int or None)
        The stretches without a cell in which the channels do not cancel, by number, and which
        channel of them was heard, from 0; None: their mix.
    """

    def __init__(self, rate_hz: int, *, at: int = 0) -> None:
        self._cell = max(1, round(_CELL_S * rate_hz))
        self.stretch = _CELLS * self._cell
        self.doubtful: dict[int, int | None] = {}
        self._at = at
        self._is_mixed = False  # the stretch that is going on
        self._waiting: list[tuple[Waveform, Channels]] = []  # and the mix, until that is decided
        self._energies = [0.0, 0.0]  # of a cell's sum, and of its channels
        self._is_whole_cell = at % self._cell == 0

    @property
    def alone(self) -> Counter[int]:
        """Stretches of which one channel was heard: how many, by channel."""
        return Counter(heard for heard in self.doubtful.values() if heard is not None)

    def add(self, channels: Channels) -> Sequence[Waveform]:
        """Take the next samples; return those that are decided."""
        mono = downmix(channels)
        left = self.stretch - self._at % self.stretch  # samples of the stretch that is going on
        is_settled = (self._is_mixed and mono.size < left) or len(channels) == 1
        if is_settled and not self._waiting:
            self._at += mono.size
            return (mono,)
        decided: list[Waveform] = []
        if self._waiting and len(channels) != len(self._waiting[0][1]):
            decided += self.end()
        done = 0
        while done < mono.size:
            n = min(mono.size - done, self.stretch - self._at % self.stretch)
            part = slice(done, done + n)
            decided += self._add(mono[part], [channel[part] for channel in channels])
            done += n
            if self._at % self.stretch == 0:
                decided += self.end()
                self._is_mixed = False
        return decided

    def end(self) -> Sequence[Waveform]:
        """Decide on what is left of a stretch, or of the sound, and return it."""
        if not self._waiting:
            return ()
        waiting, self._waiting = self._waiting, []
        of_sum = len(waiting[0][1]) ** 2 * sum(_energy(mono) for mono, _ in waiting)
        columns = zip(*(channels for _, channels in waiting), strict=True)
        energies = [sum(map(_energy, column)) for column in columns]
        heard = None
        if of_sum < CANCELLED * sum(energies):
            heard = next(i for i, e in enumerate(energies) if e >= _AS_LOUD * max(energies))
        self.doubtful[(self._at - 1) // self.stretch] = heard
        return [mono if heard is None else channels[heard] for mono, channels in waiting]

    def _add(self, mono: Waveform, channels: Channels) -> Sequence[Waveform]:
        """Take samples of one stretch."""
        if self._is_mixed:
            self._at += mono.size
            return (mono,)
        if self._looks_mixed(mono, channels):
            self._is_mixed = True
            waiting, self._waiting = self._waiting, []
            return [*(before for before, _ in waiting), mono]
        if self._waiting or any(channel.any() for channel in channels):
            self._waiting.append((mono, [channel.copy() for channel in channels]))
            return ()
        return (mono,)  # digital silence, whatever is decided

    def _looks_mixed(self, mono: Waveform, channels: Channels) -> bool:
        """Step over samples of one stretch; tell whether they end a cell that does not cancel."""
        is_mixed, done = False, 0
        self._at += mono.size
        first = self._at - mono.size
        while done < mono.size and not is_mixed:
            n = min(mono.size - done, self._cell - (first + done) % self._cell)
            part = slice(done, done + n)
            self._energies[0] += len(channels) ** 2 * _energy(mono[part])
            self._energies[1] += sum(_energy(channel[part]) for channel in channels)
            done += n
            if (first + done) % self._cell == 0:
                of_sum, of_all = self._energies
                is_quiet = of_all < _QUIET * self._cell
                # In this sense, so that NaN is mixed, and refused later.
                is_mixed = self._is_whole_cell and not (
                    is_quiet or of_sum <= _NOT_CANCELLED * of_all
                )
                self._energies, self._is_whole_cell = [0.0, 0.0], True
        return is_mixed


def _energy(samples: Waveform) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        return float(np.dot(samples, samples))


class Read(NamedTuple):
    """Mono samples, where they start, and the mixer that they went through."""

    mono: Waveform
    at: int
    mixer: Mixer


def excerpt(
    read: Callable[[int, int], Read], first: int, n_samples: int, alone: Counter[int]
) -> tuple[Waveform, int]:
    """Read samples as those of a whole sound are mixed, and where they start.

    ``read`` takes the same two numbers. Stretches at either end, of which it cannot decide whether
    they cancel, are read whole. Counted in ``alone`` are the stretches of a channel that was heard.
    """
    mono, at, mixer = read(first, n_samples)
    for number, heard in mixer.doubtful.items():
        begin, end = number * mixer.stretch, (number + 1) * mixer.stretch
        if end <= first or first + n_samples <= begin:
            continue
        if not first <= begin < end <= first + n_samples:
            whole, whole_at, other = read(begin, mixer.stretch)
            low, high = max(at, whole_at), min(at + mono.size, whole_at + whole.size)
            if low < high:
                mono[low - at : high - at] = whole[low - whole_at : high - whole_at]
            heard = other.doubtful.get(number)
        if heard is not None:
            alone[heard] += 1
    return mono, at


def most_heard(alone: Counter[int]) -> int | None:
    """The channel, from 1, that was heard alone most of all; None if none was."""
    return alone.most_common(1)[0][0] + 1 if alone else None
