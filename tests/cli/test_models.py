"""``ostinato models``: what is said of the models that ship is what their files say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ostinato
from ostinato.inference import registry
from ostinato.inference.registry import shipped
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.programs import run

KEYS = {
    "name", "version", "family", "parameters", "bytes", "accuracy", "temperature", "threshold",
    "precision", "genres", "trained_on", "licence",
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
    return folder


def listed(call) -> list[dict[str, Any]]:
    status, out, err = call("models", "--format", "json")
    assert (status, err) == (0, "")
    return json.loads(out)


def test_json_says_of_each_what_its_card_says(call) -> None:
    """The card's figures were written when the files were, by another way."""
    found = listed(call)
    card = Path(ostinato.__file__).parent / "weights" / "figures.json"
    figures = json.loads(card.read_text())["files"]
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
        "precision": None,
        "genres": ["blues", "jazz", "rock"],
        "trained_on": {"data": None, "split": None, "recordings": None},
        "licence": None,
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
        rows = [line.split() for line in lines if line.split()[:2] == [name, FULL.family]]
        assert rows == [
            [name, FULL.family, "1,234,567", "0.0", "MB", "50.0%", "(40.0-60.0)"],
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
    assert ("50.0% (40.0-60.0) *" in out) == chosen
    assert ("recordings, on which the recipe was chosen: gtzan" in out) == chosen


def test_where_none_ship(call, weights) -> None:
    assert listed(call) == []


def test_a_damaged_model_is_named(call, weights) -> None:
    (weights / "toy.onnx").write_bytes(toy_bytes()[:-20])
    status, out, err = call("models")
    assert (status, out) == (1, "")
    assert "toy.onnx" in err
    assert err.count("\n") == 1


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
    assert [model["name"] for model in json.loads(run(program))] == list(shipped())
