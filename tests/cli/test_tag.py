"""``ostinato tag``: what a person types and sees, and what is in the files afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import mutagen
import pytest

from ostinato.inference.classifier import Classifier
from tests.helpers.graphs import toy_bytes
from tests.helpers.sounds import write_tune


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A library of two folders: four files, one with a genre; a model that is sure of all."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "toy.onnx").write_bytes(toy_bytes())
    for number in range(4):
        write_tune(folder / "music" / "ab"[number // 2] / f"{number}.flac", number, number,
                   seconds=2, title=f"Song {number}")  # fmt: skip
    for path in (folder / "music").rglob("*.flac"):
        tags = mutagen.File(path)
        if path.name == "0.flac":
            tags["genre"] = "Polka"
        tags.save(padding=lambda _: 1000)
    return folder


@pytest.fixture
def music(made, tmp_path) -> Path:
    return Path(shutil.copytree(made / "music", tmp_path / "music"))


@pytest.fixture
def tag(call, made, tmp_path, data_home):
    """Call the verb with the model, and a cache of its own."""

    def run(*arguments: str | Path):
        options = () if {"--undo", "--history"} & set(arguments) else (
            "--model", made / "toy.onnx", "--cache", tmp_path / "cache"
        )  # fmt: skip
        return call("tag", *arguments, *options)

    return run


def sums(music: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(music.rglob("*.flac"))
    }


def genres(music: Path) -> list[list[str]]:
    return [mutagen.File(path).get("genre", []) for path in sorted(music.rglob("*.flac"))]


class TestDryRun:
    def test_shows_what_would_change_by_folder_and_changes_nothing(self, tag, music) -> None:
        before = sums(music)
        status, out, err = tag(music)
        assert status == 0
        lines = [" ".join(line.split()) for line in out.splitlines()]
        assert lines[0] == "a"
        assert any(line.startswith("(none) -> ") and "1 file 1.flac" in line for line in lines)
        assert "= it has a genre 1 file" in lines
        assert "3 files would get a genre" in " ".join(err.split())
        assert "Nothing was changed: --write" in err
        assert sums(music) == before

    def test_needs_no_journal(self, tag, music, data_home) -> None:
        tag(music)
        assert not list(data_home.iterdir())

    def test_without_audio_is_told(self, tag, tmp_path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.txt").touch()
        status, _, err = tag(tmp_path / "docs")
        assert status == 1
        assert "Expected audio files, got 1 .txt" in err


class TestWriting:
    def test_and_undoing_brings_back_every_byte(self, tag, music) -> None:
        before = sums(music)
        status, _, err = tag(music, "--write")
        assert status == 0
        assert "3 files got a genre" in " ".join(err.split())
        assert "ostinato tag --undo 1" in err
        assert genres(music)[0] == ["Polka"]
        assert all(genre != [] for genre in genres(music))
        assert all(mutagen.File(p)["title"] for p in music.rglob("*.flac"))

        status, out, _ = tag("--undo")
        assert (status, out) == (0, "3 files as before.\n")
        assert sums(music) == before
        _, _, err = tag("--undo")
        assert "There is nothing to take back" in err

    def test_a_second_time_hears_and_changes_nothing(self, tag, music, monkeypatch) -> None:
        tag(music, "--write")
        written = sums(music)
        monkeypatch.setattr(Classifier, "classify", lambda *_, **__: pytest.fail("heard"))
        status, _, err = tag(music, "--write")
        assert status == 0
        assert "0 files got a genre" in " ".join(err.split())
        assert sums(music) == written

    def test_replaces_or_adds_where_that_is_asked_for(self, tag, music) -> None:
        tag(music, "--write", "--add")
        assert genres(music)[0][0] == "Polka"
        assert len(genres(music)[0]) == 2
        tag(music, "--write", "--replace")
        assert "Polka" not in genres(music)[0]

    def test_with_provenance_says_who_wrote(self, tag, music) -> None:
        tag(music, "--write", "--provenance")
        said = mutagen.File(music / "a" / "1.flac")["ostinato"]
        assert said[0].startswith("ostinato toy: ")
        assert said[0].endswith("%")

    def test_goes_on_where_a_file_cannot_be_written(self, tag, music) -> None:
        os.link(music / "a" / "1.flac", music.parent / "another name.flac")
        (music / "b" / "empty.mp3").touch()
        status, out, err = tag(music, "--write")
        assert status == 1
        assert "! cannot be used" in out
        assert "it has 2 hard links" in err
        assert "empty.mp3: it is empty (0 bytes)" in err
        assert [len(each) for each in genres(music)] == [1, 0, 1, 1]
        status, _, _ = tag(music / "a", "--write", "--hard-links", "break", "--keep-mtime")
        assert status == 0
        assert mutagen.File(music.parent / "another name.flac").get("genre") is None

    def test_in_place_writes_only_what_differs(self, tag, music) -> None:
        inode = (music / "a" / "1.flac").stat().st_ino
        before = sums(music)
        tag(music, "--write", "--in-place")
        assert (music / "a" / "1.flac").stat().st_ino == inode
        assert len(genres(music)[1]) == 1
        tag("--undo", music / "a")
        assert sums(music / "a").items() <= before.items()
        assert len(genres(music)[2]) == 1  # in the other folder

    def test_history_tells_of_runs_and_files(self, tag, music) -> None:
        tag(music, "--write")
        tag("--undo", "1", music / "b")
        _, out, _ = tag("--history")
        runs = [" ".join(line.split()) for line in out.splitlines()]
        assert "3 files toy, only-missing, 2 of them taken back" in runs[0]
        assert "2 files took back run 1" in runs[1]
        _, out, _ = tag("--history", music / "b" / "2.flac")
        assert "(none) -> " in out
        assert "undone" in out

    def test_an_unknown_run_is_told(self, tag, music) -> None:
        tag(music, "--write")
        status, _, err = tag("--undo", "7")
        assert status == 1
        assert "There is no run 7" in err

    def test_a_journal_of_ones_own(self, tag, music, tmp_path, data_home) -> None:
        tag(music, "--write", "--journal", tmp_path / "here.sqlite")
        assert not list(data_home.iterdir())
        status, out, _ = tag("--undo", "--journal", tmp_path / "here.sqlite")
        assert (status, out) == (0, "3 files as before.\n")

    def test_a_journal_that_is_not_there_is_told(self, tag) -> None:
        for verb in ("--undo", "--history"):
            status, _, err = tag(verb)
            assert status == 1
            assert "There is no journal" in err


class TestFormats:
    def test_csv_and_json_have_a_row_a_file(self, tag, music) -> None:
        _, out, _ = tag(music, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["action"] for row in rows] == ["keep", "write", "write", "write"]
        _, out, _ = tag(music, "--format", "json", "--where", "genre=polka", "--replace")
        (row,) = map(json.loads, out.splitlines())
        assert (row["genres"], row["action"]) == (["Polka"], "write")
        assert len(row["ranked"]) == 3

    def test_a_page_and_playlists(self, tag, music, tmp_path) -> None:
        lists = tmp_path / "lists"
        status, _, err = tag(music, "--page", tmp_path / "page.html", "--playlists", lists)
        assert status == 0
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "Polka" in page  # with which the model disagrees: kept files are heard for the page
        assert "Page: " in err
        assert "../music/a/0.flac" in (lists / "Polka.m3u8").read_text(encoding="utf-8")

    def test_by_album_all_tracks_of_a_folder_get_one_verdict(self, tag, music) -> None:
        _, out, _ = tag(music, "--by", "album", "--format", "json")
        rows = [json.loads(line) for line in out.splitlines()]
        assert rows[2]["ranked"] == rows[3]["ranked"]
        assert rows[1]["ranked"] != rows[2]["ranked"]

    def test_a_map_of_ones_own(self, tag, music, tmp_path) -> None:
        names = "\n".join(f'{genre} = "Mine"' for genre in ("blues", "jazz", "rock"))
        (tmp_path / "map.toml").write_text(f"[genres]\n{names}\n", encoding="utf-8")
        _, out, _ = tag(music, "--map", tmp_path / "map.toml")
        assert "(none) -> Mine" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Expected files or folders to tag, got none"),
        (("x", "--add", "--replace"), "Expected one of --only-missing, --replace and --add"),
        (("x", "--where", "artist=Bach"), "Expected --where genre=PATTERN"),
        (("x", "--where", "genre="), "Expected --where genre=PATTERN"),
        (("x", "--by", "artist"), "by track or album, got 'artist'"),
        (("x", "--hard-links", "cut"), "Expected --hard-links skip, break or in-place, got 'cut'"),
        (("x", "--min-probability", "62"), "Expected a probability from 0 to 1, got 62"),
        (("x", "--map", "no.toml"), "The genre map 'no.toml' cannot be read"),
        (("--undo", "--write"), "Expected one of --write, --undo and --history"),
        (("--undo", "--history"), "Expected one of --write, --undo and --history"),
        (("x", "--format", "xml"), "Expected --format table, csv, json or parquet, got 'xml'"),
    ],
)
def test_a_wrong_call_is_refused(tag, tmp_path, arguments, said):
    (tmp_path / "x").touch()
    status, _, err = tag(*arguments)
    assert status == 2
    assert said in " ".join(err.split())
