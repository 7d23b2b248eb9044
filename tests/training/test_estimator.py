"""scikit-learn's face: its tools take the classifier, and its figures are those of training."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

import ostinato
from ostinato import training
from ostinato.audio import load_audio
from ostinato.datasets import Corpus, Recording
from ostinato.datasets.splits import Fold
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec, frames
from ostinato.inference.model_file import open_graph
from ostinato.models import parse_settings
from ostinato.training import GenreClassifier
from ostinato.training.estimator import InputError
from ostinato.training.recipe import choose_recipe
from ostinato.training.settings import TrainingSettings
from tests.helpers.forked import forked
from tests.helpers.graphs import ear_bytes
from tests.helpers.sounds import RATE_HZ, music
from tests.helpers.toy import SPEC, toy_corpus

CORPUS = toy_corpus()
X = list(CORPUS.frames)
Y = np.array([r.genre for r in CORPUS.recordings])
ARTISTS = np.array([r.artist for r in CORPUS.recordings])
BANDS = {"bands": 4, "modulation_bands": 4}
QUICK = {"epochs": 3, "batch_size": 8, "window_frames": 24, "window_hop": 12}


def quick(model: str = "baseline", **changes: Any) -> GenreClassifier:
    small = BANDS if model in ("baseline", "discriminant") else {"width": 8, "depth": 1}
    given = {"frames": SPEC, "settings": small, "training": QUICK, "jobs": 1} | changes
    return GenreClassifier(model, **given)


class FrameAdapter(GenreClassifier):
    """Takes a table of numbers: each row is one frame of a recording."""

    def listens(self) -> tuple[FeatureSpec, None]:
        return FeatureSpec(kind="external", name="numbers", width=self.n_features_in_), None

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> GenreClassifier:
        X, y = validate_data(self, X, y)
        return super().fit(list(X[:, None, :]), y, groups)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False)
        return super().predict_proba(list(X[:, None, :]))


@pytest.mark.parametrize("model", ["discriminant", "baseline"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks_pass(model: str) -> None:
    check_estimator(
        FrameAdapter(model),
        expected_failed_checks={
            "check_estimators_pickle": "what is unpickled may run any code: to_file saves it",
        },
    )


class TestFit:
    @pytest.mark.parametrize("model", ["baseline", "lstm"])
    def test_it_is_training_on_everything(self, model: str) -> None:
        found = quick(model).fit(X, Y)
        settings = parse_settings(model, quick(model).settings)
        own = training.train(
            CORPUS, Fold(train=CORPUS.ids, valid=()), model,
            settings=settings, training=TrainingSettings(**QUICK),
        )  # fmt: skip
        np.testing.assert_array_equal(found.predict_proba(X), own.probabilities["train"])
        assert found.classes_.tolist() == list(CORPUS.genres)

    def test_a_corpus_has_its_own_genres(self) -> None:
        one, other = quick().fit(CORPUS), quick().fit(X, Y)
        np.testing.assert_array_equal(one.predict_proba(CORPUS), other.predict_proba(X))
        assert one.score(CORPUS) == one.score(X, Y) == np.mean(one.predict(X) == Y)

    def test_classes_are_of_the_kind_that_was_given(self) -> None:
        """In their own order: 2 comes before 10, though not as text."""
        numbers = np.array([2, 10, 1])[CORPUS.labels]
        found = quick().fit(X, numbers)
        assert found.classes_.tolist() == [1, 2, 10]
        assert set(found.predict(X).tolist()) <= {1, 2, 10}
        assert found.score(X, numbers) == quick().fit(X, Y).score(X, Y)
        columns = [CORPUS.genres.index(g) for g in ("g2", "g0", "g1")]
        same = quick().fit(X, Y).predict_proba(X)[:, columns]
        np.testing.assert_allclose(found.predict_proba(X), same, atol=1e-5)

    def test_windows_fit_the_recordings_unless_they_are_chosen(self) -> None:
        assert quick(training={}).fit(X, Y).info_.window_frames == 42  # the median
        assert quick().fit(X, Y).info_.window_frames == 24

    def test_auto_is_the_choice_of_ostinato_train(self) -> None:
        found = quick("auto", settings=None).fit(X, Y)
        assert found.info_.family == choose_recipe(CORPUS).family == "discriminant"
        fewer = [*range(22), 29]  # of the last genre three, of the others ten
        balanced = quick("auto", settings=None).fit([X[i] for i in fewer], Y[fewer])
        assert balanced.info_.provenance["training"]["balanced"]
        with pytest.raises(UsageError, match="settings: expected none with the model 'auto'"):
            quick("auto", settings={"bands": 4}).fit(X, Y)

    def test_several_genres_a_recording(self) -> None:
        rows = [replace(r, also=("g2",) if r.genre == "g0" else ()) for r in CORPUS.recordings]
        many = replace(CORPUS, recordings=rows)
        found = quick(settings=BANDS | {"regularisation": 1.0}).fit(many)
        said = found.predict(many)
        assert said.shape == (30, 3)
        np.testing.assert_array_equal(said, found.predict_proba(X) >= 0.5)
        assert found.score(many) == (said == many.targets).all(axis=1).mean() > 0.9


class TestTools:
    def test_cross_validation_keeps_groups_apart(self) -> None:
        folds = GroupKFold(3)
        found = cross_val_score(quick(), X, Y, groups=ARTISTS, cv=folds)
        by_hand = []
        for train, test in folds.split(X, Y, ARTISTS):
            fitted = quick().fit([X[i] for i in train], Y[train])
            by_hand.append(fitted.score([X[i] for i in test], Y[test]))
        assert found.tolist() == by_hand

    def test_workers_get_it_unfitted(self, monkeypatch) -> None:
        monkeypatch.setattr("joblib.parallel.DEFAULT_MP_CONTEXT", forked())
        alone = cross_val_score(quick(), X, Y, groups=ARTISTS, cv=GroupKFold(2))
        with parallel_config(backend="multiprocessing"):
            together = cross_val_score(quick(), X, Y, groups=ARTISTS, cv=GroupKFold(2), n_jobs=2)
        assert alone.tolist() == together.tolist()

    def test_probabilities_of_held_out_recordings(self) -> None:
        said = cross_val_predict(quick(), X, Y, cv=StratifiedKFold(2), method="predict_proba")
        np.testing.assert_allclose(said.sum(axis=1), 1)

    def test_a_search_over_settings_training_and_models(self) -> None:
        grid = [
            {"settings__regularisation": np.logspace(-6, 0, 2)},
            {"model": ["lstm"], "settings": [{"width": 4, "depth": 1}], "training__epochs": [1, 2]},
        ]
        search = GridSearchCV(quick(), grid, cv=StratifiedKFold(2), error_score="raise")
        search.fit(X, Y)
        tried, scores = search.cv_results_["params"], search.cv_results_["mean_test_score"]
        assert len(tried) == 4
        for params, score in zip(tried[1:3], scores[1:3], strict=True):
            own = quick().set_params(**params)
            assert cross_val_score(own, X, Y, cv=StratifiedKFold(2)).mean() == score
        assert search.score(X, Y) == search.best_estimator_.score(X, Y) > 0.9

    def test_a_clone_is_unfitted_and_has_the_same_parameters(self) -> None:
        fitted = quick(seed=3).fit(X, Y)
        copy = clone(fitted)
        assert copy.get_params() == fitted.get_params()
        assert copy.get_params()["training__epochs"] == 3
        with pytest.raises(NotFittedError):
            copy.predict(X)

    def test_a_nested_parameter_changes_no_other_classifier(self) -> None:
        one = quick()
        other = clone(one).set_params(training__epochs=9, settings=None, seed=1)
        assert (other.training["epochs"], other.settings, other.seed) == (9, None, 1)
        assert one.training == QUICK

    def test_pickle_takes_it_before_it_is_fitted_only(self) -> None:
        one = quick()
        assert pickle.loads(pickle.dumps(one)).get_params() == one.get_params()
        with pytest.raises(UsageError, match=r"not pickled.*to_file\('NAME\.onnx'\)"):
            pickle.dumps(one.fit(X, Y))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[list[str], list[str]]:
    """Four files of low notes and four of the same an octave or two higher, 4 s each."""
    folder = tmp_path_factory.mktemp("music")
    paths, genres = [], []
    for i in range(8):
        path = folder / f"{i}.wav"
        soundfile.write(path, music(i, 4.0), RATE_HZ * (1 if i < 4 else 3))
        paths.append(str(path))
        genres.append("low" if i < 4 else "high")
    return paths, genres


class TestFiles:
    def classifier(self, tmp_path: Path, **changes: Any) -> GenreClassifier:
        return quick("discriminant", **{"frames": "mfcc", "cache": tmp_path / "c", **changes})

    def test_files_are_heard_as_everywhere(self, files, tmp_path: Path) -> None:
        paths, genres = files
        found = self.classifier(tmp_path, training=None).fit(np.array(paths), genres)
        heard = [frames(load_audio(path), FeatureSpec()) for path in paths]
        same = self.classifier(tmp_path, training=None).fit(heard, genres)
        np.testing.assert_array_equal(
            found.predict_proba([Path(p) for p in paths]), same.predict_proba(heard)
        )
        assert found.score(paths, genres) == 1

    def test_an_ear_hears_them(self, files, tmp_path: Path) -> None:
        paths, genres = files
        (tmp_path / "toy-ear.onnx").write_bytes(ear_bytes())
        found = self.classifier(tmp_path, frames=tmp_path / "toy-ear.onnx", training=None)
        assert found.fit(paths, genres).info_.spec.kind == "external"
        assert found.predict(paths).shape == (8,)

    def test_a_file_that_cannot_be_read_is_named(self, files, tmp_path: Path) -> None:
        paths, genres = files
        broken = tmp_path / "broken.mp3"
        broken.write_bytes(b"no sound")
        with pytest.raises(DataError, match=rf"1 of 8 files cannot be used; the first is {broken}"):
            self.classifier(tmp_path).fit([*paths[:-1], broken], genres)


class TestToFile:
    def test_it_is_the_model_that_classify_opens(self, tmp_path: Path) -> None:
        found = quick("discriminant").fit(X, Y, groups=ARTISTS)
        info = found.to_file(tmp_path / "mine.onnx", folds=2)
        classifier = ostinato.Classifier.load(tmp_path / "mine.onnx")
        assert classifier.info == info == open_graph(tmp_path / "mine.onnx").info
        assert (info.name, info.genres) == ("mine", CORPUS.genres)
        assert info.accuracy["n"] == len(X)
        assert info.accuracy["low"] <= info.accuracy["mean"] <= info.accuracy["high"]
        assert info.temperature != 1
        said = found.predict(X)
        for i in range(0, len(X), 5):
            verdict = classifier.classify(frames=X[i])
            assert verdict.ranked[0][0] == said[i]

    def test_its_accuracy_is_that_of_groups_that_were_held_out(self, tmp_path, monkeypatch) -> None:
        judged: list[Fold] = []
        keep = training.estimator._held_out

        def kept(classifier: GenreClassifier, corpus: Corpus, fold: Fold) -> NDArray[np.float64]:
            by = {part: {corpus.recordings[int(i)].artist for i in fold.part(part)}
                  for part in ("train", "valid")}  # fmt: skip
            assert not by["train"] & by["valid"]
            judged.append(fold)
            return keep(classifier, corpus, fold)

        monkeypatch.setattr("ostinato.training.estimator._held_out", kept)
        monkeypatch.setattr("ostinato.training.estimator.write", lambda *_: 0.0)
        info = quick().fit(X, Y, groups=ARTISTS).to_file(tmp_path / "mine.onnx", folds=3)
        assert sorted(int(i) for fold in judged for i in fold.valid) == list(range(30))
        right = []
        for fold in judged:
            train, test = ([int(i) for i in part] for part in (fold.train, fold.valid))
            fitted = quick().fit([X[i] for i in train], Y[train])
            right += (fitted.predict([X[i] for i in test]) == Y[test]).tolist()
        assert info.accuracy["mean"] == pytest.approx(np.mean(right))

    def test_what_cannot_be_judged_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="'g2': expected at least two different recordings"):
            quick().fit(X[:21], Y[:21]).to_file(tmp_path / "mine.onnx")
        with pytest.raises(UsageError, match="folds: expected 2 or more, got 1"):
            quick().fit(X, Y).to_file(tmp_path / "mine.onnx", folds=1)
        with pytest.raises(NotFittedError):
            quick().to_file(tmp_path / "mine.onnx")


class TestBadInput:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ((X, None), "a genre for each recording"),
            ((X, Y[:-1]), "each of 30 recordings, got 29 genres"),
            ((X, Y, ARTISTS[:3]), "got 30 genres and 3 groups"),
            ((X, ["jazz"] * 30), "two genres or more, got one class: 'jazz'"),
            ((["a.wav", X[0]], ["a", "b"]), "audio files or arrays of frames, got both"),
            (([], []), "got nothing"),
            ((CORPUS, Y), "a corpus alone"),
        ],
    )
    def test_it_is_refused_as_scikit_learn_expects(self, given: Any, said: str) -> None:
        with pytest.raises(InputError, match=said) as caught:
            quick().fit(*given)
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"model": "lstn"}, "Expected models of .*; got 'lstn'"),
            ({"training": {"epoch": 3}}, r"There is no setting 'training\.epoch'"),
            ({"settings": {"bands": 0}}, r"settings: Expected at least one band"),
            ({"frames": "mel"}, "frames: expected one of mfcc, .*; got 'mel'"),
        ],
    )
    def test_wrong_parameters_are_told_by_fit(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            quick().set_params(**changes).fit(X, Y)

    def test_frames_of_another_width(self) -> None:
        with pytest.raises(DataError, match=r"shape \(n_frames, 4\), got \(40, 5\)"):
            quick().fit([np.zeros((40, 5)), np.ones((40, 5))], ["a", "b"])
        fitted = quick().fit(X, Y)
        other = Corpus(
            name="other", source="made", recordings=[Recording(id="a", genre="g0")],
            frames=[np.zeros((40, 5), np.float32)], spec=replace(SPEC, n_coefficients=5),
        )  # fmt: skip
        with pytest.raises(InputError, match="from which this classifier learned"):
            fitted.predict(other)

    def test_vectors_of_an_ear_that_is_not_named_cannot_be_had_of_files(self) -> None:
        spec = FeatureSpec(kind="external", name="numbers", width=4)
        with pytest.raises(UsageError, match=r"the file of an ear, to hear a\.wav"):
            quick(frames=spec).fit(["a.wav", "b.wav"], ["a", "b"])
