"""Every command of README runs, on made sounds and with short trainings."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

import ostinato
from ostinato.errors import OstinatoError
from ostinato.study import entry
from ostinato.study.config import load_config
from tests.helpers.sounds import RATE_HZ, music, write_tune

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "README.md").read_text("utf-8")
SHOWN = re.sub(r"<!-- figures.*?<!-- end -->", "", TEXT, flags=re.DOTALL)
LINES = "".join(re.findall(r"^```\n(.*?)^```", SHOWN, re.MULTILINE | re.DOTALL)).splitlines()
INLINE = re.findall(r"`((?:ostinato|make|pip) [^`]+)`", " ".join(TEXT.split()))
COMMANDS = [line.partition("#")[0].strip() for line in LINES] + INLINE

#: What others need: a finished study, and a model of one's own.
FIRST = ("ostinato study studies/gtzan.toml --out runs/gtzan", "ostinato train ~/music/my-genres")
#: Where a long call ends: all that was given has been read, and its data are loaded.
HEAVY = (
    "server.entry.run", "study.entry.run_study", "study.entry.run_sweep", "study.export.export_run",
)  # fmt: skip
OURS = sorted({c for c in COMMANDS if "ostinato " in c}, key=lambda c: c not in FIRST)


class SeenError(OstinatoError):
    """Ends a call that would take long."""


def quick(path: Path) -> Any:
    """Settings of a study, with a training as short as can be."""
    config = load_config(path)
    training = replace(config.training, epochs=1, averaging=0.0)
    return replace(config, models=("lstm", "residual-lstm"), seeds=1, training=training)


@pytest.fixture
def home(tmp_path, monkeypatch, data_home) -> Path:
    """A home with songs, a collection of own genres, and what a checkout has."""
    for part in ("my-genres", "others"):
        for kind, genre in enumerate(("dinner", "gym")):
            for i in range(4):
                file = tmp_path / "music" / part / genre / f"{i}.flac"
                write_tune(file, kind, i + 10 * (part == "others"), artist=f"{part} {i}")
    soundfile.write(tmp_path / "song.mp3", music(0, 30.0), RATE_HZ)
    soundfile.write(tmp_path / "piped.wav", music(0, 12.0), RATE_HZ)
    soundfile.write(tmp_path / "medley.flac", music(1, 70.0), RATE_HZ)
    shutil.copytree(REPOSITORY / "studies", tmp_path / "studies")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    monkeypatch.setattr(entry, "load_config", quick)
    return tmp_path


def test_every_command_of_ours(call, home, monkeypatch) -> None:
    def seen(*_: Any, **__: Any) -> None:
        raise SeenError("seen")

    for command in OURS:
        words = shlex.split(command.rpartition("| ")[2])[1:]
        ends_early = words[0] in ("serve", "study", "export") and command not in FIRST
        if command in FIRST:
            words += ["--jobs", "1"]  # processes of their own would take longer to start
        with monkeypatch.context() as patch, (home / "piped.wav").open("rb") as piped:
            for heavy in HEAVY if ends_early else ():
                patch.setattr(f"ostinato.{heavy}", seen)
            if words[0] == "listen":
                patch.setattr("sys.stdin", io.TextIOWrapper(piped))
            status, out, said = call(*words)
        expected = (1, "ostinato: seen") if ends_early else (0, said.strip().rpartition("\n")[2])
        assert (status, said.strip().rpartition("\n")[2]) == expected, f"{command}\n{out}{said}"
        if command == FIRST[0]:
            shutil.copytree("runs/gtzan", "runs/mine")
    assert Path("medley.png").is_file()


def test_every_other_command_names_what_there_is() -> None:
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    others = [shlex.split(c) for c in COMMANDS if c not in OURS]
    assert {words[0] for words in others} == {"make", "pip"}
    for program, *words in others:
        if program == "make":
            assert set(words) <= set(targets)
        elif words[1].startswith("."):
            extras = set(re.findall(r"\w+", words[1]))
            assert extras <= set(project["optional-dependencies"])


def test_its_python_runs(home, monkeypatch) -> None:
    monkeypatch.chdir(home)
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("ostinato.classify", "verdict = ostinato.classify"), names)
    assert names["verdict"].ranked[0][0] in ostinato.Classifier.load("default").info.genres


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 120
