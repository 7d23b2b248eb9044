"""Which parts of a mel spectrogram spoke for a verdict: hide each, and see what changes.

A patch of the log-mel image, some bands wide and a second or two long, takes the mean of each of
its bands over the excerpt; the image goes on to frames and network, and what counts is how far the
probability of the genre falls. It is occlusion [1]_, on a spectrogram as in [2]_.

The bands' means are what goes on where nothing happens. Silence in a patch is a hole that no music
has, and a network heeds the hole: a map made with it tells least of what the same network does when
patches are hidden in other ways (``benchmarks/occlusion.py``). What sounds all the time is hidden
by nothing here: the map shows events.

References
----------
.. [1] M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
.. [2] S. Mishra, B. Sturm, S. Dixon, "Local interpretable model-agnostic explanations for music
       content analysis", ISMIR 2017.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.features import FeatureError, Frames, Waveform, frames_of_image, mel_image
from ostinato.features.excerpts import EXCERPT_TOLERANCE
from ostinato.inference.classifier import Classifier
from ostinato.inference.sampling import Sound, is_silent
from ostinato.inference.verdict import clock

ROWS, COLUMNS = 8, 20
"""Patches of an excerpt, by band and by time. A network runs once for each."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What spoke for the likeliest genre of an excerpt.

    Attributes
    ----------
    model : str
        The model's name.
    genre : str
        The likeliest genre of the excerpt.
    probability : float
        Its probability.
    start_s, end_s : float
        Where the excerpt begins and ends in the sound.
    image : float32 array [shape=(n_frames, n_mels)]
        The log-mel image that the model hears, the lowest band first.
    bands_hz : float array [shape=(n_mels,)]
        Where the bands peak.
    influence : float array [shape=(n_rows, n_columns)]
        How far the probability falls without a patch, the lowest bands first; below 0 where it
        rises. The patches are equal parts of the image, to a band and a frame.
    """

    model: str
    genre: str
    probability: float
    start_s: float
    end_s: float
    image: Frames
    bands_hz: NDArray[np.float64]
    influence: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the image in 256 steps, as bytes in base64, band after band."""
        lowest, highest = self.image.min(), self.image.max()
        steps = np.rint((self.image.T - lowest) * (255 / (highest - lowest))).astype(np.uint8)
        return {
            "model": self.model,
            "genre": self.genre,
            "probability": self.probability,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "mel": {
                "rows": steps.shape[0],
                "columns": steps.shape[1],
                "hz": self.bands_hz.tolist(),
                "data": base64.b64encode(steps.tobytes()).decode(),
            },
            "influence": {
                "rows": self.influence.shape[0],
                "columns": self.influence.shape[1],
                "values": self.influence.tolist(),
            },
        }


def explain(classifier: Classifier, sound: Sound, *, start_s: float = 0.0) -> Explanation:
    """Find what spoke for the likeliest genre of the excerpt that begins at ``start_s``.

    The excerpt is as long as those that the model learned from, or ends with the sound.

    Raises
    ------
    UsageError
        If the model hears through an ear, which has no mel spectrogram to hide parts of, or the
        sound does not reach from before ``start_s`` to after it.
    FeatureError
        If the excerpt is silent, or too short for a frame.
    """
    spec = classifier.info.spec
    if spec.kind == "external":
        raise UsageError(
            f"{classifier.name}: expected a model of mel frames to see what spoke for its verdict, "
            f"got one that hears through the ear '{spec.name}'; choose another model."
        )
    length = spec.excerpt_samples
    longest = length + int(EXCERPT_TOLERANCE * length)
    piece: Waveform = np.zeros(0, dtype=np.float32)
    if 0 <= start_s < math.inf:
        piece = sound.excerpt(start_s, longest / spec.sample_rate_hz)
    if not piece.size:
        lasts = "" if sound.seconds is None else f", which lasts {clock(sound.seconds)}"
        raise UsageError(f"Expected a start within the sound{lasts}, got {start_s:g} s.")
    if piece.size >= longest:  # the sound goes on, else a rest is taken whole, as by `excerpts`
        piece = piece[:length]
    if is_silent(piece):
        raise FeatureError(f"Expected sound from {clock(start_s)} on, got silence.")
    image = mel_image(np.ascontiguousarray(piece), spec)  # (T, M)
    genre, probability = classifier.classify(frames=frames_of_image(image, spec)).ranked[0]

    def without(patch: tuple[slice, slice]) -> float:
        hidden = image.copy()
        hidden[patch] = image[:, patch[1]].mean(axis=0)
        return dict(classifier.classify(frames=frames_of_image(hidden, spec)).ranked)[genre]

    times, bands = _parts(len(image), COLUMNS), _parts(spec.n_mels, ROWS)
    falls = [[probability - without((time, band)) for time in times] for band in bands]
    return Explanation(
        model=classifier.name,
        genre=genre,
        probability=probability,
        start_s=start_s,
        end_s=start_s + piece.size / spec.sample_rate_hz,
        image=image,
        bands_hz=np.asarray(spec.mel_corners_hz[1:-1], dtype=np.float64),
        influence=np.array(falls),
    )


def _parts(length: int, n: int) -> list[slice]:
    """Equal parts, to one; as many as there are if they are fewer."""
    edges = np.linspace(0, length, min(n, length) + 1).round().astype(int).tolist()
    return [slice(first, end) for first, end in pairwise(edges)]
