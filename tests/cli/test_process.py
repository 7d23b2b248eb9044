"""Streams and signals: each case is a process of its own, as a shell starts it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile

from ostinato.cli.process import settled
from tests.helpers.graphs import toy_bytes
from tests.helpers.programs import SOURCE
from tests.helpers.sounds import RATE_HZ, music

OSTINATO = f"{sys.executable} -m ostinato"
NAMES = ("Dvořák.wav", "01 [x].wav", "春.wav")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files whose names no code page holds, and a model that answers."""
    folder = tmp_path_factory.mktemp("sounds") / "in"
    folder.mkdir()
    for name in NAMES:
        soundfile.write(folder / name, music(0, 2.0), RATE_HZ)
    (folder.parent / "toy.onnx").write_bytes(toy_bytes())
    return folder


@pytest.fixture
def shell(folder):
    """Run a line in bash, "ostinato" being the command; gives (status, stdout, stderr)."""

    def run(line: str, *, stdout: int = subprocess.PIPE, **environment: str):
        line = line.replace("ostinato", OSTINATO, 1).replace("MODEL", "--model ../toy.onnx")
        result = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        return result.returncode, (result.stdout or b"").decode(), result.stderr.decode()

    return run


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_programs_get_utf_8_whatever_the_locale(shell, encoding: str) -> None:
    status, out, err = shell("ostinato classify . MODEL --format csv", PYTHONIOENCODING=encoding)
    assert (status, err) == (0, "")
    assert sorted(line.split(",")[0] for line in out.splitlines()[1:]) == sorted(NAMES)


def test_a_terminal_that_lacks_letters_shows_escapes(shell) -> None:
    leader, terminal = pty.openpty()
    status, _, err = shell("ostinato classify . MODEL", stdout=terminal, PYTHONIOENCODING="cp1252")
    os.close(terminal)
    shown = b""
    with suppress(OSError), os.fdopen(leader, "rb", buffering=0) as screen:  # an error at the end
        while part := screen.read(10_000):
            shown += part
    assert (status, err) == (0, "")
    lines = shown.decode("cp1252").splitlines()
    assert [line.split("%")[-1].strip() for line in lines] == [
        "01 [x].wav",
        "Dvo\\u0159ák.wav",
        r"\u6625.wav",
    ]


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere(shell, closed: str) -> None:
    status, out, err = shell(f"ostinato classify {NAMES[0]} MODEL {closed}")
    assert (status, err) == (0, "")
    assert (NAMES[0] in out) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("verb", ["classify - MODEL", "listen"])
def test_closed_standard_input_holds_no_sound(shell, verb: str) -> None:
    status, out, err = shell(f"ostinato {verb} <&-")
    assert (status, out) == (2, "")
    assert err == "ostinato: Expected sound on standard input, but it is closed.\n"


@pytest.mark.parametrize("verb", ["classify . . . MODEL --format json", "classify --help"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_leaves_ends_it_in_silence(shell, verb: str, buffered: str) -> None:
    line = f"ostinato {verb} | true; exit ${{PIPESTATUS[0]}}"
    assert shell(line, PYTHONUNBUFFERED=buffered) == (1, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_named(shell, buffered: str) -> None:
    status, _, err = shell("ostinato classify . MODEL > /dev/full", PYTHONUNBUFFERED=buffered)
    assert status == 1
    assert err == (
        "ostinato: Stopped: No space left on device (standard output); what was finished is kept.\n"
    )


def test_a_full_pipe_that_does_not_block_is_waited_for(folder) -> None:
    """Another program has set O_NONBLOCK on it, as Node.js does."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"\0" * 4096)
    except BlockingIOError:
        pass
    started = subprocess.Popen(
        [sys.executable, "-m", "ostinato", "--version"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(timeout=1.5)
        assert b"ostinato " in pipe.read()
    assert started.communicate()[1] == b""
    assert started.returncode == 0


@pytest.mark.parametrize(("number", "status"), [("TERM", 143), ("HUP", 129), ("INT", 130)])
def test_a_signal_ends_it_without_a_traceback(folder, number: str, status: int) -> None:
    if signal.getsignal(getattr(signal, f"SIG{number}")) == signal.SIG_IGN:
        pytest.skip("these tests were started so that they ignore the signal, and so is a child")
    started = subprocess.Popen(
        [sys.executable, "-m", "ostinato", "listen", "--rate", "44100", "--model", "../toy.onnx"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(b"\1\2\3\4" * 44_100 * 40)
    started.stdin.flush()
    started.stdout.readline()  # the first verdict: it runs
    started.send_signal(getattr(signal, f"SIG{number}"))
    _, err = started.communicate(timeout=30)
    assert err == b""
    assert started.returncode == (0 if number == "INT" else status)  # Ctrl-C is a stream's end


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As ``nohup`` and shell scripts start it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with settled():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
