"""The command itself: its version, its verbs, and their help."""

from __future__ import annotations

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
