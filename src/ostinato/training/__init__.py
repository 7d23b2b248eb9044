"""Training: a model is fitted, judged and finished in memory.

:func:`train` is imported when it is first asked for, because PyTorch is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.learn import TrainedModel, train

__all__ = ["TrainedModel", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("ostinato.training.learn"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
