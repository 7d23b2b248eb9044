"""A verdict: what a model says of a sound, how sure it is, and why it would rather not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import apply_temperature
from ostinato.inference.model_info import ModelInfo

SILENT = "it is silent"
UNLIKE = "it is unlike the music that the model learned from"
UNSURE = "no genre is likely enough"


class Stretch(NamedTuple):
    """A part of a sound that was heard, and its probabilities in the order of the genres."""

    start_s: float
    end_s: float
    probabilities: tuple[float, ...]


class Segment(NamedTuple):
    """A part of a sound through which one verdict holds; None where the model abstains."""

    start_s: float
    end_s: float
    genre: str | None
    probability: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a model says of a sound.

    Attributes
    ----------
    genre : str or None
        None where it abstains.
    abstained : str or None
        Why it abstains, as a clause; None where it does not.
    probability : float
        Of the likeliest genre; 0 where nothing was heard.
    ranked : tuple of (str, float)
        Every genre with its probability, the likeliest first; empty where nothing was heard.
    seconds : float
        How long the sound lasts.
    timeline : tuple of Stretch
        What was heard, in order of time; silent excerpts are left out.
    genres : tuple of str
        The order of the probabilities in ``timeline``.
    distance : float or None
        From what the model learned from, where it measures it.
    threshold : float or None
        The probability below which the model abstains.
    """

    genre: str | None
    abstained: str | None
    probability: float
    ranked: tuple[tuple[str, float], ...]
    seconds: float
    timeline: tuple[Stretch, ...] = ()
    genres: tuple[str, ...] = ()
    distance: float | None = None
    threshold: float | None = None

    def segments(self) -> tuple[Segment, ...]:
        """The timeline, with neighbours of one genre made one; its probability is their mean.

        Where excerpts overlap, as the last two of a sound may, the later one begins where the
        earlier ends.
        """
        merged: list[list[Any]] = []  # start, end, genre, weighted sum, weight
        for stretch in self.timeline:
            best = int(np.argmax(stretch.probabilities))
            sure = stretch.probabilities[best] >= (self.threshold or 0)
            genre = self.genres[best] if sure else None
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
        """As plain values, for JSON; with the timeline where it is asked for."""
        values: dict[str, Any] = {
            "genre": self.genre,
            "probability": self.probability,
            "ranked": [{"genre": genre, "probability": p} for genre, p in self.ranked],
            "abstained": self.abstained,
            "seconds": self.seconds,
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
    """A time in a sound: ``3:05``, ``1:03:05``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _why_abstain(info: ModelInfo, probability: float, distance: float | None) -> str | None:
    """Why a model with this metadata gives no verdict, or None where it does.

    Parameters
    ----------
    info : ModelInfo
    probability : float
        Of the likeliest genre.
    distance : float or None
        From what the model learned from, mean over windows.
    """
    novelty = info.novelty_threshold
    if distance is not None and novelty is not None and distance > novelty:
        return UNLIKE
    if info.threshold is not None and probability < info.threshold:
        return UNSURE
    return None


@dataclass(frozen=True)
class Heard:
    """Excerpts that were heard: when, their mean probabilities, numbers of windows, distances."""

    times: list[tuple[float, float]] = field(default_factory=list)
    means: list[NDArray[np.float64]] = field(default_factory=list)  # each (E, G)
    counts: list[NDArray[np.int64]] = field(default_factory=list)  # each (E,)
    distances: list[NDArray[np.float32]] = field(default_factory=list)  # each (W,)
    end_s: float = 0.0

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.times + other.times,
            self.means + other.means,
            self.counts + other.counts,
            self.distances + other.distances,
            max(self.end_s, other.end_s),
        )


def verdict_of(info: ModelInfo, heard: Heard) -> Verdict:
    """One verdict from what was heard; whoever calls knows how long the sound lasts."""
    if not heard.times:
        return Verdict(
            genre=None, abstained=SILENT, probability=0.0, ranked=(), seconds=0.0,
            genres=info.genres, threshold=info.threshold,
        )  # fmt: skip
    by_excerpt = np.concatenate(heard.means)  # (E, G)
    of_all = np.average(by_excerpt, axis=0, weights=np.concatenate(heard.counts))  # (G,)
    final = apply_temperature(of_all, info.temperature)
    order = np.argsort(-final, kind="stable")
    distance = float(np.concatenate(heard.distances).mean()) if heard.distances else None
    abstained = _why_abstain(info, float(final.max()), distance)
    rows = apply_temperature(by_excerpt, info.temperature)
    return Verdict(
        genre=None if abstained else info.genres[order[0]],
        abstained=abstained,
        probability=float(final[order[0]]),
        ranked=tuple((info.genres[i], float(final[i])) for i in order),
        seconds=0.0,
        timeline=tuple(
            sorted(Stretch(*at, tuple(p.tolist())) for at, p in zip(heard.times, rows, strict=True))
        ),
        genres=info.genres,
        distance=distance,
        threshold=info.threshold,
    )
