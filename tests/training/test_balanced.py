"""Balanced training: genres weigh the same, and nothing changes where it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.models.baseline import BaselineClassifier, BaselineSettings
from ostinato.study.training_run import Recipe
from ostinato.training.fit import GenreTraining, fit
from ostinato.training.settings import TrainingSettings
from ostinato.training.solve import solve
from ostinato.training.tracks import Tracks, predict
from tests.helpers.toy import QUICK, toy_corpus

SIZES = (24, 8, 4)
BALANCED = replace(QUICK, balanced=True)
SMALL = models.family("lstm").settings(width=8, depth=1, texture_frames=4)
SOLVED = BaselineSettings(bands=4, modulation_bands=4)


def unbalanced() -> Corpus:
    """Three genres that are hard to tell apart, with 24, 8 and 4 tracks."""
    whole = toy_corpus(per_genre=max(SIZES))
    kept = [
        i for i, r in enumerate(whole.recordings) if int(r.id[3:]) < SIZES[whole.labels[i].item()]
    ]
    random = np.random.default_rng(2)
    frames = [0.1 * whole.frames[i] + 0.5 * random.normal(size=4).astype(np.float32) for i in kept]
    return replace(whole, recordings=[whole.recordings[i] for i in kept], frames=frames)


CORPUS = unbalanced()
TRACKS = Tracks.of(CORPUS, CORPUS.ids)


def network() -> models.GenreModel:
    torch.manual_seed(0)
    return models.build("lstm", spec=CORPUS.spec, n_genres=3, settings=SMALL)


def drawn(settings: TrainingSettings, weights: torch.Tensor | None = None) -> torch.Tensor:
    """How often each genre is drawn in an epoch."""
    training = GenreTraining(network(), TRACKS, settings, 0, weights)
    training.on_train_epoch_start()
    return torch.bincount(TRACKS.labels[torch.cat(training.batches)])


def test_an_epoch_draws_equally_many_tracks_of_every_genre() -> None:
    assert drawn(QUICK).tolist() == list(SIZES)
    assert drawn(BALANCED).tolist() == pytest.approx([12, 12, 12], abs=2)


def test_weights_of_weak_genres_come_on_top() -> None:
    weak = torch.tensor([0.5, 0.5, 2.0])[TRACKS.labels]
    assert drawn(BALANCED, weak).tolist() == pytest.approx([6, 6, 24], abs=2)


def test_it_does_not_augment_more_strongly() -> None:
    """Weights of weak genres do; a genre that is small is not for that reason weak."""
    training = GenreTraining(network(), TRACKS, replace(BALANCED, stretch=0.3), 0)
    plain = GenreTraining(network(), TRACKS, replace(QUICK, stretch=0.3), 0)
    assert training.weights is None
    assert training.augment.source_frames == plain.augment.source_frames


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_is_solved_for_as_scikit_learn_weighs_classes(balanced: bool) -> None:
    settings = replace(QUICK, balanced=balanced)
    model = BaselineClassifier(CORPUS.spec, 3, SOLVED)
    solve(model, train=TRACKS, valid=TRACKS, settings=settings)
    windows = torch.cat(list(TRACKS.batches(length=24, hop=12)))
    labels = np.repeat(TRACKS.labels.numpy(), TRACKS.counts(length=24, hop=12))
    with torch.no_grad():
        x = model.statistics(windows).double().numpy()
        ours = torch.softmax(model(windows), dim=1).numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    weight = {i: len(labels) / (3 * n) for i, n in enumerate(np.bincount(labels))}
    peer = LogisticRegression(
        C=SOLVED.regularisation, max_iter=2000, class_weight=weight if balanced else None
    ).fit(x, labels)
    np.testing.assert_allclose(ours, peer.predict_proba(x), atol=1e-4)


def test_the_smallest_genre_is_named_more_often() -> None:
    found = []
    for settings in (QUICK, BALANCED):
        model, learns = network(), replace(settings, epochs=12, learning_rate=1e-2, averaging=0.0)
        fit(model, train=TRACKS, valid=TRACKS, settings=learns, seed=0)
        found.append(predict(model, TRACKS, length=24, hop=12)[:, 2].mean())
    assert found[1] > 1.3 * found[0]


def test_where_it_is_off_the_recipe_is_that_of_versions_that_had_none() -> None:
    """Or every finished run of theirs would be one of another recipe."""
    made = {"family": "lstm", "settings": SMALL, "data": "d", "split": "s", "test": True}
    off, on = (Recipe(training=t, **made) for t in (QUICK, BALANCED))
    assert "balanced" not in off.to_dict()["training"]
    assert on.to_dict()["training"]["balanced"] is True
    assert off.digest() != on.digest()
    assert off.digest() == "1582878f39b690bd"  # as it was made before there was this setting
