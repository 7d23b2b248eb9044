"""Learning curves: loss and accuracy by epoch, of every run and of their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ostinato.plotting import keys, titled
from ostinato.study.report.reading import colours
from ostinato.study.results.schema import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, OBJECTIVE = "#777777", "#aaaaaa"
MODELS_IN_A_ROW = 3

Curves = Mapping[str, Sequence[float | None]]


def learning_curves(results: StudyResults) -> Figure:
    """Loss (above) and accuracy (below) by epoch, a column a model, all on the same axes."""
    from matplotlib.gridspec import GridSpec

    models = list(results.models)
    ends = [100 * model.gap_last_epoch.mean for model in results.models.values()]
    low, high = f"{min(ends):.0f}", f"{max(ends):.0f}"
    n_runs = max(len(model.runs) for model in results.models.values())
    columns = min(MODELS_IN_A_ROW, len(models))
    blocks = -(-len(models) // columns)
    width = max(5.5, 2.2 * columns + 1.0)
    height = 4.9 * blocks + 0.25
    figure = titled(
        f"Training ends {low if low == high else f'{low} to {high}'} points of accuracy above "
        "validation",
        "Evaluation mode, unaugmented, whole-track verdicts. "
        + ("One run a model." if n_runs == 1 else "Thin: a run; bold: their mean."),
        width=width,
        height=height,
    )
    _curve_keys(figure, [colours(results.models)[model] for model in models], height)
    total = figure.get_figheight()
    outer = GridSpec(blocks, 1, figure, left=0.85 / width, right=1 - 0.15 / width,
                     top=(height - 0.58) / total, bottom=0.48 / total, hspace=0.26)  # fmt: skip
    rows: list[Axes | None] = [None, None]
    for number, model in enumerate(models):
        inner = outer[number // columns].subgridspec(2, columns, hspace=0.1, wspace=0.08)
        for row, kind in enumerate(("loss", "accuracy")):
            cell = inner[row, number % columns]
            axes = figure.add_subplot(cell, sharex=rows[0], sharey=rows[row])
            rows[row] = rows[row] or axes
            _curves(axes, results, model, kind)
            axes.tick_params(labelleft=number % columns == 0, labelbottom=row == 1)
            if number % columns == 0:
                axes.set_ylabel("loss (nats)" if kind == "loss" else "accuracy")
    _limits(rows, results)
    return figure


def _curve_keys(figure: Figure, tints: Sequence[str], top: float) -> None:
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D

    lines = {
        "training": Line2D([], [], color=TRAINING, lw=2.4),
        "validation": tuple(Line2D([], [], color=tint, lw=2.4) for tint in tints),
        "objective (augmented)": Line2D([], [], color=OBJECTIVE, ls=":", lw=1.8),
    }
    keys(figure, 0.16, top, handles=list(lines.values()), labels=list(lines), ncols=3,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0)}, handlelength=2.2)  # fmt: skip


def _curves(axes: Axes, results: StudyResults, model: str, kind: str) -> None:
    from matplotlib.ticker import MaxNLocator

    runs = [run.curves for run in results.models[model].runs]
    colour = colours(results.models)[model]
    if kind == "loss":
        _draw_runs(axes, runs, "objective", OBJECTIVE, ":")
        axes.set_title(results.models[model].label, color=colour, weight="bold", size=12)
    else:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _draw_runs(axes, runs, f"train_{kind}", TRAINING, "-")
    _draw_runs(axes, runs, f"valid_{kind}", colour, "-")
    axes.grid(visible=True)


def _draw_runs(axes: Axes, runs: Sequence[Curves], name: str, colour: str, ls: str) -> None:
    if name != "objective" and len(runs) > 1:
        for run in runs:
            axes.plot(_numbers(run["epoch"]), _numbers(run[name]), color=colour, lw=0.8, alpha=0.45)
    epochs, mean = mean_curve(runs, name)
    axes.plot(epochs, mean, color=colour, ls=ls, lw=1.3 if name == "objective" else 2,
              marker="o" if len(epochs) == 1 else "")  # fmt: skip


def mean_curve(runs: Sequence[Curves], name: str) -> tuple[list[float], NDArray[np.float64]]:
    """The epochs that every run reached, and the mean over the runs at each.

    A mean over the runs that remain would jump wherever one of them ends.
    """
    values = [dict(zip(_numbers(run["epoch"]), _numbers(run[name]), strict=True)) for run in runs]
    epochs = sorted(set.intersection(*(set(run) for run in values)))
    return epochs, np.array([np.mean([run[epoch] for run in values]) for epoch in epochs])


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _limits(rows: Sequence[Axes | None], results: StudyResults) -> None:
    runs = [run.curves for model in results.models.values() for run in model.runs]
    losses = [loss for run in runs for name in ("train_loss", "valid_loss", "objective")
              for loss in _numbers(run[name]) if np.isfinite(loss)]  # fmt: skip
    loss_axes, accuracy_axes = rows
    if loss_axes is not None and losses:
        loss_axes.set_ylim(0, 1.05 * max(losses))
    if accuracy_axes is not None:
        accuracy_axes.set_ylim(0, 1.02)
        accuracy_axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
