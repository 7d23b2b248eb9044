"""Training: a model is fitted, judged and finished in memory.

What it names is imported when it is first asked for, because PyTorch and scikit-learn are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.estimator import GenreClassifier
    from ostinato.training.learn import TrainedModel, train

__all__ = ["GenreClassifier", "TrainedModel", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "estimator" if name == "GenreClassifier" else "learn"
        return getattr(import_module(f"ostinato.training.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
