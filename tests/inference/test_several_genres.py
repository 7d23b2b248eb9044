"""A model may name several genres of a sound, or say that it sounds like none of its genres."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import soundfile
from scipy.special import expit

from ostinato.cli.listen import _line
from ostinato.errors import DataError
from ostinato.inference.classifier import Classifier
from ostinato.inference.live import LiveClassifier
from ostinato.inference.model_file import read_graph
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.timeline import timeline
from ostinato.inference.verdict import OTHER, UNSURE, Heard, Verdict, pooled
from ostinato.plotting import STYLE
from tests.helpers.graphs import INFO, WEIGHT, toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, music

MANY = toy_info(temperature=1.0, thresholds=(0.6, 0.3, 0.5))  # of blues, jazz, rock
WITH_OTHER = toy_info(genres=("jazz", "Other", "rock"), other="Other", threshold=0.5)


def said(info: ModelInfo, *excerpts: tuple[float, ...], seconds: float = 30.0) -> Verdict:
    """The verdict on excerpts of 10 s with these probabilities."""
    heard = [Heard(10 * i, 10 * i + 10, 1, np.array(p)) for i, p in enumerate(excerpts)]
    return pooled(heard, replace(info, temperature=1.0), model="toy", seconds=seconds)


class TestSeveralGenres:
    def test_probabilities_are_means_over_windows_of_a_sigmoid(self) -> None:
        frames = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
        classifier = Classifier(read_graph(toy_bytes(MANY), source="toy.onnx"))
        verdict = classifier.classify(frames=frames)
        logits = [frames[i : i + 24].mean(axis=0) @ WEIGHT for i in (0, 12, 16)]
        expected = expit(np.array(logits, dtype=np.float64)).mean(axis=0)
        got = dict(verdict.ranked)
        np.testing.assert_allclose([got[g] for g in MANY.genres], expected, rtol=1e-5)
        assert sum(got.values()) != pytest.approx(1, abs=0.01)

    def test_all_that_reach_their_thresholds_are_named_the_likeliest_first(self) -> None:
        verdict = said(MANY, (0.7, 0.9, 0.4))
        assert verdict.named == ("jazz", "blues")
        assert (verdict.genre, verdict.probability, verdict.abstained) == ("jazz", 0.9, None)

    def test_a_threshold_is_reached_at_it(self) -> None:
        assert said(MANY, (0.1, 0.3, 0.2)).named == ("jazz",)

    def test_the_genre_is_the_likeliest_that_is_named(self) -> None:
        """Blues is likelier, and too unlikely for its own threshold."""
        verdict = said(MANY, (0.55, 0.35, 0.1))
        assert (verdict.genre, verdict.probability) == ("jazz", 0.35)
        assert verdict.ranked[0] == ("blues", 0.55)

    def test_where_none_does_there_is_no_genre(self) -> None:
        verdict = said(MANY, (0.59, 0.29, 0.49))
        assert (verdict.genre, verdict.named, verdict.abstained) == (None, (), UNSURE)
        assert verdict.guess == "blues"

    def test_segments_are_of_one_set_of_genres(self) -> None:
        """In whatever order: which is likelier may change while they are played."""
        verdict = said(MANY, (0.7, 0.9, 0), (0.9, 0.8, 0), (0, 0.8, 0), (0.1, 0.1, 0.1))
        found = verdict.segments()
        assert [(s.start_s, s.end_s, s.named) for s in found] == [
            (0, 20, ("jazz", "blues")), (20, 30, ("jazz",)), (30, 40, ()),
        ]  # fmt: skip
        assert [s.genre for s in found] == ["jazz", "jazz", None]
        assert [s.probability for s in found] == pytest.approx([0.85, 0.8, 0.1])

    def test_json_holds_what_is_named(self) -> None:
        values = json.loads(json.dumps(said(MANY, (0.7, 0.9, 0.4)).to_dict(timeline=True)))
        assert values["named"] == values["segments"][0]["named"] == ["jazz", "blues"]
        assert values["genre"] == "jazz"

    def test_where_a_genre_is_near_its_threshold_more_is_heard(self) -> None:
        """As where two genres that exclude each other are close."""
        sound = np.tile(music(0, 10.0), 10)

        def n_heard(info: ModelInfo) -> tuple[int, float]:
            classifier = Classifier(read_graph(toy_bytes(info), source="toy.onnx"))
            verdict = classifier.classify(waveform=sound, sample_rate_hz=RATE_HZ)
            return len(verdict.timeline), dict(verdict.ranked)["rock"]

        far, share = n_heard(replace(MANY, thresholds=(1.0, 1.0, 1.0)))
        near, _ = n_heard(replace(MANY, thresholds=(1.0, 1.0, 0.99 * share)))
        assert (far, near) == (3, 4)  # excerpts of 20 s, and all of it in those of 30 s


class TestOther:
    @pytest.mark.parametrize("p", [(0.2, 0.7, 0.1), (0.3, 0.4, 0.3)])  # the threshold is 0.5
    def test_where_it_is_likeliest_there_is_no_genre(self, p: tuple[float, ...]) -> None:
        verdict = said(WITH_OTHER, p)
        assert (verdict.genre, verdict.named, verdict.abstained) == (None, (), OTHER)
        assert verdict.ranked[0] == ("Other", pytest.approx(p[1]))
        assert verdict.guess is None

    def test_elsewhere_it_is_as_any_genre(self) -> None:
        assert said(WITH_OTHER, (0.6, 0.4, 0.0)).genre == "jazz"
        unsure = said(WITH_OTHER, (0.45, 0.35, 0.2))
        assert (unsure.abstained, unsure.guess) == (UNSURE, "jazz")

    def test_what_is_too_short_is_told_first(self) -> None:
        verdict = said(WITH_OTHER, (0.1, 0.9, 0.0), seconds=0.2)
        assert "too short" in str(verdict.abstained)
        assert verdict.guess is None

    def test_its_parts_have_no_genre_and_the_others_do(self) -> None:
        found = said(WITH_OTHER, (0.0, 0.9, 0.1), (0.0, 0.8, 0.2), (0.9, 0.1, 0.0)).segments()
        assert [s.genre for s in found] == [None, "jazz"]

    def test_among_several_genres_it_is_never_named(self) -> None:
        many = replace(MANY, genres=("blues", "jazz", "other"), other="other")
        assert said(many, (0.7, 0.4, 0.6)).named == ("blues", "jazz")
        assert said(many, (0.7, 0.4, 0.8)).abstained == OTHER


class TestMetadata:
    @pytest.mark.parametrize("info", [MANY, WITH_OTHER], ids=["several genres", "other"])
    def test_what_is_read_is_what_was_written(self, info: ModelInfo) -> None:
        assert ModelInfo.from_json(info.to_json(), source="x") == info

    def test_older_files_have_neither(self) -> None:
        values = INFO.to_dict()
        del values["other"], values["thresholds"]
        info = ModelInfo.from_json(json.dumps(values), source="x")
        assert (info.other, info.thresholds, info.multi_label) == ("", (), False)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"other": "pop"}, "other"),  # which is no genre of it
            ({"other": None}, "other"),
            ({"genres": ["other"], "other": "other"}, "other"),  # and nothing else
            ({"thresholds": [0.5, 0.5]}, "thresholds"),  # for three genres
            ({"thresholds": [0.5, 0.5, 1.5]}, "thresholds"),
            ({"thresholds": [0.5, 0.5, None]}, "thresholds"),
            ({"thresholds": 0.5}, "thresholds"),
            ({"thresholds": [0.5] * 3, "threshold": 0.5}, "threshold"),
            ({"thresholds": [0.5] * 3, "temperature": 0.7}, "temperature"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], field: str) -> None:
        values = INFO.to_dict() | {"temperature": 1.0} | changes
        with pytest.raises(DataError, match=rf"^x: Model metadata '{field}': expected"):
            ModelInfo.from_json(json.dumps(values), source="x")


class TestCommandLine:
    @pytest.fixture
    def song(self, tmp_path: Path) -> Path:
        soundfile.write(tmp_path / "song.wav", music(0, 14.0), RATE_HZ)
        return tmp_path / "song.wav"

    @pytest.fixture
    def model(self, tmp_path: Path, song: Path) -> tuple[Path, dict[str, float]]:
        """A model that names blues and rock of the song, and its probabilities."""
        path = tmp_path / "many.onnx"
        path.write_bytes(toy_bytes(MANY))
        shares = dict(Classifier.load(path).classify(song).ranked)
        limits = (0.9 * shares["blues"], 1.0, 0.9 * shares["rock"])
        path.write_bytes(toy_bytes(replace(MANY, thresholds=limits)))
        return path, shares

    def test_formats(self, call, song: Path, model: tuple[Path, dict[str, float]]) -> None:
        path, shares = model
        first, second = sorted(("blues", "rock"), key=lambda genre: -shares[genre])
        _, out, _ = call("classify", "--model", path, song)
        line = f"{first:<10} {shares[first]:>4.0%}  + {second} {shares[second]:.0%}"
        assert out == f"{line:<38}  {song}\n"
        _, out, _ = call("classify", "--model", path, "--top", "3", "--timeline", song)
        assert f"+ {second} {shares[second]:.0%}, jazz {shares['jazz']:.0%}  " in out
        assert f" {first} + {second} {shares[first]:>4.0%}\n" in out
        _, out, _ = call("classify", "--model", path, "--format", "csv", song)
        (row,) = csv.DictReader(io.StringIO(out))
        assert row["genre"] == f"{first};{second}"  # as the table of a collection has it
        _, out, _ = call("classify", "--model", path, "--format", "json", song)
        assert json.loads(out)["named"] == [first, second]

    def test_what_is_none_of_the_genres(self, call, tmp_path: Path, song: Path) -> None:
        path = tmp_path / "other.onnx"
        path.write_bytes(toy_bytes())
        likeliest = Classifier.load(path).classify(song).ranked[0][0]
        path.write_bytes(toy_bytes(toy_info(other=likeliest)))
        _, out, _ = call("classify", "--model", path, song)
        assert out == f"?               {OTHER}  {song}\n"
        running = LiveClassifier(Classifier.load(path))
        running.add(music(0, 14.0))
        assert _line(running.last(), running).plain == f"  0:14  ?           {OTHER}"

    def test_listening(self, model: tuple[Path, dict[str, float]]) -> None:
        path, shares = model
        running = LiveClassifier(Classifier.load(path))
        running.add(music(0, 14.0))
        line = _line(running.last(), running).plain
        first, second = sorted(("blues", "rock"), key=lambda genre: -shares[genre])
        expected = f"{first:<10} {shares[first]:>4.0%}  + {second} {shares[second]:.0%}, jazz"
        assert line.startswith(f"  0:14  {expected}")


class TestPicture:
    def drawn(self, verdict: Verdict) -> Any:
        with matplotlib.rc_context(STYLE):
            return timeline(verdict, "a.mp3")

    def test_several_genres_have_a_line_each_at_their_probabilities(self) -> None:
        figure = self.drawn(said(MANY, (0.7, 0.9, 0.2), (0.1, 0.8, 0.2), seconds=20.0))
        assert figure.texts[0].get_text() == "Jazz + blues 50% of the time, jazz 50%"
        ribbon, stack = figure.axes
        assert [t.get_text() for t in ribbon.texts] == ["jazz + blues", "jazz"]
        lines = [patch.get_data().values.tolist() for patch in stack.patches]
        assert lines == [[0.9, 0.8], [0.7, 0.1], [0.2, 0.2]]

    def test_why_a_part_is_hatched(self) -> None:
        figure = self.drawn(said(WITH_OTHER, (0.1, 0.9, 0.0), (0.9, 0.1, 0.0)))
        told = figure.texts[1].get_text().replace("\n", " ")
        assert "Hatched: no genre reaches 50%, or 'Other' is likeliest." in told
        figure = self.drawn(said(MANY, (0.1, 0.1, 0.0), (0.9, 0.1, 0.0)))
        assert "Hatched: no genre reaches its threshold." in figure.texts[1].get_text()
