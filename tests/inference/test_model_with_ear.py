"""A model that hears through an ear: what it hears, where that is found, and which is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ostinato
from ostinato import features
from ostinato.errors import DataError, UsageError
from ostinato.evaluation import apply_temperature, softmax
from ostinato.features import FeatureSpec
from ostinato.inference.classifier import Classifier
from ostinato.inference.ear import open_ear
from ostinato.inference.live import LiveClassifier
from ostinato.inference.model_file import read_graph
from ostinato.inference.verdict import UNLIKE
from tests.helpers.graphs import EAR, FRAMES_EAR, INFO, ear_bytes, toy_bytes
from tests.helpers.sounds import music, not_music

WEIGHT = np.random.default_rng(5).normal(size=(3, 3)).astype(np.float32) * 9


pytestmark = pytest.mark.usefixtures("data_home")


def placed(folder: Path, *, about: dict[str, Any] = EAR, states: bool = True) -> tuple[Path, Path]:
    """An ear and a model that takes its vectors; ``states``: and names the digest of its file."""
    folder.mkdir(exist_ok=True)
    ear = folder / "toy-ear.onnx"
    ear.write_bytes(ear_bytes(about))
    spec = open_ear(ear).spec
    info = replace(INFO, spec=spec if states else replace(spec, sha256=""), name="toy")
    model = folder / "model.onnx"
    model.write_bytes(toy_bytes(replace(info, window_frames=20, window_hop=10), weight=WEIGHT))
    return model, ear


def song(seconds: float = 14.0, seed: int = 0) -> dict[str, Any]:
    return {"waveform": music(seed, seconds)[:: 22050 // 7350], "sample_rate_hz": 8000}


class TestVerdicts:
    @pytest.mark.parametrize("about", [EAR, FRAMES_EAR], ids=["of sound", "of frames"])
    def test_are_of_the_vectors_of_the_whole_excerpt(self, tmp_path, about) -> None:
        model, ear = placed(tmp_path / "m", about=about)
        heard = song()
        verdict = Classifier.load(model).classify(**heard)
        vectors = open_ear(ear).frames(heard["waveform"])
        logits = features.cut(vectors, length=20, hop=10).mean(axis=1) @ WEIGHT
        wanted = apply_temperature(softmax(logits).mean(axis=0), INFO.temperature)
        assert len({round(p, 3) for p in wanted}) == 3
        for genre, p in verdict.ranked:
            assert p == pytest.approx(wanted[INFO.genres.index(genre)], abs=1e-5)

    def test_are_one_for_files_samples_and_live(self, tmp_path) -> None:
        model, _ = placed(tmp_path / "m", states=False)
        classifier, heard = Classifier.load(model), song()
        whole = classifier.classify(**heard)
        live = LiveClassifier(classifier)
        live.add(heard["waveform"])
        now = live.last().verdict
        assert now is not None
        assert now.ranked == whole.ranked
        assert live.enough_s == pytest.approx((19 * 500 + 1000) / 8000)

    def test_a_sound_shorter_than_one_vector_hears_is_too_short(self, tmp_path) -> None:
        """It is not refused as unreadable, and takes no part of a batch with it."""
        about = EAR | {"heard_samples": 8000, "hop_samples": 4000}
        model, _ = placed(tmp_path / "m", about=about)
        verdict = Classifier.load(model).classify(**song(0.9))
        assert verdict.abstained is not None
        assert "too short" in verdict.abstained
        assert len(verdict.ranked) == 3

    def test_frames_may_be_given_instead(self, tmp_path) -> None:
        model, ear = placed(tmp_path / "m")
        heard = song()
        vectors = open_ear(ear).frames(heard["waveform"])
        assert (
            Classifier.load(model).classify(frames=vectors).ranked
            == Classifier.load(model).classify(**heard).ranked
        )

    def test_the_model_is_kept_until_its_ear_changes(self, tmp_path, monkeypatch) -> None:
        import soundfile

        model, ear = placed(tmp_path / "m", states=False)
        soundfile.write(tmp_path / "a.wav", song()["waveform"], 8000)
        before = ostinato.classify(tmp_path / "a.wav", model=model)
        assert ostinato.classify(tmp_path / "a.wav", model=model) == before
        ear.write_bytes(ear_bytes(factor=0.1))
        assert ostinato.classify(tmp_path / "a.wav", model=model).ranked != before.ranked
        ear.unlink()
        with pytest.raises(UsageError, match="expected the ear of 3 toy-ear"):
            ostinato.classify(tmp_path / "a.wav", model=model)


class TestSteadySounds:
    """Noise and hum, which the vectors of an ear do not tell from music."""

    def noise(self, seconds: float) -> NDArray[np.float32]:
        return not_music(seconds=seconds)["brown noise"][:: 22050 // 7350]

    def test_are_unlike_music_whatever_the_network_says(self, tmp_path) -> None:
        model, _ = placed(tmp_path / "m")
        noise = {"waveform": self.noise(40), "sample_rate_hz": 8000}
        verdict = Classifier.load(model).classify(**noise)
        assert (verdict.genre, verdict.abstained, verdict.ranked) == (None, UNLIKE, ())

    def test_are_left_out_of_a_recording(self, tmp_path) -> None:
        """The hum before a concert says nothing of genre."""
        classifier = Classifier.load(placed(tmp_path / "m")[0])
        heard = song(70)["waveform"][: 20 * 8000]
        recording = np.concatenate([self.noise(90)[: 30 * 8000], heard])
        verdict = classifier.classify(waveform=recording, sample_rate_hz=8000)
        alone = classifier.classify(waveform=recording[20 * 8000 :], sample_rate_hz=8000)
        assert [stretch.start_s for stretch in verdict.timeline] == [20]
        assert verdict.ranked == alone.ranked

    def test_are_for_other_frames_to_judge(self) -> None:
        """A model may have learned them: wind, rain, an engine."""
        toy = Classifier(read_graph(toy_bytes(), source="toy.onnx"))
        noise = not_music(seconds=10)["brown noise"]
        assert toy.classify(waveform=noise, sample_rate_hz=22_050).genre is not None


class TestWhere:
    def test_beside_the_model_or_in_the_users_folder(self, tmp_path, data_home) -> None:
        model, ear = placed(tmp_path / "m")
        beside = Classifier.load(model).classify(**song())
        ear.rename(data_home / ear.name)
        assert Classifier.load(model).classify(**song()) == beside

    def test_another_one_beside_is_no_hindrance(self, tmp_path, data_home) -> None:
        model, ear = placed(tmp_path / "m")
        ear.rename(data_home / ear.name)
        ear.write_bytes(ear_bytes(factor=2))
        Classifier.load(model)

    @pytest.mark.parametrize("states", [True, False])
    def test_a_missing_one_is_one_sentence(self, tmp_path, data_home, states: bool) -> None:
        model, ear = placed(tmp_path / "m", states=states)
        ear.unlink()
        with pytest.raises(UsageError) as error:
            Classifier.load(model)
        said = str(error.value)
        assert f"{model}: expected the ear of 3 toy-ear" in said
        assert (
            f"at {ear} or {data_home / 'toy-ear.onnx'}, got no file there; put toy-ear.onnx" in said
        )
        assert ("(ear " in said) == states

    def test_one_of_another_digest_is_refused(self, tmp_path) -> None:
        model, ear = placed(tmp_path / "m")
        ear.write_bytes(ear_bytes(factor=2))
        with pytest.raises(DataError, match=r"expected the ear of 3 .*ear [0-9a-f]{12}.*, got"):
            Classifier.load(model)

    @pytest.mark.parametrize("change", [{"hop_samples": 400}, {"name": "other"}])
    def test_one_that_gives_something_else_is_refused(self, tmp_path, change) -> None:
        model, ear = placed(tmp_path / "m", states=False)
        ear.write_bytes(ear_bytes(EAR | change))
        with pytest.raises(DataError, match=r"put the right one there, or train the model again"):
            Classifier.load(model)

    def test_a_model_in_the_place_of_the_ear(self, tmp_path) -> None:
        model, ear = placed(tmp_path / "m")
        ear.write_bytes(toy_bytes())
        with pytest.raises(DataError, match=r"toy-ear\.onnx: expected an ear .*, got a model"):
            Classifier.load(model)

    def test_a_name_that_leads_elsewhere_is_refused_before_a_file_is_looked_for(self) -> None:
        spec = FeatureSpec(kind="external", name="toy-ear", width=3)
        content = toy_bytes(replace(INFO, spec=spec), weight=WEIGHT)
        content = content.replace(b'"name":"toy-ear"', b'"name":"../ears"')
        with pytest.raises(DataError, match="Feature setting 'name'"):
            read_graph(content, source="m.onnx")
