"""What a part of a spectrogram should be hidden with, to see whether a model heeded it.

Run from the root of the repository, with GTZAN's audio or any folder of music::

    python benchmarks/occlusion.py --audio ../shared/data/gtzan/audio --tracks 30    # two minutes

Each track's patches are put in order by how far the probability of its genre falls when one of them
is hidden: by the means of its bands, by silence (the lowest cell of the image), or by the mean of
the image. Then the first fifth is hidden at once, in each of the three ways: a map that says what
the model heeds, and not what the hole looks like to it, lowers the probability by all of them.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato import Classifier
from ostinato.audio import find_audio, open_audio
from ostinato.features import frames_of_image, mel_image
from ostinato.inference.occlusion import COLUMNS, ROWS

WAYS = ("band means", "silence", "image mean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--tracks", type=int, default=30)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    model = Classifier.load(options.model)
    paths = random.Random(0).sample(sorted(find_audio(options.audio).paths), options.tracks)
    falls = np.mean([falls_of(model, path) for path in paths], axis=0)
    print(f"{options.model}, {len(paths)} tracks: the mean fall of the probability")
    print(f"{'in order by':14}" + "".join(f"{way:>14}" for way in WAYS) + f"{'mean':>14}")
    for name, row in zip((*WAYS, "chance"), falls, strict=True):
        print(f"{name:14}" + "".join(f"{fall:14.2f}" for fall in [*row, row.mean()]))


def falls_of(model: Classifier, path: Path) -> NDArray[np.float64]:
    """Falls by the order of patches, and by how they are hidden [shape=(4, 3)]."""
    spec = model.info.spec
    with open_audio(path, sample_rate_hz=spec.sample_rate_hz) as sound:
        image = mel_image(sound.excerpt(0.0, spec.excerpt_seconds), spec)
    fills = (
        np.broadcast_to(image.mean(axis=0), image.shape),
        np.full_like(image, image.min()),
        np.full_like(image, image.mean()),
    )
    owner = np.add.outer(
        np.arange(len(image)) * COLUMNS // len(image),
        np.arange(spec.n_mels) * ROWS // spec.n_mels * COLUMNS,
    )  # the patch of each cell
    genre, before = model.classify(frames=frames_of_image(image, spec)).ranked[0]

    def fall(patches: NDArray[np.intp], fill: NDArray[np.float32]) -> float:
        hidden = np.where(np.isin(owner, patches), fill, image)
        return before - dict(model.classify(frames=frames_of_image(hidden, spec)).ranked)[genre]

    n = ROWS * COLUMNS
    maps = [np.array([fall(np.array([i]), fill) for i in range(n)]) for fill in fills]
    maps.append(np.random.default_rng(0).random(n))
    firsts = [np.argsort(-falls)[: n // 5] for falls in maps]
    return np.array([[fall(first, fill) for fill in fills] for first in firsts])


if __name__ == "__main__":
    main()
