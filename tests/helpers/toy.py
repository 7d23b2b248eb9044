"""A small corpus whose genres can be told apart, and settings that learn it in a second."""

from __future__ import annotations

import numpy as np

from ostinato.datasets import Corpus, Recording
from ostinato.features import FeatureSpec
from ostinato.training.settings import TrainingSettings

SPEC = FeatureSpec(n_coefficients=4)
QUICK = TrainingSettings(
    epochs=4, batch_size=8, window_frames=24, window_hop=12, curve_every=2, averaging=0.5
)


def toy_corpus(
    n_genres: int = 3, per_genre: int = 10, *, n_frames: int = 40, seed: int = 0
) -> Corpus:
    """Each genre has a mean of its own; two tracks an artist; lengths differ a little."""
    random = np.random.default_rng(seed)
    recordings, frames = [], []
    for g in range(n_genres):
        mean = random.normal(size=4) * 2
        for i in range(per_genre):
            recordings.append(
                Recording(id=f"g{g}.{i:03d}", genre=f"g{g}", artist=f"artist {g}-{i // 2}")
            )
            length = n_frames + int(random.integers(0, 5))
            frames.append((mean + random.normal(size=(length, 4))).astype(np.float32))
    return Corpus(name="toy", source="made up", recordings=recordings, frames=frames, spec=SPEC)
