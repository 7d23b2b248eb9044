"""Changing files: all is kept but the genres, or the file is left as it was."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ostinato.audio.load import load_audio
from ostinato.tagging import change as change_module
from ostinato.tagging import copies, road, tags
from ostinato.tagging.change import Changer
from ostinato.tagging.file_tags import FileTags, TagError
from ostinato.tagging.journal import Journal
from ostinato.tagging.journal_file import JournalError
from ostinato.tagging.repair import repair
from ostinato.tagging.road import Changed
from ostinato.tagging.undo import undo
from tests.helpers.tagged import BY_FFMPEG, TAGGED, write_bare, write_tagged

SAID = {"title": "A title", "artist": "An artist", "genre": "Rock", "date": "1999"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal in a folder of its own; its lock is held."""
    with Journal.open(tmp_path / "kept" / "tags.sqlite") as opened, opened.writing():
        yield opened


@pytest.fixture
def change(journal: Journal) -> Callable[..., Changed]:
    """Writes genres into a file, as a run of its own."""

    def changed(path: Path, genres: Sequence[str] = ("Polka", "Blues"), **options) -> Changed:
        comment = options.pop("comment", None)
        run = journal.begin_run(model="m", settings="")
        changer = Changer(journal, run, **options)
        return changer.change(path, genres, old=tags.read_tags(path), comment=comment)

    return changed


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> dict[str, Path]:
    """A file of each format, with tags where FFmpeg writes them."""
    folder = tmp_path_factory.mktemp("songs")
    found = {}
    for suffix in TAGGED:
        found[suffix] = path = write_bare(folder / f"bare{suffix}", seconds=0.7)
        if suffix in BY_FFMPEG:
            found[suffix] = write_tagged(folder / f"song{suffix}", path, SAID)
    return found


@pytest.fixture
def song(songs: dict[str, Path], tmp_path: Path) -> Path:
    """An MP3 in a folder of its own."""
    (tmp_path / "music").mkdir()
    return Path(shutil.copy(songs[".mp3"], tmp_path / "music" / "song.mp3"))


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files as well."""
    return sorted(path.name for path in folder.iterdir())


def is_alone(path: Path) -> bool:
    """Whether nothing else is in the folder of a file."""
    return names(path.parent) == [path.name]


def left(path: Path, journal: Journal, before: bytes) -> bool:
    """Whether a file is as it was, nothing else is there, and the journal knows that."""
    return path.read_bytes() == before and is_alone(path) and not journal.open_starts()


def set_attribute(path: Path) -> None:
    """Set an extended attribute, where there are any."""
    try:
        os.setxattr(path, "user.rating", b"five")
    except (OSError, AttributeError):
        pytest.skip("there are no extended attributes here")


def set_acl(path: Path, kind: str) -> None:
    """Let user 4322 read and write, by Linux's binary form of an ACL (version 2)."""
    everybody = 0xFFFF_FFFF
    entries = [(1, 6, everybody), (2, 6, 4322), (4, 4, everybody), (16, 6, everybody)]
    entries += [(32, 0, everybody)]  # tag, permissions, id: owner, user, group, mask, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, f"system.posix_acl_{kind}", acl)
    except (OSError, AttributeError):
        pytest.skip("there are no ACLs here")


@pytest.mark.parametrize("suffix", TAGGED)
@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in-place"])
def test_every_format_there_and_back(
    songs, tmp_path: Path, journal: Journal, change, suffix: str, in_place: bool
) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    path = Path(shutil.copy2(songs[suffix], folder / f"song{suffix}"))
    before, was, sound = path.read_bytes(), path.stat(), load_audio(path)
    old = tags.read_tags(path)
    changed = change(path, in_place=in_place, comment="by a model")
    now = tags.read_tags(path)
    assert now.genres == ("Polka", "Blues")
    assert (now.title, now.artist, now.year) == (old.title, old.artist, old.year)
    assert (load_audio(path) == sound).all()
    assert (changed.size, changed.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert is_alone(path)
    kept = journal.change(1)
    assert kept is not None
    assert (kept.way, kept.size, kept.new_size) == (changed.way, len(before), changed.size)
    assert len(kept.delta) < 1_000 + len(before) // 50
    assert dict(undo(journal)) == {path: None}
    assert path.read_bytes() == before
    assert (path.stat().st_mtime_ns, path.stat().st_mode) == (was.st_mtime_ns, was.st_mode)
    assert is_alone(path)


def test_in_place_writes_the_tags_alone(song: Path, change, journal: Journal) -> None:
    change(song, ("A long name of a genre that nobody knows",))  # it makes room
    inode, before = song.stat().st_ino, song.read_bytes()
    changed = change(song, ("Polka",), in_place=True)
    assert (changed.way, song.stat().st_ino) == ("in-place", inode)
    assert changed.n_bytes < 4_500
    assert list(undo(journal)) == [(song, None)]
    assert (song.read_bytes(), song.stat().st_ino) == (before, inode)


def test_genres_that_are_there_are_not_written(song: Path, change, journal: Journal) -> None:
    change(song)
    before = song.stat()
    assert change(song).way is None
    assert song.stat() == before
    assert is_alone(song)
    assert len(list(journal.history())) == 1


def test_mode_owner_and_attributes_are_kept(song: Path, change) -> None:
    song.chmod(0o640)
    set_attribute(song)
    if os.geteuid() == 0:
        os.chown(song, 4321, 1234)
    set_acl(song, "access")
    was = song.stat()
    attributes = {name: os.getxattr(song, name) for name in os.listxattr(song)}
    assert change(song).way == "copy"
    now = song.stat()
    assert now.st_ino != was.st_ino
    assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
    assert {name: os.getxattr(song, name) for name in os.listxattr(song)} == attributes


def test_an_acl_of_the_folder_is_not_taken_over(song: Path, change) -> None:
    set_acl(song.parent, "default")
    (song.parent / "new").touch()
    assert os.listxattr(song.parent / "new") == ["system.posix_acl_access"], "it is handed down"
    (song.parent / "new").unlink()
    was = song.stat()
    change(song)
    assert song.stat().st_mode == was.st_mode
    assert os.listxattr(song) == []


def test_what_cannot_be_kept_leaves_the_file(song, change, journal, monkeypatch) -> None:
    before = song.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(copies.shutil, "copystat", lambda *_: None)
        set_attribute(song)
        with pytest.raises(TagError, match="attributes"):
            change(song)
    assert left(song, journal, before)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "chown", refuse)
    real = os.stat_result
    status = song.stat()
    others = real((*status[:4], status.st_uid + 1, *status[5:]))
    monkeypatch.setattr(copies.Path, "stat", lambda path, **_: others if path == song else status)
    assert "owner" in copies.unkept(song, song.with_name("copy"))


@pytest.mark.parametrize("keep_mtime", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_the_time_of_change(song: Path, change, keep_mtime: bool, in_place: bool) -> None:
    change(song, ("Rock",))
    os.utime(song, ns=(1_000_000_007, 2_000_000_009))
    began = time.time_ns()
    changed = change(song, ("Polka",), in_place=in_place, keep_mtime=keep_mtime)
    assert changed.way == ("in-place" if in_place else "copy")
    mtime_ns = song.stat().st_mtime_ns
    assert mtime_ns == 2_000_000_009 if keep_mtime else mtime_ns >= began
    assert mtime_ns == changed.mtime_ns


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_that_cannot_sync_folders(song: Path, change, monkeypatch, code: int) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(code, os.strerror(code))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    assert change(song).way == "copy"


def test_in_place_a_file_need_not_be_ones_own(song: Path, change, journal, monkeypatch) -> None:
    """Its time of change is that of now then: only its owner may set another."""

    def refuse(path: Path, **_: object) -> None:
        if path == song:
            raise PermissionError(errno.EPERM, "no")

    change(song, ("Rock",))
    before = song.read_bytes()
    monkeypatch.setattr(os, "utime", refuse)
    assert change(song, ("Polka",), in_place=True).way == "in-place"
    assert list(undo(journal)) == [(song, None)]
    assert song.read_bytes() == before


class TestLinks:
    def test_a_symbolic_link_stays_one(self, song: Path, change, tmp_path: Path) -> None:
        link = tmp_path / "link.mp3"
        link.symlink_to(Path("music", "song.mp3"))
        changed = change(link)
        assert changed.path == song
        assert link.is_symlink()
        assert tags.read_tags(song).genres == ("Polka", "Blues")

    def test_a_loop_of_links_is_told(self, tmp_path: Path, journal: Journal) -> None:
        (tmp_path / "a.mp3").symlink_to("b.mp3")
        (tmp_path / "b.mp3").symlink_to("a.mp3")
        with pytest.raises(TagError, match=r"a\.mp3' is left as it is: Too many levels"):
            Changer(journal, 1).change(tmp_path / "a.mp3", ["Polka"], old=FileTags())

    def test_hard_links_are_left(self, song: Path, change, tmp_path: Path) -> None:
        (tmp_path / "other.mp3").hardlink_to(song)
        before = song.read_bytes()
        for in_place in (False, True):
            with pytest.raises(TagError, match=r"it has 2 hard links.*--hard-links"):
                change(song, in_place=in_place)
        assert song.read_bytes() == before

    @pytest.mark.parametrize("in_place", [False, True])
    def test_they_are_broken_where_that_is_wanted(
        self, song: Path, change, journal, tmp_path: Path, in_place: bool
    ) -> None:
        other = tmp_path / "other.mp3"
        change(song, ("Rock",))
        other.hardlink_to(song)
        before = other.read_bytes()
        change(song, ("Polka",), hard_links="break", in_place=in_place)
        assert other.read_bytes() == before
        assert tags.read_tags(song).genres == ("Polka",)
        assert (song.stat().st_nlink, other.stat().st_nlink) == (1, 1)
        assert list(undo(journal)) == [(song, None)]
        assert song.read_bytes() == before

    @pytest.mark.parametrize("in_place", [False, True])
    @pytest.mark.parametrize("genres", [("Polka",), ("o" * 4000,)], ids=["fits", "grows"])
    def test_all_names_show_the_change_where_that_is_wanted(
        self, song: Path, change, journal, tmp_path: Path, in_place: bool, genres
    ) -> None:
        other = tmp_path / "other.mp3"
        other.hardlink_to(song)
        before, inode = song.read_bytes(), song.stat().st_ino
        changed = change(song, genres, hard_links="in-place", in_place=in_place)
        assert changed.way == "in-place"
        assert tags.read_tags(other).genres == tags.read_tags(song).genres == genres
        assert song.stat().st_ino == other.stat().st_ino == inode
        assert list(undo(journal)) == [(song, None)]
        assert other.read_bytes() == before
        assert other.stat().st_ino == inode
        assert is_alone(song)


class TestLeft:
    def test_a_file_that_is_gone(self, song: Path, change, journal: Journal) -> None:
        changer = Changer(journal, 1)
        old = tags.read_tags(song)
        song.unlink()
        with pytest.raises(TagError, match=r"song\.mp3' is left as it is: it is gone\."):
            changer.change(song, ["Polka"], old=old)
        song.mkdir()
        with pytest.raises(TagError, match="no regular file"):
            changer.change(song, ["Polka"], old=old)

    def test_a_name_in_any_bytes(self, song: Path, change, journal: Journal) -> None:
        path = song.with_name(os.fsdecode(b"\xff\x1b[31m\n: \xe4.mp3"))
        song.rename(path)
        before = path.read_bytes()
        change(path)
        assert [entry.path for entry in journal.history()] == [path]
        assert list(undo(journal)) == [(path, None)]
        assert path.read_bytes() == before
        path.chmod(0o444)
        with pytest.raises(TagError) as caught:
            change(path)
        assert "\\udcff\\x1b[31m\\n: \\udce4.mp3" in str(caught.value)

    def test_a_name_as_long_as_may_be(self, song: Path, change) -> None:
        path = song.with_name("x" * 251 + ".mp3")
        song.rename(path)
        change(path)
        assert tags.read_tags(path).genres == ("Polka", "Blues")

    def test_a_read_only_file(self, song: Path, change, journal: Journal) -> None:
        song.chmod(0o444)
        before = song.read_bytes()
        for in_place in (False, True):
            with pytest.raises(TagError, match=r"read-only \(mode 0444\)"):
                change(song, in_place=in_place)
        assert left(song, journal, before)

    def test_a_read_only_file_system(self, song: Path, change, journal: Journal) -> None:
        before = song.read_bytes()
        mount = ["mount", "-o", "bind,ro", song.parent, song.parent]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
        try:
            for in_place in (False, True):
                with pytest.raises(TagError, match="the file system is read-only"):
                    change(song, in_place=in_place)
        finally:
            subprocess.run(["umount", song.parent], check=True)
        assert left(song, journal, before)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_without_permission(self, song: Path, change, journal: Journal) -> None:
        before = song.read_bytes()
        song.parent.chmod(0o555)
        try:
            with pytest.raises(TagError, match="permission is denied"):
                change(song)
            assert left(song, journal, before)
        finally:
            song.parent.chmod(0o755)

    def test_an_immutable_file(self, song: Path, change, journal: Journal) -> None:
        before = song.read_bytes()
        if (
            not shutil.which("chattr")
            or subprocess.run(["chattr", "+i", song], capture_output=True, check=False).returncode
        ):
            pytest.skip("no file can be made immutable here")
        try:
            with pytest.raises(TagError, match="left as it is"):
                change(song)
            assert left(song, journal, before)
        finally:
            subprocess.run(["chattr", "-i", song], check=True)

    def test_a_format_that_holds_no_tags(self, tmp_path: Path, change, journal: Journal) -> None:
        path = write_bare(tmp_path / "sound.mka")
        before = path.read_bytes()
        with pytest.raises(TagError, match=r"sound\.mka.* cannot hold tags here"):
            change(path)
        assert path.read_bytes() == before
        assert names(tmp_path) == ["kept", "sound.mka"]

    def test_tags_that_changed_since_they_were_read(self, song, change, journal) -> None:
        old = tags.read_tags(song)
        tags.write_genres(song, ["Waltz"])
        before = song.read_bytes()
        with pytest.raises(TagError, match="changed since they were read"):
            Changer(journal, journal.begin_run(model="", settings="")).change(
                song, ["Polka"], old=old
            )
        assert left(song, journal, before)

    @pytest.mark.parametrize("in_place", [False, True])
    @pytest.mark.parametrize("step", ["reverse_delta", "_try"])
    def test_a_file_that_changes_under_it(
        self, song: Path, change, journal: Journal, monkeypatch, step: str, in_place: bool
    ) -> None:
        real = getattr(road, step)

        def disturb(*args: object, **options: object) -> object:
            with song.open("ab") as file:
                file.write(b"more")
            return real(*args, **options)

        before = song.read_bytes()
        monkeypatch.setattr(road, step, disturb)
        with pytest.raises(TagError, match="another program changed it meanwhile"):
            change(song, in_place=in_place)
        assert song.read_bytes().startswith(before + b"more")
        assert is_alone(song)
        assert not journal.open_starts()

    def test_a_file_that_vanishes_under_it(self, song, change, journal, monkeypatch) -> None:
        real = tags.write_genres

        def vanish(*args: object, **options: object) -> None:
            song.unlink()
            real(*args, **options)

        monkeypatch.setattr(change_module.tags, "write_genres", vanish)
        with pytest.raises(TagError, match="it is gone"):
            change(song)
        assert names(song.parent) == []

    @pytest.mark.parametrize(
        ("name", "harm", "reason"),
        [
            ("payload_digest", lambda path: str(time.time_ns()), "its sound would not stay"),
            ("other_items", lambda path: [str(time.time_ns())], "other tags would not stay"),
        ],
    )
    def test_what_is_not_proven_is_not_written(
        self, song: Path, change, journal, monkeypatch, name: str, harm, reason: str
    ) -> None:
        before = song.read_bytes()
        monkeypatch.setattr(change_module, name, harm)
        with pytest.raises(TagError, match=reason):
            change(song)
        assert left(song, journal, before)

    def test_tags_that_would_be_lost(self, song, change, journal, monkeypatch) -> None:
        before = song.read_bytes()
        monkeypatch.setattr(
            change_module.tags, "write_genres", lambda path, *_, **__: path.write_bytes(before[:40])
        )
        with pytest.raises(TagError, match="left as it is"):
            change(song)
        assert left(song, journal, before)


class TestFullDisk:
    @pytest.fixture
    def small(self, tmp_path: Path):
        """A file system of 256 kB."""
        folder = tmp_path / "small"
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("nothing can be mounted here")
        yield folder
        subprocess.run(["umount", folder], check=True)

    def test_of_the_library(self, small: Path, songs, change, journal: Journal) -> None:
        path = small / "song.wav"
        before = (songs[".wav"].read_bytes() * 4)[:180_000]
        path.write_bytes(before)
        with pytest.raises(TagError, match="the disk is full"):
            change(path)
        assert left(path, journal, before)

    def test_while_a_file_grows_in_place(self, small: Path, songs, change, journal) -> None:
        path = small / "song.mp3"
        shutil.copy(songs[".mp3"], path)
        before = path.read_bytes()
        (small / "other.mp3").hardlink_to(path)
        real = copies.overwrite

        def fill(*args: Path) -> int:
            (small / "rest").write_bytes(bytes(shutil.disk_usage(small).free))
            return real(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copies, "overwrite", fill)
            with pytest.raises(TagError, match="the disk is full"):
                change(path, ("o" * 5000,), hard_links="in-place")
        assert path.read_bytes() == before
        assert not journal.open_starts()
        assert names(small) == ["other.mp3", "rest", "song.mp3"]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    @pytest.mark.parametrize("where", ["make_private", "copy_bytes", "sync", "sync_folder"])
    def test_anything_the_system_says(
        self, song: Path, change, journal, monkeypatch, code: int, where: str
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        before = song.read_bytes()
        monkeypatch.setattr(copies, where, fail)
        with pytest.raises(TagError, match=r"song\.mp3'"):
            change(song)
        monkeypatch.undo()
        assert is_alone(song)
        assert not journal.open_starts()
        if where == "sync_folder":  # it was renamed by then
            assert tags.read_tags(song).genres == ("Polka", "Blues")
            assert list(undo(journal)) == [(song, None)]
        assert song.read_bytes() == before

    def test_of_the_journal(self, song: Path, journal: Journal, change) -> None:
        before = song.read_bytes()
        n_pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {n_pages}")
        with pytest.raises(JournalError, match="full"):  # noqa: PT012 - at some change
            for number in range(300):
                change(song, (f"Polka {number}",))
        journal._connection.execute("PRAGMA max_page_count = 100000")
        repair(journal)
        assert is_alone(song)
        assert not journal.open_starts()
        assert tags.read_tags(song).title == SAID["title"]
        for _ in range(300):
            if not list(undo(journal)):
                break
        assert song.read_bytes() == before


def test_a_large_file_takes_seconds_and_little_memory(tmp_path: Path, change) -> None:
    """A WAV of 64 MB, most of it silence: four times as long as the blocks that are read."""
    import tracemalloc

    path = write_bare(tmp_path / "large.wav")
    n_bytes = 64 << 20
    head = bytearray(path.read_bytes()[:44])
    for at, size in ((4, n_bytes + 36), (40, n_bytes)):
        head[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, 44 + n_bytes)
    tracemalloc.start()
    change(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert tags.read_tags(path).genres == ("Polka", "Blues")
