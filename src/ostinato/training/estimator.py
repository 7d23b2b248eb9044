"""scikit-learn's face: a classifier of audio files that its tools take as they take their own.

::

    classifier = GenreClassifier("residual-lstm", training={"epochs": 40})
    cross_val_score(classifier, paths, genres, groups=artists, cv=GroupKFold(5))
    classifier.fit(paths, genres, groups=artists).to_file("mine.onnx")

Axes: N recordings, T frames, F features, G genres.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ostinato import models, parallel
from ostinato.datasets import Corpus, FrameCache, Recording
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.datasets.splits import Fold, grouped_folds
from ostinato.errors import DataError, UsageError, near
from ostinato.evaluation.significance import Clusters, Term, interval
from ostinato.features import FeatureSpec, Frames
from ostinato.inference.ear import open_ear
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.registry import FETCHED, ear_path, is_ear
from ostinato.models.settings import checked
from ostinato.training.finish import PRECISION, finish, fit_confidence, write
from ostinato.training.learn import TrainedModel, train
from ostinato.training.recipe import choose_recipe
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks, predict

AUTO = "auto"

KINDS = ("mfcc", "log-mel", "log-mel-from-mfcc")
"""Frames that no ear gives."""

_TABLES = ("settings", "training")  # parameters that hold settings by name

Sounds = Corpus | Sequence[str | os.PathLike[str]] | Sequence[ArrayLike]
"""A corpus, audio files, or the frames of each recording [shape=(T, F)]."""


class InputError(UsageError, ValueError):
    """Input that cannot be learned from, or named: for Ostinato and scikit-learn alike."""


class GenreClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A family of models as an estimator of scikit-learn.

    Parameters
    ----------
    model : str
        One of :data:`ostinato.models.FAMILIES`, or ``"auto"``, which chooses by the size of the
        collection, as ``ostinato train`` does (:mod:`ostinato.training.recipe`).
    frames : str, path or FeatureSpec
        What the model hears of files: ``"mfcc"``, ``"log-mel"``, ``"log-mel-from-mfcc"``, or an ear
        by its name or its file (``"musicnn"``, ``"mine.onnx"``). A spec also says of what kind the
        frames are where frames are given in place of files.
    settings : dict, optional
        The family's, where they are not its defaults: ``{"width": 64}``.
    training : dict, optional
        Fields of :class:`~ostinato.training.settings.TrainingSettings`: ``{"epochs": 40}``. Without
        ``window_frames``, windows fit the recordings.
    seed : int
        Decides the first weights, the order and the augmentation.
    jobs : int, optional
        Files that are heard, and folds of :meth:`to_file`, side by side; by default one a processor
        core. It changes no figure.
    cache : str or path, optional
        The folder for frames of files; by default the user's.

    Attributes
    ----------
    classes_ : array [shape=(G,)]
        The genres, sorted: the columns of :meth:`predict_proba`.
    model_ : GenreModel
        The trained network, or the one that was solved for.
    info_ : ModelInfo
        Its metadata.
    corpus_ : Corpus
        What it learned from; :meth:`to_file` needs it.

    Notes
    -----
    Every setting is a parameter of its own for a search: ``training__epochs``, ``settings__width``.

    A classifier that is fitted cannot be pickled, since what is unpickled may run any code:
    :meth:`to_file` saves it. One that is not fitted can, so that joblib may send it to workers.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ostinato.training import GenreClassifier
    >>> files = sorted(Path("music").glob("*/*.flac"))
    >>> classifier = GenreClassifier("baseline", jobs=1)
    >>> classifier.fit(files, [file.parent.name for file in files]).predict(files[:2]).tolist()
    ['ballad', 'ballad']
    """

    def __init__(
        self,
        model: str = "residual-lstm",
        *,
        frames: str | os.PathLike[str] | FeatureSpec = "mfcc",
        settings: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        seed: int = 0,
        jobs: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.model = model
        self.frames = frames
        self.settings = settings
        self.training = training
        self.seed = seed
        self.jobs = jobs
        self.cache = cache

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep``, also those that ``settings`` and ``training`` hold."""
        params: dict[str, Any] = super().get_params(deep=deep)
        for table in _TABLES if deep else ():
            if isinstance(params[table], Mapping):
                params |= {f"{table}__{name}": value for name, value in params[table].items()}
        return params

    def set_params(self, **params: Any) -> GenreClassifier:
        """Set parameters; ``training__epochs`` is ``epochs`` in ``training``."""
        within = {key: v for key, v in params.items() if key.partition("__")[0] in _TABLES}
        super().set_params(**{k: v for k, v in params.items() if k in _TABLES or k not in within})
        for key, value in within.items():
            table, separator, name = key.partition("__")
            if separator:
                setattr(self, table, {**(getattr(self, table) or {}), name: value})
        return self

    def fit(
        self, X: Sounds, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> GenreClassifier:
        """Learn the genres of recordings.

        Parameters
        ----------
        X : Corpus, sequence of str or path, or sequence of array [shape=(T, F) each]
            A corpus has genres and artists of its own.
        y : array [shape=(N,)]
            Genres of the files or arrays.
        groups : array [shape=(N,)], optional
            Their artists, or whatever must stay together in the folds of :meth:`to_file`.

        Raises
        ------
        UsageError
            If a setting is wrong.
        InputError
            If genres or groups are missing, are not one for each recording, or all are one genre.
        DataError
            If a file cannot be read, or frames are no finite numbers or of another width.
        TrainingError
            If training diverges.
        """
        corpus, classes = self._corpus(X, y, groups)
        if len(classes) < 2:
            raise InputError(f"Expected two genres or more, got one class: '{classes[0]}'.")
        trained = self._train(corpus, Fold(train=corpus.ids, valid=()))
        self.classes_, self.corpus_ = classes, corpus
        self.model_, self.info_ = trained.model, trained.info
        return self

    def predict_proba(self, X: Sounds) -> NDArray[np.float64]:
        """Probability of each genre [shape=(N, G)]: the mean over the windows of a recording.

        Where recordings have several genres, each is a probability of its own.
        """
        check_is_fitted(self, "model_")
        corpus = X if isinstance(X, Corpus) else self._heard(X, [""] * len(X), [None] * len(X))
        if corpus.spec != self.info_.spec:
            raise InputError(
                f"Expected frames of {self.info_.spec.describe()}, from which this classifier "
                f"learned, got {corpus.spec.describe()}."
            )
        tracks = Tracks.of(corpus, corpus.ids)
        info = self.info_
        said = predict(self.model_, tracks, length=info.window_frames, hop=info.window_hop)
        return said[:, [info.genres.index(str(name)) for name in self.classes_.tolist()]]

    def predict(self, X: Sounds) -> NDArray[Any]:
        """The likeliest genre of each recording [shape=(N,)].

        Where recordings have several genres: 1 for each that reaches 0.5, else 0 [shape=(N, G)].
        """
        said = self.predict_proba(X)
        if self.info_.multi_label:
            return (said >= np.array(self.info_.thresholds)).astype(np.int64)
        likeliest: NDArray[Any] = self.classes_[said.argmax(axis=1)]
        return likeliest

    def score(
        self, X: Sounds, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Share of recordings whose genre, or genres, are right; of a corpus without ``y``."""
        said = self.predict(X)
        if isinstance(X, Corpus) and y is None:
            y = np.array([r.genre for r in X.recordings])
            if self.info_.multi_label:
                y = [[genre in r.genres for genre in self.classes_] for r in X.recordings]
        return float(accuracy_score(y, said, sample_weight=sample_weight))

    def to_file(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "",
        folds: int = 5,
        precision: float = PRECISION,
    ) -> ModelInfo:
        """Write the model file that ``ostinato classify --model`` and ``Classifier.load`` open.

        How good it is, and when it abstains, is found by training once more for each of some folds,
        no group in two of them.

        Parameters
        ----------
        name : str
            The model's; by default that of its file.
        folds : int
            At least 2; fewer are made where no genre has so many groups.
        precision : float
            Share of right verdicts that the threshold aims at.

        Returns
        -------
        ModelInfo
            What the file says of the model: accuracy on held-out recordings, thresholds and so on.

        Raises
        ------
        UsageError
            If fewer than two folds are asked for.
        DataError
            If a genre has one recording only.
        WriteError
            If the file cannot be written.
        """
        check_is_fitted(self, "model_")
        if folds < 2:
            raise UsageError(f"folds: expected 2 or more, got {folds}.")
        corpus, path = self.corpus_, Path(path)
        split = grouped_folds(corpus, n_folds=folds, seed=self.seed)
        said = np.zeros((len(corpus), len(corpus.genres)))  # (N, G)
        judge = partial(_held_out, clone(self), corpus)
        calls = [(fold,) for fold in split.folds]
        with parallel.run(judge, calls, doing="trained a model", n_jobs=self.jobs) as results:
            for k, of_fold in results:
                said[corpus.positions(split.folds[k].valid)] = of_fold
        labels = corpus.targets if corpus.is_multi_label else corpus.labels
        info = replace(self.info_, name=name or path.stem)
        if not corpus.is_multi_label:
            right = said.argmax(axis=1) == corpus.labels
            clusters = Clusters.by_artist(corpus.labels, corpus.groups)
            found = interval([Term(right[None], clusters, self.model)])
            n = len(split.folds)
            how = f"each by a model that learned from other groups, {n} folds; 95 % by group"
            accuracy = {**found.to_dict(), "n": len(corpus), "protocol": how}
            info = replace(info, accuracy=accuracy)
        finished = finish(
            self.model_,
            info,
            corpus,
            train=corpus.ids,
            held_out=split.folds,
            confidence=fit_confidence(labels, said, precision=precision),
        )
        write(finished, path)
        return finished.info

    def __getstate__(self) -> dict[str, Any]:
        if hasattr(self, "model_"):
            raise UsageError(
                "A GenreClassifier that is fitted is not pickled, since what is unpickled may run "
                "any code: save it with to_file('NAME.onnx'), and load that with "
                "ostinato.Classifier.load('NAME.onnx')."
            )
        return cast(dict[str, Any], super().__getstate__())

    def listens(self) -> tuple[FeatureSpec, Path | None]:
        """The spec of the frames, and the file of the ear that gives them, if one does."""
        if isinstance(self.frames, FeatureSpec):
            return self.frames, None
        name = os.fspath(self.frames)
        if is_ear(name):
            path = ear_path(name)
            return open_ear(path).spec, path
        if name not in KINDS:
            known = (*KINDS, *FETCHED)
            raise UsageError(
                f"frames: expected one of {', '.join(known)}, the file of an ear (.onnx), or a "
                f"FeatureSpec; got '{name}'{near(name, known)}"
            )
        return FeatureSpec(kind=cast(Any, name)), None

    def _corpus(
        self, X: Sounds, y: ArrayLike | None, groups: ArrayLike | None
    ) -> tuple[Corpus, NDArray[Any]]:
        """What is learned from, and its classes."""
        if isinstance(X, Corpus):
            if y is not None or groups is not None:
                raise InputError("Expected a corpus alone: it has genres and artists of its own.")
            return X, np.array(X.genres)
        if y is None:
            raise InputError("Expected a genre for each recording (y), got none.")
        check_classification_targets(y)
        genres = np.asarray(y)
        artists = [None] * len(X) if groups is None else [str(g) for g in np.asarray(groups)]
        if not genres.ndim == 1 or not len(X) == len(genres) == len(artists):
            raise InputError(
                f"Expected a genre and a group for each of {len(X)} recordings, got "
                f"{len(genres)} genres{'' if groups is None else f' and {len(artists)} groups'}."
            )
        return self._heard(X, [str(name) for name in genres.tolist()], artists), np.unique(genres)

    def _heard(self, X: Sounds, genres: Sequence[str], artists: Sequence[str | None]) -> Corpus:
        """A corpus of files, or of arrays of frames."""
        spec, ear = self.listens()
        given = list(cast(Sequence[Any], X))
        files = [Path(each) for each in given if isinstance(each, str | os.PathLike)]
        if not given or len(files) not in (0, len(given)):
            got = "both" if files else "nothing"
            raise InputError(f"Expected audio files or arrays of frames, got {got}.")
        ids, sounds = [str(i) for i in range(len(given))], [""] * len(given)
        frames: list[Frames] = [np.asarray(each, np.float32) for each in given if not files]
        if files:
            found = self._of_files(files, spec, ear)
            frames, sounds = [each.frames for each in found], [each.sha256 for each in found]
            ids = [f"{i}: {path}" for i, path in enumerate(files)]
        rows = zip(ids, genres, artists, sounds, strict=True)
        return Corpus(
            name="recordings",
            source="what fit and predict were given",
            recordings=[Recording(id=i, genre=g, artist=a, recording=r) for i, g, a, r in rows],
            frames=frames,
            spec=spec,
        )

    def _of_files(
        self, files: Sequence[Path], spec: FeatureSpec, ear: Path | None
    ) -> list[FileFrames]:
        if spec.kind == "external" and ear is None:
            raise UsageError(
                f"frames: expected the name or the file of an ear, to hear {files[0]}, got "
                f"{spec.describe()}."
            )
        cache = FrameCache(None if self.cache is None else Path(self.cache))
        results = compute_frames(files, spec=spec, ear=ear, cache=cache, n_jobs=self.jobs)
        found = [each for each in results if isinstance(each, FileFrames)]
        for path, result in zip(files, results, strict=True):
            if isinstance(result, str):
                raise DataError(
                    f"{len(files) - len(found)} of {len(files)} files cannot be used; the first is "
                    f"{path}: {result}"
                )
        return found

    def _train(self, corpus: Corpus, fold: Fold) -> TrainedModel:
        external = corpus.spec.kind == "external"
        given = [
            {k: v.item() if isinstance(v, np.generic) else v for k, v in (table or {}).items()}
            for table in (self.settings, self.training)
        ]
        training = checked(TrainingSettings, given[1], "training.")
        if self.model == AUTO:
            if given[0]:
                raise UsageError(f"settings: expected none with the model '{AUTO}', got some.")
            recipe = choose_recipe(corpus, training=training)
            family, settings, training = recipe.family, recipe.settings, recipe.training
        else:
            family = self.model
            settings = models.parse_settings(
                family, given[0], prefix="settings.", external=external
            )
            training = training.fitting([len(frames) for frames in corpus.frames], corpus.spec)
        return train(corpus, fold, family, settings=settings, training=training, seed=self.seed)


def _held_out(classifier: GenreClassifier, corpus: Corpus, fold: Fold) -> NDArray[np.float64]:
    """Probabilities of a fold's held-out recordings, by a model of the others [shape=(N, G)]."""
    return classifier._train(corpus, fold).probabilities["valid"]
