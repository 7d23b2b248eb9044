"""Wherever a change is interrupted, the file is the old one or the new one, and can be undone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest

from ostinato.tagging import copies, road, tags
from ostinato.tagging.change import Changer
from ostinato.tagging.journal import Journal
from ostinato.tagging.repair import repair
from ostinato.tagging.undo import undo
from tests.helpers.tagged import write_bare, write_tagged

MODULES = ("change.py", "road.py", "copies.py", "repair.py", "undo.py", "journal.py")
N_STEPS = 20
#: How a file is changed, and the genre that makes it so.
WAYS = {
    "copy": ({}, "Polka"),
    "in-place": ({"in_place": True}, "Polka"),
    "in-place-no-room": ({"in_place": True}, "o" * 5_000),
    "linked": ({"hard_links": "in-place"}, "o" * 5_000),
}


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def interrupted_at(line: int, *, for_good: bool) -> Iterator[list[int]]:
    """Raise at some line that is executed in the modules, and if ``for_good`` at all behind it.

    Gives a list of one number, of the lines that were executed.
    """
    count = [0]

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        path = Path(frame.f_code.co_filename)
        if path.name not in MODULES or path.parent.name != "tagging":
            return None
        if event == "line":
            count[0] += 1
            if count[0] == line or (for_good and count[0] > line):
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    bare = write_bare(folder / "bare.mp3", seconds=0.3)
    path = write_tagged(folder / "song.mp3", bare, {"title": "A title", "genre": "Rock"})
    tags.write_genres(path, ["Some genre that makes room"])
    return path


class Library:
    """A file and a journal; another process opens the journal each time."""

    def __init__(self, folder: Path, song: Path, way: str) -> None:
        self.folder = folder
        self.options, self.genre = WAYS[way]
        self.path = folder / "music" / "song.mp3"
        self.path.parent.mkdir(parents=True)
        shutil.copy2(song, self.path)
        if way == "linked":
            (folder / "other.mp3").hardlink_to(self.path)
        self.old = self.path.read_bytes()

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        with Journal.open(self.folder / "tags.sqlite") as journal, journal.writing():
            yield journal

    def change(self, journal: Journal) -> None:
        changer = Changer(journal, journal.begin_run(model="m", settings=""), **self.options)
        changer.change(self.path, [self.genre], old=tags.read_tags(self.path))

    def is_clean(self) -> bool:
        """Whether nothing temporary is left, here or among the system's temporary files."""
        temporary = Path(tempfile.gettempdir()).glob(".ostinato-*")
        return [*self.path.parent.iterdir(), *temporary] == [self.path]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: what is killed is a process, never the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as own:
        yield Path(own)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files have a folder of their own here."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def killed_at(
    monkeypatch: pytest.MonkeyPatch, library: Library, owner: object, name: str, end: Callable
) -> None:
    """Change the file of a library until a function, which raises Killed, and clean up nothing."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, library.journal() as journal:
        patch.setattr(owner, name, end)
        patch.setattr(road, "settle", killed)
        with pytest.raises(Killed):
            library.change(journal)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("for_good", [False, True], ids=["error", "kill"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", ["change", "undo"])
def test_at_every_step(tmp_path: Path, song: Path, way: str, work: str, for_good: bool) -> None:
    def work_on(library: Library, journal: Journal) -> None:
        if work == "change":
            library.change(journal)
        else:
            assert dict(undo(journal)) == {library.path: None}

    def made(number: int) -> Library:
        library = Library(tmp_path / str(number), song, way)
        if work == "undo":
            with library.journal() as journal:
                library.change(journal)
        return library

    whole = made(0)
    with whole.journal() as journal, interrupted_at(-1, for_good=False) as count:
        work_on(whole, journal)
    assert count[0] > 100
    n_written = n_kept = 0
    for line in range(1, count[0] + 1, max(1, count[0] // N_STEPS)):
        library = made(line)
        before = library.path.read_bytes()
        with (
            suppress(Killed),
            library.journal() as journal,
            interrupted_at(line, for_good=for_good),
        ):
            work_on(library, journal)
        with library.journal() as journal:
            repair(journal)
            assert library.is_clean()
            assert not journal.open_starts()
            after = library.path.read_bytes()
            if after == before:
                n_kept += 1
            else:
                n_written += 1
                assert after == whole.path.read_bytes()
            assert dict(undo(journal)) == ({} if after == library.old else {library.path: None})
            assert library.path.read_bytes() == library.old
            assert library.is_clean()
        shutil.rmtree(library.folder)
    assert n_written, "no interruption came behind the change"
    assert n_kept, "none came before it"


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("way", ["in-place", "linked"])
def test_a_file_that_is_overwritten_in_part_is_finished(
    tmp_path: Path, song: Path, way: str, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path / "library", song, way)

    def overwrite_part(path: Path, new: Path) -> int:
        data = new.read_bytes()
        with path.open("r+b") as file:
            if len(data) > len(library.old):
                file.seek(len(library.old))
                file.write(data[len(library.old) :])
            file.seek(0)
            file.write(data[: int(part * len(library.old))])
        raise Killed

    killed_at(monkeypatch, library, copies, "overwrite", overwrite_part)
    with library.journal() as journal:
        (sentence,) = repair(journal)
        state = "it is as it was" if library.path.read_bytes() == library.old else "are written"
        assert state in sentence
        assert part == 0.0 or tags.read_tags(library.path).genres == (library.genre,)
        assert repair(journal) == []
        list(undo(journal))
    assert library.path.read_bytes() == library.old
    assert library.is_clean()


@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_changed_since_is_left(
    tmp_path: Path, song: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the change was begun, and before anything came of it."""
    library = Library(tmp_path / "library", song, way)
    begin = Journal.begin

    def begin_and_end(*args: object) -> None:
        begin(*args)
        raise Killed

    killed_at(monkeypatch, library, Journal, "begin", begin_and_end)
    tags.write_genres(library.path, ["Waltz"])
    before = library.path.read_bytes()
    with library.journal() as journal:
        (sentence,) = repair(journal)
        assert "was changed since, and is left" in sentence
        assert [entry.state for entry in journal.history()] == ["left"]
        assert list(undo(journal)) == []
    assert library.path.read_bytes() == before


def test_a_file_that_is_gone_and_a_share_that_is_not_mounted(tmp_path: Path, song: Path) -> None:
    library = Library(tmp_path / "library", song, "in-place")
    with library.journal() as journal:
        start = journal.start(journal.begin_run(model="", settings=""), library.path, ".x.part")
    away = library.folder / "away"
    library.path.parent.rename(away)
    with library.journal() as journal:
        for _ in range(2):
            (sentence,) = repair(journal)
            assert "the next run will look at it again" in sentence
        assert [found.id for found in journal.open_starts()] == [start]
    away.rename(library.path.parent)
    with library.journal() as journal:
        assert "it is as it was" in repair(journal)[0]
        assert repair(journal) == []


PROGRAM = """
import sys
from pathlib import Path
from ostinato.tagging import tags
from ostinato.tagging.change import Changer
from ostinato.tagging.journal import Journal
from ostinato.tagging.repair import repair

folder, in_place = Path(sys.argv[1]), sys.argv[2] == "in-place"
with Journal.open(folder / "tags.sqlite") as journal, journal.writing():
    repair(journal)
    changer = Changer(journal, journal.begin_run(model="m", settings=""), in_place=in_place)
    print("begins", flush=True)
    while True:
        for genre in ("Polka", "Blues", "o" * 6_000):
            for path in sorted(folder.glob("*.mp3")):
                changer.change(path, [genre], old=tags.read_tags(path))
"""


@pytest.mark.parametrize("way", ["copy", "in-place"])
def test_a_process_that_is_killed(tmp_path: Path, song: Path, way: str) -> None:
    for number in range(4):
        shutil.copy2(song, tmp_path / f"{number}.mp3")
    paths = sorted(tmp_path.glob("*.mp3"))
    for delay_s in (0.0, 0.021, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, tmp_path, way], stdout=subprocess.PIPE
        )
        assert process.stdout
        assert process.stdout.readline() == b"begins\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    with Journal.open(tmp_path / "tags.sqlite") as journal, journal.writing():
        repair(journal)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".ostinato")]
        was = tags.read_tags(song)
        for path in paths:
            now = tags.read_tags(path)
            assert now.title == was.title
            assert now.genres in (was.genres, ("Polka",), ("Blues",), ("o" * 6_000,))
        while list(undo(journal)):
            pass
    assert [path.read_bytes() for path in paths] == [song.read_bytes()] * len(paths)
