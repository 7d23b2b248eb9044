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
from ostinato.study.report.reading import (
    Results,
    accuracy,
    check_schema,
    examined,
    label,
    n_recordings,
    n_seeds,
    parts,
    winner,
)
from ostinato.study.report.words import NOUNS, over_seeds, percent, points

COLUMNS = {"valid": "Valid", "test": "Test"}


def summary_table(results: Results) -> Table:
    """One row a model; fits 80 columns.

    Parameters
    ----------
    results : dict
        ``results.json``, schema 1.

    Raises
    ------
    DataError
        If the results are of another schema.
    """
    check_schema(results)
    part = examined(results)
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=Text(str(results["title"])),
        caption=Text(
            f"{over_seeds(n_seeds(results)).capitalize()}; {n_recordings(results, part):,} "
            f"{NOUNS[part]} recordings. In brackets: 95% interval. Gap: training minus validation "
            "accuracy, in points.",
        ),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Model")
    table.add_column("Parameters", justify="right")
    for name in parts(results)[1:]:
        table.add_column(COLUMNS[name], justify="right")
    table.add_column("Macro-F1", justify="right")
    table.add_column("Gap", justify="right")
    table.add_column("s/run", justify="right")
    for name, model in results["models"].items():
        style = "bold" if name == winner(results) else ""
        cells = [
            label(results, name),
            f"{model['parameters']:,}",
            *(_cell(results, name, p) for p in parts(results)[1:]),
            f"{model[f'{part}_macro_f1']['mean']:.3f}",
            points(model["gap"]["mean"]),
            f"{model['seconds']:.1f}",
        ]
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _cell(results: Results, model: str, part: str) -> str:
    found = accuracy(results, model, part)
    if part != examined(results):
        return percent(found.mean)
    return f"{percent(found.mean)} ({100 * found.low:.1f}-{100 * found.high:.1f})"


def print_summary(results: Results, console: Console) -> None:
    """Print the table; the main result, over-fitting and the weakest genres in a sentence each.

    Where there are so few recordings that the table's intervals are not to be believed, say so.

    Parameters
    ----------
    results : dict
        ``results.json``, schema 1.
    console : rich.console.Console

    Raises
    ------
    DataError
        If the results are of another schema.
    """
    console.print(summary_table(results))
    if examined(results) != "test" and not results["split"]["leaks"]:
        console.print(Text("Validation figures: for choosing, not a result."))
    console.print(Text(headline(results)))
    if len(results["models"]) == 1 and n_seeds(results) > 1:
        console.print(Text(together(results)))
    found = findings(results)
    for finding in found:
        if finding.question in (OVER_FITTING, OVER_FITTING_ALONE, WEAKEST):
            console.print(Text(finding.sentences[0]))
    for finding in found:
        if finding.question in (LEAKING, FEW_RECORDINGS, LOOKED_BEFORE):
            console.print(Text(f"{finding.question}. {finding.answer}"))
