"""The spool: piped sound as a temporary file, which never fills the disk and never stays."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ostinato.audio import AudioError, is_pipe, piped, spool, spool_pipe

pty = pytest.importorskip("pty", reason="needs FIFOs")


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def refused(stream, name: str | None = None) -> str:
    with pytest.raises(AudioError) as caught:
        spool(stream, name)
    assert not list(Path(tempfile.gettempdir()).glob("*"))
    return str(caught.value)


def test_a_pipe_is_told_from_files_and_devices(tmp_path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "loop").symlink_to("loop")
    assert is_pipe(tmp_path / "fifo")
    assert is_pipe(tmp_path / "link")
    for other in (tmp_path, tmp_path / "loop", Path("/dev/null"), Path("none"), Path("n" * 300)):
        assert not is_pipe(other)


def test_what_a_pipe_gives_becomes_a_file() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"sound")
    os.close(writer)
    copy = spool_pipe(Path(f"/dev/fd/{reader}"))
    os.close(reader)
    assert copy.read_bytes() == b"sound"


def test_a_stream_without_an_end_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(piped, "MOST_SPOOLED_BYTES", 10)
    assert "'<stream>' cannot be used as sound: it gave more than" in refused(io.BytesIO(b"x" * 11))


def test_some_of_the_disk_stays_free(monkeypatch) -> None:
    free = SimpleNamespace(total=100 << 30, free=(256 << 20) + 5)
    monkeypatch.setattr(piped.shutil, "disk_usage", lambda folder: free)
    whole = spool(io.BytesIO(b"x" * 5))
    assert whole.read_bytes() == b"x" * 5
    whole.unlink()
    said = refused(io.BytesIO(b"x" * 6), "<stdin>")
    assert said.startswith("'<stdin>' cannot be used as sound: it gave 0.0 GB and goes on, and the")
    assert "is nearly full; set TMPDIR to another folder." in said


def test_a_small_disk_keeps_a_twentieth(monkeypatch) -> None:
    free = SimpleNamespace(total=100 << 20, free=(5 << 20) + 5)
    monkeypatch.setattr(piped.shutil, "disk_usage", lambda folder: free)
    assert spool(io.BytesIO(b"x" * 5)).stat().st_size == 5


@pytest.mark.parametrize("device", ["zero", "terminal"])
def test_what_never_ends_is_refused(device: str) -> None:
    leader, terminal = pty.openpty()
    number = terminal if device == "terminal" else os.open("/dev/zero", os.O_RDONLY)
    with os.fdopen(leader), os.fdopen(number, "rb", buffering=0) as stream:
        said = refused(stream, "<stdin>")
    assert said.startswith("'<stdin>' cannot be used as sound: it is a ")
    assert said.endswith(": expected a pipe or a file.")


def test_nothing_at_all_is_an_empty_file() -> None:
    with Path(os.devnull).open("rb") as stream:
        assert spool(stream).read_bytes() == b""


def test_no_folder_for_temporary_files(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert refused(io.BytesIO(b"x")) == (
        "'<stream>' cannot be used as sound: it cannot be copied to a temporary file (No such file "
        "or directory); set TMPDIR to another folder."
    )


def test_a_stream_that_breaks(monkeypatch) -> None:
    stream = io.BytesIO()

    def broken(size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(stream, "read", broken)
    assert "it cannot be read (Input/output error)" in refused(stream)


def test_an_interruption_leaves_nothing(monkeypatch, temporary) -> None:
    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        spool(Interrupted())
    assert not list(temporary.iterdir())
