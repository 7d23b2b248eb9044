"""What classify and fetch tell of the larger model: when, how often, and that it is true."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from ostinato.cli import larger_model
from ostinato.inference import catalogue, musicnn_wheel, registry
from ostinato.inference.catalogue import accuracy
from ostinato.inference.default_model import choose
from ostinato.inference.registry import WEIGHTS
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, music

ACCURACY = {"mean": 0.604, "low": 0.5, "high": 0.7, "n": 290, "protocol": "the same tracks"}
LINE = "Named right: default 60%, musicnn 78% (overlap unknown): ostinato fetch musicnn\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A user's folders; the models that ship are small ones."""
    for folder in ("data", "config", "cache"):
        monkeypatch.setattr(
            f"platformdirs.user_{folder}_dir", lambda *_, f=folder, **__: str(tmp_path / f)
        )
    weights = tmp_path / "weights"
    weights.mkdir()
    shutil.copy(WEIGHTS / "musicnn-head.onnx", weights)
    info = toy_info(accuracy=ACCURACY)
    for name in ("default", "default-filtered"):
        (weights / f"{name}.onnx").write_bytes(toy_bytes(info))
    for module in (registry, catalogue):
        monkeypatch.setattr(module, "WEIGHTS", weights)
    return tmp_path


@pytest.fixture
def song(tmp_path) -> Path:
    soundfile.write(tmp_path / "song.wav", music(0, 2), RATE_HZ)
    return tmp_path / "song.wav"


def terminals(monkeypatch, *, stdout: bool = True, stderr: bool = True) -> None:
    streams = {
        name: SimpleNamespace(isatty=lambda is_one=is_one: is_one)
        for name, is_one in (("stdout", stdout), ("stderr", stderr))
    }
    monkeypatch.setattr(larger_model, "sys", SimpleNamespace(**streams))


def test_a_terminal_is_told_once_a_day(call, song, home, monkeypatch) -> None:
    terminals(monkeypatch)
    for expected in (LINE, ""):
        status, out, err = call("classify", song)
        assert (status, err) == (0, expected)
        assert out.endswith("song.wav\n")
    stamp = home / "cache" / "told-of-musicnn"
    for age_s, expected in ((23 * 3600, ""), (25 * 3600, LINE), (-48 * 3600, LINE)):
        now = stamp.stat().st_mtime
        os.utime(stamp, (now - age_s, now - age_s))
        monkeypatch.setattr(larger_model.time, "time", lambda now=now: now)
        assert call("classify", song)[2] == expected


def test_it_is_the_last_line_also_where_files_are_broken(call, song, home, monkeypatch) -> None:
    terminals(monkeypatch)
    (home / "broken.mp3").write_bytes(b"no sound")
    status, _, err = call("classify", song, "broken.mp3")
    assert status == 1
    assert err.endswith(LINE)
    assert err.count("\n") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("song.wav", "--format", "json"),
        ("song.wav", "--format", "csv"),
        ("song.wav", "--model", "default"),
        ("broken.mp3",),
    ],
)
def test_programs_and_people_who_chose_are_not_told(
    call, song, home, monkeypatch, arguments
) -> None:
    """Nor who got no verdict."""
    terminals(monkeypatch)
    (home / "broken.mp3").write_bytes(b"no sound")
    assert "Named right" not in call("classify", *arguments)[2]
    assert not (home / "cache").exists()


@pytest.mark.parametrize("piped", ["stdout", "stderr"])
def test_a_pipe_is_not_told(call, song, home, monkeypatch, piped: str) -> None:
    terminals(monkeypatch, **{piped: False})
    assert call("classify", song)[2] == ""
    assert not (home / "cache").exists()


def test_whoever_has_it_or_chose_a_default_is_not_told(call, song, home, monkeypatch) -> None:
    terminals(monkeypatch)
    choose(str(home / "weights" / "default.onnx"))
    assert call("classify", song)[2] == ""
    choose("default")
    monkeypatch.setenv("OSTINATO_MODEL", "default")
    assert call("classify", song)[2] == ""
    monkeypatch.delenv("OSTINATO_MODEL")
    (home / "data").mkdir()
    (home / "data" / "musicnn.onnx").touch()
    assert call("classify", song)[2] == ""


@pytest.mark.parametrize("folder", ["cache", "data"])
def test_without_a_place_to_note_it_there_is_no_line(
    call, song, home, monkeypatch, folder: str
) -> None:
    terminals(monkeypatch)
    monkeypatch.setattr(f"platformdirs.user_{folder}_dir", lambda *_, **__: "~/x")  # no home
    status, _, err = call("classify", song)
    assert (status, err) == (0, "")


def test_a_stamp_that_cannot_be_written_is_no_error(call, song, home, monkeypatch) -> None:
    terminals(monkeypatch)
    (home / "cache" / "told-of-musicnn").mkdir(parents=True)
    status, _, err = call("classify", song)
    assert (status, err) == (0, "")


def test_a_file_of_weights_that_is_missing_is_no_error(call, song, home, monkeypatch) -> None:
    terminals(monkeypatch)
    (home / "weights" / "musicnn-head.onnx").unlink()
    status, _, err = call("classify", song)
    assert (status, err) == (0, "")


def test_fetch_says_how_to_use_it_and_how_good_it_is(call, home, monkeypatch) -> None:
    made = home / "data" / "musicnn.onnx"
    monkeypatch.setattr(musicnn_wheel, "fetch_musicnn", lambda **options: made)
    status, out, err = call("fetch", "musicnn")
    assert (status, out) == (0, f"{made}\n")
    assert err == (
        "To use it from now on: ostinato models --use musicnn. It named 77.6% of 290 test tracks "
        "right (pretrained, overlap unknown), default's recipe 60.4%.\n"
    )
    assert call("fetch", "musicnn", "--to", "elsewhere")[2] == ""  # where its name is not enough


def test_both_figures_are_of_the_same_tracks(monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "WEIGHTS", WEIGHTS)
    found = [accuracy(name) for name in larger_model.JUDGED]
    assert {one["n"] for one in found} == {290}
    assert all("split fault-filtered, test part" in one["protocol"] for one in found)
    assert ["overlap unknown" in one["protocol"] for one in found] == [False, True]
