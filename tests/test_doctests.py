"""Examples of the public API's docstrings run as they stand."""

from __future__ import annotations

import doctest
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.helpers.sounds import RATE_HZ, music, tune, write_tune

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from public_api import API

NAMES = [name for names in API.values() for name in names]
WITHOUT = {"ostinato.UsageError", "ostinato.DataError", "ostinato.MissingExtraError"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples hear: a song, a sound of no genre, and a small collection."""
    folder = tmp_path_factory.mktemp("examples")
    soundfile.write(folder / "song.mp3", tune(1, 0, seconds=30.0), RATE_HZ, format="MP3")
    soundfile.write(folder / "mix.flac", music(0), RATE_HZ)
    for kind, genre in enumerate(("ballad", "march", "reel")):
        for seed in range(4):
            write_tune(folder / "music" / genre / f"{seed}.flac", kind, seed)
    (folder / "music" / "notes.txt").touch()
    return folder


def found(name: str) -> Any:
    pytest.importorskip("torch")  # here, not above: `make check` would wait for it
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_names_that_are_promised_show_how_they_are_used() -> None:
    assert {name for name in NAMES if ">>> " not in found(name).__doc__} == WITHOUT


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder(recurse=True).find(found(name), name, globs={}):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
    assert bool(runner.tries) is (name not in WITHOUT)
