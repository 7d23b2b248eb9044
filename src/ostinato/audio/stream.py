"""Sound without an end: samples or WAV from a byte stream, or the microphone, as they arrive.

    arecord -t wav -f cd | ...        ffmpeg -i URL -f wav - | ...

Nothing is read ahead and nothing is kept: what has arrived is given at once, mono at 22 050 Hz,
delayed by the resampler alone (some milliseconds), or by up to 2 s where its channels cancel each
other out (:mod:`ostinato.audio.channels`). :class:`Recent` keeps the last 30 s of it. No thread is
used: while a chunk is worked on, the pipe or the sound card's buffer holds what comes::

    recent = Recent()
    with AudioStream.from_stream(sys.stdin.buffer) as live:
        for chunk in live.chunks():
            recent.add(chunk)
            ...

Silence is not an error here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import soxr

from ostinato.audio.channels import Channels, Mixer, most_heard
from ostinato.audio.load import SAMPLE_RATE
from ostinato.audio.piped import stream_name
from ostinato.audio.samples import LARGEST, AudioError, Waveform, check_target_rate
from ostinato.audio.wav_stream import MOST_CHANNELS, READ_S, PcmFormat, arriving, reader, wav_header
from ostinato.errors import UsageError, require

_ENCODINGS: Final = {"s16le": "<i2", "f32le": "<f4"}  # FFmpeg's names, and NumPy's


@dataclass(frozen=True, kw_only=True)
class RawFormat:
    """What a stream of bare samples holds, its 1 to 64 channels interleaved.

    Samples are 16-bit integers (``"s16le"``) or 32-bit floats (``"f32le"``), least byte first.
    """

    encoding: str = "s16le"
    rate_hz: int = 44_100
    n_channels: int = 2

    def __post_init__(self) -> None:
        if self.encoding not in _ENCODINGS:
            known = " or ".join(_ENCODINGS)
            raise UsageError(f"Encoding of live sound: expected {known}, got '{self.encoding}'.")
        check_target_rate("Rate of live sound", self.rate_hz)
        if not 1 <= self.n_channels <= MOST_CHANNELS:
            most = f"1 to {MOST_CHANNELS}"
            raise UsageError(f"Channels of live sound: expected {most}, got {self.n_channels}.")


class AudioStream:
    """Sound as it arrives; use it in a ``with`` statement, or close it.

    Made by :meth:`from_stream` or :meth:`microphone`. Errors call it ``name``; ``rate_hz`` is the
    rate of the samples that arrive, ``sample_rate_hz`` that of the chunks; ``interrupted`` tells
    whether Ctrl-C ended it. ``heard_channel`` is the channel, from 1, that the last chunk is of,
    where all cancel each other out; None if it is of their mix.
    """

    def __init__(
        self,
        name: str,
        parts: Iterator[Channels],
        *,
        rate_hz: int,
        sample_rate_hz: int,
        opened: ExitStack | None = None,
    ) -> None:
        check_target_rate("The chunks' sample rate", sample_rate_hz)
        self.name = name
        self.rate_hz = rate_hz
        self.sample_rate_hz = sample_rate_hz
        self.interrupted = False
        self.heard_channel: int | None = None
        self._parts = parts
        self._opened = opened or ExitStack()

    @classmethod
    def from_stream(
        cls, stream: BinaryIO, raw: RawFormat | None = None, *, sample_rate_hz: int = SAMPLE_RATE
    ) -> AudioStream:
        """Open a byte stream such as ``sys.stdin.buffer``, which stays open at the end.

        Without ``raw`` it is a WAV, whose header is read at once. Sizes in it are believed if they
        are above 0 and below 0x7F000000: others mean "not known yet".

        Raises
        ------
        AudioError
            If it cannot be read, or is no WAV of integers or floats.
        UsageError
            If ``sample_rate_hz`` is not a rate.
        """
        name = stream_name(stream)
        read = reader(stream, name)
        if raw is None:
            pcm = wav_header(read, name)
        else:
            pcm = PcmFormat(_ENCODINGS[raw.encoding], raw.rate_hz, raw.n_channels)
        parts = arriving(read, pcm)
        return cls(name, parts, rate_hz=pcm.rate_hz, sample_rate_hz=sample_rate_hz)

    @classmethod
    def microphone(
        cls, device: int | str | None = None, *, sample_rate_hz: int = SAMPLE_RATE
    ) -> AudioStream:
        """Open a microphone, with the package sounddevice (extra ``live``).

        ``device`` is its number or part of its name, as ``python -m sounddevice`` lists them.

        Raises
        ------
        MissingExtraError
            If sounddevice is not installed.
        AudioError
            If there is no such microphone, or it cannot be opened.
        """
        name = "<microphone>"
        try:
            sounddevice = require("sounddevice", extra="live", needed_for="Hearing a microphone")
        except OSError as error:  # the package is there, the library PortAudio is not
            raise AudioError(name, f"sounddevice cannot be loaded ({error})") from error
        opened = ExitStack()
        try:
            rate_hz = round(sounddevice.query_devices(device, "input")["default_samplerate"])
            stream = opened.enter_context(
                sounddevice.InputStream(
                    device=device, channels=1, dtype="float32", samplerate=rate_hz
                )
            )
        except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no such name
            raise AudioError(name, f"it cannot be opened ({error})") from error

        def parts() -> Iterator[Channels]:
            while True:
                try:
                    samples, _ = stream.read(round(READ_S * rate_hz))
                except sounddevice.PortAudioError as error:
                    raise AudioError(name, f"it gives no more sound ({error})") from error
                yield [samples[:, 0].copy()]

        return cls(name, parts(), rate_hz=rate_hz, sample_rate_hz=sample_rate_hz, opened=opened)

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the microphone; a stream stays open."""
        self._opened.close()

    def chunks(self) -> Iterator[Waveform]:
        """Yield sound as it arrives, about 0.1 s at a time, never empty [shape=(n_samples,)].

        Ctrl-C while it waits for sound ends it as the end of a stream does, so that a last verdict
        can be given, and sets ``interrupted``.

        Raises
        ------
        AudioError
            If samples are NaN or infinite, the stream breaks, or ends before its first sample.
        """
        resampler: soxr.ResampleStream | None = None
        if self.rate_hz != self.sample_rate_hz:
            resampler = soxr.ResampleStream(self.rate_hz, self.sample_rate_hz, 1, quality="HQ")
        is_empty = True
        for part in self._mixed():
            if not (np.abs(part) < LARGEST).all():
                reason = "it holds samples that are NaN or infinite: is its format right"
                raise AudioError(self.name, reason)
            is_empty = False
            chunk = resampler.resample_chunk(part) if resampler else part
            if chunk.size:
                yield chunk
        if is_empty and not self.interrupted:
            raise AudioError(self.name, "it ended before its first sample")
        if resampler is not None:
            rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            if rest.size:
                yield rest

    def _mixed(self) -> Iterator[Waveform]:
        mixer = Mixer(self.rate_hz)
        while True:
            channels = self._next()
            mixer.doubtful.clear()  # it would grow for ever
            for block in mixer.end() if channels is None else mixer.add(channels):
                self.heard_channel = most_heard(mixer.alone)
                yield block
            if channels is None:
                return

    def _next(self) -> Channels | None:
        try:
            return next(self._parts, None)
        except KeyboardInterrupt:
            self.interrupted = True
            return None


class Recent:
    """The last seconds of a live sound, by default an excerpt's 30 s."""

    def __init__(self, seconds: float = 30.0, *, sample_rate_hz: int = SAMPLE_RATE) -> None:
        n_samples = round(seconds * sample_rate_hz) if 0 < seconds < float("inf") else 0
        if n_samples < 1:
            raise UsageError(f"Seconds of sound to be kept: expected more than 0, got {seconds}.")
        self.sample_rate_hz = sample_rate_hz
        self._ring = np.zeros(n_samples, np.float32)
        self._n_heard = 0

    @property
    def heard_s(self) -> float:
        """Length of all that was added, in seconds."""
        return self._n_heard / self.sample_rate_hz

    def add(self, chunk: Waveform) -> None:
        """Take the next samples; the oldest go."""
        n = self._ring.size
        kept = chunk[-n:]
        at = (self._n_heard + chunk.size - kept.size) % n
        until_end = min(kept.size, n - at)
        self._ring[at : at + until_end] = kept[:until_end]
        self._ring[: kept.size - until_end] = kept[until_end:]
        self._n_heard += chunk.size

    def waveform(self) -> Waveform:
        """Copy what is kept, oldest first [shape=(n_samples,)]; shorter until there is enough."""
        n = self._ring.size
        if self._n_heard < n:
            return self._ring[: self._n_heard].copy()
        return np.roll(self._ring, -(self._n_heard % n))
