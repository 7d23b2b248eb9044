"""A verdict: the genre of a sound, how likely it is, or why the model abstains.

Axes: E excerpts, G genres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import apply_temperature
from ostinato.inference.model_info import ModelInfo

SILENT = "it is silent"
UNLIKE = "it is unlike the music that the model learned from"
UNSURE = "no genre is likely enough"


def too_short(seconds: float, info: ModelInfo) -> str:
    """Why there is no verdict on less than :attr:`ModelInfo.shortest_s`, as a clause.

    Both are rounded to tenths, and never look alike.
    """
    needs = math.ceil(10 * info.shortest_s) / 10
    lasts = min(seconds, needs - 0.1)
    return f"it is too short to be judged: {lasts:.1f} s, the model needs {needs:g} s"


class Stretch(NamedTuple):
    """An excerpt of a sound, and its probabilities in the order of the genres."""

    start_s: float
    end_s: float
    probabilities: tuple[float, ...]


class Segment(NamedTuple):
    """A part of a sound with one verdict throughout; None if the model abstains."""

    start_s: float
    end_s: float
    genre: str | None
    probability: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The genre that a model gives a sound.

    Attributes
    ----------
    model : str
        The model's name.
    model_version : str or None
        Its version; None if its file states none.
    genre : str or None
        None if the model abstains.
    abstained : str or None
        Why it abstains, as a clause; None if it does not.
    probability : float
        The likeliest genre's probability; 0 if the sound is silent or steady throughout.
    ranked : tuple of (str, float)
        Every genre with its probability, the likeliest first; empty if the sound is silent or
        steady throughout.
    seconds : float
        How long the sound lasts.
    timeline : tuple of Stretch
        The excerpts that were listened to, in order of time, without silent and steady ones.
    genres : tuple of str
        The order of the probabilities in ``timeline``.
    distance : float or None
        From what the model learned from; None if the model does not measure it.
    threshold : float or None
        The probability below which the model abstains.
    heard_channel : int or None
        The channel, from 1, that was heard where all channels cancel each other out and their mix
        is silent; None if the mix was heard throughout.
    """

    model: str
    genre: str | None
    abstained: str | None
    probability: float
    ranked: tuple[tuple[str, float], ...]
    seconds: float
    timeline: tuple[Stretch, ...] = ()
    genres: tuple[str, ...] = ()
    distance: float | None = None
    threshold: float | None = None
    heard_channel: int | None = None
    model_version: str | None = None

    @property
    def by_probability(self) -> bool:
        """Whether probability alone decides on a genre: the sound is long, and like music."""
        return self.abstained in (None, UNSURE)

    def segments(self) -> tuple[Segment, ...]:
        """The timeline, with neighbours of the same genre merged; their probabilities' mean.

        No part has a genre if the sound is too short, or unlike what the model learned from.

        Where excerpts overlap, as the last two of a sound may, the later one begins where the
        earlier one ends.
        """
        merged: list[list[Any]] = []  # start, end, genre, weighted sum, weight
        for stretch in self.timeline:
            best = int(np.argmax(stretch.probabilities))
            is_sure = stretch.probabilities[best] >= (self.threshold or 0)
            genre = self.genres[best] if is_sure and self.by_probability else None
            start_s = max(stretch.start_s, merged[-1][1]) if merged else stretch.start_s
            weight = max(stretch.end_s - start_s, 1e-9)
            if merged and merged[-1][2] == genre and start_s - merged[-1][1] < 1e-3:
                merged[-1][1] = stretch.end_s
            else:
                merged.append([start_s, stretch.end_s, genre, 0.0, 0.0])
            merged[-1][3] += weight * stretch.probabilities[best]
            merged[-1][4] += weight
        return tuple(Segment(a, b, genre, s / w) for a, b, genre, s, w in merged)

    def to_dict(self, *, timeline: bool = False) -> dict[str, Any]:
        """Plain values, for JSON; with the timeline if it is asked for."""
        values: dict[str, Any] = {
            "model": self.model,
            "model_version": self.model_version,
            "genre": self.genre,
            "probability": self.probability,
            "ranked": [{"genre": genre, "probability": p} for genre, p in self.ranked],
            "abstained": self.abstained,
            "seconds": self.seconds,
            "heard_channel": self.heard_channel,
        }
        if timeline:
            values["timeline"] = [
                {
                    "start_s": s.start_s,
                    "end_s": s.end_s,
                    "probabilities": dict(zip(self.genres, s.probabilities, strict=True)),
                }
                for s in self.timeline
            ]
            values["segments"] = [segment._asdict() for segment in self.segments()]
        return values


def clock(seconds: float) -> str:
    """Format a time: ``3:05``, ``1:03:05``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _why_abstain(
    info: ModelInfo, probability: float, distance: float | None, seconds: float
) -> str | None:
    """Why the model abstains, as a clause; None if it does not."""
    if seconds < info.shortest_s:  # before the distance, which is large for that reason alone
        return too_short(seconds, info)
    novelty = info.novelty_threshold
    if distance is not None and novelty is not None and distance > novelty:
        return UNLIKE
    if info.threshold is not None and probability < info.threshold:
        return UNSURE
    return None


class Heard(NamedTuple):
    """An excerpt that was listened to; without windows if it is silent or steady."""

    start_s: float
    end_s: float
    n_windows: int = 0
    probabilities: NDArray[np.float64] = np.zeros(0)  # (G,), mean over the windows
    distance: float | None = None  # from what the model learned from, mean over the windows
    steady: bool = False  # as noise is, and no music


def pooled(heard: Sequence[Heard], info: ModelInfo, *, model: str, seconds: float) -> Verdict:
    """Make one verdict of excerpts: their mean by number of windows, then the temperature."""
    loud = sorted((each for each in heard if each.n_windows), key=lambda each: each[:2])
    if not loud:
        why = UNLIKE if any(each.steady for each in heard) else SILENT
        return Verdict(
            model=model, genre=None, abstained=why, probability=0.0, ranked=(), seconds=seconds,
            genres=info.genres, threshold=info.threshold, model_version=info.version or None,
        )  # fmt: skip
    weights = [each.n_windows for each in loud]
    by_excerpt = np.stack([each.probabilities for each in loud])  # (E, G)
    final = apply_temperature(np.average(by_excerpt, axis=0, weights=weights), info.temperature)
    order = np.argsort(-final, kind="stable")
    distances = [each.distance for each in loud if each.distance is not None]
    distance = float(np.average(distances, weights=weights)) if distances else None
    abstained = _why_abstain(info, float(final.max()), distance, seconds)
    rows = apply_temperature(by_excerpt, info.temperature).tolist()
    return Verdict(
        model=model,
        genre=None if abstained else info.genres[order[0]],
        abstained=abstained,
        probability=float(final[order[0]]),
        ranked=tuple((info.genres[i], float(final[i])) for i in order),
        seconds=seconds,
        timeline=tuple(
            Stretch(each.start_s, each.end_s, tuple(p)) for each, p in zip(loud, rows, strict=True)
        ),
        genres=info.genres,
        distance=distance,
        threshold=info.threshold,
        model_version=info.version or None,
    )
