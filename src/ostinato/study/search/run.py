"""A search in one call, from a study's TOML to its winner: what ``ostinato search`` runs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ostinato import parallel
from ostinato.datasets import Corpus
from ostinato.datasets.gtzan import published_split
from ostinato.datasets.load import Progress
from ostinato.datasets.splits import Split
from ostinato.errors import DataError, UsageError
from ostinato.storage import expanded, write_text
from ostinato.study.config import StudyConfig
from ostinato.study.entry import Tell, resumable, told_corpus
from ostinato.study.plan import Plan, plan_study
from ostinato.study.search.importance import draw_importances
from ostinato.study.search.space import Search, load_search
from ostinato.study.search.store import SearchStore
from ostinato.study.search.trial import (
    Outcome,
    Trial,
    attempt,
    attempt_away,
    claimed,
    packed,
    read_outcome,
    unpack,
)
from ostinato.study.sweep import data_key
from ostinato.study.training_run import corpus_digest
from ostinato.training.device import training_device

TABLE, WINNER, PICTURE = "trials.csv", "winner.toml", "importance.png"
_WAIT_S = 1.0  # between two looks at what another process is at work on


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    config : StudyConfig
        The winner's, as in ``winner.toml``.
    number, value : int and float
        The winner, and its objective on the pooled validation folds.
    own : float or None
        The objective of the study as it was; None where it was not among the trials.
    values : dict of str to Any
        What the winner has, by dotted name of the setting.
    n_trials, n_pruned, n_failed : int
        All trials; those that were given up after some folds; those that failed.
    importances : dict of str to float
        By dotted name, with sum 1; empty where trials are too few or too alike to tell.
    """

    config: StudyConfig
    objective: str
    number: int
    value: float
    own: float | None
    values: Mapping[str, Any]
    n_trials: int
    n_pruned: int
    n_failed: int
    importances: Mapping[str, float]
    folder: Path
    winner: Path
    picture: Path | None


def search(
    study: Path | str,
    *,
    trials: int,
    out: Path | str | None = None,
    jobs: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    accelerator: str = "cpu",
    backend: str = "processes",
) -> SearchResult:
    """Search for the settings that do best on validation folds; the test part is not used.

    The same call goes on where one was interrupted, and several at once share the work.

    Parameters
    ----------
    study : Path or str
        A study's TOML; its table ``[search]`` says what varies
        (:mod:`ostinato.study.search.space`).
    trials : int
        How many there are to be in all, with those that the folder holds already.
    out : Path, str or None
        The search's folder; None is one below ``runs/``, named for data and settings.
    jobs, cache, progress, tell, accelerator, backend
        As in :func:`ostinato.study.run`; ``progress`` counts folds.

    Raises
    ------
    UsageError
        If a setting is wrong, or the study uses a test part.
    DataError
        If the data cannot be used, the folder is of another search, or no trial succeeded.
    """
    tell = tell or (lambda sentence: None)
    if trials < 1:
        raise UsageError(f"Expected 1 trial or more, got {trials}.")
    device = training_device(accelerator)
    space = load_search(expanded(study))
    work = _Work(
        search=space,
        load=lambda config: told_corpus(
            config, tell, cache=cache, jobs=jobs, backend=backend, progress=progress
        ),
        options={"accelerator": device},
        pool={"n_jobs": jobs, "backend": backend},
        progress=progress,
        tell=tell,
    )
    corpus = work.corpus(space.base)
    plan = plan_study(replace(space.base, seeds=space.trials.seeds), corpus)
    _refuse_examined(plan)
    facts = {"data": corpus_digest(corpus), "split": plan.split.digest(), **space.facts()}
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:6]
    folder = expanded(out) if out else Path("runs") / f"search-{corpus.name}-{digest}"
    store = SearchStore(folder, space, facts)
    with resumable(folder, tell):
        work.run(store, folder, trials, plan.split)
        return _result(space, store, folder)


@dataclass(kw_only=True)
class _Work:
    """Does the trials of a store that are not done."""

    search: Search
    load: Callable[[StudyConfig], Corpus]
    options: Mapping[str, Any]
    pool: Mapping[str, Any]
    progress: Progress | None
    tell: Tell
    corpora: dict[str, Corpus] = field(default_factory=dict)

    def corpus(self, config: StudyConfig) -> Corpus:
        """The corpus of a trial; each is loaded once."""
        key = data_key(config)
        if key not in self.corpora:
            self.corpora[key] = self.load(config)
        return self.corpora[key]

    def run(self, store: SearchStore, folder: Path, n: int, split: Split) -> None:
        """Do all trials up to ``n``, batch by batch."""
        batch, n_folds = self.search.trials.batch, len(split.folds)
        for first in range(0, n, batch):
            found = store.batch(range(first, min(first + batch, n)))
            waiting = [t.number for t in found if not t.state.is_finished()]
            planned = [self._planned(store, t, folder, split) for t in found if t.number in waiting]
            told = False
            while waiting:
                doing = [p for p in planned if p.number in waiting]
                done = {t.number: n_folds for t in store.trials() if t.state.is_finished()}
                earlier = store.trials()[:first]
                self._together(store, doing, earlier, done, (n_folds, n * n_folds))
                left = [t.number for t in store.trials() if not t.state.is_finished()]
                waiting = [number for number in waiting if number in left]
                if waiting:
                    if not told:
                        self.tell(f"Waiting for trial {waiting[0]}: another process is at it.")
                    told = True
                    time.sleep(_WAIT_S)

    def _planned(self, store: SearchStore, trial: FrozenTrial, folder: Path, split: Split) -> Any:
        """A trial with its runs, or its failure where its settings cannot be."""
        own = folder.absolute() / "trials" / f"{trial.number:04d}"
        try:
            config = self.search.config(store.values(trial))
            plan = plan_study(config, self.corpus(config), own)
        except UsageError as error:
            return Outcome(
                number=trial.number, state="failed", values=(), recipe="", reason=str(error)
            )
        if plan.split.digest() != split.digest():
            raise DataError(
                f"Trial {trial.number} has other recordings than the study: "
                f"expected the split {split.digest()}, got {plan.split.digest()}; leave the "
                "settings that change it out of [search]."
            )
        tasks = tuple(sorted(plan.tasks, key=lambda task: task.fold))
        return Trial(number=trial.number, folder=own, data=data_key(config), tasks=tasks)

    def _together(
        self,
        store: SearchStore,
        planned: Sequence[Trial | Outcome],
        earlier: Sequence[FrozenTrial],
        done: dict[int, int],
        folds: tuple[int, int],
    ) -> None:
        """Do the trials that no other process is at, side by side, and keep what they found.

        ``done`` has the finished folds of trials, ``folds`` those of one trial and of all.
        """
        trials = [trial for trial in planned if isinstance(trial, Trial)]
        whole, total = folds

        def show() -> None:
            if self.progress:
                at_work = [f"trial {t.number}" for t in trials if 0 < done.get(t.number, 0) < whole]
                self.progress(sum(done.values()), total, ", ".join(at_work))

        def step(position: int, n_folds: int) -> None:
            done[trials[position].number] = n_folds
            show()

        for outcome in planned:
            if isinstance(outcome, Outcome):
                store.tell(outcome)
        show()
        is_away = parallel.is_cluster(self.pool["backend"])
        with ExitStack() as claims:
            if is_away:  # its workers do not see the folder, so the locks are held here
                trials = [t for t in trials if claims.enter_context(claimed(t))]
            calls = [(trial, packed(trial)) if is_away else (trial,) for trial in trials]
            options = {
                "corpora": {trial.data: self.corpora[trial.data] for trial in trials},
                "objective": self.search.trials.objective,
                "earlier": earlier,
                **self.options,
            }
            results = claims.enter_context(
                parallel.run(
                    partial(attempt_away if is_away else attempt, **options),
                    calls,
                    doing="trained a model",
                    progress=step,
                    **self.pool,
                )
            )
            for position, found in results:
                trial = trials[position]
                if isinstance(found, dict):
                    unpack(found, trial.folder)
                    found = read_outcome(trial)
                if found is not None:
                    store.tell(found)
                    done[trial.number] = whole
                    show()


def _refuse_examined(plan: Plan) -> None:
    """Refuse folds that hold recordings of GTZAN's published test list."""
    test = set(published_split("fault-filtered")["test"])
    held = {name.rpartition("#")[0] or name for fold in plan.split.folds for name in fold.valid}
    if seen := held & test:
        raise UsageError(
            f"split: expected validation folds without GTZAN's published test tracks, got "
            f"'{plan.split.name}', which has {len(seen)} of them: use artist-folds."
        )


def _result(search: Search, store: SearchStore, folder: Path) -> SearchResult:
    """The winner and all that is written of a search."""
    trials = store.trials()
    write_text(folder / TABLE, _table(search, store, trials))
    by_state = {state: [t for t in trials if t.state is state] for state in TrialState}
    complete, failed = by_state[TrialState.COMPLETE], by_state[TrialState.FAIL]
    if not complete:
        raise DataError(
            f"None of the {len(trials)} trials in {folder} could be trained; the first: "
            f"{failed[0].user_attrs.get('reason', 'no reason is kept')}"
        )
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    n_pruned = len(by_state[TrialState.PRUNED])
    n_judged = len(complete) + n_pruned
    values = store.values(best)
    config = replace(
        search.config(values), seeds=search.base.seeds, title=search.base.title,
        chosen_from=n_judged,
    )  # fmt: skip
    objective = search.trials.objective
    value, first = float(best.value or 0.0), trials[0]
    head = (
        f"# Trial {best.number} of a search: {objective} {value:.4f} on the pooled validation "
        f"folds, the best of {n_judged}.\n"
        f"# Run it with: ostinato study {WINNER}\n"
    )
    write_text(folder / WINNER, head + config.to_toml())
    importances = store.importances()
    picture = draw_importances(
        importances, folder / PICTURE, objective=objective, n_trials=len(complete)
    )
    is_own = store.values(first) == {n: v for n, v in search.own.items() if n in first.params}
    return SearchResult(
        config=config,
        objective=objective,
        number=best.number,
        value=value,
        own=first.value if is_own else None,
        values=values,
        n_trials=len(trials),
        n_pruned=n_pruned,
        n_failed=len(failed),
        importances=importances,
        folder=folder,
        winner=folder / WINNER,
        picture=picture,
    )


def _table(search: Search, store: SearchStore, trials: Sequence[FrozenTrial]) -> str:
    """``trials.csv``: a row a trial, with the objective after each fold and all values."""
    n_folds = max((len(trial.intermediate_values) for trial in trials), default=0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    folds = [f"fold_{k}" for k in range(n_folds)]
    writer.writerow(["trial", "state", search.trials.objective, *folds, *search.space, "reason"])
    for trial in trials:
        values, after = store.values(trial), trial.intermediate_values
        writer.writerow(
            [
                trial.number,
                {"fail": "failed"}.get(trial.state.name.lower(), trial.state.name.lower()),
                trial.value if trial.state is TrialState.COMPLETE else "",
                *(after.get(k, "") for k in range(n_folds)),
                *(values.get(name, "") for name in search.space),
                trial.user_attrs.get("reason", ""),
            ]
        )
    return text.getvalue()
