"""A study on what an ear hears: from a folder to a file that classifies, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.audio import AudioError
from ostinato.datasets import FrameCache, compute, load_corpus
from ostinato.datasets.augment_audio import AudioAugmentation
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.inference.classifier import Classifier
from ostinato.inference.ear import open_ear
from ostinato.models import FAMILIES
from ostinato.study import run
from ostinato.study.config import StudyConfig, load_config
from ostinato.study.export import export_run
from ostinato.study.plan import load_data, plan_study
from ostinato.training.settings import TrainingSettings
from tests.helpers.graphs import EAR, ear_bytes, toy_bytes
from tests.helpers.sounds import music

RATE_HZ = 8000
N = 9
TAKE_VECTORS = {"baseline", "discriminant", "lstm", "residual-lstm", "residual-lstm-kim"}


pytestmark = pytest.mark.usefixtures("data_home")


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    """Two genres of 5.5 s, a loud one and a soft one; and a file that is no sound."""
    folder = tmp_path_factory.mktemp("songs")
    for genre in ("loud", "soft"):
        (folder / genre).mkdir()
        for i in range(N):
            sound = music(i + 100 * (genre == "soft"), 6.0)[::3]
            level = 1.0 if genre == "loud" else 0.1
            sound *= level / np.abs(sound).max()
            soundfile.write(folder / genre / f"{i}.wav", sound, RATE_HZ)
    (folder / "loud" / "broken.mp3").write_bytes(b"no sound")
    return folder


@pytest.fixture
def ear(tmp_path) -> Path:
    path = tmp_path / "toy-ear.onnx"
    path.write_bytes(ear_bytes())
    return path


def config(songs: Path, ear: Path, **changes) -> StudyConfig:
    quick = TrainingSettings(epochs=2, curve_every=1)
    given = {"seeds": 1, "split": "holdout", "training": quick} | changes
    return StudyConfig(data=str(songs), frames=str(ear), **given)


def test_from_a_folder_to_a_verdict(songs, ear, tmp_path) -> None:
    told: list[str] = []
    out = tmp_path / "run"
    study = config(songs, ear)
    assert study.models == ("baseline", "lstm", "residual-lstm")
    run(study, out=out, cache=tmp_path / "cache", jobs=1, tell=told.append)
    assert any("broken.mp3" in line for line in told)
    data = json.loads((out / "results.json").read_text())["data"]
    spec = open_ear(ear).spec
    assert data["frames"] == spec.describe()
    assert data["spec"]["sha256"] == spec.sha256
    assert spec.sha256[:12] in (out / "report.html").read_text()
    again = load_config(out / "config.toml")
    assert again.to_dict() == load_config(out / "config.toml").to_dict()
    assert again.settings["lstm"]["texture_frames"] == 1
    assert again.training.window_frames == 1 + (44_100 - 1000) // 500  # all of each

    model = ear.parent / "model.onnx"
    export_run(out, model, model="baseline", cache=tmp_path / "cache", jobs=1)
    classifier = Classifier.load(model)
    assert classifier.info.spec == spec
    named = {
        genre: classifier.classify(songs / genre / f"{i}.wav").ranked[0][0]
        for genre in ("loud", "soft")
        for i in range(N)
    }
    assert named == {"loud": "loud", "soft": "soft"}
    with pytest.raises(UsageError, match=r"with-front-end, got one of 3 toy-ear .*of its own"):
        export_run(out, model, model="lstm", front_end=True)

    ear.write_bytes(ear_bytes(factor=2))  # another ear: the run is of other frames
    with pytest.raises(DataError, match="the data or the settings have changed since"):
        export_run(out, model, model="lstm", cache=tmp_path / "cache", jobs=1)


def test_windows_are_20_s_and_a_texture_window_is_a_vector(songs, ear, tmp_path) -> None:
    spec = open_ear(ear).spec
    fits = TrainingSettings().fitting([10_000], spec)
    assert (fits.window_frames, fits.window_hop) == (1 + (20 * RATE_HZ - 1000) // 500, 159)
    assert TrainingSettings().fitting([3], spec).window_frames == 3
    assert TrainingSettings(window_frames=7).fitting([3000], spec).window_frames == 7
    musicnn = FeatureSpec(
        kind="external", name="a", width=2, sample_rate_hz=16000, n_fft=47872, hop_samples=15616
    )
    assert TrainingSettings().fitting([28], musicnn).window_frames == 18
    chosen = config(songs, ear, settings={"lstm": {"texture_frames": 3}})
    assert chosen.model_settings("lstm").texture_frames == 3
    assert chosen.model_settings("residual-lstm").texture_frames == 1


def test_families_take_vectors_or_refuse_them_in_a_sentence(songs, ear, tmp_path) -> None:
    corpus = load_data(config(songs, ear), cache=tmp_path / "cache", jobs=1)
    refused = {}
    for family in FAMILIES:
        try:
            plan_study(config(songs, ear, models=(family,)), corpus, tmp_path / "run")
        except UsageError as error:
            refused[family] = str(error)
    assert {"cnn", "fusion", "conv-lstm"} <= set(refused) <= set(FAMILIES) - TAKE_VECTORS
    known = re.compile("kernel of at most|frames of MFCC or mel bands")
    assert [sentence for sentence in refused.values() if not known.search(sentence)] == []


def test_vectors_are_computed_once_and_by_any_number_of_workers(
    songs, ear, tmp_path, monkeypatch
) -> None:
    given = {"spec": open_ear(ear).spec, "ear": ear}
    cache = FrameCache(tmp_path / "cache")
    seen: list[int] = []
    corpus = load_corpus(
        songs, **given, cache=cache, n_jobs=2, progress=lambda n, of, name: seen.append(n)
    )
    assert sorted(seen) == list(range(1, 2 * N + 2))
    (skipped,) = corpus.skipped
    assert skipped.id == "loud/broken.mp3"
    samples, _ = soundfile.read(songs / corpus.ids[0], dtype="float32")
    np.testing.assert_array_equal(corpus.frames[0], open_ear(ear).frames(samples))
    other = tmp_path / "other.onnx"
    other.write_bytes(ear_bytes(factor=2))
    heard: list[str] = []

    def hear(path: Path, *_: object) -> None:
        heard.append(path.name)
        raise AudioError(str(path), "it was heard again")

    monkeypatch.setattr(compute, "_from_audio", hear)
    again = load_corpus(songs, **given, cache=cache, n_jobs=1)
    assert heard == ["broken.mp3"]  # failures are not kept
    with pytest.raises(DataError, match="heard again"):
        load_corpus(songs, spec=open_ear(other).spec, ear=other, cache=cache, n_jobs=1)
    for a, b in zip(corpus.frames, again.frames, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sound_that_the_ear_fails_on_stops_no_other(songs, tmp_path) -> None:
    """And if it fails on all, the first reason is told."""
    path = tmp_path / "e.onnx"
    path.write_bytes(ear_bytes(factor=np.nan))
    with pytest.raises(DataError, match=r"None of the 19 .*finite numbers|None of the 19 .*decod"):
        load_corpus(
            songs, spec=open_ear(path).spec, ear=path, cache=FrameCache(tmp_path / "c"), n_jobs=1
        )


def test_copies_are_heard_through_the_ear_too(songs, ear, tmp_path) -> None:
    pytest.importorskip("audiomentations")
    corpus = load_corpus(
        songs,
        spec=open_ear(ear).spec,
        ear=ear,
        cache=FrameCache(tmp_path / "c"),
        augmentation=AudioAugmentation(copies=1, noise=1.0, pitch=0.0, stretch=0.0, mp3=0.0),
        n_jobs=1,
    )
    assert corpus.copies[0][0].shape[1] == 3


class TestRefused:
    def refused(self, call, *options: str) -> str:
        status, _, err = call("study", "--split", "holdout", *options)
        assert status in (1, 2)
        assert err.count("\n") == 1
        return err

    def test_an_ear_that_is_not_there(self, call, songs, data_home) -> None:
        said = self.refused(call, "--data", str(songs), "--frames", "nowhere.onnx")
        assert "Ear 'nowhere.onnx': expected it at nowhere.onnx, got no file there" in said
        said = self.refused(call, "--data", str(songs), "--frames", "musicnn")
        assert (
            f"{data_home / 'musicnn.onnx'}, got no file there; run ostinato fetch musicnn" in said
        )
        said = self.refused(call, "--data", str(songs), "--frames", "musicn")
        assert "or the file of an ear (.onnx); got 'musicn'; did you mean 'musicnn'?" in said

    def test_a_name_is_that_of_a_file_in_the_users_folder(self, songs, data_home) -> None:
        (data_home / "toy-ear.onnx").write_bytes(ear_bytes())
        assert StudyConfig(frames="toy-ear").spec.name == "toy-ear"
        with pytest.raises(UsageError, match="or the file of an ear"):
            StudyConfig(frames="../home/toy-ear")

    def test_a_file_that_is_no_ear(self, call, songs, tmp_path) -> None:
        (tmp_path / "m.onnx").write_bytes(toy_bytes())
        said = self.refused(call, "--data", str(songs), "--frames", str(tmp_path / "m.onnx"))
        assert "expected an ear (docs/guide/ears.md), got a model" in said

    @pytest.mark.parametrize("data", ["gtzan", "frames.npz"])
    def test_data_without_sound(self, call, ear, data: str) -> None:
        said = self.refused(call, "--data", data, "--frames", str(ear))
        assert f"{data}: expected a folder or a table of audio" in said

    def test_an_ear_that_has_changed_meanwhile(self, songs, ear, tmp_path) -> None:
        spec = open_ear(ear).spec
        ear.write_bytes(ear_bytes(EAR | {"licence": "other"}))
        with pytest.raises(DataError, match=r"toy-ear\.onnx: expected the ear of"):
            load_corpus(songs, spec=spec, ear=ear, cache=FrameCache(tmp_path / "c"), n_jobs=1)
