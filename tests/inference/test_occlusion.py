"""What spoke for a verdict: against a plain loop, and where only one band can have spoken."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from ostinato.errors import UsageError
from ostinato.evaluation import apply_temperature, softmax
from ostinato.features import FeatureError, FeatureSpec, cut, frames
from ostinato.inference.classifier import Classifier
from ostinato.inference.model_file import read_graph
from ostinato.inference.occlusion import COLUMNS, ROWS, Explanation, explain
from ostinato.inference.sampling import SoundInMemory
from tests.helpers.graphs import EAR, INFO, ear_bytes, toy_bytes
from tests.helpers.sounds import RATE_HZ, music

BANDS = FeatureSpec(kind="log-mel", excerpt_seconds=5.0)


def toy(weight: np.ndarray, spec: FeatureSpec = BANDS) -> Classifier:
    info = replace(INFO, spec=spec, name="toy")
    return Classifier(read_graph(toy_bytes(info, weight=weight.astype(np.float32)), source="toy"))


def sound(seconds: float = 5.0) -> SoundInMemory:
    return SoundInMemory(music(1, seconds), RATE_HZ)


def a_weight(n_features: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(n_features, 3))


class TestInfluence:
    @pytest.mark.parametrize("kind", ["mfcc", "log-mel", "log-mel-from-mfcc"])
    def test_is_how_far_the_probability_falls_without_a_patch(self, kind) -> None:
        spec = replace(BANDS, kind=kind, n_coefficients=16)
        weight = a_weight(spec.n_features) * 3
        heard = explain(toy(weight, spec), sound())

        def probabilities(image: np.ndarray) -> np.ndarray:
            dct = np.cos(np.pi / 128 * np.outer(np.arange(128) + 0.5, np.arange(16)))
            dct *= np.where(np.arange(16) == 0, np.sqrt(1 / 128), np.sqrt(2 / 128))
            if kind != "log-mel":
                image = image @ dct
            if kind == "log-mel-from-mfcc":
                image = image @ dct.T
            logits = cut(image, length=24, hop=12).mean(axis=1) @ weight
            return apply_temperature(softmax(logits).mean(axis=0), INFO.temperature)

        image = heard.image.astype(np.float64)
        before = probabilities(image)
        genre = INFO.genres.index(heard.genre)
        assert before.argmax() == genre
        assert heard.probability == pytest.approx(before[genre], abs=1e-5)
        n_frames = len(image)
        assert n_frames == 1 + (5 * RATE_HZ - 2048) // 1708
        for row in range(ROWS):
            for column in range(COLUMNS):
                first = round(column * n_frames / COLUMNS)
                end = round((column + 1) * n_frames / COLUMNS)
                hidden = image.copy()
                for band in range(16 * row, 16 * row + 16):
                    hidden[first:end, band] = image[:, band].mean()
                fall = before[genre] - probabilities(hidden)[genre]
                assert heard.influence[row, column] == pytest.approx(fall, abs=1e-5)
        assert np.ptp(heard.influence) > 1e-3

    def test_lies_in_the_only_band_that_the_network_hears(self) -> None:
        weight = np.zeros((128, 3))
        weight[70] = [0, 0, 40]
        heard = explain(toy(weight), sound())
        spoke = np.abs(heard.influence) > 1e-4
        assert spoke[70 // 16].any()
        assert not np.delete(spoke, 70 // 16, axis=0).any()

    def test_lies_where_something_happens(self) -> None:
        """A click in steady noise: of the band that the network hears, nothing else stands out."""
        noise = 0.01 * np.random.default_rng(0).normal(size=5 * RATE_HZ).astype(np.float32)
        noise[3 * RATE_HZ : 3 * RATE_HZ + 5000] *= 30
        weight = np.zeros((128, 3))
        weight[40] = [10, 0, 0]
        heard = explain(toy(weight), SoundInMemory(noise, RATE_HZ))
        _, column = np.unravel_index(heard.influence.argmax(), heard.influence.shape)
        assert 3.0 <= (column + 0.5) * 5 / COLUMNS <= 3.5


class TestExcerpt:
    @pytest.mark.parametrize(
        ("seconds", "start_s", "end_s"),
        [(14.0, 2.0, 7.0), (14.0, 12.0, 14.0), (5.2, 0.0, 5.2), (5.3, 0.0, 5.0)],
    )
    def test_is_as_long_as_those_learned_from_or_ends_with_the_sound(
        self, seconds, start_s, end_s
    ) -> None:
        model, whole = toy(a_weight(128)), music(1, seconds)
        heard = explain(model, SoundInMemory(whole, RATE_HZ), start_s=start_s)
        assert (heard.start_s, heard.end_s) == (start_s, pytest.approx(end_s, abs=1e-3))
        part = whole[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        assert np.array_equal(heard.image, frames(part, BANDS))
        verdict = model.classify(waveform=part, sample_rate_hz=RATE_HZ)
        assert (heard.genre, heard.probability) == verdict.ranked[0]

    def test_of_a_few_frames_has_as_many_patches(self) -> None:
        assert explain(toy(a_weight(128)), sound(0.6)).influence.shape == (ROWS, 7)

    @pytest.mark.parametrize("start_s", [5.0, 9.0, -1.0, float("nan"), float("inf")])
    def test_begins_within_the_sound(self, start_s) -> None:
        with pytest.raises(UsageError, match=r"within the sound, which lasts 0:05, got"):
            explain(toy(a_weight(128)), sound(), start_s=start_s)

    def test_is_not_silent(self) -> None:
        quiet = SoundInMemory(np.zeros(5 * RATE_HZ, np.float32), RATE_HZ)
        with pytest.raises(FeatureError, match=r"from 0:00 on, got silence"):
            explain(toy(a_weight(128)), quiet)

    def test_holds_a_frame(self) -> None:
        with pytest.raises(FeatureError, match=r"at least 2048 samples"):
            explain(toy(a_weight(128)), sound(), start_s=4.95)


def test_a_model_with_an_ear_has_nothing_to_hide(tmp_path, data_home) -> None:
    from ostinato.inference.ear import open_ear

    (tmp_path / "toy-ear.onnx").write_bytes(ear_bytes(EAR))
    spec = open_ear(tmp_path / "toy-ear.onnx").spec
    info = replace(INFO, spec=spec, window_frames=20, window_hop=10)
    (tmp_path / "model.onnx").write_bytes(toy_bytes(info, weight=a_weight(3).astype(np.float32)))
    with pytest.raises(UsageError, match=r"^model: expected a model of mel frames .*'toy-ear'"):
        explain(Classifier.load(tmp_path / "model.onnx"), sound())


def test_plain_values_hold_the_image_band_after_band() -> None:
    image = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.1]], np.float32)  # 3 frames of 2 bands
    about = Explanation(
        model="toy", genre="jazz", probability=0.5, start_s=1.0, end_s=2.0, image=image,
        bands_hz=np.array([100.0, 200.0]), influence=np.array([[0.25, -0.5]]),
    )  # fmt: skip
    values = about.to_dict()
    mel = values.pop("mel")
    assert list(base64.b64decode(mel.pop("data"))) == [0, 100, 200, 50, 150, 255]
    assert mel == {"rows": 2, "columns": 3, "hz": [100.0, 200.0]}
    assert values == {
        "model": "toy", "genre": "jazz", "probability": 0.5, "start_s": 1.0, "end_s": 2.0,
        "influence": {"rows": 1, "columns": 2, "values": [[0.25, -0.5]]},
    }  # fmt: skip
