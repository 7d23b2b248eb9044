"""The one place that prints: a user's text is data, and results arrive where they were sent."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
import soundfile
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ostinato.cli import console
from tests.helpers.graphs import toy_bytes
from tests.helpers.sounds import RATE_HZ, music

MARKUP = ("Song [dQw4w9WgXcQ].mp3", "01] x.mp3", "Live [", "a[/b]c", "a:guitar:b.mp3", "[bold]b")
HOSTILE = {
    "\x1b[2J.mp3": r"\x1b[2J.mp3",
    "\x9b31m.mp3": r"\x9b31m.mp3",
    "a\rb": r"a\rb",
    "a\x07\x08b": r"a\x07\x08b",
    "\u202e3pm.wav": r"\u202e3pm.wav",
    "a\u2066b\u2028c": r"a\u2066b\u2028c",
    "\udcff.mp3": r"\udcff.mp3",
}


class Screen(io.StringIO):
    """A terminal in place of stderr, within a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "stderr", self)
        monkeypatch.setattr(console, "messages", console.PlainConsole(stderr=True))

    def isatty(self) -> bool:
        return True


@pytest.fixture
def printed(capsys):
    def run(thing: object) -> str:
        console.output.print(thing)
        return capsys.readouterr().out

    return run


def doors(text: str) -> dict[str, object]:
    """Every way by which a text comes to a console."""
    table = Table(title=text, caption=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text))
    return {"text": text, "Text": Text(text), "table": table, "panel": Panel(text, title="x")}


@pytest.mark.parametrize("name", MARKUP)
@pytest.mark.parametrize("door", doors(""))
def test_brackets_and_colons_are_text(printed, name: str, door: str) -> None:
    said = printed(doors(name)[door])
    assert said.count(name) == (5 if door == "table" else 1)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("door", doors(""))
def test_no_text_commands_a_terminal(printed, name: str, door: str) -> None:
    said = printed(doors(name)[door])
    assert not set(said) & {*map(chr, range(10)), *"\x0b\x0c\r\x1b\x9b\u202e\u2066\u2028\udcff"}


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
def test_a_message_shows_what_it_left_out(capsys, name: str, shown: str) -> None:
    console.tell(f"'{name}' cannot be used.\nReally.")
    assert capsys.readouterr().err == f"'{shown}' cannot be used.\\nReally.\n"


class TestBar:
    def test_what_is_written_to_a_file_arrives_there(self, capsys, monkeypatch) -> None:
        """Rich would print it on the terminal that shows the bar, and the file would be empty."""
        screen = Screen(monkeypatch)
        with console.progress("files") as step:
            assert step is not None
            console.write_line("a,b")
            step(1, 2, "Live [ \x1b[2J")
            console.output.print("jazz")
        assert capsys.readouterr().out == "a,b\njazz\n"
        assert "jazz" not in screen.getvalue()
        assert r"Live [ \x1b[2J" in screen.getvalue()

    def test_lines_on_the_same_terminal_stand_above_it(self, monkeypatch) -> None:
        screen = Screen(monkeypatch)
        monkeypatch.setattr(sys, "stdout", screen)
        with console.progress("files") as step:
            assert step is not None
            console.output.print("jazz")
            console.write_line("a,b")
        lines = [line.rpartition("\x1b[2K")[2] for line in screen.getvalue().splitlines()]
        assert "jazz" in lines
        assert "a,b" in lines

    def test_a_download_has_one_too(self, monkeypatch) -> None:
        screen = Screen(monkeypatch)
        with console.transfers() as step:
            assert step is not None
            step("Downloading", 1000, 2000)
            step("Verifying", 500, 0)
        assert "Downloading" in screen.getvalue()
        assert "1.0/2.0 kB" in screen.getvalue()

    def test_nobody_watches(self, capsys) -> None:
        with console.progress("files") as step, console.transfers() as bytes_done:
            assert step is bytes_done is None
        assert capsys.readouterr() == ("", "")


class TestClassify:
    """For people one line a file, whatever its name; for programs the name itself."""

    NAMES = ("Song [dQw4w9WgXcQ].wav", "a:guitar:b.wav", "a\nb.wav", "c\rd.wav", "e\x1b[2J.wav")

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        (tmp_path / "toy.onnx").write_bytes(toy_bytes())
        folder = tmp_path / "Live ["
        folder.mkdir()
        for name in self.NAMES:
            soundfile.write(folder / name, music(0, 2.0), RATE_HZ)
        (folder / "01] broken.mp3").write_bytes(b"no sound at all" * 100)
        return folder

    def test_people(self, call, folder) -> None:
        status, out, err = call("classify", folder, "--model", "toy.onnx")
        assert status == 1
        shown = sorted(line.rpartition("/")[2] for line in out.splitlines())
        assert shown == sorted(
            n.replace("\n", r"\n").replace("\r", r"\r").replace("\x1b", r"\x1b") for n in self.NAMES
        )
        assert err.startswith(f"'{folder}/01] broken.mp3' cannot be used")

    def test_programs(self, call, folder) -> None:
        paths = sorted(str(folder / name) for name in self.NAMES)
        _, out, _ = call("classify", folder, "--model", "toy.onnx", "--format", "json")
        assert sorted(json.loads(line)["path"] for line in out.split("\n")[:-1]) == paths
        _, out, _ = call("classify", folder, "--model", "toy.onnx", "--format", "csv")
        rows = csv.DictReader(io.StringIO(out, newline=""))
        assert sorted(row["path"] for row in rows) == paths
