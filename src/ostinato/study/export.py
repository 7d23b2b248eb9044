"""Export one trained model of a study, or the mean of its seeds, as the file that listens.

The runs give weights and metadata; ``results.json`` gives temperature, threshold and the measured
accuracy; the study's data, which are loaded again, give the novelty. All of it is put together by
:mod:`ostinato.training.finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ostinato import models
from ostinato.errors import DataError, UsageError
from ostinato.inference.model_info import ModelInfo
from ostinato.models.ensemble import MeanOfModels
from ostinato.study.config import load_config
from ostinato.study.plan import Plan, load_data, plan_study
from ostinato.study.results import RUN, StudyResults, read_results
from ostinato.study.training_run import RECIPE, Task, recorded_digest
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
    """Write one model of a finished study as an ONNX file; give its difference from PyTorch.

    Parameters
    ----------
    run : Path
        The study's folder.
    to : Path
        The file; written whole or not at all.
    model : str or None
        The family; None where the study has only one.
    seed : int or None
        Which of its trainings; None is the mean of all seeds, an ensemble.
    precision : float
        Target share of right verdicts; one of those in ``results.json``.
    front_end : bool
        Take sound, not frames: for programs without Ostinato.
    cache, jobs, progress
        As in :func:`ostinato.study.plan.load_data`.
    **facts : str
        ``name``, ``version`` and ``licence`` of the model.

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
    config = load_config(run / "config.toml")
    plan = plan_study(config, load_data(config, cache=cache, jobs=jobs, progress=progress), run)
    corpus, tasks = plan.corpus, _tasks(plan, name, seed, fold)
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
    """A finished run's model, or the mean of several runs of one recipe; DataError if damaged."""
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
    """Temperature and threshold that a study found: of single trainings, or of their ensemble.

    The threshold is None where the target precision is out of reach, or nothing was judged.
    UsageError if the study chose no threshold for this precision.
    """
    model = results.models[name]
    found = model.ensemble_confidence if ensemble else model.confidence
    if found is None:
        return Confidence()
    for row in found.abstaining:
        if abs(row.wished - precision) < 1e-9:
            reached = None if row.threshold is None else precision
            return Confidence(
                temperature=found.temperature, threshold=row.threshold, precision=reached
            )
    targets = ", ".join(f"{row.wished:g}" for row in found.abstaining)
    raise UsageError(f"Expected a --precision of {targets}, got {precision:g}.")


def _chosen(results: StudyResults, model: str | None) -> str:
    names = list(results.models)
    if model is None and len(names) == 1:
        return names[0]
    if model is None or model not in names:
        got = "none" if model is None else f"'{model}'"
        raise UsageError(f"Expected a --model of this study, {', '.join(names)}; got {got}.")
    return model


def _tasks(plan: Plan, name: str, seed: int | None, fold: int) -> list[Task]:
    """The runs asked for, checked to be finished, and trained on the data as they are now."""
    found = [
        t
        for t in plan.tasks
        if (t.recipe.family, t.fold) == (name, fold) and seed in (t.seed, None)
    ]
    if not found:
        folds = len(plan.split.folds)
        raise UsageError(
            f"Expected a --seed below {plan.config.seeds} and a --fold below {folds}, which the "
            f"study has, got seed {seed} and fold {fold}."
        )
    for task in found:
        if not (task.folder / RUN).exists():
            raise DataError(f"{task.folder}: expected a finished run, got none.")
        if recorded_digest(task.folder / RECIPE) != task.recipe.digest():
            raise DataError(
                f"{task.folder}: expected a run on the data of {plan.folder / 'config.toml'} as "
                "they are now, got one on others; the data or the settings have changed since."
            )
    return found


def measured_accuracy(
    results: StudyResults, name: str, *, ensemble: bool = False
) -> dict[str, Any]:
    """The accuracy that the study measured, and how, in words."""
    model, split, part = results.models[name], results.split, results.examined
    seeds, n_folds = results.n_seeds, len(split.folds)
    folds = "" if n_folds == 1 else f", {n_folds} folds"
    found = model.ensemble[part].interval if ensemble else model.accuracy(part)
    trainings = f"{seeds} training{'s' if seeds > 1 or ensemble else ''}"
    of = f"{'ensemble' if ensemble else 'mean'} of {trainings}"
    return {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "n": results.n_recordings(part) // split.repeats,
        "protocol": f"{results.data.name}, split {split.name}, {part} part{folds}, {of}; "
        "95 % by artist",
    }
