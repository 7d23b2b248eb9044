"""Features: against librosa, and by their properties. Bad input has a file of its own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.fft
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.features import (
    FeatureSpec,
    Frames,
    Waveform,
    excerpts,
    frames,
    log_mel_from_mfcc,
    mel_filterbank,
    mfcc_from_log_mel,
    standardise,
)
from scripts.build_gtzan_frames import frames_at

DECIBELS: dict[str, Any] = {"kind": "log-mel", "scaling": "none"}
TOLERANCE_DB = 1e-3

# Settings that take every branch: both hops, centred or not, bands, scales, norms, ranges, lengths.
SPECS: dict[str, dict[str, Any]] = {
    "default": {},
    "centred": {"center": True},
    "contiguous": {"hop_samples": 512, "center": True},
    "40 bands": {"n_mels": 40, "n_coefficients": 20},
    "64 bands, htk": {"n_mels": 64, "mel_scale": "htk", "hop_samples": 512},
    "no norm": {"mel_norm": "none", "center": True},
    "htk, no norm": {"mel_scale": "htk", "mel_norm": "none"},
    "range": {"fmin_hz": 50, "fmax_hz": 8000.0, "n_mels": 96},
    "short transform": {"n_fft": 1024, "hop_samples": 441, "n_mels": 64, "center": True},
    "long transform": {"n_fft": 4096, "hop_samples": 1024},
    "not a power of two": {"n_fft": 2000, "hop_samples": 500, "center": True},
    "16 kHz": {"sample_rate_hz": 16000, "n_fft": 1024, "hop_samples": 160, "n_mels": 80},
    "60 dB": {"top_db": 60, "center": True},
}


def music(seconds: float = 3.0, rate_hz: int = 22050, seed: int = 0) -> Waveform:
    """Decaying notes with overtones over quiet noise: loud and quiet bands, onsets, pauses."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    t = np.arange(n) / rate_hz
    sound = 1e-3 * rng.standard_normal(n)
    for _ in range(12):
        start, pitch_hz = rng.uniform(0, 0.9 * seconds), rng.uniform(60, 1500)
        since = np.maximum(t - start, 0)
        envelope = np.where(t >= start, np.exp(-6 * since), 0)
        for overtone in range(1, 6):
            phase = 2 * np.pi * overtone * pitch_hz * since
            sound += rng.uniform(0.02, 0.2) / overtone * envelope * np.sin(phase)
    return sound.astype(np.float32)


def librosa_log_mel(waveform: Waveform, spec: FeatureSpec) -> Frames:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        hop_length=spec.hop_samples,
        window=spec.window,
        center=spec.center,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        htk=spec.mel_scale == "htk",
        norm=None if spec.mel_norm == "none" else spec.mel_norm,
    )
    return np.asarray(librosa.power_to_db(power, top_db=spec.top_db)).T


def test_there_are_settings_to_compare() -> None:
    assert len(SPECS) > 10


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS)
def test_log_mel_is_librosas(changes: dict[str, Any]) -> None:
    spec = FeatureSpec(**{**changes, **DECIBELS})
    waveform = music(rate_hz=spec.sample_rate_hz)
    expected = librosa_log_mel(waveform, spec)
    got = frames(waveform, spec)
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < TOLERANCE_DB


@pytest.mark.parametrize("gain", [1.0, 1e-3, 0.0])
def test_compressed_mel_power_is_librosas(gain: float) -> None:
    """Loud sound, quiet sound, and silence after a click: there is no floor."""
    spec = FeatureSpec(
        kind="log-mel", sample_rate_hz=16000, n_fft=512, hop_samples=256, center=True, n_mels=96,
        scaling="log-compress",
    )  # fmt: skip
    waveform = np.float32(gain) * music(rate_hz=16000)
    waveform[0] = 1.0
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16000, n_fft=512, hop_length=256, n_mels=96
    )
    expected = np.log10(10_000 * power.T + 1)
    got = frames(waveform, spec)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-4


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS)
def test_mfcc_is_librosas(changes: dict[str, Any]) -> None:
    spec = FeatureSpec(**{**changes, "kind": "mfcc", "scaling": "none"})
    waveform = music(rate_hz=spec.sample_rate_hz, seed=1)
    image = librosa_log_mel(waveform, spec).T
    expected = librosa.feature.mfcc(S=image, n_mfcc=spec.n_coefficients, dct_type=2, norm="ortho").T
    # orthonormal: an error of 1e-3 dB in every cell is at most this in a coefficient
    tolerance = TOLERANCE_DB * np.sqrt(spec.n_mels)
    assert np.abs(frames(waveform, spec) - expected).max() < tolerance


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS)
def test_mel_filterbank_is_librosas(changes: dict[str, Any]) -> None:
    spec = FeatureSpec(**changes)
    expected = librosa.filters.mel(
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        htk=spec.mel_scale == "htk",
        norm=None if spec.mel_norm == "none" else "slaney",
    )
    bank = mel_filterbank(spec)
    assert bank.shape == (spec.n_mels, 1 + spec.n_fft // 2)
    np.testing.assert_allclose(bank, expected, atol=1e-6 * expected.max())


def test_mel_filterbank_is_shared_and_cannot_be_spoilt() -> None:
    assert mel_filterbank(FeatureSpec()) is mel_filterbank(FeatureSpec())
    with pytest.raises(ValueError, match="read-only"):
        mel_filterbank(FeatureSpec())[0, 0] = 1


def test_real_music_is_librosas(shared_data: Any) -> None:
    tracks = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[::16]
    assert len(tracks) >= 3
    for track in tracks:
        waveform, rate_hz = soundfile.read(track, dtype="float32")
        for changes in ({}, {"hop_samples": 512, "center": True}):
            spec = FeatureSpec(sample_rate_hz=rate_hz, **changes, **DECIBELS)
            difference = frames(waveform, spec) - librosa_log_mel(waveform, spec)
            assert np.abs(difference).max() < TOLERANCE_DB, track.name


def test_published_gtzan_frames_are_reproduced(shared_data: Any) -> None:
    """The places of data/README.md; the images are known up to scale and offset only."""
    published = np.load(shared_data / "gtzan" / "mel128.npz")
    rows = {str(name): row for row, name in enumerate(published["track_id"])}
    images = published["mel"]
    tracks = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[::8]
    assert len(tracks) >= 6
    for track in tracks:
        waveform, _ = soundfile.read(track, dtype="float32")
        n_frames = 1 + len(waveform) // 512
        columns = np.floor((np.arange(387) + 0.5) * n_frames / 387.5).astype(int)
        log_mel = frames_at(waveform, 512 * columns, FeatureSpec(**DECIBELS))
        expected = standardise(images[rows[track.stem]].T)
        error_db = np.abs(standardise(log_mel) - expected).mean() * log_mel.std()
        assert error_db <= 0.3, track.name


# --- frames: number, place, scale -------------------------------------------------------------


def test_thirty_seconds_are_387_frames_of_32() -> None:
    assert frames(music(30), FeatureSpec()).shape == (387, 40)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2048, 9000), hop=st.integers(1, 3000), center=st.booleans())
def test_number_of_frames(n: int, hop: int, center: bool) -> None:
    spec = FeatureSpec(hop_samples=hop, center=center)
    expected = 1 + n // hop if center else 1 + (n - 2048) // hop
    assert frames(music()[:n], spec).shape == (expected, 40)


def test_one_frame_is_enough() -> None:
    assert frames(music()[10000:12048], FeatureSpec()).shape == (1, 40)


def test_without_a_first_hop_the_frames_move_up() -> None:
    spec = FeatureSpec(hop_samples=700, **DECIBELS)
    waveform = music()
    # top_db 80 is kept out of this: the two excerpts may differ in their loudest cell
    spec = dataclasses.replace(spec, top_db=200)
    later = frames(waveform[700:], spec)
    np.testing.assert_allclose(later, frames(waveform, spec)[1:], atol=TOLERANCE_DB)


def test_frames_at_every_place_are_the_centred_frames() -> None:
    spec = FeatureSpec(hop_samples=512, center=True)
    expected = frames(music(), spec)
    np.testing.assert_allclose(
        frames_at(music(), 512 * np.arange(len(expected)), spec), expected, atol=1e-4
    )


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.05, 20), kind=st.sampled_from(["mfcc", "log-mel", "log-mel-from-mfcc"]))
def test_loudness_leaves_standardised_frames_alone(gain: float, kind: Any) -> None:
    spec = FeatureSpec(kind=kind)
    waveform = music(1)
    louder = (np.float32(gain) * waveform).astype(np.float32)
    np.testing.assert_allclose(frames(louder, spec), frames(waveform, spec), atol=1e-3)


def test_cells_are_raised_to_the_floor() -> None:
    for top_db in (30.0, 80.0):
        image = frames(music(), FeatureSpec(top_db=top_db, **DECIBELS))
        assert image.max() - image.min() == pytest.approx(min(top_db, np.ptp(image)), abs=1e-4)
        assert image.min() >= image.max() - top_db - 1e-4


def test_power_below_1e_10_is_minus_100_db() -> None:
    quiet = (1e-9 * music()).astype(np.float32)
    assert frames(quiet, FeatureSpec(**DECIBELS)).min() == pytest.approx(-100)


def test_the_hundredth_call_gives_what_the_first_gave() -> None:
    """Blocks and caches hold no state; the waveform is not written to."""
    waveform = music()
    before = waveform.copy()
    first = frames(waveform, FeatureSpec())
    kept = first.copy()
    frames(music(seed=5), FeatureSpec())
    np.testing.assert_array_equal(frames(waveform, FeatureSpec()), kept)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(waveform, before)


def test_a_read_only_or_strided_waveform_serves() -> None:
    stereo = np.stack([music(), music(seed=2)], axis=1)
    stereo.flags.writeable = False
    np.testing.assert_array_equal(
        frames(stereo[:, 0], FeatureSpec()), frames(music(), FeatureSpec())
    )


# --- standardising and the DCT ------------------------------------------------------------------


def test_standardised_image_has_mean_0_and_deviation_1() -> None:
    image = frames(music(), FeatureSpec(kind="log-mel"))
    assert image.mean(dtype=np.float64) == pytest.approx(0, abs=1e-5)
    assert image.std(dtype=np.float64) == pytest.approx(1, abs=1e-5)


def test_standardising_undoes_scale_and_offset() -> None:
    """Why the published images can be used, though their range is unknown."""
    image = frames(music(), FeatureSpec(**DECIBELS))
    np.testing.assert_allclose(standardise(image / 80 + 3), standardise(image), atol=1e-4)


def test_standardise_takes_bytes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 16), dtype=np.uint8)
    got = standardise(image)  # type: ignore[arg-type]
    np.testing.assert_allclose(got, (image - image.mean()) / image.std(), atol=1e-5)


def test_mfcc_is_scipys_orthonormal_dct() -> None:
    image = np.random.default_rng(0).standard_normal((30, 128)).astype(np.float32)
    expected = scipy.fft.dct(image.astype(np.float64), type=2, norm="ortho", axis=1)[:, :32]
    np.testing.assert_allclose(mfcc_from_log_mel(image, 32), expected, atol=1e-5)


def test_all_coefficients_give_the_image_back() -> None:
    image = np.random.default_rng(0).standard_normal((30, 64)).astype(np.float32)
    back = log_mel_from_mfcc(mfcc_from_log_mel(image, 64), 64)
    np.testing.assert_allclose(back, image, atol=1e-5)


def test_smoothed_image_has_the_mfcc_it_was_made_from() -> None:
    waveform = music()
    mfcc = frames(waveform, FeatureSpec())
    smooth = frames(waveform, FeatureSpec(kind="log-mel-from-mfcc"))
    assert smooth.shape == (len(mfcc), 128)
    np.testing.assert_allclose(mfcc_from_log_mel(smooth, 40), mfcc, atol=1e-4)


def test_the_zeroth_mfcc_is_the_level() -> None:
    """The DC component of an orthonormal DCT: the mean over bands times their square root."""
    image = frames(music(), FeatureSpec(kind="log-mel"))
    mfcc = frames(music(), FeatureSpec())
    np.testing.assert_allclose(mfcc[:, 0], image.mean(axis=1) * np.sqrt(128), atol=1e-4)


# --- excerpts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, [(0, 0.5)]),
        (30, [(0, 30)]),
        (30.65, [(0, 30.65)]),  # the longest GTZAN track
        (31.5, [(0, 31.5)]),
        (31.6, [(0, 30), (1.6, 31.6)]),
        (60, [(0, 30), (30, 60)]),
        (61, [(0, 30), (30, 61)]),
        (75, [(0, 30), (30, 60), (45, 75)]),
    ],
)
def test_excerpts(seconds: float, expected: list[tuple[float, float]]) -> None:
    spec = FeatureSpec(sample_rate_hz=1000, n_fft=512, n_mels=20, n_coefficients=13)
    waveform = np.arange(round(1000 * seconds), dtype=np.float32)
    pieces = excerpts(waveform, spec)
    assert [(piece[0], piece[-1] + 1) for piece in pieces] == [
        (1000 * first, 1000 * last) for first, last in expected
    ]


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 20000))
def test_every_sample_is_heard_and_no_excerpt_is_short(n: int) -> None:
    spec = FeatureSpec(
        sample_rate_hz=1000, n_fft=512, n_mels=20, n_coefficients=13, excerpt_seconds=2
    )
    pieces = excerpts(np.arange(n, dtype=np.float32), spec)
    assert np.array_equal(np.unique(np.concatenate(pieces)), np.arange(n))
    assert pieces[-1][-1] == n - 1
    assert all(min(n, 2000) <= len(piece) <= 2100 for piece in pieces)
    assert all(len(piece) == 2000 for piece in pieces[:-1])


# --- starting fast ----------------------------------------------------------------------------


def run(program: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_importing_features_is_light() -> None:
    """A first MFCC must not wait for what it does not use."""
    program = (
        "import sys, ostinato.features.frames; print(*(name for name in "
        "('torch', 'scipy.signal', 'scipy.sparse', 'librosa', 'soundfile', 'av', 'rich')"
        " if name in sys.modules))"
    )
    assert run(program) == ""
