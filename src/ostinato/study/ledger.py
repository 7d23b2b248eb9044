"""The ledger of test examinations: every look at a test part, entered by the code that looks.

Before a model is examined on a test part, its recipe is entered with the time and the commit of the
code; when it has been examined, its accuracies are. Only the first recipe gets an honest accuracy:
the best of many looks better than it is. The ledger counts the recipes, and the report prints the
count.

A study's ledger is ``test-ledger.csv`` beside its folder. The looks at GTZAN's test part that went
into the published figures are in :data:`SHIPPED`, which every count includes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ostinato import __version__
from ostinato.datasets import Corpus
from ostinato.datasets.gtzan import published_split, tracks
from ostinato.errors import DataError
from ostinato.evaluation.significance import Interval
from ostinato.storage import WriteError
from ostinato.study.results import StudyResults
from ostinato.study.results.schema import LedgerEntry
from ostinato.study.training_run import Task

LEDGER = "test-ledger.csv"
SHIPPED = Path(__file__).with_name(LEDGER)

SINGLE, ENSEMBLE = "single", "ensemble"


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One model of one study on a test part; without accuracy: about to be examined."""

    when: str  # ISO time: now, before the look; else when the last training ended
    commit: str  # of the code, as `code_version` gives it
    test_part: str  # digest of the recordings and their genres
    recordings: int
    data: str
    split: str
    study: str  # name of the folder
    model: str
    recipe: str  # digest of all that decides the figure but the seeds
    seeds: int
    system: str = ""  # SINGLE: mean of the seeds' accuracies; ENSEMBLE: accuracy of their mean
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None

    def examined(self, system: str, found: Interval, when: str) -> Examination:
        """The same with its accuracy and 95 % interval; ``when`` the last training ended."""
        return replace(
            self, system=system, when=when, accuracy=found.mean, low=found.low, high=found.high
        )


COLUMNS = tuple(field.name for field in fields(Examination))


def looks(
    tasks: Sequence[Task],
    corpus: Corpus,
    *,
    data: str,
    split: str,
    study: str,
    pieces: bool = False,
) -> list[Examination]:
    """What runs will examine, a row a model, without accuracy; none where no test part is used.

    ``data``, ``split`` and ``study`` are names. With ``pieces`` the corpus has pieces of recordings
    (:func:`ostinato.datasets.splits.segmented`): whoever looks at them looks at the recordings, and
    whoever looks at some of GTZAN's published test list looks at the list.
    """
    tested = [task for task in tasks if task.recipe.test and task.parts.test]
    if not tested:
        return []
    ids = list(dict.fromkeys(name for task in tested for name in task.parts.test))
    whole = [name.rpartition("#")[0] if pieces else name for name in ids]
    genres = [corpus.recordings[i].genre for i in corpus.positions(ids)]
    genre_of = dict(zip(whole, genres, strict=True))
    part, commit, now = part_digest(_listed(genre_of)), code_version(), _now()
    return [
        Examination(
            when=now,
            commit=commit,
            test_part=part,
            recordings=len(genre_of),
            data=data,
            split=split,
            study=study,
            model=recipe.family,
            recipe=recipe.digest(),
            seeds=len({task.seed for task in tested if task.recipe == recipe}),
        )
        for recipe in {task.recipe.digest(): task.recipe for task in tested}.values()
    ]


def enter(path: Path, planned: Sequence[Examination], results: StudyResults) -> LedgerEntry:
    """Enter what a study found on its test part, and count the recipes of others.

    ``planned`` are its :func:`looks`. Errors as :func:`append`.
    """
    rows = []
    for look in planned:
        model = results.models[look.model]
        when = max(run.finished for run in model.runs)
        rows.append(look.examined(SINGLE, model.accuracy("test"), when))
        if look.seeds > 1:
            rows.append(look.examined(ENSEMBLE, model.ensemble["test"].interval, when))
    append(path, rows)
    return count_others(path, planned)


def count_others(path: Path, own: Sequence[Examination]) -> LedgerEntry:
    """Count the other recipes on the test part of ``own``, in this ledger and the shipped one."""
    rows = sorted([*read_ledger(SHIPPED), *read_ledger(path)], key=lambda row: row["when"])
    part, recipes = own[0].test_part, {look.recipe for look in own}
    others: set[str] = set()
    earlier = None
    for row in (row for row in rows if row["test_part"] == part):
        if row["recipe"] not in recipes:
            others.add(row["recipe"])
        elif earlier is None:
            earlier = len(others)
    return LedgerEntry(
        file=path.name,
        test_part=part,
        other_recipes=len(others),
        earlier_recipes=len(others) if earlier is None else earlier,
    )


def read_ledger(path: Path) -> list[dict[str, str]]:
    """The rows of a ledger, in order; none where there is no file. DataError if it is damaged."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
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


def append(path: Path, examinations: Sequence[Examination]) -> None:
    """Add the rows that the ledger does not hold yet (by part, recipe, seeds and system).

    What has been examined, or is about to be, is not about to be once more. Rows are written in one
    call at the end of the file, so two studies that end together lose none. DataError as
    :func:`read_ledger`; WriteError if the file cannot be written.
    """
    known = {key for row in read_ledger(path) for key in (_key(row), (*_key(row)[:-1], ""))}
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


def part_digest(genre_of: Mapping[str, str]) -> str:
    """Short SHA-256 of a test part: its recordings with their genres."""
    return hashlib.sha256(json.dumps(sorted(genre_of.items())).encode()).hexdigest()[:12]


def _listed(genre_of: dict[str, str]) -> dict[str, str]:
    """GTZAN's published test list where these are some of its tracks, as in ``strict``."""
    test = set(published_split("fault-filtered")["test"])
    listed = {track.id: track.genre for track in tracks() if track.id in test}
    return listed if genre_of.items() <= listed.items() else genre_of


def code_version() -> str:
    """The commit of the code, ``-dirty`` where a module differs from it; else the version."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():  # installed, not a checkout
        return __version__
    try:
        commit = _git(root, "rev-parse", "--short=7", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "src/*.py", "scripts/*.py")
    except (OSError, subprocess.CalledProcessError):  # no git here, or it does not trust the folder
        return __version__
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    # --no-optional-locks: a question writes nothing into the checkout.
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(root), *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_text(examination: Examination) -> dict[str, str]:
    values: dict[str, Any] = asdict(examination)
    return {
        key: "" if v is None else f"{v:.6f}" if isinstance(v, float) else str(v)
        for key, v in values.items()
    }


def _key(row: Mapping[str, str]) -> tuple[str, str, str, str]:
    return row["test_part"], row["recipe"], row["seeds"], row["system"]
