"""The state of a recurrent layer, handed on from one part of a sequence to the next."""

from __future__ import annotations

from torch import Tensor

from ostinato.errors import UsageError

State = tuple[Tensor, Tensor]
"""h, the hidden state, and c, the cell."""


def check_state(state: State | None, *shapes: tuple[int, ...]) -> None:
    """Refuse a state whose h and c are not of these shapes; one shape stands for both."""
    if state is None:
        return
    expected = shapes * 2 if len(shapes) == 1 else shapes
    got = tuple(tuple(part.shape) for part in state)
    if got != expected:
        raise UsageError(
            "Expected a state of shapes "
            f"{' and '.join(map(str, expected))}, got {' and '.join(map(str, got))}."
        )
