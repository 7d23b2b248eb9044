"""Files are written whole or not at all, whatever breaks, and the sentence says what broke."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostinato.errors import OstinatoError, UsageError
from ostinato.storage import (
    WriteError,
    as_text,
    expanded,
    is_file,
    is_folder,
    printable,
    replacing,
    user_cache,
    user_data,
    write_text,
)

posix = pytest.mark.skipif(os.name == "nt", reason="file modes are those of POSIX")
unprivileged = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere"
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(path: Path, content: str = "new") -> None:
    with replacing(path) as temporary:
        temporary.write_text(content)


def one_sentence(caught: pytest.ExceptionInfo[WriteError], path: Path) -> str:
    """The error's text, once it is seen to be a sentence that names the file."""
    text = str(caught.value)
    assert text.startswith(f"Cannot write {path}: ")
    assert text.endswith(".")
    assert ". " not in text
    assert "\n" not in text
    assert "Errno" not in text
    assert isinstance(caught.value, OstinatoError)
    assert isinstance(caught.value.__cause__, OSError)
    return text


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


class TestWhole:
    def test_a_new_file(self, tmp_path: Path) -> None:
        fill(tmp_path / "results.json")
        assert (tmp_path / "results.json").read_text() == "new"
        assert names(tmp_path) == ["results.json"]

    def test_a_file_takes_the_place_of_another(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        path.write_text("a longer text than the new one")
        fill(path)
        assert path.read_text() == "new"
        assert names(tmp_path) == ["results.json"]

    def test_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "runs" / "a" / "results.json"
        fill(path)
        assert path.read_text() == "new"

    def test_a_reader_meets_the_old_file_until_the_new_one_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        path.write_text("old")
        with replacing(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    def test_the_temporary_file_is_beside_it(self, tmp_path: Path) -> None:
        """Only within one file system is a rename all or nothing; and a reader who lists the folder
        by suffix must not take the temporary file for a finished one."""
        path = tmp_path / "weights.safetensors"
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix != path.suffix
            assert temporary.name.startswith(".")

    def test_two_writers_of_one_file_do_not_meet(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        with replacing(path) as one, replacing(path) as two:
            assert one != two
            one.write_text("one")
            two.write_text("two")
        assert path.read_text() in ("one", "two")
        assert names(tmp_path) == ["results.json"]

    @posix
    @pytest.mark.usefixtures("umask")
    def test_others_may_read_it_as_far_as_the_umask_lets_them(self, tmp_path: Path) -> None:
        """A report on a shared disk that only its writer can open would be no report."""
        fill(tmp_path / "report.html")
        assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o640

    def test_text_is_utf8_with_plain_newlines_everywhere(self, tmp_path: Path) -> None:
        write_text(tmp_path / "a.csv", "Björk,Jóga\n")
        assert (tmp_path / "a.csv").read_bytes() == b"Bj\xc3\xb6rk,J\xc3\xb3ga\n"


class TestBroken:
    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
    def test_nothing_is_left_when_the_writer_breaks_off(
        self, tmp_path: Path, kind: type[BaseException]
    ) -> None:
        path = tmp_path / "results.json"
        path.write_text("old")

        def broken() -> None:
            with replacing(path) as temporary:
                temporary.write_text("ne")
                raise kind

        with pytest.raises(kind):
            broken()
        assert path.read_text() == "old"
        assert names(tmp_path) == ["results.json"]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        def half(path: Path, text: str, **_: object) -> int:
            with path.open("w") as file:
                file.write(text[: len(text) // 2])
            raise OSError(code, os.strerror(code), str(path))

        path = tmp_path / "results.json"
        path.write_text("old")
        monkeypatch.setattr(Path, "write_text", half)
        with pytest.raises(WriteError) as caught:
            write_text(path, "new text")
        assert "free some space" in one_sentence(caught, path)
        assert path.read_text() == "old"
        assert names(tmp_path) == ["results.json"]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
    def test_a_device_that_is_full(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"

        def broken() -> None:
            with replacing(path) as temporary:
                temporary.unlink()
                temporary.symlink_to("/dev/full")
                temporary.write_text("new")

        with pytest.raises(WriteError) as caught:
            broken()
        assert "the disk is full" in one_sentence(caught, path)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
    def test_no_permission(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refuse(path: Path, **_: object) -> None:
            raise OSError(code, os.strerror(code), str(path))

        monkeypatch.setattr(Path, "touch", refuse)
        with pytest.raises(WriteError) as caught:
            write_text(tmp_path / "results.json", "new")
        text = one_sentence(caught, tmp_path / "results.json")
        assert ("read-only" if code == errno.EROFS else "permission") in text
        assert "choose another folder" in text
        assert names(tmp_path) == []

    @unprivileged
    def test_a_folder_without_write_permission(self, tmp_path: Path) -> None:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
        for path in (folder / "results.json", folder / "inside" / "results.json"):
            with pytest.raises(WriteError) as caught:
                write_text(path, "new")
            assert "permission" in one_sentence(caught, path)

    @pytest.mark.parametrize("below", ["results.json", "deeper/results.json"])
    def test_a_file_where_a_folder_should_be(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "runs").write_text("I am a file")
        path = tmp_path / "runs" / below
        with pytest.raises(WriteError) as caught:
            write_text(path, "new")
        assert "is a file, not a folder" in one_sentence(caught, path)
        assert (tmp_path / "runs").read_text() == "I am a file"

    @posix
    def test_a_folder_where_the_file_should_be(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        path.mkdir()
        with pytest.raises(WriteError) as caught:
            write_text(path, "new")
        assert "a folder of that name is in its place" in one_sentence(caught, path)
        assert names(tmp_path) == ["results.json"]

    def test_another_word_of_the_system_is_passed_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, target: Path) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(WriteError) as caught:
            write_text(tmp_path / "results.json", "new")
        assert os.strerror(errno.EIO) in one_sentence(caught, tmp_path / "results.json")
        assert names(tmp_path) == []

    def test_what_a_library_cannot_write_is_not_called_a_full_disk(self, tmp_path: Path) -> None:
        """Imaging and sound libraries raise OSError without a number for what they do not know."""

        def broken() -> None:
            with replacing(tmp_path / "figure.png"):
                raise OSError("cannot write mode RGBA as PNG")

        with pytest.raises(OSError, match="cannot write mode RGBA"):
            broken()
        assert names(tmp_path) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="an open file can be removed on POSIX only")
    def test_a_writer_that_removed_its_temporary_file(self, tmp_path: Path) -> None:
        """Some libraries clean up behind themselves: that is no second error."""

        def broken() -> None:
            with replacing(tmp_path / "figure.png") as temporary:
                temporary.unlink()
                raise ValueError("no such colour")

        with pytest.raises(ValueError, match="no such colour"):
            broken()


def test_a_name_that_is_no_text_can_be_printed() -> None:
    assert printable("söng.wav") == as_text("söng.wav") == "söng.wav"
    assert printable("s\udcffng.wav") == as_text("s\udcffng.wav") == r"s\udcffng.wav"


def test_what_commands_a_terminal_is_printed_as_an_escape_and_kept_for_programs() -> None:
    name = "a\nb\x1b[2J\x9b\u202ec\t"
    assert printable(name) == r"a\nb\x1b[2J\x9b\u202ec\t"
    assert printable(name, keep="\n\t") == "a\nb\\x1b[2J\\x9b\\u202ec\t"
    assert as_text(name) == name


def test_what_may_not_be_known_is_not_there(tmp_path: Path) -> None:
    """Path.is_dir and Path.is_file raise there."""
    (tmp_path / "file").write_text("")
    assert is_folder(tmp_path)
    assert not is_file(tmp_path)
    assert is_file(tmp_path / "file")
    for odd in (tmp_path / ("x" * 300), tmp_path / "file" / "x", Path("a\0b")):
        assert not is_folder(odd)
        assert not is_file(odd)


def test_the_home_folder_is_expanded(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    assert expanded("x~y") == Path("x~y")


def test_a_home_folder_that_is_not_known_is_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UsageError, match="Expected a home folder for ~/x, got none"):
        expanded("~/x")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with pytest.raises(UsageError, match="Expected a home folder, to keep gtzan in, got none"):
        user_data("gtzan")


@pytest.mark.parametrize(
    "cache", ["~/.cache/ostinato", f"{__file__}/ostinato", f"{__file__}/{'x' * 300}/ostinato"]
)
def test_a_cache_that_cannot_be_written_has_a_makeshift_and_says_so(
    monkeypatch, tmp_path, cache: str
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: cache)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, note = user_cache()
    assert folder.parent == tmp_path
    assert cache in note or "there is no home folder" in note
    assert str(folder) in note


def test_a_makeshift_that_is_somebody_elses_is_not_trusted(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/ostinato")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: other, raising=False)
    (tmp_path / f"ostinato-{other}").mkdir()
    assert user_cache()[0].parent == tmp_path
    assert user_cache()[0].name != f"ostinato-{other}"


def test_a_cache_that_can_be_written_has_no_note(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "a" / "b"))
    assert user_cache() == (tmp_path / "a" / "b", "")
    assert not (tmp_path / "a").exists()
