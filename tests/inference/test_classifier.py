"""A sound in, a verdict out: against plain arithmetic, and on what is no music."""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato import features
from ostinato.audio import AudioError, SilentAudioError, load_audio, waveform_from_array
from ostinato.datasets.gtzan import load_gtzan, published_split
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.features import FeatureSpec, streamed_excerpts
from ostinato.inference import classifier as inference
from ostinato.inference import sampling as hearing
from ostinato.inference.classifier import Classifier
from ostinato.inference.model_file import read_graph
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.sampling import closer_starts, is_silent, is_steady, quick_starts
from ostinato.inference.verdict import (
    SILENT,
    UNLIKE,
    UNSURE,
    Heard,
    Segment,
    Stretch,
    Verdict,
    pooled,
)
from tests.helpers.graphs import INFO, SPEC, WEIGHT, toy_bytes, toy_info
from tests.helpers.programs import run
from tests.helpers.sounds import RATE_HZ, not_music, speech

BARE = {"PATH": ""}  # an environment


def toy(info: ModelInfo = INFO, **changes: object) -> Classifier:
    return Classifier(read_graph(toy_bytes(info, **changes), source="toy.onnx"))


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Notes of changing pitch, with some noise."""
    random = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    pitch = np.repeat(random.choice([220, 277, 330, 440, 554], size=n // 8000 + 1), 8000)[:n]
    y = np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) + 0.1 * random.normal(size=n)
    return (0.3 * y).astype(np.float32)


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    return path


def plainly(frames_of_excerpts: list[np.ndarray], info: ModelInfo) -> np.ndarray:
    """The verdict's probabilities, by a loop over windows."""
    each = []
    for frames in frames_of_excerpts:
        n = len(frames)
        last = max(n - info.window_frames, 0)
        starts = sorted({*range(0, last + 1, info.window_hop), last})
        for start in starts:
            window = [frames[(start + i) % n] for i in range(info.window_frames)]
            logits = np.mean(window, axis=0) @ WEIGHT
            each.append(scipy.special.softmax(logits.astype(np.float64)))
    mean = np.mean(each, axis=0)
    power = mean ** (1 / info.temperature)
    return power / power.sum()


class TestArithmetic:
    def test_frames(self) -> None:
        frames = np.random.default_rng(0).normal(size=(61, 4)).astype(np.float32)
        verdict = toy().classify(frames=frames)
        wanted = plainly([frames], INFO)
        got = dict(verdict.ranked)
        np.testing.assert_allclose([got[g] for g in INFO.genres], wanted, atol=1e-6)
        assert verdict.genre == INFO.genres[wanted.argmax()]
        assert verdict.probability == pytest.approx(wanted.max(), abs=1e-6)
        assert [p for _, p in verdict.ranked] == sorted(got.values(), reverse=True)
        assert verdict.seconds == pytest.approx((60 * 1708 + 2048) / 22050)

    def test_a_long_sound_thoroughly(self) -> None:
        """Every excerpt of features.excerpts, by weight of its windows."""
        waveform = music(100)
        verdict = toy().classify(waveform=waveform, sample_rate_hz=RATE_HZ, thorough=True)
        pieces = [features.frames(e, SPEC) for e in features.excerpts(waveform, SPEC)]
        wanted = plainly(pieces, INFO)
        got = dict(verdict.ranked)
        np.testing.assert_allclose([got[g] for g in INFO.genres], wanted, atol=1e-5)
        spans = [(round(s.start_s, 6), round(s.end_s, 6)) for s in verdict.timeline]
        assert spans == [(0, 30), (30, 60), (60, 90), (70, 100)]
        for stretch, piece in zip(verdict.timeline, pieces, strict=True):
            np.testing.assert_allclose(stretch.probabilities, plainly([piece], INFO), atol=1e-5)

    def test_a_file_is_what_is_in_it(self, tmp_path: Path) -> None:
        samples = music(8)
        path = write(tmp_path / "a.wav", samples)
        from_file = toy().classify(path)
        assert from_file == toy().classify(waveform=samples, sample_rate_hz=RATE_HZ)
        assert from_file == toy().classify(str(path))
        assert from_file.seconds == pytest.approx(8)

    @pytest.mark.parametrize("close", [0.0, 1.0])
    def test_the_quick_way_hears_its_excerpts_and_no_others(
        self, close: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three of them, or nine where the first three leave it open."""
        monkeypatch.setattr(inference, "CLOSE", close)
        monkeypatch.setattr(hearing, "WHOLE_UNDER_S", 180.0)
        waveform = music(200)
        verdict = toy().classify(waveform=waveform, sample_rate_hz=RATE_HZ)
        starts = quick_starts(200) + (closer_starts(200) if close else [])
        assert len(starts) == (9 if close else 3)
        assert [s.start_s for s in verdict.timeline] == sorted(starts)
        pieces = [waveform[round(s * RATE_HZ) :][: 20 * RATE_HZ] for s in starts]
        wanted = plainly([features.frames(piece, SPEC) for piece in pieces], INFO)
        assert verdict.probability == pytest.approx(wanted.max(), abs=1e-5)
        assert verdict.seconds == pytest.approx(200)

    @pytest.mark.parametrize(("temperature", "n_heard"), [(0.05, 3), (30.0, 9)])
    def test_more_is_heard_where_the_first_two_genres_are_close(
        self, temperature: float, n_heard: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By their margin, however high the first one is."""
        monkeypatch.setattr(hearing, "WHOLE_UNDER_S", 180.0)
        classifier = toy(toy_info(temperature=temperature))
        verdict = classifier.classify(waveform=music(200), sample_rate_hz=RATE_HZ)
        (_, first), (_, second), *_ = verdict.ranked
        assert first > 0.3
        assert (first - second < 0.1) if n_heard == 9 else (first - second > 0.5)
        assert len(verdict.timeline) == n_heard

    def test_an_excerpt_weighs_as_many_windows_as_it_has(self) -> None:
        one, other = np.array([0.9, 0.05, 0.05]), np.array([0.1, 0.8, 0.1])
        heard = [Heard(0, 5, 1, one, 2.0), Heard(5, 20, 3, other, 6.0)]
        info = toy_info(temperature=1.0, novelty_threshold=9.0)
        verdict = pooled(heard, info, model="toy", seconds=20)
        assert [dict(verdict.ranked)[g] for g in info.genres] == pytest.approx(
            ((one + 3 * other) / 4).tolist()
        )
        assert verdict.distance == pytest.approx((2 + 3 * 6) / 4)

    def test_of_a_song_all_is_heard_where_it_is_close(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {"waveform": music(100), "sample_rate_hz": RATE_HZ}
        monkeypatch.setattr(inference, "CLOSE", 1.0)
        assert toy().classify(**given) == toy().classify(**given, thorough=True)

    def test_a_short_sound_is_heard_whole_either_way(self) -> None:
        given = {"waveform": music(80), "sample_rate_hz": RATE_HZ}
        assert toy().classify(**given) == toy().classify(**given, thorough=True)


class TestScaling:
    @pytest.mark.parametrize("scaling", ["standardise", "log-compress"])
    def test_a_file_and_its_samples_give_one_verdict(self, tmp_path: Path, scaling: Any) -> None:
        """Beyond full scale too, and for frames that depend on the level of the sound."""
        spec = replace(SPEC, kind="log-mel", n_mels=4, scaling=scaling)
        classifier = toy(toy_info(spec=spec))
        loud = 7 * music(5)
        of_file = classifier.classify(write(tmp_path / "loud.wav", loud))
        of_samples = classifier.classify(waveform=loud, sample_rate_hz=RATE_HZ)
        assert of_file == of_samples


class TestExcerpts:
    @settings(max_examples=60, deadline=None)
    @given(n=st.integers(1, 4000), size=st.integers(1, 1500))
    def test_in_blocks_they_are_those_of_the_whole(self, n: int, size: int) -> None:
        spec = FeatureSpec(
            sample_rate_hz=1000, n_fft=256, hop_samples=200, n_mels=8, n_coefficients=4,
            excerpt_seconds=0.5,
        )  # fmt: skip
        waveform = np.arange(n, dtype=np.float32)
        wanted = features.excerpts(waveform, spec)
        blocks = (waveform[i : i + size] for i in range(0, n, size))
        got = list(streamed_excerpts(blocks, spec))
        assert len(got) == len(wanted)
        for (start_s, excerpt), whole in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(excerpt, whole)
            assert start_s == whole[0] / 1000

    @given(st.floats(90, 40_000))
    def test_quick_ones_are_inside_apart_and_few(self, seconds: float) -> None:
        starts = quick_starts(seconds)
        assert 3 <= len(starts) <= 18
        closer = closer_starts(seconds)
        if closer is not None:
            assert len(closer) == 2 * len(starts)
            starts = sorted(starts + closer)
        assert starts[0] >= 0
        assert starts[-1] + 20 <= seconds + 1e-9
        assert (np.diff(starts) >= 20 - 1e-9).all()  # nothing is heard twice

    def test_of_a_longer_sound_more_are_heard(self) -> None:
        """One for each 80 s, at least three, at most eighteen."""
        lengths = (91, 319, 401, 801, 1439, 1441, 36_000)
        assert [len(quick_starts(s)) for s in lengths] == [3, 3, 5, 10, 17, 18, 18]

    def test_of_a_song_a_quarter_is_heard(self) -> None:
        """Which makes the quick way three times as fast, with what opening and seeking cost."""
        for seconds in (240, 270, 319):
            assert len(quick_starts(seconds)) * 20 * 4 <= seconds


class TestAbstaining:
    def test_silence(self, tmp_path: Path) -> None:
        for samples in (np.zeros(3 * RATE_HZ), np.full(3 * RATE_HZ, 0.1)):
            verdict = toy().classify(waveform=samples, sample_rate_hz=RATE_HZ)
            assert (verdict.genre, verdict.abstained) == (None, SILENT)
            assert verdict.seconds == 3
            assert verdict.ranked == ()
        path = write(tmp_path / "silence.wav", np.zeros(3 * RATE_HZ))
        assert toy().classify(path).abstained == SILENT

    def test_what_only_just_sounds(self) -> None:
        """Dither of 16 bits is no music, though its frames would be as loud as any."""
        dither = np.random.default_rng(0).choice([-1, 0, 1], size=5 * RATE_HZ) / 2**15
        assert toy().classify(waveform=dither, sample_rate_hz=RATE_HZ).abstained == SILENT
        assert not is_silent(music(1) * 0.01)

    def test_sound_between_the_excerpts_is_found(self) -> None:
        """A file is silent if all of it is, not if three places are."""
        waveform = np.zeros(240 * RATE_HZ, np.float32)
        waveform[70 * RATE_HZ : 90 * RATE_HZ] = music(20)
        verdict = toy().classify(waveform=waveform, sample_rate_hz=RATE_HZ)
        assert verdict.abstained is None
        assert [s.start_s for s in verdict.timeline] == [60]

    def test_a_silent_minute_is_left_out(self) -> None:
        """A pause says nothing of genre, and has no frames."""
        loud = music(30)
        with_pause = np.concatenate([loud, np.zeros(30 * RATE_HZ, np.float32)])
        verdict = toy().classify(waveform=with_pause, sample_rate_hz=RATE_HZ)
        alone = toy().classify(waveform=loud, sample_rate_hz=RATE_HZ)
        assert verdict.ranked == alone.ranked
        assert len(verdict.timeline) == 1
        assert verdict.seconds == pytest.approx(60)

    @pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ, 44_100])
    def test_what_does_not_change_is_steady(self, rate_hz: int) -> None:
        made = not_music(seconds=10, seed=2)
        sounds = {name: soxr.resample(y, RATE_HZ, rate_hz) for name, y in made.items()}
        steady = {name for name, y in sounds.items() if is_steady(y, rate_hz)}
        noises = {"white noise", "pink noise", "brown noise", "a band of noise"}
        tones = {"a tone", "a tone in noise", "a square wave", "a dial tone", "mains hum"}
        assert steady == noises | tones
        assert not is_steady(sounds["white noise"][: 5 * rate_hz], rate_hz)

    def test_no_music_is_steady(self, shared_data: Path) -> None:
        for path in sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[::3]:
            sound = load_audio(path, sample_rate_hz=RATE_HZ)
            for seconds in (10, 20):
                assert not is_steady(sound[: seconds * RATE_HZ], RATE_HZ), path.name

    def test_at_the_threshold_it_answers(self) -> None:
        frames = np.random.default_rng(0).normal(size=(61, 4)).astype(np.float32)
        first = toy(toy_info(novelty_threshold=9.0), distance=True).classify(frames=frames)
        at = toy_info(threshold=first.probability, novelty_threshold=first.distance)
        assert toy(at, distance=True).classify(frames=frames).genre == first.genre

    def test_below_the_threshold(self) -> None:
        frames = np.random.default_rng(0).normal(size=(61, 4)).astype(np.float32)
        p = toy().classify(frames=frames).probability
        assert toy(toy_info(threshold=p - 1e-6)).classify(frames=frames).genre
        verdict = toy(toy_info(threshold=p + 1e-6)).classify(frames=frames)
        assert (verdict.genre, verdict.abstained) == (None, UNSURE)
        assert verdict.probability == p  # what it would have said is told

    def test_far_from_what_was_learned(self) -> None:
        frames = np.random.default_rng(0).normal(size=(61, 4)).astype(np.float32)
        far = toy(toy_info(novelty_threshold=9.0), distance=True).classify(frames=frames)
        assert far.genre is not None
        assert far.distance == pytest.approx(
            np.mean([frames[s : s + 24].max() for s in (0, 12, 24, 36, 37)]), abs=1e-5
        )
        limit = toy_info(novelty_threshold=far.distance / 2)
        assert toy(limit, distance=True).classify(frames=frames).abstained == UNLIKE

    @pytest.mark.parametrize(
        ("seconds", "lasts"), [(0.7, "0.7 s"), (1.0, "1.0 s"), (3.749, "3.7 s")]
    )
    def test_a_third_of_a_window_is_needed(self, seconds: float, lasts: str) -> None:
        """However far it is from what was learned; what the model would say is told."""
        info = toy_info(window_frames=145, novelty_threshold=1e-6)  # 11.25 s
        classifier = toy(info, distance=True)
        verdict = classifier.classify(waveform=music(seconds), sample_rate_hz=RATE_HZ)
        why = f"it is too short to be judged: {lasts}, the model needs 3.8 s"
        assert (verdict.genre, verdict.abstained) == (None, why)
        assert len(verdict.ranked) == 3
        assert verdict.seconds == pytest.approx(seconds, abs=1e-4)
        assert [segment.genre for segment in verdict.segments()] == [None]
        longer = classifier.classify(waveform=music(3.8), sample_rate_hz=RATE_HZ)
        assert longer.abstained == UNLIKE

    @pytest.mark.parametrize("seconds", [0.5, 2.0])
    def test_a_short_silence_is_silent(self, seconds: float) -> None:
        silence = np.zeros(round(seconds * RATE_HZ))
        verdict = Classifier.load().classify(waveform=silence, sample_rate_hz=RATE_HZ)
        assert verdict.abstained == SILENT

    def test_as_soon_as_it_listens_what_is_no_music_gets_no_genre(self) -> None:
        """The first verdict on a live sound is on 10 s, which the default model takes.

        But it takes a sweep from 50 Hz to 8 kHz within 10 s for country.
        """
        classifier = Classifier.load()
        assert 9.9 < classifier.info.shortest_s < 10
        said = {
            name: classifier.classify(waveform=y, sample_rate_hz=RATE_HZ).genre
            for name, y in not_music(seconds=10, seed=1).items()
            if name != "a sweep"
        }
        assert said == dict.fromkeys(said)

    @pytest.mark.parametrize("model", ["default", "default-filtered"])
    def test_what_is_no_music_gets_no_genre(self, model: str) -> None:
        classifier = Classifier.load(model)
        made = not_music(seed=1)
        assert len(made) >= 16
        said = {
            name: classifier.classify(waveform=y, sample_rate_hz=RATE_HZ).genre
            for name, y in made.items()
        }
        assert said == dict.fromkeys(made)

    def test_speech_gets_no_genre(self, tmp_path: Path) -> None:
        if not speech(tmp_path / "speech.wav"):
            pytest.skip("espeak-ng is not installed")
        assert Classifier.load("default-filtered").classify(tmp_path / "speech.wav").genre is None

    def test_most_music_is_not_taken_for_noise(self) -> None:
        """Tracks of the validation part, which default-filtered has not learned from."""
        classifier = Classifier.load("default-filtered")
        corpus = load_gtzan(n_coefficients=40)
        valid = corpus.positions(published_split("fault-filtered")["valid"])
        said = [classifier.classify(frames=corpus.frames[i]) for i in valid]
        assert sum(v.abstained == UNLIKE for v in said) <= len(said) // 20
        assert sum(v.genre is not None for v in said) > len(said) // 2


class TestSegments:
    def verdict(self, *spans: tuple[float, float, float], threshold: float = 0.5) -> Verdict:
        """Stretches of a sound, each with the probability of jazz; the rest is rock."""
        timeline = tuple(Stretch(a, b, (p, 1 - p)) for a, b, p in spans)
        return Verdict(
            model="toy", genre="jazz", abstained=None, probability=1, ranked=(), seconds=120,
            timeline=timeline, genres=("jazz", "rock"), threshold=threshold,
        )  # fmt: skip

    def test_neighbours_of_one_genre_are_one(self) -> None:
        found = self.verdict((0, 30, 0.9), (30, 60, 0.7), (60, 90, 0.2)).segments()
        assert found[0][:3] == (0, 60, "jazz")
        assert found[0].probability == pytest.approx(0.8)
        assert found[1:] == (Segment(60, 90, "rock", pytest.approx(0.8), ("rock",)),)

    def test_a_gap_parts_them(self) -> None:
        """What was not heard is not spoken of."""
        assert len(self.verdict((0, 30, 0.9), (60, 90, 0.9)).segments()) == 2

    def test_the_last_excerpt_overlaps_and_is_not_counted_twice(self) -> None:
        found = self.verdict((0, 30, 0.9), (20, 50, 0.1)).segments()
        assert [s[:3] for s in found] == [(0, 30, "jazz"), (30, 50, "rock")]

    def test_below_the_threshold_there_is_none(self) -> None:
        found = self.verdict((0, 30, 0.9), (30, 60, 0.5), threshold=0.8).segments()
        assert [s.genre for s in found] == ["jazz", None]

    @pytest.mark.parametrize(("why", "genre"), [(UNSURE, "jazz"), (UNLIKE, None)])
    def test_no_part_has_a_genre_if_it_is_unlike_music(self, why: str, genre: str | None) -> None:
        verdict = replace(self.verdict((0, 30, 0.9)), genre=None, abstained=why)
        assert [s.genre for s in verdict.segments()] == [genre]


class TestModel:
    def test_a_verdict_names_its_model(self, tmp_path: Path) -> None:
        """By the name in its metadata, or that of its file; so does one without a genre."""
        path = tmp_path / "mine.onnx"
        for info, name in ((INFO, "mine"), (toy_info(name="toy"), "toy")):
            path.write_bytes(toy_bytes(info))
            classifier = Classifier.load(path)
            for sound in (music(1), np.zeros(RATE_HZ)):
                verdict = classifier.classify(waveform=sound, sample_rate_hz=RATE_HZ)
                assert verdict.model == verdict.to_dict()["model"] == name

    def test_a_file_that_was_written_anew_is_loaded_anew(self, tmp_path: Path) -> None:
        """Whoever exports a better model under the same name must not be answered by the old."""
        model, sound = tmp_path / "model.onnx", write(tmp_path / "a.wav", music(1))
        for name in ("first", "second"):
            model.write_bytes(toy_bytes(toy_info(name=name)))
            assert ostinato.classify(sound, model=model).model == name
            assert ostinato.classify(sound, model=str(model)).model == name
        os.utime(model, ns=(0, 0))  # of another time, of the same size
        assert ostinato.classify(sound, model=model).model == "second"
        model.unlink()
        with pytest.raises(DataError, match="Cannot read the model"):
            ostinato.classify(sound, model=model)

    def test_the_one_call_hears_all_of_a_long_file_if_asked_to(self, tmp_path: Path) -> None:
        model, sound = tmp_path / "model.onnx", write(tmp_path / "a.wav", music(200))
        model.write_bytes(toy_bytes(toy_info(temperature=0.05)))  # sure of itself
        quick, whole = (
            ostinato.classify(sound, model=model, thorough=thorough) for thorough in (False, True)
        )
        assert [len(verdict.timeline) for verdict in (quick, whole)] == [3, 7]

    def test_a_file_that_stays_is_loaded_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, sound = tmp_path / "model.onnx", write(tmp_path / "a.wav", music(1))
        model.write_bytes(toy_bytes())
        first = ostinato.classify(sound, model=model)
        monkeypatch.setattr(inference, "load_graph", None)
        assert ostinato.classify(sound, model=model) == first


class TestMany:
    def test_the_order_of_the_paths_and_every_error_in_its_place(self, tmp_path: Path) -> None:
        paths = [write(tmp_path / f"{i}.wav", music(1 + i % 3, seed=i)) for i in range(9)]
        paths[4].write_bytes(b"no sound")
        classifier = toy()
        found = list(classifier.classify_many(paths, jobs=3))
        assert [path for path, _ in found] == paths
        for i, (path, result) in enumerate(found):
            if i == 4:
                assert isinstance(result, AudioError)
            else:
                assert result == classifier.classify(path)

    def test_it_does_not_run_far_ahead_of_its_reader(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a million paths would be a million verdicts in memory."""
        path = write(tmp_path / "a.wav", music(1))
        asked = 0

        def paths():
            nonlocal asked
            for _ in range(100):
                asked += 1
                yield path

        found = toy().classify_many(paths(), jobs=2)
        next(found)
        assert asked <= 5
        found.close()

    def test_files_are_heard_at_the_same_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each waits until another one is being heard: one after the other none would end."""
        both = threading.Barrier(2, timeout=20)

        def open_audio(path, *, sample_rate_hz):
            both.wait()
            return nullcontext(hearing.SoundInMemory(music(1), sample_rate_hz))

        monkeypatch.setattr(inference, "open_audio", open_audio)
        results = [r for _, r in toy().classify_many(["a", "b"], jobs=2)]
        assert all(isinstance(r, Verdict) for r in results)

    def test_jobs(self) -> None:
        with pytest.raises(UsageError, match="jobs: expected 1 or more, got 0"):
            toy().classify_many([], jobs=0)
        assert list(toy().classify_many([])) == []


class TestWrongCalls:
    def test_one_of_three(self) -> None:
        for wrong in ({}, {"path": "a", "frames": [[1]]}):
            with pytest.raises(UsageError, match="one of a path, a waveform and frames"):
                toy().classify(**wrong)

    def test_a_waveform_needs_its_rate(self) -> None:
        for wrong in ({"waveform": music(1)}, {"path": "a", "sample_rate_hz": 8000}):
            with pytest.raises(UsageError, match="sample_rate_hz with a waveform"):
                toy().classify(**wrong)

    @pytest.mark.parametrize("shape", [(0, 4), (20,), (20, 5), (4, 20)])
    def test_frames_of_another_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(DataError, match=r"shape \(n_frames, 4\)"):
            toy().classify(frames=np.zeros(shape))

    def test_frames_of_nan(self) -> None:
        with pytest.raises(DataError, match="finite numbers"):
            toy().classify(frames=np.full((30, 4), np.nan))

    def test_no_file_is_one_sentence(self) -> None:
        with pytest.raises(AudioError, match="No such file"):
            ostinato.classify("none.mp3")

    def test_silence_is_an_error_of_its_own(self) -> None:
        with pytest.raises(SilentAudioError):
            waveform_from_array(np.zeros(RATE_HZ), sample_rate_hz=RATE_HZ)
        with pytest.raises(AudioError) as caught:
            load_audio("none.wav")
        assert not isinstance(caught.value, SilentAudioError)


class TestRealTracks:
    def test_audio_and_shipped_frames_give_one_verdict(self, shared_data: Path) -> None:
        """What a model hears in a file is what it was taught on: a few tracks, each genre."""
        corpus = load_gtzan(n_coefficients=40)
        classifier = Classifier.load("default-filtered")
        folder = shared_data / "gtzan" / "audio" / "full"
        names = sorted(p.stem for p in folder.glob("*.flac"))[::4]
        assert len(names) > 10
        frames = [corpus.frames[i] for i in corpus.positions(names)]
        same, apart = 0, []
        for name, of_track in zip(names, frames, strict=True):
            heard = classifier.classify(folder / f"{name}.flac")
            known = classifier.classify(frames=of_track)
            same += heard.ranked[0][0] == known.ranked[0][0]
            a, b = dict(heard.ranked), dict(known.ranked)
            apart.append(np.mean([abs(a[g] - b[g]) for g in a]))
        assert same >= len(names) - 1
        assert np.mean(apart) < 0.03


class TestImports:
    def test_the_package_itself_brings_nothing(self) -> None:
        program = """
import sys, ostinato
print(*(m for m in ("numpy", "onnxruntime", "scipy", "soundfile") if m in sys.modules))
import ostinato.inference.classifier
print(*(m for m in ("onnxruntime", "torch") if m in sys.modules))
"""
        assert run(program, environment=BARE).split() == []

    def test_it_listens_where_only_the_core_is_installed(self, tmp_path: Path) -> None:
        """Neither PyTorch nor anything else of the learning wing, nor the package onnx."""
        path = write(tmp_path / "a.wav", music(5))
        program = """
import sys
for name in ("torch", "onnx", "onnxscript", "sklearn", "matplotlib", "lightning", "pandas",
             "safetensors", "librosa", "scipy.optimize"):
    sys.modules[name] = None
import ostinato
verdict = ostinato.classify(sys.argv[1])
print(len(verdict.ranked), ostinato.Classifier.load("default").info.name)
"""
        assert run(program, path, environment=BARE).split() == ["10", "default"]

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'jazz'"):
            _ = ostinato.jazz
        assert issubclass(OstinatoError, Exception)
