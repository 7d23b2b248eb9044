"""The page stands alone, escapes what it is given, and says what the results say."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from ostinato.errors import MissingExtraError, UsageError
from ostinato.storage import WriteError
from ostinato.study.report import write_page
from ostinato.study.report.findings import findings, headline
from ostinato.study.report.page import _minus
from ostinato.study.report.words import percent
from tests.helpers.fake_results import fake_results, typed
from tests.helpers.pages import Page
from tests.study.report.conftest import STUDIES

Results = dict[str, Any]


@pytest.mark.parametrize("kind", STUDIES)
def test_every_kind_of_study_has_a_page(
    kind: str, figures: dict[str, Path], tmp_path: Path
) -> None:
    results = fake_results(**STUDIES[kind])
    out = write_page(typed(results), figures, tmp_path / "report.html")
    page = Page(out)
    assert headline(typed(results)) in page.text
    for finding in findings(typed(results)):
        assert finding.question.rstrip(".") in page.text
        for sentence in finding.sentences:
            assert _minus(sentence) in page.text
    part = "test" if "test_accuracy" in results["models"]["lstm"] else "valid"
    for model in results["models"].values():
        assert percent(model[f"{part}_accuracy"]["mean"]) in page.text
        assert f"{model['parameters']:,}" in page.text
    claim = "ResLSTM beats LSTM and ConvLSTM, and over-fits least; disco and reggae are hardest."
    assert (claim in page.text) == (len(results["models"]) >= 3)
    assert ("Validation figures, not a result" in page.text) == (part == "valid")


def test_the_page_needs_nothing_but_itself(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    out = write_page(typed(results), figures, tmp_path / "report.html")
    text, page = out.read_text(encoding="utf-8"), Page(out)
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"(https?:)?//[a-z]|@import|url\(", text), "nothing is fetched"
    images = page.all("img")
    assert len(images) == len(figures)
    embedded = {base64.b64decode(i["src"].removeprefix("data:image/png;base64,")) for i in images}
    assert embedded == {path.read_bytes() for path in figures.values()}


def test_the_page_can_be_read_aloud_and_navigated(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    page = Page(write_page(typed(results), figures, tmp_path / "report.html"))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert any("width=device-width" in meta.get("content", "") for meta in page.all("meta"))
    assert all(len(image["alt"]) > 40 for image in page.all("img"))
    assert all({"width", "height"} <= set(image) for image in page.all("img")), "no jumps"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"].removeprefix("#") for a in page.all("a")}
    targets |= {
        a[k] for _, a in page.tags for k in ("aria-describedby", "aria-labelledby") if k in a
    }
    assert targets <= set(ids)
    assert all("scope" in th for th in page.all("th"))


def test_all_that_comes_from_outside_is_escaped(figures: dict[str, Path], tmp_path: Path) -> None:
    bad = "<script>alert('1')</script>"
    results = fake_results(
        genres=[bad, "a&b", "disco", 'q"uote'], title=bad, n_per_genre=4, n_seeds=1
    )
    results["data"] |= {"name": bad, "source": bad, "left_out": {bad: 2}, "frames": bad}
    results["data"]["skipped"] = [{"id": bad, "reason": bad}]
    results["split"]["notes"] = [bad]
    results["fairness"]["same"] = results["fairness"]["differ"] = [bad]
    results["config"]["training"][bad] = bad
    results["models"]["lstm"]["label"] = bad
    out = write_page(typed(results), figures, tmp_path / "report.html")
    page = Page(out)
    assert "<script" not in out.read_text(encoding="utf-8")
    assert page.text.count(bad) > 20


def test_data_and_settings_are_told(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    results["data"]["left_out"] = {"polka": 2}
    text = Page(write_page(typed(results), figures, tmp_path / "report.html")).text
    assert "jazz.00054.wav: not a sound file (corrupt)." in text
    assert "polka (2)" in text
    assert "27 of 290" in text
    assert all(phrase in text for phrase in results["fairness"]["same"])
    assert "training.learning_rate 0.002 " in text
    assert "test true" in text, "as TOML writes it"
    assert "ostinato study config.toml" in text


def test_folds_that_differ_are_ranges(figures: dict[str, Path], tmp_path: Path) -> None:
    results = fake_results(**STUDIES["no test, folds, no artists"])
    first = results["split"]["folds"][0]
    own = first["parts"]["valid"]
    changed = own | {"n": 75, "per_genre": {**own["per_genre"]}, "artists_per_genre": {"jazz": 3}}
    del changed["per_genre"]["jazz"]  # a fold that holds none of it
    results["split"]["folds"][1] = first | {"parts": first["parts"] | {"valid": changed}}
    text = Page(write_page(typed(results), figures, tmp_path / "report.html")).text
    assert "70 to 75" in text
    assert re.search(rf"jazz [0-9 ]*0 to {own['per_genre']['jazz']} 0 to 3 ", text)


def test_a_winner_is_marked_only_where_the_intervals_allow(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    assert not [
        a for a in Page(write_page(typed(results), figures, out)).all("tr") if a.get("class")
    ][:-1]
    for pair in results["comparisons"]:
        pair["difference"] = {"mean": 0.05, "low": 0.01, "high": 0.09}
        pair["p_holm"] = 0.06
    rows = Page(write_page(typed(results), figures, out)).all("tr")
    assert [a["class"] for a in rows if a.get("class")] == ["total"], "the test disagrees"
    for pair in results["comparisons"]:
        pair["p_holm"] = 0.0321
    page = Page(write_page(typed(results), figures, out))
    assert [a["class"] for a in page.all("tr") if a.get("class")] == ["best", "total"]
    assert page.text.count("+1.0 to +9.0 0.032 yes") == 3
    assert len(re.findall("no test (yes|undecided)", page.text)) == 3, "gaps"


def test_eleven_recordings_make_no_winner(
    eleven: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    page = Page(write_page(typed(eleven), figures, tmp_path / "report.html"))
    assert [a["class"] for a in page.all("tr") if a.get("class")] == ["total"]
    assert not [a for a in page.all("span") if a.get("class") == "badge yes"]
    assert "all this is about these trained networks" in page.text
    assert "sign-flip permutation test by artist" in page.text
    assert "45.5%, taking recordings as independent: 21.3 to 72.0% (Wilson)" in page.text


def test_a_minus_is_set_before_figures_only() -> None:
    assert _minus("-2.9 to +9.0 (-3)") == "\N{MINUS SIGN}2.9 to +9.0 (\N{MINUS SIGN}3)"
    assert (
        _minus("fault-filtered, 2025-03-04, jazz-00054") == "fault-filtered, 2025-03-04, jazz-00054"
    )


# ---------------------------------------------------------------- wrong input


def test_a_missing_figure_is_named(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    some = {name: path for name, path in figures.items() if name != "genre_f1"}
    gone = figures | {"confusion": tmp_path / "gone.png"}
    with pytest.raises(UsageError, match="genre_f1 not among them"):
        write_page(typed(results), some, tmp_path / "report.html")
    with pytest.raises(UsageError, match="confusion not among them"):
        write_page(typed(results), gone, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_an_old_page_stays_until_the_new_one_is_whole(
    results: Results,
    figures: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    monkeypatch.setattr("ostinato.study.report.page._census", lambda _: None)
    with pytest.raises(Exception, match="None"):
        write_page(typed(results), figures, out)
    assert out.read_text() == "old"


def test_a_place_that_cannot_be_written_is_one_sentence(
    results: Results, figures: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="Cannot write"):
        write_page(typed(results), figures, tmp_path / "file" / "report.html")


def test_without_jinja2_the_extra_is_named(
    results: Results, figures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[plot\]"'):
        write_page(typed(results), figures, tmp_path / "report.html")


def test_the_page_says_which_letters_no_font_has(figures, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ostinato.study.report.page.not_drawn", lambda texts: "歌演")
    results = typed(fake_results(genres=["演歌", "rock"], n_per_genre=4, n_seeds=1))
    text = Page(write_page(results, figures, tmp_path / "report.html")).text
    assert "No installed font has the characters 歌演" in text
