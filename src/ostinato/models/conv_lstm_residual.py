"""ConvLSTM with batch normalisation inside its recurrence, and a shortcut around each layer.

The layer is Shi et al.'s (2015; see :mod:`ostinato.models.layers.conv_lstm`); what comes from the
input, what comes from the hidden state, and the cell on its way out are each batch-normalised, by
channel and step (Cooijmans et al. 2016, equations 6 to 8):

.. code-block:: text

    i, f, g, o = BN(W * x) + BN(U * h) + b
    c' = sigmoid(f) . c + sigmoid(i) . tanh(g)
    h' = sigmoid(o) . tanh(BN(c'))

A layer's input is added to its output (He et al. 2016), through a 1 x 1 convolution where the
channels differ. As in :mod:`ostinato.models.conv_lstm`, the steps are patches of time x
coefficients, and the coefficients are pooled by two after the first layer.

Axes: as in :mod:`ostinato.models.conv_lstm`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.models.conv_lstm import ConvLSTMClassifier, PatchSettings
from ostinato.models.layers.conv_lstm import ConvLSTM2d
from ostinato.models.layers.kim_lstm import Shortcut, is_identity
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm
from ostinato.models.layers.state import State
from ostinato.models.layers.texture import TEXTURE


@dataclass(frozen=True, kw_only=True)
class ConvLSTMResidualSettings(PatchSettings):
    """Settings of the residual ConvLSTM.

    Attributes
    ----------
    shortcut : str
        Around each layer: ``"auto"``, the identity where channels agree and else a 1 x 1
        convolution; ``"identity"``, which refuses other channels; ``"projection"``, always the
        convolution.
    norm_steps : int
        Steps with statistics of their own; later ones share the last one's.
    """

    shortcut: Shortcut = "auto"
    norm_steps: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm_steps < 1:
            raise UsageError(
                f"Expected statistics of at least one step; got norm_steps {self.norm_steps}."
            )
        for n_in, n_out in itertools.pairwise((len(TEXTURE), *self.channels)):
            is_identity(self.shortcut, n_in, n_out)


class BNConvLSTM2d(ConvLSTM2d):
    """A :class:`ConvLSTM2d` whose recurrence is batch-normalised.

    To continue from a state, give ``first_step``, the number of steps before it, so that each step
    finds its own statistics.

    Parameters
    ----------
    n_steps : int
        Steps with statistics of their own; see :class:`RecurrentBatchNorm`.
    gain : float
        Initial gain of the three normalisations.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int | tuple[int, ...],
        *,
        n_steps: int,
        gain: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(n_in, n_out, kernel, **options)
        self.from_input.register_parameter("bias", None)  # a normalisation takes it away again
        self.bias = nn.Parameter(torch.zeros(4 * n_out))  # of the gates i, f, g, o
        with torch.no_grad():
            self.bias[n_out : 2 * n_out] = 1.0
        self.input_norm = RecurrentBatchNorm(4 * n_out, n_steps, gain=gain)
        self.hidden_norm = RecurrentBatchNorm(4 * n_out, n_steps, gain=gain)
        self.cell_norm = RecurrentBatchNorm(n_out, n_steps, gain=gain)

    def forward(
        self, x: Tensor, state: State | None = None, *, first_step: int = 0
    ) -> tuple[Tensor, State]:
        """Run over all steps; see :meth:`ConvLSTM2d.forward`."""
        self.check(x, state)
        if (state is None) != (first_step == 0):
            raise UsageError(
                "Expected a state together with the number of steps before it, got "
                f"{'no' if state is None else 'a'} state and first_step {first_step}."
            )
        outputs: list[Tensor] = []
        for number, gates in enumerate(self.input_to_gates(x).unbind(1), start=first_step):
            state = self.step(gates, state, number)
            outputs.append(state[0])
        assert state is not None
        return torch.stack(outputs, dim=1), state  # (B, N, K, P, F)

    def step(self, gates: Tensor, state: State | None = None, number: int = 0) -> State:
        """Step ``number`` of a sequence: W * x (B, 4 K, P, F) -> the new h and c."""
        gates = self.input_norm(gates, number) + self.bias[:, None, None]
        if state is not None:  # without one, U * h is 0, and so is its normalisation
            gates = gates + self.hidden_norm(self.from_hidden(state[0]), number)
        o, c = self.update_cell(gates, state)
        return torch.sigmoid(o) * torch.tanh(self.cell_norm(c, number)), c


class ConvLSTMResidualClassifier(ConvLSTMClassifier):
    """Frames (B, T, F) -> logits (B, G)."""

    def add_layers(
        self, settings: ConvLSTMResidualSettings, sizes: list[tuple[int, int, int]]
    ) -> None:
        """Add the layers and their shortcuts, each of channels in, channels out, coefficients."""
        self.patch = settings.patch
        self.layers = nn.ModuleList(
            BNConvLSTM2d(n_in, n_out, settings.kernel, n_steps=settings.norm_steps)
            for n_in, n_out, _ in sizes
        )
        self.shortcuts = nn.ModuleList(
            nn.Identity()
            if is_identity(settings.shortcut, n_in, n_out)
            else nn.Conv2d(n_in, n_out, 1, bias=False)
            for n_in, n_out, _ in sizes
        )
        self.between = nn.Dropout2d(settings.channel_dropout)
        self.final_norm = nn.BatchNorm2d(settings.channels[-1])

    def layer(self, i: int, x: Tensor) -> Tensor:
        """Run a layer over all steps: (B, N, K_in, P, F) -> (B N, K, P, F)."""
        y: Tensor = self.layers[i](x)[0].flatten(0, 1) + self.shortcuts[i](x.flatten(0, 1))
        return y if i < len(self.layers) - 1 else self.final_norm(y)
