"""Augmented copies of a recording: pitch, tempo, equaliser, noise and MP3 artefacts.

A copy is made from the waveform, before frames are computed; its frames are cached as the
recording's are (:mod:`ostinato.datasets.augmented_copies`). It has the recording's genre and is in
the recording's part of a split: a model may learn from it, and is never judged on it
(:class:`ostinato.training.tracks.Tracks`).

The changes are drawn from the seed, the copy's number and the SHA-256 of the file alone, so every
process makes the same copy, and all excerpts of a recording change alike. Their order is that of
the world: music is played higher or faster, equalised, recorded with noise, compressed in the end.

Pitch, tempo, equaliser and noise are audiomentations' (the extra ``train``; of pitch and tempo
Signalsmith Stretch); MP3 is encoded by LAME and decoded by FFmpeg through PyAV, in memory.

References
----------
.. [1] J. Schlüter, T. Grill, "Exploring data augmentation for improved singing voice detection with
       neural networks", ISMIR 2015 (pitch shifting and time stretching help most).
.. [2] I. Jordal, audiomentations, https://github.com/iver56/audiomentations
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ostinato.audio import Waveform
from ostinato.errors import UsageError, require

_LARGEST = {"pitch": 12.0, "stretch": 1.0, "equaliser": 24.0, "noise": 1.0, "mp3": 1.0}
"""The strengths, and the largest value of each."""

_VERSION = 1  # raised where a strength changes its meaning: every copy is then made anew

_NOISE_RANGE_DB = 20.0  # the faintest noise of a copy is this far below the loudest
_STEEPEST_DB = 6.0  # fall of the noise's power an octave: 0 is white, 3 pink, 6 brown

# At 22 050 Hz 32 kbit/s cut at 8 kHz, 64 at 10. 24 and 16 cut at 5 to 6 kHz: a fifth of the bands
# is empty, and the frames differ from the recording's hardly less than another recording's do.
_KBPS = (32, 40, 48, 56, 64)
_MPEG1_HZ = 32_000  # from this sample rate on, MP3 begins at 32 kbit/s
_MP3_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True, kw_only=True)
class AudioAugmentation:
    """How many augmented copies a training recording has, and how much they differ from it.

    Attributes
    ----------
    pitch : float
        Largest shift, up or down, in semitones; at most 12.
    stretch : float
        Copies are played up to ``1 + stretch`` times as fast, or as slow; at most 1.
    equaliser : float
        Largest gain of each of seven bands, up or down, in dB; at most 24.
    noise : float
        Loudest noise, white to brown, as a share of the excerpt's level (RMS), at most 1: 0.1 is
        20 dB below it. A copy's noise is drawn between this and 20 dB less.
    mp3 : float
        Share of the copies that are encoded as MP3, at 32 to 64 kbit/s (from a sample rate of
        32 kHz on, at twice that), and decoded; at most 1.
    seed : int
        The seed of all draws.

    Raises
    ------
    UsageError
        If a setting is out of its range, or there are copies without a strength or the reverse.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    copies: int = 0
    pitch: float = 0.0
    stretch: float = 0.0
    equaliser: float = 0.0
    noise: float = 0.0
    mp3: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("copies", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"waveform.{name}: expected 0 or more, got {getattr(self, name)}.")
        for name, largest in _LARGEST.items():
            if not 0 <= getattr(self, name) <= largest:
                raise UsageError(
                    f"waveform.{name}: expected 0 to {largest:g}, got {getattr(self, name)}."
                )
        used = [name for name in _LARGEST if getattr(self, name)]
        if self.copies and not used:
            raise UsageError(
                f"waveform.copies: expected a strength above 0 of {', '.join(_LARGEST)}, got "
                f"none: {self.copies} copies would be the recording itself."
            )
        if used and not self.copies:
            raise UsageError(
                f"waveform.{used[0]}: expected waveform.copies of 1 or more beside it, got 0: "
                "without copies it has no effect."
            )

    def digest(self) -> str:
        """Short SHA-256 of how a copy is made, not of how many there are."""
        recipe = {name: float(getattr(self, name)) for name in _LARGEST}
        text = json.dumps([_VERSION, self.seed, recipe], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Describe in words: ``"3 copies (pitch by up to 2 semitones, 50 % through MP3)"``."""
        if not self.copies:
            return "no copies"
        told = {
            "pitch": f"pitch by up to {self.pitch:g} semitone{'' if self.pitch == 1 else 's'}",
            "stretch": f"tempo by up to {100 * self.stretch:g} %",
            "equaliser": f"seven bands by up to {self.equaliser:g} dB",
            "noise": f"noise up to {self.noise:g} of the sound's level",
            "mp3": f"{100 * self.mp3:g} % through MP3",
        }
        changes = ", ".join(words for name, words in told.items() if getattr(self, name))
        return f"{self.copies} {'copy' if self.copies == 1 else 'copies'} ({changes})"


NO_COPIES = AudioAugmentation()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The changes that make one copy."""

    semitones: float
    rate: float  # speed, relative to the recording's
    snr_db: float  # signal-to-noise ratio; infinite without noise
    fall_db: float  # fall of the noise's power an octave
    kbps: int | None  # bit rate of the MP3 at sample rates below 32 kHz; None for no MP3
    seeds: tuple[int, int]  # of the equaliser's gains and corners, and of the noise


def draw(settings: AudioAugmentation, *, sha256: str, number: int) -> Changes:
    """Draw the changes of a copy, counted from 1. Each strength scales a draw of its own only."""
    if number < 1:
        raise UsageError(f"Copies of a recording are counted from 1, got copy {number}.")
    sequence = np.random.SeedSequence([settings.seed, number, int(sha256, 16)])
    # All are drawn, whichever are used: a pitch stays the same where noise is turned off.
    u = np.random.default_rng(sequence).random(6)
    seeds = sequence.generate_state(2)
    loudest_db = -20 * math.log10(settings.noise) if settings.noise else math.inf
    return Changes(
        semitones=settings.pitch * (2 * u[0] - 1),
        rate=(1 + settings.stretch) ** (2 * u[1] - 1),
        snr_db=loudest_db + _NOISE_RANGE_DB * u[2],
        fall_db=_STEEPEST_DB * u[3],
        kbps=_KBPS[int(u[5] * len(_KBPS))] if u[4] < settings.mp3 else None,
        seeds=(int(seeds[0]), int(seeds[1])),
    )


def augment(
    waveform: Waveform,
    settings: AudioAugmentation,
    *,
    sample_rate_hz: int,
    sha256: str,
    number: int,
) -> Waveform:
    """Make one augmented copy of a waveform [shape=(about n_samples / rate,)], in [-1, 1].

    It is divided by its peak where that is above 1. A constant waveform (silence) is copied
    unchanged. ``sha256`` is the hash of the recording's file; copies are counted from 1.

    Raises
    ------
    UsageError, MissingExtraError
        As :func:`check_can_augment`; if the waveform is not one-dimensional float32, or ``number``
        is below 1.
    """
    if waveform.ndim != 1 or waveform.dtype != np.float32 or not waveform.size:
        raise UsageError(
            "Waveform: expected a one-dimensional array of float32 (mono), one sample or more, got "
            f"{waveform.dtype} of shape {waveform.shape}."
        )
    drawn = draw(settings, sha256=sha256, number=number)
    check_can_augment(settings, sample_rate_hz=sample_rate_hz)
    copy = waveform.copy()
    if not np.ptp(copy) > 0:
        return copy
    for transform, seed in _transforms(settings, drawn):
        with _seeded(seed):
            copy = transform(copy, sample_rate_hz)
    copy = _within_range(copy)
    if drawn.kbps is not None:
        kbps = drawn.kbps * (2 if sample_rate_hz >= _MPEG1_HZ else 1)
        copy = _within_range(through_mp3(copy, sample_rate_hz=sample_rate_hz, kbps=kbps))
    return np.ascontiguousarray(copy, dtype=np.float32)


def _transforms(settings: AudioAugmentation, drawn: Changes) -> list[tuple[Any, int]]:
    """The transforms of audiomentations that make a copy, in order, and the seed of each."""
    sounds = _audiomentations()
    s, rate, gain = drawn.semitones, drawn.rate, settings.equaliser
    snr, fall = drawn.snr_db, -drawn.fall_db
    transforms: list[tuple[Any, int]] = []
    # Each draws from a range; one of a single value leaves what was drawn above.
    if settings.pitch:
        transforms.append((sounds.PitchShift(s, s, p=1.0), 0))
    if settings.stretch:
        transforms.append((sounds.TimeStretch(rate, rate, leave_length_unchanged=False, p=1.0), 0))
    if gain:
        transforms.append((sounds.SevenBandParametricEQ(-gain, gain, p=1.0), drawn.seeds[0]))
    if settings.noise:
        transforms.append((sounds.AddColorNoise(snr, snr, fall, fall, p=1.0), drawn.seeds[1]))
    return transforms


def check_can_augment(settings: AudioAugmentation, *, sample_rate_hz: int) -> None:
    """Check that copies can be made, before hours of computing.

    Raises
    ------
    UsageError
        If MP3 is asked for and does not support the sample rate.
    MissingExtraError
        If audiomentations is not installed.
    """
    if settings.mp3 and sample_rate_hz not in _MP3_HZ:
        raise UsageError(
            f"waveform.mp3: expected a sample rate that MP3 supports, "
            f"{', '.join(map(str, _MP3_HZ))} Hz, got {sample_rate_hz}: set it to 0."
        )
    _audiomentations()


def _audiomentations() -> Any:
    return require("audiomentations", extra="train", needed_for="Augmenting audio")


def through_mp3(waveform: Waveform, *, sample_rate_hz: int, kbps: int) -> Waveform:
    """Encode a waveform as MP3 and decode it, in memory [same shape]."""
    from av import AudioFrame, CodecContext

    encoder = CodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format = sample_rate_hz, "mono", "fltp"
    encoder.bit_rate, encoder.time_base = kbps * 1000, Fraction(1, sample_rate_hz)
    frame = AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = sample_rate_hz, 0
    decoder: Any = CodecContext.create("mp3float", "r")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    blocks = [f.to_ndarray()[0] for p in [*packets, None] for f in decoder.decode(p)]
    # The encoder records the silence it adds at both ends, and the decoder removes it.
    decoded = np.concatenate(blocks)[: waveform.size]
    return np.pad(decoded, (0, waveform.size - decoded.size))


def _within_range(waveform: Waveform) -> Waveform:
    """Divide by the peak where it is above 1."""
    peak = max(waveform.max(), -waveform.min())
    return waveform / peak if peak > 1 else waveform


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global random numbers, which audiomentations draws from; restore them after."""
    kept, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)  # noqa: NPY002
