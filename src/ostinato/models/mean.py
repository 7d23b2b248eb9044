"""Several trainings of a model as one: the mean of their probabilities.

An ensemble of seeds (Hansen and Salamon 1990, "Neural network ensembles"): what one training got
wrong by chance the others outvote.

Axes: B batch, T frames, F features, G genres.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.models.layers import FrameNormalisation, GenreModel


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
        probabilities = torch.stack([member(x).softmax(dim=1) for member in self.members])
        return probabilities.mean(dim=0).clamp_min(torch.finfo(torch.float32).tiny).log()
