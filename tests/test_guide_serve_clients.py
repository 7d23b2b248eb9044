"""The clients of docs/guide/serve-clients.md do what the page says, against a real server."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from ostinato import Classifier
from ostinato.server.keys import Keys
from tests.conftest import REPOSITORY
from tests.helpers.browser import chromium, needs_chromium
from tests.helpers.serving import LIMITS, hearing
from tests.helpers.sounds import RATE_HZ, music

PAGE = (REPOSITORY / "docs" / "guide" / "serve-clients.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL))
KEY = "a key of the tests"
SONGS = ("one.flac", "two.flac", "three.flac", "tone.flac")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The page's files, songs, and one that is no sound."""
    folder = tmp_path_factory.mktemp("clients")
    for name, code in CODE.items():
        (folder / name).write_text(code, encoding="utf-8")
    (folder / "music").mkdir()
    for number, name in enumerate(SONGS):
        soundfile.write(folder / "music" / name, music(number, 10.0), RATE_HZ)
    shutil.copy(folder / "music" / "one.flac", folder / "song.mp3")
    (folder / "music" / "broken.mp3").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """Another site, whose pages may ask the server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def server(site: str):
    """One file at a time, and none waits: a client that sends more must try again."""
    limits = replace(LIMITS, waiting=0, batch_files=8, idle_s=10.0, upload_s=20.0, header_s=10.0)
    keys = Keys([KEY])
    with hearing("lstm", limits=limits, keys=keys, allowed_origins=[site], page=False) as started:
        yield started


@pytest.fixture(scope="module")
def run(folder: Path, server):
    """Run a program in the folder, with the environment that the page tells of."""

    def ran(*command: str, key: str = KEY) -> tuple[int, str]:
        environment = {**os.environ, "OSTINATO_URL": server[0], "OSTINATO_KEY": key}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return ran


@pytest.fixture(scope="module")
def genres(folder: Path) -> dict[str, str]:
    """What Python says of each song."""
    classifier = Classifier.load("lstm")
    heard = {name: classifier.classify_file(folder / "music" / name) for name in SONGS}
    return {
        name: verdict.genre or f"unknown: {verdict.abstained}" for name, verdict in heard.items()
    }


def refused_as_busy(server) -> float:
    """How many requests were answered with 429."""
    counted = re.findall(r'ostinato_requests_total\{.*status="429"\} (\S+)', said(server))
    return sum(map(float, counted))


def said(server) -> str:
    return server[1].metrics().decode()


def test_the_page_has_its_programs() -> None:
    names = {"one.sh", "folder.sh", "genres.py", "classify.mjs", "genres.mjs", "page.html"}
    assert set(CODE) == names


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def test_one_song(self, run, genres) -> None:
        status, answer = run("sh", "one.sh")
        assert status == 0, answer
        assert '"ranked":[{"genre":' in answer
        if not genres["one.flac"].startswith("unknown"):
            assert f'"genre":"{genres["one.flac"]}"' in answer

    def test_a_folder_is_one_request(self, run) -> None:
        status, answer = run("sh", "folder.sh")
        assert status == 0, answer
        assert answer.count('"problem":null') == len(SONGS)
        assert answer.count('"code":"not-heard"') == 1

    def test_another_key_is_told(self, run) -> None:
        status, answer = run("sh", "one.sh", key="another")
        assert status == 22  # curl's, of an error
        assert '"code":"key"' in answer


class TestPython:
    def test_a_folder_and_a_busy_server(self, run, server, genres) -> None:
        before = refused_as_busy(server)
        status, answer = run(sys.executable, "genres.py", "music")
        assert status == 0, answer
        for name, genre in genres.items():
            assert f"music/{name}: {genre}" in answer
        assert "music/broken.mp3: error: 'broken.mp3' cannot be used as sound" in answer
        assert refused_as_busy(server) > before, "it was never busy, so nobody had to wait"

    def test_another_key_is_told(self, run) -> None:
        _, answer = run(sys.executable, "genres.py", "song.mp3", key="another")
        assert answer.startswith("song.mp3: error: Expected a key of this server")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_javascript_in_node(run, genres) -> None:
    names = [f"music/{name}" for name in (*SONGS, "broken.mp3")]
    status, answer = run("node", "genres.mjs", *names)
    assert status == 0, answer
    for name, genre in genres.items():
        assert f"music/{name}: {genre}" in answer
    assert "music/broken.mp3: error: 'broken.mp3' cannot be used as sound" in answer


@needs_chromium
def test_javascript_in_a_page_of_another_site(site, server, folder, genres) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{site}/page.html#server={server[0]}&key={KEY}")
        for name, expected in (("one.flac", genres["one.flac"]), ("broken.mp3", "error: 'broken")):
            page.set_input_files("#song", folder / "music" / name)
            page.get_by_text(re.compile(f"^{re.escape(expected)}")).wait_for()
