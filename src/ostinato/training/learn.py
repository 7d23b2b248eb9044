"""The one road of training: a corpus and a fold in, a trained and judged model out, in memory.

A folder is needed only to resume a training that was interrupted; what a study keeps in one is
:mod:`ostinato.study.training_run`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.datasets.splits import PARTS, Fold
from ostinato.errors import UsageError
from ostinato.evaluation.metrics import Metrics
from ostinato.evaluation.multi_label import UNTRIED, MultiLabelMetrics
from ostinato.inference.model_info import ModelInfo
from ostinato.models.baseline import SolvedModel
from ostinato.training.curves import Curves, measure
from ostinato.training.fit import fit
from ostinato.training.settings import TrainingSettings
from ostinato.training.solve import solve
from ostinato.training.tracks import Tracks, predict
from ostinato.training.versions import versions
from ostinato.training.weak_genres import GenreWeight, track_weights, weigh_genres


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained model, and what its training found out.

    Attributes
    ----------
    model : GenreModel
        With the averaged weights, in evaluation mode.
    info : ModelInfo
    curves : dict of str to list
        Learning curves; see :func:`ostinato.training.fit.fit`.
    weak_genres : dict of str to GenreWeight
        Empty unless ``weak_genres`` is set.
    last_accuracy : dict of str to float
        Accuracy on train and valid with the weights of the last step, before averaging.
    probabilities : dict of str to array [each shape=(n_ids, n_genres)]
        One verdict a track, by part of the fold, in the order of its ids.
    metrics : dict of str to Metrics, or to MultiLabelMetrics
        By part. Where recordings have several genres, those of thresholds of 0.5.
    """

    model: models.GenreModel
    info: ModelInfo
    curves: Curves
    weak_genres: Mapping[str, GenreWeight]
    last_accuracy: Mapping[str, float]
    probabilities: Mapping[str, NDArray[np.float64]]
    metrics: Mapping[str, Metrics | MultiLabelMetrics]


def train(
    corpus: Corpus,
    fold: Fold,
    family: str,
    *,
    settings: Any = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    folder: Path | None = None,
    accelerator: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    on_epoch: Callable[[int], None] | None = None,
) -> TrainedModel:
    """Train a model on a fold's training part, and judge it on every part.

    Training runs on one thread, whatever the machine: the number of threads changes the order of
    sums, and with it the last bits of every weight. The caller's random numbers are left alone.

    Parameters
    ----------
    corpus : Corpus
    fold : Fold
        Ids of train, valid and test. Without ids of test, no test track is gathered; without ids of
        valid, nothing is held out, and the curves are those of the training part alone.
    family : str
        One of :data:`ostinato.models.FAMILIES`.
    settings : dataclass or None
        The family's; None is its defaults.
    training : TrainingSettings or None
        None is the defaults, with windows that fit the training tracks.
    seed : int
        Decides the first weights, the order, the crops, the augmentation and dropout.
    folder : Path or None
        Keeps ``last.ckpt`` and ``curves.csv``, written after every epoch; a training that finds
        its checkpoint there is resumed. None writes nothing.
    accelerator : str
        Lightning's: ``"cpu"``, ``"gpu"``, ``"auto"``.
    devices, nodes : int
        Processes a machine, and machines, that share each batch of this training (Lightning's DDP):
        the script is started by ``torchrun`` for each, and each gets the result. What it learns
        differs from one process by the order of sums, and in models with dropout or batch
        normalisation, which see a part of the batch, by more than that.
    on_epoch : callable or None
        Called with the number of finished epochs after each one.

    Raises
    ------
    UsageError
        If there is no such family, or settings do not fit the frames, the tracks or their genres.
    DataError
        If a frame holds no finite number, or artists do not suffice to find the weak genres.
    TrainingError
        If training diverges, or a checkpoint cannot be read.

    Examples
    --------
    >>> from ostinato.datasets import load_corpus
    >>> from ostinato.datasets.splits import holdout
    >>> from ostinato.features import FeatureSpec
    >>> from ostinato.training import train
    >>> corpus = load_corpus("music", spec=FeatureSpec(), n_jobs=1)
    >>> trained = train(corpus, holdout(corpus).folds[0], "baseline")
    >>> trained.probabilities["valid"].shape  # recordings, genres
    (3, 3)
    """
    if training is None:
        lengths = [len(corpus.frames[i]) for i in corpus.positions(fold.train)]
        training = TrainingSettings().fitting(lengths, corpus.spec)
    if settings is None:
        is_external = corpus.spec.kind == "external"
        settings = models.parse_settings(family, {}, external=is_external)
    many = corpus.is_multi_label
    if many and training.weak_genres:
        raise UsageError(
            "training.weak_genres: expected 0 where recordings have several genres, got "
            f"{training.weak_genres:g}: weak genres are found by their one genre."
        )
    with _one_thread(), torch.random.fork_rng(devices=[]):
        parts = [part for part in PARTS if fold.part(part)]
        # Copies of a recording are trained on, never judged.
        tracks = {
            part: (Tracks.with_copies if part == "train" else Tracks.of)(corpus, fold.part(part))
            for part in parts
        }
        make_model = partial(
            models.build,
            family,
            spec=corpus.spec,
            n_genres=len(corpus.genres),
            settings=settings,
            multi_label=many,
        )
        torch.manual_seed(seed)
        model = make_model()
        data: dict[str, Any] = {"train": tracks["train"], "valid": tracks.get("valid")}
        weak: dict[str, GenreWeight] = {}
        if isinstance(model, SolvedModel):
            curves, last = solve(model, **data, settings=training, folder=folder)
            if on_epoch is not None:
                on_epoch(training.epochs)
        else:
            own: dict[str, Any] = {"settings": training, "seed": seed, "folder": folder}
            own["accelerator"] = accelerator
            if training.weak_genres:
                weak = weigh_genres(corpus, fold.train, make_model=make_model, **own)
            weights = track_weights(weak, data["train"], corpus.genres) if weak else None
            own |= {"devices": devices, "nodes": nodes}
            curves, last = fit(model, **data, **own, weights=weights, on_epoch=on_epoch)
        window = {"length": training.window_frames, "hop": training.window_hop}
        probabilities = {part: predict(model, tracks[part], **window) for part in parts}
        averaged = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(last)
        last_accuracy = {
            part: measure(t, predict(model, t, **window), corpus.genres).accuracy
            for part, t in data.items()
            if t is not None
        }
        model.load_state_dict(averaged)
    return TrainedModel(
        model=model.eval(),
        info=ModelInfo(
            family=family,
            settings=asdict(settings),
            genres=corpus.genres,
            spec=corpus.spec,
            window_frames=training.window_frames,
            window_hop=training.window_hop,
            other=corpus.other,
            thresholds=(UNTRIED,) * len(corpus.genres) if many else (),
            provenance={
                "data": corpus.name,
                "seed": seed,
                "train": len(fold.train),
                "training": training.to_dict(),
                "versions": versions(),
            },
        ),
        curves=curves,
        weak_genres=weak,
        last_accuracy=last_accuracy,
        probabilities=probabilities,
        metrics={p: measure(tracks[p], probabilities[p], corpus.genres) for p in parts},
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread; threads and determinism are the caller's again afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
