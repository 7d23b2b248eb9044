"""The page as people use it: in Chromium, from a server as it is started from a shell."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, FileChooser, Page, Route

from ostinato.inference.classifier import Classifier
from ostinato.inference.verdict import Verdict
from tests.helpers.browser import check_look, chromium, needs_chromium, visit
from tests.helpers.formats import write
from tests.helpers.sounds import RATE_HZ, not_music, tune

pytestmark = needs_chromium

MODELS = ("default", "lstm", "residual-lstm")
KEY = "a-key-of-this-test"
NASTY = "<img src=x onerror=alert(1)>.mp3"


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Callable[[], str]]:
    """A server; gives what waits for its address."""
    log = folder / "log.txt"
    command = [sys.executable, "-m", "ostinato", "serve", "--port", "0", "--workers", "1"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, *arguments], stdout=file, stderr=file)

    def address() -> str:
        for _ in range(600):
            found = re.search(r"(http://127\.0\.0\.1:\d+) is ready", log.read_text())
            if found:
                return found[1] + "/"
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """An open server with small limits, and one that asks for a key."""
    first, second = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("closed")
    keys = second / "keys.txt"
    keys.touch(0o600)
    keys.write_text(KEY)
    limits = ("--max-mb", "3", "--max-minutes", "10")
    with (
        serving(first, "--model", ",".join(MODELS), *limits) as one,
        serving(second, "--model", "lstm", "--api-key-file", str(keys)) as other,
    ):
        yield one(), other()


@pytest.fixture(scope="module")
def address(servers: tuple[str, str]) -> str:
    return servers[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    """A folder of songs in several formats, and of what is no song."""
    folder = tmp_path_factory.mktemp("given") / "songs"
    (folder / "b").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    long = np.concatenate([tune(1, 0, seconds=24), tune(2, 1, seconds=21)])
    write(folder / "long.mp3", long[:, None], RATE_HZ)
    write(folder / "b" / "10.m4a", tune(0, 2, seconds=14)[:, None], RATE_HZ)
    soundfile.write(folder / "b" / "9.flac", tune(1, 3, seconds=12), RATE_HZ)
    soundfile.write(folder / ".hidden" / "x.wav", tune(1, 3, seconds=1), RATE_HZ)
    (folder / NASTY).write_bytes(b"no song" * 100)
    (folder / "cover.jpg").write_bytes(b"no song")
    for i in range(150):  # a browser lists a hundred at a time
        (folder / "b" / f"{i}.txt").touch()
    return folder


@pytest.fixture(scope="module")
def default() -> Classifier:
    return Classifier.load("default")


def hear(page: Page, song: Path) -> None:
    page.set_input_files("#file", song)
    page.wait_for_selector("#song:not([hidden])")


def alert(page: Page) -> str:
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator("#song").is_hidden()
    return page.get_by_role("alert").inner_text()


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders as a person does, from the system."""
    to_browser = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        to_browser.send("Input.dispatchDragEvent", {"type": kind, "x": 9, "y": 9, "data": data})
    assert page.locator("body.hover").count() == 1  # the page says that it takes them
    to_browser.send("Input.dispatchDragEvent", {"type": "drop", "x": 9, "y": 9, "data": data})
    assert page.locator("body.hover").count() == 0


def until(page: Page, true: str | Callable[[], object]) -> None:
    """Wait for something of the page: what Playwright has for that, the page's headers forbid."""
    for _ in range(600):
        if page.evaluate(true) if isinstance(true, str) else true():
            return
        page.wait_for_timeout(50)
    raise AssertionError(true)


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def said(verdict: Verdict) -> str:
    """What the heading is to say."""
    if verdict.genre is None:
        return "I don\N{RIGHT SINGLE QUOTATION MARK}t know"
    return f"{verdict.genre.capitalize()} {percent(verdict.probability)}"


class TestSong:
    @pytest.mark.parametrize("name", ["long.mp3", "b/10.m4a"])
    def test_is_named_shown_and_played(self, browser, address, songs, default, name) -> None:
        verdict = default.classify(songs / name, thorough=True)
        with visit(browser, address) as page:
            hear(page, songs / name)
            assert page.locator("#verdict").inner_text() == said(verdict)
            assert page.title() == f"{said(verdict)} · {Path(name).name} · Ostinato"
            assert Path(name).name in page.get_by_role("status").inner_text()
            bars = page.locator("#ranked li").all_inner_texts()
            wanted = [f"{genre}\n{percent(p)}" for genre, p in verdict.ranked[:3]]
            assert [re.sub(r"\s*\n\s*", "\n", bar) for bar in bars] == wanted
            assert page.locator("#timeline rect.part").count() == len(verdict.segments())
            duration = page.evaluate(
                """() => new Promise(done => {
                    const player = document.querySelector("audio");
                    const tell = () => done(player.duration);
                    player.readyState ? tell() : player.addEventListener("loadedmetadata", tell);
                })"""
            )
            assert duration == pytest.approx(verdict.seconds, abs=0.1)
            box = page.locator("[role=slider]").bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
            until(page, "document.querySelector('audio').played.length > 0")
            time_s = page.evaluate("document.querySelector('audio').played.start(0)")
            assert time_s == pytest.approx(verdict.seconds / 2, abs=0.2)

    def test_that_the_model_does_not_know(self, browser, address, tmp_path) -> None:
        soundfile.write(tmp_path / "noise.wav", not_music(seconds=12)["pink noise"], RATE_HZ)
        with visit(browser, address) as page:
            hear(page, tmp_path / "noise.wav")
            assert page.locator("#verdict").inner_text().startswith("I don")
            why = page.locator("#why").inner_text()
            assert why.startswith("It is unlike the music that the model learned from. Perhaps ")
            assert page.locator("#legend").inner_text().endswith("? no verdict")

    def test_that_is_silent_or_that_the_browser_cannot_play(
        self, browser, address, tmp_path
    ) -> None:
        both = np.concatenate([tune(1, 3, seconds=30), np.zeros(30 * RATE_HZ, np.float32)])
        soundfile.write(tmp_path / "half.au", both, RATE_HZ)
        with visit(browser, address) as page:
            hear(page, tmp_path / "half.au")
            page.wait_for_selector("#no-player:not([hidden])")
            slider = page.locator("[role=slider]")
            slider.press("End")
            assert slider.get_attribute("aria-valuetext") == "1:00 of 1:00, silence"
            assert page.locator("#explain").is_disabled()
            slider.press("Home")
            assert page.locator("#explain").is_enabled()

    def test_another_model_hears_it_when_it_is_chosen(self, browser, address, songs) -> None:
        verdict = Classifier.load("lstm").classify(songs / "b" / "9.flac", thorough=True)
        with visit(browser, address) as page:
            page.wait_for_selector("#model option", state="attached")
            assert page.locator("#model option").all_inner_texts() == list(MODELS)
            hear(page, songs / "b" / "9.flac")
            page.select_option("#model", "lstm")
            page.wait_for_selector("#facts :text('heard by lstm')")
            assert page.locator("#verdict").inner_text() == said(verdict)


class TestRefused:
    def test_what_cannot_be_heard_is_told_in_the_servers_words(
        self, browser, address, songs, tmp_path
    ) -> None:
        soundfile.write(tmp_path / "two hours.flac", np.zeros(7200 * 4000, np.int16), 4000)
        (tmp_path / "large.wav").write_bytes(bytes((3 << 20) + 1))
        with visit(browser, address, refused=(413, 422)) as page:
            page.set_input_files("#file", songs / NASTY)
            assert alert(page).startswith(f"'{NASTY}' cannot be used as sound: ")
            assert page.locator("img").count() == 0
            page.set_input_files("#file", tmp_path / "two hours.flac")
            page.wait_for_selector("#error:text-matches('two hours')")
            assert alert(page).startswith("Expected at most 10:00 of sound, got 2:00:00 in 'two ho")
            sent: list[str] = []
            page.on("request", lambda request: sent.append(request.method))
            page.set_input_files("#file", tmp_path / "large.wav")
            page.wait_for_selector("#error:text-matches('large')")
            assert alert(page).startswith("Expected a file of at most 3 MB, got 3 MB in 'large.wa")
            assert sent == []  # not even tried
            page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('gone')); }")
            page.set_input_files("#file", songs / "b" / "9.flac")
            page.wait_for_selector("#error:text-matches('still running')")
            assert alert(page).startswith("The server did not answer.")

    def test_a_busy_server_is_waited_for(self, browser, address, songs) -> None:
        asked = []

        def busy(route: Route) -> None:
            asked.append(time.monotonic())
            if len(asked) < 2:
                route.fulfill(status=429, headers={"Retry-After": "1"}, json={"detail": "busy"})
            else:
                route.continue_()

        with visit(browser, address, refused=(429,)) as page:
            page.route("**/v1/classify*", busy)
            hear(page, songs / "b" / "9.flac")
            assert len(asked) == 2
            assert asked[1] - asked[0] >= 1

    def test_a_key_is_asked_for_and_kept_by_the_tab_alone(self, browser, servers, songs) -> None:
        with visit(browser, servers[1], refused=(401,)) as page:
            field = page.get_by_label("This server asks for a key")
            box = field.bounding_box()
            assert box is not None
            assert box["width"] > 300
            field.fill("no key of it")
            field.press("Enter")
            assert alert(page).startswith("Expected a key of this server")
            field.fill(KEY)
            field.press("Enter")
            page.wait_for_selector("#model option", state="attached")
            assert page.locator("#key-form").is_hidden()
            assert page.locator("#error").is_hidden()
            hear(page, songs / "b" / "9.flac")
            page.reload()
            page.wait_for_selector("#model option", state="attached")
            assert page.locator("#key-form").is_hidden()
            assert page.evaluate("localStorage.length + document.cookie.length") == 0


class TestRecording:
    def test_is_heard_when_it_is_stopped(self, browser, address) -> None:
        with visit(browser, address) as page:
            page.get_by_role("button", name="Record").click()
            stop = page.get_by_role("button", name="Stop and hear it")
            stop.wait_for()
            until(page, "document.querySelector('#level').value > 0.5")  # it beeps once a second
            until(page, "/^0:0[1-9]$/.test(document.querySelector('#clock').textContent)")
            stop.click()
            page.wait_for_selector("#song:not([hidden])")
            assert page.locator("#song-name").inner_text().endswith(".webm")
            assert page.locator("#why").inner_text().startswith("It is too short to be judged: ")
            until(page, "isFinite(document.querySelector('audio').duration)")
            assert page.evaluate("document.activeElement.id") == "record"

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            (
                "Object.defineProperty(window, 'isSecureContext', {value: false})",
                "http://localhost",
            ),
            ("delete window.MediaRecorder", "This browser cannot record."),
            (
                "navigator.mediaDevices.getUserMedia = () => "
                "Promise.reject(new DOMException('', 'NotFoundError'))",
                "There is no microphone.",
            ),
        ],
    )
    def test_that_cannot_be_made_says_why(self, browser, address, script, why) -> None:
        with visit(browser, address, script=script, axe=False) as page:
            button = page.get_by_role("button", name="Record")
            if button.is_enabled():
                button.click()
            page.wait_for_selector("#record-note:not([hidden])")
            assert why in page.locator("#record-note").inner_text()


class TestOnDemand:
    def test_what_spoke_for_it(self, browser, address, songs, default) -> None:
        heard = default.classify(songs / "long.mp3", thorough=True)
        with visit(browser, address) as page:
            hear(page, songs / "long.mp3")
            slider = page.locator("[role=slider]")
            slider.press("End")
            slider.press("ArrowLeft")
            start_s = heard.timeline[-1].start_s
            assert f"from 0:{start_s:02.0f} to 0:45" in page.locator("#explain-words").inner_text()
            page.click("#explain")
            page.wait_for_selector("#explained:not([hidden])")
            last = heard.timeline[-1].probabilities
            genre = heard.genres[int(np.argmax(last))]
            words = page.locator("#explained figcaption").inner_text()
            assert f"likeliest genre is {genre} ({percent(max(last))})" in words
            painted = page.evaluate(
                """() => [...document.querySelectorAll("#explained canvas")].map(canvas => {
                    const all = canvas.getContext("2d").getImageData(0, 0, canvas.width,
                        canvas.height).data.filter((_, i) => i % 4 === 3);
                    return [canvas.width, canvas.height, new Set(all).size];
                })"""
            )
            assert [each[:2] for each in painted] == [[387, 128], [20, 8]]
            assert all(n_levels > 10 for *_, n_levels in painted)
            page.get_by_label("show").uncheck()
            assert page.locator("#explained .cover").is_hidden()
            page.locator("#explained .plot").click(position={"x": 1, "y": 50})
            until(page, "document.querySelector('audio').played.length > 0")
            at = page.evaluate("document.querySelector('audio').played.start(0)")
            assert at == pytest.approx(start_s, abs=0.3)

    def test_models_side_by_side(self, browser, address, songs) -> None:
        with visit(browser, address) as page:
            hear(page, songs / "b" / "9.flac")
            page.click("#compare")
            page.wait_for_selector("#compared:not([hidden])")
            rows = [row.split("\t") for row in page.locator("#compared tbody tr").all_inner_texts()]
            assert [row[0] for row in rows] == list(MODELS)
            for model, genre, sure, *_ in rows:
                verdict = Classifier.load(model).classify(songs / "b" / "9.flac")
                wanted = verdict.genre or "don\N{RIGHT SINGLE QUOTATION MARK}t know"
                assert genre == wanted
                assert sure == (percent(verdict.probability) if verdict.genre else "")
            assert page.locator("#compared svg[role=img]").count() == len(MODELS)


class TestManySongs:
    def test_of_a_folder_become_a_table_and_a_file(self, browser, address, songs, default) -> None:
        with visit(browser, address, refused=(422,)) as page:
            drop(page, songs)
            page.wait_for_selector("#many-words:text-matches('^Done')")
            told = page.locator("#many-words").inner_text()
            assert told == "Done: 4 of 4 songs, 1 could not be heard."
            assert page.get_by_role("status").inner_text() == told
            assert page.locator("#many-title").inner_text() == "Songs of songs"
            order = page.locator("#many-rows th").all_inner_texts()
            assert sorted(order) == sorted([NASTY, "b/9.flac", "b/10.m4a", "long.mp3"])
            assert order.index("b/9.flac") < order.index("b/10.m4a")
            assert page.locator("#many-rows img").count() == 0
            page.get_by_role("button", name="Sure").click()
            shares = page.locator("#many-rows td.number:not(.length)").all_inner_texts()
            sure = [float(share.split("\N{NO-BREAK SPACE}")[0]) for share in shares if share]
            assert sure == sorted(sure, reverse=True)
            assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Sure")
            with page.expect_download() as download:
                page.click("#many-csv")
            text = download.value.path().read_text(encoding="utf-8-sig")
            rows = {row["path"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
            assert set(rows) == {f"songs/{path}" for path in order}
            assert "cannot be used as sound" in rows[f"songs/{NASTY}"]["problem"]
            verdict = default.classify(songs / "b" / "10.m4a")
            assert rows["songs/b/10.m4a"]["genre"] == (verdict.genre or "")
            assert rows["songs/b/10.m4a"]["probability"] == f"{verdict.probability:.4f}"

    def test_have_names_that_are_no_formulas(self, browser, address, tmp_path) -> None:
        names = ["=1+1.mp3", 'a "quote", and more.wav']
        for name in names:
            (tmp_path / name).write_text("no sound")
        with visit(browser, address, refused=(422,)) as page:
            drop(page, *(tmp_path / name for name in names))
            page.wait_for_selector("#many-words:text-matches('^Done')")
            assert page.locator("#many-title").inner_text() == "Songs"
            with page.expect_download() as download:
                page.click("#many-csv")
            text = download.value.path().read_text(encoding="utf-8-sig")
            paths = [row[0] for row in csv.reader(io.StringIO(text, newline=""))]
            assert sorted(paths) == sorted(["path", "'=1+1.mp3", names[1]])
            drop(page, tmp_path / names[0])
            assert alert(page).startswith("'=1+1.mp3' cannot be used as sound")

    def test_can_be_stopped(self, browser, address, songs) -> None:
        asked = []

        def first_alone(route: Route) -> None:
            asked.append(route)
            if len(asked) == 1:
                route.continue_()

        with visit(browser, address) as page:
            page.route("**/v1/classify*", first_alone)
            page.set_input_files("#folder", [songs / "b"])
            page.wait_for_selector("#many-words:text-matches('^1 of 2')")
            assert len(asked) == 2
            page.click("#many-stop")
            page.wait_for_selector("#many-words:text-matches('^Stopped: 1 of 2')")
            assert page.locator("#many-rows tr").count() == 1


def test_a_keyboard_is_enough(browser, address, songs) -> None:
    with visit(browser, address) as page:
        page.wait_for_selector("#model option", state="attached")

        def focused() -> str:
            return str(page.evaluate("document.activeElement.id || document.activeElement.role"))

        def tab_to(name: str) -> None:
            for _ in range(12):
                page.keyboard.press("Tab")
                if focused() == name:
                    return
            raise AssertionError(f"{name} is not reached, but {focused()}")

        choosers: list[FileChooser] = []
        page.on("filechooser", lambda chooser: choosers.append(chooser))
        tab_to("file")
        outline = "getComputedStyle(document.querySelector('label[for=file]')).outlineStyle"
        assert page.evaluate(outline) == "solid"
        page.keyboard.press("Enter")
        until(page, lambda: choosers)
        choosers[0].set_files(songs / "long.mp3")
        page.wait_for_selector("#song:not([hidden])")
        tab_to("slider")
        page.keyboard.press("ArrowRight")
        slider = page.locator("[role=slider]")
        assert slider.get_attribute("aria-valuenow") == "5"
        page.keyboard.press("Space")
        until(page, "!document.querySelector('audio').paused")
        until(page, "document.querySelector('audio').currentTime > 5.1")
        page.keyboard.press("Space")
        until(page, "document.querySelector('audio').paused")
        assert float(slider.get_attribute("aria-valuenow") or 0) >= 5
        tab_to("explain")
        page.keyboard.press("Enter")
        page.wait_for_selector("#explained:not([hidden])")
        tab_to("compare")
        page.keyboard.press("Enter")
        page.wait_for_selector("#compared:not([hidden])")


def test_every_part_fits_and_is_legible_in_light_and_dark(browser, address, songs) -> None:
    """The end of a visit looks at that; here all of the page is shown, at three sizes."""
    narrow = {"width": 400, "height": 800}
    with visit(browser, address, refused=(422,), reduced_motion="reduce", viewport=narrow) as page:
        page.set_input_files("#folder", songs)
        hear(page, songs / "long.mp3")
        for name, shown in (("explain", "explained"), ("compare", "compared")):
            page.click(f"#{name}")
            page.wait_for_selector(f"#{shown}:not([hidden])")
        page.wait_for_selector("#many-words:text-matches('^Done')")
        for width, scheme in ((1000, "dark"), (320, "light"), (400, "dark")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(map(int, re.findall(r"\d+", paper))) / 3
            assert (brightness > 200) == (scheme == "light")
            check_look(page)
            if folder := os.environ.get("OSTINATO_SHOTS"):
                page.screenshot(path=Path(folder) / f"{width}-{scheme}.png", full_page=True)
