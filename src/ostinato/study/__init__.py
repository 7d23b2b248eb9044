"""Many models, trained and compared: :func:`run` does all that ``ostinato study`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato.errors import require

if TYPE_CHECKING:
    from ostinato.study.entry import SweepResult, run
    from ostinato.study.study import StudyResult

__all__ = ["StudyResult", "SweepResult", "run"]


def __getattr__(name: str) -> object:
    """Import what is asked for, and PyTorch with it; the package itself stays light."""
    if name not in __all__:
        raise AttributeError(f"module 'ostinato.study' has no attribute '{name}'")
    for module in ("torch", "lightning"):
        require(module, extra="train", needed_for="A study")
    from ostinato.study import entry

    return getattr(entry, name)
