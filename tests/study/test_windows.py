"""Windows fit the recordings of a study, or it is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato import Classifier
from ostinato.datasets import Corpus
from ostinato.datasets import load as load_module
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models import FAMILIES
from ostinato.study.config import StudyConfig
from ostinato.study.plan import load_data, plan_study
from ostinato.training.learn import train
from ostinato.training.settings import LEAST_WINDOW, TrainingSettings
from tests.helpers.sounds import RATE_HZ, music
from tests.helpers.toy import toy_corpus

DEFAULTS = TrainingSettings()
CONFIG = StudyConfig(split="holdout", seeds=1)


def corpus_of(n_frames: int) -> Corpus:
    """Recordings of this length, of the default frames."""
    corpus = toy_corpus()
    random = np.random.default_rng(0)
    frames = [random.normal(size=(n_frames, 40)).astype(np.float32) for _ in corpus.ids]
    return replace(corpus, frames=frames, spec=FeatureSpec(n_coefficients=40))


class TestFitted:
    @pytest.mark.parametrize(
        ("lengths", "window", "hop"),
        [
            ([387] * 5, 144, 72),
            ([144] * 5, 144, 72),
            ([38, 38, 39, 37], 38, 19),
            ([38, 38, 38, 387, 387], 38, 19),  # one long recording does not decide
            ([38, 38, 387, 387, 387], 144, 72),
            ([12] * 5, LEAST_WINDOW, LEAST_WINDOW // 2),
        ],
    )
    def test_half_of_the_tracks_fill_a_window(
        self, lengths: list[int], window: int, hop: int
    ) -> None:
        found = DEFAULTS.fitting(lengths)
        assert found == replace(DEFAULTS, window_frames=window, window_hop=hop)

    def test_what_was_chosen_stays(self) -> None:
        chosen = TrainingSettings(window_frames=100)
        assert chosen.fitting([38]) == chosen
        assert TrainingSettings(window_hop=10).fitting([38]).window_hop == 10
        assert TrainingSettings(window_hop=100).fitting([38]).window_hop == 38


class TestPlan:
    @pytest.mark.parametrize(("n_frames", "window"), [(38, 38), (12, 24), (387, 144)])
    def test_every_family_takes_short_recordings(self, n_frames: int, window: int) -> None:
        plan = plan_study(replace(CONFIG, models=tuple(FAMILIES)), corpus_of(n_frames))
        assert plan.config.training.window_frames == window
        assert {task.recipe.training.window_frames for task in plan.tasks} == {window}
        again = plan_study(plan.config, corpus_of(n_frames))
        assert [task.recipe for task in again.tasks] == [task.recipe for task in plan.tasks]

    def test_a_window_that_was_chosen_and_is_too_long_is_refused(self, tmp_path: Path) -> None:
        config = replace(CONFIG, training=TrainingSettings(window_frames=100))
        with pytest.raises(UsageError, match=r"window_frames: expected at most 38 frames, .* 100 "):
            plan_study(config, corpus_of(38), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("window", "is_refused"), [(25, False), (26, True), (100, True), (144, False)]
    )
    def test_of_files_before_their_frames_are_computed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, is_refused: bool
    ) -> None:
        """2 s have 25 frames; the default is made to fit."""
        for genre in ("high", "low"):
            for i in range(3):
                path = tmp_path / "clips" / genre / f"{i}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, music(i, 2), RATE_HZ)
        (path.parent / "broken.mp3").write_bytes(b"no sound at all")

        class StartedError(Exception):
            pass

        def compute(*_: object, **__: object) -> None:
            raise StartedError

        monkeypatch.setattr(load_module, "each_frames", compute)
        config = replace(
            CONFIG,
            data=str(tmp_path / "clips"),
            training=TrainingSettings(window_frames=window, window_hop=12),
        )
        with pytest.raises(UsageError if is_refused else StartedError) as caught:
            load_data(config, cache=tmp_path / "cache")
        assert is_refused == ("expected at most 25 frames" in str(caught.value))

    @pytest.mark.parametrize("family", ["lstm", "conv-lstm", "cnn", "baseline"])
    def test_a_window_too_short_for_a_model_is_refused(self, family: str) -> None:
        config = replace(CONFIG, models=(family,), training=TrainingSettings(window_frames=8))
        with pytest.raises(UsageError, match=rf"expected longer windows for '{family}', got 8"):
            plan_study(config, corpus_of(38))

    def test_a_training_alone_fits_too(self) -> None:
        corpus = corpus_of(38)
        fold = plan_study(replace(CONFIG, models=("baseline",)), corpus).split.folds[0]
        assert train(corpus, fold, "baseline").info.window_frames == 38


def test_clips_of_3_s_become_a_model_that_names_them(call, tmp_path: Path) -> None:
    clips = []
    for genre in ("high", "low"):
        for i in range(4):
            clips.append(tmp_path / "clips" / genre / f"{i}.wav")
            clips[-1].parent.mkdir(parents=True, exist_ok=True)
            slow = 1 + (genre == "low")
            soundfile.write(clips[-1], np.repeat(music(i, 3 / slow), slow), RATE_HZ)
    cache = ("--cache", tmp_path / "cache", "--jobs", "1")
    status, _, err = call(
        "study", "--data", tmp_path / "clips", "--models", "baseline", "--seeds", "1",
        "--split", "holdout", "--out", tmp_path / "run", *cache,
    )  # fmt: skip
    assert status == 0, err
    said = "Windows have 38 frames (2.9 s), not 144 (11.2 s): at least half of the recordings are"
    assert err.count("Windows have") == 1
    assert said in err
    model = tmp_path / "clips.onnx"
    status, _, err = call("export", tmp_path / "run", "--to", model, *cache)
    assert status == 0, err
    assert Classifier.load(model).info.novelty_threshold is None  # of so few, nothing is unlike
    status, out, err = call("classify", "--model", model, *clips)
    assert status == 0, err
    assert "too short" not in out
    assert "unlike" not in out
    assert len(out.splitlines()) == len(clips)
