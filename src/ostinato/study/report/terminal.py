"""A study in the terminal: one table, and the first findings in plain sentences."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.study.report.caveats import CHOSEN, FEW_RECORDINGS, LEAKING, OTHERS_LOOKED
from ostinato.study.report.findings import (
    OVER_FITTING,
    OVER_FITTING_ALONE,
    WEAKEST,
    findings,
    headline,
    together,
)
from ostinato.study.report.reading import kind, winner
from ostinato.study.report.table import grid
from ostinato.study.report.words import NOUNS, over_seeds, percent, percent_with_span, points
from ostinato.study.results.schema import StudyResults


def summary_table(results: StudyResults, *, times: bool = True) -> Table:
    """One row a model; fits 80 columns. Without ``times``, no column of seconds a run."""
    part, judged, best = results.examined, results.parts[1:], winner(results)
    rows = []
    for model in results.models.values():
        scores = {p: model.accuracy(p) for p in judged}
        rows.append(
            [
                model.label,
                f"{model.parameters:,}",
                *(
                    percent_with_span(s) if p == part else percent(s.mean)
                    for p, s in scores.items()
                ),
                f"{model.macro_f1(part).mean:.3f}",
                points(model.gap.mean),
                *([f"{model.seconds:.1f}"] if times else []),
            ]
        )
    heads = ["Model", "Parameters", *(p.capitalize() for p in judged), "Macro-F1", "Gap"]
    heads += ["s/run"] if times else []
    caption = (
        f"{over_seeds(results.n_seeds).capitalize()}; {results.n_recordings(part):,} "
        f"{NOUNS[part]} recordings. In brackets: {kind(results)} and seed. Gap: training minus "
        "validation accuracy, in points."
    )
    return grid(
        heads, rows, bold=list(results.models).index(best) if best else None,
        title=Text(results.title), title_justify="left",
        caption=Text(caption), caption_justify="left",
    )  # fmt: skip


def print_summary(results: StudyResults, console: Console, *, times: bool = True) -> None:
    """Print the table; the main result, over-fitting and the weakest genres in a sentence each.

    A leaking split, a search, a test part of few recordings and other looks at it are said, too.
    """
    console.print(summary_table(results, times=times))
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
        if finding.question in (LEAKING, CHOSEN, FEW_RECORDINGS, OTHERS_LOOKED):
            console.print(Text(f"{finding.question}. {finding.answer}"))
