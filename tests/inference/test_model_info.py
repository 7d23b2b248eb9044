"""A model's metadata comes back as it was, and a damaged file is refused by name and field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ostinato.errors import DataError
from ostinato.features import FeatureSpec
from ostinato.inference.model_info import SCHEMA, ModelInfo

INFO = ModelInfo(
    family="residual-lstm",
    settings={"layers": 3, "dropout": 0.25, "direction": "both", "peepholes": False},
    genres=("blues", "jazz", "Ünlü müzik"),
    spec=FeatureSpec(kind="mfcc", n_coefficients=20),
    window_frames=128,
    window_hop=64,
    temperature=1.5,
    provenance={"data": "gtzan", "seed": 0, "training": {"epochs": 60}},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.json"


def refused(path: Path) -> str:
    """The sentence with which the file is refused; it names the file."""
    with pytest.raises(DataError) as caught:
        ModelInfo.load(path)
    text = str(caught.value)
    assert str(path) in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


def write(path: Path, **changes: Any) -> None:
    """Write the metadata with some fields changed; those that are ``...`` are left out."""
    values = INFO.to_dict() | changes
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))


class TestRoundTrip:
    def test_what_is_loaded_is_what_was_saved(self, path: Path) -> None:
        INFO.save(path)
        assert ModelInfo.load(path) == INFO

    def test_an_info_of_defaults(self, path: Path) -> None:
        info = replace(INFO, temperature=1.0, provenance={})
        info.save(path)
        assert ModelInfo.load(path) == info

    def test_the_file_is_plain_json_with_the_number_of_its_schema(self, path: Path) -> None:
        """So that a program in another language can read which genres the outputs are."""
        INFO.save(path)
        values = json.loads(path.read_text(encoding="utf-8"))
        assert values["schema"] == SCHEMA == 1
        assert values["genres"] == ["blues", "jazz", "Ünlü müzik"]
        assert values["spec"] == INFO.spec.to_dict()
        assert values == INFO.to_dict()

    def test_the_order_of_genres_is_kept(self, path: Path) -> None:
        """It is the order of the model's outputs."""
        info = replace(INFO, genres=("rock", "blues", "jazz"))
        info.save(path)
        assert ModelInfo.load(path).genres == ("rock", "blues", "jazz")

    def test_the_spec_that_frames_are_checked_against_is_the_same(self, path: Path) -> None:
        INFO.save(path)
        assert ModelInfo.load(path).spec.digest() == INFO.spec.digest()

    def test_fields_with_a_default_may_be_absent(self, path: Path) -> None:
        write(path, temperature=..., provenance=...)
        assert ModelInfo.load(path) == replace(INFO, temperature=1.0, provenance={})


class TestDamaged:
    def test_no_file(self, path: Path) -> None:
        assert "No such file" in refused(path)

    @pytest.mark.parametrize("content", [b"", b"{", b"weights", b"\xff\xfe{}"])
    def test_not_json(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        assert "not JSON" in refused(path)

    @pytest.mark.parametrize("content", ["{}", "[]", "3", '"model"', '{"schema": 2}'])
    def test_not_the_schema(self, path: Path, content: str) -> None:
        path.write_text(content)
        assert "expected model metadata of schema 1" in refused(path)

    @pytest.mark.parametrize(
        "name", ["family", "settings", "genres", "spec", "window_frames", "window_hop"]
    )
    def test_a_field_is_missing(self, path: Path, name: str) -> None:
        write(path, **{name: ...})
        assert f"lacks '{name}'" in refused(path)

    def test_a_field_that_nobody_knows(self, path: Path) -> None:
        """Whatever it means, this version would not do it."""
        write(path, colour="blue")
        assert "unknown field 'colour'" in refused(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("family", 3),
            ("settings", [1]),
            ("genres", "rock"),  # not the four genres r, o, c and k
            ("genres", []),
            ("genres", ["rock", "rock"]),
            ("genres", ["rock", 3]),
            ("genres", None),
            ("spec", "mfcc"),
            ("spec", None),
            ("window_frames", 0),
            ("window_frames", 128.0),
            ("window_frames", "128"),
            ("window_hop", True),
            ("temperature", 0),
            ("temperature", -1.0),
            ("temperature", float("nan")),
            ("temperature", float("inf")),
            ("temperature", "1"),
            ("temperature", 10**400),  # JSON has whole numbers that no float can be
            ("novelty_threshold", 10**400),
            ("provenance", "gtzan"),
        ],
    )
    def test_a_wrong_value(self, path: Path, name: str, value: Any) -> None:
        write(path, **{name: value})
        assert f"'{name}': expected" in refused(path)

    @pytest.mark.parametrize(
        "change", [{"n_mels": -1}, {"n_bands": 128}, {"kind": "chroma"}, {"fmin_hz": 10**400}]
    )
    def test_a_wrong_feature_setting_is_the_file_s_fault(
        self, path: Path, change: dict[str, Any]
    ) -> None:
        """The same value in a call would be a wrong call (exit status 2)."""
        write(path, spec=INFO.spec.to_dict() | change)
        assert next(iter(change)) in refused(path)

    @pytest.mark.parametrize(
        "name",
        ["sample_rate_hz", "n_fft", "hop_samples", "n_mels", "n_coefficients", "excerpt_seconds",
         "top_db", "width"],
    )  # fmt: skip
    def test_settings_that_would_fill_the_memory(self, path: Path, name: str) -> None:
        write(path, spec=INFO.spec.to_dict() | {name: 10**8})
        assert f"'{name}': expected at most" in refused(path)

    def test_a_wrong_value_is_refused_before_it_is_written(self) -> None:
        with pytest.raises(DataError, match=r"'temperature': expected a positive number .*, got 0"):
            replace(INFO, temperature=0.0)
