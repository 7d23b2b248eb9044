"""The command itself: its version, its verbs, and their help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ostinato import __version__
from ostinato.cli.main import app

VERBS = [str(command.callback.__name__) for command in app.registered_commands]


def test_version(call) -> None:
    assert call("--version")[:2] == (0, f"ostinato {__version__}\n")


def test_no_arguments_show_the_verbs(call) -> None:
    status, out, err = call()
    assert "study" in out + err
    assert "fetch" in out + err
    assert status in (0, 2)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_examples(call, verb: str) -> None:
    status, out, _ = call(verb, "--help")
    assert status == 0
    assert "Examples" in out
    assert f"ostinato {verb}" in out


def test_a_verb_that_does_not_exist_has_status_2(call) -> None:
    assert call("stuty")[0] == 2


@pytest.mark.parametrize("argument", ["--out=~/x", "~/x.toml"])
def test_the_home_folder_is_expanded_where_shells_do_not(
    call, tmp_path, monkeypatch, argument
) -> None:
    seen: list[object] = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(
        "ostinato.study.run", lambda file, out, **_: seen.append(file or out) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        call("study", argument)
    assert str(seen[0]).startswith(str(tmp_path))


def test_without_a_home_a_tilde_is_one_sentence(call, monkeypatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    status, _, said = call("study", "--out=~/x")
    assert status == 2
    assert said == "ostinato: Expected a home folder for ~/x, got none; write the path in full.\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no folder without permissions")
def test_without_a_home_matplotlib_writes_among_the_temporary_files(
    call, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "")  # so that what the call sets does not stay
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", __file__ + "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    call("--version")
    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(tmp_path)
