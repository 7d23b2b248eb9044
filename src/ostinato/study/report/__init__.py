"""What a study found: findings in words, figures, one HTML page, and a table for the terminal.

Stands on ``results.json`` alone (``docs/reference/results.md``), so a report can be drawn again without
training again. matplotlib and jinja2 (the extra ``plot``) are imported when a figure or a page is
asked for; the findings and the terminal's table need neither.

The function :func:`ostinato.study.report.findings.findings` is not lifted up here: it would hide the
module of the same name.
"""

from __future__ import annotations

from ostinato.study.report.figures import draw_all
from ostinato.study.report.findings import Finding, headline
from ostinato.study.report.page import write_page
from ostinato.study.report.sweep_page import write_sweep
from ostinato.study.report.table import print_comparison, print_sweep
from ostinato.study.report.terminal import print_summary, summary_table

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
