"""The picture of a timeline shows the verdict's own figures, whatever the verdict holds."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from ostinato.errors import MissingExtraError, UsageError
from ostinato.inference.timeline import (
    COLOURS,
    MOST_SHOWN,
    OTHERS,
    SILENCE,
    Pictures,
    draw_timeline,
    genre_colours,
    timeline,
)
from ostinato.inference.verdict import Stretch, Verdict, clock
from ostinato.plotting import STYLE
from ostinato.storage import WriteError

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae")


def verdict(
    *parts: tuple[float, float, dict[str, float]],
    genres: tuple[str, ...] = GENRES,
    threshold: float | None = 0.4,
    seconds: float = 120.0,
) -> Verdict:
    """A verdict from starts, ends and probabilities; what is missing to 1 is spread evenly."""
    stretches = []
    for start_s, end_s, given in parts:
        rest = (1 - sum(given.values())) / max(len(genres) - len(given), 1)
        stretches.append(Stretch(start_s, end_s, tuple(given.get(g, rest) for g in genres)))
    return Verdict(
        model="toy",
        genre=None,
        abstained=None if parts else "it is silent",
        probability=0.0,
        ranked=(),
        seconds=seconds,
        timeline=tuple(stretches),
        genres=genres,
        threshold=threshold,
    )


JAZZ_THEN_POP = verdict(
    (0, 30, {"jazz": 0.8, "blues": 0.2}),
    (30, 60, {"jazz": 0.3, "blues": 0.3, "pop": 0.4 - 1e-6}),  # below the threshold of 0.4
    (90, 120, {"pop": 0.9, "jazz": 0.1}),  # silence from 60 to 90 s
)


def texts(shown: Verdict, name: str = "a.mp3") -> list[str]:
    """Everything that is written in a picture."""
    with matplotlib.rc_context(STYLE):
        figure = timeline(shown, name)
    written = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return [text.get_text() for text in written]


def pixels(shown: Verdict, path: Path) -> np.ndarray:
    with Image.open(draw_timeline(shown, path, name="a.mp3")) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def share_of(colour: str, image: np.ndarray) -> float:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((np.abs(image - rgb).max(axis=2) < 8).mean())


class TestWhatIsSaid:
    def test_title_gives_shares_of_the_time_that_was_heard(self) -> None:
        """Three parts of 30 s: a third each; the silence is of no verdict."""
        title = texts(JAZZ_THEN_POP)[0].replace("\n", " ")
        assert title == "Jazz 33% of the time, no verdict 33% and pop 33%"

    @pytest.mark.parametrize(
        ("shown", "title"),
        [
            (verdict((0, 120, {"jazz": 0.9})), "Jazz throughout"),
            (verdict((0, 120, {"jazz": 0.3})), "No verdict throughout"),
            (verdict(), "No verdict: it is silent"),
        ],
        ids=["one genre", "unsure", "silent"],
    )
    def test_title_of_one_part(self, shown: Verdict, title: str) -> None:
        assert texts(shown)[0] == title

    def test_the_ribbon_names_its_parts_and_what_is_silent(self) -> None:
        """At its beginning, in the middle and at its end, where there is room for the word."""
        shown = verdict((30, 60, {"jazz": 0.9}), (90, 100, {"pop": 0.9}), seconds=130.0)
        ribbon = timeline(shown, "a.mp3").axes[0]
        named = [(t.get_text(), round(t.get_position()[0], 6)) for t in ribbon.texts]
        assert named == [("jazz", 45), ("pop", 95), *((SILENCE, x) for x in (15, 75, 115))]
        bars = [(bar.get_x(), bar.get_width(), bar.get_hatch()) for bar in ribbon.patches]
        assert bars == [(30, 30, None), (90, 10, None)]

    def test_hatching_is_explained_where_there_is_some(self) -> None:
        assert "Hatched: no genre reaches 40%." in texts(JAZZ_THEN_POP)[1].replace("\n", " ")
        assert "Hatched" not in texts(verdict((0, 120, {"jazz": 0.9})))[1]

    def test_keys_give_means_over_time(self) -> None:
        """The longer of uneven parts counts more: (3 x 0.9 + 1 x 0.5) / 4 = 0.8."""
        shown = verdict((0, 90, {"jazz": 0.9, "pop": 0.1}), (90, 120, {"jazz": 0.5, "pop": 0.5}))
        written = [text.get_text() for text in timeline(shown, "a.mp3").axes[1].texts]
        assert written == ["jazz", "80%", "pop", "20%", OTHERS, "0%", "mean"]

    def test_an_overlap_counts_once(self) -> None:
        """The last excerpt of a sound ends with it: from 30 s on here, not from 10 s."""
        shown = verdict((0, 30, {"jazz": 1.0}), (10, 40, {"pop": 1.0}), seconds=40.0)
        assert texts(shown)[0] == "Jazz 75% of the time, pop 25%"

    def test_parts_too_narrow_for_their_name_have_none(self) -> None:
        parts = [(float(i), i + 1.0, {GENRES[i % 2]: 0.9}) for i in range(120)]
        assert texts(verdict(*parts)).count("classical") == 1  # in the keys

    @pytest.mark.parametrize(
        ("seconds", "said"), [(5, "0:05"), (65.4, "1:05"), (3599.6, "1:00:00"), (7265, "2:01:05")]
    )
    def test_clock(self, seconds: float, said: str) -> None:
        assert clock(seconds) == said

    @pytest.mark.parametrize("seconds", [0.6, 7, 59, 200, 1000, 7200, 40_000, 700_000])
    def test_few_round_ticks_whatever_the_length(self, seconds: float) -> None:
        figure = timeline(verdict((0, seconds, {"jazz": 0.9}), seconds=seconds), "a.mp3")
        ticks = figure.axes[1].get_xticks()
        assert 1 <= len(ticks) <= 11
        assert len({clock(tick) for tick in ticks}) == len(ticks)

    @pytest.mark.parametrize(("seconds", "step"), [(18, 2), (45, 5), (95, 15), (290, 60)])
    def test_ticks_are_at_round_times(self, seconds: float, step: int) -> None:
        figure = timeline(verdict((0, seconds, {"jazz": 0.9}), seconds=seconds), "a.mp3")
        assert np.diff(figure.axes[1].get_xticks()).tolist() == [step] * (seconds // step)


class TestColours:
    def test_a_genre_has_its_colour_in_every_picture(self) -> None:
        first = genre_colours(verdict((0, 30, {"jazz": 0.9, "pop": 0.1})))
        second = genre_colours(verdict((0, 30, {"pop": 0.6, "jazz": 0.4})))
        assert first["jazz"] == second["jazz"] == COLOURS[GENRES.index("jazz")]

    def test_of_many_genres_those_that_lead_are_shown(self) -> None:
        """29 lead nowhere though each is likelier than the one that leads once."""
        genres = tuple(f"g{i}" for i in range(30))
        shown = verdict(
            (0, 100, {"g7": 0.0, "g8": 0.5}), (100, 101, {"g7": 1.0}), genres=genres, seconds=101
        )
        assert set(genre_colours(shown)) == {"g7", "g8"}
        rivals = {f"g{i}": 0.1 for i in range(10)}
        many = genre_colours(
            verdict((0, 100, {**rivals, "g20": 0.0}), (100, 101, {"g20": 1.0}), genres=genres)
        )
        assert len(many) == MOST_SHOWN == len(set(many.values()))
        assert "g20" in many

    def test_areas_are_the_probabilities(self, tmp_path: Path) -> None:
        """Twice as likely, twice the coloured area of the stack; the ribbon is all jazz."""
        image = pixels(
            verdict((0, 120, {"jazz": 0.6, "pop": 0.3, "blues": 0.1})), tmp_path / "a.png"
        )
        stack = image[image.shape[0] * 2 // 5 : image.shape[0] * 4 // 5]
        column = stack[:, : stack.shape[1] * 3 // 4]
        whole = pixels(verdict((0, 120, {"jazz": 1.0})), tmp_path / "b.png")
        jazz, pop = COLOURS[GENRES.index("jazz")], COLOURS[GENRES.index("pop")]
        assert share_of(jazz, whole) > share_of(jazz, image) > share_of(pop, image) > 0
        assert share_of(jazz, column) > 0.4

    def test_abstaining_is_hatched_and_silence_is_empty(self, tmp_path: Path) -> None:
        """A veil and lines of white: the pure colour of the genre is hardly left."""
        jazz = COLOURS[GENRES.index("jazz")]
        sure = pixels(verdict((0, 120, {"jazz": 0.9}), threshold=0.5), tmp_path / "sure.png")
        unsure = pixels(verdict((0, 120, {"jazz": 0.9}), threshold=0.95), tmp_path / "unsure.png")
        silent = pixels(verdict(), tmp_path / "silent.png")
        assert share_of(jazz, sure) > 0.4
        assert share_of(jazz, unsure) < 0.01
        assert share_of("#f5f5f5", silent) > 0.4


class TestFiles:
    def test_leaves_no_global_state_and_no_part_of_a_file(self, tmp_path: Path) -> None:
        before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
        path = draw_timeline(JAZZ_THEN_POP, tmp_path / "new" / "a.png", name="a.mp3")
        assert dict(matplotlib.rcParams) == before
        assert ("matplotlib.pyplot" in sys.modules) == pyplot
        assert [p.name for p in path.parent.iterdir()] == ["a.png"]
        assert path.stat().st_size < 100_000

    @pytest.mark.parametrize("name", ["a $x^2$ \\udcff.mp3", "\N{CJK UNIFIED IDEOGRAPH-97F3}.ogg"])
    def test_any_name_is_drawn_without_a_warning(self, name: str, tmp_path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_timeline(JAZZ_THEN_POP, tmp_path / "a.png", name=name)

    def test_long_names_are_wrapped(self) -> None:
        lines = texts(JAZZ_THEN_POP, "very " * 60 + ".mp3")[1].splitlines()
        assert len(lines) > 2

    def test_a_folder_gets_a_picture_for_each_file(self, tmp_path: Path) -> None:
        """Also where two have one name, or names that one file system takes for one."""
        pictures = Pictures(tmp_path / "out", n_files=4)
        for name in ("one/a.mp3", "two/a.mp3", "three/A.MP3", "-"):
            pictures.add(JAZZ_THEN_POP, name)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
            "A.MP3-3.png", "a.mp3-2.png", "a.mp3.png", "stdin.png",
        ]  # fmt: skip

    def test_a_picture_of_another_kind_is_refused_and_no_folder_of_its_name(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=r"Expected a \.png or a folder .*x\.jpg"):
            Pictures(tmp_path / "x.jpg", n_files=1)
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "x.jpg").mkdir()
        Pictures(tmp_path / "x.jpg", n_files=2)

    def test_one_picture_of_several_files_is_refused_before_any_is_heard(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=r"Pictures of 2 files: expected a folder .*out\.png"):
            Pictures(tmp_path / "out.png", n_files=2)

    def test_what_cannot_be_written_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(WriteError, match="a part of its path is a file"):
            draw_timeline(JAZZ_THEN_POP, tmp_path / "file" / "a.png", name="a.mp3")

    def test_without_matplotlib(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[plot\]"'):
            Pictures(tmp_path / "a.png", n_files=1)
