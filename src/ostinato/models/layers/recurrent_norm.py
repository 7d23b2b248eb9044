"""Batch normalisation inside a recurrence (Cooijmans et al. 2016, "Recurrent Batch Normalization").

What a recurrence computes at its first steps is distributed otherwise than later, so every step
has running statistics of its own; the gain is one for all steps, and begins at 0.1, for with 1 the
gates saturate and the gradient vanishes (section 4). There is no offset: the layer that normalises
its parts adds them up with a bias.

Axes: B batch, C channels, M steps with statistics of their own; "space" stands for any axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError


class RecurrentBatchNorm(nn.Module):
    """Normalise a step by channel: (B, C, *space) -> (B, C, *space).

    In training the batch's own mean and variance are used, and the step's running ones follow them;
    in evaluation the running ones are used. In training, steps beyond M share the last step's; in
    evaluation, those beyond the longest sequence trained on use the last one trained.

    Attributes
    ----------
    weight : Parameter [shape=(C,)]
        The gain.
    means, variances : tensor [shape=(M, C)]
        Running statistics.
    batches : float tensor [shape=(M,)]
        How many batches each step was trained on. Not a whole number where weights are averaged,
        buffers included; what counts is that it is more than 0.
    """

    momentum = 0.1  # share of the present batch in the running statistics
    eps = 1e-5
    means: Tensor
    variances: Tensor
    batches: Tensor

    def __init__(self, n_channels: int, n_steps: int, *, gain: float = 0.1) -> None:
        super().__init__()
        if n_steps < 1:
            raise UsageError(f"Expected statistics of at least 1 step, got {n_steps}.")
        self.weight = nn.Parameter(torch.full((n_channels,), gain))
        self.register_buffer("means", torch.zeros(n_steps, n_channels))
        self.register_buffer("variances", torch.ones(n_steps, n_channels))
        self.register_buffer("batches", torch.zeros(n_steps))

    def slot(self, step: int) -> int:
        """Which statistics a step uses."""
        trained = self.batches.nonzero()
        if self.training or len(trained) == 0:
            return min(step, len(self.batches) - 1)
        return min(step, int(trained.max()))

    def forward(self, x: Tensor, step: int) -> Tensor:
        """Normalise (B, C, *space), the step of this number, from 0, in the sequence."""
        if self.training and x.numel() == x.shape[1]:  # a single value has no variance
            raise UsageError(
                "Expected more than one value a channel to normalise in training, got a batch of "
                f"shape {tuple(x.shape)}."
            )
        slot = self.slot(step)
        if self.training:
            self.batches[slot] += 1
        return functional.batch_norm(
            x,
            self.means[slot],
            self.variances[slot],
            self.weight,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
