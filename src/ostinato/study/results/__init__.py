"""Finished runs -> the record of a study (``results.json``: ``docs/reference/results.md``)."""

from __future__ import annotations

from ostinato.study.results.collect import SCHEMA, collect, predictions_csv
from ostinato.study.results.pool import Records, Verdicts

__all__ = ["SCHEMA", "Records", "Verdicts", "collect", "predictions_csv"]
