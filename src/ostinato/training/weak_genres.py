"""Weak genres: found on inner folds of the training part, then drawn more often.

Which genres a model is weak in is measured, not listed by hand: the same model is trained for a few
epochs on inner folds of the training part, with no artist in two folds, and the recall of every
genre is taken over the recordings that were held out. Validation and test parts are not used.
Classes of low recall are then sampled more often and augmented more strongly, after the idea of
class-wise difficulty (Sinha, Ohashi and Nakamura, "Class-wise difficulty-balanced loss for solving
class-imbalance", ACCV 2020), which weighs a class by ``(1 - accuracy) ** strength`` as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ostinato.datasets import Corpus
from ostinato.datasets.shards import chosen
from ostinato.datasets.splits import Fold, artist_folds, check_split
from ostinato.errors import DataError
from ostinato.models import GenreModel
from ostinato.storage import write_text
from ostinato.training.fit import fit
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks, predict

WEAK_GENRES = "weak_genres.json"
LEAST_MISSED = 0.05
"""A genre counts as missed at least this often, so that one that is never missed is still drawn."""


@dataclass(frozen=True, kw_only=True)
class GenreWeight:
    """A genre's recall on inner folds, and the weight that follows from it.

    Attributes
    ----------
    recall : float
        Share of its recordings that were named correctly when held out.
    weight : float
        Times as often, and as strongly augmented, as if all genres were alike.
    """

    recall: float
    weight: float


def genre_weights(recall: Mapping[str, float], strength: float) -> dict[str, float]:
    """Weights of genres: ``max(1 - recall, 0.05) ** strength``, scaled to mean 1.

    A strength of 0 makes all weights 1; 1 makes them proportional to how often a genre is missed.
    """
    missed = {genre: max(1 - value, LEAST_MISSED) ** strength for genre, value in recall.items()}
    mean = sum(missed.values()) / len(missed)
    return {genre: value / mean for genre, value in missed.items()}


def recall_on_inner_folds(
    corpus: Corpus,
    train: tuple[str, ...],
    *,
    make_model: Callable[[], GenreModel],
    settings: TrainingSettings,
    seed: int,
    accelerator: str = "cpu",
) -> dict[str, float]:
    """Recall of every genre on recordings of the training part that were held out in turn.

    Parameters
    ----------
    train : tuple of str
        Ids of the training part. No other recording is used.
    make_model : callable
        Gives a new untrained model at each call.
    settings : TrainingSettings
        The outer training's; ``weak_genre_folds`` and ``weak_genre_epochs`` set the inner one. The
        last step's weights are judged: their average would still hold the first ones.
    seed : int
        Decides the folds and the trainings.
    accelerator : str
        Lightning's.

    Raises
    ------
    DataError
        If no artist is known, or artists are too few for the folds.
    TrainingError
        If a training diverges.
    """
    part, folds = _inner_folds(corpus, train, settings.weak_genre_folds, seed)
    n_epochs = settings.weak_genre_epochs
    short = replace(settings, epochs=n_epochs, curve_every=n_epochs, weak_genres=0.0)
    judged = dict.fromkeys(part.genres, 0)
    hits = dict.fromkeys(part.genres, 0)
    for k, fold in enumerate(folds):
        inner_seed = int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
        torch.manual_seed(inner_seed)
        model = make_model()
        inner, held_out = Tracks.with_copies(part, fold.train), Tracks.of(part, fold.valid)
        _, last = fit(
            model,
            train=inner,
            valid=held_out,
            settings=short,
            seed=inner_seed,
            accelerator=accelerator,
        )
        model.load_state_dict(last)
        said = predict(model, held_out, length=short.window_frames, hop=short.window_hop).argmax(1)
        for truth, answer in zip(held_out.labels.tolist(), said.tolist(), strict=True):
            judged[part.genres[truth]] += 1
            hits[part.genres[truth]] += truth == answer
    return {genre: hits[genre] / judged[genre] for genre in part.genres}


def weigh_genres(
    corpus: Corpus,
    train: tuple[str, ...],
    *,
    make_model: Callable[[], GenreModel],
    settings: TrainingSettings,
    seed: int,
    folder: Path | None = None,
    accelerator: str = "cpu",
) -> dict[str, GenreWeight]:
    """Recall and weight of every genre.

    Parameters and errors are those of :func:`recall_on_inner_folds`. With a ``folder``, the weights
    are kept in its ``weak_genres.json``, so that a resumed training need not find them again.
    """
    path = None if folder is None else folder / WEAK_GENRES
    if path is not None and path.exists():
        return _read(path, corpus.genres)
    recall = recall_on_inner_folds(
        corpus,
        train,
        make_model=make_model,
        settings=settings,
        seed=seed,
        accelerator=accelerator,
    )
    weights = genre_weights(recall, settings.weak_genres)
    found = {g: GenreWeight(recall=recall[g], weight=weights[g]) for g in recall}
    if path is not None:
        write_text(path, json.dumps({g: asdict(w) for g, w in found.items()}, indent=1) + "\n")
    return found


def track_weights(
    genres: Mapping[str, GenreWeight], tracks: Tracks, names: tuple[str, ...]
) -> Tensor:
    """Weight of each track, that of its genre [shape=(N,)]; ``names`` are in the labels' order."""
    by_label = torch.tensor([genres[name].weight for name in names], dtype=torch.float32)
    return by_label[tracks.labels]


def _inner_folds(
    corpus: Corpus, train: tuple[str, ...], n: int, seed: int
) -> tuple[Corpus, tuple[Fold, ...]]:
    """The training part alone, and its folds by artist."""
    positions = corpus.positions(train)
    part = replace(
        corpus,
        name=f"{corpus.name}, training part",
        recordings=[corpus.recordings[i] for i in positions.tolist()],
        frames=chosen(corpus.frames, positions),
        copies=tuple(chosen(frames, positions) for frames in corpus.copies),
    )
    if not any(part.artists):
        raise DataError(
            "training.weak_genres: inner folds keep artists apart, and of no training recording is "
            f"the artist known ({len(part)} recordings): set it to 0."
        )
    remedy = "lower training.weak_genre_folds, or set training.weak_genres to 0"
    for genre in part.genres:
        # A recording of unknown artist is an artist of its own, as in every split.
        own = zip(part.recordings, part.artists, strict=True)
        n_artists = len({artist or (r.id,) for r, artist in own if r.genre == genre})
        if n_artists < n:
            raise DataError(
                f"training.weak_genres: expected at least {n} artists of every genre in the "
                f"training part, for {n} inner folds, got {n_artists} of '{genre}'; {remedy}."
            )
    try:
        split = check_split(part, artist_folds(part, n_folds=n, seed=seed))
    except DataError as error:
        raise DataError(
            f"training.weak_genres: the artists of the training part cannot be dealt to {n} inner "
            "folds so that every genre is learned in each, because some are in several genres; "
            f"{remedy}."
        ) from error
    return part, split.folds


def _read(path: Path, genres: tuple[str, ...]) -> dict[str, GenreWeight]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = {genre: GenreWeight(**rows[genre]) for genre in genres}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected recall and weight of every genre ({type(error).__name__}): delete "
            "it, and they are found anew."
        ) from error
    return found
