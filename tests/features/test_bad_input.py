"""Features: sounds that have no frames, and settings that cannot be, refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ostinato.errors import OstinatoError, UsageError
from ostinato.features import (
    FeatureError,
    FeatureSpec,
    excerpts,
    frames,
    mfcc_from_log_mel,
    standardise,
)

DECIBELS: dict[str, Any] = {"kind": "log-mel", "scaling": "none"}
NOISE = (0.1 * np.random.default_rng(0).standard_normal(66150)).astype(np.float32)

BAD_SOUNDS: dict[str, tuple[Any, str]] = {
    "empty": (np.zeros(0, np.float32), "got none"),
    "short": (NOISE[:2047], "at least 2048 samples .* got 2047"),
    "stereo": (np.zeros((2, 44100), np.float32), r"one-dimensional .* \(2, 44100\)"),
    "float64": (np.zeros(44100), "float32 .* got float64"),
    "int16": (np.zeros(44100, np.int16), "float32 .* got int16"),
    "silent": (np.zeros(44100, np.float32), "44100 samples of 0"),
    "constant": (np.full(44100, 0.25, np.float32), "44100 samples of 0.25"),
    "NaN": (np.append(NOISE, np.float32(np.nan)), "NaN"),
    "infinite": (np.append(NOISE, np.float32(-np.inf)), "infinity"),
    "huge": (np.float32(1e30) * NOISE, "NaN, infinity or"),
    "far too quiet": (np.float32(1e-12) * NOISE, "silence, or far too quiet"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("waveform", "sentence"), BAD_SOUNDS.values(), ids=BAD_SOUNDS)
def test_a_sound_without_frames_is_refused(waveform: Any, sentence: str) -> None:
    with pytest.raises(FeatureError, match=sentence) as refused:
        frames(waveform, FeatureSpec())
    assert isinstance(refused.value, OstinatoError)
    assert refused.value.exit_status == 1
    assert str(refused.value).count("\n") == 0


def test_a_constant_sound_is_refused_in_decibels_too() -> None:
    with pytest.raises(FeatureError, match="samples that vary"):
        frames(np.zeros(44100, np.float32), FeatureSpec(**DECIBELS))


def test_a_sound_that_starts_constant_is_not_constant() -> None:
    waveform = np.concatenate([np.zeros(22050, np.float32), NOISE])
    assert np.isfinite(frames(waveform, FeatureSpec())).all()


def test_a_short_sound_has_centred_frames() -> None:
    assert frames(NOISE[:100], FeatureSpec(center=True)).shape == (1, 40)


def test_excerpts_refuses_stereo() -> None:
    with pytest.raises(FeatureError, match="one-dimensional"):
        excerpts(np.zeros((44100, 2), np.float32), FeatureSpec())


@pytest.mark.parametrize("image", [np.zeros((3, 4), np.float32), np.full((3, 4), np.nan)])
def test_standardise_refuses_an_image_without_content(image: Any) -> None:
    with pytest.raises(FeatureError, match="constant"):
        standardise(image)


@pytest.mark.parametrize("n_coefficients", [0, 41])
def test_mfcc_refuses_more_coefficients_than_bands(n_coefficients: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 40 coefficients.*got {n_coefficients}"):
        mfcc_from_log_mel(np.zeros((3, 40), np.float32), n_coefficients)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hop": 512}, "'hop' does not exist.*hop_samples"),
        ({"kind": "mel"}, "'kind': expected 'mfcc' or .* got 'mel'"),
        ({"window": "hamming"}, "'window': expected 'hann', got 'hamming'"),
        ({"mel_scale": "bark"}, "'mel_scale'"),
        ({"mel_norm": None}, "'mel_norm'"),
        ({"scaling": True}, "'scaling'"),
        ({"center": 1}, "'center': expected true or false, got 1"),
        ({"n_fft": 2048.0}, "'n_fft': expected a whole number"),
        ({"n_fft": 2047}, "'n_fft': expected an even number"),
        ({"n_mels": True}, "'n_mels': expected a whole number .* got True"),
        ({"n_mels": 0}, "'n_mels': expected a whole number of at least 1, got 0"),
        ({"n_fft": 256}, "'n_mels': expected few enough .* raise 'n_fft'"),
        ({"hop_samples": "512"}, "'hop_samples': .* got '512'"),
        ({"n_coefficients": 129}, "'n_coefficients': expected at most 128"),
        ({"top_db": "80"}, "'top_db': expected a finite number"),
        ({"top_db": -80}, "'top_db'"),
        ({"top_db": float("nan")}, "'top_db'"),
        ({"top_db": None}, "'top_db'"),
        ({"fmin_hz": -1}, "'fmin_hz'"),
        ({"fmin_hz": 12000}, "'fmin_hz': expected less than 11025"),
        ({"fmax_hz": 12000}, "'fmax_hz': expected at most 11025"),
        ({"excerpt_seconds": 0}, "'excerpt_seconds': expected at least 0.09288, one frame"),
        ({"version": 2}, "'version': expected 1"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        FeatureSpec.from_dict(wrong)
    assert refused.value.exit_status == 2


def test_frames_that_a_network_gives_are_not_computed_here() -> None:
    spec = FeatureSpec(kind="external", name="tags", width=50)
    with pytest.raises(UsageError, match="got 'tags', which an ear gives"):
        frames(NOISE, spec)


def test_only_mel_bands_are_compressed() -> None:
    with pytest.raises(UsageError, match="'scaling': expected standardise or none"):
        FeatureSpec(kind="mfcc", scaling="log-compress")
