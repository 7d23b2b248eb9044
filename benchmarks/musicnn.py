"""Compare musicnn, as ``ostinato fetch musicnn`` makes it, with the original, and time it.

    python benchmarks/musicnn.py --wheel musicnn-0.1.0-py3-none-any.whl [--data ../shared/data]

Needs PyTorch; without ``--wheel``, pip downloads it. All on one thread:

published
    The tags of whole GTZAN tracks against tag sequences that others computed with the original
    network and another resampler: correlation over all tags and patches of a track, and the mean
    and largest difference of a likelihood.
as written
    The graph against the network as its authors wrote it, in PyTorch, patch by patch: largest
    difference of a vector, and the verdicts of the head that ships, on every whole track.
time
    Processor time for 20 s of sound; the two take turns, and the ratio is the median of rounds.
memory
    Peak of a whole process of ``ostinato classify``.

The sequences are two files ``*taggram.npz`` in ``musicnn`` below ``--data``, the tracks
``gtzan/audio/full/*.flac``.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

for _pool in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ostinato.audio import load_audio
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.features import cut, frames
from ostinato.inference.ear import VECTORS, open_ear
from ostinato.inference.model_file import FRAMES, open_graph
from ostinato.inference.musicnn import (
    PATCH_FRAMES,
    PATCH_HOP,
    SPEC,
    Arrays,
    numbered,
)
from ostinato.inference.musicnn_wheel import downloaded_wheel, fetch_musicnn, read_wheel, weights
from ostinato.inference.registry import WEIGHTS

EXCERPT_FRAMES, ROUNDS = 1251, 12
HEAD = WEIGHTS / "musicnn-head.onnx"

Vectors = NDArray[np.float32]  # [shape=(S, 50)]


def tagger(ear: Path) -> Any:
    """Open the fetched ear."""
    return open_ear(ear).session


def vectors_of(session: Any, image: NDArray[np.float32]) -> Vectors:
    """Compute the roots of the tags' likelihoods in the patches of a track."""
    (vectors,) = session.run([VECTORS], {FRAMES: image[None]})
    return np.asarray(vectors[0])


def images(data: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Give name and frames of each whole track."""
    for path in sorted((data / "gtzan" / "audio" / "full").glob("*.flac")):
        yield path.stem, frames(load_audio(path, sample_rate_hz=SPEC.sample_rate_hz), SPEC)


def compared(data: Path, session: Any) -> Iterator[tuple[str, float, float, float]]:
    """Give track, correlation, mean and largest difference for each track that both have."""
    corpus = load_tag_npz(data / "musicnn")
    published = dict(zip(corpus.ids, corpus.frames, strict=True))
    for name, image in images(data):
        if name not in published:
            continue
        got = vectors_of(session, image) ** 2
        wanted = published[name][: len(got)] ** 2
        got = got[: len(wanted)]
        apart = np.abs(got - wanted)
        r = float(np.corrcoef(got.ravel(), wanted.ravel())[0, 1])
        yield name, r, float(apart.mean()), float(apart.max())


class AsWritten:
    """The network as its authors wrote it: every channel of every patch."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = {name: torch.from_numpy(x.copy()) for name, x in arrays.items()}

    def norm(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Normalise by the moments of the training."""
        gamma, beta, mean, variance = (
            self.arrays[f"{numbered('batch_normalization', i)}/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

    def conv(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Pad, convolve, rectify, normalise: (1, channels, P, width) -> (1, C, P, places)."""
        name = numbered("conv2d", i)
        kernel = self.arrays[f"{name}/kernel"].permute(3, 2, 0, 1)  # (C, 1, time, width)
        around = kernel.shape[2] - 1
        x = functional.pad(x, (0, 0, around // 2, around - around // 2))
        x = functional.conv2d(x, kernel, self.arrays[f"{name}/bias"])
        return self.norm(functional.relu(x), i + 1)

    def dense(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Multiply by a matrix, add a bias."""
        kernel, bias = (
            self.arrays[f"{numbered('dense', i)}/{part}"] for part in ("kernel", "bias")
        )
        return x @ kernel + bias

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.float32]) -> Vectors:
        """Compute the vectors of a track's frames (T, M)."""
        patches = torch.from_numpy(image).unfold(0, PATCH_FRAMES, PATCH_HOP).transpose(1, 2)
        return torch.cat([self.vector(patch[None, None]) for patch in patches]).numpy()

    def vector(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the vector of one patch (1, 1, P, M)."""
        x = self.norm(x, 0)
        x = torch.cat([self.conv(x, i).amax(dim=3) for i in range(5)], dim=1)  # (1, C, P)
        layers = [x]
        for i in (5, 6, 7):
            y = self.conv(layers[-1].transpose(1, 2)[:, None], i)[..., 0]
            layers.append(y if i == 5 else y + layers[-1])
        x = torch.cat(layers, dim=1)
        x = torch.stack([x.amax(dim=2), x.mean(dim=2)], dim=2).flatten(1)
        x = self.norm(functional.relu(self.dense(self.norm(x, 9), 0)), 10)
        return torch.sigmoid(self.dense(x, 1)).sqrt()


def told_apart(data: Path, session: Any, written: AsWritten) -> tuple[int, int, float, float]:
    """Count tracks, and same verdicts; largest difference of a vector and of a probability."""
    head = open_graph(HEAD)
    n, same, of_vectors, of_verdicts = 0, 0, 0.0, 0.0
    for _, image in images(data):
        both = vectors_of(session, image), written(image)
        probabilities = []
        for vectors in both:
            windows = cut(vectors, length=head.info.window_frames, hop=head.info.window_hop)
            logits = torch.from_numpy(head.run(windows)[0]) / head.info.temperature
            probabilities.append(logits.softmax(dim=1).mean(dim=0).numpy())
        n += 1
        same += int(probabilities[0].argmax() == probabilities[1].argmax())
        of_vectors = max(of_vectors, float(np.abs(both[0] - both[1]).max()))
        of_verdicts = max(of_verdicts, float(np.abs(probabilities[0] - probabilities[1]).max()))
    return n, same, of_vectors, of_verdicts


def timed(session: Any, written: AsWritten) -> NDArray[np.float64]:
    """Time frames, graph and the network as written, on 20 s of sound [s, shape=(rounds, 3)]."""
    n_samples = (EXCERPT_FRAMES - 1) * SPEC.hop_samples
    sound = np.random.default_rng(0).normal(size=n_samples).astype(np.float32) / 10
    image = frames(sound, SPEC)
    cases = (
        lambda: frames(sound, SPEC),
        lambda: vectors_of(session, image),
        lambda: written(image),
    )
    taken = np.zeros((ROUNDS, len(cases)))
    for i in range(ROUNDS):
        for j, case in enumerate(cases):
            began = time.process_time()
            case()
            taken[i, j] = time.process_time() - began
    return taken


def peak_mb(model: str, song: Path) -> float:
    """Peak memory of a process that classifies one song."""
    from listening import fresh  # beside this file

    return fresh("-m", "ostinato", "classify", "--model", model, str(song)).peak_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--wheel", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    wheel = options.wheel
    content = downloaded_wheel() if wheel is None else read_wheel(wheel)
    written = AsWritten(weights(content, source=str(wheel)))
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder, "wheel")
        wheel.write_bytes(content)
        session = tagger(fetch_musicnn(to=Path(folder), wheel=wheel))
        songs = sorted((options.data / "gtzan" / "audio" / "full").glob("*.flac"))
        head = shutil.copy(HEAD, folder)  # beside the ear that it hears through
        memory = peak_mb(head, songs[0])

    rows = list(compared(options.data, session))
    for name, r, mean, largest in rows:
        print(f"{name:<16} r {r:.4f}   difference {mean:.4f}, at most {largest:.3f}")
    found = np.array([r for _, r, _, _ in rows])
    print(
        f"published: {len(rows)} tracks, r {found.min():.4f} to {found.max():.4f}, median "
        f"{np.median(found):.4f}, {(found < 0.99).sum()} below 0.99"
    )
    n, same, of_vectors, of_verdicts = told_apart(options.data, session, written)
    print(
        f"as written: {same} of {n} verdicts the same, difference of a vector at most "
        f"{of_vectors:.0e}, of a genre's probability {of_verdicts:.0e}"
    )
    taken = timed(session, written)
    of_frames, of_graph, of_written = 1000 * taken.min(axis=0)
    ratio = np.median(taken[:, 2] / taken[:, 1])
    print(
        f"time: 20 s of sound, frames {of_frames:.0f} ms, network {of_graph:.0f} ms; as written "
        f"{of_written:.0f} ms, {ratio:.1f} times as long"
    )
    print(f"memory: {memory:.0f} MB")


if __name__ == "__main__":
    main()
