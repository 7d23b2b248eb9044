"""Which models a server offers."""

from __future__ import annotations

import pytest

from ostinato.errors import UsageError
from ostinato.inference.registry import shipped
from ostinato.server.served import Served, served
from tests.helpers.graphs import toy_bytes


def test_by_default_all_that_there_are_the_default_first(data_home, monkeypatch) -> None:
    assert [model.name for model in served(None)] == list(shipped())
    (data_home / "models").mkdir(parents=True, exist_ok=True)
    (data_home / "models" / "crates.onnx").write_bytes(b"damaged")
    (data_home / "musicnn.onnx").write_bytes(b"an ear")
    monkeypatch.setenv("OSTINATO_MODEL", "lstm")
    models = served(None)
    assert models[0] == Served("lstm", "lstm", must_load=True)
    assert {model.name for model in models} == {*shipped(), "musicnn", "crates"}
    assert len(models) == len(shipped()) + 2
    assert not any(model.must_load for model in models[1:])


def test_models_that_are_asked_for(tmp_path) -> None:
    (tmp_path / "mine.onnx").write_bytes(toy_bytes())
    path = str(tmp_path / "mine.onnx")
    assert served([path, "default"]) == (Served("mine", path), Served("default", "default"))


def test_an_unknown_model_and_one_name_twice_are_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"Expected a model of .*got 'lsmt'; did you mean"):
        served(["lsmt"])
    with pytest.raises(UsageError, match=r"different names \(--model\), got 'lstm' twice"):
        served(["lstm", str(tmp_path / "lstm.onnx")])
