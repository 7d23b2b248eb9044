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

Axes: B batch, T frames, F coefficients of a frame, N patches, K channels, P texture windows of a
patch, G genres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.models.conv_lstm import check_kernel, cut_patches, layer_spaces
from ostinato.models.layers.conv_lstm import ConvLSTM2d
from ostinato.models.layers.kim_lstm import Shortcut, is_identity
from ostinato.models.layers.normalisation import (
    TEXTURE,
    FrameNormalisation,
    GenreModel,
    State,
    TextureWindows,
)
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class ConvLSTMResidualSettings:
    """Settings of the residual ConvLSTM.

    Attributes
    ----------
    channels : tuple of int
        Channels of each layer.
    kernel : int
        Side of the square kernels, odd; at most ``2 * patch - 1``.
    patch : int
        Texture windows of a patch.
    shortcut : str
        Around each layer: ``"auto"``, the identity where channels agree and else a 1 x 1
        convolution; ``"identity"``, which refuses other channels; ``"projection"``, always the
        convolution.
    norm_steps : int
        Steps with statistics of their own; later ones share the last one's.
    dropout : float
        Before the head, in [0, 1).
    channel_dropout : float
        Drops whole channels between layers (Tompson et al. 2015), in [0, 1).
    texture_frames : int
        Length of a texture window, in frames.
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    channels: tuple[int, ...] = (8, 16)
    kernel: int = 3
    patch: int = 2
    shortcut: Shortcut = "auto"
    norm_steps: int = 16
    dropout: float = 0.5
    channel_dropout: float = 0.4
    texture_frames: int = 18
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1 or self.patch < 1 or self.norm_steps < 1:
            raise UsageError(
                "Expected at least one layer of at least one channel, patches of at least one "
                f"texture window and statistics of at least one step; got channels {self.channels}"
                f", patch {self.patch}, norm_steps {self.norm_steps}."
            )
        check_kernel(self.kernel, self.patch, "texture windows of a patch")
        for n_in, n_out in itertools.pairwise((len(TEXTURE), *self.channels)):
            is_identity(self.shortcut, n_in, n_out)
        check_dropout(self, "dropout", "channel_dropout")
        check_pooling(self.pooling)


class BNConvLSTM2d(ConvLSTM2d):
    """A :class:`ConvLSTM2d` whose recurrence is batch-normalised.

    To continue from a state, give ``first_step``, the number of steps before it, so that each step
    finds its own statistics.

    Parameters
    ----------
    n_in, n_out, kernel
        As :class:`ConvLSTM2d` has them.
    n_steps : int
        Steps with statistics of their own; see :class:`RecurrentBatchNorm`.
    gain : float
        Initial gain of the three normalisations.
    **options
        As :class:`ConvLSTM2d` has them.

    Attributes
    ----------
    bias : Parameter [shape=(4 K,)]
        The gates' bias, in the order i, f, g, o; initially 1 for f, 0 for the rest.
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
        self.bias = nn.Parameter(torch.zeros(4 * n_out))
        with torch.no_grad():
            self.bias[n_out : 2 * n_out] = 1.0
        self.input_norm = RecurrentBatchNorm(4 * n_out, n_steps, gain=gain)
        self.hidden_norm = RecurrentBatchNorm(4 * n_out, n_steps, gain=gain)
        self.cell_norm = RecurrentBatchNorm(n_out, n_steps, gain=gain)

    def forward(
        self, x: Tensor, state: State | None = None, *, first_step: int = 0
    ) -> tuple[Tensor, State]:
        """Run over all steps; see :meth:`ConvLSTM2d.forward`.

        Raises
        ------
        UsageError
            If the input or the state has another shape, or a state comes without its
            ``first_step``, or the other way round.
        """
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


class ConvLSTMResidualClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    n_features, n_genres : int
        F and G.
    settings : ConvLSTMResidualSettings
    """

    def __init__(self, n_features: int, n_genres: int, settings: ConvLSTMResidualSettings) -> None:
        super().__init__()
        self.patch = settings.patch
        self.normalise = FrameNormalisation(n_features)
        self.texture = TextureWindows(n_features, settings.texture_frames)
        spaces = layer_spaces(n_features, len(settings.channels), settings.kernel)
        pairs = list(itertools.pairwise((len(TEXTURE), *settings.channels)))
        self.layers = nn.ModuleList(
            BNConvLSTM2d(n_in, n_out, settings.kernel, n_steps=settings.norm_steps)
            for n_in, n_out in pairs
        )
        self.shortcuts = nn.ModuleList(
            nn.Identity()
            if is_identity(settings.shortcut, n_in, n_out)
            else nn.Conv2d(n_in, n_out, 1, bias=False)
            for n_in, n_out in pairs
        )
        self.between = nn.Dropout2d(settings.channel_dropout)
        self.final_norm = nn.BatchNorm2d(settings.channels[-1])
        self.pool = make_pool(settings.pooling, settings.channels[-1] * spaces[-1])
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first."""
        return list(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.patches(self.texture(self.normalise(x)))  # (B, N, 3, P, F)
        B, N = x.shape[:2]
        for i, (layer, shortcut) in enumerate(zip(self.layers, self.shortcuts, strict=True)):
            y = layer(x)[0].flatten(0, 1) + shortcut(x.flatten(0, 1))  # (B N, K, P, F)
            if i == 0 and len(self.layers) > 1:
                y = functional.max_pool2d(y, (1, 2))  # (B N, K, P, F / 2)
            y = self.between(y) if i < len(self.layers) - 1 else self.final_norm(y)
            x = y.view(B, N, *y.shape[1:])  # (B, N, K, P, F)
        x = x.transpose(2, 3).flatten(1, 2).flatten(2)  # (B, N P, K F): time, then all else
        logits: Tensor = self.head(self.dropout(self.pool(x)))  # (B, G)
        return logits

    def patches(self, x: Tensor) -> Tensor:
        """Texture windows (B, S, 3 F) as patches (B, N, 3, P, F); see :func:`cut_patches`."""
        return cut_patches(x, self.patch)
