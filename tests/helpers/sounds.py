"""Sounds made of arithmetic: noises, tones, and something like music."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 22_050

Samples = NDArray[np.float32]


def not_music(*, seconds: float = 30.0, seed: int = 0) -> dict[str, Samples]:
    """Noises, tones, clicks and what machines say; each with a peak of 0.7."""
    random = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    white = random.normal(size=n)
    spectrum, bins = np.fft.rfft(white), np.maximum(np.arange(n // 2 + 1), 1)
    band = (bins * RATE_HZ / n > 1000) & (bins * RATE_HZ / n < 3000)
    tick = np.exp(-np.arange(441) / 88) * np.sin(2 * np.pi * 1500 * np.arange(441) / RATE_HZ)
    beats, clicks = np.zeros(n), np.zeros(n)
    beats[:: RATE_HZ // 2] = clicks[:: RATE_HZ // 2] = 1
    metronome = np.convolve(beats, tick)[:n]
    rain = np.zeros(n)
    rain[random.integers(0, n, int(130 * seconds))] = 1
    rain *= random.normal(size=n)
    made = {
        "white noise": white,
        "pink noise": np.fft.irfft(spectrum / np.sqrt(bins), n),
        "brown noise": np.fft.irfft(spectrum / bins, n),
        "a band of noise": np.fft.irfft(np.where(band, spectrum, 0), n),
        "a swelling noise": white * (1 + np.sin(2 * np.pi * 0.1 * t)),
        "rain": np.convolve(rain, np.exp(-np.arange(200) / 30), "same"),
        "a tone": np.sin(2 * np.pi * 440 * t),
        "a tone in noise": np.sin(2 * np.pi * 440 * t) + 0.02 * white,
        "a square wave": np.sign(np.sin(2 * np.pi * 220 * t)),
        "a dial tone": np.sin(2 * np.pi * 350 * t) + np.sin(2 * np.pi * 440 * t),
        "a sweep": np.sin(2 * np.pi * (50 * t + 7950 / (2 * seconds) * t**2)),
        "mains hum": sum(np.sin(100 * np.pi * h * t) / h for h in range(1, 8)) + 0.01 * white,
        "beeps": np.sin(2 * np.pi * 880 * t) * (t % 1 < 0.3),
        "a metronome": metronome,
        "a metronome in a room": metronome + 0.001 * white,
        "clicks": clicks,
    }
    return {name: (0.7 * y / np.abs(y).max()).astype(np.float32) for name, y in made.items()}


def speech(path: Path) -> bool:
    """Half a minute of read speech into a WAV file, where espeak-ng is installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        return False
    text = "The quick brown fox jumps over the lazy dog, and nobody knows what it was about. " * 8
    subprocess.run([program, "-w", str(path), text], check=True)
    return True


def music(seed: int, seconds: float = 14.0) -> Samples:
    """Notes with overtones at irregular times over quiet noise."""
    rng = np.random.default_rng(seed)
    sound = 1e-3 * rng.standard_normal(int(seconds * RATE_HZ))
    start = 0.0
    while start < seconds - 0.2:
        first = int(start * RATE_HZ)
        t = np.arange(min(sound.size - first, RATE_HZ)) / RATE_HZ
        pitch_hz, decay = rng.uniform(60, 2000), rng.uniform(2, 12)
        for overtone in range(1, 5):
            note = np.exp(-decay * t) * np.sin(2 * np.pi * overtone * pitch_hz * t)
            sound[first : first + t.size] += rng.uniform(0.02, 0.1) / overtone * note
        start += rng.uniform(0.05, 0.4)
    return np.asarray(sound, dtype=np.float32)


def tune(kind: int, seed: int, *, seconds: float = 4.0) -> Samples:
    """Something like music: notes of random pitch whose tempo and timbre are those of a kind."""
    random = np.random.default_rng([kind, seed])
    n, step = int(seconds * RATE_HZ), int(RATE_HZ * (0.5, 0.25, 0.125)[kind % 3])
    t = np.arange(step) / RATE_HZ
    notes = []
    for _ in range(-(-n // step)):
        pitch = 110 * (1 + kind) * 2 ** (random.integers(0, 12) / 12)
        harmonics = range(1, (2, 12, 5)[kind % 3])
        note = sum(np.sin(2 * np.pi * h * pitch * t) / h for h in harmonics)
        notes.append(note * np.exp(-t * (2, 12, 30)[kind % 3]))
    whole = np.concatenate(notes)[:n] + 0.02 * random.normal(size=n)
    return (0.5 * whole / np.abs(whole).max()).astype(np.float32)


def write_tune(path: Path, kind: int, seed: int, *, seconds: float = 4.0, **tags: str) -> Path:
    """Write a :func:`tune` as FLAC, with tags such as ``artist``."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, format="FLAC") as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(tune(kind, seed, seconds=seconds))
    return path
