"""Settings of training, shared by all models of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ostinato.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a model is trained. Every model of a study is trained with the same.

    Attributes
    ----------
    epochs : int
        An epoch hears one random window of every training track.
    batch_size : int
        Windows a step.
    learning_rate : float
        Highest one of a one-cycle schedule (Smith and Topin 2019), of AdamW.
    warmup : float
        Share of the steps in which the learning rate rises.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019).
    label_smoothing : float
        Probability taken from the true genre and shared out (Szegedy et al. 2016), in [0, 1).
    noise : float
        Deviation of the Gaussian noise on every training frame, in deviations of the feature.
    mixup : float
        Both parameters of the Beta distribution of mixup (Zhang et al. 2018); 0 turns it off.
    averaging : float
        Decay a step of the exponential average of the weights, which is the model in the end, in
        [0, 1); 0 keeps the last step's weights.
    gradient_clip : float
        Largest norm of a step's gradient.
    window_frames, window_hop : int
        Windows that are learnt from, and their distance when a track is judged, in frames.
    curve_every : int
        Epochs between two points of the learning curves.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 80
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup: float = 0.15
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    noise: float = 0.3
    mixup: float = 0.2
    averaging: float = 0.99
    gradient_clip: float = 1.0
    window_frames: int = 144
    window_hop: int = 72
    curve_every: int = 4

    def __post_init__(self) -> None:
        positive = (
            "epochs", "batch_size", "learning_rate", "gradient_clip",
            "window_frames", "window_hop", "curve_every",
        )  # fmt: skip
        for name in positive:
            if not getattr(self, name) > 0:
                raise UsageError(
                    f"training.{name}: expected a positive number, got {getattr(self, name)}."
                )
        for name in ("warmup", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"training.{name}: expected a number in [0, 1), got {getattr(self, name)}."
                )
        for name in ("weight_decay", "noise", "mixup"):
            if getattr(self, name) < 0:
                raise UsageError(f"training.{name}: expected 0 or more, got {getattr(self, name)}.")
