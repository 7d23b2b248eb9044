"""Export one trained model of a study, or the mean of its seeds, as the file that listens.

The runs give weights and metadata; ``results.json`` gives temperature, threshold and the measured
accuracy; the study's data, which are loaded again, give the novelty. All of it is put together by
:mod:`ostinato.training.finish`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.errors import DataError, UsageError
from ostinato.evaluation.significance import Interval
from ostinato.inference.model_info import ModelInfo
from ostinato.models.ensemble import MeanOfModels
from ostinato.study.config import load_config
from ostinato.study.plan import load_data, plan_study
from ostinato.study.results import StudyResults, read_results
from ostinato.study.results.model_schema import Confidence as JudgedConfidence
from ostinato.study.training_run import RECIPE, Task
from ostinato.training.finish import PRECISION, Confidence, finish, write


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
        The family; None where the study has only one.
    seed : int or None
        Which of its trainings; None is the mean of all seeds, an ensemble.
    fold : int
    precision : float
        Target share of right verdicts; one of those in ``results.json``.
    front_end : bool
        Take sound, not frames: for programs without Ostinato.
    cache, jobs, progress
        Passed on to load the study's data; see :func:`ostinato.study.plan.load_data`.
    **facts : str
        ``name``, ``version`` and ``licence`` of the model.

    Returns
    -------
    float
        The largest difference between PyTorch and ONNX Runtime.

    Raises
    ------
    UsageError
        If the study is not finished, has no such model, seed, fold or precision, or the model
        cannot be exported.
    DataError
        If the results are damaged, the data have changed, or the graph is not the model.
    WriteError
        If the file cannot be written.
    """
    results = read_results(run)
    name = _chosen(results, model)
    given: dict[str, Any] = {key: value for key, value in facts.items() if value}
    corpus, tasks = _planned(run, name, seed, fold, cache, jobs, progress)
    trained, info = loaded(tasks)
    info = replace(
        info,
        name=f"{corpus.name} {name}",
        accuracy=measured_accuracy(results, name, ensemble=seed is None),
        provenance=info.provenance | {"split": results.split.name},
    )
    parts = tasks[0].parts
    finished = finish(
        trained,
        replace(info, **given),
        corpus,
        train=parts.train,
        held_out=(parts,),
        confidence=confidence_of(results, name, precision=precision, ensemble=seed is None),
    )
    return write(finished, to, front_end=front_end)


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


def confidence_of(
    results: StudyResults, name: str, *, precision: float, ensemble: bool = False
) -> Confidence:
    """Temperature and threshold that a study found.

    Parameters
    ----------
    results : StudyResults
    name : str
        The model's family.
    precision : float
        Target share of right verdicts; one of those that the study judged.
    ensemble : bool
        Take the figures of the mean of all seeds, not of a single training.

    Raises
    ------
    UsageError
        If the study chose no threshold for this precision.
    """
    found = results.models[name]
    confidence = found.ensemble_confidence if ensemble else found.confidence
    threshold = _threshold(confidence, precision)
    return Confidence(
        temperature=confidence.temperature if confidence else 1.0,
        threshold=threshold,
        precision=None if threshold is None else precision,
    )


def _chosen(results: StudyResults, model: str | None) -> str:
    names = list(results.models)
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
    """The data of a study, loaded again, and the runs asked for, checked to be trained on them."""
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
        digest = json.loads((task.folder / RECIPE).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{task.folder}: expected a finished run, got none ({error}).") from error
    if digest != task.recipe.digest():
        raise DataError(
            f"{task.folder}: expected a run on the data of {run / 'config.toml'} as they are now, "
            "got one on others; the data or the settings have changed since."
        )


def _threshold(confidence: JudgedConfidence | None, precision: float) -> float | None:
    """The threshold for a target precision, or None: unreachable, or nothing was judged."""
    if confidence is None:
        return None
    for row in confidence.abstaining:
        if abs(row.wished - precision) < 1e-9:
            return row.threshold
    targets = ", ".join(f"{row.wished:g}" for row in confidence.abstaining)
    raise UsageError(f"Expected a --precision of {targets}, got {precision:g}.")


def measured_accuracy(
    results: StudyResults, name: str, *, ensemble: bool = False
) -> dict[str, Any]:
    """The accuracy that the study measured, and how, in words."""
    model, split, part = results.models[name], results.split, results.examined
    seeds, n_folds = results.n_seeds, len(split.folds)
    folds = "" if n_folds == 1 else f", {n_folds} folds"
    found: Interval = model.accuracy(part)
    of = f"mean of {seeds} training{'s' if seeds > 1 else ''}"
    if ensemble:
        found = model.ensemble[part].interval
        of = f"ensemble of {seeds} trainings"
    return {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "n": results.n_recordings(part) // split.repeats,
        "protocol": f"{results.data.name}, split {split.name}, {part} part{folds}, {of}; "
        "95 %, bootstrap by artist",
    }
