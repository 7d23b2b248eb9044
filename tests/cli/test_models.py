"""``ostinato models``: what is said of models is what their files say; the default is marked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ostinato.inference import catalogue, registry
from ostinato.inference.default_model import choose
from ostinato.inference.registry import FETCHED, WEIGHTS, shipped
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.programs import run

KEYS = {
    "name", "version", "family", "parameters", "bytes", "accuracy", "temperature", "threshold",
    "thresholds", "precision", "genres", "other", "trained_on", "licence", "kind", "problem",
    "default",
}  # fmt: skip
ACCURACY = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 2100, "protocol": "split of long standing"}
FULL = toy_info(
    family="conv-lstm-residual",
    version="7",
    licence="MIT",
    threshold=0.5,
    precision=0.8,
    accuracy=ACCURACY,
    provenance={"data": "gtzan", "split": "strict", "train": 1234, "parameters": 1_234_567},
)


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """A folder in the place of that which ships."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(registry, "WEIGHTS", folder)
    monkeypatch.setattr(catalogue, "WEIGHTS", folder)
    monkeypatch.setattr(catalogue, "FETCHED", {})
    return folder


@pytest.fixture
def few(weights, monkeypatch) -> Path:
    """Three small models that ship, and the head of musicnn."""
    for name in ("default", "lstm", "conv-lstm"):
        (weights / f"{name}.onnx").write_bytes(toy_bytes(FULL))
    shutil.copy(WEIGHTS / "musicnn-head.onnx", weights)
    monkeypatch.setattr(catalogue, "FETCHED", FETCHED)
    return weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A user's folder for data and settings, empty."""
    for folder in ("platformdirs.user_data_dir", "platformdirs.user_config_dir"):
        monkeypatch.setattr(folder, lambda *_, **__: str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def listed(call) -> list[dict[str, Any]]:
    status, out, err = call("models", "--format", "json")
    assert (status, err) == (0, "")
    return json.loads(out)


def flat(text: str) -> str:
    """A text without its line ends."""
    return " ".join(text.split())


def test_json_says_of_each_what_its_card_says(call) -> None:
    """The card's figures were written when the files were, by another way."""
    *found, _ = listed(call)
    figures = json.loads((WEIGHTS / "figures.json").read_text())["files"]
    assert [model["name"] for model in found] == list(shipped())
    assert len(found) > 1
    for model in found:
        assert set(model) == KEYS
        wanted = figures[model["name"]]
        for key in ("bytes", "temperature", "threshold", "precision", "accuracy"):
            assert model[key] == wanted[key]
        assert model["trained_on"]["recordings"] == wanted["train"]
        assert model["trained_on"]["data"] == "gtzan"
        assert len(model["genres"]) == 10


def test_null_where_a_file_does_not_say(call, weights) -> None:
    (weights / "toy.onnx").write_bytes(toy_bytes())
    (model,) = listed(call)
    assert model == {
        "name": "toy",
        "version": None,
        "family": "toy",
        "parameters": None,
        "bytes": (weights / "toy.onnx").stat().st_size,
        "accuracy": None,
        "temperature": 0.7,
        "threshold": None,
        "thresholds": [],
        "precision": None,
        "genres": ["blues", "jazz", "rock"],
        "other": None,
        "trained_on": {"data": None, "split": None, "recordings": None},
        "licence": None,
        "kind": "shipped",
        "problem": None,
        "default": False,
    }
    status, out, _ = call("models")
    assert status == 0
    assert "None" not in out
    assert "Answers at any probability" in out


def test_all_that_a_file_says(call, weights) -> None:
    (weights / "full.onnx").write_bytes(toy_bytes(FULL))
    (model,) = listed(call)
    assert (model["version"], model["licence"]) == ("7", "MIT")
    assert model["parameters"] == 1_234_567
    assert model["accuracy"] == ACCURACY
    assert model["trained_on"] == {"data": "gtzan", "split": "strict", "recordings": 1234}


@pytest.mark.parametrize("columns", [100, 200])
def test_the_table_fits_100_columns(call, weights, monkeypatch, columns) -> None:
    """Each model has a row that is not broken, though its name is long."""
    names = ("a-name-as-long-as-that", "default")
    for name in names:
        info = replace(FULL, accuracy=ACCURACY | {"protocol": "of many words, " * 20})
        (weights / f"{name}.onnx").write_bytes(toy_bytes(info))
    monkeypatch.setenv("COLUMNS", str(columns))
    status, out, err = call("models")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    for name in names:
        mark = [">"] if name == "default" else []
        rows = [line.split() for line in lines if line.split()[-7:-5] == [name, FULL.family]]
        assert rows == [
            [*mark, name, FULL.family, "1,234,567", "0.0", "MB", "50.0%", "(40.0-60.0)"],
        ]
    text = " ".join(out.split())
    assert "Trained on 1,234 recordings of gtzan, split strict." in text
    assert "from a probability of 50%, chosen on held-out recordings for 80% right answers" in text


@pytest.mark.parametrize(("part", "chosen"), [("valid", True), ("test", False)])
def test_an_accuracy_on_what_the_recipe_was_chosen_on_is_marked(
    call, weights, part: str, chosen: bool
) -> None:
    protocol = f"gtzan, split artist-folds, {part} part, 5 folds, ensemble; 95 % by artist"
    info = replace(FULL, accuracy=ACCURACY | {"protocol": protocol})
    (weights / "full.onnx").write_bytes(toy_bytes(info))
    out = " ".join(call("models")[1].split())
    assert "In brackets: 95% interval by artist." in out
    assert ("* 50.0% (40.0-60.0)" in out) == chosen
    assert ("recordings, on which the recipe was chosen: gtzan" in out) == chosen


def test_where_none_ship(call, weights) -> None:
    assert listed(call) == []


def test_a_damaged_model_is_a_line_and_the_others_are_listed(call, weights) -> None:
    (weights / "toy.onnx").write_bytes(toy_bytes()[:-20])
    (weights / "whole.onnx").write_bytes(toy_bytes(FULL))
    damaged, whole = listed(call)
    assert "toy.onnx: expected a model as an ONNX file" in damaged["problem"]
    assert (damaged["family"], damaged["genres"], damaged["accuracy"]) == (None, None, None)
    assert (whole["problem"], whole["accuracy"]) == (None, ACCURACY)
    status, out, err = call("models")
    assert (status, err) == (0, "")
    assert "toy cannot be used: " in out
    assert "Accuracy on 2,100 recordings" in out


@pytest.mark.usefixtures("few")
class TestFetched:
    def test_before_it_is_fetched_its_head_says_how_good_it_is(self, call) -> None:
        *ours, its = listed(call)
        assert all(model["kind"] == "shipped" for model in ours)
        figures = json.loads((WEIGHTS / "musicnn-head.json").read_text())["fault-filtered test"]
        assert (its["name"], its["kind"], its["bytes"]) == ("musicnn", "fetched", None)
        assert its["problem"] == "not fetched: ostinato fetch musicnn (29 MB)"
        for key in ("mean", "low", "high"):
            assert its["accuracy"][key] == figures["accuracy"][key]
        assert its["accuracy"]["n"] == figures["n"]
        assert "overlap unknown" in its["accuracy"]["protocol"]
        status, out, err = call("models")
        assert (status, err) == (0, "")
        assert "musicnn is not fetched: ostinato fetch musicnn (29 MB)\n" in out
        measured = f"{figures['accuracy']['mean']:.1%}"
        (row,) = [
            line for line in out.splitlines() if line.split()[:1] == ["musicnn"] and "%" in line
        ]
        assert f"+ {measured} (" in row
        assert "+: pretrained, overlap unknown: " in out

    def test_a_damaged_file_is_a_line(self, call, home) -> None:
        (home / "musicnn.onnx").write_bytes(b"no graph")
        *ours, its = listed(call)
        assert all(model["problem"] is None for model in ours)
        assert str(home / "musicnn.onnx") in its["problem"]
        assert its["problem"].endswith("To get it again: ostinato fetch musicnn")
        assert (its["bytes"], its["accuracy"]["n"]) == (8, 290)
        status, out, err = call("models")
        assert (status, err) == (0, "")
        assert "musicnn cannot be used: " in out
        assert "not fetched" not in out

    def test_a_device_that_is_not_there_is_not_the_fault_of_the_files(self, call, monkeypatch):
        monkeypatch.setenv("OSTINATO_DEVICE", "gpu")
        status, out, err = call("models")
        assert (status, out) == (2, "")
        assert "OSTINATO_DEVICE: expected one of" in err


@pytest.mark.usefixtures("few")
class TestDefault:
    def marked(self, call) -> list[str]:
        status, out, _ = call("models")
        assert status == 0
        rows = [line.split() for line in out.splitlines()]
        by_mark = [row[1] for row in rows if row[:1] == [">"] and "%" in "".join(row)]
        by_json = [model["name"] for model in listed(call) if model["default"]]
        assert len(by_mark) == len(by_json) == 1
        assert Path(by_json[0]).name == by_mark[0]
        return by_json

    def test_is_marked_whoever_chose_it(self, call, home, monkeypatch) -> None:
        assert self.marked(call) == ["default"]
        choose("lstm")
        assert self.marked(call) == ["lstm"]
        assert f"without --model ({home / 'settings.json'} says so)" in flat(call("models")[1])
        monkeypatch.setenv("OSTINATO_MODEL", "conv-lstm")
        assert self.marked(call) == ["conv-lstm"]
        assert "without --model (OSTINATO_MODEL says so)" in flat(call("models")[1])

    def test_a_file_of_ones_own_is_listed_while_it_is_the_default(self, call, tmp_path) -> None:
        (tmp_path / "mine.onnx").write_bytes(toy_bytes(FULL))
        choose(str(tmp_path / "mine.onnx"))
        assert self.marked(call) == [str(tmp_path / "mine.onnx")]
        mine = listed(call)[-1]
        assert (mine["kind"], mine["problem"], mine["accuracy"]) == ("file", None, ACCURACY)
        (tmp_path / "mine.onnx").unlink()
        mine = listed(call)[-1]
        assert (
            mine["problem"] == f"Cannot read the model {mine['name']}: No such file or directory."
        )
        status, out, _ = call("models")
        assert status == 0
        assert f"mine.onnx cannot be used: {mine['problem']}" in flat(out)

    def test_what_names_no_model_is_a_sentence(self, call, home, monkeypatch) -> None:
        (home / "settings.json").write_text("damaged")
        status, out, err = call("models")
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.endswith("ostinato models --use default\n")
        monkeypatch.setenv("OSTINATO_MODEL", "jazzy")
        status, out, err = call("models")
        assert (status, out) == (2, "")
        assert err.startswith("ostinato: OSTINATO_MODEL: Expected a model of ")


def test_a_wrong_call(call) -> None:
    status, out, err = call("models", "--format", "csv")
    assert (status, out) == (2, "")
    assert "--format table or json, got 'csv'" in err


def test_it_needs_nothing_of_the_learning_wing() -> None:
    program = """
import sys
for name in ("torch", "onnx", "sklearn", "matplotlib", "safetensors"):
    sys.modules[name] = None
from ostinato.cli.main import main
main(["models", "--format", "json"])
"""
    names = [model["name"] for model in json.loads(run(program))]
    assert names == [*shipped(), "musicnn"]
