"""The figures of a study, as PNG: for the page, and for slides.

Every figure has a title that states what it shows, and is as wide as its content needs: text has
the same size in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import joined
from ostinato.evaluation.significance import Interval
from ostinato.plotting import FAINT, INK, SOFT, keys, place, save, short, style, titled
from ostinato.study.report.curves import learning_curves
from ostinato.study.report.reading import (
    colours,
    confused_pairs,
    confusion,
    genre_f1,
    kind,
    least_gap,
    seed_f1,
    support,
)
from ostinato.study.report.reliability import reliability
from ostinato.study.report.words import NOUNS, amount, over_seeds, percent, percent_span
from ostinato.study.results.model_schema import ModelResults
from ostinato.study.results.schema import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths and heights are in inches; see :data:`ostinato.plotting.DPI`.
WIDTH = 7.5
N_PAIRS = 12


def draw_all(results: StudyResults, folder: Path) -> dict[str, Path]:
    """Draw every figure of :data:`FIGURES` as PNG; the folder is made if it is not there.

    MissingExtraError if matplotlib is not installed; WriteError if a file cannot be written.
    """
    with style("The report", results.data.genres):
        return {name: save(draw(results), folder / f"{name}.png") for name, draw in FIGURES.items()}


def overfitting(results: StudyResults) -> Figure:
    """Accuracy on each part with its interval, a block a model; the gap between the first two."""
    models, shown = list(results.models.values()), results.parts
    name, level = least_gap(results)
    least = results.models[name]
    points = f"{least.label}, {100 * least.gap.mean:.1f} points"
    smallest = "Smallest gap" if len(models) > 1 else "The gap"
    apart = " (not told apart)" if level else ""
    block = len(shown) + 1.35  # rows a model takes: its name, its parts, a space
    height = 0.29 * block * len(models) + 0.9
    figure = titled(
        f"{smallest}, training to validation: {points}{apart}",
        f"Points: {over_seeds(results.n_seeds)}; lines and brackets: "
        f"{kind(results)}; shaded: the gap; dotted: always saying the commonest genre.",
        width=WIDTH,
        height=height,
    )
    axes = place(figure, 1.25, 0.55, WIDTH - 1.85, height - 0.05)
    axes.axvline(results.split.majority[results.examined], color=SOFT, ls=":", lw=1.2)
    for number, (model, tint) in enumerate(
        zip(models, colours(results.models).values(), strict=True)
    ):
        _block(axes, model, shown, tint, number * block)
    rows = [number * block + row for number in range(len(models)) for row in range(len(shown))]
    axes.set_yticks(rows, [NOUNS[part] for part in shown] * len(models))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.set(xlim=(0, 1.01), ylim=(block * len(models) - 1.75, -1.3))
    axes.set_xticks(np.linspace(0, 1, 6), [f"{value}%" for value in range(0, 101, 20)])
    axes.set_xlabel("recordings named correctly")
    return figure


def _block(
    axes: Axes, model: ModelResults, shown: Sequence[str], colour: str, start: float
) -> None:
    ends = model.train_accuracy, model.valid_accuracy
    width = ends[0].mean - ends[1].mean
    axes.barh(start + 0.5, width, 1, left=ends[1].mean, color=colour, alpha=0.14, lw=0)
    _label_gap(axes, ends, model.gap, start)
    for row, part in enumerate(shown):
        found, y = model.accuracy(part), start + row
        axes.plot([found.low, found.high], [y, y], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(found.mean, y, "o", color=colour, ms=7, mec="white", mew=1)
        at = axes.get_yaxis_transform()
        axes.text(1.16, y, percent(found.mean), transform=at, size=10, weight="bold", va="center",
                  ha="right")  # fmt: skip
        axes.text(1.18, y, f"({percent_span(found)})", transform=at, size=10, color=SOFT,
                  va="center")  # fmt: skip
    axes.annotate(model.label, (0, start - 0.8), (-5, 0), color=colour, weight="bold",
                  xycoords=axes.get_yaxis_transform(), textcoords="offset points", size=12,
                  ha="right", va="center")  # fmt: skip


def _label_gap(axes: Axes, ends: Sequence[Interval], distance: Interval, start: float) -> None:
    """Write the gap into its box, or beside it where the box is too narrow."""
    text = f"{100 * distance.mean:.1f}\n({percent_span(distance)})"
    at, side = (ends[0].mean + ends[1].mean) / 2, "center"
    if abs(ends[0].mean - ends[1].mean) < 0.25:
        at, side = max(end.high for end in ends) + 0.03, "left"
        if at > 0.7:
            at, side = min(end.low for end in ends) - 0.03, "right"
    axes.text(at, start + 0.5, text, ha=side, va="center", size=10)


def confusion_matrices(results: StudyResults) -> Figure:
    """One matrix a model, two in a row; the mean of all fills the last place of an odd number."""
    part, models, tint = results.examined, results.models, colours(results.models)
    panels = [(m.label, confusion(results, name), tint[name]) for name, m in models.items()]
    right = [f"{label} {counts.trace():.0f}" for label, counts, _ in panels]
    if len(panels) > 1 and len(panels) % 2:
        mean = np.mean([counts for _, counts, _ in panels], axis=0)
        panels.append((f"mean of the {len(models)}", mean, "#444444"))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    genres = [short(genre) for genre in results.data.genres]
    side = max(2.6, 0.265 * len(genres))  # inches
    pad = 0.25 + 0.077 * max(len(genre) for genre in genres)
    width = max(6.2, columns * (side + pad) + 0.2)
    height = rows * (side + pad + 0.32)
    n = sum(support(results, part).values())
    figure = titled(
        f"Right of {n} {NOUNS[part]} recordings: {', '.join(right)}",
        f"Rows: true genre; columns: verdict. Numbers: {NOUNS[part]} recordings, "
        f"{over_seeds(results.n_seeds)}; colour: share of the row.",
        width=width,
        height=height,
    )
    for number, (name, counts, colour) in enumerate(panels):
        row, column = divmod(number, columns)
        left, bottom = pad + column * (side + pad), height - 0.32 - row * (side + pad + 0.32) - side
        axes = place(figure, left, bottom, left + side, bottom + side)
        _matrix(axes, counts, colour, genres, cell=72 * side / len(genres))
        axes.set_title(name, color=colour, weight="bold", size=12, pad=5)
    return figure


def _matrix(
    axes: Axes, counts: NDArray[np.float64], colour: str, genres: Sequence[str], *, cell: float
) -> None:
    """Draw one matrix; ``cell`` is the width of a cell in points."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    # Few shades: the eye tells no more apart, and the palette of the PNG has room for them.
    shades = LinearSegmentedColormap.from_list("share", ["#ffffff", colour], N=17)
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    size = min(8.5, cell / 2.25)
    for (i, j), value in np.ndenumerate(counts):
        if value > 0 and size >= 3:  # smaller print cannot be read
            ink = "white" if shares[i, j] > 0.55 else INK
            text = amount(value) if value < 9.95 else f"{value:.0f}"
            axes.text(j, i, text, size=size, ha="center", va="center", color=ink)
    for i in range(len(genres)):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, ec=SOFT, lw=0.7))
    print_size = min(10.0, cell / 1.5)
    axes.set_xticks(range(len(genres)), genres, rotation=90, size=print_size)
    axes.set_yticks(range(len(genres)), genres, size=print_size)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(genres) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(genres) - 1) + 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="#f0f0f0", lw=0.6)
    axes.tick_params(which="minor", length=0)


def genre_scores(results: StudyResults) -> Figure:
    """F1 of every genre, a bar a model, the weakest genre below; dots are single seeds."""
    models, tint, part = results.models, colours(results.models), results.examined
    sizes, scores = support(results, part), genre_f1(results)
    order = list(reversed(scores))
    weak = joined(list(scores)[: max(1, min(3, len(scores) // 2))])
    dots = "; dots: single seeds" if results.n_seeds > 1 else ""
    columns, head = _key_columns(results)
    height = (0.17 * len(models) + 0.16) * len(order) + head + 0.55
    figure = titled(
        f"Weakest: {weak}; strongest: {order[0]}",
        f"F1 on the {NOUNS[part]} part, {over_seeds(results.n_seeds)}{dots}.",
        width=WIDTH,
        height=height,
    )
    left = 0.8 + 0.09 * max(len(short(genre)) for genre in order)
    axes = place(figure, left, 0.5, WIDTH - 0.3, height - head)
    axes.grid(visible=True, axis="x")
    thick = 0.8 / len(models)
    for number, (name, model) in enumerate(models.items()):
        own, seeds = model.per_genre[part], seed_f1(results, name)
        where = np.arange(len(order)) + (number - (len(models) - 1) / 2) * thick
        axes.barh(where, [own[genre].f1 for genre in order], 0.86 * thick, color=tint[name],
                  label=model.label, alpha=0.85)  # fmt: skip
        if results.n_seeds > 1:
            for y, genre in zip(where, order, strict=True):
                axes.plot(seeds[genre], [y] * len(seeds[genre]), "o", ms=3.6, color="white",
                          mec=INK, mew=0.7)  # fmt: skip
    axes.set_yticks(range(len(order)), [f"{short(genre)} ({sizes[genre]})" for genre in order])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), ylim=(len(order) - 0.5, -0.5), xlabel="F1 (in brackets: recordings)")
    keys(figure, 0.16, height - 0.02, ncols=columns, handlelength=1.2)
    return figure


def _key_columns(results: StudyResults) -> tuple[int, float]:
    """Models a line of keys has room for, and the height that all lines take."""
    longest = max(len(model.label) for model in results.models.values())
    columns = max(1, int((WIDTH - 0.3) / (0.6 + 0.09 * longest)))
    return columns, 0.14 + 0.22 * -(-len(results.models) // columns)


def confusions(results: StudyResults) -> Figure:
    """The commonest errors as bars: mean over models, with a dot a model."""
    from matplotlib.ticker import MaxNLocator

    models, tint, part = results.models, colours(results.models), results.examined
    pairs = confused_pairs(results, N_PAIRS)
    sizes, genres = support(results, part), results.data.genres
    several = "; bars: mean of the models, dots: each" if len(models) > 1 else ""
    columns, head = _key_columns(results)
    height = 0.32 * max(1, len(pairs)) + head + 0.6
    figure = titled(
        f"Confused most: {pairs[0][0]} taken for {pairs[0][1]}" if pairs else "No errors",
        f"Recordings of the {NOUNS[part]} part, {over_seeds(results.n_seeds)}{several}.",
        width=WIDTH,
        height=height,
    )
    names = [f"{short(true)} taken for {short(said)}" for true, said, _ in pairs]
    left = 0.3 + 0.084 * max((len(name) for name in names), default=4)
    axes = place(figure, left, 0.5, WIDTH - 0.3, height - head)
    rows = np.arange(len(pairs))
    means = np.array([n for *_, n in pairs])
    axes.barh(rows, means, 0.62, color=FAINT if len(models) > 1 else next(iter(tint.values())))
    furthest = means.copy()
    cells = tuple(np.array([[genres.index(g) for g in pair[:2]] for pair in pairs], int).T)
    for name, model in models.items() if len(models) > 1 else ():
        own = confusion(results, name)[cells] if pairs else means
        furthest = np.maximum(furthest, own)
        axes.plot(own, rows, "o", ms=6.5, color=tint[name], mec="white", mew=0.8, clip_on=False,
                  label=model.label)  # fmt: skip
    for y, (true, _, n) in enumerate(pairs):
        axes.annotate(f"{amount(n)} of {sizes[true]}", (furthest[y], y), (7, 0), size=10,
                      textcoords="offset points", va="center")  # fmt: skip
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.set(xlim=(0, 1.24 * max(furthest, default=1)), xlabel="recordings")
    axes.set_ylim(max(1, len(pairs)) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(models) > 1:
        keys(figure, 0.16, height - 0.02, ncols=columns, handletextpad=0.2)
    return figure


FIGURES: dict[str, Callable[[StudyResults], Figure]] = {
    "learning_curves": learning_curves,
    "overfitting": overfitting,
    "confusion": confusion_matrices,
    "genre_f1": genre_scores,
    "confusions": confusions,
    "trust": reliability,
}
