"""Settings of training, shared by all models of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median_low
from typing import Any, ClassVar

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.inference.sampling import QUICK_SECONDS

WINDOW_FRAMES, WINDOW_HOP = 144, 72
"""Length of windows, and their distance when a track is judged, unless they are set; 11 and 6 s."""

DEFAULT_SPEC = FeatureSpec()

LEAST_WINDOW = 24
"""Frames that every family can take; a shorter track is repeated to fill them."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a model is trained. Every model of a study is trained with the same.

    Attributes
    ----------
    epochs : int
        Each one sees one random window of every training track.
    batch_size : int
        Windows per step.
    learning_rate : float
        Peak of AdamW's one-cycle schedule (Smith and Topin 2019).
    warmup : float
        Share of the steps in which the learning rate rises.
    weight_decay : float
        AdamW's (Loshchilov and Hutter 2019).
    label_smoothing : float
        Probability taken from the true genre and shared out (Szegedy et al. 2016), in [0, 1).
    noise : float
        Deviation of the Gaussian noise on every training frame, in deviations of the feature.
    mixup : float
        Both parameters of the Beta distribution of mixup (Zhang et al. 2018); 0 turns it off.
    mask_time, mask_bands : float
        Largest share of a window's frames, and of its mel bands, that are replaced by the mean of
        the training frames (SpecAugment, Park et al. 2019), in [0, 1).
    stretch : float
        Windows are played up to ``1 + stretch`` times as fast, or as slow, in [0, 1).
    pitch : float
        Largest shift along the mel bands, up or down, in bands.
    tilt : float
        Largest rise of the highest mel band and fall of the lowest, or the other way, along a line;
        in the units of log-mel frames, deviations of an excerpt.
    gain : float
        Largest change of a window's level, in the same units.
    weak_genres : float
        How much more genres of low recall on inner folds of the training part are sampled and
        augmented: weights are ``(1 - recall) ** weak_genres``; 0 turns it off. See
        :mod:`ostinato.training.weak_genres`.
    weak_genre_folds, weak_genre_epochs : int
        Folds and epochs of the trainings that find the recall.
    balanced : bool
        Genres weigh the same, however many tracks they have: an epoch draws about as many tracks of
        one as of another, and a head that is solved for weighs windows by their genre.
    averaging : float
        Decay per step of the exponential average of the weights, which becomes the model, in
        [0, 1); 0 keeps the last step's weights.
    gradient_clip : float
        Largest norm of a step's gradient.
    window_frames, window_hop : int
        Length of windows, and their distance when a track is judged, in frames. Where a study's
        recordings are short, the defaults become shorter, and only they: :meth:`fitting`. Frames
        of an ear have a default of their own, 20 s, what the quick way hears at once.
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
    mask_time: float = 0.0
    mask_bands: float = 0.0
    stretch: float = 0.0
    pitch: float = 0.0
    tilt: float = 0.0
    gain: float = 0.0
    weak_genres: float = 0.0
    weak_genre_folds: int = 3
    weak_genre_epochs: int = 20
    balanced: bool = False
    averaging: float = 0.99
    gradient_clip: float = 1.0
    window_frames: int = WINDOW_FRAMES
    window_hop: int = WINDOW_HOP
    curve_every: int = 4

    def __post_init__(self) -> None:
        positive = (
            "epochs", "batch_size", "learning_rate", "gradient_clip",
            "window_frames", "window_hop", "curve_every", "weak_genre_epochs",
        )  # fmt: skip
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(
                    f"training.{name}: expected a positive number, got {getattr(self, name)}."
                )
        below_one = (
            "warmup", "label_smoothing", "averaging", "mask_time", "mask_bands", "stretch",
        )  # fmt: skip
        for name in below_one:
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"training.{name}: expected a number in [0, 1), got {getattr(self, name)}."
                )
        for name in ("weight_decay", "noise", "mixup", "pitch", "tilt", "gain", "weak_genres"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"training.{name}: expected 0 or more, got {getattr(self, name)}.")
        if self.weak_genre_folds < 2:
            raise UsageError(
                f"training.weak_genre_folds: expected 2 or more, got {self.weak_genre_folds}."
            )

    def fitting(self, lengths: Sequence[int], spec: FeatureSpec = DEFAULT_SPEC) -> TrainingSettings:
        """Settings with windows that half of the tracks fill, of these numbers of frames.

        A window that is not the default was chosen, and stays.
        """
        most, least = WINDOW_FRAMES, LEAST_WINDOW
        if spec.kind == "external":
            n_samples = max(round(QUICK_SECONDS * spec.sample_rate_hz), spec.n_fft)
            most, least = 1 + (n_samples - spec.n_fft) // spec.hop_samples, 1
        window = min(most, max(least, median_low(lengths)))
        if self.window_frames != WINDOW_FRAMES or window == WINDOW_FRAMES:
            return self
        hop = max(1, window // 2) if self.window_hop == WINDOW_HOP else min(self.window_hop, window)
        return replace(self, window_frames=window, window_hop=hop)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``balanced`` only where it is on, so that digests of older runs stay."""
        values = asdict(self)
        if not self.balanced:
            del values["balanced"]
        return values

    def augmentation(self) -> str:
        """The augmentation in words: ``"noise 0.3, mixup 0.2"``."""
        names = ("noise", "mixup", "mask_time", "mask_bands", "stretch", "pitch", "tilt", "gain")
        strengths = {name: getattr(self, name) for name in names}
        told = [f"{name.replace('_', ' of ')} {v:g}" for name, v in strengths.items() if v]
        if self.weak_genres:
            told.append(f"weak genres more often and more strongly, by {self.weak_genres:g}")
        return ", ".join(told) or "no augmentation"
