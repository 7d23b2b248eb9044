"""Reading and writing ``results.json`` of a study and ``run.json`` of a run.

The writers raise :class:`ostinato.storage.WriteError` where a file cannot be written.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.errors import DataError, UsageError
from ostinato.storage import cause, is_folder, write_text
from ostinato.study.results.model_schema import RunRecord
from ostinato.study.results.schema import SCHEMA, StudyResults

RESULTS = "results.json"
RUN = "run.json"

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Dataclasses as plain values, for JSON; what is absent is left out."""
    if is_dataclass(value):
        own = {f.name: (getattr(value, f.name), f.default) for f in fields(value)}
        return {k: plain(v) for k, (v, default) in own.items() if v is not None or default}
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def to_json(value: Any) -> str:
    """A dataclass as the text of a file."""
    return json.dumps(plain(value), indent=1) + "\n"


def write_results(results: StudyResults, folder: Path) -> None:
    """Write ``results.json`` of a study."""
    write_text(folder / RESULTS, to_json(results))


def write_run(record: RunRecord, folder: Path) -> None:
    """Write ``run.json`` of a run, which marks it as finished."""
    write_text(folder / RUN, to_json(record))


def read_results(folder: Path) -> StudyResults:
    """Read ``results.json`` of a finished study.

    Raises
    ------
    UsageError
        If the folder holds none.
    DataError
        If it is damaged, not a study's, or of another version.
    """
    try:
        text = (folder / RESULTS).read_bytes()
    except OSError as error:
        why = cause(error)
        if isinstance(error, FileNotFoundError):
            why = f"it has no {RESULTS}" if is_folder(folder) else "there is no such folder"
        raise UsageError(f"Expected a finished study in {folder}, got none: {why}.") from error
    return parse_results(text, str(folder / RESULTS))


def parse_results(text: str | bytes, source: str = RESULTS) -> StudyResults:
    """Results from the text of ``results.json``; ``source`` names it in a DataError."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DataError(f"{source} is damaged: {error}.") from error
    head = values if isinstance(values, dict) else {}
    if head.get("schema") != SCHEMA or not head.get("models"):
        raise DataError(
            f"{source}: expected results of schema {SCHEMA} with at least one model, got schema "
            f"{head.get('schema')!r}: it was written by another version, or is not a study's."
        )
    again = "it was written by an earlier version or is damaged; run the study again in its folder"
    return _checked(StudyResults, text, source, f"{again}, which trains nothing that is finished")


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json`` of a finished run; DataError if it cannot be read or is damaged."""
    path = folder / RUN
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"The run record {path} cannot be read: {error.strerror}.") from error
    return _checked(RunRecord, text, f"The run record {path}", "it is damaged: delete it")


def _checked(kind: type[T], text: str | bytes, source: str, why: str) -> T:
    """Build a dataclass from JSON, strictly."""
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{source}: {where}: {first['msg'].lower()}; {why}.") from error
