"""A running verdict on a sound that does not end: its last 30 s, every second.

    classifier = LiveClassifier(Classifier.load())
    with AudioStream.from_stream(sys.stdin.buffer) as stream:
        for chunk in stream.chunks():
            if (now := classifier.add(chunk)) is not None:
                print(now.at_s, now.verdict)

A verdict needs a whole window of the model, 11 to 20 s: the model never learned from less. From
then on it is that of :meth:`~ostinato.inference.classifier.Classifier.classify` on the last 30 s,
abstentions included.
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

__all__ = ["LISTENING", "LiveClassifier", "LiveVerdict"]

LISTENING = "it is listening, there is too little sound yet"
"""Why there is no verdict before a window is full."""

_MOST_BUSY = 0.5  # share of the time: while a verdict is made, new sound waits in the pipe


class LiveVerdict(NamedTuple):
    """The verdict at one moment."""

    at_s: float  # sound since the beginning
    model: str
    verdict: Verdict | None  # on the last 30 s; None while there is too little sound

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: those of a verdict, and ``at_s``."""
        verdict = self.verdict or Verdict(
            model=self.model, genre=None, abstained=LISTENING, probability=0.0, ranked=(),
            seconds=self.at_s,
        )  # fmt: skip
        return {"at_s": self.at_s, **verdict.to_dict()}


class LiveClassifier:
    """Takes chunks of sound, and gives a verdict on the last 30 s every so often.

    Parameters
    ----------
    every_s : float
        Seconds of sound from one verdict to the next. They become more if a verdict takes longer
        than half of them, so that no sound is lost.
    clock : callable
        Gives the time in seconds, to measure that.

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
        info, spec = classifier.info, classifier.info.spec
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

    def add(self, chunk: Waveform) -> LiveVerdict | None:
        """Take the next samples [shape=(n_samples,)], mono, at the rate of the model's frames.

        Gives a verdict if one is due.
        """
        self._recent.add(chunk)
        if self.heard_s < self._due_s:
            return None
        began = self._clock()
        verdict = self._verdict(self.enough_s)
        took_s = self._clock() - began
        self._due_s = self.heard_s + max(self._every_s, took_s / _MOST_BUSY)
        return verdict

    def last(self) -> LiveVerdict:
        """Give the verdict at the end, even if the sound is shorter than a window."""
        return self._verdict(MIN_SECONDS)

    def _verdict(self, enough_s: float) -> LiveVerdict:
        verdict = None
        if self.heard_s >= enough_s:
            verdict = self._classifier.classify(
                waveform=self._recent.waveform(), sample_rate_hz=self._recent.sample_rate_hz
            )
        return LiveVerdict(self.heard_s, self._classifier.name, verdict)
