"""An ear: its vectors against NumPy, and files that are none, which nobody trusts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ostinato import features
from ostinato.errors import DataError
from ostinato.features import FeatureError, FeatureSpec
from ostinato.inference.ear import open_ear
from ostinato.inference.model_file import open_graph
from tests.helpers.graphs import EAR, EARS_SPEC, FRAMES_EAR, ear_bytes, ear_weight, toy_bytes


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sound(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(size=n).astype(np.float32) / 10


def expected(about: dict[str, Any], waveform: np.ndarray) -> np.ndarray:
    """What the toy ear gives, in NumPy."""
    x = waveform[:, None] if about["spec"] is None else features.frames(waveform, EARS_SPEC)
    weight = ear_weight(about)
    if len(x) < weight.shape[1]:
        x = np.concatenate([x] * weight.shape[1])[: max(weight.shape[1], len(x))]
    stride = about["hop_samples"] if about["spec"] is None else 2
    views = sliding_window_view(x, weight.shape[1], axis=0)[::stride]  # (steps, features, places)
    return np.tanh(np.einsum("sfp,wpf->sw", views, weight))


class TestVectors:
    @pytest.mark.parametrize("about", [EAR, FRAMES_EAR], ids=["of sound", "of frames"])
    @pytest.mark.parametrize("n_samples", [700, 2762, 9_000, 40_123])
    def test_are_those_of_the_network(self, tmp_path, about, n_samples: int) -> None:
        """Also where the sound is shorter than one vector hears, and repeated to fill it."""
        ear = open_ear(written(tmp_path / "toy-ear.onnx", ear_bytes(about)))
        waveform = sound(n_samples)
        got = ear.frames(waveform)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected(about, waveform), atol=1e-5)
        assert len(got) == (1 if n_samples <= 1000 else len(expected(about, waveform)))

    def test_their_spec_says_which_file_gave_them(self, tmp_path) -> None:
        content = ear_bytes()
        ear = open_ear(written(tmp_path / "toy-ear.onnx", content))
        sha256 = hashlib.sha256(content).hexdigest()
        assert ear.spec == FeatureSpec(
            kind="external", name="toy-ear", width=3, sample_rate_hz=8000, n_fft=1000,
            hop_samples=500, sha256=sha256,
        )  # fmt: skip
        assert ear.spec.describe() == f"3 toy-ear (ear {sha256[:12]}), every 62.5 ms"
        assert FeatureSpec.from_dict(ear.spec.to_dict()) == ear.spec
        assert ear.spec.digest() != replace(ear.spec, sha256="").digest()

    def test_one_vector_may_hear_ten_seconds(self, tmp_path) -> None:
        """And an odd number of samples: no Fourier transform is as long as that."""
        about = EAR | {"sample_rate_hz": 48_000, "heard_samples": 480_001, "hop_samples": 240_000}
        ear = open_ear(written(tmp_path / "e.onnx", ear_bytes(about)))
        assert ear.frames(sound(48_000 * 20)).shape == (2, 3)

    def test_a_sound_without_content_has_none(self, tmp_path) -> None:
        for about in (EAR, FRAMES_EAR):
            ear = open_ear(written(tmp_path / "e.onnx", ear_bytes(about)))
            with pytest.raises(FeatureError, match="samples that vary"):
                ear.frames(np.zeros(8000, np.float32))
            with pytest.raises(FeatureError, match="Waveform: expected a one-dimensional"):
                ear.frames(np.zeros((8000, 2), np.float32))


class TestRefused:
    def refused(self, path: Path) -> str:
        with pytest.raises(DataError) as error:
            open_ear(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_a_file_that_is_not_there(self, tmp_path) -> None:
        assert "Cannot read the ear" in self.refused(tmp_path / "none.onnx")

    @pytest.mark.parametrize("content", [b"", b"no graph", ear_bytes()[:300]])
    def test_another_or_a_damaged_file(self, tmp_path, content: bytes) -> None:
        self.refused(written(tmp_path / "e.onnx", content))

    def test_a_model_given_as_an_ear_and_the_reverse(self, tmp_path) -> None:
        said = self.refused(written(tmp_path / "model.onnx", toy_bytes()))
        assert "expected an ear (docs/guide/ears.md), got a model" in said
        with pytest.raises(DataError, match=r"expected a model .*, got an ear, which only hears"):
            open_graph(written(tmp_path / "e.onnx", ear_bytes()))

    def test_a_graph_without_metadata(self, tmp_path) -> None:
        said = self.refused(written(tmp_path / "e.onnx", ear_bytes(metadata=None)))
        assert "got an ONNX graph without the metadata 'ostinato-ear'" in said

    @pytest.mark.parametrize(
        ("about", "said"),
        [
            ("{", "expected JSON"),
            ("[1]", "expected the keys heard_samples, hop_samples, licence"),
            (EAR | {"more": 1}, "expected the keys"),
            ({k: v for k, v in EAR.items() if k != "licence"}, "expected the keys"),
            (EAR | {"licence": 1}, "'licence': expected a licence, as text, got 1"),
            (EAR | {"name": "../../etc/x"}, "'name': expected at most 64 letters"),
            (EAR | {"name": ""}, "'name'"),
            (EAR | {"width": 0}, "'width'"),
            (EAR | {"width": 1 << 40}, "'width': expected at most"),
            (EAR | {"hop_samples": 0}, "'hop_samples'"),
            (EAR | {"hop_samples": 2.5}, "'hop_samples'"),
            (EAR | {"heard_samples": "all"}, "'n_fft'"),
            (EAR | {"heard_samples": 31 * 8000}, "'excerpt_seconds': expected at least 31"),
            (EAR | {"sample_rate_hz": True}, "'sample_rate_hz'"),
            (EAR | {"spec": 5}, "'spec'"),
            (EAR | {"spec": {"kind": "log-mel", "n_mels": 1 << 30}}, "'n_mels': expected at most"),
            (FRAMES_EAR | {"sample_rate_hz": 16000}, "'sample_rate_hz': expected 8000"),
            (
                EAR | {"spec": {"kind": "external", "name": "a", "width": 1}},
                "got those of another ear",
            ),
        ],
    )
    def test_wrong_metadata(self, tmp_path, about: Any, said: str) -> None:
        text = about if isinstance(about, str) else json.dumps(about)
        assert said in self.refused(written(tmp_path / "e.onnx", ear_bytes(metadata=text)))

    @pytest.mark.parametrize(
        ("shape", "said"),
        [
            ({"input": "frames"}, "expected the input of an ear, waveform"),
            ({"output": "tags"}, "expected the output of an ear, vectors"),
            ({"time": 8000}, "with the first two free, got waveform"),
            ({"batch": 1}, "with the first two free"),
            ({"metadata": json.dumps(FRAMES_EAR)}, "expected the input of an ear, frames"),
            ({"metadata": json.dumps(EAR | {"width": 4})}, "expected the output of an ear"),
        ],
    )
    def test_a_graph_that_is_not_what_its_metadata_say(self, tmp_path, shape, said: str) -> None:
        assert said in self.refused(written(tmp_path / "e.onnx", ear_bytes(**shape)))

    def test_operators_outside_the_standard(self, tmp_path) -> None:
        content = ear_bytes().replace(b"Tanh", b"Loop")
        said = self.refused(written(tmp_path / "e.onnx", content))
        assert "expected a graph of standard ONNX operators" in said

    @pytest.mark.parametrize(
        ("about", "shape", "said"),
        [
            (EAR, {"factor": np.nan}, "expected finite numbers, got NaN"),
            (EAR | {"hop_samples": 100}, {}, "its metadata are wrong"),
            (EAR | {"hop_samples": 4000}, {}, "its metadata are wrong"),
        ],
    )
    def test_an_ear_that_gives_something_else(self, tmp_path, about, shape, said: str) -> None:
        """One sentence a sound, so that other sounds are heard all the same."""
        metadata = shape.pop("metadata", json.dumps(about))
        real = EAR if about["hop_samples"] != 500 else about
        ear = open_ear(written(tmp_path / "e.onnx", ear_bytes(real, metadata=metadata, **shape)))
        with pytest.raises(FeatureError, match=r"The ear .*e\.onnx: expected") as error:
            ear.frames(sound(8000))
        assert said in str(error.value)
