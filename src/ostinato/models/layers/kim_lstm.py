"""The residual LSTM of Kim, El-Khamy and Lee 2017, whose shortcut lies inside the cell.

"Residual LSTM: Design of a Deep Recurrent Architecture for Distant Speech Recognition", section 3.
The cell is an LSTM's; its output is projected, the layer's input is added, and only then comes the
output gate, so that it scales the shortcut as well ("." place by place):

.. code-block:: text

    i = sigmoid(W_i x + U_i h + b_i [+ v_i . c])       c' = f . c + i . g
    f = sigmoid(W_f x + U_f h + b_f [+ v_f . c])       o  = sigmoid(W_o x + U_o h + b_o [+ V_o c'])
    g = tanh   (W_g x + U_g h + b_g)                   m  = W_p tanh(c')
                                                       h' = o . (m + W_h x)

The gates see the projected h of the step before. W_h is the identity where the widths of input and
output agree, else a learned projection. The terms in brackets are the peepholes, which the paper's
cell has. V_o is a diagonal where the projection is as wide as the cell, else a whole matrix: the
output gate is as wide as the projection.

Axes: B batch, S steps, K_in width of the input, W of the cell, P of the projection.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.models.layers.state import State, check_state

Shortcut = Literal["auto", "identity", "projection"]


class KimCell(nn.Module):
    """One direction of a :class:`KimLSTM`: its weights, and one step of it.

    ``shared`` are the features of the input that are the shortcut as they are; None learns a
    projection.

    Attributes
    ----------
    from_input, from_hidden : Linear
        To the gates i, f, g (each W wide) and o (P wide); the bias of f begins at 1.
    project : Linear
        W_p.
    shortcut : Linear or None
        W_h, where it is not the identity.
    to_input_gate, to_forget_gate, to_output_gate : Parameter or None
        The peepholes v_i, v_f [shape=(W,)] and V_o [shape=(W,) or (P, W)], initially 0.
    """

    shortcut: nn.Linear | None
    to_input_gate: nn.Parameter | None
    to_forget_gate: nn.Parameter | None
    to_output_gate: nn.Parameter | None

    def __init__(
        self, n_in: int, width: int, projection: int, *, peepholes: bool, shared: slice | None
    ) -> None:
        super().__init__()
        self.sizes = (width, width, width, projection)
        self.shared = shared
        self.from_input = nn.Linear(n_in, sum(self.sizes))
        self.from_hidden = nn.Linear(projection, sum(self.sizes), bias=False)
        self.project = nn.Linear(width, projection, bias=False)
        self.shortcut = None if shared else nn.Linear(n_in, projection, bias=False)
        with torch.no_grad():
            self.from_input.bias[width : 2 * width] = 1.0

        def peephole(*shape: int) -> nn.Parameter | None:
            return nn.Parameter(torch.zeros(shape)) if peepholes else None

        self.to_input_gate = peephole(width)
        self.to_forget_gate = peephole(width)
        self.to_output_gate = peephole(*((width,) if projection == width else (projection, width)))

    def step(self, x: Tensor, state: State | None = None) -> State:
        """One step, as the equations say it: (B, K_in) -> the new h (B, P) and c (B, W)."""
        gates = self.from_input(x)  # (B, 3 W + P)
        if state is not None:
            gates = gates + self.from_hidden(state[0])
        i, f, g, o = gates.split(self.sizes, dim=1)  # three (B, W), and (B, P)
        if state is None:
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            c = state[1]
            if self.to_input_gate is not None and self.to_forget_gate is not None:
                i, f = i + self.to_input_gate * c, f + self.to_forget_gate * c
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        if self.to_output_gate is not None:
            v = self.to_output_gate
            o = o + (v * c if v.ndim == 1 else c @ v.T)
        way = x[..., self.shared] if self.shortcut is None else self.shortcut(x)  # W_h x
        return torch.sigmoid(o) * (self.project(torch.tanh(c)) + way), c


class KimLSTM(nn.Module):
    """A layer: (B, S, K_in) -> (B, S, P), or (B, S, 2 P) where it runs both ways.

    Parameters
    ----------
    n_in, width, projection : int
        K_in, and W and P in each direction; P is W unless given.
    peepholes : bool
        Whether gates see the cell.
    bidirectional : bool
        Whether a second cell reads the sequence from its end. Where the shortcut is the identity,
        each direction then passes on its own half of the input.
    shortcut : str
        ``"auto"``: the identity where input and output are equally wide, else a learned projection;
        ``"identity"`` insists on the one, ``"projection"`` on the other.

    Raises
    ------
    UsageError
        If a width is not positive, there is no such shortcut, or the identity is asked for between
        different widths.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        projection: int | None = None,
        *,
        peepholes: bool = True,
        bidirectional: bool = False,
        shortcut: Shortcut = "auto",
    ) -> None:
        super().__init__()
        P = width if projection is None else projection
        if min(n_in, width, P) < 1:
            raise UsageError(
                f"Expected widths of at least 1, got input {n_in}, cell {width}, projection {P}."
            )
        n_out = 2 * P if bidirectional else P
        identity = is_identity(shortcut, n_in, n_out)
        self.n_in, self.width, self.projection = n_in, width, P
        self.bidirectional = bidirectional
        self.cells = nn.ModuleList(
            KimCell(
                n_in,
                width,
                P,
                peepholes=peepholes,
                shared=slice(first, first + P) if identity else None,
            )
            for first in range(0, n_out, P)
        )

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over all steps of (B, S, K_in), S at least 1.

        Parameters
        ----------
        state : pair of tensors [shape=(B, P) and (B, W)], optional
            h and c to continue from, as an earlier call gave them; without it both are 0.

        Returns
        -------
        outputs : tensor [shape=(B, S, P), or (B, S, 2 P)]
        state : pair of tensors
            The last h and c; of both directions side by side, the backward one's from the first
            step.
        """
        self.check(x, state)
        sides: list[Tensor] = []
        ends: list[State] = []
        for cell, steps in zip(self.cells, (x.unbind(1), x.flip(1).unbind(1)), strict=False):
            assert isinstance(cell, KimCell)
            end, outputs = state, []
            for now in steps:  # (B, K_in)
                end = cell.step(now, end)
                outputs.append(end[0])
            assert end is not None
            ends.append(end)
            sides.append(torch.stack(outputs, dim=1))  # (B, S, P)
        if not self.bidirectional:
            return sides[0], ends[0]
        h, c = (torch.cat(parts, dim=1) for parts in zip(*ends, strict=True))
        return torch.cat([sides[0], sides[1].flip(1)], dim=2), (h, c)  # (B, S, 2 P)

    def check(self, x: Tensor, state: State | None) -> None:
        """Refuse an input or a state of a wrong shape."""
        if x.ndim != 3 or x.shape[2] != self.n_in or x.shape[1] < 1:
            raise UsageError(
                f"Expected steps (batch, step, feature) of {self.n_in} features, at least one; got "
                f"{tuple(x.shape)}."
            )
        if state is not None and self.bidirectional:
            raise UsageError(
                "Expected no state, since a layer that runs both ways needs the whole sequence at "
                "once, got one."
            )
        check_state(state, (len(x), self.projection), (len(x), self.width))


def is_identity(shortcut: str, n_in: int, n_out: int) -> bool:
    """Whether the shortcut from ``n_in`` to ``n_out`` features or channels is the identity.

    Refuses an unknown shortcut, and the identity between different widths.
    """
    if shortcut not in get_args(Shortcut):
        raise UsageError(
            f"Expected a shortcut of {', '.join(get_args(Shortcut))}; got '{shortcut}'."
        )
    if shortcut == "identity" and n_in != n_out:
        raise UsageError(
            f"Expected equal widths, which a shortcut without projection needs, got {n_in} in and "
            f"{n_out} out."
        )
    return n_in == n_out and shortcut != "projection"
