"""Means of probabilities: over several trainings of a model, and over pieces of a window.

An ensemble of seeds (Hansen and Salamon 1990, "Neural network ensembles"): what one training got
wrong by chance the others outvote.

Axes: B batch, W pieces, T frames, F features, G genres.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.models.layers import FrameNormalisation, GenreModel
from ostinato.windows import window_starts


class MeanOfModels(GenreModel):
    """Frames (B, T, F) -> logits (B, G): logarithms of the mean of its members' probabilities.

    Parameters
    ----------
    members : sequence of GenreModel
        At least one; of the same frames and genres.
    """

    def __init__(self, members: Sequence[GenreModel]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def normalise(self) -> FrameNormalisation:  # type: ignore[override]
        """The first member's."""
        first = self.members[0].normalise
        assert isinstance(first, FrameNormalisation)
        return first

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        return _log_mean(torch.stack([member(x).softmax(dim=1) for member in self.members]))


class MeanOfPieces(GenreModel):
    """Frames (B, T, F) -> logits (B, G): a model of short windows, heard over a longer one.

    The window is cut as a track is (:mod:`ostinato.windows`), so that the verdict is the mean that
    it would be; but what tells how unlike a window is, which needs seconds, gets the whole of it.

    Parameters
    ----------
    model : GenreModel
    window_frames : int
        T.
    length, hop : int
        Of the pieces, in frames.
    """

    def __init__(self, model: GenreModel, *, window_frames: int, length: int, hop: int) -> None:
        super().__init__()
        self.model = model
        self.length = length
        self.starts = window_starts(window_frames, length=length, hop=hop).tolist()

    @property
    def normalise(self) -> FrameNormalisation:  # type: ignore[override]
        """The model's."""
        return self.model.normalise

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        pieces = torch.stack([x[:, i : i + self.length] for i in self.starts])  # (W, B, T, F)
        W, B = pieces.shape[:2]
        probabilities = self.model(pieces.flatten(0, 1)).softmax(dim=1)  # (W B, G)
        return _log_mean(probabilities.view(W, B, -1))


def _log_mean(probabilities: Tensor) -> Tensor:
    """Logarithms of the mean over the first axis."""
    return probabilities.mean(dim=0).clamp_min(torch.finfo(torch.float32).tiny).log()
