"""The journal: rows are added and never changed, one writes at a time, and bad files are told."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ostinato.errors import UsageError
from ostinato.tagging.entry import Change
from ostinato.tagging.file_tags import FileTags
from ostinato.tagging.journal import Journal
from ostinato.tagging.journal_file import VERSION, JournalError

CHANGE = Change(
    way="copy",
    device=5,
    inode=(1 << 64) - 7,  # NFS uses all bits
    size=100,
    mtime_ns=1_700_000_000_123_456_789,
    payload="ab" * 32,
    old_tags=FileTags(kind="ID3v2.3", genres=("Polka", "Jazz\udcff"), title="\x1b[31m", year=1999),
    genres=("Blues", "Ländler"),
    old_sha256=b"1" * 32,
    new_sha256=b"2" * 32,
    new_size=120,
    new_mtime_ns=1_800_000_000_000_000_000,
    delta=bytes(range(256)),
)


@pytest.fixture
def journal(tmp_path: Path):
    with Journal.open(tmp_path / "a folder" / "tags.sqlite") as opened:
        yield opened


def add(journal: Journal, run: int, path: str, *, undoes: int | None = None, end="done") -> int:
    start = journal.start(run, Path(path), ".part.mp3")
    journal.begin(start, replace(CHANGE, undoes=undoes))
    if end:
        journal.end(start, end)
    return start


def test_a_change_comes_back_as_it_was_kept(journal: Journal) -> None:
    with journal.writing():
        run = journal.begin_run(model="default 1", settings="--replace")
        name = os.fsdecode(b"/music/\xff\xfe\n'; DROP TABLE runs; --.mp3")
        start = add(journal, run, name)
    assert journal.change(start) == CHANGE
    (entry,) = journal.history()
    assert (entry.path, entry.model, entry.state) == (Path(name), "default 1", "done")
    assert (entry.old_tags, entry.genres, entry.run) == (CHANGE.old_tags, CHANGE.genres, run)
    (listed,) = journal.runs()
    assert listed[2:] == ("default 1", "--replace", None, 1, 0)
    assert journal.change(start + 1) is None


def test_it_is_all_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "tags.sqlite"
    with Journal.open(path) as journal, journal.writing():
        run = journal.begin_run(model="m", settings="")
        add(journal, run, "/a.mp3")
        add(journal, run, "/b.mp3", end=None)
    with Journal.open(path, must_exist=True) as journal:
        assert [entry.state for entry in journal.history()] == ["done", "begun"]
        assert [start.path.name for start in journal.open_starts()] == ["b.mp3"]


def test_history_is_limited_to_a_file_or_a_folder(journal: Journal) -> None:
    with journal.writing():
        run = journal.begin_run(model="m", settings="")
        for name in ("/m/a.mp3", "/m/a.mp3x", "/m/a/b.mp3", "/m/a/\udcff.mp3", "/m/a0.mp3"):
            add(journal, run, name)

    def found(path: str) -> list[str]:
        return [str(entry.path) for entry in journal.history(Path(path))]

    assert found("/m/a.mp3") == ["/m/a.mp3"]
    assert found("/m/a") == ["/m/a/b.mp3", "/m/a/\udcff.mp3"]
    assert len(found("/m")) == len(found("/")) == 5
    assert found("/mm") == []


def test_what_is_undone_can_be_done_again(journal: Journal) -> None:
    with journal.writing():
        first = journal.begin_run(model="m", settings="")
        a, b = add(journal, first, "/a.mp3"), add(journal, first, "/b.mp3")
        second = journal.begin_run(model="m", settings="")
        add(journal, second, "/a.mp3")
        assert journal.last_run() == second
        assert journal.last_run([Path("/b.mp3")]) == first
        assert journal.last_run([Path("/c.mp3")]) is None
        third = journal.begin_run(model="", settings="", undoes=first)
        add(journal, third, "/b.mp3", undoes=b, end="dropped")
        assert [start.id for start in journal.done(first)] == [b, a]
        back = add(journal, third, "/b.mp3", undoes=b)
        assert [start.id for start in journal.done(first)] == [a]
        assert journal.last_run([Path("/b.mp3")]) is None
        assert [(run.n_files, run.n_undone) for run in journal.runs()] == [(2, 1), (1, 0), (1, 0)]
        fourth = journal.begin_run(model="", settings="", undoes=third)
        add(journal, fourth, "/b.mp3", undoes=back)
        assert journal.last_run([Path("/b.mp3")]) == first
    states = {entry.start: entry.state for entry in journal.history()}
    assert (states[b], states[back]) == ("done", "undone")


def test_rows_are_never_changed(journal: Journal, tmp_path: Path) -> None:
    """Every statement that writes inserts."""
    said: list[str] = []
    journal._connection.set_trace_callback(said.append)
    with journal.writing():
        add(journal, journal.begin_run(model="m", settings=""), "/a.mp3")
    verbs = {text.split()[0] for text in said}
    assert verbs <= {"INSERT", "PRAGMA", "BEGIN", "COMMIT"}
    assert "INSERT" in verbs


def test_it_outlives_a_loss_of_power(journal: Journal) -> None:
    """WAL, and the disk is waited for before a file is replaced."""
    said: list[str] = []
    with journal.writing():
        run = journal.begin_run(model="m", settings="")
        start = journal.start(run, Path("/a.mp3"), ".part.mp3")
        journal._connection.set_trace_callback(said.append)
        journal.begin(start, CHANGE)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert said[0] == "PRAGMA synchronous = FULL"
    assert said.index("COMMIT") > 0


def test_a_second_writer_is_refused_by_name(journal: Journal) -> None:
    with journal.writing(), Journal.open(journal.path) as second:
        holder = rf"process {os.getpid()} holds .* since 2\d\d\d-"
        with pytest.raises(JournalError, match=holder), second.writing():
            pass
        assert list(second.runs()) == []  # reading is free
    with Journal.open(journal.path) as second, second.writing():
        pass


def test_a_writer_that_was_killed_holds_nothing(journal: Journal) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ostinato.tagging.journal import Journal\n"
        "with Journal.open(Path(sys.argv[1])) as journal, journal.writing():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, journal.path], check=False)
    assert killed.returncode == -9
    with journal.writing():
        pass


def test_a_journal_of_a_newer_version_is_refused(journal: Journal) -> None:
    journal._connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(JournalError, match=f"newer Ostinato .* is version {VERSION + 1}"):
        Journal.open(journal.path)


@pytest.mark.parametrize("data", [b"not a database" * 99, b"SQLite format 3\0" + b"?" * 900, b"x"])
def test_a_foreign_file_is_refused_and_kept(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tags.sqlite"
    path.write_bytes(data)
    with pytest.raises(JournalError, match=r"tags\.sqlite"):
        Journal.open(path)
    assert path.read_bytes() == data


def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE items (id)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="another program"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_damaged_journal_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "tags.sqlite"
    with Journal.open(path) as journal, journal.writing():
        run = journal.begin_run(model="m", settings="")
        for number in range(50):
            add(journal, run, f"/{number}.mp3")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"), Journal.open(path) as journal:
        list(journal.history())


def test_a_damaged_row_is_a_sentence(journal: Journal) -> None:
    with journal.writing():
        start = add(journal, journal.begin_run(model="m", settings=""), "/a.mp3")
    journal._connection.execute("UPDATE changes SET old_tags = '{\"genres\": 3}'")
    for read in (lambda: list(journal.history()), lambda: journal.change(start)):
        with pytest.raises(JournalError, match="cannot be read"):
            read()


def test_where_it_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"cannot be made: a part of its path is a file"):
        Journal.open(tmp_path / "file" / "tags.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(JournalError, match=r"folder\.sqlite"):
        Journal.open(tmp_path / "folder.sqlite")
    with pytest.raises(JournalError, match="There is no journal"):
        Journal.open(tmp_path / "none.sqlite", must_exist=True)
    assert not (tmp_path / "none.sqlite").exists()


def test_without_a_home_a_place_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: "~/none")
    with pytest.raises(UsageError, match="--journal"):
        Journal.open()


def test_the_users_own_is_the_default(data_home: Path) -> None:
    with Journal.open() as journal:
        assert journal.path == data_home / "tags.sqlite"


def test_a_run_that_does_not_exist_is_named(journal: Journal) -> None:
    with pytest.raises(JournalError, match="There is no run 7"):
        journal.run(7)
