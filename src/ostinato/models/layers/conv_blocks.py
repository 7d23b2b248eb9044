"""Convolutions over an image of mel bands: what the CNN is, and what the CRNN begins with.

Axes: B batch, T frames, M mel bands, K channels; T' and M' what pooling leaves of T and M.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError


class ConvFront(nn.Module):
    """Blocks of convolution, maximum, batch normalisation, rectifier: (B, T, M) -> (B, T', K M').

    The parts of a block are those of Won et al. 2020 ("Evaluation of CNN-based automatic music
    tagging models", short-chunk CNN): a 3 x 3 convolution (Simonyan and Zisserman 2015), batch
    normalisation (Ioffe and Szegedy 2015), ReLU, and a maximum over some frames by two bands. Here
    the maximum comes first, so that all else is done on fewer places. The remaining bands and the
    channels are the features of a step.

    Every block pools ``pool_time`` frames and two bands. Whole channels are dropped after each
    block but the first (Tompson et al. 2015).

    Attributes
    ----------
    width : int
        K M'.
    shortest : int
        Frames that become a single step.
    """

    def __init__(
        self,
        n_bands: int,
        channels: tuple[int, ...],
        pool_time: tuple[int, ...],
        channel_dropout: float,
    ) -> None:
        super().__init__()
        self.pool_time = pool_time
        self.scale = nn.BatchNorm1d(n_bands, affine=False)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
            for n_in, n_out in itertools.pairwise((1, *channels))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in channels)
        self.dropout = nn.Dropout2d(channel_dropout)
        self.width = channels[-1] * (n_bands >> len(channels))
        self.shortest = math.prod(pool_time)

    def forward(self, x: Tensor) -> Tensor:
        """Features of (B, T, M), T >= shortest."""
        if x.shape[1] < self.shortest:
            raise UsageError(
                f"Expected windows of at least {self.shortest} frames, of which the convolutions "
                f"make one step; got {x.shape[1]}."
            )
        x = self.scale(x.transpose(1, 2)).transpose(1, 2)[:, None]  # (B, 1, T, M)
        blocks = zip(self.convolutions, self.norms, self.pool_time, strict=True)
        for i, (convolution, norm, frames) in enumerate(blocks):
            x = functional.max_pool2d(convolution(x), (frames, 2))
            x = functional.relu(norm(x))
            if i:
                x = self.dropout(x)
        return x.transpose(1, 2).flatten(2)  # (B, T', K M')


def check_blocks(n_bands: int, channels: tuple[int, ...], pool_time: tuple[int, ...]) -> None:
    """Refuse blocks of which one would have nothing to see."""
    if not channels or min(channels) < 1:
        raise UsageError(
            f"Expected at least one block of at least one channel, got channels {channels}."
        )
    if len(pool_time) != len(channels) or min(pool_time) < 1:
        raise UsageError(
            f"Expected a pool_time of at least 1 for each of {len(channels)} blocks, got "
            f"{pool_time}."
        )
    if n_bands >> len(channels) < 1:
        raise UsageError(
            f"Expected at most {n_bands.bit_length() - 1} blocks, since each halves the {n_bands} "
            f"bands, got {len(channels)}."
        )
