"""A verdict: the genre of a sound, how likely it is, or why the model abstains.

Axes: E excerpts, G genres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import apply_temperature
from ostinato.inference.model_info import ModelInfo

SILENT = "it is silent"
UNLIKE = "it is unlike the music that the model learned from"
UNSURE = "no genre is likely enough"
OTHER = "it sounds like none of the model's genres"


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
    """A part of a sound with one verdict throughout; without a genre if the model abstains."""

    start_s: float
    end_s: float
    genre: str | None  # the likeliest of those that are named
    probability: float  # of the genre, or of the likeliest if there is none
    named: tuple[str, ...] = ()


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
    named : tuple of str
        The genre, and in a multi-label model all that reach their thresholds, the likeliest first;
        empty if the model abstains.
    probability : float
        The genre's probability, the likeliest one's if the model abstains; 0 if the sound is silent
        or steady throughout.
    ranked : tuple of (str, float)
        Every genre with its probability, the likeliest first; empty if the sound is silent or
        steady throughout.
    seconds : float
        How long the sound lasts.
    timeline : tuple of Stretch
        The excerpts that were listened to, in order of time, without silent and steady ones.
    genres : tuple of str
        The order of the probabilities in ``timeline``, and of ``thresholds``.
    distance : float or None
        From what the model learned from; None if the model does not measure it.
    threshold : float or None
        The probability below which the model abstains.
    thresholds : tuple of float
        One a genre, in a multi-label model; else empty.
    other : str
        The genre of what is none of the others; empty if there is none.
    heard_channel : int or None
        The channel, from 1, that was heard where all channels cancel each other out and their mix
        is silent; None if the mix was heard throughout.

    Examples
    --------
    >>> import ostinato
    >>> verdict = ostinato.classify("song.mp3")
    >>> verdict.genre, [genre for genre, _ in verdict.ranked[:2]], round(verdict.seconds)
    ('jazz', ['jazz', 'blues'], 30)
    >>> unsure = ostinato.classify("mix.flac")
    >>> print(unsure.genre, "-", unsure.abstained)
    None - no genre is likely enough
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
    named: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    other: str = ""

    @property
    def by_probability(self) -> bool:
        """Whether probability alone decides on a genre: the sound is long, and like music."""
        return self.abstained in (None, UNSURE, OTHER)

    @property
    def guess(self) -> str | None:
        """The likeliest genre; None if there is none, or it is what is none of the others."""
        likeliest = self.ranked[0][0] if self.ranked else self.other
        return None if likeliest == self.other else likeliest

    def others(self, top: int) -> str:
        """Genres besides :attr:`genre` in words, until ``top`` are told; all that are named.

        ``"+ soul 55%, rock 8%"``: soul is named too, rock is not.
        """
        shares = dict(self.ranked)
        unnamed = [genre for genre in shares if genre not in self.named]
        told = [f"+ {genre} {shares[genre]:.0%}" for genre in self.named[1:]]
        rest = unnamed[: max(0, top - len(self.named))]
        return ", ".join([*told, *(f"{genre} {shares[genre]:.0%}" for genre in rest)])

    def segments(self) -> tuple[Segment, ...]:
        """The timeline, with neighbours of the same genres merged; their probabilities' mean.

        No part has a genre if the sound is too short, or unlike what the model learned from.

        Where excerpts overlap, as the last two of a sound may, the later one begins where the
        earlier one ends.
        """
        rule = (self.genres, self.threshold, self.thresholds, self.other)
        merged: list[list[Any]] = []  # start, end, genres, weighted sum of probabilities, weight
        for stretch in self.timeline:
            probabilities = np.array(stretch.probabilities)
            named = _named(probabilities, *rule) if self.by_probability else ()
            start_s = max(stretch.start_s, merged[-1][1]) if merged else stretch.start_s
            weight = max(stretch.end_s - start_s, 1e-9)
            if merged and set(merged[-1][2]) == set(named) and start_s - merged[-1][1] < 1e-3:
                merged[-1][1] = stretch.end_s
            else:
                merged.append([start_s, stretch.end_s, named, 0.0, 0.0])
            merged[-1][3] += weight * probabilities
            merged[-1][4] += weight
        return tuple(self._segment(*each) for each in merged)

    def _segment(
        self,
        start_s: float,
        end_s: float,
        named: tuple[str, ...],
        total: NDArray[np.float64],
        weight: float,
    ) -> Segment:
        """A segment of stretches whose probabilities (G,) have this weighted sum."""
        mean = dict(zip(self.genres, (total / weight).tolist(), strict=True))
        named = tuple(sorted(named, key=lambda genre: -mean[genre]))
        genre = named[0] if named else None
        return Segment(start_s, end_s, genre, mean[genre] if genre else max(mean.values()), named)

    def to_dict(self, *, timeline: bool = False) -> dict[str, Any]:
        """Plain values, for JSON; with the timeline if it is asked for."""
        values: dict[str, Any] = {
            "model": self.model,
            "model_version": self.model_version,
            "genre": self.genre,
            "named": list(self.named),
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


def _named(
    probabilities: NDArray[np.float64],
    genres: Sequence[str],
    threshold: float | None,
    thresholds: Sequence[float],
    other: str,
) -> tuple[str, ...]:
    """The genres that are likely enough, the likeliest first; none if ``other`` is likeliest."""
    order = np.argsort(-probabilities, kind="stable").tolist()
    if genres[order[0]] == other:
        return ()
    if not thresholds:
        return (genres[order[0]],) if probabilities[order[0]] >= (threshold or 0) else ()
    likely = (i for i in order if probabilities[i] >= thresholds[i])
    return tuple(genres[i] for i in likely if genres[i] != other)


def mean_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Make one verdict of those on several sounds, such as the tracks of an album.

    It is the mean of their probabilities, each sound counting once. Sounds that are silent, too
    short or unlike music count only if there is nothing else; the verdict is then the first's.

    Parameters
    ----------
    verdicts : sequence of Verdict
        At least one, all by the same model.
    """
    heard = [verdict for verdict in verdicts if verdict.by_probability]
    if not heard:
        return replace(verdicts[0], seconds=sum(verdict.seconds for verdict in verdicts))
    first = heard[0]
    rows = [[dict(verdict.ranked)[genre] for genre in first.genres] for verdict in heard]
    mean = np.mean(rows, axis=0)  # (G,)
    order = np.argsort(-mean, kind="stable").tolist()
    ranked = tuple((first.genres[i], float(mean[i])) for i in order)
    named = _named(mean, first.genres, first.threshold, first.thresholds, first.other)
    unsure = OTHER if ranked[0][0] == first.other else UNSURE
    return replace(
        first,
        genre=named[0] if named else None,
        abstained=None if named else unsure,
        named=named,
        probability=dict(ranked)[named[0]] if named else ranked[0][1],
        ranked=ranked,
        seconds=sum(verdict.seconds for verdict in verdicts),
        timeline=(),
        distance=None,
        heard_channel=None,
    )


def _why_abstain(
    info: ModelInfo, likeliest: str, is_likely: bool, distance: float | None, seconds: float
) -> str | None:
    """Why the model abstains, as a clause; None if it does not."""
    if seconds < info.shortest_s:  # before the distance, which is large for that reason alone
        return too_short(seconds, info)
    novelty = info.novelty_threshold
    if distance is not None and novelty is not None and distance > novelty:
        return UNLIKE
    if is_likely:
        return None
    return OTHER if likeliest == info.other else UNSURE


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
    about: dict[str, Any] = {
        "model": model, "model_version": info.version or None, "seconds": seconds,
        "genres": info.genres, "threshold": info.threshold, "thresholds": info.thresholds,
        "other": info.other,
    }  # fmt: skip
    loud = sorted((each for each in heard if each.n_windows), key=lambda each: each[:2])
    if not loud:
        why = UNLIKE if any(each.steady for each in heard) else SILENT
        return Verdict(genre=None, abstained=why, probability=0.0, ranked=(), **about)
    weights = [each.n_windows for each in loud]
    by_excerpt = np.stack([each.probabilities for each in loud])  # (E, G)
    final, rows = np.average(by_excerpt, axis=0, weights=weights), by_excerpt  # (G,), (E, G)
    if not info.multi_label:
        final, rows = (apply_temperature(each, info.temperature) for each in (final, rows))
    order = np.argsort(-final, kind="stable")
    ranked = tuple((info.genres[i], float(final[i])) for i in order)
    distances = [each.distance for each in loud if each.distance is not None]
    distance = float(np.average(distances, weights=weights)) if distances else None
    named = _named(final, info.genres, info.threshold, info.thresholds, info.other)
    abstained = _why_abstain(info, ranked[0][0], bool(named), distance, seconds)
    named = () if abstained else named
    return Verdict(
        genre=named[0] if named else None,
        abstained=abstained,
        named=named,
        probability=dict(ranked)[named[0]] if named else ranked[0][1],
        ranked=ranked,
        timeline=tuple(
            Stretch(each.start_s, each.end_s, tuple(p))
            for each, p in zip(loud, rows.tolist(), strict=True)
        ),
        distance=distance,
        **about,
    )
