"""The static page: a real browser hears what Python hears, and asks nobody.

Where Chromium and Playwright are installed, and ``npm ci`` was run in the example's folder.
"""

from __future__ import annotations

import functools
import http.server
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato import Classifier
from tests.helpers.browser import check_look, chromium, needs_chromium
from tests.helpers.sounds import RATE_HZ, music

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"

pytestmark = [
    pytest.mark.skipif(
        not (EXAMPLE / "node_modules" / "onnxruntime-web").is_dir(),
        reason="needs npm ci --prefix examples/browser",
    ),
    needs_chromium,
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    soundfile.write(folder / "song.wav", music(3, 30.0), RATE_HZ, subtype="PCM_16")
    stereo = np.stack([music(4, 40.0), 0.5 * music(5, 40.0)], axis=1)
    soundfile.write(folder / "stereo.flac", stereo, RATE_HZ)
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    (folder / "broken.mp3").write_text("this is no sound")
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The page with the model that ships, served as files."""
    pytest.importorskip("torch")
    site = tmp_path_factory.mktemp("site")
    runpy.run_path(str(EXAMPLE / "build.py"))["main"](site=site)
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(songs: Path):
    with chromium(f"--use-file-for-fake-audio-capture={songs / 'song.wav'}") as started:
        yield started


@pytest.fixture
def page(browser, address: str):
    """The page, loaded and then without a network; nothing may be asked for or complained of."""
    context = browser.new_context(permissions=["microphone"])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.get_by_text("Choose a song.").wait_for()
    context.set_offline(True)
    page.on("request", lambda request: said.append(request.url))
    yield page
    assert said == []
    check_look(page)
    context.close()


def verdict(page) -> tuple[str, dict[str, float]]:
    page.locator("#file:enabled").wait_for(timeout=60_000)
    rows = page.locator("#verdict li").all()
    values = {
        row.locator("span").first.inner_text(): float(row.get_attribute("data-probability"))
        for row in rows
    }
    return page.locator("#status").inner_text(), values


@pytest.mark.parametrize("name", ["song.wav", "stereo.flac"])
def test_it_says_what_python_says(page, songs: Path, name: str) -> None:
    page.set_input_files("#file", songs / name)
    said, values = verdict(page)
    expected = Classifier.load("default").classify_file(songs / name)
    assert values == pytest.approx(dict(expected.ranked[:3]), abs=1e-3)
    assert list(values) == [genre for genre, _ in expected.ranked[:3]]
    reasons = {None: f"It is {expected.ranked[0][0]}."}
    assert said == reasons.get(expected.abstained, f"I don't know: {expected.abstained}.")


def test_it_hears_the_microphone(page) -> None:
    page.get_by_role("button", name="Record 30 seconds").click()
    page.get_by_text("Recording …").wait_for()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop and hear it").click()
    said, values = verdict(page)
    assert said.startswith(("It is ", "I don't know: "))
    assert "silent" not in said
    assert len(values) == 3
    assert sum(values.values()) <= 1
    page.get_by_role("button", name="Record 30 seconds").wait_for()


def test_what_it_cannot_hear_is_one_sentence(page, songs: Path) -> None:
    page.set_input_files("#file", songs / "broken.mp3")
    assert verdict(page)[0].startswith("Expected sound that this browser can play; got something")
    page.set_input_files("#file", songs / "silent.wav")
    assert verdict(page) == ("I don't know: the sound is silent.", {})
