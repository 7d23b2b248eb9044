"""Solving a model whose head is linear, instead of training it.

All windows of the training tracks are used once: there are no epochs, no random windows and no
augmentation, so of the settings of training only the windows and ``balanced`` count, and the same
data give the same weights whatever the seed.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import has_fit_parameter
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

    Where tracks have several genres, it is one for each genre against the rest.

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
    train.standardise(model.normalise)
    window = {"length": settings.window_frames, "hop": settings.window_hop}
    statistics = torch.cat([model.statistics(x) for x in train.batches(**window)])  # (N, D)
    model.scale.fit(statistics)
    x = model.scale(statistics).double().numpy()
    counts = torch.from_numpy(train.counts(**window))
    if train.targets is None:
        labels = train.labels.repeat_interleave(counts)  # (N,)
        weight, bias = _solved(model.solver(balanced=settings.balanced), x, labels)
        if len(weight) == 1:  # two genres: scikit-learn keeps the difference of their logits
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        model.head.weight.copy_(weight)
        model.head.bias.copy_(bias)
        return
    shares = train.balance().repeat_interleave(counts) if settings.balanced else None  # (N,)
    for genre, targets in enumerate(train.targets.T):
        if 0 < targets.sum() < len(targets):
            labels = targets.repeat_interleave(counts)  # (N,)
            weight, bias = _solved(model.solver(against_rest=True), x, labels, shares)
        else:  # all tracks are of it, or none: its share, as the rule of succession has it
            weight = torch.zeros(1, x.shape[1])
            bias = torch.logit((targets.sum() + 1) / (len(targets) + 2))[None]
        model.head.weight[genre] = weight[0]
        model.head.bias[genre] = bias[0]


def _solved(
    solver: Any, x: NDArray[np.float64], labels: Tensor, shares: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weights and biases, a row a class, or one row for two; ``shares`` weigh the rows of x."""
    weighed = {}
    if shares is not None and has_fit_parameter(solver, "sample_weight"):
        weighed["sample_weight"] = shares.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            solver.fit(x, labels.numpy(), **weighed)
        except ConvergenceWarning:
            raise TrainingError(
                f"The baseline did not converge in {solver.max_iter} steps: lower its "
                f"regularisation ({solver.C:g}) in the study's settings."
            ) from None
    return torch.from_numpy(solver.coef_), torch.from_numpy(solver.intercept_)
