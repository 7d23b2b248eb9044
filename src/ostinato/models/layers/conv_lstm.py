r"""ConvLSTM layers, along a line and over a plane: LSTMs whose products are convolutions.

Shi et al. 2015 ("Convolutional LSTM Network"), equation (3), with ``*`` a convolution over space
and ``.`` a product place by place:

.. code-block:: text

    i = sigmoid(W_i * x + U_i * h + b_i [+ V_i . c])        c' = f . c + i . g
    f = sigmoid(W_f * x + U_f * h + b_f [+ V_f . c])        o  = sigmoid(W_o * x + U_o * h + b_o
    g = tanh   (W_g * x + U_g * h + b_g)                                           [+ V_o . c'])
                                                            h' = o . tanh(c')

The terms in brackets are the peepholes, an option. Gates stand in PyTorch's order i, f, g, o, and
there is one bias, which begins at 1 for the forget gate (Jozefowicz et al. 2015). The convolution
of the hidden state always keeps the size of the space; that of the input does so ("same") or takes
only places where the kernel lies inside ("valid").

Axes: B batch, N steps, K_in and K channels, L places of a line, P x F places of a plane; "space"
stands for L, or for P and F.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.models.layers.state import State, check_state

Padding = Literal["same", "valid"]


class ConvLSTM(nn.Module):
    """The base of both layers: (B, N, K_in, *space) -> the hidden states (B, N, K, *space).

    Parameters
    ----------
    n_in, n_out : int
        K_in and K.
    kernel : int or tuple of int
        Odd sides of both convolutions; one number stands for all axes of the space.
    padding : str
        The input convolution's: ``"same"`` (borders of zeros) or ``"valid"``. With the latter
        the space of the states is smaller than the input's by ``kernel - 1``.
    peepholes : bool
        Whether gates see the cell, by a weight for every channel and place, initially 0.
    space : tuple of int, optional
        Size of the input's space; needed with peepholes, which fit no other size.

    Raises
    ------
    UsageError
        If the kernel is even, the padding unknown, or peepholes are asked for without a space.
    """

    axes: ClassVar[int]
    convolution: ClassVar[Callable[..., nn.Conv1d | nn.Conv2d]]
    peepholes: nn.Parameter | None

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int | tuple[int, ...],
        *,
        padding: Padding = "same",
        peepholes: bool = False,
        space: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        sides = (kernel,) * self.axes if isinstance(kernel, int) else tuple(kernel)
        if len(sides) != self.axes or any(k < 1 or k % 2 == 0 for k in sides):
            raise UsageError(f"Expected an odd kernel, or {self.axes} odd numbers, got {kernel}.")
        if padding not in get_args(Padding):
            raise UsageError(f"Expected a padding of same, valid; got '{padding}'.")
        self.n_in, self.n_out = n_in, n_out
        self.kernel = sides
        self.padding = padding
        around = tuple(k // 2 for k in sides)
        self.around = around if padding == "same" else (0,) * self.axes
        self.from_input = self.convolution(n_in, 4 * n_out, sides, padding=self.around)
        self.from_hidden = self.convolution(n_out, 4 * n_out, sides, padding=around, bias=False)
        with torch.no_grad():
            assert self.from_input.bias is not None
            self.from_input.bias[n_out : 2 * n_out] = 1.0
        self.peepholes = None
        if peepholes:
            if space is None or len(space) != self.axes:
                raise UsageError(
                    f"Expected a space of {self.axes} sizes, which peepholes need, got {space}."
                )
            places = self.state_space(space)
            self.peepholes = nn.Parameter(torch.zeros(3, n_out, *places))  # of i, f, o

    @classmethod
    def from_keras(
        cls,
        kernel: ArrayLike,
        recurrent_kernel: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        padding: Padding = "same",
    ) -> Self:
        """A layer with the weights of Keras's ``ConvLSTM1D`` or ``ConvLSTM2D``.

        ``get_weights()`` of a Keras layer gives the first three arguments. Keras's order of gates,
        i, f, c, o, is ours under another name (its c is the candidate g), and its layers too have
        one bias and no peepholes; only its channels come last, those of sequences as well. The
        layer is that of Keras's defaults, ``activation="tanh"`` and
        ``recurrent_activation="sigmoid"``.

        Shapes are (*sides, K_in, 4 K), (*sides, K, 4 K) and (4 K,); without a bias
        (``use_bias=False``) it is 0. Keras's default of ``padding`` is ``"valid"``.

        Raises
        ------
        UsageError
            If the shapes are not those of one such layer.
        """
        of_input, of_hidden = (
            torch.from_numpy(np.moveaxis(np.asarray(k), (-1, -2), (0, 1)).copy())
            for k in (kernel, recurrent_kernel)
        )  # (4 K, K_in, *sides), (4 K, K, *sides)
        n_out = of_hidden.shape[1]
        if (
            of_input.ndim != cls.axes + 2
            or of_input.shape[2:] != of_hidden.shape[2:]
            or not len(of_input) == len(of_hidden) == 4 * n_out
        ):
            raise UsageError(
                f"Expected kernels of {cls.axes} sides, channels and 4 gates, as Keras's "
                f"ConvLSTM{cls.axes}D has them; got {np.shape(kernel)} and "
                f"{np.shape(recurrent_kernel)}."
            )
        layer = cls(of_input.shape[1], n_out, tuple(of_input.shape[2:]), padding=padding)
        layer.to(of_input.dtype)
        with torch.no_grad():
            layer.from_input.weight.copy_(of_input)
            layer.from_hidden.weight.copy_(of_hidden)
            assert layer.from_input.bias is not None
            layer.from_input.bias.copy_(
                torch.zeros(4 * n_out) if bias is None else torch.from_numpy(np.array(bias))
            )
        return layer

    def state_space(self, space: tuple[int, ...]) -> tuple[int, ...]:
        """Size of the states' space for inputs of this size."""
        if self.padding == "same":
            return tuple(space)
        if any(k > size for k, size in zip(self.kernel, space, strict=True)):
            raise UsageError(
                f"Expected a kernel no wider than the space {tuple(space)} where padding is valid, "
                f"got {self.kernel}."
            )
        return tuple(size - k + 1 for k, size in zip(self.kernel, space, strict=True))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over all steps of (B, N, K_in, *space), N at least 1.

        Parameters
        ----------
        state : pair of tensors [each shape=(B, K, *space)], optional
            h and c to continue from, as an earlier call gave them; without it both are 0.

        Returns
        -------
        outputs : tensor [shape=(B, N, K, *space)]
            The h of every step.
        state : pair of tensors
            The last h and c.
        """
        self.check(x, state)
        outputs: list[Tensor] = []
        for gates in self.input_to_gates(x).unbind(1):  # (B, 4 K, *space)
            state = self.step(gates, state)
            outputs.append(state[0])
        assert state is not None
        return torch.stack(outputs, dim=1), state  # (B, N, K, *space)

    def input_to_gates(self, x: Tensor) -> Tensor:
        """W * x + b of all steps at once: (B, N, K_in, *space) -> (B, N, 4 K, *space)."""
        gates: Tensor = self.from_input(x.flatten(0, 1))  # (B N, 4 K, *space)
        return gates.view(*x.shape[:2], *gates.shape[1:])

    def step(self, gates: Tensor, state: State | None = None) -> State:
        """One step: what :meth:`input_to_gates` gives (B, 4 K, *space) -> the new h and c."""
        if state is not None:
            gates = gates + self.from_hidden(state[0])
        o, c = self.update_cell(gates, state)
        return torch.sigmoid(o) * torch.tanh(c), c

    def update_cell(self, gates: Tensor, state: State | None) -> State:
        """Gates before their sigmoids (B, 4 K, *space) -> the output gate, and the new c."""
        i, f, g, o = torch.split(gates, self.n_out, dim=1)  # each (B, K, *space)
        if state is None:
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            c = state[1]
            if self.peepholes is not None:
                i, f = i + self.peepholes[0] * c, f + self.peepholes[1] * c
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return (o if self.peepholes is None else o + self.peepholes[2] * c), c

    def check(self, x: Tensor, state: State | None) -> None:
        """Refuse an input or a state of a wrong shape."""
        if x.ndim != 3 + self.axes or x.shape[2] != self.n_in or x.shape[1] < 1:
            sizes = ", ".join(("place",) * self.axes)
            raise UsageError(
                f"Expected steps (batch, step, channel, {sizes}) of {self.n_in} channels, at least "
                f"one; got {tuple(x.shape)}."
            )
        space = self.state_space(tuple(x.shape[3:]))
        if self.peepholes is not None and self.peepholes.shape[2:] != space:
            raise UsageError(
                f"Expected states over {tuple(self.peepholes.shape[2:])} places, of which there "
                f"are peepholes, got {space}."
            )
        check_state(state, (len(x), self.n_out, *space))


class ConvLSTM1d(ConvLSTM):
    """A ConvLSTM along a line, such as a frame's coefficients: (B, N, K_in, L) -> (B, N, K, L)."""

    axes = 1
    convolution = nn.Conv1d


class ConvLSTM2d(ConvLSTM):
    """A ConvLSTM over a plane, such as a patch of frames: (B, N, K_in, P, F) -> (B, N, K, P, F)."""

    axes = 2
    convolution = nn.Conv2d
