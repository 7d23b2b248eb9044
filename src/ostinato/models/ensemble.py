"""Means of probabilities: over several trainings of a model, and over pieces of a window.

An ensemble of seeds (Hansen and Salamon 1990, "Neural network ensembles"): what one training got
wrong by chance the others outvote.

Axes: B batch, W pieces, T frames, F features, G genres.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.features import window_starts
from ostinato.models.genre_model import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation


class MeanOfModels(GenreModel):
    """Frames (B, T, F) -> logits (B, G): those of the mean of its members' probabilities.

    The members, at least one, take the same frames and name the same genres.
    """

    def __init__(self, members: Sequence[GenreModel]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def multi_label(self) -> bool:  # type: ignore[override]
        """The first member's."""
        return bool(self.members[0].multi_label)

    @property
    def normalise(self) -> FrameNormalisation:  # type: ignore[override]
        """The first member's."""
        first = self.members[0].normalise
        assert isinstance(first, FrameNormalisation)
        return first

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        said = torch.stack([member(x) for member in self.members])  # (members, B, G)
        return self.logits(self.probabilities(said).mean(dim=0))


class _InPieces(GenreModel):
    """A model of short windows, applied to a longer one (T) that is cut as a track is.

    ``length`` and ``hop`` are those of the pieces, in frames (:mod:`ostinato.features.windows`).
    """

    def __init__(self, model: GenreModel, *, window_frames: int, length: int, hop: int) -> None:
        super().__init__()
        self.model = model
        self.length = length
        self.starts = window_starts(window_frames, length=length, hop=hop).tolist()

    @property
    def multi_label(self) -> bool:  # type: ignore[override]
        """The model's."""
        return self.model.multi_label

    @property
    def normalise(self) -> FrameNormalisation:  # type: ignore[override]
        """The model's."""
        return self.model.normalise

    def of_pieces(self, x: Tensor) -> Tensor:
        """The model's output for every piece of windows (B, T, F) [shape=(W, B, ...)]."""
        pieces = torch.stack([x[:, i : i + self.length] for i in self.starts])  # (W, B, L, F)
        W, B = pieces.shape[:2]
        said: Tensor = self.model(pieces.flatten(0, 1))  # (W B, ...)
        return said.view(W, B, *said.shape[1:])


class MeanOfPieces(_InPieces):
    """Frames (B, T, F) -> logits (B, G): the verdict that a track of these frames would get."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        return self.logits(self.probabilities(self.of_pieces(x)).mean(dim=0))


class MeanDistanceOfPieces(_InPieces):
    """Frames (B, T, F) -> distances (B,), as of :class:`~ostinato.training.novelty.Novelty`."""

    def forward(self, x: Tensor) -> Tensor:
        """Distances of windows of frames."""
        return self.of_pieces(x).mean(dim=0)
