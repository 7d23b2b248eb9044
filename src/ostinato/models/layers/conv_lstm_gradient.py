r"""A ConvLSTM over a whole sequence, its gradient written by hand: what makes the layers fast.

The numbers are those of ``ConvLSTM.unrolled`` in :mod:`ostinato.models.layers.conv_lstm`, which
holds the equations and is what to read first. Left to autograd, every step puts some twenty
operations on record, each with memory of its own, and differentiates both kernels anew. Here

- the input's convolution runs for as many steps at once as the cache holds, and so do the gradients
  of both kernels and of the input;
- gates are activated, and their gradients written, in place;
- every hyperbolic tangent is a logistic function, ``tanh(z) = 2 sigmoid(2 z) - 1``, which PyTorch
  computes ten times as fast on a CPU;
- all that has steps lies in memory with its steps first and its channels last, in which oneDNN
  convolves without rearranging anything.

Only PyTorch's own operations are used, so it runs on any device and in any precision.

Axes: N steps, n steps of a block, B batch, K_in and K channels; P x F places of a plane, which a
line is with P = 1; "space" stands for either. Shapes are as PyTorch's convolutions want them,
channels before places, whatever the order in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 2**19
"""Numbers, about, that the gates of a block of steps hold, 2 MB: more would leave the cache."""

STEP = 2**20
"""Numbers that the gates of a step may hold; a batch that needs more is run in parts."""

sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def conv_lstm(
    x: Tensor,
    state: tuple[Tensor, Tensor] | None,
    of_input: tuple[Tensor, Tensor],
    of_hidden: Tensor,
    peepholes: Tensor | None,
    padding: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Run a ConvLSTM over all steps.

    Parameters
    ----------
    x : tensor [shape=(B, N, K_in, *space)]
    state : pair of tensors [each shape=(B, K, *space)] or None
        The h and c to begin with; None stands for zeros.
    of_input : pair of tensors [shape=(4 K, K_in, *sides) and (4 K,)]
        W and b, gates in the order i, f, g, o.
    of_hidden : tensor [shape=(4 K, K, *sides)]
        U, of odd sides.
    peepholes : tensor [shape=(3, K, *space)] or None
        V, of i, f and o.
    padding : sequence of int
        Of the input's convolution, on each side.

    Returns
    -------
    outputs : tensor [shape=(B, N, K, *space)]
        The h of every step.
    c : tensor [shape=(B, K, *space)]
        The last c.
    """
    w, b = of_input
    if x.ndim == 4:  # a line
        state = None if state is None else (state[0].unsqueeze(-2), state[1].unsqueeze(-2))
        v = None if peepholes is None else peepholes.unsqueeze(-2)
        w, u = w.unsqueeze(-2), of_hidden.unsqueeze(-2)
        outputs, last = conv_lstm(x.unsqueeze(-2), state, (w, b), u, v, (0, *padding))
        return outputs.squeeze(-2), last.squeeze(-2)
    size = x.shape[3:].numel() * len(of_hidden)  # numbers of the gates of a sequence in a step
    at_once = max(1, STEP // max(1, size))
    if len(x) > at_once:
        run = partial(
            conv_lstm, of_input=of_input, of_hidden=of_hidden, peepholes=peepholes, padding=padding
        )
        return _in_parts(run, x, state, at_once)
    h, c = (None, None) if state is None else state
    arguments = (x, h, c, w, b, of_hidden, peepholes)
    if torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arguments):
        outputs, last = _ConvLSTM.apply(*arguments, padding)  # type: ignore[no-untyped-call]
        return outputs, last
    hidden, last = _forward(*arguments, padding, None)
    return hidden[1:].transpose(0, 1), last


def _in_parts(
    run: Callable[..., tuple[Tensor, Tensor]],
    x: Tensor,
    state: tuple[Tensor, Tensor] | None,
    at_once: int,
) -> tuple[Tensor, Tensor]:
    """Run over a plane, at most so many sequences at once, in parts of about equal numbers."""
    n_parts = -(-len(x) // at_once)
    states: Sequence[Any] = [None] * n_parts
    if state is not None:
        states = list(zip(*(part.tensor_split(n_parts) for part in state), strict=True))
    parts = [run(some, start) for some, start in zip(x.tensor_split(n_parts), states, strict=True)]
    # Joined as they lie in memory, so that whole runs are copied.
    outputs = torch.cat([y.transpose(0, 1).movedim(2, -1) for y, _ in parts], dim=1)
    return outputs.movedim(-1, 2).transpose(0, 1), torch.cat([c for _, c in parts])


class _Record:
    """What the way back needs of the way forth; see :func:`_forward`."""

    def __init__(self) -> None:
        self.gates: list[Tensor] = []  # of a block (n, B, 4 K, P, F): i, f, g, o, activated
        self.cells: list[Tensor] = []  # c (B, K, P, F): that to begin with, then of every step
        self.squashed: list[Tensor] = []  # tanh of it, of every step


def _forward(
    x: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    w: Tensor,
    b: Tensor,
    u: Tensor,
    v: Tensor | None,
    padding: Sequence[int],
    record: _Record | None,
) -> tuple[Tensor, Tensor]:
    """The h to begin with and of every step (N + 1, B, K, P, F), and the last c."""
    B, N = x.shape[:2]
    K = u.shape[1]
    twice_g = torch.ones_like(b)
    twice_g[2 * K : 3 * K] = 2.0
    w, u = (_arranged(p * twice_g[:, None, None, None]) for p in (w, u))
    b = b * twice_g
    P, F = (n + 2 * p - k + 1 for n, p, k in zip(x.shape[3:], padding, w.shape[2:], strict=True))
    hidden = x.new_empty(N + 1, B, P, F, K).movedim(-1, 2)  # (N + 1, B, K, P, F)
    hidden[0] = 0 if h is None else h
    cell = torch.zeros_like(hidden[0]) if c is None else _arranged(c)
    if record is not None:
        record.cells.append(cell)
    v = None if v is None else _arranged(v)
    for block in _blocks(hidden):
        steps = _arranged(x[:, block].transpose(0, 1)).flatten(0, 1)  # (n B, K_in, P, F)
        gates = _convolve(steps, w, b, padding).view(-1, B, 4 * K, P, F)
        for t, now in zip(range(N)[block], gates, strict=True):
            if t > 0 or h is not None:
                now += _convolve(hidden[t], u, None, [k // 2 for k in u.shape[2:]])
            cell, squashed = _step(now, cell, v, out=hidden[t + 1])
            if record is not None:
                record.cells.append(cell)
                record.squashed.append(squashed)
        if record is not None:
            record.gates.append(gates)
    return hidden, cell


def _step(gates: Tensor, c: Tensor, v: Tensor | None, *, out: Tensor) -> tuple[Tensor, Tensor]:
    """Activate the gates of a step in place (B, 4 K, P, F), g's doubled; write h to ``out``.

    Returns
    -------
    c, squashed : tensor [shape=(B, K, P, F)]
        The new c, and its tanh.
    """
    i, f, g, o = gates.chunk(4, dim=1)  # each (B, K, P, F)
    if v is not None:
        i.addcmul_(v[0], c)
        f.addcmul_(v[1], c)
    raw = None if v is None else o.clone()
    gates.sigmoid_()  # of all at once, even if that of o must wait for c: runs of K are far slower
    g.mul_(2).sub_(1)
    c = (f * c).addcmul_(i, g)
    if v is not None and raw is not None:
        o.copy_(raw.addcmul_(v[2], c).sigmoid_())
    squashed = (2 * c).sigmoid_().mul_(2).sub_(1)
    torch.mul(o, squashed, out=out)
    return c, squashed


class _ConvLSTM(torch.autograd.Function):
    """:func:`_forward`, and the way back through time."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor | None,
        c: Tensor | None,
        w: Tensor,
        b: Tensor,
        u: Tensor,
        v: Tensor | None,
        padding: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        record = _Record()
        hidden, last = _forward(x, h, c, w, b, u, v, padding, record)
        ctx.save_for_backward(x, w, u, v, hidden, *record.cells, *record.squashed, *record.gates)
        ctx.padding = padding
        ctx.set_materialize_grads(False)
        return hidden[1:].transpose(0, 1), last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_outputs: Tensor | None, of_last: Tensor | None) -> tuple[Any, ...]:
        x, w, u, v, hidden, *rest = ctx.saved_tensors
        N, K = len(hidden) - 1, u.shape[1]
        w, u = _arranged(w), _arranged(u)
        v = None if v is None else _arranged(v)
        cells, squashed, gates = rest[: N + 1], rest[N + 1 : 2 * N + 1], rest[2 * N + 1 :]
        for_x, for_h, for_c, for_w, for_b, for_u, _, _ = ctx.needs_input_grad
        around = [k // 2 for k in u.shape[2:]]
        dx = _arranged(torch.empty_like(x).transpose(0, 1)) if for_x else None
        dw, db, du = torch.zeros_like(w), w.new_zeros(4 * K), torch.zeros_like(u)
        dv = None if v is None else torch.zeros_like(v)
        dh = torch.zeros_like(hidden[0])
        dc = dh if of_last is None else of_last
        room = torch.empty_like(gates[0])  # for every block in turn
        for block, activated in zip(reversed(list(_blocks(hidden))), reversed(gates), strict=True):
            dz = room[: len(activated)]  # (n, B, 4 K, P, F)
            for t in reversed(range(N)[block]):
                here = t - block.start
                if of_outputs is not None:
                    dh = dh + of_outputs[:, t]
                dc = _step_back(dh, dc, activated[here], cells[t], squashed[t], v, out=dz[here])
                if dv is not None:
                    dv += _of_peepholes(dz[here], cells[t], cells[t + 1])
                if t > 0 or for_h:
                    dh, _, _ = _differentiate(dz[here], hidden[t], u, around, (True, False, False))
            flat = dz.flatten(0, 1)  # (n B, 4 K, P, F)
            past = hidden[:-1][block].flatten(0, 1)  # (n B, K, P, F)
            of_hidden = _differentiate(flat, past, u, around, (False, for_u, False))
            steps = _arranged(x[:, block].transpose(0, 1)).flatten(0, 1)  # (n B, K_in, P, F)
            of_input = _differentiate(flat, steps, w, ctx.padding, (for_x, for_w, for_b))
            if dx is not None:
                dx[block] = of_input[0].view_as(dx[block])
            for total, part in ((dw, of_input[1]), (db, of_input[2]), (du, of_hidden[1])):
                if part is not None:
                    total += part
        dx = None if dx is None else dx.transpose(0, 1)
        return dx, dh if for_h else None, dc if for_c else None, dw, db, du, dv, None


def _step_back(
    dh: Tensor,
    dc: Tensor,
    gates: Tensor,
    c: Tensor,
    squashed: Tensor,
    v: Tensor | None,
    *,
    out: Tensor,
) -> Tensor:
    """Gradients through a step: of its h and c, to those of its gates and of the c before.

    Parameters
    ----------
    dh, dc : tensor [shape=(B, K, P, F)]
        Of the h of the step, and of its c but for what comes by h.
    gates : tensor [shape=(B, 4 K, P, F)]
        Activated.
    c, squashed : tensor [shape=(B, K, P, F)]
        The c before, and tanh of the new one.
    v : tensor [shape=(3, K, P, F)] or None
        Peepholes.
    out : tensor [shape=(B, 4 K, P, F)]
        Takes the gradient of the gates before their activation.

    Returns
    -------
    tensor [shape=(B, K, P, F)]
        Of the c before.
    """
    i, f, g, o = gates.chunk(4, dim=1)  # each (B, K, P, F)
    di, df, dg, do = out.chunk(4, dim=1)
    sigmoid_backward(dh * squashed, o, grad_input=do)
    dc = torch.ops.aten.tanh_backward(dh * o, squashed).add_(dc)
    if v is not None:
        dc.addcmul_(do, v[2])
    sigmoid_backward(dc * g, i, grad_input=di)
    sigmoid_backward(dc * c, f, grad_input=df)
    tanh_backward(dc * i, g, grad_input=dg)
    before = dc * f
    if v is not None:
        before.addcmul_(di, v[0]).addcmul_(df, v[1])
    return before


def _of_peepholes(dz: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Gradient of the peepholes (3, K, P, F) in a step: they weigh the c before it, and after."""
    di, df, _, do = dz.chunk(4, dim=1)  # each (B, K, P, F)
    return torch.stack([(di * before).sum(0), (df * before).sum(0), (do * after).sum(0)])


def _blocks(hidden: Tensor) -> Iterator[slice]:
    """Steps of a sequence of states (N + 1, B, K, P, F), as many at a time as a block holds."""
    n_steps = len(hidden) - 1
    length = max(1, BLOCK // max(1, 4 * hidden[0].numel()))
    for first in range(0, n_steps, length):
        yield slice(first, min(first + length, n_steps))


def _arranged(x: Tensor) -> Tensor:
    """A copy of (..., K, P, F) with its channels last in memory.

    ``contiguous(memory_format=channels_last)`` leaves a tensor of one channel as it is, which a
    convolution then takes for one with its channels first.
    """
    return x.movedim(-3, -1).clone(memory_format=torch.contiguous_format).movedim(-1, -3)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int]) -> Tensor:
    """A convolution over a plane: (B, K_in, P, F) -> (B, K, P, F)."""
    y = torch.conv2d(x, weight, bias, padding=list(padding))
    return y.contiguous(memory_format=torch.channels_last)  # as oneDNN gives it, but not all do


def _differentiate(
    dy: Tensor, x: Tensor, weight: Tensor, padding: Sequence[int], wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`_convolve`: of x, the weight and the bias, of which some are wanted."""
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        dy, x, weight, [len(weight)], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )
    return gradients
