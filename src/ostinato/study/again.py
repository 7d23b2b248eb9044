"""A finished study once more: the same figures, or what differs.

The study's ``config.toml`` is run again in a new folder, on the recordings of its ``split.tsv``,
and what it leaves there is compared with what it left the first time.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.datasets.load import Progress
from ostinato.datasets.splits import load_split
from ostinato.errors import DataError, UsageError, joined
from ostinato.storage import expanded
from ostinato.study.config import StudyConfig, load_config
from ostinato.study.entry import Tell, resumable, told_corpus
from ostinato.study.plan import Plan, plan_study
from ostinato.study.results import RESULTS, StudyResults, plain, read_results
from ostinato.study.results.predictions import FACTS, PREDICTIONS
from ostinato.study.study import SPLIT, run_study
from ostinato.training.device import training_device

#: Keys of results.json that are no figures: what a clock says, and what is compared on its own.
_NO_FIGURES = {
    "seconds", "finished", "versions", "ostinato", "recipe", "digests", "config", "settings",
    "ledger", "fairness",
}  # fmt: skip
#: Figures that differ and are named in a sentence each.
_NAMED = 3


Predictions = dict[tuple[str, ...], tuple[float, ...]]
"""Probabilities by recording, artist, part, genre, model, seed and fold."""


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """A study done again.

    Attributes
    ----------
    same : bool
        Whether every figure, and every probability in ``predictions.csv``, is the same.
    differences : tuple of str
        What differs, a sentence each: versions, data, split, settings, figures. With the same
        figures there may be some, too.
    """

    run: Path
    folder: Path
    n_figures: int
    n_predictions: int
    same: bool
    differences: tuple[str, ...]


def repeat(
    run: Path | str,
    *,
    out: Path | str | None = None,
    jobs: int | None = None,
    backend: str = "processes",
    cache: Path | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    accelerator: str = "cpu",
    ledger: Path | None = None,
) -> Repetition:
    """Run a finished study again in a new folder, and compare.

    Parameters
    ----------
    run : Path or str
        The study's folder.
    out : Path, str or None
        The new folder; None is one beside it, named for it. One that was interrupted is resumed.
    jobs, backend, cache, progress, tell, accelerator, ledger
        As in :func:`ostinato.study.run`.

    Raises
    ------
    UsageError
        If the study is not finished, or its data are not there.
    DataError
        If a file of it is damaged, or the data cannot be used.
    """
    tell = tell or (lambda sentence: None)
    device = training_device(accelerator)
    run = expanded(run)
    first = read_results(run)
    before = _predictions(run)
    folder = expanded(out) if out else _beside(run)
    if folder.resolve() == run.resolve():
        raise UsageError(f"Expected another folder than {run} for its repetition (--out).")
    config = load_config(run / "config.toml")
    corpus = told_corpus(config, tell, cache=cache, jobs=jobs, backend=backend, progress=progress)
    plan = plan_study(config, corpus, folder)
    drawn = _of_the_same_split(plan, config, run)
    told = [*_digests(first, drawn), *_settings(first.config, drawn.config.to_dict())]
    for sentence in told:
        tell(sentence)
    with resumable(folder, tell):
        result = run_study(
            drawn, jobs=jobs, backend=backend, progress=progress, accelerator=device, ledger=ledger
        )
    again = result.results
    figures, n_figures = _figures(first, again)
    probabilities, n_predictions = _compared(before, _predictions(folder))
    return Repetition(
        run=run,
        folder=folder,
        n_figures=n_figures,
        n_predictions=n_predictions,
        same=not figures and not probabilities,
        differences=(*_versions(first, again), *told, *figures, *probabilities),
    )


def _beside(run: Path) -> Path:
    """The first folder beside a study that holds no finished repetition of it."""
    names = itertools.chain([""], (f"-{n}" for n in itertools.count(2)))
    places = (run.with_name(f"{run.absolute().name}-again{end}") for end in names)
    return next(place for place in places if not (place / RESULTS).exists())


def _of_the_same_split(plan: Plan, config: StudyConfig, run: Path) -> Plan:
    """The plan on the recordings of ``split.tsv``, where its split would be drawn otherwise now."""
    if config.segments > 1 or plan.split.leaks or plan.split.repeats > 1:
        return plan
    kept = load_split(run / SPLIT, plan.corpus)
    if kept.digest() == plan.split.digest():
        return plan
    return plan_study(replace(config, split=str(run / SPLIT)), plan.corpus, plan.folder)


def _versions(first: StudyResults, again: StudyResults) -> Iterator[str]:
    """What was made with other versions."""
    was, now = (_made_with(results) for results in (first, again))
    if not was:
        yield f"Versions: the first time none were recorded but Ostinato {first.ostinato}."
        return
    for name in now | was:
        if was.get(name) != now.get(name):
            told = (joined(sorted(side.get(name) or {"unknown"})) for side in (was, now))
            yield "Version of {}: {} the first time, {} now.".format(name, *told)


def _made_with(results: StudyResults) -> dict[str, set[str]]:
    """Versions by name: more than one where runs of a study were made with different ones."""
    found: dict[str, set[str]] = {}
    for model in results.models.values():
        for run in model.runs:
            for name, version in (run.versions or {}).items():
                found.setdefault(name, set()).add(version)
    return found


def _digests(first: StudyResults, plan: Plan) -> Iterator[str]:
    recipe = plan.tasks[0].recipe
    for name, now in (("data", recipe.data), ("split", recipe.split)):
        if (was := (first.digests or {}).get(name)) and was != now:
            yield f"Digest of the {name}: {was} the first time, {now} now: they are not the same."


def _settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = (dict(_leaves(json.loads(json.dumps(side)))) for side in (was, now))
    for name in old | new:
        if old.get(name) != new.get(name):
            told = (json.dumps(side[name]) if name in side else "absent" for side in (old, new))
            yield "Setting {}: {} the first time, {} now.".format(name, *told)


def _figures(first: StudyResults, again: StudyResults) -> tuple[list[str], int]:
    """A sentence on the figures that differ, and the number of all."""
    old, new = (
        {n: v for n, v in _leaves(plain(results)) if not _NO_FIGURES & set(n.split("."))}
        for results in (first, again)
    )
    differ = [n for n in old | new if n not in old or n not in new or old[n] != new[n]]
    if not differ:
        return [], len(old)
    head = f"Figures: {len(differ):,} of {len(old | new):,} in {RESULTS} differ"
    # Accuracies first: they are what people quote.
    ranked = sorted(differ, key=lambda name: ("accuracy.mean" not in name, differ.index(name)))
    told = (
        f"{name} {json.dumps(old.get(name))} the first time, {json.dumps(new.get(name))} now"
        for name in ranked[:_NAMED]
    )
    return [f"{head}: {'; '.join(told)}."], len(old)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Plain values by dotted name."""
    if isinstance(value, dict | list):
        for key, own in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(own, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _predictions(folder: Path) -> Predictions:
    path = folder / PREDICTIONS
    try:
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        n = len(FACTS)
        return {tuple(row[:n]): tuple(map(float, row[n:])) for row in rows}
    except (OSError, ValueError) as error:
        raise DataError(f"The predictions {path} cannot be read: {error}.") from error


def _compared(old: Predictions, new: Predictions) -> tuple[list[str], int]:
    """A sentence on the predictions that differ, and the number of all."""
    if old == new:
        return [], len(old)
    common = [key for key in old if key in new and len(old[key]) == len(new[key])]
    said = [np.array([side[key] for key in common]) for side in (old, new)]
    others = len(old) + len(new) - 2 * len(common)
    changed = sum(old[key] != new[key] for key in common)
    told = [f"{changed:,} of {len(common):,} predictions differ"]
    if changed:
        verdicts = int((said[0].argmax(axis=1) != said[1].argmax(axis=1)).sum())
        told[0] += f" by up to {np.abs(said[0] - said[1]).max():.2g}, {verdicts:,} in their genre"
    if others:
        told.append(f"{others:,} are there only once")
    return [f"Predictions: {'; '.join(told)}."], len(old)
