"""The page of a sweep: its table and its figure, in one HTML file; and the table as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.plotting import SOFT, keys, place, save, style, titled
from ostinato.storage import write_text
from ostinato.study.report.page import embedded, environment, not_drawn_note
from ostinato.study.report.reading import colours
from ostinato.study.report.table import sweep_cells, sweep_columns, sweep_markdown, sweep_notes
from ostinato.study.report.words import NOUNS
from ostinato.study.results.tables import SweepRow, SweepTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.5


def write_sweep(table: SweepTable, folder: Path) -> Path:
    """Write ``table.md``, ``figures/`` and the page, ``report.html``, of a sweep; give the page.

    MissingExtraError if matplotlib or Jinja is not installed.
    """
    figures = {"accuracy": "The accuracies of the table, with their intervals."}
    with style("The report", [row.variant for row in table.rows]):
        write_text(folder / "table.md", sweep_markdown(table))
        drawn = along_axis(table) if table.axis else rows_of(table)
        save(drawn, folder / "figures" / "accuracy.png")
        if table.axis and any(row.gradient_norms for row in table.rows):
            figures["gradients"] = "The gradient's norm in every layer, a panel a model."
            save(gradients(table), folder / "figures" / "gradients.png")
    template = environment().get_template("sweep.html.j2")
    page = template.render(
        table=table,
        columns=sweep_columns(table),
        rows=[(row, sweep_cells(table, row)) for row in table.rows],
        notes=[*sweep_notes(table), *not_drawn_note(row.variant for row in table.rows)],
        leaks=any(row.leaks for row in table.rows),
        figures=[
            (embedded(folder / "figures" / f"{name}.png"), alternative)
            for name, alternative in figures.items()
        ],
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def rows_of(table: SweepTable) -> Figure:
    """Accuracy with its interval, a line a row of the table."""
    rows = table.rows
    height = 0.3 * len(rows) + 0.75
    figure = titled(
        f"{NOUNS[rows[0].part].capitalize()} accuracy of every variant",
        "Points: mean over seeds; lines: 95% intervals by artist and seed.",
        width=WIDTH,
        height=height,
    )
    names = [f"{row.variant}, {row.label}" for row in rows]
    left = 0.3 + 0.084 * max(len(name) for name in names)
    axes = place(figure, left, 0.55, WIDTH - 0.3, height - 0.05)
    tint = colours(_labels(rows))
    for y, row in enumerate(rows):
        found, colour = row.accuracy, tint[row.label]
        axes.plot([found.low, found.high], [y, y], color=colour, lw=2.2)
        axes.plot(found.mean, y, "o", color=colour, ms=7, mec="white", mew=1)
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=True, axis="x")
    _per_cent(axes, "x")
    axes.set_xlabel("recordings named correctly")
    return figure


def along_axis(table: SweepTable) -> Figure:
    """Accuracy and over-fitting gap of every model against the sweep's axis, with intervals."""
    part = NOUNS[table.rows[0].part]
    height = 5.2
    figure = titled(
        f"Accuracy and over-fitting against {table.axis}",
        "Points: mean over seeds; bars: 95% intervals by artist and seed.",
        width=WIDTH,
        height=height,
    )
    panels = [
        (place(figure, 0.85, 2.95, WIDTH - 0.25, 4.85), "accuracy", f"{part} accuracy"),
        (place(figure, 0.85, 0.55, WIDTH - 0.25, 2.6), "gap", "gap"),
    ]
    by_label = {label: [r for r in table.rows if r.label == label] for label in _labels(table.rows)}
    tint, places = colours(by_label), _places(table.rows)
    for axes, key, name in panels:
        for number, (label, rows) in enumerate(by_label.items()):
            shift = (number - (len(by_label) - 1) / 2) * 0.08
            x = [places.index(row.at or 0.0) + shift for row in rows]
            found = [getattr(row, key) for row in rows]
            mean = [f.mean for f in found]
            errors = [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
            shown = label if key == "accuracy" else None
            axes.errorbar(x, mean, errors, fmt="-o", color=tint[label], ms=6, mec="white",
                          elinewidth=1.4, lw=1.8, label=shown)  # fmt: skip
        axes.set_xticks(range(len(places)), [f"{at:g}" for at in places])
        axes.tick_params(labelbottom=key == "gap")
        axes.grid(visible=True, axis="y")
        axes.set_ylabel(name)
        _per_cent(axes, "y")
    panels[1][0].set_xlabel(str(table.axis))
    keys(figure, 0.16, height - 0.02, ncols=4, handlelength=1.4)
    return figure


def gradients(table: SweepTable) -> Figure:
    """Norm of the gradient in every layer: a column a model, a line a place on the sweep's axis."""
    rows = [row for row in table.rows if row.gradient_norms]
    labels = _labels(rows)
    height = 5.3
    figure = titled(
        "Gradient norm by layer",
        "Layer 1 is nearest to the frames. Before clipping, mean of the runs; bands: from the "
        f"smallest run to the largest. A line for each {table.axis}.",
        width=WIDTH,
        height=height,
    )
    width = (WIDTH - 1.05) / len(labels)
    first: Axes | None = None
    panels = (("first_epoch", "in the first epoch", 2.78), ("all_epochs", "over all epochs", 0.55))
    for when, name, bottom in panels:
        for number, label in enumerate(labels):
            left = 0.9 + number * width
            axes = place(figure, left, bottom, left + width - 0.12, bottom + 1.95)
            if first is not None:
                axes.sharex(first)
                axes.sharey(first)
            first = first or axes
            _draw_gradients(axes, [row for row in rows if row.label == label], when, rows)
            axes.tick_params(labelleft=number == 0, labelbottom=when == "all_epochs")
            if when == "first_epoch":
                axes.set_title(label, size=11, weight="bold")
            else:
                axes.set_xlabel("layer")
            if number == 0:
                axes.set_ylabel(name)
                axes.yaxis.label.set_color(SOFT)
    handles, names = first.get_legend_handles_labels() if first else ([], [])
    keys(figure, 0.16, height - 0.02, handles=handles, labels=names, ncols=6, handlelength=1.4)
    return figure


def _draw_gradients(axes: Axes, rows: list[SweepRow], when: str, all_rows: list[SweepRow]) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    places = _places(all_rows)
    shades = colormaps["viridis_r"](np.linspace(0.15, 1, len(places)))  # light to dark
    for row in rows:
        at = row.at or 0.0
        shade = shades[places.index(at)]
        norms = [getattr(layer, when) for layer in row.gradient_norms or ()]
        layers = range(1, len(norms) + 1)
        means = [norm.mean for norm in norms]
        axes.plot(layers, means, "-o", color=shade, ms=4, lw=1.6, label=f"{at:g}")
        low, high = [norm.low for norm in norms], [norm.high for norm in norms]
        axes.fill_between(layers, low, high, color=shade, alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(visible=True, axis="y")


def _per_cent(axes: Axes, which: str) -> None:
    from matplotlib.ticker import PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.label.set_color(SOFT)


def _labels(rows: list[SweepRow]) -> list[str]:
    return list(dict.fromkeys(row.label for row in rows))


def _places(rows: list[SweepRow]) -> list[float]:
    return sorted({row.at or 0.0 for row in rows})
