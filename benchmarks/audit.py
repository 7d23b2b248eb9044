"""How the audit scales, and how many planted copies it finds.

Run from the root of the repository, with the package installed (``.[dev]``)::

    python benchmarks/audit.py                            1,000, 10,000 and 100,000 entries
    python benchmarks/audit.py --sizes 1000 10000
    python benchmarks/audit.py --plants ../shared/data --half report

**Scale.** The entries are surrogates of GTZAN tracks: the frames of two tracks, their Fourier
transforms over time given new random phases, the same ones for all coefficients [1]_, and added.
Each is a sound of its own with the timbre, rhythm and autocorrelation of real music. (Surrogates
of one track alone are alike: one held note in new phases is the same note.) Every hundredth is a
copy of the one before: shifted by 12.5 frames, a little noise on it. A fresh process audits each
size, one thread; the time taken to make the surrogates is left out. Printed are seconds, peak
memory, copies found and false pairs, and between two sizes the growth exponent: log(time ratio) /
log(size ratio), which is 1 for linear and 2 for quadratic growth.

**Plants.** From 61 whole tracks of GTZAN and 17 freely licensed recordings, copies are made in
:data:`RECIPES`, written as files and audited with their originals as a folder. Every second source
is for choosing (``--half choose``: the threshold was set there), the others are for reporting.
Printed are the recall of each recipe, and the false pairs: those of two different sources.

.. [1] J. Theiler et al., "Testing for nonlinearity in time series: the method of surrogate data",
       Physica D 58, 1992.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

for _pool in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import scipy.fft
import soundfile
import soxr
from numpy.random import Generator

from ostinato.audio import SAMPLE_RATE, Waveform, load_audio
from ostinato.datasets import Corpus, FrameCache, Recording
from ostinato.datasets.audit import audit_corpus, audit_folder
from ostinato.datasets.gtzan import load_gtzan
from ostinato.features import Frames

SIZES = (1_000, 10_000, 100_000)
COPY_EVERY = 100

# Scale -------------------------------------------------------------------------------------------


class Surrogates(Sequence[Frames]):
    """Frames of synthetic entries, made when they are asked for."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.seconds = 0.0
        self.sounding = False  # a corpus looks at the shape of all frames: no need to make them
        # 384 of the 387 frames: a length that transforms fast
        frames = np.stack(load_gtzan().frames)[:, :384]
        self.blank = frames[0]
        self.mean = frames.mean(axis=1, keepdims=True)
        self.spectra = scipy.fft.rfft(frames - self.mean, axis=1)

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, i: int) -> Frames: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Frames]: ...
    def __getitem__(self, i: int | slice) -> Frames | Sequence[Frames]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(self.n))]
        if i >= self.n:
            raise IndexError(i)
        if not self.sounding:
            return self.blank
        begin = time.perf_counter()
        is_copy = i % COPY_EVERY == COPY_EVERY - 1
        rng = np.random.default_rng(i - is_copy)
        a, b = rng.integers(len(self.spectra), size=2)
        turns = rng.random((2, self.spectra.shape[1], 1), dtype=np.float32)
        if is_copy:  # late by 12.5 frames
            turns -= np.arange(turns.shape[1], dtype=np.float32)[:, None] * np.float32(12.5 / 384)
        phases = np.exp(2j * np.pi * turns).astype(np.complex64)
        mixed = (self.spectra[a] * phases[0] + self.spectra[b] * phases[1]) * np.float32(0.7)
        made = scipy.fft.irfft(mixed, n=384, axis=0) + (self.mean[a] + self.mean[b]) / 2
        if is_copy:
            made += 0.1 * rng.standard_normal(made.shape, dtype=np.float32)
        self.seconds += time.perf_counter() - begin
        return np.asarray(made, dtype=np.float32)


def measure(n: int) -> dict[str, Any]:
    """Audit n surrogates in this process."""
    frames = Surrogates(n)
    recordings = [Recording(id=str(i), genre="none") for i in range(n)]
    corpus = Corpus(name="surrogates", source="", recordings=recordings, frames=frames,
                    spec=load_gtzan().spec)  # fmt: skip
    frames.sounding = True
    begin = time.perf_counter()
    result = audit_corpus(corpus)
    seconds = time.perf_counter() - begin - frames.seconds
    planted = {(i - 1, i) for i in range(COPY_EVERY - 1, n, COPY_EVERY)}
    found = {(int(pair.a), int(pair.b)) for pair in result.pairs}
    return {
        "n": n,
        "seconds": seconds,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "planted": len(planted),
        "found": len(planted & found),
        "false": len(found - planted),
    }


def scale(sizes: Sequence[int]) -> None:
    print(f"{'entries':>10}{'seconds':>10}{'ms each':>9}{'peak MiB':>10}{'copies found':>16}"
          f"{'false pairs':>13}{'growth':>9}")  # fmt: skip
    before: dict[str, Any] | None = None
    for n in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(n)], check=True, capture_output=True
        )
        row = json.loads(done.stdout)
        growth = ""
        if before:
            ratio = math.log(row["seconds"] / before["seconds"]) / math.log(n / before["n"])
            growth = f"{ratio:.2f}"
        print(f"{n:>10,}{row['seconds']:>10.2f}{1000 * row['seconds'] / n:>9.2f}{row['mib']:>10.0f}"
              f"{row['found']:>9} / {row['planted']:<4}{row['false']:>13}{growth:>9}",
              flush=True)  # fmt: skip
        before = row


# Plants ------------------------------------------------------------------------------------------

Recipe = Callable[[Waveform, Generator], tuple[Waveform, int, str]]
"""From a waveform and a random generator to samples, their rate in Hz, and a file's suffix."""


def trimmed(x: Waveform, rng: Generator) -> Waveform:
    """Up to 5 s less at both ends."""
    first, last = rng.uniform(0.3, 5), rng.uniform(0, 5)
    return x[int(first * SAMPLE_RATE) : x.size - int(last * SAMPLE_RATE)]


def late(x: Waveform, rng: Generator) -> Waveform:
    """Quiet noise of up to 4 s before the sound begins."""
    lead = rng.standard_normal(int(rng.uniform(0.3, 4) * SAMPLE_RATE), dtype=np.float32)
    return np.concatenate([np.float32(1e-3) * lead, x])


def faster(x: Waveform, factor: float) -> Waveform:
    """Speed and pitch changed together, as a turntable does."""
    return np.asarray(soxr.resample(x, SAMPLE_RATE * factor, SAMPLE_RATE))


def stretched(x: Waveform, factor: float) -> Waveform:
    """Speed changed, pitch kept."""
    from librosa.effects import time_stretch

    return np.asarray(time_stretch(x, rate=factor))


def at_16k(x: Waveform) -> Waveform:
    return np.asarray(soxr.resample(x, SAMPLE_RATE, 16_000))


def about(rng: Generator) -> float:
    """A speed between 2 % slower and 2 % faster."""
    return 1 + rng.uniform(-0.02, 0.02)


RECIPES: dict[str, Recipe] = {
    "mp3, 64 kbit/s": lambda x, _: (x, SAMPLE_RATE, "mp3"),
    "trimmed at both ends": lambda x, r: (trimmed(x, r), SAMPLE_RATE, "flac"),
    "late start": lambda x, r: (late(x, r), SAMPLE_RATE, "flac"),
    "12 dB softer": lambda x, _: (x / 4, SAMPLE_RATE, "flac"),
    "6 dB over full scale": lambda x, _: (2 * x / np.abs(x).max(), SAMPLE_RATE, "flac"),
    "16 kHz": lambda x, _: (at_16k(x), 16_000, "flac"),
    "speed +- 2 %": lambda x, r: (faster(x, about(r)), SAMPLE_RATE, "flac"),
    "tempo +- 2 %, pitch kept": lambda x, r: (stretched(x, about(r)), SAMPLE_RATE, "flac"),
    "pitch 2 %, tempo kept": lambda x, _: (
        stretched(faster(x, 1.02), 1 / 1.02), SAMPLE_RATE, "flac"),
    "trimmed, softer, mp3": lambda x, r: (trimmed(x, r) / 2, SAMPLE_RATE, "mp3"),
    "trimmed, 16 kHz, mp3": lambda x, r: (at_16k(trimmed(x, r)), 16_000, "mp3"),
    "trimmed, speed, mp3": lambda x, r: (faster(trimmed(x, r), about(r)), SAMPLE_RATE, "mp3"),
}  # fmt: skip


def write_mp3(path: Path, samples: Waveform, rate_hz: int) -> None:
    """64 kbit/s, mono."""
    import av

    pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz)
        stream.bit_rate, stream.layout, stream.format = 64_000, "mono", "s16p"
        for first in range(0, pcm.shape[1], 1152):
            block = np.ascontiguousarray(pcm[:, first : first + 1152])
            frame = av.AudioFrame.from_ndarray(block, format="s16p", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def sources(data: Path, half: str) -> list[Path]:
    """Every second file of each kind."""
    first = ("choose", "report").index(half)
    tracks = sorted((data / "gtzan" / "audio" / "full").glob("*.flac"))
    library = sorted((data / "library").iterdir())
    return [*tracks[first::2], *library[first::2]]


def plants(data: Path, half: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "music"
        folder.mkdir()
        for path in sources(data, half):
            sound = load_audio(path)
            rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
            soundfile.write(folder / f"{path.stem}~original.flac", sound, SAMPLE_RATE)
            for k, recipe in enumerate(RECIPES.values()):
                samples, rate_hz, suffix = recipe(sound, rng)
                samples = np.clip(samples, -1, 1).astype(np.float32)
                file = folder / f"{path.stem}~{k}.{suffix}"
                if suffix == "mp3":
                    write_mp3(file, samples, rate_hz)
                else:
                    soundfile.write(file, samples, rate_hz)
        result = audit_folder(folder, cache=FrameCache(Path(place) / "cache"), n_jobs=1)
    n_sources = len(sources(data, half))
    found: dict[str, list[float]] = {name: [] for name in RECIPES}
    false = 0
    for pair in result.pairs:
        (a, of_a), (b, of_b) = (Path(i).stem.rsplit("~", 1) for i in (pair.a, pair.b))
        false += a != b
        which = {of_a, of_b}
        if a == b and "original" in which:
            which.discard("original")
            found[list(RECIPES)[int(which.pop())]].append(pair.similarity)
    print(f"{n_sources} sources ({half}), {len(result.entries)} files\n")
    print(f"{'recipe':<28}{'recall':>9}{'':>10}{'similarity: least':>20}{'median':>9}")
    for name, alike in found.items():
        print(f"{name:<28}{100 * len(alike) / n_sources:>8.1f}%{len(alike):>5}/{n_sources:<4}"
              f"{min(alike, default=math.nan):>20.2f}{np.median(alike):>9.2f}")  # fmt: skip
    n_found, n_planted = sum(map(len, found.values())), n_sources * len(RECIPES)
    print(f"{'all':<28}{100 * n_found / n_planted:>8.1f}%{n_found:>5}/{n_planted}")
    print(f"\nfalse pairs: {false} among {len(result.entries)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description="The audit: how it scales, and what it finds.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="entries (1000 ...)")
    parser.add_argument("--plants", type=Path, help="the folder of research data")
    parser.add_argument("--half", choices=("choose", "report"), default="report")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    choices = parser.parse_args()
    if choices.measure:
        print(json.dumps(measure(choices.measure)))
    elif choices.plants:
        plants(choices.plants, choices.half)
    else:
        scale(choices.sizes)


if __name__ == "__main__":
    main()
