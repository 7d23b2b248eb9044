"""How good a model is on a labelled collection, and what the owner of the collection should do.

``ostinato train`` judges what it learned by held-out verdicts, ``ostinato evaluate`` any model file
on any collection; both end in a :class:`Judgement`, and
:mod:`ostinato.study.report.judgement_page` draws it.

Axes: N recordings, G genres of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import Corpus
from ostinato.datasets.corpus import Recording
from ostinato.errors import DataError
from ostinato.evaluation import intervals, metrics, multi_label
from ostinato.evaluation.significance import Clusters, Interval, Term, interval

LEAST_RECORDINGS = 10
LEAST_GROUPS = 5
"""Recordings, and artists or albums, below which a genre is said to need more."""


@dataclass(frozen=True, kw_only=True)
class GenreJudgement:
    """A genre of the collection; intervals are None where its recordings are one group."""

    genre: str
    recordings: int
    groups: int  # artists, albums, or sounds of unknown artist
    precision: float
    recall: float
    f1: float
    recall_interval: Interval | None
    confused_with: str | None  # the genre that it is most often taken for
    needs: str  # what it lacks, as a clause; "" if nothing


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A recording whose own genre the model thinks unlikely."""

    id: str
    path: str | None
    genre: str  # its own, by its folder or table
    verdict: str
    probability: float  # the verdict's
    own_probability: float


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a model says of a labelled collection.

    Attributes
    ----------
    accuracy : Interval
        The share of recordings whose likeliest genre is theirs, or one of theirs.
    suspects : tuple of Suspect
        All recordings that are named otherwise than they are filed, the likeliest mistakes of the
        collection first.
    confusion : list of list of int
        True genres (rows) against verdicts, in the order of ``genres``; empty where recordings have
        several genres.
    answered, right_of_answered : float or None
        The share of recordings with a verdict at the model's threshold, and the share of right ones
        among these; None where there is no threshold, or nothing is answered.
    notes : tuple of str
        What a reader must know of these figures, a sentence each.
    """

    genres: tuple[str, ...]
    n: int
    n_groups: int
    accuracy: Interval
    macro_f1: float
    majority: float  # accuracy of always naming the most frequent genre
    per_genre: tuple[GenreJudgement, ...]
    confusion: list[list[int]]
    suspects: tuple[Suspect, ...]
    answered: float | None
    right_of_answered: float | None
    notes: tuple[str, ...] = ()
    multi_label: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def judge(
    corpus: Corpus,
    probabilities: NDArray[np.float64],
    genres: tuple[str, ...],
    *,
    threshold: float | None = None,
    thresholds: Sequence[float] = (),
    abstained: NDArray[np.bool_] | None = None,
    notes: Sequence[str] = (),
    learned: bool = False,
) -> Judgement:
    """Judge verdicts on every recording of a corpus.

    Parameters
    ----------
    probabilities : array [shape=(N, G)]
        As a listener gets them: after the temperature.
    genres : tuple of str
        The model's, in the order of the columns. The corpus has no others.
    threshold : float or None
        The probability below which the model abstains.
    thresholds : sequence of float
        One a genre, in a multi-label model: then a recording may have several genres.
    abstained : bool array [shape=(N,)], optional
        Where it abstains for another reason.
    learned : bool
        Whether the model learns from this collection: then its genres are told what they lack.

    Raises
    ------
    DataError
        If a recording's genre is none of the model's, or shapes do not agree.
    """
    missing = sorted(set(corpus.genres) - set(genres))
    if missing:
        raise DataError(f"Expected genres of {', '.join(genres)}, got '{missing[0]}'.")
    index = {genre: i for i, genre in enumerate(genres)}
    labels = np.array([index[r.genre] for r in corpus.recordings], np.int64)  # the first
    owned = np.zeros(probabilities.shape, bool)  # (N, G)
    for row, recording in zip(owned, corpus.recordings, strict=True):
        row[[index[genre] for genre in recording.genres]] = True
    groups = corpus.groups
    clusters = Clusters.by_artist(labels, groups)
    n_groups = [len({groups[k] for k in np.flatnonzero(own).tolist()}) for own in owned.T]
    right = owned[np.arange(labels.size), probabilities.argmax(axis=1)]
    silent = np.zeros(labels.size, bool) if abstained is None else abstained
    answers = ~silent & (probabilities.max(axis=1) >= (threshold or 0.0))
    confusion: list[list[int]] = []
    if thresholds:
        several = multi_label.evaluate(
            owned.astype(np.float32), probabilities, genres, thresholds=thresholds
        )
        macro_f1, per_genre = several.macro_f1, _several(several, n_groups, learned)
    else:
        found = metrics.evaluate(labels, probabilities, genres)
        verdicts = probabilities.argmax(axis=1)
        spans = intervals.evaluate(labels, verdicts[None], clusters, genres)
        macro_f1, confusion = found.macro_f1, found.confusion
        per_genre = _genres(found, spans, n_groups, learned)
    return Judgement(
        genres=genres,
        n=labels.size,
        n_groups=len(set(groups)),
        accuracy=interval([Term(right[None], clusters, "model")]),
        macro_f1=macro_f1,
        majority=float(owned.mean(axis=0).max()),
        per_genre=tuple(per_genre),
        confusion=confusion,
        suspects=tuple(_suspects(corpus.recordings, owned, probabilities, genres)),
        answered=None if threshold is None else float(answers.mean()),
        right_of_answered=float(right[answers].mean()) if answers.any() else None,
        notes=tuple(notes),
        multi_label=bool(thresholds),
    )


def trust(owned: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a recording's genres can be trusted, by verdicts that have not learned from it.

    The probability of a genre, relative to its mean over the recordings that have it: one that is
    hard to tell is not suspected as a whole (self-confidence, adjusted by class; Northcutt, Jiang
    and Chuang 2021, "Confident learning"). Of several genres, the least trusted.

    Parameters
    ----------
    owned : bool array [shape=(N, G)]
        Which genres each recording has, one at least.
    probabilities : array [shape=(N, G)]

    Returns
    -------
    array [shape=(N,)]
    """
    counts = np.maximum(owned.sum(axis=0), 1)
    usual = np.where(owned, probabilities, 0).sum(axis=0) / counts  # (G,)
    relative = probabilities / np.maximum(usual, np.finfo(float).tiny)
    least: NDArray[np.float64] = np.where(owned, relative, np.inf).min(axis=1)
    return least


def _genres(
    found: metrics.Metrics,
    spans: intervals.MetricIntervals,
    n_groups: Sequence[int],
    learned: bool,
) -> list[GenreJudgement]:
    rows = []
    for i, (genre, own) in enumerate(found.per_genre.items()):
        if not own.support:
            continue
        row = np.array(found.confusion[i])
        row[i] = 0
        rows.append(
            GenreJudgement(
                genre=genre,
                recordings=own.support,
                groups=n_groups[i],
                precision=own.precision,
                recall=own.recall,
                f1=own.f1,
                recall_interval=spans.per_genre[genre].recall,
                confused_with=list(found.per_genre)[int(row.argmax())] if row.any() else None,
                needs=_needs(own.support, n_groups[i]) if learned else "",
            )
        )
    return rows


def _several(
    found: multi_label.MultiLabelMetrics, n_groups: Sequence[int], learned: bool
) -> list[GenreJudgement]:
    return [
        GenreJudgement(
            genre=genre,
            recordings=own.support,
            groups=n_groups[i],
            precision=own.precision,
            recall=own.recall,
            f1=own.f1,
            recall_interval=None,
            confused_with=None,
            needs=_needs(own.support, n_groups[i]) if learned else "",
        )
        for i, (genre, own) in enumerate(found.per_genre.items())
        if own.support
    ]


def _needs(n: int, n_groups: int) -> str:
    if n < LEAST_RECORDINGS:
        return f"more recordings: {n} so far"
    if n_groups < LEAST_GROUPS:
        artists = "artist or album" if n_groups == 1 else "artists or albums"
        return f"other artists: {n} recordings by {n_groups} {artists}"
    return ""


def _suspects(
    recordings: Sequence[Recording],
    owned: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    genres: tuple[str, ...],
) -> list[Suspect]:
    verdicts = probabilities.argmax(axis=1)
    order = np.argsort(trust(owned, probabilities), kind="stable")
    return [
        Suspect(
            id=recordings[i].id,
            path=recordings[i].path,
            genre="; ".join(recordings[i].genres),
            verdict=genres[verdicts[i]],
            probability=float(probabilities[i, verdicts[i]]),
            own_probability=float(probabilities[i, owned[i]].max()),
        )
        for i in order.tolist()
        if not owned[i, verdicts[i]]
    ]
