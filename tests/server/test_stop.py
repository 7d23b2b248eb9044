"""``ostinato serve`` as a process: signals end it cleanly, and nothing of it is left."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.serving import Raw
from tests.helpers.sounds import music

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc of Linux")
SERVE = [sys.executable, "-m", "ostinato", "serve", "--no-page", "--port", "0"]


class Started:
    """A server, started as people start it, in an empty folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*SERVE, "--model", "lstm", "--workers", "1"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
            process_group=0,
        )
        self.said = ""
        assert self.process.stderr is not None
        while not (found := re.search(r"127\.0\.0\.1:(\d+) is ready", self.said)):
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line
        self.port = int(found[1])

    def ask(self, body: bytes) -> http.client.HTTPConnection:
        """Ask for a verdict, and do not wait for it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/classify?thorough=true", body)
        return connection

    def ended(self) -> int:
        _, rest = self.process.communicate(timeout=60)
        self.said += rest
        assert "Traceback" not in self.said
        return self.process.returncode

    def left(self) -> list[str]:
        """What lies on the disk, and which processes of its group run, a moment later."""
        until = time.monotonic() + 10
        while (found := self._left()) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _left(self) -> list[str]:
        found = [str(path) for path in self.folder.iterdir()]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                found.append(stat.parent.name)
        return found


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("songs") / "song.flac"
    soundfile.write(path, np.tile(music(0, seconds=15.0), 60), 22_050)
    return path.read_bytes()


@pytest.fixture
def started(tmp_path) -> Iterator[Callable[[], Started]]:
    found: list[Started] = []

    def start() -> Started:
        found.append(Started(tmp_path))
        return found[0]

    yield start
    if found and found[0].process.poll() is None:
        os.killpg(found[0].process.pid, signal.SIGKILL)
        found[0].process.communicate()


@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)]
)
def test_what_runs_is_finished_and_what_is_new_refused(started, song, number, send) -> None:
    """Ctrl-C reaches all processes of a terminal; a stop of the system the first alone."""
    server = started()
    asked = server.ask(song)
    idle, slow = Raw(server.port), Raw(server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.3)
    send(server.process.pid, number)
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        Raw(server.port)
    answer = asked.getresponse()
    assert answer.status == 200
    assert b'"genre"' in answer.read()
    assert idle.rest() == b""
    assert slow.rest() == b""
    assert server.ended() == 0
    assert server.left() == []


def test_a_second_signal_ends_it_at_once(started, song) -> None:
    server = started()
    asked = [server.ask(song) for _ in range(3)]
    time.sleep(0.3)
    server.process.terminate()
    time.sleep(0.3)
    began = time.monotonic()
    server.process.terminate()
    assert server.ended() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 10
    assert server.left() == []
    for one in asked:
        one.close()


def test_a_signal_while_it_starts_ends_it(tmp_path) -> None:
    starting = subprocess.Popen(
        SERVE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    time.sleep(0.7)
    starting.terminate()
    _, said = starting.communicate(timeout=60)
    assert starting.returncode in (0, 128 + signal.SIGTERM, -signal.SIGTERM)  # or Python starts
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
