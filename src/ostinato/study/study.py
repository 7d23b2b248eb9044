"""A study: models x seeds x folds -> one folder with table, figures and page.

Finished runs are kept, so an interrupted study is resumed, and one with more seeds or models
trains only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ostinato import parallel
from ostinato.datasets.load import Progress
from ostinato.datasets.splits import save_split
from ostinato.errors import require
from ostinato.storage import write_text
from ostinato.study.ledger import LEDGER, append, enter, looks, read_ledger
from ostinato.study.plan import Plan
from ostinato.study.results import StudyResults, read_run, write_results
from ostinato.study.results.collect import collect
from ostinato.study.results.predictions import PREDICTIONS, predictions_csv
from ostinato.study.training_run import (
    PROBABILITIES,
    Task,
    bring_home,
    execute,
    execute_away,
    is_finished,
    read_probabilities,
)  # fmt: skip

SPLIT = "split.tsv"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study left behind."""

    results: StudyResults
    folder: Path
    report: Path | None  # the page; None where it was not asked for


def run_study(
    plan: Plan,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    report: bool = True,
    accelerator: str = "cpu",
    backend: str = "processes",
    ledger: Path | None = None,
) -> StudyResult:
    """Train what is not finished, judge, and write the study's folder.

    Parameters
    ----------
    jobs, accelerator
        As in :func:`ostinato.study.run`.
    progress : callable or None
        Called after each epoch with (epochs done, epochs in all, names of the runs at work).
    report : bool
        Whether to draw figures and the page (needs the extra ``plot``).
    backend : str
        Where runs are trained, as in :func:`ostinato.parallel.run`: in processes, or on the Dask
        cluster of a scheduler's address, whose workers need not see the study's folder.
    ledger : Path or None
        Where looks at the test part are entered; None is ``test-ledger.csv`` beside the folder.

    Raises
    ------
    DataError
        If the folder holds runs of another recipe.
    OstinatoError
        If a run cannot be done; those that were finished are kept.
    """
    config, corpus, split, folder = plan.config, plan.corpus, plan.split, plan.folder
    # What can be refused is refused before anything is written.
    waiting = [task for task in plan.tasks if not is_finished(task)]
    ledger = ledger or folder.absolute().parent / LEDGER
    read_ledger(ledger)
    if report:
        for module in ("matplotlib", "jinja2"):
            require(module, extra="plot", needed_for="The report")
    write_text(folder / "config.toml", config.to_toml())
    save_split(split, folder / SPLIT)
    planned = looks(
        plan.tasks, corpus, data=corpus.name, split=split.name, study=folder.absolute().name,
        pieces=config.segments > 1,
    )  # fmt: skip
    beginning = {task.recipe.family for task in waiting}
    append(ledger, [look for look in planned if look.model in beginning])
    _train(plan, waiting, progress, n_jobs=jobs, accelerator=accelerator, backend=backend)
    records = _by_model(plan, lambda task: read_run(task.folder))
    verdicts = _by_model(
        plan,
        lambda task: read_probabilities(task.folder / PROBABILITIES, task.parts, corpus.genres),
    )
    recipe = plan.tasks[0].recipe
    results = replace(
        collect(config, corpus, split, records, verdicts),
        digests={"data": recipe.data, "split": recipe.split},
    )
    if planned:
        results = replace(results, ledger=enter(ledger, planned, results))
    write_results(results, folder)
    write_text(folder / PREDICTIONS, predictions_csv(corpus, split, verdicts))
    page = None
    if report:
        from ostinato.study.report import draw_all, write_page  # need the extra "plot"

        page = write_page(results, draw_all(results, folder / "figures"), folder / "report.html")
    return StudyResult(results=results, folder=folder, report=page)


def _train(
    plan: Plan,
    waiting: Sequence[Task],
    progress: Progress | None,
    *,
    n_jobs: int | None,
    accelerator: str,
    backend: str,
) -> None:
    """Train the waiting tasks side by side, and report the epochs that are done."""
    epochs = plan.config.training.epochs
    finished = (len(plan.tasks) - len(waiting)) * epochs
    done = [0] * len(waiting)  # epochs of each

    def tell(position: int, n_epochs: int) -> None:
        done[position] = max(done[position], n_epochs)
        show()

    def show() -> None:
        if progress:
            at_work = [task.name for task, n in zip(waiting, done, strict=True) if 0 < n < epochs]
            progress(finished + sum(done), len(plan.tasks) * epochs, ", ".join(at_work))

    show()
    is_away = parallel.is_cluster(backend)
    with parallel.run(
        partial(execute_away if is_away else execute, corpus=plan.corpus, accelerator=accelerator),
        [(task,) for task in waiting],
        doing="trained a model",
        n_jobs=n_jobs,
        backend=backend,
        progress=tell,
    ) as results:
        for position, files in results:
            if files is not None:
                bring_home(waiting[position], files)
            done[position] = epochs  # a run that is solved for, or was judged only, has no epochs
    show()


def _by_model(plan: Plan, read: Callable[[Task], T]) -> dict[str, list[list[T]]]:
    """What ``read`` gives for every task: by model, seed and fold."""
    table: dict[str, list[list[T]]] = {
        m: [[] for _ in range(plan.config.seeds)] for m in plan.config.models
    }
    for task in plan.tasks:
        table[task.recipe.family][task.seed].append(read(task))
    return table
