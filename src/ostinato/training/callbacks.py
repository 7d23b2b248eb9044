"""What Lightning calls while it trains: learning curves, the last weights, whole checkpoints."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.nn.utils import get_total_norm

from ostinato.storage import replacing
from ostinato.training.curves import (
    CURVE_COLUMNS,
    CURVES,
    Curves,
    gradient_columns,
    judge,
    write_curves,
)
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks


class CurveKeeper(Callback):
    """Keeps the learning curves, in the checkpoint and in ``curves.csv``.

    The objective is the loss that training minimises, on augmented windows; losses and accuracies
    are those of the present weights in evaluation mode, on whole tracks. Gradients are the norms of
    each recurrent layer's gradient before clipping, averaged over the epoch's steps. Seconds add up
    over the epochs, those before an interruption included.
    """

    def __init__(
        self,
        parts: dict[str, Tracks],
        settings: TrainingSettings,
        folder: Path | None = None,
        on_epoch: Callable[[int], None] | None = None,
    ) -> None:
        self.parts = parts
        self.settings = settings
        self.folder = folder
        self.on_epoch = on_epoch
        self.curves: Curves = {}
        self.losses: list[float] = []
        self.gradients: list[Tensor] = []
        self.started = 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the epoch's clock."""
        self.started = time.perf_counter()
        names = (*CURVE_COLUMNS, *gradient_columns(pl_module.model))
        self.curves = self.curves or {name: [] for name in names}

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """Record the norm of every recurrent layer's gradient."""
        layers = pl_module.model.recurrent_layers()
        norms = [
            get_total_norm([p.grad for p in layer.parameters() if p.grad is not None])
            for layer in layers
        ]
        self.gradients.append(torch.stack(norms) if norms else torch.zeros(0))

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the objective of a step."""
        self.losses.append(trainer.strategy.reduce(outputs["loss"]).item())  # of all processes

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Add a row; evaluate where a point of the curves is due."""
        epoch = trainer.current_epoch + 1
        row: dict[str, float | None] = dict.fromkeys(CURVE_COLUMNS)
        row |= {"epoch": epoch, "objective": float(np.mean(self.losses))}
        norms = torch.stack(self.gradients).mean(dim=0)
        row |= dict(zip(gradient_columns(pl_module.model), norms.tolist(), strict=True))
        self.losses.clear()
        self.gradients.clear()
        if epoch % self.settings.curve_every == 0 or epoch in (1, self.settings.epochs):
            for part, tracks in self.parts.items():
                loss, accuracy = judge(pl_module.model, tracks, self.settings)
                row |= {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        before = self.curves["seconds"][-1] if self.curves["seconds"] else 0.0
        row["seconds"] = (before or 0.0) + time.perf_counter() - self.started
        for name, value in row.items():
            self.curves[name].append(value)
        if self.folder is not None and trainer.is_global_zero:
            write_curves(self.folder / CURVES, self.curves)
        if self.on_epoch is not None:
            self.on_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"curves": self.curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.curves = state_dict["curves"]


class LastWeights(Callback):
    """Keeps a copy of the last step's weights, before the averaged ones take their place."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Copy the weights."""
        self.weights = {k: v.detach().clone() for k, v in pl_module.model.state_dict().items()}


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its path and renames it, so that it is never incomplete.

    Lightning's own writer uses the system's temporary folder; where that is another disk, a full
    disk or a kill leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint whole or not at all."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())
