"""A study in the terminal: one table, and the first findings in plain sentences."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.study.report.caveats import FEW_RECORDINGS, LEAKING, LOOKED_BEFORE
from ostinato.study.report.findings import (
    OVER_FITTING,
    OVER_FITTING_ALONE,
    WEAKEST,
    findings,
    headline,
    together,
)
from ostinato.study.report.reading import winner
from ostinato.study.report.words import NOUNS, over_seeds, percent, percent_with_span, points
from ostinato.study.results.schema import StudyResults


def summary_table(results: StudyResults) -> Table:
    """One row a model; fits 80 columns."""
    part, judged = results.examined, results.parts[1:]
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=Text(results.title),
        caption=Text(
            f"{over_seeds(results.n_seeds).capitalize()}; {results.n_recordings(part):,} "
            f"{NOUNS[part]} recordings. In brackets: 95% interval. Gap: training minus validation "
            "accuracy, in points.",
        ),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Model")
    for head in ("Parameters", *(p.capitalize() for p in judged), "Macro-F1", "Gap", "s/run"):
        table.add_column(head, justify="right")
    best = winner(results)
    for name, model in results.models.items():
        scores = {p: model.accuracy(p) for p in judged}
        cells = [
            model.label,
            f"{model.parameters:,}",
            *(percent_with_span(s) if p == part else percent(s.mean) for p, s in scores.items()),
            f"{model.macro_f1(part).mean:.3f}",
            points(model.gap.mean),
            f"{model.seconds:.1f}",
        ]
        table.add_row(*(Text(cell) for cell in cells), style="bold" if name == best else "")
    return table


def print_summary(results: StudyResults, console: Console) -> None:
    """Print the table; the main result, over-fitting and the weakest genres in a sentence each.

    A leaking split, a test part of few recordings and one that was used before are said, too.
    """
    console.print(summary_table(results))
    if results.examined != "test" and not results.split.leaks:
        console.print(Text("Validation figures: for choosing, not a result."))
    console.print(Text(headline(results)))
    if len(results.models) == 1 and results.n_seeds > 1:
        console.print(Text(together(results)))
    found = findings(results)
    for finding in found:
        if finding.question in (OVER_FITTING, OVER_FITTING_ALONE, WEAKEST):
            console.print(Text(finding.sentences[0]))
    for finding in found:
        if finding.question in (LEAKING, FEW_RECORDINGS, LOOKED_BEFORE):
            console.print(Text(f"{finding.question}. {finding.answer}"))
