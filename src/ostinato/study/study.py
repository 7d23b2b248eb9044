"""A study: models x seeds x folds -> one folder with table, figures and page.

Finished runs are kept, so a study that was interrupted goes on where it was, and one that is asked
for again with more seeds or models trains only what is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ostinato import parallel
from ostinato.datasets import Corpus, FrameCache, load_corpus
from ostinato.datasets.splits import (
    N_SEGMENTS,
    SEGMENT_RANDOM,
    Split,
    check_split,
    save_split,
    segment_random,
    segmented,
    segmented_split,
    split_corpus,
    thinned,
)
from ostinato.storage import write_text
from ostinato.study.config import StudyConfig
from ostinato.study.ledger import (
    LEDGER,
    append,
    earlier_recipes,
    examinations,
    part_digest,
    read_ledger,
)
from ostinato.study.results import StudyResults, read_run, write_results
from ostinato.study.results.collect import collect
from ostinato.study.results.predictions import PREDICTIONS, predictions_csv
from ostinato.study.results.schema import LedgerEntry
from ostinato.study.training_run import (
    PROBABILITIES,
    Recipe,
    Task,
    corpus_digest,
    execute,
    is_finished,
    read_probabilities,
)  # fmt: skip

SPLIT = "split.tsv"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study left behind.

    Attributes
    ----------
    results : StudyResults
    folder : Path
    report : Path or None
        The page; None where it was not asked for.
    """

    results: StudyResults
    folder: Path
    report: Path | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, ready to run.

    Attributes
    ----------
    config : StudyConfig
    corpus : Corpus
    split : Split
    tasks : tuple of Task
        By model, then seed, then fold.
    folder : Path
    """

    config: StudyConfig
    corpus: Corpus
    split: Split
    tasks: tuple[Task, ...]
    folder: Path


def load_data(
    config: StudyConfig,
    *,
    cache: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Load the corpus of a study: :func:`ostinato.datasets.load.load_corpus` with its settings."""
    return load_corpus(
        config.data,
        spec=config.spec,
        cache=FrameCache(cache),
        augmentation=config.waveform,
        n_jobs=jobs,
        progress=progress,
    )


def plan_study(config: StudyConfig, corpus: Corpus, folder: Path | None = None) -> Plan:
    """Split the corpus and lay out the runs, without training anything.

    Parameters
    ----------
    config : StudyConfig
    corpus : Corpus
    folder : Path or None
        Of the study; None makes a name from data, split and recipe below ``runs/``, so that other
        settings never meet in one folder.

    Raises
    ------
    UsageError
        If the corpus has not the copies that the settings ask for.
    DataError
        If the corpus cannot be split so, or the folder holds runs of another recipe.
    """
    config, corpus, split = _divided(config, corpus.with_copies_of(config.waveform))
    data = corpus_digest(corpus)
    recipes = {
        name: Recipe(
            family=name,
            settings=config.model_settings(name),
            training=config.training,
            data=data,
            split=split.digest(),
            test=config.test,
        )
        for name in config.models
    }
    folder = folder or _default_folder(config, corpus, split, data)
    tasks = tuple(
        Task(
            recipe=recipes[name],
            seed=seed,
            fold=k,
            parts=fold,
            # Absolute: worker processes may have been started in another folder.
            folder=folder.absolute() / "models" / name / f"seed{seed}-fold{k}",
        )
        for name in config.models
        for seed in range(config.seeds)
        for k, fold in enumerate(split.folds)
    )
    return Plan(config=config, corpus=corpus, split=split, tasks=tasks, folder=folder)


def _divided(config: StudyConfig, corpus: Corpus) -> tuple[StudyConfig, Corpus, Split]:
    """The split of a study, and the corpus it is of: whole recordings, or their pieces."""
    n = config.segments
    if config.split == SEGMENT_RANDOM:
        n = n if n > 1 else N_SEGMENTS
        split = segment_random(corpus, n, seed=config.split_seed)
        n_train = (config.train_size or 0) * n  # pieces, where the other splits have recordings
    else:
        split = split_corpus(
            corpus,
            config.split,
            seed=config.split_seed,
            shares=config.shares,
            repeats=config.repeats,
        )
        n_train = config.train_size or 0
        if n_train:
            split = thinned(corpus, split, n_train, seed=config.split_seed)
        split = segmented_split(split, n) if n > 1 else split
    if n == 1:
        return config, corpus, split
    corpus = segmented(corpus, n)
    if split.leaks and n_train:
        split = thinned(corpus, split, n_train, seed=config.split_seed)
    # A window longer than a piece would be the piece more than once.
    longest = max(len(frames) for frames in corpus.frames)
    training = replace(
        config.training,
        window_frames=min(config.training.window_frames, longest),
        window_hop=min(config.training.window_hop, longest),
    )
    return replace(config, segments=n, training=training), corpus, check_split(corpus, split)


def run_study(
    plan: Plan,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    report: bool = True,
    accelerator: str = "cpu",
    backend: str = "processes",
) -> StudyResult:
    """Train what is not finished, judge, and write the study's folder.

    Parameters
    ----------
    plan : Plan
    jobs : int or None
        Runs side by side, one process and one thread each; None is one a core. Figures do not
        depend on it.
    progress : callable or None
        Called after each epoch with (epochs done, epochs in all, names of the runs at work).
    report : bool
        Whether to draw figures and the page (needs the extra ``plot``).
    accelerator : str
        Lightning's: ``"cpu"``, ``"gpu"``, ``"auto"``.
    backend : str
        Where runs are trained, as in :func:`ostinato.parallel.run`: in processes, or on the Dask
        cluster of a scheduler's address, whose workers see the study's folder.

    Raises
    ------
    OstinatoError
        If a run cannot be done; those that were finished are kept.
    """
    config, corpus, split, folder = plan.config, plan.corpus, plan.split, plan.folder
    waiting = [task for task in plan.tasks if not is_finished(task)]
    write_text(folder / "config.toml", config.to_toml())
    save_split(split, folder / SPLIT)
    looked = read_ledger(folder.absolute().parent / LEDGER)  # a damaged one is told before training
    _train(plan, waiting, progress, n_jobs=jobs, accelerator=accelerator, backend=backend)
    records = _by_model(config, plan.tasks, lambda task: read_run(task.folder))
    verdicts = _by_model(
        config,
        plan.tasks,
        lambda task: read_probabilities(task.folder / PROBABILITIES, task.parts, corpus.genres),
    )
    results = collect(config, corpus, split, records, verdicts)
    if results.examined == "test":
        results = replace(results, ledger=_enter(plan, results, looked))
    write_results(results, folder)
    write_text(folder / PREDICTIONS, predictions_csv(corpus, split, verdicts))
    page = write_report(results, folder) if report else None
    return StudyResult(results=results, folder=folder, report=page)


def _enter(plan: Plan, results: StudyResults, looked: list[dict[str, str]]) -> LedgerEntry:
    """Enter the examination of a test part into the ledger beside the study's folder."""
    recipes = {task.recipe.family: task.recipe.digest() for task in plan.tasks}
    genre = {r.id: r.genre for r in plan.corpus.recordings}
    part = part_digest({name: genre[name] for fold in plan.split.folds for name in fold.test})
    folder = plan.folder.absolute()
    entries = examinations(results, test_part=part, recipes=recipes, study=folder.name)
    append(folder.parent / LEDGER, entries)
    n_earlier = earlier_recipes(looked, part, set(recipes.values()))
    return LedgerEntry(file=LEDGER, test_part=part, earlier_recipes=n_earlier)


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
    run = partial(_execute, execute, corpus=plan.corpus, accelerator=accelerator)
    with parallel.run(
        run,
        [(task,) for task in waiting],
        doing="trained a model",
        n_jobs=n_jobs,
        backend=backend,
        progress=tell,
    ) as results:
        for position, _ in results:
            done[position] = epochs  # a run that is solved for, or was judged only, has no epochs
    show()


def _execute(
    run: Callable[..., None],
    task: Task,
    *,
    corpus: Corpus,
    accelerator: str,
    report: Callable[[int], None],
) -> None:
    run(task, corpus, accelerator=accelerator, on_epoch=report)


def write_report(results: StudyResults, folder: Path) -> Path:
    """Draw the figures of a study and write its page.

    Raises
    ------
    MissingExtraError
        If matplotlib or Jinja is not installed.
    """
    from ostinato.study.report import draw_all, write_page

    figures = draw_all(results, folder / "figures")
    return write_page(results, figures, folder / "report.html")


def _default_folder(config: StudyConfig, corpus: Corpus, split: Split, data: str) -> Path:
    """Named for data and split, and for all else that decides a run's figures but its model."""
    facts = [data, split.digest(), config.test, asdict(config.training), config.settings]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:6]
    choosing = "" if config.test else "-no-test"
    return Path("runs") / f"{corpus.name}-{split.name}{choosing}-{digest}"


def _by_model(
    config: StudyConfig, tasks: Sequence[Task], read: Callable[[Task], Any]
) -> dict[str, list[list[Any]]]:
    """What ``read`` gives for every task: by model, seed and fold."""
    table: dict[str, list[list[Any]]] = {
        m: [[] for _ in range(config.seeds)] for m in config.models
    }
    for task in tasks:
        table[task.recipe.family][task.seed].append(read(task))
    return table
