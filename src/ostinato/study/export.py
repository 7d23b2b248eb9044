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
from ostinato.errors import DataError, UsageError, near
from ostinato.evaluation.significance import Interval
from ostinato.inference.model_info import ModelInfo
from ostinato.models.ensemble import MeanOfModels
from ostinato.study.compare import Judged, accuracy, read_judged
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
    if front_end and config.spec.kind == "external":
        raise UsageError(
            f"{run}: expected a model of frames that Ostinato computes for --with-front-end, got "
            f"one of {config.spec.describe()}: its ear stays a file of its own."
        )
    plan = plan_study(config, load_data(config, cache=cache, jobs=jobs, progress=progress), run)
    corpus, tasks = plan.corpus, _tasks(plan, name, seed, fold)
    searched = {"chosen_from": config.chosen_from} if config.chosen_from else {}
    trained, info = loaded(tasks)
    info = replace(
        info,
        name=f"{corpus.name} {name}",
        accuracy=measured_accuracy(read_judged(run), name, seed=seed),
        provenance=info.provenance | {"split": results.split.name} | searched,
    )
    parts = tasks[0].parts
    finished = finish(
        trained,
        replace(info, **given),
        corpus,
        train=parts.train,
        held_out=(parts,),
        confidence=confidence_of(results, name, precision=precision, seed=seed),
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
    results: StudyResults, name: str, *, precision: float, seed: int | None
) -> Confidence:
    """Temperature and threshold that a study found for one training, or for the ensemble (None).

    The threshold is None where the target precision is out of reach, or nothing was judged.
    UsageError if the study chose no threshold for this precision.
    """
    model = results.models[name]
    found = model.ensemble_confidence if seed is None else model.confidence
    if found is None:
        return Confidence()
    for row in found.abstaining:
        if abs(row.target - precision) < 1e-9:
            temperature, point = found.temperatures[seed or 0], row.seeds[seed or 0]
            if point is None:
                return Confidence(temperature=temperature)
            return Confidence(
                temperature=temperature, threshold=point.threshold, precision=precision
            )
    targets = ", ".join(f"{row.target:g}" for row in found.abstaining)
    raise UsageError(f"Expected a --precision of {targets}, got {precision:g}.")


def _chosen(results: StudyResults, model: str | None) -> str:
    names = list(results.models)
    if model is None and len(names) == 1:
        return names[0]
    if model is None or model not in names:
        got = "none" if model is None else f"'{model}'"
        raise UsageError(
            f"Expected a --model of this study, {', '.join(names)}; got {got}"
            + near(model or "", names)
        )
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


def measured_accuracy(judged: Judged, name: str, *, seed: int | None) -> dict[str, Any]:
    """The accuracy of one training, over all folds, or of the ensemble (None); and how, in words.

    ``judged`` is the finished study.
    """
    if seed is None:
        found = judged.results.models[name].ensemble[judged.part].interval
        return in_words(judged.results, found, f"ensemble of {judged.results.n_seeds} trainings")
    found = accuracy(judged.correct[name][[seed]], judged.clusters)
    return in_words(judged.results, found, f"the training of seed {seed}")


def in_words(results: StudyResults, found: Interval, of: str) -> dict[str, Any]:
    """An accuracy on the examined part, and how it was measured, in words."""
    split, part = results.split, results.examined
    folds = "" if len(split.folds) == 1 else f", {len(split.folds)} folds"
    return {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "n": results.n_recordings(part) // split.repeats,
        "protocol": f"{results.data.name}, split {split.name}, {part} part{folds}, {of}; "
        "95 % by artist",
    }
