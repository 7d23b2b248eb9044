"""From a trained model to the file that listens: temperature, threshold, novelty, metadata.

:func:`fit_confidence` reads temperature and threshold from verdicts on held-out tracks,
:func:`finish` adds the distance from what the model learned from, and :func:`write` writes the file
once ONNX Runtime gives what PyTorch gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.datasets import Corpus
from ostinato.datasets.splits import Fold
from ostinato.evaluation import apply_temperature, calibration, multi_label, selective
from ostinato.features import window_starts
from ostinato.inference.model_info import ModelInfo
from ostinato.models import GenreModel, count_parameters
from ostinato.models.ensemble import MeanDistanceOfPieces
from ostinato.models.export.model_file import write_listening, write_with_front_end
from ostinato.training.novelty import Novelty
from ostinato.training.tracks import Tracks

PRECISION = 0.8
"""Share of right verdicts that a threshold is chosen for unless another is asked for."""

KNOWN = 0.995
"""Share of held-out tracks that must lie within the novelty threshold."""

LEAST_KNOWN = 10
"""Training windows below which nothing is called unlike them: they tell too little of what is."""

_N_COMPARED = 64  # windows of real frames


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """When a model's probability is believed.

    Attributes
    ----------
    temperature : float
        Divides the logarithms of a track's probabilities.
    threshold : float or None
        Below this probability there is no verdict; None: there always is.
    precision : float or None
        The share of right verdicts that the threshold was chosen for.
    thresholds : tuple of float
        One a genre, where a track has several: then there is no other threshold.
    """

    temperature: float = 1.0
    threshold: float | None = None
    precision: float | None = None
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FinishedModel:
    """A model with all that its file holds.

    Attributes
    ----------
    model, novelty : GenreModel
        Windows (B, T, F) -> logits (B, G), and -> distances (B,); no novelty where the training
        part has fewer than :data:`LEAST_KNOWN` windows.
    info : ModelInfo
    windows : tensor [shape=(B, T, F)]
        Real frames, on which PyTorch and ONNX Runtime are compared.
    distances : array [shape=(n_tracks,)]
        Held-out tracks' distances from what was learned.
    """

    model: GenreModel
    novelty: GenreModel | None
    info: ModelInfo
    windows: Tensor
    distances: NDArray[np.float64]


def fit_confidence(
    labels: NDArray[Any],
    probabilities: NDArray[np.float64],
    *,
    precision: float = PRECISION,
) -> Confidence:
    """Temperature and threshold from verdicts on tracks that the model has not learned from.

    ``labels`` are (N,), ``probabilities`` (N, n_genres); ``precision`` is the target share of right
    verdicts, in (0, 1]. Where no threshold reaches it, there is none.

    Where tracks have several genres, ``labels`` are :attr:`~ostinato.datasets.Corpus.targets`
    (N, n_genres), and the result is a threshold for each genre, which gives it the highest F1.
    """
    if labels.ndim == 2:
        return Confidence(thresholds=multi_label.f1_thresholds(labels, probabilities))
    temperature = calibration.fit_temperature(labels, probabilities)
    scaled = apply_temperature(probabilities, temperature)
    chosen = selective.threshold_for(*calibration.verdicts(labels, scaled), precision=precision)
    if chosen is None:
        return Confidence(temperature=temperature)
    return Confidence(temperature=temperature, threshold=chosen.threshold, precision=precision)


def finish(
    model: GenreModel,
    info: ModelInfo,
    corpus: Corpus,
    *,
    train: tuple[str, ...],
    held_out: Sequence[Fold],
    confidence: Confidence,
    novelty_window: tuple[int, int] | None = None,
) -> FinishedModel:
    """Give a model its temperature, threshold, novelty and number of parameters.

    Parameters
    ----------
    info : ModelInfo
        The model's, with its name and all else that is known.
    train : tuple of str
        Ids of the tracks that the model learned from: the novelty is the distance from them.
    held_out : sequence of Fold
        The novelty threshold is the distance within which :data:`KNOWN` of their ``valid`` tracks
        lie, each from its fold's own ``train`` tracks.
    novelty_window : pair of int or None
        Length and hop of the windows that the novelty is measured on, in frames; None is the
        model's own.
    """
    length, hop = novelty_window or (info.window_frames, info.window_hop)
    distances = np.zeros(0)
    novelty: GenreModel | None = None
    parts = (train, *(fold.train for fold in held_out))
    n_least = min(_n_windows(corpus, ids, length=length, hop=hop) for ids in parts)
    if n_least >= LEAST_KNOWN and length > 1:  # one frame does not move
        distances = np.concatenate(
            [_distances(corpus, fold, length=length, hop=hop) for fold in held_out]
        )
        novelty = _fit_novelty(corpus, train, length=length, hop=hop)
    if novelty is not None and novelty_window is not None:
        novelty = MeanDistanceOfPieces(
            novelty, window_frames=info.window_frames, length=length, hop=hop
        ).eval()
    info = replace(
        info,
        temperature=confidence.temperature,
        threshold=confidence.threshold,
        precision=confidence.precision,
        thresholds=confidence.thresholds or info.thresholds,
        novelty_threshold=float(np.quantile(distances, KNOWN)) if novelty else None,
        provenance=info.provenance | {"parameters": count_parameters(model)},
    )
    # From tracks all over the corpus.
    some = Tracks.of(corpus, corpus.ids[:: max(1, len(corpus) // _N_COMPARED)])
    batches = some.batches(length=info.window_frames, hop=info.window_hop, size=_N_COMPARED)
    return FinishedModel(
        model=model, novelty=novelty, info=info, windows=next(batches), distances=distances
    )


def write(finished: FinishedModel, path: Path, *, front_end: bool = False) -> float:
    """Write the model file; the result is the largest difference of ONNX Runtime from PyTorch.

    With ``front_end`` the file takes sound, not frames, for programs without Ostinato. Raises as
    :func:`ostinato.models.export.model_file.write_listening` does.
    """
    model, novelty, info = finished.model, finished.novelty, finished.info
    if front_end:
        return write_with_front_end(model, novelty, info, path)
    return write_listening(model, novelty, info, path, windows=finished.windows)


def _n_windows(corpus: Corpus, ids: tuple[str, ...], *, length: int, hop: int) -> int:
    lengths = [len(corpus.frames[i]) for i in corpus.positions(ids)]
    return sum(window_starts(n, length=length, hop=hop).size for n in lengths)


def _fit_novelty(corpus: Corpus, ids: tuple[str, ...], *, length: int, hop: int) -> Novelty:
    """Fit the distance from these tracks."""
    tracks = Tracks.of(corpus, ids)
    novelty = Novelty(corpus.spec.n_features)
    tracks.standardise(novelty.normalise)
    novelty.fit(tracks.batches(length=length, hop=hop))
    return novelty


@torch.no_grad()
def _distances(corpus: Corpus, fold: Fold, *, length: int, hop: int) -> NDArray[np.float64]:
    """Mean distance of each held-out track's windows from the training part [shape=(N,)]."""
    novelty = _fit_novelty(corpus, fold.train, length=length, hop=hop)
    tracks = Tracks.of(corpus, fold.valid)
    each = torch.cat([novelty(x) for x in tracks.batches(length=length, hop=hop)]).numpy()
    counts = tracks.counts(length=length, hop=hop)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: NDArray[np.float64] = np.add.reduceat(each.astype(np.float64), firsts)
    return sums / counts
