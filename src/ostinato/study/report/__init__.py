"""The report of a study: findings in words, figures, an HTML page, and a table for the terminal.

It needs ``results.json`` alone, so it can be written again without training again. matplotlib and
jinja2 (the extra ``plot``) are imported when a figure or a page is asked for.

:func:`ostinato.study.report.findings.findings` is not exported here: it would hide its module.
"""

from __future__ import annotations

from ostinato.study.report.figures import draw_all
from ostinato.study.report.findings import headline
from ostinato.study.report.page import write_page
from ostinato.study.report.sweep_page import write_sweep
from ostinato.study.report.table import print_comparison, print_sweep
from ostinato.study.report.terminal import print_summary, summary_table
from ostinato.study.report.words import Finding

__all__ = [
    "Finding",
    "draw_all",
    "headline",
    "print_comparison",
    "print_summary",
    "print_sweep",
    "summary_table",
    "write_page",
    "write_sweep",
]
