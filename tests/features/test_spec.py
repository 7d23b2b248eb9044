"""FeatureSpec: one name for one set of settings, in every process, and no wrong setting."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec

# One change of every setting that can be changed.
CHANGES: list[dict[str, Any]] = [
    {"kind": "log-mel"},
    {"sample_rate_hz": 44100},
    {"n_fft": 4096},
    {"hop_samples": 512},
    {"center": True},
    {"n_mels": 64},
    {"mel_scale": "htk"},
    {"mel_norm": "none"},
    {"fmin_hz": 20},
    {"fmax_hz": 8000},
    {"top_db": 60},
    {"scaling": "none"},
    {"excerpt_seconds": 10},
    {"n_coefficients": 20},
    {"kind": "external", "name": "tags", "width": 50},
    {"kind": "external", "name": "chords", "width": 50},
    {"kind": "external", "name": "tags", "width": 49},
    {"kind": "external", "name": "tags", "width": 50, "sha256": "0a" * 32},
]


def test_spec_survives_json_and_pickle() -> None:
    for changes in CHANGES:
        spec = FeatureSpec(**changes)
        assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec


def test_digest_is_the_same_in_every_process_and_version() -> None:
    """Caches and model files hold it: if this changes, they are all void. Then raise `version`."""
    assert FeatureSpec().digest() == "37cd78d6bc2086c0"


def test_digest_tells_every_setting_apart() -> None:
    names = {field.name for field in dataclasses.fields(FeatureSpec)} - {"window", "version"}
    assert {name for change in CHANGES for name in change} == names
    digests = {FeatureSpec(**change).digest() for change in [{}, *CHANGES]}
    assert len(digests) == 1 + len(CHANGES)


def test_frames_that_are_computed_here_have_neither_name_nor_width() -> None:
    """Not in their JSON either, which digests and model files are made of."""
    assert FeatureSpec().to_dict().keys().isdisjoint({"name", "width", "sha256"})
    for wrong in (
        {"name": "tags"},
        {"width": 50},
        {"kind": "external", "width": 50},
        {"kind": "external", "name": "tags"},
        {"kind": "external", "name": "tags", "width": 5.0},
        {"kind": "external", "name": 5, "width": 5},
        {"kind": "external", "name": "../tags", "width": 5},  # it becomes the name of a file
        {"kind": "external", "name": "tags", "width": 5, "sha256": "0a"},
        {"sha256": "0a" * 32},
    ):
        with pytest.raises(UsageError, match="external frames"):
            FeatureSpec(**wrong)


def test_whole_and_real_numbers_are_one_spec() -> None:
    whole, real = FeatureSpec(top_db=80, fmin_hz=0), FeatureSpec(top_db=80.0, fmin_hz=0.0)
    assert whole == real
    assert whole.digest() == real.digest()


def test_spec_in_words() -> None:
    assert FeatureSpec().describe() == "40 MFCC from 128 mel bands, every 77.5 ms"
    assert FeatureSpec(kind="log-mel", n_mels=64).describe() == "64 mel bands, every 77.5 ms"
    smooth = FeatureSpec(kind="log-mel-from-mfcc", hop_samples=512)
    tags = FeatureSpec(kind="external", name="tags", width=50, hop_samples=22050)
    assert tags.describe() == "50 tags, every 1000.0 ms"
    assert smooth.describe() == "128 mel bands smoothed by 40 MFCC, every 23.2 ms"


def test_width_of_a_frame() -> None:
    assert FeatureSpec().n_features == 40
    assert FeatureSpec(kind="log-mel").n_features == 128
    assert FeatureSpec(kind="log-mel-from-mfcc").n_features == 128
    assert FeatureSpec(kind="external", name="tags", width=50).n_features == 50


def test_log_mel_needs_no_coefficients() -> None:
    assert FeatureSpec(kind="log-mel", n_mels=20).n_features == 20
