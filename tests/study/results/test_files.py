"""results.json and run.json: written and read without loss, and refused in one sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ostinato.errors import DataError, UsageError
from ostinato.study.results import (
    RunRecord,
    StudyResults,
    parse_results,
    plain,
    read_results,
    read_run,
    write_results,
    write_run,
)
from ostinato.study.results.model_schema import LastEpoch, Run
from tests.helpers.fake_results import fake_results, typed

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("test", [True, False])
def test_what_is_written_is_read_back_value_by_value(tmp_path: Path, test: bool) -> None:
    """Absent keys stay absent, null stays null, whole numbers stay whole."""
    values = fake_results(n_models=2, n_seeds=1, n_epochs=2, test=test)
    results = typed(values)
    write_results(results, tmp_path)
    text = (tmp_path / "results.json").read_text()
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(values, sort_keys=True)
    assert read_results(tmp_path) == results
    assert ("ledger" in text, "test_accuracy" in text) == (False, test)


def test_a_run_is_read_back(tmp_path: Path) -> None:
    record = RunRecord(
        recipe="r", seed=0, fold=1, epochs=2, seconds=1.5, finished="2026-01-01T00:00:00+00:00",
        curves={"epoch": [1, 2], "valid_loss": [None, 0.5]}, parts={}, gap=0.25,
        last_epoch=LastEpoch(train_accuracy=0.5, valid_accuracy=0.25, gap=0.25),
        ostinato="0.1.0", family="lstm", parameters=7,
    )  # fmt: skip
    write_run(record, tmp_path)
    assert read_run(tmp_path) == record
    assert "weak_genres" not in (tmp_path / "run.json").read_text()
    assert {f.name for f in fields(Run)} < {f.name for f in fields(RunRecord)}


@pytest.mark.parametrize(
    "text", ["{}", "[]", "3", '{"schema": 2, "models": {"lstm": {}}}', '{"schema": 1}']
)
def test_another_schema_or_another_file_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="expected results of schema 1 with at least one model"):
        parse_results(text)


@pytest.mark.parametrize("text", ["", "{", "\0"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=r"results\.json is damaged") as caught:
        read_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_older_file_is_told_what_it_lacks_and_what_to_do() -> None:
    values = fake_results(n_models=2, n_seeds=1, n_epochs=2)
    del values["comparisons"][0]["p_holm"]
    with pytest.raises(DataError, match=r"comparisons\.0\.p_holm: .*run the study again") as caught:
        typed(values)
    assert "\n" not in str(caught.value)


def test_a_value_of_another_type_is_named() -> None:
    values = fake_results(n_models=1, n_seeds=1, n_epochs=2)
    values["models"]["lstm"]["gap"]["mean"] = "0.3"
    with pytest.raises(DataError, match=r"models\.lstm\.gap\.mean: .*valid number"):
        typed(values)


def test_another_schema_is_told_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(DataError) as caught:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(caught.value)


def test_a_folder_without_results_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"Expected a finished study in .*got none: it has no results\.json\."
    ):
        read_results(tmp_path)
    with pytest.raises(UsageError, match=r"in nosuch, got none: there is no such folder\."):
        read_results(Path("nosuch"))


def test_reading_results_needs_no_torch() -> None:
    code = (
        "import sys, ostinato.study.results\n"
        "print(sorted({'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- the document


def dataclasses_of(kind: Any) -> dict[str, type]:
    """Every dataclass that a value of this kind may hold, by name."""
    if is_dataclass(kind):
        found = {kind.__name__: kind}
        for hint in get_type_hints(kind).values():
            found |= dataclasses_of(hint)
        return found
    return {name: k for argument in get_args(kind) for name, k in dataclasses_of(argument).items()}


def documented() -> dict[str, set[str]]:
    """The keys in the list below each heading ``### Name`` of the document."""
    text = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    lists: dict[str, set[str]] = {}
    for section in text.split("\n### ")[1:]:
        name, *lines = section.split("\n## ")[0].splitlines()
        keys = [line.split(": ")[0] for line in lines if line.startswith("- `")]
        lists[name] = {key for line in keys for key in re.findall(r"`(\w+)`", line)}
    return lists


def test_every_field_is_documented_and_every_documented_key_is_a_field() -> None:
    classes = dataclasses_of(StudyResults) | dataclasses_of(RunRecord)
    assert len(classes) > 25
    lists = documented()
    assert set(lists) == set(classes)
    for name, kind in classes.items():
        assert lists[name] == {f.name for f in fields(kind)}, name


def test_plain_leaves_out_only_what_is_absent_by_default() -> None:
    values = plain(typed(fake_results(n_models=1, n_seeds=1, test=False, n_epochs=2)))
    model = values["models"]["lstm"]
    assert "test_accuracy" not in model
    assert "gradient_norms" not in model
    assert model["confidence"] is None
