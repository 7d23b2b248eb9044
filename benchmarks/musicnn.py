"""Compare the tags of musicnn, as ``ostinato fetch musicnn`` makes it, with published ones.

    python benchmarks/musicnn.py [--data ../shared/data] [--model FILE.onnx]

The tags of whole GTZAN tracks are compared with tag sequences that others computed with the
original network and another resampler: correlation over all tags and patches of a track, and the
mean and largest difference of a likelihood. Then the time for 30 s of sound, on one thread.

The sequences are two files ``*taggram.npz`` in ``musicnn`` below ``--data``, the tracks
``gtzan/audio/full/*.flac``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.audio import load_audio
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.features import frames
from ostinato.inference.ear import VECTORS, open_ear
from ostinato.inference.model_file import FRAMES
from ostinato.inference.musicnn import NAME, SPEC
from ostinato.inference.registry import fetched_path


def tagger(model: Path) -> Any:
    """Open the fetched ear, which gives roots of its tags, of any number of frames."""
    return open_ear(model).session


def tags_of(session: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the tags' likelihoods in the patches of a track [shape=(S, 50)]."""
    (roots,) = session.run([VECTORS], {FRAMES: image[None]})
    return np.asarray(roots[0] ** 2)


def compared(data: Path, session: Any) -> Iterator[tuple[str, float, float, float]]:
    """Give track, correlation, mean and largest difference for each track that both have."""
    corpus = load_tag_npz(data / "musicnn")
    published = dict(zip(corpus.ids, corpus.frames, strict=True))
    for path in sorted((data / "gtzan" / "audio" / "full").glob("*.flac")):
        if path.stem not in published:
            continue
        image = frames(load_audio(path, sample_rate_hz=SPEC.sample_rate_hz), SPEC)
        got = tags_of(session, image)
        wanted = published[path.stem][: len(got)] ** 2
        got = got[: len(wanted)]
        apart = np.abs(got - wanted)
        r = float(np.corrcoef(got.ravel(), wanted.ravel())[0, 1])
        yield path.stem, r, float(apart.mean()), float(apart.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--model", type=Path, default=fetched_path(NAME))
    options = parser.parse_args()
    session = tagger(options.model)
    rows = list(compared(options.data, session))
    for name, r, mean, largest in rows:
        print(f"{name:<16} r {r:.4f}   difference {mean:.4f}, at most {largest:.3f}")
    found = np.array([r for _, r, _, _ in rows])
    print(f"{len(rows)} tracks: r {found.min():.4f} to {found.max():.4f}, median ", end="")
    print(f"{np.median(found):.4f}")

    sound = np.random.default_rng(0).normal(size=30 * SPEC.sample_rate_hz).astype(np.float32) / 10
    times = []
    for _ in range(5):
        began = time.perf_counter()
        image = frames(sound, SPEC)
        of_frames = time.perf_counter() - began
        tags_of(session, image)
        times.append((of_frames, time.perf_counter() - began - of_frames))
    best = np.min(times, axis=0)
    print(f"30 s of sound, one thread: frames {best[0] * 1000:.0f} ms, network {best[1]:.2f} s")


if __name__ == "__main__":
    main()
