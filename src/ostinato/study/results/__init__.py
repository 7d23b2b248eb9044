"""What a study found: typed results, and the files that hold them. Reading needs no torch."""

from __future__ import annotations

from ostinato.study.results.files import (
    RESULTS,
    RUN,
    parse_results,
    plain,
    read_results,
    read_run,
    to_json,
    write_results,
    write_run,
)
from ostinato.study.results.model_schema import RunRecord
from ostinato.study.results.schema import SCHEMA, StudyResults

__all__ = [
    "RESULTS",
    "RUN",
    "SCHEMA",
    "RunRecord",
    "StudyResults",
    "parse_results",
    "plain",
    "read_results",
    "read_run",
    "to_json",
    "write_results",
    "write_run",
]
