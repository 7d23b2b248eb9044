"""A split as a plain file: tab-separated, readable, kept beside figures, and used again.

::

    # name: strict
    # artists: apart
    # note: jazz.00054 cannot be read and is passed over.
    recording	fold	part
    blues.00029	0	train
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ostinato.datasets.corpus import PARTS, Corpus
from ostinato.datasets.splits.fold import ARTISTS, Fold, Split, check_split
from ostinato.errors import DataError, UsageError
from ostinato.storage import write_text

COLUMNS = ["recording", "fold", "part"]
SUFFIX = ".tsv"


def save_split(split: Split, path: Path) -> None:
    """Write a split as tab-separated text in UTF-8, whole or not at all; else WriteError."""
    text = io.StringIO()
    facts = [("name", split.name), ("artists", split.artists)]
    facts += [("repeats", str(split.repeats))] if split.repeats > 1 else []
    facts += [("note", note) for note in split.notes]
    for key, value in facts:
        text.write(f"# {key}: {' '.join(value.split())}\n")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for k, fold in enumerate(split.folds):
        for part in PARTS:
            writer.writerows((name, k, part) for name in fold.part(part))
    write_text(path, text.getvalue())


def load_split(path: Path, corpus: Corpus) -> Split:
    """Read a split of a corpus from a file, and check it as any other.

    The lines that begin with ``#`` are optional: without them the name is the file's, and no known
    artist may be in two parts (``# artists: mixed`` allows it).

    Raises
    ------
    UsageError
        If the file cannot be read.
    DataError
        If it is no such table (the sentence names the line), or a fold leaves nothing to learn.
    LeakError
        If a recording is in two parts, or an artist who must not be.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write the mark
            text = file.read()
    except OSError as error:
        raise UsageError(f"Cannot read the split {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"The split {path} is not text in UTF-8: {error}.") from error
    lines = text.split("\n")
    n_facts = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    facts = _facts(path, lines[:n_facts])
    split = replace(facts, folds=_folds(path, "\n".join(lines[n_facts:]), n_facts, corpus))
    try:
        return check_split(corpus, split)
    except DataError as error:
        raise type(error)(f"The split {path} cannot be used: {error}") from error


def _facts(path: Path, lines: list[str]) -> Split:
    """A split without folds yet. Other lines are remarks, and ignored."""
    facts = {"name": path.stem, "artists": "apart", "repeats": "1"}
    notes = []
    for line in lines:
        key, _, value = (word.strip() for word in line.lstrip("#").partition(":"))
        if key == "note":
            notes.append(value)
        facts[key] = value
    name, promise, repeats = facts["name"], facts["artists"], facts["repeats"]
    # The name becomes a folder's.
    if not re.fullmatch(r"\w[\w. -]*", name):
        raise DataError(
            f"The split {path}: expected a name of letters, digits, spaces, '.', '_' and '-', got "
            f"'{name}'."
        )
    if not re.fullmatch("[1-9][0-9]{0,8}", repeats):
        raise DataError(
            f"The split {path}: expected '# repeats:' to be a whole number from 1 on; got "
            f"'{repeats}'."
        )
    for known in ARTISTS:
        if promise == known:
            return Split(
                name=name, folds=(), notes=tuple(notes), artists=known, repeats=int(repeats)
            )
    raise DataError(
        f"The split {path}: expected '# artists:' to be {', '.join(ARTISTS)}; got '{promise}'."
    )


def _folds(path: Path, table: str, n_before: int, corpus: Corpus) -> tuple[Fold, ...]:
    have = set(corpus.ids)
    folds: list[dict[str, list[str]]] = []
    seen: set[tuple[str, int]] = set()
    for line, row in _rows(path, table, n_before):
        at = f"The split {path}, line {line}"
        if len(row) != len(COLUMNS):
            raise DataError(f"{at}: expected {', '.join(COLUMNS)}, got {len(row)} fields.")
        name, number, part = row
        if name not in have:
            raise DataError(
                f"{at}: '{corpus.name}' has no recording '{name}'; is this split of another "
                "collection, or can the file not be read?"
            )
        if part not in PARTS:
            raise DataError(f"{at}: expected a part of {', '.join(PARTS)}; got '{part}'.")
        # Folds come one after another, so a number beyond the next one is a slip.
        if not re.fullmatch("[0-9]{1,9}", number) or int(number) > len(folds):
            raise DataError(f"{at}: expected folds numbered 0, 1, ... in order, got '{number}'.")
        fold = int(number)
        if (name, fold) in seen:
            raise DataError(f"{at}: '{name}' is in fold {fold} a second time.")
        seen.add((name, fold))
        if fold == len(folds):
            folds.append({p: [] for p in PARTS})
        folds[fold][part].append(name)
    if not folds:
        raise DataError(f"The split {path} names no recording.")
    if len({bool(fold["test"]) for fold in folds}) > 1:
        raise DataError(f"The split {path}: expected a test part in every fold, or in none.")
    return tuple(Fold(**{part: tuple(ids) for part, ids in fold.items()}) for fold in folds)


def _rows(path: Path, table: str, n_before: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the column names, each with the number of its (last) line in the file."""
    reader = csv.reader(io.StringIO(table, newline=""), delimiter="\t", strict=True)
    try:
        header = next(reader, [])
        if header != COLUMNS:
            raise DataError(
                f"The split {path}, line {n_before + 1}: expected the columns "
                f"{', '.join(COLUMNS)}, separated by tabs; got {', '.join(header) or 'nothing'}."
            )
        for row in reader:
            if row:
                yield n_before + reader.line_num, row
    except csv.Error as error:
        line = n_before + reader.line_num
        raise DataError(f"The split {path}, line {line}, is damaged: {error}.") from error
