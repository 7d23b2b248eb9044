"""A folder of somebody's own genres becomes a judged model file, whatever is wrong in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ostinato.datasets.splits import check_split, grouped_folds
from ostinato.errors import DataError, UsageError
from ostinato.inference.classifier import Classifier
from ostinato.study import own_genres
from ostinato.study.judge_model import judge_model
from ostinato.study.own_genres import LearnedGenres, learn_genres
from ostinato.study.tracking import track
from tests.helpers.sounds import write_tune

GENRES = ("dinner", "gym", "tango")


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres of six recordings by three artists each."""
    folder = tmp_path_factory.mktemp("music")
    for kind, genre in enumerate(GENRES):
        for i in range(6):
            write_tune(folder / genre / f"{i}.flac", kind, i, artist=f"{genre} {i // 2}")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def learned(music: Path, cache: Path, tmp_path_factory) -> LearnedGenres:
    out = tmp_path_factory.mktemp("out") / "mine.onnx"
    return learn_genres(music, out, frames="mfcc", cache=cache, jobs=1)


@pytest.fixture
def unwritten(monkeypatch) -> None:
    """The file is not written, which takes seconds, where nothing reads it."""
    monkeypatch.setattr(own_genres, "write", lambda finished, path: 0.0)


def test_the_file_names_genres_of_recordings_that_it_has_not_heard(learned, tmp_path) -> None:
    classifier = Classifier.load(learned.path)
    assert classifier.info.genres == GENRES
    for kind, genre in enumerate(GENRES):
        verdict = classifier.classify(write_tune(tmp_path / "new.flac", kind, 99))
        assert verdict.ranked[0][0] == genre


def test_every_recording_is_judged_by_a_model_that_knows_none_by_its_artist(learned) -> None:
    judged = learned.judgement
    assert judged.n == 18
    assert judged.n_groups == 9
    assert learned.corpus.recordings[0].artist == "dinner 0"
    assert judged.accuracy.mean == pytest.approx(np.trace(judged.confusion) / 18)
    assert judged.accuracy.mean > 0.8
    assert learned.info.accuracy["mean"] == judged.accuracy.mean
    assert learned.info.accuracy["n"] == 18


def test_a_small_collection_is_solved_for_and_the_file_says_why(learned) -> None:
    assert learned.info.family == "discriminant"
    assert "6 recordings a genre" in learned.recipe.why
    assert learned.info.provenance["why"] == learned.recipe.why


def test_nothing_is_left_of_the_work_but_the_frames(learned, cache: Path) -> None:
    assert not list((cache / "training").iterdir())


@pytest.mark.usefixtures("unwritten")
def test_a_training_that_was_killed_goes_on_and_ends_at_the_same_figures(
    music, cache, tmp_path, monkeypatch
) -> None:
    """What was finished is not done again."""
    killed_after = 2
    options = {"frames": "mfcc", "model": "baseline", "cache": cache, "jobs": 1}
    out, begun = tmp_path / "again.onnx", []
    real = own_genres.train

    def train(corpus, fold, family, **own):
        if len(begun) == killed_after and fold.valid:
            raise KeyboardInterrupt
        begun.append(fold)
        return real(corpus, fold, family, **own)

    monkeypatch.setattr(own_genres, "train", train)
    with pytest.raises(KeyboardInterrupt):
        learn_genres(music, out, **options)
    killed_after = -1
    found = learn_genres(music, out, **options)
    assert len(begun) == 4  # three folds, since no genre has more artists, and the whole
    begun.clear()
    once = learn_genres(music, tmp_path / "once.onnx", **options)
    assert found.judgement == once.judgement
    assert replace(found.info, name="once") == once.info


@pytest.mark.usefixtures("unwritten")
def test_what_cannot_be_used_is_told_and_stops_nothing(music, cache, tmp_path) -> None:
    folder = shutil.copytree(music, tmp_path / "mixed")
    write_tune(folder / "lonely" / "a.flac", 1, 50)
    write_tune(folder / "lonely" / "b.flac", 1, 51)
    shutil.copy(folder / "gym" / "0.flac", folder / "gym" / "copy of 0.flac")
    shutil.copy(folder / "gym" / "1.flac", folder / "tango" / "the same.flac")
    (folder / "tango" / "broken.flac").write_bytes(b"no sound")
    told: list[str] = []
    found = learn_genres(
        folder, tmp_path / "m.onnx", frames="mfcc", cache=cache, jobs=1, tell=told.append
    )
    assert found.info.genres == GENRES
    text = "\n".join(told)
    assert "Left out: genre 'lonely' has 2" in text
    assert "Passed over: tango/broken.flac" in text
    assert "Passed over: 1 sound filed under two genres" in text
    assert "'gym/1.flac', 'tango/the same.flac'" in text
    assert "1 recording is a copy of another" in text
    ids = found.corpus.ids
    assert "gym/1.flac" not in ids
    assert "tango/the same.flac" not in ids


def test_a_recording_may_have_several_genres(music, cache, tmp_path) -> None:
    table = tmp_path / "mixed.csv"
    rows = [
        f"{music / genre / f'{i}.flac'},{genre}{';evening' if genre != 'gym' else ''}"
        for genre in GENRES
        for i in range(6)
    ]
    table.write_text("path,genre\n" + "\n".join(rows))
    found = learn_genres(table, tmp_path / "m.onnx", frames="mfcc", cache=cache, jobs=1)
    assert found.info.genres == ("dinner", "evening", "gym", "tango")
    assert len(found.info.thresholds) == 4
    assert found.judgement.multi_label
    assert found.judgement.accuracy.mean > 0.8
    evening = next(g for g in found.judgement.per_genre if g.genre == "evening")
    assert (evening.recordings, evening.groups) == (12, 6)
    verdict = Classifier.load(found.path).classify(music / "tango" / "5.flac")
    assert set(verdict.named) == {"evening", "tango"}
    again = judge_model(found.path, table, cache=cache, jobs=1).judgement
    assert again.multi_label
    assert again.macro_f1 > 0.8


@pytest.mark.usefixtures("unwritten")
def test_genres_by_one_artist_each_measure_the_artist_and_say_so(cache, tmp_path) -> None:
    folder = tmp_path / "music"
    for kind, genre in enumerate(GENRES[:2]):
        for i in range(4):
            write_tune(folder / genre / f"{i}.flac", kind, i, artist=genre)
    told: list[str] = []
    found = learn_genres(
        folder, tmp_path / "m.onnx", frames="mfcc", cache=cache, jobs=1, tell=told.append
    )
    assert any("how well that artist is known again, not the genre" in line for line in told)
    assert found.judgement.per_genre[0].recall_interval is None
    assert found.judgement.per_genre[0].needs == "more recordings: 4 so far"


def test_a_name_of_a_model_that_ships_is_refused(music, cache, data_home, tmp_path) -> None:
    folder = shutil.copytree(music, tmp_path / "default")
    with pytest.raises(UsageError, match="got 'default', which ships"):
        learn_genres(folder, frames="mfcc", cache=cache, jobs=1)


def test_a_model_without_a_place_is_one_of_your_own(
    call, music, cache, data_home, tmp_path, learned
) -> None:
    folder = shutil.copytree(music, tmp_path / "evening")
    status, out, _ = call(
        "train", str(folder), "--frames", "mfcc", "--cache", str(cache), "--jobs", "1"
    )
    assert status == 0
    assert "Use it: ostinato classify --model evening" in out
    assert (data_home / "models" / "evening.html").is_file()
    status, out, _ = call("models")
    assert "Your own. Trained on 18 recordings of evening" in out
    assert call("models", "--use", "evening")[0] == 0
    status, out, _ = call("classify", str(music / "gym" / "3.flac"))
    assert (status, "gym" in out) == (0, True)


def test_a_training_is_logged(learned, tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    page = tmp_path / "p.html"
    page.write_text("page")
    place = track([learned.tracked(page)], "tensorboard", tmp_path / "mine")
    (folder,) = {path.parent for path in place.rglob("events.*")}
    events = EventAccumulator(str(folder)).Reload()
    (accuracy,) = events.Scalars("metrics/accuracy")
    assert accuracy.value == pytest.approx(learned.judgement.accuracy.mean)


def test_one_genre_is_not_enough(tmp_path, cache) -> None:
    for i in range(4):
        write_tune(tmp_path / "music" / "gym" / f"{i}.flac", 0, i)
    with pytest.raises(DataError, match="at least 2 genres"):
        learn_genres(tmp_path / "music", tmp_path / "m.onnx", frames="mfcc", cache=cache, jobs=1)


def test_a_model_is_judged_elsewhere_and_its_own_recordings_are_noticed(
    learned, music, cache, tmp_path
) -> None:
    same = judge_model(learned.path, music, cache=cache, jobs=1).judgement
    assert "learned from 18 of these 18" in same.notes[0]
    assert same.accuracy.mean >= learned.judgement.accuracy.mean
    folder = tmp_path / "others"
    for i in range(2):
        write_tune(folder / "GYM" / f"{i}.flac", 1, 20 + i, artist="gym 0" if i else "Somebody")
    write_tune(folder / "polka" / "x.flac", 0, 30)
    other = judge_model(learned.path, folder, cache=cache, jobs=1)
    assert other.judgement.n == 2
    assert other.corpus.genres == ("gym",)
    notes = "\n".join(other.judgement.notes)
    assert "1 of 3 recordings are by artists whom the model has learned from" in notes
    assert "Left out are genres that the model does not know: polka (1)" in notes
    shutil.rmtree(folder / "GYM")
    with pytest.raises(DataError, match="Expected recordings of the model's genres"):
        judge_model(learned.path, folder, cache=cache, jobs=1)


def test_the_folds_keep_the_promise(learned) -> None:
    split = grouped_folds(learned.corpus)
    assert split.artists == "apart"
    check_split(learned.corpus, split)
    assert sorted(i for fold in split.folds for i in fold.valid) == sorted(learned.corpus.ids)
