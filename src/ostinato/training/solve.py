"""Solving a model whose head is linear, instead of training it.

All windows of the training tracks are used once: there are no epochs, no random windows and no
augmentation, so of the settings of training only the windows and ``balanced`` count, and the same
data give the same weights whatever the seed.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from ostinato.models.baseline import SolvedModel
from ostinato.training.curves import (
    CURVE_COLUMNS,
    CURVES,
    Curves,
    TrainingError,
    judge,
    write_curves,
)
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks, check_window


@torch.no_grad()
def solve(
    model: SolvedModel,
    *,
    train: Tracks,
    valid: Tracks | None,
    settings: TrainingSettings,
    folder: Path | None = None,
) -> tuple[Curves, dict[str, Tensor]]:
    """Solve for a model's head in place: a linear classifier of the statistics of its windows.

    Parameters, results and ``curves.csv`` are those of :func:`ostinato.training.fit.fit`; the
    curves have one point.

    Raises
    ------
    TrainingError
        If the solver does not converge.
    UsageError
        If a window is longer than every training track.
    """
    started = time.perf_counter()
    check_window(int(train.lengths.max()), settings, train.spec)
    solve_head(model, train, settings)
    row: dict[str, float | None] = dict.fromkeys(CURVE_COLUMNS)
    for part, tracks in (("train", train), ("valid", valid)):
        if tracks is None:
            continue
        loss, accuracy = judge(model, tracks, settings)
        row |= {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
    row |= {"epoch": 1, "seconds": time.perf_counter() - started}
    curves = {name: [row[name]] for name in CURVE_COLUMNS}
    if folder is not None:
        write_curves(folder / CURVES, curves)
    return curves, {k: v.clone() for k, v in model.state_dict().items()}


@torch.no_grad()
def solve_head(model: SolvedModel, train: Tracks, settings: TrainingSettings) -> None:
    """Fit a model's normalisations and head in place; see :func:`solve`."""
    model.eval()
    model.normalise.fit(train.frames)
    window = {"length": settings.window_frames, "hop": settings.window_hop}
    statistics = torch.cat([model.statistics(x) for x in train.batches(**window)])  # (N, D)
    model.scale.fit(statistics)
    x = model.scale(statistics)
    labels = train.labels.repeat_interleave(torch.from_numpy(train.counts(**window)))  # (N,)
    solver = model.solver(balanced=settings.balanced)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            solver.fit(x.double().numpy(), labels.numpy())
        except ConvergenceWarning:
            raise TrainingError(
                f"The baseline did not converge in {solver.max_iter} steps: lower its "
                f"regularisation ({solver.C:g}) in the study's settings."
            ) from None
    weight, bias = torch.from_numpy(solver.coef_), torch.from_numpy(solver.intercept_)
    if len(weight) == 1:  # two genres: scikit-learn keeps the difference of their logits
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    model.head.weight.copy_(weight)
    model.head.bias.copy_(bias)
