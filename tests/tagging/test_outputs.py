"""Rows as csv, JSON, Parquet and playlists, read back by programs that did not write them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
import tracemalloc
from pathlib import Path

import pytest

from ostinato.errors import MissingExtraError
from ostinato.inference.verdict import Verdict
from ostinato.storage import WriteError
from ostinato.tagging.outputs import COLUMNS, Playlists, file_name, row_writer
from ostinato.tagging.row import Row
from ostinato.tagging.tags import FileTags

NOT_TEXT = os.fsdecode(b"b\xfcrste.mp3")  # Latin-1: no UTF-8


def verdict(**changes) -> Verdict:
    values = {
        "model": "toy", "model_version": "3", "genre": "rock", "named": ("rock",),
        "abstained": None, "probability": 0.8125, "ranked": (("rock", 0.8125), ("jazz", 0.1875)),
        "seconds": 200.5,
    } | changes  # fmt: skip
    return Verdict(**values)


def row(path: str = "/m/a.mp3", **changes) -> Row:
    values = {
        "path": Path(path),
        "tags": FileTags(genres=("Pop",), artist="Ann", album="One", title="A", year=1999),
        "verdict": verdict(), "genres": ("Rock",), "action": "write", "new": ("Pop", "Rock"),
        "seconds": 200.5, "written": True,
    } | changes  # fmt: skip
    return Row(**values)


BARE = row("/m/b.mp3", tags=FileTags(), verdict=None, genres=(), action="error", new=(),
           why='a "clause", broken\nin two', seconds=None, written=False)  # fmt: skip


class Binary(io.StringIO):
    """A text stream with bytes below it, as stdout is."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = io.BytesIO()


def written(format_: str, *rows: Row) -> Binary:
    stream = Binary()
    with row_writer(format_, stream) as write:
        for each in rows:
            write(each)
    return stream


class TestCsv:
    def test_is_read_back(self) -> None:
        text = written("csv", row(), BARE).getvalue()
        first, second = csv.DictReader(io.StringIO(text))
        assert tuple(first) == COLUMNS
        assert first == {
            "path": "/m/a.mp3", "folder": "/m", "artist": "Ann", "album": "One", "title": "A",
            "year": "1999", "genres": "Pop", "heard": "Rock", "probability": "0.8125",
            "action": "write", "new": "Pop;Rock", "why": "", "seconds": "200.5000", "model": "toy",
            "model_version": "3", "written": "true",
        }  # fmt: skip
        assert second["why"] == BARE.why
        assert (second["probability"], second["new"], second["written"]) == ("", "", "false")

    def test_names_that_are_no_text_are_told_in_ascii(self) -> None:
        text = written("csv", row(f"/m/{NOT_TEXT}")).getvalue()
        assert r"/m/b\udcfcrste.mp3" in text
        text.encode()

    def test_a_terminal_gets_no_commands(self, monkeypatch) -> None:
        stream = Binary()
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        with row_writer("csv", stream) as write:
            write(row("/m/\x1b[31m.mp3"))
        assert "\x1b" not in stream.getvalue()


class TestJson:
    def test_is_read_back(self) -> None:
        first, second = map(json.loads, written("json", row(), BARE).getvalue().splitlines())
        assert set(first) == {*COLUMNS, "ranked"}
        assert first["new"] == ["Pop", "Rock"]
        assert first["written"] is True
        assert first["ranked"][1] == {"genre": "jazz", "probability": 0.1875}
        assert second["year"] is second["seconds"] is second["probability"] is None
        assert second["ranked"] == second["new"] == []

    def test_each_line_is_there_at_once(self) -> None:
        """A program that reads along need not wait for the end."""
        stream = Binary()
        with row_writer("json", stream) as write:
            write(row())
            assert json.loads(stream.getvalue())["path"] == "/m/a.mp3"


class TestParquet:
    def test_is_read_back(self, monkeypatch) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        monkeypatch.setattr("ostinato.tagging.outputs.ROWS_A_GROUP", 2)
        content = written("parquet", row(), BARE, row(f"/m/{NOT_TEXT}")).buffer.getvalue()
        file = parquet.ParquetFile(io.BytesIO(content))
        assert file.num_row_groups == 2
        assert tuple(file.schema_arrow.names) == COLUMNS
        first, second, third = file.read().to_pylist()
        assert first == {
            "path": "/m/a.mp3", "folder": "/m", "artist": "Ann", "album": "One", "title": "A",
            "year": 1999, "genres": ["Pop"], "heard": ["Rock"], "probability": 0.8125,
            "action": "write", "new": ["Pop", "Rock"], "why": "", "seconds": 200.5, "model": "toy",
            "model_version": "3", "written": True,
        }  # fmt: skip
        assert second["seconds"] is None
        assert second["genres"] == []
        assert third["path"] == r"/m/b\udcfcrste.mp3"

    def test_without_a_row_it_is_a_table_without_rows(self) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        content = written("parquet").buffer.getvalue()
        assert parquet.read_table(io.BytesIO(content)).num_rows == 0

    def test_without_pyarrow_it_says_what_to_install(self, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"ostinato\[parquet\]"):
            written("parquet")


class TestPlaylists:
    def lists(self, folder: Path) -> dict[str, list[str]]:
        return {
            path.name: path.read_text(encoding="utf-8").split("\n")[:-1]
            for path in folder.iterdir()
        }

    def test_one_a_genre_with_relative_paths(self, tmp_path) -> None:
        music, folder = tmp_path / "music", tmp_path / "lists"
        lists = Playlists(folder)
        lists.add(row(str(music / "Ann" / "a.mp3")))
        lists.add(row(str(music / "b.mp3"), tags=FileTags(), new=("Rock",), seconds=None))
        lists.add(row(str(music / "c.mp3"), new=()))
        assert lists.write() == [f"2 playlists in {folder}."]
        assert self.lists(folder) == {
            "Pop.m3u8": ["#EXTM3U", "#EXTINF:200,Ann - A", "../music/Ann/a.mp3"],
            "Rock.m3u8": [
                "#EXTM3U", "#EXTINF:200,Ann - A", "../music/Ann/a.mp3", "#EXTINF:-1,b",
                "../music/b.mp3",
            ],
        }  # fmt: skip

    def test_the_paths_lead_to_the_files(self, tmp_path) -> None:
        """Also where the folder is reached by a link, and where names look like comments."""
        music, real = tmp_path / "music", tmp_path / "far" / "lists"
        real.mkdir(parents=True)
        link = tmp_path / "lists"
        link.symlink_to(real)
        names = ("a.mp3", "#1 hits.mp3", " blank.mp3", "http:x.mp3", "Björk - Jóga 東京.mp3")
        music.mkdir()
        lists = Playlists(link)
        for name in names:
            (music / name).touch()
            lists.add(row(str(music / name), new=("Rock",)))
        near = real / "#2.mp3"
        near.touch()
        lists.add(row(str(near), new=("Rock",)))
        lists.write()
        lines = self.lists(real)["Rock.m3u8"]
        entries = [line for line in lines if not line.startswith("#")]
        assert len(entries) == len(names) + 1
        assert all((real / entry).is_file() for entry in entries)

    def test_names_that_a_line_cannot_hold_are_left_out_and_told(self, tmp_path) -> None:
        lists = Playlists(tmp_path / "lists")
        lists.add(row(f"/m/{NOT_TEXT}"))
        lists.add(row("/m/two\nlines.mp3"))
        lists.add(row("/m/good.mp3", tags=FileTags(title="two\r\nlines"), new=("Rock",)))
        _, told = lists.write()
        assert told == (
            r"Left out of playlists, for M3U8 cannot hold the name: /m/two\nlines.mp3 and 1 more."
        )
        (lines,) = self.lists(tmp_path / "lists").values()
        assert lines[1] == "#EXTINF:200,two lines"
        assert len(lines) == 3

    def test_genres_that_differ_by_case_share_a_list_and_others_do_not(self, tmp_path) -> None:
        lists = Playlists(tmp_path)
        for genre in ("Rock/Pop", "rock/pop", "Rock:Pop", "../up", "CON", "."):
            lists.add(row("/m/a.mp3", new=(genre,)))
        lists.add(row("/m/b.mp3", new=("Jazz", "jazz")))
        lists.write()
        assert {name: len(lines) // 2 for name, lines in self.lists(tmp_path).items()} == {
            "Rock_Pop.m3u8": 2, "Rock_Pop (2).m3u8": 1, "_up.m3u8": 1, "_CON.m3u8": 1, "_.m3u8": 1,
            "Jazz.m3u8": 1,
        }  # fmt: skip

    def test_a_list_of_before_is_replaced_and_others_stay(self, tmp_path) -> None:
        for name in ("Rock.m3u8", "mine.m3u8"):
            (tmp_path / name).write_text("old\n")
        lists = Playlists(tmp_path)
        lists.add(row(new=("Rock",)))
        lists.write()
        assert self.lists(tmp_path)["Rock.m3u8"][0] == "#EXTM3U"
        assert self.lists(tmp_path)["mine.m3u8"] == ["old"]

    def test_a_folder_that_cannot_be_made_is_one_sentence(self, tmp_path) -> None:
        (tmp_path / "file").touch()
        lists = Playlists(tmp_path / "file" / "lists")
        lists.add(row())
        with pytest.raises(WriteError, match="file, not a folder"):
            lists.write()

    def test_a_full_disk_is_one_sentence(self, tmp_path, monkeypatch) -> None:
        class Full(io.BytesIO):
            def write(self, content: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryFile", Full)
        with pytest.raises(WriteError, match="the disk is full"):
            Playlists(tmp_path).add(row())

    def test_memory_does_not_grow_with_the_library(self, tmp_path) -> None:
        lists = Playlists(tmp_path)
        rows = [row(f"/music/artist {n}/album/a song of some length.mp3") for n in range(50)]
        tracemalloc.start()
        for each in rows:
            for _ in range(200):
                lists.add(each)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 500_000  # 10,000 rows in two lists each: 16 bytes a row, and a buffer
        lists.write()
        assert (tmp_path / "Pop.m3u8").read_bytes().count(b"\n") == 20_001


def test_the_reference_tells_every_column() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "library.md"
    table = (
        page.read_text(encoding="utf-8").partition("## Columns")[2].partition("\nWhat is not")[0]
    )
    rows = re.findall(r"^\| (`.*?) \|", table, re.M)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(COLUMNS)


@pytest.mark.parametrize(
    ("genre", "name"),
    [
        ("Rock", "Rock"),
        ("R&B", "R&B"),
        ("Drum 'n' Bass?", "Drum 'n' Bass_"),
        ("AC/DC: live.", "AC_DC_ live"),
        ("nul.txt", "_nul.txt"),
        ("console", "console"),
        ("", "_"),
        ("\x1b[31m", "_[31m"),
        ("東京" * 100, ("東京" * 100)[:66]),
    ],
)
def test_names_of_files(genre: str, name: str) -> None:
    assert file_name(genre) == name
    assert len(name.encode()) <= 200
