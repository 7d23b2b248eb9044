"""The walker of folders: what it finds, what it counts, and what it reports."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from ostinato.audio import AUDIO_SUFFIXES, find_audio
from tests.conftest import REPOSITORY


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_are_taken_as_they_are_and_folders_in_order(tmp_path: Path) -> None:
    put(tmp_path, "a/deep/x.FLAC", "a/y.mp3", "b.wav", "c.unknown")
    given = [tmp_path / "c.unknown", tmp_path / "missing", tmp_path]
    expected = ["c.unknown", "missing", "b.wav", "a/y.mp3", "a/deep/x.FLAC"]
    assert find_audio(given).paths == [tmp_path / name for name in expected]
    assert find_audio(tmp_path).paths == [tmp_path / name for name in expected[2:]]


def test_the_page_of_formats_lists_the_suffixes() -> None:
    page = (REPOSITORY / "docs" / "guide" / "formats.md").read_text(encoding="utf-8")
    listed = re.findall(r"\.\w+", "".join(re.findall(r"(?m)^    \..*$", page)))
    assert sorted(listed) == sorted(AUDIO_SUFFIXES)


def test_what_is_passed_over_is_counted_by_suffix(tmp_path: Path) -> None:
    put(tmp_path, "x.wav", ".x.wav", "x.JPG", "y.jpg", "README", ".git/x.wav", "__MACOSX/x.wav")
    found = find_audio(tmp_path)
    assert found.paths == [tmp_path / "x.wav"]
    assert found.passed_over == Counter({".jpg": 2, "": 1})


def test_what_is_passed_over_is_told_in_words(tmp_path: Path) -> None:
    put(tmp_path, *(f"{n}.jpg" for n in range(12)), "a.txt", "b.TXT", "README", "x.mp3")
    put(tmp_path, "Mr. Smith", "a.pdf", ".hidden.jpg", ".DS_Store", "x.ts", "x.py", "x.c")
    told = find_audio(tmp_path).told_passed_over()
    assert told == "12 .jpg, 2 without a suffix, 2 .txt, 1 .c, 1 .pdf and 2 others"
    assert find_audio(tmp_path / "x.mp3").told_passed_over() == ""


def test_links_are_followed_and_no_folder_is_entered_twice(tmp_path: Path) -> None:
    put(tmp_path, "music/x.wav", "elsewhere/y.wav")
    for name, target in (("up", tmp_path / "music"), ("self", "."), ("away", "../elsewhere")):
        (tmp_path / "music" / name).symlink_to(target, target_is_directory=True)
    found = find_audio(tmp_path / "music").paths
    assert found == [tmp_path / "music" / name for name in ("x.wav", "away/y.wav")]


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "x.wav", "closed/y.wav")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = find_audio(tmp_path)
    assert found.paths == [tmp_path / "x.wav"]
    assert found.closed == {tmp_path / "closed": "Permission denied"}
