"""Tracks of several genres: trained, solved for, judged, finished and heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ostinato import models, training
from ostinato.datasets import Corpus, Recording
from ostinato.datasets.splits import Fold
from ostinato.errors import UsageError
from ostinato.evaluation import multi_label
from ostinato.inference.classifier import Classifier
from ostinato.inference.registry import load_graph
from ostinato.inference.verdict import OTHER, UNLIKE, UNSURE
from ostinato.models.ensemble import MeanOfModels
from ostinato.models.export.model_file import FRONT_END_TOLERANCE
from ostinato.training.finish import FinishedModel, finish, fit_confidence, write
from ostinato.training.fit import GenreTraining
from ostinato.training.tracks import Tracks, predict
from tests.helpers.toy import QUICK, SPEC

GENRES = ("blues", "jazz", "other", "rock")
WINDOW = {"length": 24, "hop": 12}
SMALL = {
    "lstm": {"width": 8, "depth": 1, "texture_frames": 4},
    "baseline": {"bands": 4, "modulation_bands": 4, "regularisation": 0.1},
    "discriminant": {"bands": 4, "modulation_bands": 4},
    "fusion": {
        "bands": 32, "channels": (4, 4), "pool_time": (2, 2), "width": 8, "depth": 1,
        "statistic_bands": 4, "modulation_bands": 4,
    },
}  # fmt: skip
LEARNS = replace(QUICK, epochs=15, learning_rate=2e-2, label_smoothing=0.0)


def corpus(n: int = 60) -> Corpus:
    """Each genre adds a mean of its own; a sixth of the tracks are of two."""
    random = np.random.default_rng(0)
    recordings, frames = [], []
    for i in range(n):
        own = [i % 4, *([1] if i % 12 == 0 else [0] if i % 12 == 3 else [])]
        first, *others = (GENRES[g] for g in own)
        recordings.append(Recording(id=f"{i:03}", genre=first, also=tuple(others)))
        mean = 3 * np.eye(4)[own].sum(axis=0)
        frames.append((mean + random.normal(size=(40, 4))).astype(np.float32))
    return Corpus(name="many", source="made", recordings=recordings, frames=frames, spec=SPEC)


CORPUS = corpus()
FOLD = Fold(train=CORPUS.ids[:40], valid=CORPUS.ids[40:])
TRACKS = Tracks.of(CORPUS, FOLD.train)


def parsed(family: str) -> object:
    return models.parse_settings(family, SMALL[family])


def trained(family: str, **changes) -> training.TrainedModel:
    given = {"settings": parsed(family), "training": LEARNS} | changes
    return training.train(CORPUS, FOLD, family, **given)


@pytest.fixture(scope="module")
def network() -> training.TrainedModel:
    return trained("lstm")


@pytest.mark.parametrize("family", ["lstm", "baseline", "discriminant", "fusion"])
def test_held_out_tracks_get_their_genres(family: str) -> None:
    found = trained(family)
    metrics = found.metrics["valid"]
    assert metrics.mean_average_precision > 0.9
    assert found.info.thresholds == (0.5,) * 4
    assert found.info.other == "other"
    own = CORPUS.targets[CORPUS.positions(FOLD.valid)]
    assert metrics == multi_label.evaluate(own, found.probabilities["valid"], GENRES)
    assert np.abs(found.probabilities["valid"].sum(axis=1) - 1).max() > 0.3


def test_probabilities_are_means_over_windows_of_a_sigmoid(network) -> None:
    tracks = Tracks.of(CORPUS, FOLD.valid)
    with torch.no_grad():
        logits = torch.cat([network.model(x) for x in tracks.batches(**WINDOW)]).double().numpy()
    counts = tracks.counts(**WINDOW)
    expected = [part.mean(axis=0) for part in np.split(expit(logits), counts.cumsum()[:-1])]
    np.testing.assert_allclose(network.probabilities["valid"], expected, rtol=1e-6)


def test_the_loss_is_the_smoothed_binary_one_of_both_partners() -> None:
    settings = replace(QUICK, label_smoothing=0.2)
    model = models.build("lstm", spec=SPEC, n_genres=4, settings=parsed("lstm"), multi_label=True)
    step = GenreTraining(model, TRACKS, settings, 0)
    logits, some = torch.randn(3, 4), torch.tensor([0, 1, 2])
    targets = 0.8 * CORPUS.targets[:3] + 0.1
    p = expit(logits.double().numpy())
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(step.losses(logits, some).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_is_solved_for_as_scikit_learn_does_one_genre_against_the_rest(balanced) -> None:
    found = trained("baseline", training=replace(LEARNS, balanced=balanced))
    windows = torch.cat(list(TRACKS.batches(**WINDOW)))
    counts = TRACKS.counts(**WINDOW)
    with torch.no_grad():
        x = found.model.statistics(windows).double().numpy()
        ours = found.model(windows).numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    targets = CORPUS.targets[:40]
    weights = (targets / targets.sum(axis=1, keepdims=True) / targets.sum(axis=0)).sum(axis=1)
    weights = np.repeat(weights / weights.mean(), counts) if balanced else None
    for g in range(4):
        peer = LogisticRegression(C=0.1, max_iter=2000)
        peer.fit(x, np.repeat(targets[:, g], counts), sample_weight=weights)
        np.testing.assert_allclose(ours[:, g], peer.decision_function(x), atol=1e-3)


def test_a_genre_that_no_training_track_has_stays_unlikely() -> None:
    """In a fold, say, of which all its tracks are held out."""
    without = tuple(i for i in FOLD.train if "rock" not in CORPUS.recordings[int(i)].genres)
    fold = Fold(train=without, valid=FOLD.valid)
    settings = parsed("baseline")
    found = training.train(CORPUS, fold, "baseline", settings=settings, training=LEARNS)
    share = 1 / (len(without) + 2)
    np.testing.assert_allclose(found.probabilities["valid"][:, 3], share, rtol=1e-5)


def test_balance_gives_a_track_the_mean_weight_of_its_genres() -> None:
    weights = TRACKS.balance().numpy()
    targets = CORPUS.targets[:40]
    of_genre = 1 / targets.sum(axis=0)
    expected = np.array([of_genre[row > 0].mean() for row in targets])
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-5)


def test_weak_genres_are_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.weak_genres: expected 0 where"):
        trained("baseline", training=replace(LEARNS, weak_genres=1.0))


def test_a_saved_model_is_the_same_when_it_is_loaded(network, tmp_path: Path) -> None:
    models.save(network.model, network.info, tmp_path)
    model, info = models.load(tmp_path)
    assert info == network.info
    again = predict(model, Tracks.of(CORPUS, FOLD.valid), **WINDOW)
    np.testing.assert_array_equal(again, network.probabilities["valid"])


def test_an_ensemble_has_the_mean_probabilities_of_its_members(network) -> None:
    other = trained("lstm", seed=1)
    both = MeanOfModels([network.model, other.model]).eval()
    assert both.multi_label
    x = next(TRACKS.batches(**WINDOW))
    with torch.no_grad():
        said = both(x).sigmoid()
        mean = (network.model(x).sigmoid() + other.model(x).sigmoid()) / 2
    torch.testing.assert_close(said, mean)


@pytest.fixture(scope="module")
def done() -> FinishedModel:
    """A finished model, and thresholds from its held-out tracks."""
    found = trained("baseline")
    confidence = fit_confidence(CORPUS.targets[40:], found.probabilities["valid"])
    return finish(
        found.model, found.info, CORPUS, train=FOLD.train, held_out=(FOLD,), confidence=confidence
    )


def test_the_file_names_genres_by_their_thresholds(done: FinishedModel, tmp_path: Path) -> None:
    said = predict(done.model, Tracks.of(CORPUS, FOLD.valid), **WINDOW)
    thresholds = multi_label.f1_thresholds(CORPUS.targets[40:], said)
    write(done, tmp_path / "many.onnx")
    classifier = Classifier(load_graph(tmp_path / "many.onnx"))
    assert classifier.info.thresholds == thresholds
    n_named = 0
    for i, row in zip(range(40, 60), said, strict=True):
        verdict = classifier.classify(frames=CORPUS.frames[i])
        np.testing.assert_allclose([dict(verdict.ranked)[g] for g in GENRES], row, atol=1e-4)
        likely = {g for g, p, t in zip(GENRES, row, thresholds, strict=True) if p >= t}
        if verdict.abstained is None:
            assert set(verdict.named) == likely - {"other"}
            n_named += 1
        elif verdict.abstained != UNLIKE:  # the farthest of all is
            is_other = row.argmax() == GENRES.index("other")
            assert verdict.abstained == (OTHER if is_other else UNSURE)
    assert n_named >= 10


def test_with_the_front_end_inside_it_gives_the_same(done: FinishedModel, tmp_path: Path) -> None:
    assert write(done, tmp_path / "sound.onnx", front_end=True) <= FRONT_END_TOLERANCE
    noise = np.random.default_rng(0).normal(size=(2, SPEC.excerpt_samples)).astype(np.float32)
    said, _ = load_graph(tmp_path / "sound.onnx").run(noise)
    assert np.abs(said.sum(axis=1) - 1).max() > 0.01
