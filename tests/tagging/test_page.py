"""The page of a library: its figures are those of the rows, and it stands alone."""

from __future__ import annotations

import itertools
import re
import sys
import tracemalloc
from pathlib import Path

import pytest

from ostinato.errors import MissingExtraError
from ostinato.inference.verdict import SILENT, UNSURE, Verdict
from ostinato.storage import WriteError
from ostinato.tagging.page import LISTED, SHOWN, LibraryPage
from ostinato.tagging.row import Row
from ostinato.tagging.tags import FileTags
from tests.helpers.pages import Page

ROOT = Path("/home/ann/music")


def heard(genre: str, probability: float, *, abstained: str | None = None) -> Verdict:
    return Verdict(
        model="toy", model_version="3", genre=None if abstained else genre.lower(),
        abstained=abstained, named=() if abstained else (genre.lower(),), probability=probability,
        ranked=((genre.lower(), probability), ("polka", 1 - probability)), seconds=200.0,
    )  # fmt: skip


def row(
    path: str,
    genre: str = "Jazz",
    *,
    said: tuple[str, ...] = (),
    probability: float = 0.75,
    action: str = "write",
    why: str = "",
    year: int | None = None,
    verdict: Verdict | None = None,
) -> Row:
    if action == "abstain":
        verdict = heard(genre, probability, abstained=why.partition(":")[0])
    elif action != "error":
        verdict = verdict or heard(genre, probability)
    return Row(
        path=ROOT / path, tags=FileTags(genres=said, year=year), verdict=verdict,
        genres=(genre,) if action in ("write", "keep") else (), action=action,
        new=(genre,) if action == "write" else said, why=why, seconds=200.0,
        written=action == "write" and path.startswith("written"),
    )  # fmt: skip


def page_of(tmp_path: Path, *rows: Row, root: Path = ROOT) -> Page:
    page = LibraryPage(root)
    for each in rows:
        page.add(each)
    return Page(page.write(tmp_path / "page.html"))


def section(page: Page, head: str, *, to: str) -> str:
    return page.text.partition(f" {head} ")[2].partition(f" {to} ")[0]


ROWS = (
    row("Ann/a.mp3", "Jazz", year=1971),
    row("Ann/b.mp3", "Jazz", year=1979),
    row("Ann/One/c.mp3", "Rock", said=("Pop",), probability=0.81, year=1983),
    row("Bo/d.mp3", "Rock", said=("Hard Rock",), action="keep", why="it has a genre"),
    row("Bo/e.mp3", "Jazz", said=("Rock",), probability=0.9, action="keep", why="it has a genre"),
    row("Bo/f.mp3", "Blues", probability=0.3, action="abstain", why=UNSURE),
    row("g.mp3", "Blues", probability=0.2, action="abstain", why=UNSURE),
    row("h.mp3", "Rock", probability=0.6, action="abstain", why=SILENT),
    row("i.mp3", action="error", why="it ends early: 3.2 s of 240 s"),
    row("j.mp3", action="error", why="it ends early: 9.9 s of 100 s"),
)


class TestFigures:
    @pytest.fixture
    def page(self, tmp_path) -> Page:
        return page_of(tmp_path, *ROWS)

    def test_what_becomes_of_the_files(self, page) -> None:
        assert "3 files of 10 would get a new genre." in page.text
        for told in (
            "3 would get a new genre", "2 stay as they are (it has a genre)",
            "3 the model abstains", "2 cannot be used", "10 files", "8 heard", "model toy 3",
            "nothing was written",
        ):  # fmt: skip
            assert told in page.text

    def test_genres_before_and_after(self, page) -> None:
        told = section(page, "Genres Genre", to="Files with the genre")
        assert re.sub(r"\s+", " ", told).strip() == (
            "Before After Bar Rock 1 2 Jazz 0 2 Hard Rock 1 1 Pop 1 0 no genre 7 5"
        )

    def test_genres_over_folders_of_the_first_level(self, page) -> None:
        told = section(page, "Folder", to="The first genre")
        assert told.strip() == (
            "Files Genres (in no folder) 4 no genre 100% Ann 3 Jazz 67%, Rock 33% "
            "Bo 3 Rock 33%, Hard Rock 33%, no genre 33%"
        )

    def test_genres_over_years(self, page) -> None:
        told = section(page, "Year", to="7 files without a year.")
        assert told.strip() == "Files Genres 1971 1 Jazz 100% 1979 1 Jazz 100% 1983 1 Rock 100%"

    def test_many_years_are_decades(self, tmp_path) -> None:
        rows = [row(f"{year}.mp3", year=year) for year in range(1965, 1995)]
        told = section(page_of(tmp_path, *rows), "Decade", to="What the model does not know")
        assert re.findall(r"(\d{4}s) (\d+)", told) == [
            ("1960s", "5"), ("1970s", "10"), ("1980s", "10"), ("1990s", "5"),
        ]  # fmt: skip

    def test_what_the_model_does_not_know(self, page) -> None:
        told = section(page, "Perhaps", to="These files stay")
        assert told.strip() == f"{UNSURE} 2 blues 2 {SILENT} 1 rock 1"

    def test_the_least_sure_verdicts_come_first(self, page) -> None:
        told = section(page, "The least sure verdicts", to="Where tags say otherwise")
        assert re.findall(r"(\S+\.mp3) (\w+ \d+%) then (polka \d+%)", told) == [
            ("Ann/a.mp3", "Jazz 75%", "polka 25%"), ("Ann/b.mp3", "Jazz 75%", "polka 25%"),
            ("Bo/d.mp3", "Rock 75%", "polka 25%"), ("Ann/One/c.mp3", "Rock 81%", "polka 19%"),
            ("Bo/e.mp3", "Jazz 90%", "polka 10%"),
        ]  # fmt: skip

    def test_disagreements_are_counted_and_the_surest_come_first(self, page) -> None:
        assert "Of 3 files with a genre of their own and a verdict, 1 (33%) agree." in page.text
        square = section(page, "They say", to="Rows:")
        assert square.strip() == "Rock Jazz Pop 1 Rock 1"
        told = section(page, "The surest disagreements", to="Listen before")
        assert re.findall(r"\S+\.mp3 \w+ \w+ \d+%", told) == [
            "Bo/e.mp3 Rock Jazz 90%", "Ann/One/c.mp3 Pop Rock 81%",
        ]  # fmt: skip

    def test_errors(self, page) -> None:
        told = section(page, "What cannot be used", to="Written by")
        assert "i.mp3 it ends early: 3.2 s of 240 s j.mp3 it ends early" in told


@pytest.mark.parametrize(
    ("said", "genre", "agree"),
    [
        ("Rock", "Rock", True),
        ("hard rock", "Rock", True),
        ("Rock", "Hard Rock", True),
        ("Hip Hop", "Hip-Hop", True),
        ("Hiphop", "Hip-Hop", True),
        ("Drum and Bass", "Drum & Bass", True),
        ("Rockabilly", "Rock", False),
        ("Pop", "Rock", False),
    ],
)
def test_kinds_of_a_genre_agree_with_it(tmp_path, said: str, genre: str, agree: bool) -> None:
    page = page_of(tmp_path, row("a.mp3", genre, said=(said,), action="keep", why="so"))
    assert (f"{'1 (100%)' if agree else '0 (0%)'} agree" in page.text) is True
    assert ("There is no disagreement." in page.text) is agree


def test_what_was_written_is_told(tmp_path) -> None:
    page = page_of(tmp_path, row("written/a.mp3"), row("b.mp3", action="keep", said=("Jazz",)))
    assert "1 file of 2 got a new genre." in page.text
    assert "tags were written" in page.text


def test_no_file_says_unknown_to_disagree(tmp_path) -> None:
    """Programs write that where they know no genre."""
    page = page_of(tmp_path, row("a.mp3", "Jazz", said=("Unknown",)))
    assert "No file that was heard has a genre of its own." in page.text


def test_files_outside_of_the_library_have_their_folder_in_full(tmp_path) -> None:
    """Several paths can be given; the page is that of the first."""
    told = section(page_of(tmp_path, row("/other/one/a.mp3")), "Folder", to="The first genre")
    assert told.strip() == "Files Genres /other/one 1 Jazz 100%"


def test_an_album_is_listed_once(tmp_path) -> None:
    verdict = heard("Jazz", 0.9)
    album = [row(f"One/{n}.mp3", said=("Rock",), verdict=verdict) for n in range(9)]
    page = page_of(tmp_path, *album)
    told = section(page, "The surest disagreements", to="Listen before")
    assert told.count(".mp3") == 1
    assert section(page, "They say", to="Rows:").strip() == "Jazz Rock 9"


def test_without_rows_each_section_says_so(tmp_path) -> None:
    page = page_of(tmp_path)
    for told in (
        "0 files of 0", "No file says its year.", "It abstains from no file.",
        "There is no verdict.", "All files could be used.",
    ):  # fmt: skip
        assert told in page.text


class TestForm:
    @pytest.fixture
    def page(self, tmp_path) -> Page:
        return page_of(
            tmp_path,
            *ROWS,
            row("<b>bold</b>/<script>x.mp3", '"Jazz" & <i>', said=("</table>",)),
            row("\x1b[31m/k.mp3", action="error", why="<script>"),
            root=Path("/home/ann/music"),
        )

    def test_it_needs_nothing_but_itself_and_escapes_names(self, page, tmp_path) -> None:
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        for tag in ("script", "link", "img", "iframe"):
            assert not page.all(tag)
        assert not re.search(r"(https?:)?//[a-z]|@import|url\(", text)
        assert "<b>bold</b>/<script>x.mp3" in page.text
        assert "\x1b" not in text

    def test_it_can_be_read_by_ear_and_key(self, page) -> None:
        """Heads of tables say what they head, regions and sections have names, bars are silent."""
        assert [tags for name, tags in page.tags if name == "html"] == [{"lang": "en"}]
        assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
        ids = {tags["id"] for _, tags in page.tags if "id" in tags}
        assert {tags["aria-labelledby"] for tags in page.all("section")} <= ids
        assert {tags["href"].removeprefix("#") for tags in page.all("a")} <= ids
        regions = [tags for tags in page.all("div") if tags.get("role") == "region"]
        assert len(regions) >= 7
        assert all(tags["tabindex"] == "0" and tags["aria-label"] for tags in regions)
        bars = [t for _, t in page.tags if t.get("class", "").split(" ")[0] in ("stack", "meter")]
        assert bars
        assert all(tags["aria-hidden"] == "true" for tags in bars)
        levels = [int(name[1]) for name, _ in page.tags if re.fullmatch(r"h\d", name)]
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))

    def test_widths_of_a_bar_are_all_of_it(self, tmp_path, page) -> None:
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        bars = re.findall(r'<span class="stack"[^>]*>(.*?)</span>', text)
        assert len(bars) > 4
        for bar in bars:
            widths = [float(width) for width in re.findall(r"width:([\d.]+)%", bar)]
            assert sum(widths) == pytest.approx(100, abs=0.1)


class TestLarge:
    def test_neither_memory_nor_page_grows_without_end(self, tmp_path, monkeypatch) -> None:
        """Each file in a folder of its own, with a genre of its own: the worst of libraries."""
        monkeypatch.setattr("ostinato.tagging.page.MOST_KEYS", 100)
        page = LibraryPage(ROOT)

        def add(first: int) -> int:
            for n in range(first, first + 400):
                page.add(row(f"folder {n}/a.mp3", f"Genre {n}", said=(f"Own {n}",), year=2000))
                page.add(row(f"folder {n}/b.mp3", action="error", why=f"a reason {n}"))
                page.add(row(f"f {n}/c.mp3", action="abstain", why=f"so {n}"))
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        early = add(0)
        late = add(400)
        tracemalloc.stop()
        assert late - early < 0.1 * early
        out = page.write(tmp_path / "page.html")
        text = Page(out).text
        assert out.stat().st_size < 200_000
        assert "2,400 files" in text
        assert f"The {SHOWN} folders with the most files" in text
        assert f"{LISTED} of 800 are listed" in text


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file, not a folder"):
        LibraryPage(ROOT).write(tmp_path / "file" / "page.html")


def test_without_jinja_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[plot\]"):
        LibraryPage(ROOT).write(tmp_path / "page.html")
