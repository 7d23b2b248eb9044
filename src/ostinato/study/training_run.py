"""One run: one model, one seed, one fold; trained, judged, and left in a folder of its own.

A run is finished when its ``run.json`` is there. A finished run of the same recipe is read back,
not trained again; one that was interrupted goes on from its checkpoint.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato import __version__
from ostinato.datasets import Corpus
from ostinato.datasets.splits import PARTS, Fold
from ostinato.errors import DataError
from ostinato.evaluation.metrics import evaluate
from ostinato.inference.model_info import ModelInfo
from ostinato.models import registry as models
from ostinato.models.baseline import SolvedModel
from ostinato.models.layers.normalisation import GenreModel
from ostinato.storage import write_text
from ostinato.training.curves import Curves
from ostinato.training.fit import CHECKPOINT, fit
from ostinato.training.settings import TrainingSettings
from ostinato.training.solve import solve
from ostinato.training.tracks import Tracks, predict
from ostinato.training.weak_genres import WEAK_GENRES, GenreWeight, track_weights, weigh_genres

RUN = "run.json"
RECIPE = "recipe.json"
PREDICTIONS = "predictions.csv"

Probabilities = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides the figures of a run, but for the seed and the fold.

    Attributes
    ----------
    family : str
        Of the model.
    settings : object
        The family's settings.
    training : TrainingSettings
    data : str
        Digest of the frames and labels.
    split : str
        Digest of who stands where.
    test : bool
        Whether the test part is examined.
    """

    family: str
    settings: Any
    training: TrainingSettings
    data: str
    split: str
    test: bool

    def digest(self) -> str:
        """Short SHA-256 of the recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run to be done.

    Attributes
    ----------
    recipe : Recipe
    seed, fold : int
    parts : Fold
        The ids of the fold's parts.
    folder : Path
        Where the run is kept.
    """

    recipe: Recipe
    seed: int
    fold: int
    parts: Fold
    folder: Path

    @property
    def name(self) -> str:
        """For progress: model, seed, fold."""
        return f"{self.recipe.family} seed {self.seed}" + (
            f" fold {self.fold}" if self.fold else ""
        )


def corpus_digest(corpus: Corpus) -> str:
    """Short SHA-256 of a corpus: ids, genres, spec, frames, and the copies learnt from."""
    spec = corpus.spec.to_dict()
    spec["kind"] = spec.pop("name", spec["kind"])  # external frames: their name was a kind once
    spec.pop("width", None)
    total = hashlib.sha256(json.dumps([corpus.ids, spec]).encode())
    total.update(json.dumps([r.genre for r in corpus.recordings]).encode())
    if corpus.copies:  # where there are none the digest is that of before there were any
        total.update(json.dumps(asdict(corpus.augmentation)).encode())
    for frames in itertools.chain(corpus.frames, *corpus.copies):
        total.update(np.ascontiguousarray(frames).tobytes())
    return total.hexdigest()[:16]


def is_finished(task: Task) -> bool:
    """Whether the run was done before, with the same recipe.

    Raises
    ------
    DataError
        If its folder holds a run of another recipe, finished or not, or a damaged one.
    """
    if not (task.folder / RECIPE).exists():
        return False
    if _read_json(task.folder / RECIPE).get("digest") != task.recipe.digest():
        raise DataError(
            f"{task.folder} holds a run of another recipe (other settings, data or split): choose "
            "another folder with --out, or delete that one."
        )
    return (task.folder / RUN).exists()


def read_run(folder: Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises
    ------
    DataError
        If it is damaged.
    """
    return _read_json(folder / RUN)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"The run record {path} cannot be read: {error}; delete it.") from error
    if not isinstance(record, dict):
        raise DataError(f"The run record {path} is damaged: delete it.")
    return record


def execute(task: Task, corpus: Corpus, *, accelerator: str = "cpu") -> None:
    """Train and judge one run, and write its folder; with one thread, whatever the machine.

    The number of threads changes the order of sums, and with it the last bits of every weight: one
    thread gives the same figures however many runs are trained side by side.
    """
    # Kept from the start: a checkpoint must never be resumed with another recipe than its own.
    recipe = {"digest": task.recipe.digest(), **asdict(task.recipe)}
    write_text(task.folder / RECIPE, json.dumps(recipe, indent=1) + "\n")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left alone
            _execute(task, corpus, accelerator)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def _execute(task: Task, corpus: Corpus, accelerator: str) -> None:
    recipe = task.recipe
    # The test part is not even gathered when it is to stay untouched.
    parts = [p for p in PARTS if task.parts.part(p) and (p != "test" or recipe.test)]
    # Copies of a recording are learnt from; those of a recording that is judged are never gathered.
    tracks = {
        part: (Tracks.with_copies if part == "train" else Tracks.of)(corpus, task.parts.part(part))
        for part in parts
    }
    model, curves, last, weak = _trained(task, corpus, tracks, accelerator)
    window = {"length": recipe.training.window_frames, "hop": recipe.training.window_hop}
    probabilities = {part: predict(model, tracks[part], **window) for part in parts}
    metrics = {
        part: evaluate(tracks[part].labels.numpy(), probabilities[part], corpus.genres)
        for part in parts
    }
    models.save(model, _info(task, corpus), task.folder)
    model.load_state_dict(last)  # the averaged weights are saved and judged; these are told too
    last_accuracy = {
        part: _accuracy(predict(model, tracks[part], **window), tracks[part])
        for part in ("train", "valid")
    }
    write_predictions(task.folder / PREDICTIONS, corpus, task.parts, probabilities)
    record = {
        "recipe": recipe.digest(),
        "ostinato": __version__,
        "family": recipe.family,
        "seed": task.seed,
        "fold": task.fold,
        "parameters": models.count_parameters(model),
        "epochs": recipe.training.epochs,
        "seconds": round(curves["seconds"][-1] or 0.0, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "curves": _points(curves),
        "parts": {part: metrics[part].to_dict() for part in parts},
        "gap": metrics["train"].accuracy - metrics["valid"].accuracy,
        "last_epoch": {
            "train_accuracy": last_accuracy["train"],
            "valid_accuracy": last_accuracy["valid"],
            "gap": last_accuracy["train"] - last_accuracy["valid"],
        },
    }
    if weak:
        record["weak_genres"] = {genre: asdict(w) for genre, w in weak.items()}
    write_text(task.folder / RUN, json.dumps(record, indent=1) + "\n")
    (task.folder / WEAK_GENRES).unlink(missing_ok=True)
    (task.folder / CHECKPOINT).unlink(missing_ok=True)


def _trained(
    task: Task, corpus: Corpus, tracks: Mapping[str, Tracks], accelerator: str
) -> tuple[GenreModel, Curves, dict[str, Tensor], dict[str, GenreWeight]]:
    """The model, its learning curves, the last step's weights, and the weak genres found."""
    recipe, seed = task.recipe, _run_seed(task)
    make_model = partial(
        models.build,
        recipe.family,
        spec=corpus.spec,
        n_genres=len(corpus.genres),
        settings=recipe.settings,
    )
    torch.manual_seed(seed)
    model = make_model()
    train, valid = tracks["train"], tracks["valid"]
    if isinstance(model, SolvedModel):
        curves, last = solve(
            model, train=train, valid=valid, settings=recipe.training, folder=task.folder
        )
        return model, curves, last, {}
    weak: dict[str, GenreWeight] = {}
    if recipe.training.weak_genres:
        weak = weigh_genres(
            corpus,
            task.parts.train,
            make_model=make_model,
            settings=recipe.training,
            seed=seed,
            folder=task.folder,
            accelerator=accelerator,
        )
    curves, last = fit(
        model,
        train=train,
        valid=valid,
        settings=recipe.training,
        seed=seed,
        folder=task.folder,
        weights=track_weights(weak, train, corpus.genres) if weak else None,
        accelerator=accelerator,
    )
    return model, curves, last, weak


def write_predictions(
    path: Path, corpus: Corpus, parts: Fold, probabilities: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write probabilities by part as CSV: recording, part, one column a genre."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recording", "part", *corpus.genres])
    for part, values in probabilities.items():
        for name, row in zip(parts.part(part), values, strict=True):
            writer.writerow([name, part, *(f"{p:.6g}" for p in row)])
    write_text(path, text.getvalue())


def read_predictions(path: Path, parts: Fold, genres: tuple[str, ...]) -> Probabilities:
    """Read what :func:`write_predictions` wrote, in the order of the fold's ids.

    Raises
    ------
    DataError
        If the file is damaged, or is about other recordings or genres.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        found: dict[str, dict[str, list[float]]] = {part: {} for part in PARTS}
        for name, part, *values in rows:
            found[part][name] = [float(v) for v in values]
        if tuple(header[2:]) != genres:
            raise ValueError(f"columns {header[2:]}")
        return {
            part: np.array([found[part][name] for name in parts.part(part)])
            for part in PARTS
            if found[part]
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: expected predictions for this study's recordings and genres, got {error}; "
            "delete that run's folder, and it is trained again."
        ) from error


def _info(task: Task, corpus: Corpus) -> ModelInfo:
    training = task.recipe.training
    return ModelInfo(
        family=task.recipe.family,
        settings=asdict(task.recipe.settings),
        genres=corpus.genres,
        spec=corpus.spec,
        window_frames=training.window_frames,
        window_hop=training.window_hop,
        provenance={
            "data": corpus.name,
            "recipe": task.recipe.digest(),
            "seed": task.seed,
            "fold": task.fold,
            "train": len(task.parts.train),
            "training": asdict(training),
            "ostinato": __version__,
        },
    )


def _run_seed(task: Task) -> int:
    """The same for every model, so that models of one shape begin with the same weights."""
    return int(np.random.SeedSequence([task.seed, task.fold]).generate_state(1)[0])


def _accuracy(probabilities: NDArray[np.float64], tracks: Tracks) -> float:
    return float((probabilities.argmax(axis=1) == tracks.labels.numpy()).mean())


def _points(curves: Curves) -> dict[str, list[float | None]]:
    """The epochs at which the curves were evaluated."""
    kept = [i for i, loss in enumerate(curves["valid_loss"]) if loss is not None]
    return {name: [values[i] for i in kept] for name, values in curves.items()}
