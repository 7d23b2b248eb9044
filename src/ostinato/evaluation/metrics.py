"""Accuracy, precision, recall, F1 and confusion of one part of a split.

Conventions, as in scikit-learn: a precision or recall with nothing to divide by is 0; macro means
are plain means over the genres that occur in the part, so a genre without recordings there does
not pull them down; ``confusion[i][j]`` counts recordings of genre i that were called genre j.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation.probabilities import SMALLEST


@dataclass(frozen=True, kw_only=True)
class GenreMetrics:
    """A genre's precision, recall and F1 in [0, 1]; support is its number of recordings."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics of one part.

    ``loss`` is the mean negative log-likelihood of the true genre, in nats; ``confusion`` has its
    genres in the order of ``per_genre``.
    """

    accuracy: float
    loss: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    per_genre: dict[str, GenreMetrics]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def confusion_matrix(
    labels: NDArray[np.int64], verdicts: NDArray[np.int64], *, n_genres: int
) -> NDArray[np.int64]:
    """Count true genres (rows) against verdicts (columns) [shape=(n_genres, n_genres)].

    Raises
    ------
    DataError
        If there are not as many verdicts as labels, or one of either is not below ``n_genres``.
    """
    both = np.concatenate([labels, verdicts])
    if labels.shape != verdicts.shape or not ((both >= 0) & (both < n_genres)).all():
        raise DataError(
            f"Expected a label and a verdict from 0 to {n_genres - 1} for every recording, got "
            f"{labels.size} labels and {verdicts.size} verdicts, {both.min()} to {both.max()}."
        )
    flat = np.bincount(labels * n_genres + verdicts, minlength=n_genres * n_genres)
    return flat.reshape(n_genres, n_genres).astype(np.int64)  # (true, verdict)


def precision_recall_f1(
    confusions: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 [shape=(..., n_genres) each] of every genre.

    ``confusions`` are matrices of one part, or of many draws [shape=(..., n_genres, n_genres)].
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    called = confusions.sum(axis=-2)
    support = confusions.sum(axis=-1)

    def share(count: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(count, of, out=np.zeros(of.shape), where=of > 0)

    return share(hits, called), share(hits, support), share(2 * hits, called + support)


def genre_metrics(confusion: NDArray[np.int64], genres: tuple[str, ...]) -> dict[str, GenreMetrics]:
    """Precision, recall and F1 of every genre from a confusion matrix."""
    precision, recall, f1 = precision_recall_f1(confusion.astype(np.float64))
    support = confusion.sum(axis=1)
    return {
        genre: GenreMetrics(
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            support=int(support[i]),
        )
        for i, genre in enumerate(genres)
    }


def validate(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, n_genres: int
) -> None:
    """Refuse shapes that do not agree, no recordings, and probabilities that are not numbers."""
    expected = (labels.size, n_genres)
    if labels.ndim != 1 or labels.size == 0 or probabilities.shape != expected:
        raise DataError(
            f"Expected one or more labels in a row and probabilities of shape {expected}, got "
            f"shapes {labels.shape} and {probabilities.shape}."
        )
    if not np.isfinite(probabilities).all():
        raise DataError("Expected finite probabilities, got NaN or infinity: training diverged.")


def evaluate(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], genres: tuple[str, ...]
) -> Metrics:
    """Compute all metrics of one part.

    Parameters
    ----------
    labels : int array [shape=(n_recordings,)]
        Indices into ``genres``.
    probabilities : array [shape=(n_recordings, n_genres)]

    Raises
    ------
    DataError
        If there is nothing to evaluate, shapes do not agree, a label is no genre, or a probability
        is not a number.
    """
    validate(labels, probabilities, n_genres=len(genres))
    verdicts = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, verdicts, n_genres=len(genres))
    per_genre = genre_metrics(confusion, genres)
    present = [m for m in per_genre.values() if m.support > 0]
    of_truth = probabilities[np.arange(labels.size), labels]
    return Metrics(
        accuracy=float((verdicts == labels).mean()),
        loss=float(-np.log(np.clip(of_truth, SMALLEST, 1.0)).mean()),
        macro_precision=float(np.mean([m.precision for m in present])),
        macro_recall=float(np.mean([m.recall for m in present])),
        macro_f1=float(np.mean([m.f1 for m in present])),
        per_genre=per_genre,
        confusion=confusion.tolist(),
    )
