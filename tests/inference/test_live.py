"""A running verdict is what classify says of the last 30 s; it comes early, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ostinato import Classifier, UsageError
from ostinato.inference.live import LISTENING, LiveClassifier, LiveVerdict
from tests.helpers.graphs import toy_bytes, toy_info

RATE = 22_050
CHUNK = RATE // 10
#: Windows as long as those of the models that ship.
INFO = toy_info(window_frames=144, window_hop=72)


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Notes that change once a second over quiet noise, so that no two stretches are alike."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch_hz = rng.uniform(80, 3000, size=int(seconds) + 1)[t.astype(int)]
    return (0.3 * np.sin(2 * np.pi * pitch_hz * t) + 0.01 * rng.normal(size=t.size)).astype("f4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "toy.onnx"
    path.write_bytes(toy_bytes(INFO))
    return path


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier.load(model)


def at_no_cost() -> float:
    return 0.0


def heard_by(listener: LiveClassifier, sound: np.ndarray) -> list[LiveVerdict]:
    return [now for chunk in chunks(sound) if (now := listener.add(chunk)) is not None]


def chunks(sound: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, sound.size, CHUNK):
        yield sound[first : first + CHUNK]


class TestLiveClassifier:
    def test_says_what_classify_says_of_the_last_30_s(self, classifier: Classifier) -> None:
        sound = music(42)
        listener = LiveClassifier(classifier, every_s=2.5, clock=at_no_cost)
        said = heard_by(listener, sound)
        assert [now.at_s for now in said] == pytest.approx(2.5 * np.arange(1, 17), abs=0.01)
        for at_s, early, model, _, verdict in said:
            assert model == classifier.name
            assert early == (at_s < listener.enough_s)
            if at_s < 10:
                assert verdict is None
                continue
            end = round(at_s * RATE)
            recent = sound[max(0, end - 30 * RATE) : end]
            assert verdict == classifier.classify(waveform=recent, sample_rate_hz=RATE)
        assert said[-1].verdict != said[-5].verdict  # else the 30 s might stand still

    def test_enough_is_a_window(self, classifier: Classifier) -> None:
        """143 steps of 1708 samples, and the 2048 of the last frame: 11.2 s."""
        assert LiveClassifier(classifier).enough_s == pytest.approx((143 * 1708 + 2048) / 22_050)

    @pytest.mark.parametrize(
        ("model", "first_s", "enough_s"), [("default", 10, 30), ("lstm", 10, 11.2)]
    )
    def test_the_models_that_ship(self, model: str, first_s: float, enough_s: float) -> None:
        listener = LiveClassifier(Classifier.load(model))
        assert listener.first_s == first_s
        assert listener.enough_s == pytest.approx(enough_s, abs=0.05)

    @pytest.mark.parametrize(
        ("window_frames", "first_s"), [(24, 1.88), (144, 10.0), (387, 10.0), (387 * 2, 20.0)]
    )
    def test_the_first_verdict_comes_after_10_s_if_the_model_can(
        self, tmp_path: Path, window_frames: int, first_s: float
    ) -> None:
        """A window of 2 s is full before, and of a window of 60 s a third is needed."""
        spec = replace(INFO.spec, excerpt_seconds=100.0)
        path = tmp_path / "toy.onnx"
        path.write_bytes(toy_bytes(toy_info(window_frames=window_frames, spec=spec)))
        said = heard_by(LiveClassifier(Classifier.load(path), every_s=100.0), music(25))
        assert [now.at_s for now in said] == pytest.approx([first_s], abs=0.1)
        assert said[0].verdict is not None
        assert said[0].verdict.genre is not None
        assert said[0].to_dict()["early"] == (window_frames > 24)

    def test_is_early_until_a_window_is_full(self, classifier: Classifier) -> None:
        said = heard_by(LiveClassifier(classifier, clock=at_no_cost), music(14))
        assert [now.verdict is not None for now in said] == [False] * 9 + [True] * 5
        assert [now.early for now in said] == [True] * 11 + [False] * 3

    def test_a_slow_machine_listens_half_of_the_time(self, classifier: Classifier) -> None:
        """Verdicts of 1.5 s, each second, would fall behind; they are made every 3 s."""
        times = iter(1.5 * (i // 2 + i % 2) for i in range(1000))
        listener = LiveClassifier(classifier, every_s=1.0, clock=lambda: next(times))
        said = heard_by(listener, music(22))
        assert [now.at_s for now in said[:10]] == pytest.approx(range(1, 11), abs=0.11)
        assert np.diff([now.at_s for now in said[9:]]) == pytest.approx(3.0, abs=0.11)

    @pytest.mark.parametrize("seconds", [0.5, 4.0])
    def test_the_last_word_is_on_any_sound_that_classify_takes(
        self, classifier: Classifier, seconds: float
    ) -> None:
        listener = LiveClassifier(classifier)
        listener.add(music(seconds))
        expected = classifier.classify(waveform=music(seconds), sample_rate_hz=RATE)
        assert listener.last() == (seconds, True, classifier.name, None, expected)

    def test_the_last_word_on_less_is_that_it_is_too_short(self, classifier: Classifier) -> None:
        listener = LiveClassifier(classifier)
        for seconds in (0.0, 0.4):
            listener.add(music(seconds))
            last = listener.last()
            assert last.verdict is not None
            too_short = f"it is too short to be judged: {seconds} s, the model needs 3.8 s"
            assert last.to_dict()["abstained"] == too_short
        listener.add(music(1))
        assert listener.last().to_dict().keys() == last.to_dict().keys()

    def test_there_is_no_word_before_the_first(self, classifier: Classifier) -> None:
        (now,) = heard_by(LiveClassifier(classifier), music(1))
        assert now.to_dict()["abstained"] == LISTENING
        assert now.to_dict()["genre"] is None

    def test_abstains_as_the_classifier_does(self, tmp_path: Path) -> None:
        """Silence is called silent; where it is unsure, no genre is likely enough."""
        path = tmp_path / "unsure.onnx"
        path.write_bytes(toy_bytes(replace(INFO, threshold=1.0)))
        listener = LiveClassifier(Classifier.load(path), every_s=12.0)
        heard = listener.add(np.zeros(12 * RATE, np.float32))
        assert heard is not None
        assert heard.verdict is not None
        assert heard.verdict.abstained == "it is silent"
        heard = listener.add(music(30))
        assert heard is not None
        assert heard.verdict is not None
        assert heard.verdict.abstained == "no genre is likely enough"
        assert heard.to_dict()["genre"] is None

    @pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf")])
    def test_no_time_between_verdicts_is_a_wrong_call(
        self, classifier: Classifier, every_s: float
    ) -> None:
        with pytest.raises(UsageError, match="Seconds between verdicts: expected more than 0"):
            LiveClassifier(classifier, every_s=every_s)
