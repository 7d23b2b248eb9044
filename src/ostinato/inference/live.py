"""A running verdict on a sound that does not end: its last 30 s, every second.

    classifier = LiveClassifier(Classifier.load())
    with AudioStream.from_stream(sys.stdin.buffer) as stream:
        for chunk in stream.chunks():
            if (now := classifier.add(chunk)) is not None:
                print(now.at_s, now.verdict)

A verdict is that of :meth:`~ostinato.inference.classifier.Classifier.classify` on the last 30 s,
abstentions included. The first one comes after 10 s of sound. It is early until a whole window of
the model is full, 30 s by default, 20 s with musicnn: the model never learned from less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ostinato.audio import MIN_SECONDS, Recent
from ostinato.errors import UsageError
from ostinato.features import Waveform
from ostinato.inference.classifier import Classifier
from ostinato.inference.verdict import Verdict, too_short

__all__ = ["FIRST_S", "LISTENING", "LiveClassifier", "LiveVerdict"]

FIRST_S = 10.0
"""Seconds of sound before the first verdict: fewer if the model's windows are shorter, and more if
a third of a window is longer, which the model needs."""

LISTENING = "it is listening, there is too little sound yet"
"""Why there is no verdict before the first."""

_MOST_BUSY = 0.5  # share of the time: while a verdict is made, new sound waits in the pipe


class LiveVerdict(NamedTuple):
    """The verdict at one moment."""

    at_s: float  # sound since the beginning
    early: bool  # whether that is less than a window of the model
    model: str
    model_version: str | None
    verdict: Verdict | None  # on the last 30 s; None while there is too little sound

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: those of a verdict, ``at_s`` and ``early``."""
        verdict = self.verdict or _nothing_heard(
            self.model, self.model_version, self.at_s, LISTENING
        )
        return {"at_s": self.at_s, "early": self.early, **verdict.to_dict()}


def _nothing_heard(model: str, version: str | None, seconds: float, why: str) -> Verdict:
    return Verdict(
        model=model, model_version=version, genre=None, abstained=why, probability=0.0, ranked=(),
        seconds=seconds,
    )  # fmt: skip


class LiveClassifier:
    """Takes chunks of sound, and gives a verdict on the last 30 s every so often.

    Parameters
    ----------
    every_s : float
        Seconds of sound from one verdict to the next. They become more if a verdict takes longer
        than half of them, so that no sound is lost.
    clock : callable
        Gives the time in seconds, to measure that.

    Attributes
    ----------
    first_s : float
        Seconds of sound until the first verdict, however many there are between verdicts.
    enough_s : float
        Seconds of sound until verdicts are no longer early.

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
        self.enough_s = info.window_s
        self.first_s = min(self.enough_s, max(FIRST_S, info.shortest_s))
        self._classifier = classifier
        self._recent = Recent(spec.excerpt_seconds, sample_rate_hz=spec.sample_rate_hz)
        self._every_s = every_s
        self._clock = clock
        self._due_s = min(every_s, self.first_s)
        self._alone: tuple[int, float] | None = None  # the channel heard last, and until when

    @property
    def heard_s(self) -> float:
        """Seconds of sound since the beginning."""
        return self._recent.heard_s

    def add(self, chunk: Waveform, *, heard_channel: int | None = None) -> LiveVerdict | None:
        """Take the next samples [shape=(n_samples,)], mono, at the rate of the model's frames.

        Gives a verdict if one is due. ``heard_channel`` is what
        :class:`~ostinato.audio.AudioStream` says of the chunk.
        """
        self._recent.add(chunk)
        if heard_channel is not None:
            self._alone = heard_channel, self.heard_s
        if self.heard_s < self._due_s:
            return None
        if self.heard_s < self.first_s:
            self._due_s = min(self.heard_s + self._every_s, self.first_s)
            return self._now(None)
        began = self._clock()
        verdict = self._classify()
        took_s = self._clock() - began
        self._due_s = self.heard_s + max(self._every_s, took_s / _MOST_BUSY)
        return self._now(verdict)

    def last(self) -> LiveVerdict:
        """Give the verdict at the end, which may be that the sound is too short."""
        if self.heard_s < MIN_SECONDS:
            why = too_short(self.heard_s, self._classifier.info)
            name, version = self._classifier.name, self._classifier.info.version or None
            return self._now(_nothing_heard(name, version, self.heard_s, why))
        return self._now(self._classify())

    def _classify(self) -> Verdict:
        recent = self._recent.waveform()
        rate_hz = self._recent.sample_rate_hz
        verdict = self._classifier.classify(waveform=recent, sample_rate_hz=rate_hz)
        channel, until_s = self._alone or (None, 0.0)
        is_in_it = self.heard_s - until_s < recent.size / rate_hz
        return replace(verdict, heard_channel=channel if is_in_it else None)

    def _now(self, verdict: Verdict | None) -> LiveVerdict:
        is_early = self.heard_s < self.enough_s
        by = self._classifier
        return LiveVerdict(self.heard_s, is_early, by.name, by.info.version or None, verdict)
