"""``ostinato search``: what a person sees, and the exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ostinato.study import entry
from ostinato.study.config import load_config
from ostinato.study.search import trial
from tests.helpers.searching import execute, written
from tests.helpers.toy import toy_corpus

CORPUS = toy_corpus(n_frames=26)


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(entry, "load_data", lambda config, **_: CORPUS)
    monkeypatch.setattr(trial, "execute", execute)


def test_it_prints_the_winner_and_where_it_is(call, tmp_path) -> None:
    status, out, err = call("search", written(tmp_path), "--trials", "3", "--jobs", "1")
    assert (status, err) == (0, "")
    winner = Path(out.partition("Winner: ")[2].split()[0])
    assert winner.parent.name.startswith("search-toy-")
    config = load_config(tmp_path / winner)
    assert config.chosen_from == 3
    assert out.startswith("3 trials.\nThe best is ")
    assert f"  training.learning_rate = {config.training.learning_rate}\n" in out
    assert "The best of many looks better than it is" in out


def test_ctrl_c_says_how_to_go_on(call, tmp_path, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "execute", interrupted)
    arguments = ("search", written(tmp_path), "--trials", "3", "--jobs", "1", "--out", "here")
    status, out, err = call(*arguments)
    assert (status, out) == (130, "")
    assert err == ("Interrupted. What is finished is kept in here; run the same again to resume.\n")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["none.toml", "--trials", "3"], 2, "Cannot read the study none.toml"),
        (["study.toml", "--trials", "0"], 2, "greater than or equal to 1"),
        (["study.toml"], 2, "--trials"),
        (["study.toml", "--trials", "3", "--out", "study.toml"], 1, "Cannot write"),
    ],
)
def test_a_wrong_call_is_one_sentence(call, tmp_path, arguments, status, sentence) -> None:
    written(tmp_path)
    got, out, err = call("search", *arguments)
    assert (got, out) == (status, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_missing_extra_is_the_pip_line(call, tmp_path, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ostinato.study.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, _, err = call("search", written(tmp_path), "--trials", "3")
    assert status == 1
    assert 'pip install "ostinato[search]"' in err
    assert err.count("\n") == 1
