"""Tables of several studies, for the terminal and as Markdown: a sweep, and a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.errors import joined
from ostinato.study.report.findings import conclusion
from ostinato.study.report.reading import ALPHA, is_apart
from ostinato.study.report.words import (
    NOUNS,
    bare_p,
    over_seeds,
    p_value,
    percent,
    percent_with_span,
    points,
    points_span,
    points_with_span,
)
from ostinato.study.results.tables import Compared, SweepRow, SweepTable

#: From this share of held-out recordings on, a split is said to share artists.
_ANY = 0.0005
ACCURACY = "Accuracy (95%)"
LEARNED = "Rows / tracks / artists"
MET = "Own / artist met"


def grid(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_left: int = 1,
    bold: int | None = None,
    **options: Any,
) -> Table:
    """A table for the terminal: its first ``n_left`` columns are flush left, one row is bold."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, **options)
    for k, head in enumerate(heads):
        table.add_column(head, justify="left" if k < n_left else "right")
    for number, cells in enumerate(rows):
        table.add_row(*map(Text, cells), style="bold" if number == bold else "")
    return table


def sweep_columns(table: SweepTable) -> list[str]:
    """Heads of the columns that a sweep's rows have."""
    rows = table.rows
    heads = ["Variant", "Model"]
    if len({row.split for row in rows}) > 1:
        # Such a table compares splits, and 80 columns have no room for gaps and times.
        heads += [LEARNED, MET, ACCURACY]
    else:
        heads += [ACCURACY, "Gap"]
    if any(row.difference for row in rows):
        heads += [f"Against {table.base}", "p (Holm)"]
    return heads if LEARNED in heads else [*heads, "s/run"]


def sweep_cells(table: SweepTable, row: SweepRow) -> list[str]:
    """One row's cells, in the order of :func:`sweep_columns`."""
    against = row.difference
    by_head = {
        "Variant": row.variant,
        "Model": row.label,
        LEARNED: f"{row.n_train:,} / {row.train_recordings:,} / {row.train_artists:,}",
        MET: f"{_share(row.shared_recordings)} / {_share(row.shared_artists)}",
        ACCURACY: percent_with_span(row.accuracy),
        "Gap": points(row.gap.mean),
        f"Against {table.base}": points_with_span(against) if against else "",
        "p (Holm)": bare_p(against.p_holm) if against else "",
        "s/run": f"{row.seconds:.0f}",
    }
    return [by_head[head] for head in sweep_columns(table)]


def sweep_notes(table: SweepTable) -> list[str]:
    """What a reader of the table must know."""
    rows = table.rows
    seeds = "one seed" if rows[0].seeds == 1 else over_seeds(rows[0].seeds)
    interval = f"{seeds}, with a 95% interval by artist within genre and seed"
    if len({row.split for row in rows}) > 1:
        notes = [
            f"Accuracy: {interval}; on the test part where the split has one, else on all folds' "
            "held-out rows. Rows, tracks, artists: what a fold's models are trained on. Own, "
            "artist met: share of the judged rows whose own recording, or whose artist, the "
            "models were trained or validated on.",
            f"Judged: {joined([f'{n:,}' for n in sorted({row.n for row in rows})])} rows.",
        ]
    else:
        notes = [
            f"Accuracy: {interval}, on the {NOUNS[rows[0].part]} part (folds pooled). Gap: "
            "training minus validation accuracy, in points."
        ]
    leaking = sorted({row.variant for row in rows if row.leaks})
    if leaking:
        notes.append(
            f"LEAKING, a demonstration: {joined(leaking)}. Its figures say nothing about new music."
        )
    if any(row.difference for row in rows):
        apart = [
            f"{row.variant} ({row.label}, {points(row.difference.mean)})"
            for row in rows
            if row.difference and is_apart(row.difference, row.difference.p_holm)
        ]
        notes.append(
            f"Differences from {table.base} in points with their paired 95% interval; p: "
            "sign-flip test by artist, adjusted for all rows (Holm). "
            f"Told apart, where the interval excludes 0 and p is below {ALPHA}: "
            f"{joined(apart) or 'none'}."
        )
    if table.waiting:
        notes.append(f"Not run yet: {', '.join(table.waiting)}.")
    return notes


def print_sweep(table: SweepTable, console: Console) -> None:
    """Print a sweep's table and its notes; with differences a row takes several lines to fit 80."""
    heads = sweep_columns(table)
    rows = [sweep_cells(table, row) for row in table.rows]
    two_lines = any(row.difference for row in table.rows)
    if two_lines:
        heads = [heads[0], *map(_stacked, heads[2:])]
        rows = [[f"{variant}\n{model}", *map(_stacked, rest)] for variant, model, *rest in rows]
    else:
        names = [None, *(row.variant for row in table.rows)]
        rows = [
            ["" if variant == before else variant, *rest]
            for (variant, *rest), before in zip(rows, names, strict=False)
        ]
    shown = grid(
        heads, rows, n_left=1 if two_lines else 2, title=Text(table.title), title_justify="left"
    )
    for head, column in zip(heads, shown.columns, strict=True):
        column.no_wrap = column.justify == "left" or head.startswith("Accuracy")
    console.print(shown)
    for note in sweep_notes(table):
        console.print(Text(note))


def sweep_markdown(table: SweepTable) -> str:
    """A sweep's table in Markdown, for a README."""
    heads = sweep_columns(table)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table.rows:  # a name may hold the character that ends a cell
        cells = [cell.replace("|", r"\|") for cell in sweep_cells(table, row)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([f"# {table.title}", "", *lines, "", *sweep_notes(table)]) + "\n"


def print_comparison(found: Compared, console: Console) -> None:
    """Print what :func:`ostinato.study.compare.compare` found: the models, then every pair."""
    models = [
        (m.name, m.split, f"{m.parameters:,}", str(m.seeds), percent_with_span(m))
        for m in found.models
    ]
    heads = ("Model", "Split", "Parameters", "Seeds", "Accuracy (95% by artist)")
    console.print(grid(heads, models, n_left=2))
    console.print(Text(f"{found.n:,} {NOUNS[found.part]} recordings, the same for all."))
    means = {m.name: percent(m.mean) for m in found.models}
    for pair in found.comparisons:
        beside = f" (McNemar {p_value(pair.mcnemar.p)})" if pair.mcnemar else ""
        sentence = (
            f"{pair.a} {means[pair.a]}, {pair.b} {means[pair.b]}: "
            f"{points(pair.difference.mean)} points, 95% interval {points_span(pair.difference)} "
            f"by artist, {p_value(pair.p_holm)}{beside}; "
            f"{conclusion(is_apart(pair.difference, pair.p_holm))}."
        )
        console.print(Text(sentence))
        if pair.recall:
            recalls = [
                (genre, percent(own.a), percent(own.b), points_with_span(own))
                for genre, own in pair.recall.items()
            ]
            console.print(grid(("Recall", pair.a, pair.b, "Difference (95% by artist)"), recalls))
    notes = [
        "p: sign-flip test by artist, adjusted for all pairs (Holm). McNemar's test assumes "
        "independent tracks."
    ]
    if any(pair.recall for pair in found.comparisons):
        notes.append(
            "Recall: intervals by artist and seed, not adjusted for the number of genres: one of "
            "several may exclude 0 by chance."
        )
    notes += [
        f"{m.name}: the best of {m.chosen_from:,} trials, which a search judged on validation "
        "folds; a figure on such recordings looks better than it is."
        for m in found.models
        if m.chosen_from
    ]
    for note in notes:
        console.print(Text(note))


def _stacked(cell: str) -> str:
    """A cell over several lines: a figure over its interval, one of several over the next."""
    return cell.replace(" (", "\n(").replace(" / ", "\n")


def _share(value: float) -> str:
    return percent(value) if value >= _ANY else "none"
