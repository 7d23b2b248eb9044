"""Learning curves, kept in ``curves.csv``, and the error of a failed training."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import OstinatoError
from ostinato.evaluation import multi_label
from ostinato.evaluation.metrics import Metrics, evaluate
from ostinato.evaluation.multi_label import MultiLabelMetrics
from ostinato.models import GenreModel
from ostinato.storage import write_text
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks, predict

CURVES = "curves.csv"
CURVE_COLUMNS = (
    "epoch", "objective", "train_loss", "valid_loss", "train_accuracy", "valid_accuracy",
    "seconds",
)  # fmt: skip

Curves = dict[str, list[float | None]]


def gradient_columns(model: GenreModel) -> list[str]:
    """A column for every recurrent layer: ``gradient_1``, that nearest to the frames, and so on."""
    return [f"gradient_{k}" for k, _ in enumerate(model.recurrent_layers(), start=1)]


class TrainingError(OstinatoError):
    """Training cannot go on: the loss is no number, or a checkpoint cannot be read."""


def judge(model: GenreModel, tracks: Tracks, settings: TrainingSettings) -> tuple[float, float]:
    """Loss and accuracy of whole tracks, on windows side by side to save time."""
    length = settings.window_frames
    probabilities = predict(model, tracks, length=length, hop=length)
    metrics = measure(tracks, probabilities, tuple(map(str, range(probabilities.shape[1]))))
    return metrics.loss, metrics.accuracy


def measure(
    tracks: Tracks, probabilities: NDArray[np.float64], genres: tuple[str, ...]
) -> Metrics | MultiLabelMetrics:
    """Metrics of probabilities (N, G); of tracks of several genres, with thresholds of 0.5."""
    if tracks.targets is None:
        return evaluate(tracks.labels.numpy(), probabilities, genres)
    return multi_label.evaluate(tracks.targets.numpy(), probabilities, genres)


def write_curves(path: Path, curves: Curves) -> None:
    """Write the columns of learning curves as CSV; what was not evaluated is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(curves)
    rows = zip(*curves.values(), strict=True)
    writer.writerows([["" if v is None else v for v in row] for row in rows])
    write_text(path, text.getvalue())
