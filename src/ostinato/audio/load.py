"""File -> waveform: mono float32 at 22 050 Hz, from any format, with one kind of error.

The first bytes of a file decide who decodes it, never its name. libsndfile (soundfile) reads WAV,
AIFF, AU and FLAC, bit for bit; FFmpeg (PyAV) the rest, and what libsndfile refuses. MP3 and Ogg go
to FFmpeg although libsndfile knows them: it ends a variable-rate MP3 without a length header too
early (2.9 s of 10 s, with no error), its MP3 decoder writes to stderr, and FFmpeg decodes Vorbis
and Opus in about half the time. On MP3 and Vorbis the two agree to 4e-6.

Every waveform is

- mono: the mean of all channels, or the loudest where they cancel each other out
  (:mod:`ostinato.audio.channels`);
- at 22 050 Hz, resampled by soxr at high quality;
- scaled so that full scale is 1.0, and by nothing else: samples beyond [-1, 1] (float files,
  overshoot of lossy codecs and of resampling) stay as they are. A division by the peak is not
  possible where sound is read in parts, and clipping would change frames;
- sound: at least 0.5 s of finite samples that are not all the same.

A file that breaks off is used if at least 90 % of what it states can be read: a missing last frame
does no harm, and a third of a recording does not pass for the whole. Lengths that writers to a pipe
put in place of one they do not know (0, 0xFFFFFFFF, about 2 GiB) state nothing. Raw streams (AAC,
AC-3, MP2, ...) and MP3 without a length header state nothing either (there, 90 % of the packets
must be sound), nor do ASF and MPEG streams, which end where they end. What is missing in an
Ogg is seen by its clock. A decoder that gives no sample for 8 s is given up.

What is longer than memory, or wanted only in part, is read by :mod:`ostinato.audio.file`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import ArrayLike

from ostinato.audio.channels import Mixer, most_heard
from ostinato.audio.decode import Decoding
from ostinato.audio.samples import (
    FULL_SCALE,
    LARGEST,
    AudioError,
    SilentAudioError,
    Waveform,
    as_float,
    check_complete,
    check_rate,
    check_target_rate,
)

SAMPLE_RATE = 22_050
"""Samples a second of every waveform, unless another rate is asked for."""

_ARRAY = "<array>"  # in place of a file's name

MIN_SECONDS = 0.5
"""Anything shorter is an error: it holds too few frames to be music."""


def load_audio(path: str | os.PathLike[str], *, sample_rate_hz: int = SAMPLE_RATE) -> Waveform:
    """Read a sound file of any format, rate, width and number of channels.

    The waveform [shape=(n_samples,)] is contiguous, at the rate asked for.

    Raises
    ------
    AudioError
        If the file is missing, not a regular file, unreadable, empty, no sound, cut short (less
        than 90 % of its stated length), damaged, without an audio stream, without samples, shorter
        than 0.5 s, silent, or holds NaN or infinite samples.
    UsageError
        If ``sample_rate_hz`` is not a rate.

    Examples
    --------
    >>> from ostinato.audio import load_audio
    >>> waveform = load_audio("mix.flac")
    >>> waveform.shape, str(waveform.dtype)
    ((308700,), 'float32')
    """
    check_target_rate("The waveform's sample rate", sample_rate_hz)
    found = decode_audio(path)
    return _finish(os.fspath(path), found.mono, rate_hz=found.rate_hz, target_hz=sample_rate_hz)


class Decoded(NamedTuple):
    """A sound at its own rate."""

    mono: Waveform
    rate_hz: int
    heard_channel: int | None
    """The channel, from 1, that is alone where all cancel each other out; None: they do not."""


def decode_audio(path: str | os.PathLike[str]) -> Decoded:
    """Decode a sound file: the mono mix at the file's own rate.

    The samples are those of the file: not resampled, not scaled, not checked. Errors are those of
    :func:`load_audio` that concern the file.
    """
    name = os.fspath(path)
    decoding = Decoding(Path(name), name)
    mono = np.concatenate(list(decoding))
    check_complete(name, read_s=mono.size / decoding.rate_hz, stated_s=decoding.stated_s)
    return Decoded(mono, decoding.rate_hz, most_heard(decoding.alone))


def waveform_from_array(
    samples: ArrayLike, *, sample_rate_hz: int, target_sample_rate_hz: int = SAMPLE_RATE
) -> Waveform:
    """Turn samples in memory into a waveform, as :func:`load_audio` does with a file.

    The waveform [shape=(n_samples,)] is contiguous, and never the array that was passed in.

    Parameters
    ----------
    samples : array [shape=(n_samples,) or (n_samples, n_channels)]
        Floats (full scale 1.0), or integers of 8, 16 or 32 bits, which are scaled by their range
        (unsigned 8 bits have their zero at 128, as in WAV).

    Raises
    ------
    AudioError
        With the path ``"<array>"``: wrong shape or type, not a rate, shorter than 0.5 s, silent,
        NaN or infinite samples.
    UsageError
        If ``target_sample_rate_hz`` is not a rate.
    """
    check_target_rate("The waveform's sample rate", target_sample_rate_hz)
    found = mixed_array(samples, sample_rate_hz)
    return _finish(_ARRAY, found.mono, rate_hz=found.rate_hz, target_hz=target_sample_rate_hz)


def mixed_array(samples: ArrayLike, sample_rate_hz: int) -> Decoded:
    """Mix samples in memory at their own rate, as :func:`decode_audio` does with a file.

    Errors are those of :func:`waveform_from_array` that concern shape, type and rate.
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or 0 in array.shape:
        shapes = "(n_samples,) or (n_samples, n_channels)"
        raise AudioError(_ARRAY, f"expected samples of shape {shapes}, got {array.shape}")
    if array.dtype.kind != "f" and array.dtype.str[1:] not in FULL_SCALE:
        expected = "floats or integers of 8, 16 or 32 bits"
        raise AudioError(_ARRAY, f"expected {expected}, got {array.dtype}")
    columns = array.reshape(len(array), -1)  # (n_samples, n_channels)
    if columns.shape[0] < columns.shape[1]:
        reason = f"expected shape (n_samples, n_channels), got {array.shape}: is it transposed?"
        raise AudioError(_ARRAY, reason)
    check_rate(_ARRAY, sample_rate_hz)
    mixer = Mixer(sample_rate_hz)
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as such
        blocks = [*mixer.add(list(as_float(columns).T)), *mixer.end()]
    return Decoded(np.concatenate(blocks), sample_rate_hz, most_heard(mixer.alone))


def _finish(name: str, mono: Waveform, *, rate_hz: int, target_hz: int) -> Waveform:
    """Check that mono samples are sound, and resample them."""
    check_rate(name, rate_hz)
    extremes = Extremes(name)
    extremes.add(mono)
    extremes.check_sound(rate_hz)  # before resampling, which would put a ripple at both ends
    if rate_hz != target_hz:
        mono = soxr.resample(mono, rate_hz, target_hz, quality="HQ")
    return np.ascontiguousarray(mono)


class Extremes:
    """Checks block by block that samples are a sound: long enough, finite, not all the same."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._low, self._high = np.inf, -np.inf
        self.n_samples = 0

    def add(self, mono: Waveform) -> None:
        """Take note of the next samples, at least one; refuse NaN, and infinite ones or nearly."""
        low, high = mono.min(), mono.max()  # both are NaN if any sample is
        if not (low > -LARGEST and high < LARGEST):
            raise AudioError(self._name, "it holds samples that are NaN or infinite")
        self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
        self.n_samples += mono.size

    def check_sound(self, rate_hz: int) -> None:
        """Refuse all that was added if it is too short or silent."""
        if self.n_samples < MIN_SECONDS * rate_hz:
            seconds = self.n_samples / rate_hz
            reason = f"it lasts {seconds:.3g} s, at least {MIN_SECONDS} s are needed"
            raise AudioError(self._name, reason)
        if self._low == self._high:
            reason = f"it holds no sound, all samples of its mono mix are {self._low:g}"
            raise SilentAudioError(self._name, reason)
