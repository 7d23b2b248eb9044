"""A study's run keeps one training in a folder: one model, one seed, one fold.

A run is finished when its ``run.json`` is there. A finished run of the same recipe is read back,
not trained again; one that was interrupted is resumed from its checkpoint.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato import __version__, models
from ostinato.datasets import Corpus
from ostinato.datasets.splits import PARTS, Fold
from ostinato.errors import DataError
from ostinato.evaluation.metrics import Metrics
from ostinato.storage import replacing, write_text
from ostinato.study.results import RUN, RunRecord, write_run
from ostinato.study.results.model_schema import LastEpoch, WeakGenre
from ostinato.training import TrainedModel, train
from ostinato.training.curves import Curves
from ostinato.training.fit import CHECKPOINT
from ostinato.training.settings import TrainingSettings
from ostinato.training.versions import versions
from ostinato.training.weak_genres import WEAK_GENRES

RECIPE = "recipe.json"
PROBABILITIES = "probabilities.csv"

Probabilities = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a run's figures except the seed and the fold."""

    family: str
    settings: Any  # the family's dataclass
    training: TrainingSettings
    data: str  # digest of the frames and labels
    split: str  # digest of the split
    test: bool  # whether the test part is examined

    def digest(self) -> str:
        """Short SHA-256 of the recipe."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"training": self.training.to_dict()}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of a study."""

    recipe: Recipe
    seed: int
    fold: int
    parts: Fold
    folder: Path  # where the run is kept

    @property
    def name(self) -> str:
        """For progress: model, seed, fold."""
        return f"{self.recipe.family} seed {self.seed}" + (
            f" fold {self.fold}" if self.fold else ""
        )


def corpus_digest(corpus: Corpus) -> str:
    """Short SHA-256 of a corpus: ids, genres, spec, frames, and the augmented copies."""
    spec = corpus.spec.to_dict()
    spec["kind"] = spec.pop("name", spec["kind"])  # their name was once a kind
    spec.pop("width", None)
    total = hashlib.sha256(json.dumps([corpus.ids, spec]).encode())
    total.update(json.dumps([r.genre for r in corpus.recordings]).encode())
    if corpus.is_multi_label:
        total.update(json.dumps([r.also for r in corpus.recordings]).encode())
    if corpus.copies:  # without copies, the digest is that of versions that had none
        total.update(json.dumps(asdict(corpus.augmentation)).encode())
    for frames in itertools.chain(corpus.frames, *corpus.copies):
        total.update(np.ascontiguousarray(frames).tobytes())
    return total.hexdigest()[:16]


def is_finished(task: Task) -> bool:
    """Whether the folder holds this run, finished.

    DataError if it holds a run of another recipe, finished or interrupted, or a damaged one. One
    that failed before its first epoch has left nothing to keep.
    """
    left = any((task.folder / name).exists() for name in (RUN, CHECKPOINT, WEAK_GENRES))
    if not left or not (task.folder / RECIPE).exists():
        return False
    if recorded_digest(task.folder / RECIPE) != task.recipe.digest():
        raise DataError(
            f"{task.folder} holds a run of another recipe (other settings, data or split): choose "
            "another folder with --out, or delete that one."
        )
    return (task.folder / RUN).exists()


def recorded_digest(path: Path) -> str:
    """The digest in a run's ``recipe.json``; DataError where it has none."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"The run record {path} cannot be read: {error}; delete it.") from error


def execute(
    task: Task,
    corpus: Corpus,
    *,
    accelerator: str = "cpu",
    report: Callable[[int], None] | None = None,
) -> None:
    """Train and judge one run with :func:`ostinato.training.learn.train`, and write its folder."""
    recipe = task.recipe
    # Kept from the start: a checkpoint must never be resumed with another recipe than its own.
    kept = {"digest": recipe.digest(), **recipe.to_dict()}
    write_text(task.folder / RECIPE, json.dumps(kept, indent=1) + "\n")
    trained = train(
        corpus,
        # The test part is not even gathered when it is to stay untouched.
        task.parts if recipe.test else replace(task.parts, test=()),
        recipe.family,
        settings=recipe.settings,
        training=recipe.training,
        # The same for every model, so that models of one shape begin with the same weights.
        seed=int(np.random.SeedSequence([task.seed, task.fold]).generate_state(1)[0]),
        folder=task.folder,
        accelerator=accelerator,
        on_epoch=report,
    )
    own = {"recipe": recipe.digest(), "seed": task.seed, "fold": task.fold}
    info = replace(trained.info, provenance=trained.info.provenance | own)
    models.save(trained.model, info, task.folder)
    write_probabilities(task.folder / PROBABILITIES, corpus, task.parts, trained.probabilities)
    write_run(_record(task, trained), task.folder)
    (task.folder / WEAK_GENRES).unlink(missing_ok=True)
    (task.folder / CHECKPOINT).unlink(missing_ok=True)


def execute_away(
    task: Task,
    corpus: Corpus,
    *,
    accelerator: str = "cpu",
    report: Callable[[int], None] | None = None,
) -> dict[str, bytes]:
    """Train and judge one run on a machine that need not see its folder: its files, by name."""
    with tempfile.TemporaryDirectory(prefix="ostinato-") as temporary:
        folder = Path(temporary)
        execute(replace(task, folder=folder), corpus, accelerator=accelerator, report=report)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def bring_home(task: Task, files: Mapping[str, bytes]) -> None:
    """Write the files of :func:`execute_away` to a run's folder."""
    for name in sorted(files, key=lambda name: name == RUN):  # last, what says that it is finished
        with replacing(task.folder / name) as temporary:
            temporary.write_bytes(files[name])
    for name in (WEAK_GENRES, CHECKPOINT):  # of a training at home that was interrupted
        (task.folder / name).unlink(missing_ok=True)


def _record(task: Task, trained: TrainedModel) -> RunRecord:
    metrics, last, weak = trained.metrics, trained.last_accuracy, trained.weak_genres
    return RunRecord(
        recipe=task.recipe.digest(),
        ostinato=__version__,
        family=task.recipe.family,
        seed=task.seed,
        fold=task.fold,
        parameters=models.count_parameters(trained.model),
        epochs=task.recipe.training.epochs,
        seconds=round(trained.curves["seconds"][-1] or 0.0, 2),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        curves=_points(trained.curves),
        parts={p: m for p, m in metrics.items() if isinstance(m, Metrics)},
        gap=metrics["train"].accuracy - metrics["valid"].accuracy,
        last_epoch=LastEpoch(
            train_accuracy=last["train"],
            valid_accuracy=last["valid"],
            gap=last["train"] - last["valid"],
        ),
        weak_genres={genre: WeakGenre(**vars(w)) for genre, w in weak.items()} or None,
        versions=versions(),
    )


def write_probabilities(
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


def read_probabilities(path: Path, parts: Fold, genres: tuple[str, ...]) -> Probabilities:
    """Read what :func:`write_probabilities` wrote, in the order of the fold's ids.

    DataError if the file is damaged, or is about other recordings or genres.
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
            f"{path}: expected probabilities for this study's recordings and genres, got {error}; "
            "delete that run's folder, and it is trained again."
        ) from error


def _points(curves: Curves) -> dict[str, list[float | None]]:
    """The epochs at which the curves were evaluated."""
    kept = [i for i, loss in enumerate(curves["valid_loss"]) if loss is not None]
    return {name: [values[i] for i in kept] for name, values in curves.items()}
