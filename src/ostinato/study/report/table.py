"""Tables of several studies, for the terminal and as Markdown: a sweep, and a comparison.

They read ``table.json`` of a sweep, and what :func:`ostinato.study.compare.compare` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.errors import joined
from ostinato.evaluation.significance import Interval
from ostinato.study.report.reading import ALPHA
from ostinato.study.report.words import (
    NOUNS,
    over_seeds,
    p_value,
    percent,
    points,
    points_span,
)

#: From this share of held-out recordings on, a split is said to share artists.
_ANY = 0.0005
ACCURACY = "Accuracy (95%)"


def sweep_columns(table: dict[str, Any]) -> list[str]:
    """Heads of the columns that a sweep's rows have."""
    rows = table["rows"]
    heads = ["Variant", "Model"]
    if len({row["split"] for row in rows}) > 1:
        # Gaps and times are not what such a table is for, and 80 columns have no room for them.
        return [*heads, "Train", "Held", "Artist met", "Own met", ACCURACY]
    heads += [ACCURACY, "Gap"]
    if any(row["difference"] for row in rows):
        heads += [f"Against {table['base']}", "p (Holm)"]
    return [*heads, "s/run"]


def sweep_cells(table: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """One row's cells, in the order of :func:`sweep_columns`."""
    found = row["accuracy"]
    by_head = {
        "Variant": row["variant"],
        "Model": row["label"],
        "Train": f"{row['n_train']:,}",
        "Held": f"{row['n']:,}",
        "Artist met": _share(row["shared_artists"]),
        "Own met": _share(row["shared_recordings"]),
        ACCURACY: f"{percent(found['mean'])} ({_span(found)})",
        "Gap": points(row["gap"]["mean"]),
        f"Against {table['base']}": _difference(row["difference"]),
        "p (Holm)": "" if row["difference"] is None else _p(row["difference"]["p_holm"]),
        "s/run": f"{row['seconds']:.0f}",
    }
    return [by_head[head] for head in sweep_columns(table)]


def sweep_notes(table: dict[str, Any]) -> list[str]:
    """What a reader of the table must know, a sentence each."""
    rows = table["rows"]
    seeds = "one seed" if rows[0]["seeds"] == 1 else over_seeds(rows[0]["seeds"])
    interval = f"{seeds}, with a 95% interval by artist within genre and seed"
    if len({row["split"] for row in rows}) > 1:
        notes = [
            f"Accuracy: {interval}; on the test part where the split has one, else on all folds' "
            "held-out rows. Train: rows learnt from; held: rows judged; artist met, own met: "
            "those whose artist, or whose own recording, the models have learnt from or were "
            "validated on."
        ]
    else:
        notes = [
            f"Accuracy: {interval}, on the {NOUNS[rows[0]['part']]} part (folds pooled). Gap: "
            "training minus validation accuracy, in points."
        ]
    leaking = sorted({row["variant"] for row in rows if row["leaks"]})
    if leaking:
        notes.append(
            f"LEAKING, a demonstration: {joined(leaking)}. Its figures are no accuracies on music "
            "nobody has heard."
        )
    if any(row["difference"] for row in rows):
        notes.append(
            f"Differences from {table['base']} in points with their paired 95% interval; p: "
            "sign-flip test by artist, by Holm adjusted for all rows. "
            f"Told apart where the interval leaves out 0 and p is below {ALPHA}: "
            f"{_told_apart(rows)}."
        )
    if table["waiting"]:
        notes.append(f"Not run yet: {', '.join(table['waiting'])}.")
    return notes


def _told_apart(rows: Sequence[dict[str, Any]]) -> str:
    found = [
        f"{row['variant']} ({row['label']}, {points(row['difference']['mean'])})"
        for row in rows
        if row["difference"] and is_apart(row["difference"])
    ]
    return joined(found) or "none"


def is_apart(difference: dict[str, float]) -> bool:
    """Whether a difference is told from none: interval and test agree."""
    leaves_out_0 = difference["low"] > 0 or difference["high"] < 0
    return leaves_out_0 and difference["p_holm"] < ALPHA


def print_sweep(table: dict[str, Any], console: Console) -> None:
    """Print a sweep's table and its notes; with differences a row takes two lines, to fit 80."""
    heads = sweep_columns(table)
    two_lines = any(row["difference"] for row in table["rows"])
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, title=Text(table["title"]), title_justify="left")
    for k, head in enumerate(heads):
        if two_lines and head == "Model":
            continue
        left = k < 2
        shown.add_column(
            head.replace(" (", "\n(") if two_lines else head,
            justify="left" if left else "right",
            no_wrap=left or head == ACCURACY,
        )
    last = None
    for row in table["rows"]:
        cells = sweep_cells(table, row)
        if two_lines:
            variant, model, *rest = cells
            cells = [f"{variant}\n{model}", *(cell.replace(" (", "\n(") for cell in rest)]
        elif cells[0] == last:
            cells[0] = ""
        last = row["variant"]
        shown.add_row(*(Text(cell) for cell in cells))
    console.print(shown)
    for note in sweep_notes(table):
        console.print(Text(note))


def sweep_markdown(table: dict[str, Any]) -> str:
    """A sweep's table in Markdown, for a README."""
    heads = sweep_columns(table)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(sweep_cells(table, row)) + " |" for row in table["rows"]]
    return "\n".join([f"# {table['title']}", "", *lines, "", *sweep_notes(table)]) + "\n"


def print_comparison(found: dict[str, Any], console: Console) -> None:
    """Print what :func:`ostinato.study.compare.compare` found: the models, then every pair."""
    models = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head, side in (
        ("Model", "left"), ("Split", "left"), ("Parameters", "right"), ("Seeds", "right"),
        ("Accuracy (95% interval)", "right"),
    ):  # fmt: skip
        models.add_column(head, justify=side)  # type: ignore[arg-type]
    for m in found["models"]:
        cells = (m["name"], m["split"], f"{m['parameters']:,}", str(m["seeds"]),
                 f"{percent(m['mean'])} ({_span(m)})")  # fmt: skip
        models.add_row(*(Text(cell) for cell in cells))
    console.print(models)
    part = NOUNS[found["part"]]
    console.print(Text(f"{found['n']:,} {part} recordings, the same for all."))
    for pair in found["comparisons"]:
        console.print(Text(_sentence(found, pair)))
        if pair["recall"]:
            console.print(_recalls(pair))
    console.print(
        Text("p: sign-flip test by artist, adjusted for all pairs (Holm). McNemar's test assumes "
             "independent tracks.")
    )  # fmt: skip
    if any(pair["recall"] for pair in found["comparisons"]):
        console.print(
            Text("Recall: intervals by artist and seed, of each genre alone: among several, one "
                 "leaves out 0 by chance more often than once in twenty.")
        )  # fmt: skip


def _recalls(pair: dict[str, Any]) -> Table:
    """Recall of the genres asked for, by the two models of a pair."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("Recall")
    for head in (pair["a"], pair["b"], "Difference (95%)"):
        shown.add_column(head, justify="right")
    for genre, own in pair["recall"].items():
        cells = (genre, percent(own["a"]), percent(own["b"]), _difference(own))
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


def _sentence(found: dict[str, Any], pair: dict[str, Any]) -> str:
    """``ResLSTM 54.1, LSTM 51.0: 3.1 points, ...``."""
    means = {m["name"]: percent(m["mean"]) for m in found["models"]}
    values = pair["difference"]
    span = points_span(Interval(values["mean"], values["low"], values["high"]))
    apart = is_apart({**values, "p_holm": pair["p_holm"]})
    verdict = "larger than chance" if apart else "these data do not tell them apart"
    beside = f" (McNemar {p_value(pair['mcnemar']['p'])})" if pair["mcnemar"] else ""
    return (
        f"{pair['a']} {means[pair['a']]}, {pair['b']} {means[pair['b']]}: "
        f"{points(values['mean'])} points, 95% interval {span} by artist, "
        f"{p_value(pair['p_holm'])}{beside}; {verdict}."
    )


def _span(found: dict[str, Any]) -> str:
    return f"{100 * found['low']:.1f}-{100 * found['high']:.1f}"


def _share(value: float) -> str:
    return percent(value) if value >= _ANY else "none"


def _difference(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    span = points_span(Interval(found["mean"], found["low"], found["high"]))
    return f"{points(found['mean'])} ({span})"


def _p(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")
