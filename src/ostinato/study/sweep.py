"""Several studies that differ in named settings: an ablation, a leak table, depth against accuracy.

A sweep is a study's TOML with ``[[variants]]``::

    title = "The recipe, one thing changed at a time"
    split = "artist-folds"
    base = "base"                   # the variant that the others are compared with (may be absent)

    [[variants]]
    name = "base"

    [[variants]]
    name = "no-mixup"
    training.mixup = 0.0

Settings outside the variants are common to all; a variant changes what it names. Each variant is a
study in a folder of its own, kept and resumed as any other; the table is made anew each time from
the variants that are finished.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.datasets import Corpus
from ostinato.datasets.load import Progress
from ostinato.errors import DataError, UsageError, near
from ostinato.evaluation import paired
from ostinato.evaluation.significance import Interval
from ostinato.models.settings import checked
from ostinato.storage import write_text
from ostinato.study.compare import Judged, accuracy, read_judged
from ostinato.study.config import StudyConfig, overridden
from ostinato.study.ledger import LEDGER
from ostinato.study.plan import Plan, plan_study
from ostinato.study.report.reading import turned
from ostinato.study.results import RESULTS, SCHEMA, to_json
from ostinato.study.results.tables import BaseDifference, SweepRow, SweepTable
from ostinato.study.study import run_study
from ostinato.study.toml_file import TomlFile

TABLE = "table.json"
#: Settings that decide which corpus is loaded.
_DATA = ("data", "coefficients", "frames", "waveform")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One study of a sweep."""

    name: str  # names its folder and its rows
    config: StudyConfig
    at: float | None = None  # its place on the sweep's axis


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Studies that differ in named settings."""

    title: str
    variants: tuple[Variant, ...]
    base: str | None = None  # name of the variant that the others are compared with
    axis: str | None = None  # what the variants' ``at`` counts, for a figure: ``"depth"``

    def only(self, names: Sequence[str]) -> Sweep:
        """The sweep with these variants alone; UsageError if it has no variant of a name."""
        known = [v.name for v in self.variants]
        for name in names:
            if name not in known:
                raise UsageError(
                    f"Expected variants of {', '.join(known)}; got '{name}'{near(name, known)}"
                )
        return replace(self, variants=tuple(v for v in self.variants if v.name in names))


def is_sweep(path: Path) -> bool:
    """Whether a study's TOML has variants; False where it cannot be read, which others report."""
    try:
        return "variants" in TomlFile(path).values
    except UsageError:
        return False


def load_sweep(path: Path, **changes: Any) -> Sweep:
    """Read a sweep from TOML, and change settings in every variant; None leaves them.

    UsageError if the file cannot be read, is not TOML, or a setting in it is wrong.
    """
    file = TomlFile(path)
    with file.named_in_errors():
        sweep = _sweep(file.values)
    variants = (replace(v, config=overridden(v.config, **changes)) for v in sweep.variants)
    return replace(sweep, variants=tuple(variants))


def _sweep(common: dict[str, Any]) -> Sweep:
    tables, base, axis = (common.pop(key, None) for key in ("variants", "base", "axis"))
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables) or not tables:
        raise UsageError("variants: expected one table [[variants]] or more.")
    for key, value in (("base", base), ("axis", axis)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{key}: expected a name, got {value!r}.")
    variants = []
    for table in tables:
        own = dict(table)
        name, at = own.pop("name", None), own.pop("at", None)
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
            raise UsageError(
                "variants: expected each to have a name of letters, digits, '.', '_' and '-', got "
                f"{name!r}."
            )
        if (axis is None) != (at is None) or isinstance(at, bool | str):
            raise UsageError(
                f"variants.{name}: expected a number 'at' where the sweep has an axis, and only "
                f"there; got {at!r} and the axis {axis!r}."
            )
        config = checked(StudyConfig, _merged(common, own), f"variants.{name}.")
        variants.append(Variant(name=name, config=config, at=at))
    names = [v.name for v in variants]
    if len(set(names)) < len(names):
        raise UsageError(f"variants: expected different names, got {', '.join(names)}.")
    if base is not None and base not in names:
        raise UsageError(f"base: expected a variant of {', '.join(names)}; got '{base}'.")
    title = common.get("title") or "Variants compared"
    return Sweep(title=str(title), variants=tuple(variants), base=base, axis=axis)


def _merged(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Common settings with a variant's own over them, tables merged key by key."""
    merged = dict(common)
    for key, value in own.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def run_sweep(
    sweep: Sweep,
    folder: Path,
    load: Callable[[StudyConfig], Corpus],
    *,
    jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
    accelerator: str = "cpu",
    ledger: Path | None = None,
) -> None:
    """Run every variant that is not finished; all are planned before the first is trained.

    ``load`` gives the corpus of a variant, whose study is kept in a folder of its name. The ledger
    is by default beside the sweep's folder. The rest, and the errors, are as in
    :func:`ostinato.study.plan.plan_study` and ``run_study``.
    """
    corpora: dict[str, Corpus] = {}
    plans: list[tuple[str, Plan]] = []
    for variant in sweep.variants:
        config = variant.config
        data = data_key(config)
        corpora[data] = corpora.get(data) or load(config)
        plans.append((variant.name, plan_study(config, corpora[data], folder / variant.name)))
    for number, (name, plan) in enumerate(plans, start=1):
        step = _counted(progress, f"{name}, {number} of {len(plans)}")
        run_study(
            plan, jobs=jobs, backend=backend, progress=step, accelerator=accelerator,
            ledger=ledger or folder.absolute().parent / LEDGER,
        )  # fmt: skip


def data_key(config: StudyConfig) -> str:
    """The same for all studies that load the same corpus."""
    return json.dumps([config.to_dict()[key] for key in _DATA])


def _counted(progress: Progress | None, where: str) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total, what: progress(done, total, f"{where}: {what}" if what else where)


def tabulate(sweep: Sweep, folder: Path) -> SweepTable:
    """The table of all variants that are finished; also written to the folder.

    Every variant and model is a row, with its accuracy, gap and, where the base examined the same
    recordings, its difference from the base: the same model of it, or its only one. Holm's
    correction is over all differences shown. DataError if no variant is finished.
    """
    finished = {
        v.name: read_judged(folder / v.name)
        for v in sweep.variants
        if (folder / v.name / RESULTS).exists()
    }
    if not finished:
        raise DataError(f"Expected finished studies of this sweep in {folder}, got none.")
    rows = [
        _row(variant, finished[variant.name], model)
        for variant in sweep.variants
        if variant.name in finished
        for model in finished[variant.name].correct
    ]
    if sweep.base in finished:
        rows = _with_differences(rows, finished, sweep.base)
    table = SweepTable(
        schema=SCHEMA,
        title=sweep.title,
        axis=sweep.axis,
        base=sweep.base,
        rows=rows,
        waiting=[v.name for v in sweep.variants if v.name not in finished],
    )
    write_text(folder / TABLE, to_json(table))
    return table


def _row(variant: Variant, judged: Judged, model: str) -> SweepRow:
    results, part = judged.results, judged.part
    facts, folds = results.models[model], results.split.folds
    n = results.n_recordings(part)
    learned = [fold.parts["train"] for fold in folds]
    artists = [sum(own.artists_per_genre.values()) + own.unknown_artists for own in learned]
    return SweepRow(
        variant=variant.name,
        at=variant.at,
        model=model,
        label=facts.label,
        parameters=facts.parameters,
        split=results.split.name,
        leaks=results.split.leaks,
        part=part,
        n=n,
        n_train=round(np.mean([own.n for own in learned])),
        train_recordings=round(np.mean([own.recordings or own.n for own in learned])),
        train_artists=round(np.mean(artists)),
        shared_artists=sum(fold.shared_artists[part] for fold in folds) / n,
        shared_recordings=sum(fold.shared_recordings[part] for fold in folds) / n,
        seeds=len(judged.correct[model]),
        accuracy=accuracy(judged.correct[model], judged.clusters),
        train_accuracy=facts.train_accuracy.mean,
        gap=Interval(facts.gap.mean, facts.gap.low, facts.gap.high),
        seconds=facts.seconds,
        gradient_norms=facts.gradient_norms,
        recall={genre: own.recall for genre, own in facts.per_genre[part].items()},
        difference=None,
    )


def _with_differences(
    rows: list[SweepRow], finished: dict[str, Judged], name: str
) -> list[SweepRow]:
    """The rows, with the difference from the base where both examined the same recordings."""
    base = finished[name]
    found: dict[int, tuple[Interval, float]] = {}  # by number of the row
    for number, row in enumerate(rows):
        judged = finished[row.variant]
        reference = base.correct.get(row.model)
        if reference is None and len(base.correct) == 1:
            (reference,) = base.correct.values()
        if row.variant == name or reference is None or judged.examined != base.examined:
            continue
        pair = {"it": judged.correct[row.model], "base": reference}
        (test,) = paired.evaluate(pair, base.clusters)
        found[number] = turned(test.difference, test.a == "base"), test.sign_flip.p
    adjusted = paired.holm([p for _, p in found.values()])
    compared = list(rows)
    for (number, (difference, p)), p_holm in zip(found.items(), adjusted, strict=True):
        own = BaseDifference(**vars(difference), p=p, p_holm=p_holm)
        compared[number] = replace(rows[number], difference=own)
    return compared
