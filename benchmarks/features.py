"""How fast features are, against librosa and against the Fourier transform alone.

Run from the root of the repository, with the package and librosa installed (``.[dev]``)::

    python benchmarks/features.py
    python benchmarks/features.py --rounds 51 --starts 9

One 30 s excerpt of synthetic music (seeded) becomes 40 MFCC from 128 mel bands at hop 512 (1292
centred frames), on one thread. Compared are

ours
    ``ostinato.features.frames``, as the package computes it: checks, floor and standardising
    included.
librosa
    ``melspectrogram``, ``power_to_db`` and ``mfcc`` of librosa, after its warm-up (numba compiled,
    modules loaded).
plain NumPy/SciPy
    The same arithmetic written without care for the cache: whole arrays, a dense mel product.
bare FFT
    ``scipy.fft.rfft`` of the same frames, already cut and windowed, in float32: what cannot be
    avoided.

and, in fresh processes, the time from the start of Python to the first MFCC of ours and of librosa
(files already in the disk cache, numba's own cache already written).

The cases take turns within a round, so that other work on the machine disturbs all of them alike;
a ratio is the median over rounds of the ratio within a round. Printed are a table of times
(median, and the range of the middle half), the ratios with their targets and whether each is met,
and by how much the results differ. The exit status is 0 whether targets are met or not.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

# Read when the libraries are loaded, so before any of them is, here and in the fresh processes.
for _pool in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ostinato.features import FeatureSpec, Waveform, frames, mel_filterbank

SPEC = FeatureSpec(hop_samples=512, center=True)
IN_DECIBELS = FeatureSpec(hop_samples=512, center=True, scaling="none")

# The sound of the fresh processes: made without numpy.random, which would only be timed twice.
SOUND = """
import numpy as np
t = np.arange(661500, dtype=np.float32) / 22050
sound = (0.3 * np.sin(2765.0 * t) + 0.1 * np.sin(9000.0 * t * t)).astype(np.float32)
"""
STARTS = {
    "ours": SOUND
    + """
from ostinato.features import FeatureSpec, frames
frames(sound, FeatureSpec(hop_samples=512, center=True))
""",
    "librosa": SOUND
    + """
import librosa
power = librosa.feature.melspectrogram(y=sound, sr=22050, n_fft=2048, hop_length=512, n_mels=128)
librosa.feature.mfcc(S=librosa.power_to_db(power), n_mfcc=40)
""",
}

Times = dict[str, NDArray[np.float64]]


def music(seconds: float = 30.0, seed: int = 0) -> Waveform:
    """Decaying notes with overtones over quiet noise, 22 050 Hz."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SPEC.sample_rate_hz)) / SPEC.sample_rate_hz
    sound = 1e-3 * rng.standard_normal(t.size)
    for start in np.arange(0, seconds - 1, 0.5):
        first = int(start * SPEC.sample_rate_hz)
        since = t[: t.size - first]
        pitch_hz = rng.uniform(60, 1500)
        for overtone in range(1, 5):
            note = np.exp(-6 * since) * np.sin(2 * np.pi * overtone * pitch_hz * since)
            sound[first:] += rng.uniform(0.02, 0.2) / overtone * note
    return np.asarray(sound, dtype=np.float32)


def of_librosa(waveform: Waveform) -> NDArray[np.float32]:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=SPEC.sample_rate_hz,
        n_fft=SPEC.n_fft,
        hop_length=SPEC.hop_samples,
        n_mels=SPEC.n_mels,
    )
    decibels = librosa.power_to_db(power, top_db=SPEC.top_db)
    return np.asarray(librosa.feature.mfcc(S=decibels, n_mfcc=SPEC.n_coefficients)).T


def windowed(waveform: Waveform) -> NDArray[np.float32]:
    """Cut into frames, each times the window [shape=(n_frames, n_fft)]."""
    padded = np.pad(waveform, SPEC.n_fft // 2)
    window = np.hanning(SPEC.n_fft + 1)[:-1].astype(np.float32)
    return sliding_window_view(padded, SPEC.n_fft)[:: SPEC.hop_samples] * window


def plain(waveform: Waveform) -> NDArray[np.float32]:
    power = np.abs(scipy.fft.rfft(windowed(waveform))) ** 2
    decibels = 10 * np.log10(np.maximum(1e-10, power @ mel_filterbank(SPEC).T))
    floored = np.maximum(decibels, decibels.max() - SPEC.top_db)
    standardised = (floored - floored.mean()) / floored.std()
    return scipy.fft.dct(standardised, norm="ortho", axis=1)[:, : SPEC.n_coefficients]


def take_turns(cases: dict[str, Callable[[], Any]], rounds: int, *, untimed: int) -> Times:
    """Seconds of every case in every round; the first round warms up and is not counted.

    Within a round each case runs ``untimed`` times before it is timed, so that it finds the
    caches and the memory as it left them and not as the case before it did.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            for _ in range(untimed):
                case()
            begin = time.perf_counter()
            case()
            taken[name].append(time.perf_counter() - begin)
    return {name: np.array(times[1:]) for name, times in taken.items()}


def fresh(program: str) -> Callable[[], Any]:
    return lambda: subprocess.run([sys.executable, "-c", program], check=True)


def print_times(title: str, times: Times) -> None:
    print(f"\n{title:<46}{'median':>12}{'middle half':>22}")
    for name, seconds in times.items():
        low, median, high = np.percentile(1e3 * seconds, [25, 50, 75])
        print(f"  {name:<44}{median:>9.2f} ms{low:>12.2f} - {high:.2f} ms")


def print_target(what: str, ratio: float, target: float, *, at_least: bool) -> None:
    met = ratio >= target if at_least else ratio <= target
    bound = f"{'at least' if at_least else 'at most'} {target:g}"
    print(f"  {what:<44}{ratio:>9.2f} x{bound:>15}   {'met' if met else 'MISSED'}")


def median_ratio(times: Times, above: str, below: str) -> float:
    return float(np.median(times[above] / times[below]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Features against librosa and the bare FFT.")
    parser.add_argument("--rounds", type=int, default=31, help="of the warm cases (31)")
    parser.add_argument("--starts", type=int, default=5, help="of fresh processes (5)")
    choices = parser.parse_args()

    waveform = music()
    cut = windowed(waveform)
    warm = take_turns(
        {
            "ours": lambda: frames(waveform, SPEC),
            "librosa": lambda: of_librosa(waveform),
            "plain NumPy/SciPy": lambda: plain(waveform),
            "bare FFT": lambda: scipy.fft.rfft(cut),
        },
        choices.rounds,
        untimed=1,
    )
    start = take_turns(
        {name: fresh(program) for name, program in STARTS.items()}, choices.starts, untimed=0
    )

    print(f"{SPEC.describe()}; {len(cut)} frames; one thread")
    print(f"librosa {librosa.__version__}, NumPy {np.__version__}, SciPy {scipy.__version__}")
    print_times(f"A 30 s excerpt, warm ({choices.rounds} rounds)", warm)
    print_times(f"From process start to first MFCC ({choices.starts} rounds)", start)
    print(f"\n{'Ratio, median within a round':<46}{'measured':>11}{'target':>15}")
    print_target("librosa / ours, warm", median_ratio(warm, "librosa", "ours"), 2, at_least=True)
    print_target("ours / bare FFT", median_ratio(warm, "ours", "bare FFT"), 2, at_least=False)
    print_target(
        "librosa / ours, from start", median_ratio(start, "librosa", "ours"), 8, at_least=True
    )
    print(f"  {'plain / ours':<44}{median_ratio(warm, 'plain NumPy/SciPy', 'ours'):>9.2f} x")

    of_ours = np.abs(frames(waveform, IN_DECIBELS) - of_librosa(waveform)).max()
    print(f"\nLargest difference of an MFCC from librosa's, before standardising: {of_ours:.1e}")
    of_plain = np.abs(frames(waveform, SPEC) - plain(waveform)).max()
    print(f"Largest difference from the plain version, standardised: {of_plain:.1e}")


if __name__ == "__main__":
    main()
