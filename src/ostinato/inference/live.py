"""A running verdict on a sound that never ends: its last 30 s, every second.

    listener = Listener(Classifier.load())
    with AudioStream.from_stream(sys.stdin.buffer) as live:
        for chunk in live.chunks():
            if (said := listener.hear(chunk)) is not None:
                print(said.at_s, said.verdict)

A verdict needs a whole window of the model, 11 to 20 s: it has never learned from less. Until then
the listener says that it is listening. From then on it says what
:meth:`~ostinato.inference.classifier.Classifier.classify` says of the last 30 s, and abstains as it does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ostinato.audio import MIN_SECONDS, Recent
from ostinato.errors import UsageError
from ostinato.features import Waveform
from ostinato.inference.classifier import Classifier
from ostinato.inference.verdict import Verdict

__all__ = ["LISTENING", "Listener", "Said"]

LISTENING = "it is listening, there is too little sound yet"
"""Why there is no verdict before a window is full."""

_MOST_BUSY = 0.5  # of the time; while a verdict is made, what comes must wait in the pipe


class Said(NamedTuple):
    """What a listener says at one moment.

    Attributes
    ----------
    at_s : float
        Seconds of sound since the beginning.
    verdict : Verdict or None
        On the last 30 s of them; None while there is too little sound.
    """

    at_s: float
    verdict: Verdict | None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: those of a verdict, and ``at_s``."""
        if self.verdict is not None:
            return {"at_s": self.at_s, **self.verdict.to_dict()}
        return {
            "at_s": self.at_s,
            "genre": None,
            "probability": 0.0,
            "ranked": [],
            "abstained": LISTENING,
            "seconds": self.at_s,
        }


class Listener:
    """Hears chunks of sound, and says every so often what it makes of the last of them.

    Parameters
    ----------
    classifier : Classifier
        Its ``info.spec`` says the rate of the chunks, and how much is remembered.
    every_s : float
        Seconds of sound from one verdict to the next. It becomes longer where a verdict takes more
        than half of that time, lest what comes in is lost.
    clock : callable
        Time in seconds, for that.

    Raises
    ------
    UsageError
        If ``every_s`` is not a positive number.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 0 < every_s < math.inf:
            raise UsageError(f"Seconds between verdicts: expected more than 0, got {every_s}.")
        info = classifier.info
        spec = info.spec
        window = (info.window_frames - 1) * spec.hop_samples + spec.n_fft
        self.enough_s = min(window / spec.sample_rate_hz, spec.excerpt_seconds)
        self._classifier = classifier
        self._recent = Recent(spec.excerpt_seconds, sample_rate_hz=spec.sample_rate_hz)
        self._every_s = every_s
        self._clock = clock
        self._due_s = every_s

    @property
    def heard_s(self) -> float:
        """Seconds of sound since the beginning."""
        return self._recent.heard_s

    def hear(self, chunk: Waveform) -> Said | None:
        """Take the next samples, and say something where it is time to.

        Parameters
        ----------
        chunk : float32 array [shape=(n_samples,)]
            Mono, at the rate of the model's frames.

        Raises
        ------
        DataError
            If the model's file is damaged.
        """
        self._recent.add(chunk)
        if self.heard_s < self._due_s:
            return None
        began = self._clock()
        said = self._say(self.enough_s)
        took_s = self._clock() - began
        self._due_s = self.heard_s + max(self._every_s, took_s / _MOST_BUSY)
        return said

    def last(self) -> Said:
        """Say what there is to say at the end: also of a sound shorter than a window.

        Raises
        ------
        DataError
            As :meth:`hear`.
        """
        return self._say(MIN_SECONDS)

    def _say(self, enough_s: float) -> Said:
        if self.heard_s < enough_s:
            return Said(self.heard_s, None)
        rate_hz = self._recent.sample_rate_hz
        waveform = self._recent.waveform()
        return Said(
            self.heard_s, self._classifier.classify(waveform=waveform, sample_rate_hz=rate_hz)
        )
