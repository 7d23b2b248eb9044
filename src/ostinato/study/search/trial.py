"""One trial of a search: its trainings, fold by fold, by whichever process gets hold of it first.

Whoever works at a trial holds the lock of its folder, which the system opens when the process ends,
however it ends. What the trial found is a file, written whole at its end; its finished folds are
kept as every run of a study is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial

from ostinato.datasets import Corpus
from ostinato.errors import DataError, UsageError
from ostinato.evaluation.metrics import evaluate
from ostinato.storage import replacing, write_text
from ostinato.study.results import RUN
from ostinato.study.training_run import (
    PROBABILITIES,
    Probabilities,
    Task,
    execute,
    is_finished,
    read_probabilities,
)
from ostinato.training.curves import TrainingError

optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of every study in memory

OUTCOME = "trial.json"
_LOCK = "trial.lock"
_N_UNPRUNED = 5  # trials that must be complete before one is given up


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial to be done."""

    number: int
    folder: Path  # absolute, as those of the runs are
    data: str  # key of its corpus
    tasks: tuple[Task, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial found: its objective after each fold, over all folds that far."""

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: tuple[float, ...]
    recipe: str  # digest of the recipe of its runs
    reason: str = ""  # why it failed


def attempt(
    trial: Trial,
    *,
    corpora: Mapping[str, Corpus],
    objective: str,
    earlier: Sequence[FrozenTrial],
    accelerator: str = "cpu",
    report: Callable[[int], None] | None = None,
) -> Outcome | None:
    """Do a trial, or what is left of it; None where another process is at work on it.

    It is given up after a fold where Optuna's median pruner says so, by the ``earlier`` trials. A
    training that fails ends the trial, not the search. ``report`` is called with the number of
    folds that are done.
    """
    with claimed(trial) as is_mine:
        if not is_mine:
            return None
        if (trial.folder / OUTCOME).exists():
            return read_outcome(trial)
        found = _done(trial, corpora[trial.data], objective, earlier, accelerator, report)
        write_text(trial.folder / OUTCOME, json.dumps(asdict(found), indent=1) + "\n")
        return found


@contextmanager
def claimed(trial: Trial) -> Iterator[bool]:
    """Keep others from a trial; gives False where another process has it already."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(trial.folder / _LOCK)
    try:
        lock.acquire(timeout=0)
        is_mine = True
    except Timeout:
        is_mine = False
    try:
        yield is_mine
    finally:
        lock.release()


def attempt_away(trial: Trial, files: Mapping[str, bytes], **options: Any) -> dict[str, bytes]:
    """Do a trial on a machine that need not see its folder, whose files it is given and gives.

    ``options`` are those of :func:`attempt`; whoever calls has claimed the trial.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-") as temporary:
        own = Path(temporary)
        tasks = (replace(t, folder=own / t.folder.relative_to(trial.folder)) for t in trial.tasks)
        there = replace(trial, folder=own, tasks=tuple(tasks))
        unpack(files, own)
        attempt(there, **options)
        return packed(there)


def packed(trial: Trial) -> dict[str, bytes]:
    """Files of a trial's folder, by path in it."""
    files = (path for path in trial.folder.rglob("*") if path.is_file() and path.name != _LOCK)
    return {path.relative_to(trial.folder).as_posix(): path.read_bytes() for path in files}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what :func:`packed` gives; last what says that a run or the trial is finished."""
    for name in sorted(files, key=lambda name: (name.endswith(OUTCOME), name.endswith(RUN))):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(files[name])


def read_outcome(trial: Trial) -> Outcome:
    """What a finished trial found; DataError if its file is damaged, or of other settings."""
    path = trial.folder / OUTCOME
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = Outcome(**kept | {"values": tuple(kept["values"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"The trial {path} cannot be read: {error}; delete it.") from error
    if found.recipe != trial.tasks[0].recipe.digest():
        raise DataError(
            f"{path} is a trial of other settings or data: choose another folder with --out, or "
            "delete that one."
        )
    return found


def _done(
    trial: Trial,
    corpus: Corpus,
    objective: str,
    earlier: Sequence[FrozenTrial],
    accelerator: str,
    report: Callable[[int], None] | None,
) -> Outcome:
    n_folds = 1 + max(task.fold for task in trial.tasks)
    values: list[float] = []
    for fold in range(n_folds):
        for task in (task for task in trial.tasks if task.fold == fold):
            try:
                if not is_finished(task):
                    execute(task, corpus, accelerator=accelerator)
            except (TrainingError, UsageError) as error:
                return _outcome(trial, "failed", values, f"{task.name}: {error}")
        values.append(judged([t for t in trial.tasks if t.fold <= fold], corpus, objective))
        if report:
            report(fold + 1)
        if fold + 1 < n_folds and _is_hopeless(values, earlier):
            return _outcome(trial, "pruned", values)
    return _outcome(trial, "complete", values)


def _outcome(
    trial: Trial,
    state: Literal["complete", "pruned", "failed"],
    values: Sequence[float],
    reason: str = "",
) -> Outcome:
    recipe = trial.tasks[0].recipe.digest()
    return Outcome(
        number=trial.number, state=state, values=tuple(values), recipe=recipe, reason=reason
    )


def judged(tasks: Sequence[Task], corpus: Corpus, objective: str) -> float:
    """The objective on the validation parts of finished runs, folds pooled; mean over the seeds."""
    found = []
    for seed in sorted({task.seed for task in tasks}):
        own = [task for task in tasks if task.seed == seed]
        said = np.concatenate([_kept(task, corpus)["valid"] for task in own])  # (n, G)
        ids = [name for task in own for name in task.parts.valid]
        metrics = evaluate(corpus.labels[corpus.positions(ids)], said, corpus.genres)
        found.append(metrics.macro_f1 if objective == "macro-f1" else metrics.accuracy)
    return float(np.mean(found))


def _kept(task: Task, corpus: Corpus) -> Probabilities:
    return read_probabilities(task.folder / PROBABILITIES, task.parts, corpus.genres)


def in_memory(
    trials: Sequence[FrozenTrial], sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.Study:
    """Make a study that knows these trials and keeps nothing."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study


def _is_hopeless(values: Sequence[float], earlier: Sequence[FrozenTrial]) -> bool:
    """Whether the median pruner gives up a trial of these values."""
    study = in_memory(earlier)
    trial = study.ask()
    for step, value in enumerate(values):
        trial.report(value, step)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_N_UNPRUNED)
    return pruner.prune(study, study.trials[-1])
