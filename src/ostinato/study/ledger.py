"""The ledger of test examinations: ``test-ledger.csv``, beside the runs.

Every study that examines a test part appends a row a model: which part, which recipe, when, which
accuracy. Only the first recipe gets an honest accuracy: the best of many looks better than it is.
The ledger counts the recipes, and the report prints the count.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ostinato.errors import DataError
from ostinato.storage import WriteError
from ostinato.study.results import StudyResults
from ostinato.study.results.schema import LedgerEntry

LEDGER = "test-ledger.csv"


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One model of one study, examined on a test part: mean accuracy with its 95 % interval."""

    when: str  # ISO time
    test_part: str  # digest of the recordings and their genres
    recordings: int
    data: str
    split: str
    study: str  # name of the folder
    model: str
    recipe: str  # digest of all that decides the figure but the seeds
    seeds: int
    accuracy: float
    low: float
    high: float


COLUMNS = tuple(field.name for field in fields(Examination))


def read_ledger(path: Path) -> list[dict[str, str]]:
    """The rows of a ledger, in order; none where there is no file. DataError if it is damaged."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The ledger {path} cannot be read: {error}.") from error
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    if tuple(header) != COLUMNS:
        raise DataError(
            f"The ledger {path}: expected the columns {', '.join(COLUMNS)}, got "
            f"{', '.join(header) or 'nothing'}; move the file away to start a new one."
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS):
            raise DataError(
                f"The ledger {path}, line {number}: expected {len(COLUMNS)} fields, got "
                f"{len(row)}; correct that line, or move the file away."
            )
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def earlier_recipes(rows: Sequence[Mapping[str, str]], test_part: str, own: Collection[str]) -> int:
    """How many other recipes were examined on this part before the first of ``own``."""
    others = set()
    for row in rows:
        if row["test_part"] != test_part:
            continue
        if row["recipe"] in own:
            break
        others.add(row["recipe"])
    return len(others)


def enter(
    path: Path, results: StudyResults, *, test_part: str, recipes: Mapping[str, str], study: str
) -> LedgerEntry:
    """Enter a study's examination of its test part, a row a model, and count those before it.

    ``recipes`` are digests by model, and ``study`` is the name of its folder.
    """
    n_earlier = earlier_recipes(read_ledger(path), test_part, set(recipes.values()))
    own = [
        Examination(
            when=max(run.finished for run in model.runs),
            test_part=test_part,
            recordings=results.n_recordings("test"),
            data=results.data.name,
            split=results.split.name,
            study=study,
            model=name,
            recipe=recipes[name],
            seeds=results.n_seeds,
            accuracy=found.mean,
            low=found.low,
            high=found.high,
        )
        for name, model in results.models.items()
        for found in [model.accuracy("test")]
    ]
    append(path, own)
    return LedgerEntry(file=path.name, test_part=test_part, earlier_recipes=n_earlier)


def part_digest(genre_of: Mapping[str, str]) -> str:
    """Short SHA-256 of a test part: its recordings with their genres."""
    return hashlib.sha256(json.dumps(sorted(genre_of.items())).encode()).hexdigest()[:12]


def append(path: Path, examinations: Sequence[Examination]) -> None:
    """Add the examinations that the ledger does not hold yet (by part, recipe and seeds).

    Rows are written in one call at the end of the file, so two studies that end together lose none.
    DataError as :func:`read_ledger`; WriteError if the file cannot be written.
    """
    known = {_key(row) for row in read_ledger(path)}
    new = [e for e in examinations if _key(_as_text(e)) not in known]
    if not new:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if os.fstat(handle).st_size == 0:
                writer.writerow(COLUMNS)
            writer.writerows(_as_text(e).values() for e in new)
            os.write(handle, text.getvalue().encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise WriteError(f"Cannot write the ledger {path}: {error.strerror}.") from error


def _as_text(examination: Examination) -> dict[str, str]:
    values: dict[str, Any] = asdict(examination)
    return {k: f"{v:.6f}" if isinstance(v, float) else str(v) for k, v in values.items()}


def _key(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["test_part"], row["recipe"], row["seeds"]
