"""Read a long sound in parts: any stretch of it by seeking, or all of it block by block.

The formats, decoders and scaling are those of :func:`ostinato.audio.load.load_audio`, but memory
does not grow with the length of the sound::

    with open_audio("set.mp3") as sound:
        chorus = sound.excerpt(start_s=61.5, seconds=30.0)
        for block in sound.blocks(seconds=10.0):
            ...

Blocks, put together, are ``load_audio``'s waveform, and an excerpt is a stretch of it.

What ``load_audio`` refuses is refused here when it is found: that it is no sound file, when it is
opened; a NaN, at the latest with the block that holds it; that it is cut short, shorter than 0.5 s,
or silent from end to end, before the last block is given.
"""

from __future__ import annotations

import math
import os
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from ostinato.audio.channels import most_heard
from ostinato.audio.decode import Decoding
from ostinato.audio.load import SAMPLE_RATE, Extremes
from ostinato.audio.piped import spool, stream_name
from ostinato.audio.samples import (
    MIN_READABLE,
    AudioError,
    Waveform,
    check_complete,
    check_target_rate,
)
from ostinato.audio.seek import ContainerSeeker
from ostinato.audio.seek_chain import open_seeker
from ostinato.errors import UsageError

_MARGIN_S = 0.05  # on both sides of an excerpt; the resampler's filter is shorter
_RESAMPLED_AT_ONCE = 1 << 16  # samples: one call for each MP3 frame would cost half as much again


def open_audio(
    source: str | os.PathLike[str] | BinaryIO, *, sample_rate_hz: int = SAMPLE_RATE
) -> AudioFile:
    """Open a sound of any format, rate, width, number of channels and length.

    A stream such as ``sys.stdin.buffer`` is copied to its end into a temporary file, since most
    formats are not read in order; the copy is deleted when the sound is closed.

    Raises
    ------
    AudioError
        If it is missing, not a regular file, unreadable, empty, no sound, without an audio stream,
        or by its own header cut short; if a stream holds more than 8 GiB.
    UsageError
        If ``sample_rate_hz`` is not a rate.

    Examples
    --------
    >>> from ostinato.audio import open_audio
    >>> with open_audio("mix.flac") as sound:
    ...     print(sound.seconds, sound.excerpt(10.0, 2.0).shape)
    14.0 (44100,)
    """
    check_target_rate("The sound's sample rate", sample_rate_hz)
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        return AudioFile(Path(name), name, sample_rate_hz=sample_rate_hz, is_copy=False)
    copy = spool(source)
    try:
        return AudioFile(copy, stream_name(source), sample_rate_hz=sample_rate_hz, is_copy=True)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


class AudioFile:
    """An open sound; use it in a ``with`` statement, or close it. Made by :func:`open_audio`.

    ``seconds`` is the length that the file states, which may be a lie; where it states none (raw
    AAC, MP3 without a length header, Ogg), that of its packets counted; None where neither is
    known.
    """

    def __init__(self, path: Path, name: str, *, sample_rate_hz: int, is_copy: bool) -> None:
        self.name = name
        self.sample_rate_hz = sample_rate_hz
        self._path = path
        self._is_closed = False
        self._seeker = open_seeker(path, name)
        self._alone: Counter[int] = Counter()
        # A copy is deleted even where nobody closes the sound.
        self._forget = weakref.finalize(self, path.unlink, missing_ok=True) if is_copy else None
        self.seconds: float | None = self._seeker.seconds

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def heard_channel(self) -> int | None:
        """The channel, from 1, that was read alone so far, where the mix of all cancels out.

        None where it did not; where there were several, the one that was read most.
        """
        return most_heard(self._alone + self._seeker.alone)

    def close(self) -> None:
        """Close the file; delete the copy of a stream."""
        self._is_closed = True
        self._seeker.close()
        if self._forget is not None:
            self._forget()

    def excerpt(self, start_s: float, seconds: float) -> Waveform:
        """Read a stretch [shape=(n_samples,)] by seeking to it.

        It is shorter where the sound ends, empty behind the end, and may be silent. In a damaged
        file, where samples are missing, times are those that the file tells, and not counted
        through what can be read.

        Raises
        ------
        AudioError
            If the file cannot be decoded there; if nothing is there although by its stated length
            the sound goes on; if samples are NaN or infinite.
        UsageError
            If ``start_s`` is negative, ``seconds`` not positive, or the sound is closed.
        """
        if self._is_closed:
            raise UsageError(f"An excerpt of '{self.name}': expected an open sound, it is closed.")
        if not (math.isfinite(start_s) and start_s >= 0):
            raise UsageError(f"The start of an excerpt: expected 0 s or later, got {start_s}.")
        if not (math.isfinite(seconds) and seconds > 0):
            raise UsageError(f"The length of an excerpt: expected more than 0 s, got {seconds}.")
        begin = round(start_s * self.sample_rate_hz)
        n_samples = round(seconds * self.sample_rate_hz)
        try:
            part = self._read(begin, n_samples)
        except soundfile.LibsndfileError:
            # FFmpeg may pass over what libsndfile gives up at.
            self._seeker.close()
            self._seeker = ContainerSeeker(self._path, self.name)
            part = self._read(begin, n_samples)
        if not part.size and self.seconds is not None and start_s < MIN_READABLE * self.seconds:
            where = f"nothing could be read at {start_s:.1f} s of the {self.seconds:.1f} s"
            raise AudioError(self.name, f"it is cut short or damaged, {where} that it states")
        return part

    def blocks(self, seconds: float) -> Iterator[Waveform]:
        """Read the whole sound in order, independently of excerpts; the last block may be shorter.

        What ``load_audio`` refuses is an AudioError, at the latest before the last block.
        """
        n_samples = round(seconds * self.sample_rate_hz) if math.isfinite(seconds) else 0
        if n_samples < 1:
            raise UsageError(f"The length of a block: expected more than 0 s, got {seconds}.")
        decoding = Decoding(self._path, self.name)
        decoding.alone = self._alone
        return _cut_into(_resampled(decoding, self.sample_rate_hz), n_samples)

    def _read(self, begin: int, n_samples: int) -> Waveform:
        """Read samples at the target's rate, on the grid on which a whole file is resampled."""
        rate_hz, target_hz = self._seeker.rate_hz, self.sample_rate_hz
        if rate_hz == target_hz:
            part, at = self._seeker.read(begin, n_samples)
            return _finite(self.name, part[: max(0, begin + n_samples - at)])
        # Every so many samples of the file, one of the target falls on one of them.
        common = math.gcd(rate_hz, target_hz)
        step, target_step = rate_hz // common, target_hz // common
        margin = math.ceil(_MARGIN_S * rate_hz)
        first = max(0, (begin * rate_hz // target_hz - margin) // step * step)
        last = math.ceil((begin + n_samples) * rate_hz / target_hz) + margin
        part, at = self._seeker.read(first, last - first)
        if not part.size:
            return part
        part = soxr.resample(_finite(self.name, part), rate_hz, target_hz, quality="HQ")
        start = begin - first // step * target_step
        if at > first:  # what is before is missing in the file
            start -= round((at - first) * target_hz / rate_hz)
        return np.ascontiguousarray(part[max(0, start) : max(0, start + n_samples)])


def _finite(name: str, mono: Waveform) -> Waveform:
    if mono.size:
        Extremes(name).add(mono)
    return mono


def _resampled(decoding: Decoding, target_hz: int) -> Iterator[Waveform]:
    """Resample a whole file, in parts as they come; its last part once all of it is checked."""
    name = decoding.name
    extremes = Extremes(name)
    resampler: soxr.ResampleStream | None = None
    held: Waveform | None = None
    for part in _gathered(decoding, _RESAMPLED_AT_ONCE):
        extremes.add(part)
        if held is None and decoding.rate_hz != target_hz:
            resampler = soxr.ResampleStream(decoding.rate_hz, target_hz, 1, quality="HQ")
        if held is not None:
            yield resampler.resample_chunk(held) if resampler else held
        held = part
    read_s = extremes.n_samples / decoding.rate_hz
    check_complete(name, read_s=read_s, stated_s=decoding.stated_s)
    extremes.check_sound(decoding.rate_hz)
    if held is not None:
        yield resampler.resample_chunk(held, last=True) if resampler else held


def _gathered(parts: Iterable[Waveform], n_least: int) -> Iterator[Waveform]:
    """Put parts together until they have ``n_least`` samples or more; the last ones may not."""
    waiting: list[Waveform] = []
    n_waiting = 0
    for part in parts:
        waiting.append(part)
        n_waiting += part.size
        if n_waiting >= n_least:
            yield np.concatenate(waiting)
            waiting, n_waiting = [], 0
    if n_waiting:
        yield np.concatenate(waiting)


def _cut_into(parts: Iterator[Waveform], n_samples: int) -> Iterator[Waveform]:
    """Cut parts of any length into blocks of one length, the last one shorter."""
    rest = np.zeros(0, np.float32)
    for part in _gathered(parts, n_samples):
        joined = np.concatenate([rest, part])
        n_whole = joined.size // n_samples * n_samples
        yield from np.split(joined[:n_whole], n_whole // n_samples) if n_whole else ()
        rest = joined[n_whole:]
    if rest.size:
        yield rest
