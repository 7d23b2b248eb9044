"""From a study to the file that listens: one of its trained models, with all that is known of it.

The run gives weights, genres, frames and windows; the study's ``results.json`` the temperature, the
threshold for the wished precision and the measured accuracy; the study's data, which are loaded
again, the distance from what the model learned from, and the frames on which PyTorch and ONNX
Runtime are compared before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.errors import DataError, UsageError
from ostinato.inference.model_info import ModelInfo
from ostinato.models.ensemble import MeanOfModels
from ostinato.models.export.model_file import write_listening, write_with_front_end
from ostinato.study.config import load_config
from ostinato.study.study import load_data, plan_study
from ostinato.study.training_run import Task
from ostinato.training.novelty import Novelty
from ostinato.training.tracks import Tracks

PRECISION = 0.8
"""Share of right verdicts that a threshold is chosen for unless another is asked for."""

KNOWN = 0.995
"""Share of held-out tracks that must lie within the novelty threshold."""

_N_COMPARED = 64  # windows of real frames
_RECIPE = "recipe.json"


def export_run(
    run: Path,
    to: Path,
    *,
    model: str | None = None,
    seed: int | None = 0,
    fold: int = 0,
    precision: float = PRECISION,
    front_end: bool = False,
    cache: Path | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **facts: str,
) -> float:
    """Write one model of a finished study as an ONNX file.

    Parameters
    ----------
    run : Path
        The study's folder.
    to : Path
        The file. It holds what it held before, or all of the model.
    model : str or None
        Of the study; None where it has one.
    seed : int or None
        Which of its trainings; None is the mean of all seeds, an ensemble.
    fold : int
    precision : float
        Wished share of right verdicts; one of those in ``results.json``.
    front_end : bool
        Take sound, not frames: for programs without Ostinato.
    cache, jobs, progress
        Of loading the study's data, as in :func:`ostinato.study.study.load_data`.
    **facts : str
        ``name``, ``version`` and ``licence`` of the model.

    Returns
    -------
    float
        The largest difference between PyTorch and ONNX Runtime.

    Raises
    ------
    UsageError
        If the study has no such model, seed, fold or precision, or the model cannot be exported.
    DataError
        If the study is not finished, its data have changed, or the graph is not the model.
    WriteError
        If the file cannot be written.
    """
    results = _results(run)
    name = _chosen(results, model)
    given: dict[str, Any] = {key: value for key, value in facts.items() if value}
    corpus, tasks = _planned(run, name, seed, fold, cache, jobs, progress)
    trained, info = loaded(tasks)
    info = with_figures(
        info, results, precision=precision, name=f"{corpus.name} {name}", ensemble=seed is None
    )
    provenance = info.provenance | {"split": results["split"]["name"]}
    task = tasks[0]
    info = replace(info, provenance=provenance, **given)
    novelty = fit_novelty(corpus, task.parts.train, info)
    distances = track_distances(novelty, corpus, task.parts.valid, info)
    info = replace(info, novelty_threshold=novelty_threshold(distances))
    return write(
        trained, novelty, info, to, windows=some_windows(corpus, info), front_end=front_end
    )


def write(
    model: models.GenreModel,
    novelty: models.GenreModel | None,
    info: ModelInfo,
    to: Path,
    *,
    windows: Tensor,
    front_end: bool = False,
) -> float:
    """Write a model with its metadata, number of parameters included; with the front end or not.

    Parameters
    ----------
    model, novelty, info, to
        As of :func:`ostinato.models.export.model_file.write_listening`.
    windows : tensor [shape=(B, T, F)]
        Of real frames, to compare the graph on; with the front end sounds are compared, not they.
    front_end : bool
        Take sound, not frames.

    Returns
    -------
    float
        As :func:`ostinato.models.export.model_file.write_listening`, and so what it raises.
    """
    parameters = {"parameters": models.count_parameters(model)}
    info = replace(info, provenance=info.provenance | parameters)
    if front_end:
        return write_with_front_end(model, novelty, info, to)
    return write_listening(model, novelty, info, to, windows=windows)


def loaded(tasks: Sequence[Task]) -> tuple[models.GenreModel, ModelInfo]:
    """A finished run's model; of several runs of one recipe, the mean of theirs.

    Raises
    ------
    DataError
        If one cannot be read.
    """
    found = [models.load(task.folder) for task in tasks]
    model, info = found[0]
    if len(found) == 1:
        return model, info
    seeds = {"seed": [task.seed for task in tasks]}
    together = MeanOfModels([member for member, _ in found]).eval()
    return together, replace(info, provenance=info.provenance | seeds)


def with_figures(
    info: ModelInfo,
    results: Mapping[str, Any],
    *,
    precision: float,
    name: str,
    ensemble: bool = False,
) -> ModelInfo:
    """Metadata with what a study found out about models of this family.

    Parameters
    ----------
    info : ModelInfo
    results : dict
        Of ``results.json``.
    precision : float
        As of :func:`export_run`.
    name : str
        For the model.
    ensemble : bool
        Of the mean of all seeds, not of a single training.

    Raises
    ------
    UsageError
        If the study chose no threshold for this precision.
    DataError
        If the study is of a version that did not judge ensembles.
    """
    key = "ensemble_confidence" if ensemble else "confidence"
    found = results["models"][info.family]
    if key not in found:
        raise DataError(
            f"Expected '{key}' in the study's results.json, got none: run the same study again, "
            "which trains nothing that is finished."
        )
    confidence = found[key] or {}
    threshold = _threshold(confidence, precision)
    return replace(
        info,
        name=name,
        temperature=confidence.get("temperature", 1.0),
        threshold=threshold,
        precision=None if threshold is None else precision,
        accuracy=measured_accuracy(results, info.family, ensemble=ensemble),
    )


def fit_novelty(corpus: Corpus, ids: tuple[str, ...], info: ModelInfo) -> Novelty:
    """What tells how far a window lies from those of these tracks.

    Parameters
    ----------
    corpus : Corpus
    ids : tuple of str
        Of the tracks that the model learned from.
    info : ModelInfo
        For the windows.
    """
    tracks = Tracks.of(corpus, ids)
    novelty = Novelty(corpus.spec.n_features)
    novelty.fit(tracks.frames, list(tracks.batches(**_window(info))))
    return novelty


@torch.no_grad()
def track_distances(
    novelty: Novelty, corpus: Corpus, ids: tuple[str, ...], info: ModelInfo
) -> NDArray[np.float64]:
    """Mean distance over the windows of each of these tracks [shape=(n_ids,)]."""
    tracks = Tracks.of(corpus, ids)
    distances = torch.cat([novelty(x) for x in tracks.batches(**_window(info))]).numpy()
    counts = tracks.counts(**_window(info))
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: NDArray[np.float64] = np.add.reduceat(distances.astype(np.float64), firsts)
    return sums / counts


def novelty_threshold(distances: NDArray[np.float64]) -> float:
    """The distance within which :data:`KNOWN` of held-out tracks lie [shape=(n_tracks,)]."""
    return float(np.quantile(distances, KNOWN))


def some_windows(corpus: Corpus, info: ModelInfo) -> Tensor:
    """Windows of real frames [shape=(B, T, F)], from tracks all over the corpus."""
    step = max(1, len(corpus) // _N_COMPARED)
    tracks = Tracks.of(corpus, corpus.ids[::step])
    return next(tracks.batches(**_window(info), size=_N_COMPARED))


def _window(info: ModelInfo) -> dict[str, int]:
    return {"length": info.window_frames, "hop": info.window_hop}


def _results(run: Path) -> dict[str, Any]:
    path = run / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{run}: expected the folder of a finished study, with its results.json, got none "
            f"({error.strerror})."
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    if not isinstance(results, dict) or not isinstance(results.get("models"), dict):
        raise DataError(f"{path}: expected the results of a study, got something else.")
    return results


def _chosen(results: Mapping[str, Any], model: str | None) -> str:
    names = list(results["models"])
    if model is None and len(names) == 1:
        return str(names[0])
    if model not in names:
        got = "none" if model is None else f"'{model}'"
        raise UsageError(f"Expected a --model of this study, {', '.join(names)}; got {got}.")
    return str(model)


def _planned(
    run: Path,
    name: str,
    seed: int | None,
    fold: int,
    cache: Path | None,
    jobs: int | None,
    progress: Callable[[int, int, str], None] | None,
) -> tuple[Corpus, list[Task]]:
    """The data of a study, loaded again, and the runs asked for, which must be of theirs."""
    config = load_config(run / "config.toml")
    plan = plan_study(config, load_data(config, cache=cache, jobs=jobs, progress=progress), run)
    found = [
        t
        for t in plan.tasks
        if (t.recipe.family, t.fold) == (name, fold) and seed in (t.seed, None)
    ]
    if not found:
        folds = len(plan.split.folds)
        raise UsageError(
            f"Expected a --seed below {config.seeds} and a --fold below {folds}, which the study "
            f"has, got seed {seed} and fold {fold}."
        )
    for task in found:
        _check_finished(task, run)
    return plan.corpus, found


def _check_finished(task: Task, run: Path) -> None:
    try:
        digest = json.loads((task.folder / _RECIPE).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{task.folder}: expected a finished run, got none ({error}).") from error
    if digest != task.recipe.digest():
        raise DataError(
            f"{task.folder}: expected a run on the data of {run / 'config.toml'} as they are now, "
            "got one on others; the data or the settings have changed since."
        )


def _threshold(confidence: Mapping[str, Any], precision: float) -> float | None:
    """The threshold for a wished precision, or None: unreachable, or nothing was judged."""
    rows = confidence.get("abstaining", [])
    found = [row for row in rows if abs(row["wished"] - precision) < 1e-9]
    if rows and not found:
        wished = ", ".join(f"{row['wished']:g}" for row in rows)
        raise UsageError(f"Expected a --precision of {wished}, got {precision:g}.")
    threshold: float | None = found[0]["threshold"] if found else None
    return threshold


def measured_accuracy(
    results: Mapping[str, Any], name: str, *, ensemble: bool = False
) -> dict[str, Any]:
    """The accuracy that the study measured, and how, in words."""
    model, split = results["models"][name], results["split"]
    part = "test" if "test_accuracy" in model else "valid"
    found = model[f"{part}_accuracy"]
    sizes = [fold["parts"][part]["n"] for fold in split["folds"]]
    seeds = len(found["seeds"])
    folds = "" if len(sizes) == 1 else f", {len(sizes)} folds"
    of = f"mean of {seeds} training{'s' if seeds > 1 else ''}"
    if ensemble:
        found = model["ensemble"][part]
        found = {"mean": found["accuracy"], "low": found["low"], "high": found["high"]}
        of = f"ensemble of {seeds} trainings"
    return {
        "mean": found["mean"],
        "low": found["low"],
        "high": found["high"],
        "n": sum(sizes) // split.get("repeats", 1),
        "protocol": f"{results['data']['name']}, split {split['name']}, {part} part{folds}, {of}; "
        "95 %, bootstrap by artist",
    }
