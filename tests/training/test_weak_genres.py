"""Weak genres: found on the training part alone, weighed by a formula, told in the run's record."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.errors import DataError
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.results import plain
from ostinato.study.study import run_study
from ostinato.training import fit as fit_module
from ostinato.training import weak_genres as weak
from ostinato.training.augment_frames import mixup
from ostinato.training.fit import TrainingError
from ostinato.training.tracks import Tracks
from ostinato.training.weak_genres import (
    GenreWeight,
    genre_weights,
    recall_on_inner_folds,
    track_weights,
)
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
SETTINGS = replace(QUICK, weak_genres=1.0, weak_genre_epochs=15, learning_rate=1e-2)
SMALL = {"width": 8, "depth": 1, "texture_frames": 4}
MODEL = partial(
    models.build,
    "lstm",
    spec=CORPUS.spec,
    n_genres=3,
    settings=models.family("lstm").settings(**SMALL),
)


def recall(corpus: Corpus = CORPUS, *, train=None, settings=SETTINGS):
    return recall_on_inner_folds(
        corpus,
        train or corpus.ids,
        make_model=MODEL,
        settings=settings,
        seed=0,
    )


def confusable() -> Corpus:
    """Genres 0 and 1 sound alike, and genre 2 like neither."""
    random = np.random.default_rng(5)
    frames = list(CORPUS.frames)
    for i in range(20):
        frames[i] = random.normal(size=(40, 4)).astype(np.float32)
    for i in range(20, 30):
        frames[i] = frames[i] + 6
    return replace(CORPUS, frames=frames)


@given(
    recalls=st.lists(st.floats(0, 1), min_size=1, max_size=10),
    strength=st.floats(0, 3),
)
def test_weights_have_mean_1_and_fall_with_recall(recalls: list[float], strength: float) -> None:
    weights = genre_weights({str(i): r for i, r in enumerate(recalls)}, strength)
    found = np.array(list(weights.values()))
    wanted = np.power(1 - np.minimum(recalls, 0.95), strength)
    np.testing.assert_allclose(found, wanted / wanted.mean())
    assert found.mean() == pytest.approx(1)
    assert (found > 0).all(), "a genre that is never missed is still heard"
    order = np.argsort(recalls, kind="stable")
    assert (np.diff(found[order]) <= 1e-9).all()


def test_strength_0_weighs_all_alike() -> None:
    assert genre_weights({"a": 0.1, "b": 1.0}, 0.0) == {"a": 1.0, "b": 1.0}


def test_a_genre_that_cannot_be_told_from_another_gets_the_lower_recall() -> None:
    found = recall(confusable())
    assert found["g2"] > 0.8
    assert (found["g0"] + found["g1"]) / 2 < 0.7, "two genres of one sound: a coin is as good"


def test_recall_is_that_of_the_recordings_held_out(monkeypatch) -> None:
    """By a stand-in for the model's verdicts that is right on every recording but three."""
    wrong = {"g0.001", "g0.007", "g2.005"}
    held_out: list[str] = []
    real = Tracks.of.__func__

    def noting(cls, corpus, ids):
        held_out[:] = ids
        return real(cls, corpus, ids)

    def verdicts(model, tracks, **window):
        right = np.eye(3)[tracks.labels.numpy()]
        flipped = [name in wrong for name in held_out]
        return np.where(np.array(flipped)[:, None], np.roll(right, 1, axis=1), right)

    monkeypatch.setattr(Tracks, "of", classmethod(noting))
    monkeypatch.setattr(weak, "predict", verdicts)
    found = recall(settings=replace(SETTINGS, weak_genre_epochs=1))
    assert found == {"g0": 0.8, "g1": 1.0, "g2": 0.9}


def test_inner_folds_hold_out_each_training_recording_once_and_no_artist_twice(monkeypatch) -> None:
    """Nor is any recording heard that is not of the training part."""
    heard = []
    real = Tracks.of.__func__

    def noting(cls, corpus, ids):
        heard.append(ids)
        return real(cls, corpus, ids)

    monkeypatch.setattr(Tracks, "of", classmethod(noting))
    train = CORPUS.ids[:7] + CORPUS.ids[10:18] + CORPUS.ids[20:29]
    recall(train=train, settings=replace(SETTINGS, weak_genre_epochs=1))
    learnt, held_out = heard[::2], heard[1::2]
    assert len(held_out) == 3
    assert sorted(i for ids in held_out for i in ids) == sorted(train)
    artist = {r.id: r.artist for r in CORPUS.recordings}
    for ours, others in zip(learnt, held_out, strict=True):
        assert set(ours) | set(others) == set(train)
        assert {artist[i] for i in ours}.isdisjoint(artist[i] for i in others)


def test_the_same_seed_finds_the_same_recall() -> None:
    first = recall(confusable())
    torch.manual_seed(77)
    assert recall(confusable()) == first


def test_a_track_weighs_what_its_genre_weighs() -> None:
    genres = {f"g{i}": GenreWeight(recall=0.5, weight=float(i)) for i in range(3)}
    tracks = Tracks.of(CORPUS, ("g2.000", "g0.000", "g1.003"))
    assert track_weights(genres, tracks, CORPUS.genres).tolist() == [2.0, 0.0, 1.0]


# In a study

CONFIG = StudyConfig(
    models=("lstm",), seeds=1, split="holdout", training=replace(SETTINGS, epochs=2),
    settings={"lstm": SMALL}, coefficients=4,
)  # fmt: skip


def run(folder: Path, config: StudyConfig = CONFIG, corpus: Corpus = CORPUS):
    return run_study(plan_study(config, corpus, folder), jobs=1, report=False)


def one_track_an_artist(corpus: Corpus = CORPUS) -> Corpus:
    """Artists of one recording, so that six of each genre are in train."""
    return replace(corpus, recordings=[replace(r, artist=r.id) for r in corpus.recordings])


def test_recall_and_weight_of_every_genre_are_in_the_runs_record(tmp_path) -> None:
    results = run(tmp_path, corpus=one_track_an_artist(confusable())).results
    folder = tmp_path / "models" / "lstm" / "seed0-fold0"
    found = json.loads((folder / "run.json").read_text())["weak_genres"]
    assert plain(results.models["lstm"].runs[0].weak_genres) == found
    assert set(found) == {"g0", "g1", "g2"}
    assert all(set(row) == {"recall", "weight"} for row in found.values())
    wanted = genre_weights({g: row["recall"] for g, row in found.items()}, 1.0)
    assert {g: row["weight"] for g, row in found.items()} == pytest.approx(wanted)
    assert found["g2"]["weight"] < 1
    assert {p.name for p in folder.iterdir()} == {
        "recipe.json", "run.json", "weights.safetensors", "model.json", "probabilities.csv",
        "curves.csv",
    }  # fmt: skip


def test_without_the_setting_nothing_is_listened_to_within_the_training_part(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(weak, "recall_on_inner_folds", lambda *a, **k: pytest.fail("listened"))
    run(tmp_path, replace(CONFIG, training=QUICK))
    record = json.loads((tmp_path / "models/lstm/seed0-fold0/run.json").read_text())
    assert "weak_genres" not in record


def test_noise_does_not_tell_the_weak_genres(tmp_path, monkeypatch) -> None:
    """Louder on them, it would be what a model knows them by, and clean recordings have none."""
    heard = []
    real = fit_module.add_noise

    def noting(x, deviation):
        heard.append(deviation)
        return real(x, deviation)

    monkeypatch.setattr(fit_module, "add_noise", noting)
    tracks = Tracks.of(CORPUS, CORPUS.ids)
    model = MODEL()
    fit_module.fit(
        model,
        train=tracks,
        valid=tracks,
        settings=replace(SETTINGS, epochs=1, noise=0.3),
        seed=0,
        folder=tmp_path,
        weights=torch.linspace(0.5, 1.5, len(tracks)),
    )
    assert heard
    for deviation in heard:
        assert torch.equal(deviation, 0.3 * model.normalise.deviation)


def test_an_interrupted_run_listens_once_and_ends_with_the_same_weights(
    tmp_path, monkeypatch
) -> None:
    corpus = one_track_an_artist()
    run(tmp_path / "whole", corpus=corpus)
    weights = "models/lstm/seed0-fold0/weights.safetensors"

    def interrupted(x, *, alpha):
        if (tmp_path / "cut/models/lstm/seed0-fold0/last.ckpt").exists():
            raise KeyboardInterrupt  # in the second epoch of the training proper
        return mixup(x, alpha=alpha)

    monkeypatch.setattr(fit_module, "mixup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", corpus=corpus)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    monkeypatch.setattr(weak, "recall_on_inner_folds", lambda *a, **k: pytest.fail("listened"))
    run(tmp_path / "cut", corpus=corpus)
    whole, cut = ((tmp_path / name / weights).read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_an_interruption_while_listening_is_no_obstacle(tmp_path, monkeypatch) -> None:
    corpus = one_track_an_artist()
    steps = 0

    def interrupted(x, *, alpha):
        nonlocal steps
        steps += 1
        if steps == 40:
            raise KeyboardInterrupt
        return mixup(x, alpha=alpha)

    monkeypatch.setattr(fit_module, "mixup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", corpus=corpus)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    folder = tmp_path / "cut/models/lstm/seed0-fold0"
    assert [path.name for path in folder.iterdir()] == ["recipe.json"]
    run(tmp_path / "cut", corpus=corpus)
    assert (folder / "run.json").exists()


# Bad input


def test_unknown_artists_are_an_error_that_says_so() -> None:
    unknown = replace(CORPUS, recordings=[replace(r, artist=None) for r in CORPUS.recordings])
    sentence = r"training\.weak_genres: .* of no training recording is the artist known \(30 rec"
    with pytest.raises(DataError, match=sentence):
        recall(unknown)


def test_too_few_artists_are_counted_and_named() -> None:
    few = replace(
        CORPUS,
        recordings=[
            replace(r, artist=f"only {int(r.id[-1]) % 2}") if r.genre == "g1" else r
            for r in CORPUS.recordings
        ],
    )
    sentence = (
        r"training\.weak_genres: expected at least 3 artists of every genre in the training part, "
        r"for 3 inner folds, got 2 of 'g1'; lower training\.weak_genre_folds, or set .* to 0\."
    )
    with pytest.raises(DataError, match=sentence):
        recall(few)
    recall(few, settings=replace(SETTINGS, weak_genre_folds=2, weak_genre_epochs=1))


def test_artists_of_several_genres_that_leave_no_folds_are_told() -> None:
    """Three artists who record all genres, two of them together: two groups for three folds."""
    recordings = [
        replace(r, artist=f"artist {int(r.id[-1]) % 3}", recording="joint" if i in (0, 1) else r.id)
        for i, r in enumerate(CORPUS.recordings)
    ]
    sentence = r"training\.weak_genres: the artists .* cannot be dealt to 3 inner folds .*; lower"
    with pytest.raises(DataError, match=sentence):
        recall(replace(CORPUS, recordings=recordings))


def test_a_damaged_record_of_weights_is_named(tmp_path) -> None:
    folder = tmp_path / "models" / "lstm" / "seed0-fold0"
    folder.mkdir(parents=True)
    (folder / "weak_genres.json").write_text('{"g0": 1}')
    with pytest.raises(DataError, match=r"weak_genres\.json: expected recall and weight .*delete"):
        run(tmp_path, corpus=one_track_an_artist())


def test_an_inner_training_that_diverges_stops_the_run(monkeypatch) -> None:
    monkeypatch.setattr(fit_module, "mixup", lambda x, *, alpha: mixup(x * np.nan, alpha=alpha))
    with pytest.raises(TrainingError, match="The loss is nan in epoch 1, step 1"):
        recall()
