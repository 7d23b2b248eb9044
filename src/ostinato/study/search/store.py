"""The trials of a search in Optuna's SQLite storage, ``search.db``.

A trial's values depend on its number, and on the trials of earlier batches alone: not on how many
run side by side, where, and how often the search was interrupted. So they are drawn in a study in
memory that knows these trials and no others, and are kept by one writing of the whole trial.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ostinato.errors import DataError
from ostinato.storage import WriteError, cause
from ostinato.study.search.space import MODELS, Range, Search
from ostinato.study.search.trial import Outcome, in_memory

STORE = "search.db"
NAME = "ostinato search"
_FACTS = "facts"
_N_RANDOM = 10  # trials that are drawn at random, before TPE has something to learn from
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class SearchStore:
    """Trials by number.

    Parameters
    ----------
    folder : Path
        Holds ``search.db``; made if it is not there.
    search : Search
    facts : dict of str to str
        What all trials of the store share, by what it is called: ``{"data": digest, ...}``.

    Raises
    ------
    DataError
        If the store is of another search, or no store that Optuna can read.
    WriteError
        If it cannot be written.
    """

    def __init__(self, folder: Path, search: Search, facts: Mapping[str, str]) -> None:
        self.path = folder / STORE
        self.search = search
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / "search.lock")
            with self._lock:
                self._storage, self._study = self._opened(facts)
        except OSError as error:
            raise WriteError(f"Cannot write {self.path}: {cause(error)}.") from error
        except (OptunaError, SQLAlchemyError, RuntimeError) as error:
            raise DataError(
                f"{self.path} is no store of trials that Optuna {optuna.__version__} can read "
                f"({type(error).__name__}): choose another folder with --out, or delete it."
            ) from error

    def _opened(self, facts: Mapping[str, str]) -> tuple[optuna.storages.RDBStorage, int]:
        # By a function, since a path in an address would have to be without "?" and "%".
        storage = optuna.storages.RDBStorage(
            "sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(self.path, timeout=60)}
        )
        names = [study.study_name for study in storage.get_all_studies()]
        if names and names != [NAME]:
            raise DataError(
                f"{self.path} is an Optuna store of something else ('{names[0]}'): choose another "
                "folder with --out."
            )
        if not names:
            storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], NAME)
        study = storage.get_study_id_from_name(NAME)
        kept = storage.get_study_user_attrs(study).get(_FACTS)
        if kept is None:  # new, or its process was killed before this
            storage.set_study_user_attr(study, _FACTS, dict(facts))
            return storage, study
        if differ := [name for name in facts if kept.get(name) != facts[name]]:
            raise DataError(
                f"{self.path} is of another search (other {' and '.join(differ)}): choose another "
                "folder with --out, or delete that one."
            )
        return storage, study

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Keep other processes out."""
        try:
            with self._lock:
                yield
        except SQLAlchemyError as error:
            why = getattr(error, "orig", None) or error
            raise WriteError(f"Cannot write {self.path}: {why}.") from error

    def trials(self) -> list[FrozenTrial]:
        """All trials that were begun, in order."""
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def batch(self, numbers: Sequence[int]) -> list[FrozenTrial]:
        """Trials of one batch; those that are not there are chosen. Earlier ones are finished."""
        with self._mine():
            trials = self.trials()
            for number in range(len(trials), numbers[-1] + 1):
                trials.append(self._chosen(number, trials))
                self._storage.create_new_trial(self._study, trials[-1])
            return [self.trials()[number] for number in numbers]

    def tell(self, outcome: Outcome) -> None:
        """Keep what a trial found, unless it is kept already."""
        with self._mine():
            trial = self.trials()[outcome.number]
            if trial.state.is_finished():
                return
            key = self._storage.get_trial_id_from_study_id_trial_number(self._study, outcome.number)
            for step, value in enumerate(outcome.values):
                self._storage.set_trial_intermediate_value(key, step, value)
            if outcome.reason:
                self._storage.set_trial_user_attr(key, "reason", outcome.reason)
            last = None if outcome.state == "failed" else outcome.values[-1:]
            self._storage.set_trial_state_values(key, _STATES[outcome.state], last)

    def values(self, trial: FrozenTrial) -> dict[str, Any]:
        """A trial's values, by dotted name of the setting."""
        return {
            name: json.loads(value) if isinstance(value, str) else value
            for name, value in trial.params.items()
        }

    def importances(self) -> dict[str, float]:
        """Share of each setting in what makes trials good, by PED-ANOVA; empty if none can be told.

        S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: efficiently quantifying hyperparameter
        importance in arbitrary subspaces", IJCAI 2023.
        """
        study = in_memory(self.trials())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = optuna.importance.get_param_importances(study)
        except (ValueError, RuntimeError):  # fewer than two trials are complete
            return {}
        shares = np.array(list(found.values()))
        return found if np.isfinite(shares).all() and shares.any() else {}

    def _chosen(self, number: int, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        """Values of a new trial: the study's own for the first, where the space has them."""
        own = {name: _stored(value) for name, value in self.search.own.items()}
        dists = self._distributions()
        if number == 0:
            params = {n: own[n] for n in dists if _is_of(n, own.get(MODELS))}
            if all(_holds(dists[n], v) for n, v in params.items()):
                return _running(params, dists)
        batch = self.search.trials.batch
        first = number - number % batch
        known = [*trials[:first], *(_running(t.params, dists) for t in trials[first:number])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=int(np.random.SeedSequence(number).generate_state(1)[0]),
                n_startup_trials=_N_RANDOM, multivariate=True, group=True, constant_liar=True,
            )  # fmt: skip
            trial = in_memory(known, sampler).ask()
            params = {}
            for name, distribution in dists.items():
                if _is_of(name, params.get(MODELS)):
                    params[name] = _suggested(trial, name, distribution)
        return _running(params, dists)

    def _distributions(self) -> dict[str, BaseDistribution]:
        """The space as Optuna's; a choice that is no plain value is its JSON."""
        found: dict[str, BaseDistribution] = {}
        for name, varied in self.search.space.items():
            own = self.search.own[name]
            if not isinstance(varied, Range):
                found[name] = CategoricalDistribution([_stored(choice) for choice in varied])
            elif isinstance(own, int):
                least, most = int(varied.low), int(varied.high)
                found[name] = IntDistribution(least, most, varied.log, int(varied.step or 1))
            else:
                found[name] = FloatDistribution(varied.low, varied.high, varied.log, varied.step)
        return found


def _running(params: Mapping[str, Any], dists: Mapping[str, BaseDistribution]) -> FrozenTrial:
    own = {name: dists[name] for name in params}
    return create_trial(state=TrialState.RUNNING, params=dict(params), distributions=own)


def _is_of(name: str, model: Any) -> bool:
    """Whether a trial of this model has the setting; all have it where none is chosen."""
    return (
        model is None or not name.startswith("settings.") or name.split(".")[1] == json.loads(model)
    )


def _stored(value: Any) -> Any:
    """A value as Optuna keeps it: JSON, where it is neither a number nor a truth."""
    return value if isinstance(value, bool | int | float) else json.dumps(value)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    steps = (value - distribution.low) / distribution.step if distribution.step else 0
    return distribution.low <= value <= distribution.high and steps == int(steps)


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    d = distribution
    if isinstance(d, IntDistribution):
        return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
    if isinstance(d, FloatDistribution):
        return trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)
    assert isinstance(d, CategoricalDistribution)
    return trial.suggest_categorical(name, d.choices)
