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
from ostinato.evaluation import intervals, metrics
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
    suspects : tuple of Suspect
        All recordings that are named otherwise than they are filed, the likeliest mistakes of the
        collection first.
    confusion : list of list of int
        True genres (rows) against verdicts, in the order of ``genres``.
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
    macro_f1: Interval
    majority: float  # accuracy of always naming the most frequent genre
    per_genre: tuple[GenreJudgement, ...]
    confusion: list[list[int]]
    suspects: tuple[Suspect, ...]
    answered: float | None
    right_of_answered: float | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def judge(
    corpus: Corpus,
    probabilities: NDArray[np.float64],
    genres: tuple[str, ...],
    *,
    threshold: float | None = None,
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
    abstained : bool array [shape=(N,)], optional
        Where it abstains for another reason.
    learned : bool
        Whether the model learns from this collection: then its genres are told what they lack.

    Raises
    ------
    DataError
        If a recording's genre is none of the model's, or shapes do not agree.
    """
    index = {genre: i for i, genre in enumerate(genres)}
    missing = sorted(set(corpus.genres) - set(genres))
    if missing:
        raise DataError(f"Expected genres of {', '.join(genres)}, got '{missing[0]}'.")
    labels = np.array([index[r.genre] for r in corpus.recordings], np.int64)
    verdicts = probabilities.argmax(axis=1)
    found = metrics.evaluate(labels, probabilities, genres)
    groups = corpus.groups
    clusters = Clusters.by_artist(labels, groups)
    spans = intervals.evaluate(labels, verdicts[None], clusters, genres)
    right = verdicts == labels
    silent = np.zeros(len(labels), bool) if abstained is None else abstained
    answers = ~silent & (probabilities.max(axis=1) >= (threshold or 0.0))
    return Judgement(
        genres=genres,
        n=len(labels),
        n_groups=len(set(groups)),
        accuracy=interval([Term(right[None], clusters, "model")]),
        macro_f1=spans.macro_f1,
        majority=float(np.bincount(labels).max() / len(labels)),
        per_genre=tuple(_genres(found, spans, labels, groups, learned)),
        confusion=found.confusion,
        suspects=tuple(_suspects(corpus.recordings, labels, probabilities, genres)),
        answered=None if threshold is None else float(answers.mean()),
        right_of_answered=float(right[answers].mean()) if answers.any() else None,
        notes=tuple(notes),
    )


def trust(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each label can be trusted, by verdicts that have not learned from it [shape=(N,)].

    The probability of the label, relative to its mean over the genre's recordings: a genre that is
    hard to tell is not suspected as a whole (self-confidence, adjusted by class; Northcutt, Jiang
    and Chuang 2021, "Confident learning").
    """
    own = probabilities[np.arange(labels.size), labels]
    usual = np.bincount(labels, own) / np.maximum(np.bincount(labels), 1)
    relative: NDArray[np.float64] = own / np.maximum(usual[labels], np.finfo(float).tiny)
    return relative


def _genres(
    found: metrics.Metrics,
    spans: intervals.MetricIntervals,
    labels: NDArray[np.int64],
    groups: Sequence[str],
    learned: bool,
) -> list[GenreJudgement]:
    rows = []
    for i, (genre, own) in enumerate(found.per_genre.items()):
        if not own.support:
            continue
        n_groups = len({groups[k] for k in np.flatnonzero(labels == i).tolist()})
        row = np.array(found.confusion[i])
        row[i] = 0
        rows.append(
            GenreJudgement(
                genre=genre,
                recordings=own.support,
                groups=n_groups,
                precision=own.precision,
                recall=own.recall,
                f1=own.f1,
                recall_interval=spans.per_genre[genre].recall,
                confused_with=list(found.per_genre)[int(row.argmax())] if row.any() else None,
                needs=_needs(own.support, n_groups) if learned else "",
            )
        )
    return rows


def _needs(n: int, n_groups: int) -> str:
    if n_groups < LEAST_GROUPS <= n:
        artists = "artist or album" if n_groups == 1 else "artists or albums"
        return f"other artists: {n} recordings by {n_groups} {artists}"
    if n < LEAST_RECORDINGS:
        return f"more recordings: {n} so far"
    return ""


def _suspects(
    recordings: Sequence[Recording],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    genres: tuple[str, ...],
) -> list[Suspect]:
    verdicts = probabilities.argmax(axis=1)
    order = np.argsort(trust(labels, probabilities), kind="stable")
    return [
        Suspect(
            id=recordings[i].id,
            path=recordings[i].path,
            genre=genres[labels[i]],
            verdict=genres[verdicts[i]],
            probability=float(probabilities[i, verdicts[i]]),
            own_probability=float(probabilities[i, labels[i]]),
        )
        for i in order.tolist()
        if verdicts[i] != labels[i]
    ]
