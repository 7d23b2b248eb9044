"""Taking changes back: run by run, file by file, and only what is still as it was left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ostinato.tagging import tags
from ostinato.tagging.change import Changer
from ostinato.tagging.journal import Journal
from ostinato.tagging.journal_file import JournalError
from ostinato.tagging.undo import undo
from tests.helpers.tagged import write_bare

SUFFIXES = (".mp3", ".flac", ".m4a")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "tags.sqlite") as opened, opened.writing():
        yield opened


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sounds")
    return [write_bare(folder / f"song{suffix}", seconds=0.2) for suffix in SUFFIXES]


@pytest.fixture
def music(tmp_path: Path, sounds: list[Path]) -> Path:
    """Two folders of three songs."""
    for name in ("a", "b"):
        (tmp_path / "music" / name).mkdir(parents=True)
        for path in sounds:
            shutil.copy2(path, tmp_path / "music" / name)
    return tmp_path / "music"


@pytest.fixture
def write(journal: Journal, music: Path) -> Callable[..., int]:
    """Write a genre into all songs below a folder; give the number of the run."""

    def written(genre: str, below: str = "") -> int:
        run = journal.begin_run(model="m", settings="")
        for path in songs(music / below):
            Changer(journal, run).change(path, [genre], old=tags.read_tags(path))
        return run

    return written


def songs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def state(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in songs(folder)}


def test_each_call_goes_back_by_one_run(music: Path, journal: Journal, write) -> None:
    states = [state(music)]
    for genre in ("Polka", "Blues", "A genre of many words " * 9 + "."):
        write(genre)
        states.append(state(music))
    for before in states[-2::-1]:
        told = list(undo(journal))
        assert [path for path, _ in told] == songs(music)[::-1]
        assert {error for _, error in told} == {None}
        assert state(music) == before
    assert list(undo(journal)) == []


def test_an_undo_is_a_run_and_can_be_undone(music: Path, journal: Journal, write) -> None:
    first = write("Polka")
    polka = state(music)
    list(undo(journal))
    (_, back) = journal.runs()
    assert (back.undoes, back.n_files) == (first, 6)
    entries = list(journal.history(music / "a" / "song.mp3"))
    assert [(e.state, e.undoes, e.old_tags.genres, e.genres) for e in entries] == [
        ("undone", None, (), ("Polka",)),
        ("done", first, ("Polka",), ()),
    ]
    assert {error for _, error in undo(journal, back.id)} == {None}
    assert state(music) == polka
    assert list(undo(journal, back.id)) == []
    assert len(list(undo(journal))) == 6, "the first run is in effect again"


def test_some_paths_of_some_run(music: Path, journal: Journal, write) -> None:
    before = state(music)
    first, second = write("Polka"), write("Blues", "b")
    blues = state(music)
    link = music.parent / "link"
    link.symlink_to(music / "a")
    assert len(dict(undo(journal, None, [link]))) == 3
    assert state(music) == {**blues, **{p: s for p, s in before.items() if p.parent.name == "a"}}
    one = music / "b" / "song.mp3"
    assert dict(undo(journal, second, [one])) == {one: None}
    assert dict(undo(journal, first, [one, music / "none"])) == {one: None}
    assert state(music)[one] == before[one]
    assert len(dict(undo(journal, second))) == 2, "the others"
    list(undo(journal))
    assert state(music) == before


def test_what_is_not_as_it_was_left_stays(music: Path, journal: Journal, write) -> None:
    before = state(music)
    write("Polka")
    changed, gone, linked = (music / "a" / f"song{suffix}" for suffix in SUFFIXES)
    tags.write_genres(changed, ["Waltz"])
    gone.rename(music / "elsewhere.flac")
    linked.rename(music / "elsewhere.m4a")
    linked.symlink_to(music / "elsewhere.m4a")
    hard, sealed, fine = (music / "b" / f"song{suffix}" for suffix in SUFFIXES)
    (music / "other").hardlink_to(hard)
    sealed.chmod(0o444)
    now = state(music)
    told = dict(undo(journal))
    reasons = {
        changed: "it was changed since",
        gone: "it is gone",
        linked: "a link has taken its place",
        hard: "it has 2 hard links by now",
        sealed: "it is read-only",
    }
    for path, reason in reasons.items():
        assert reason in str(told[path])
    assert told[fine] is None
    assert state(music) == {**now, fine: before[fine]}
    assert len(list(journal.history())) == 7
    assert not journal.open_starts()
    (music / "other").unlink()
    sealed.chmod(0o644)
    (music / "elsewhere.flac").rename(gone)
    linked.unlink()
    (music / "elsewhere.m4a").rename(linked)
    again = dict(undo(journal))
    assert [path for path, error in again.items() if error] == [changed]
    assert state(music) == {**before, changed: state(music)[changed]}


def test_an_older_run_waits_for_the_newer_one(music: Path, journal: Journal, write) -> None:
    first = write("Polka", "a")
    write("Blues", "a")
    now = state(music)
    assert all("changed since" in str(error) for _, error in undo(journal, first))
    assert state(music) == now


def test_a_run_that_does_not_exist(journal: Journal) -> None:
    with pytest.raises(JournalError, match="There is no run 5"):
        list(undo(journal, 5))
    assert list(undo(journal)) == []


def test_a_delta_that_is_damaged(music: Path, journal: Journal, write) -> None:
    write("Polka", "a")
    now = state(music)
    journal._connection.execute("UPDATE changes SET delta = substr(delta, 1, length(delta) - 9)")
    errors = [str(error) for _, error in undo(journal)]
    assert len(errors) == 3
    assert all("what is kept of the old file is damaged" in error for error in errors)
    assert state(music) == now


def test_how_far_it_is_can_be_shown(journal: Journal, write) -> None:
    write("Polka", below="a")
    seen: list[tuple[int, int, str]] = []
    undone = [path.name for path, _ in undo(journal, progress=lambda *step: seen.append(step))]
    assert seen == [(n, len(SUFFIXES), name) for n, name in enumerate(undone)]
