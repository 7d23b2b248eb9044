"""The terminal's table fits 80 columns and every encoding."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ostinato.study.report import headline, print_summary, summary_table
from ostinato.study.report.words import percent
from tests.helpers.fake_results import fake_results, typed
from tests.study.report.conftest import STUDIES


def printed(results: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(typed(results), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("kind", STUDIES)
def test_every_model_has_one_line_of_80_columns(kind: str) -> None:
    results = fake_results(**STUDIES[kind])
    lines = printed(results).splitlines()
    assert max(map(len, lines)) <= 80
    part = "test" if "test_accuracy" in results["models"]["lstm"] else "valid"
    for model in results["models"].values():
        rows = [line for line in lines if line.split()[:1] == [model["label"]] and "(" in line]
        found = model[f"{part}_accuracy"]
        interval = f"({100 * found['low']:.1f}-{100 * found['high']:.1f})"
        assert any(
            percent(found["mean"]) in row and interval in row and f"{model['parameters']:,}" in row
            for row in rows
        ), "\n".join(lines)


def test_millions_of_parameters_fit(results: dict[str, Any]) -> None:
    for model in results["models"].values():
        model["parameters"] = 12_345_678
        model["seconds"] = 1234.5
    text = printed(results)
    assert text.count("12,345,678") == 3
    assert max(map(len, text.splitlines())) <= 80


def test_the_main_findings_stand_below_the_table(results: dict[str, Any]) -> None:
    text = " ".join(printed(results).split())
    assert headline(typed(results)) in text
    assert "has the smallest gap" in text
    assert "Lowest F1" in text


def test_the_winner_of_a_search_is_told(results: dict[str, Any]) -> None:
    results["config"]["chosen_from"] = 40
    assert "A search chose these settings from 40 trials" in " ".join(printed(results).split())


def test_the_trainings_of_an_only_model_are_judged_as_one_as_well() -> None:
    results = fake_results(n_models=1, n_seeds=3)
    (model,) = results["models"].values()
    model["ensemble"]["test"] = {"accuracy": 0.612, "low": 0.5, "high": 0.7}
    text = " ".join(printed(results).split())
    assert "The mean of its 3 trainings' probabilities" in text
    assert "gets 61.2% (50.0-70.0) right" in text
    assert "trainings' probabilities" not in printed(fake_results(n_models=1, n_seeds=1))


def test_validation_figures_are_said_to_be_no_result() -> None:
    text = printed(fake_results(test=False))
    assert "Validation figures: for choosing, not a result." in text
    assert "Test" not in text


def test_few_recordings_are_said_to_be_few(eleven: dict[str, Any]) -> None:
    text = " ".join(printed(eleven).split())
    assert "Few recordings. The test part has 11 recordings" in text
    assert "Intervals by artist are rough here" in text
    assert "21.3 to 72.0% (Wilson)" in text
    assert "more than" not in text
    assert not any(row.style for row in summary_table(typed(eleven)).rows), "no best model"
    assert "Few recordings" not in printed(fake_results())


def test_other_looks_at_the_test_part_are_counted(results: dict[str, Any]) -> None:
    assert "Not the only look" not in printed(results)
    entry = {"file": "test-ledger.csv", "test_part": "a", "other_recipes": 0, "earlier_recipes": 0}
    assert "Not the only look" not in printed(results | {"ledger": entry})
    text = " ".join(printed(results | {"ledger": entry | {"other_recipes": 9}}).split())
    assert "9 other recipes examined on it so far, none of them before these" in text
    entry |= {"other_recipes": 9, "earlier_recipes": 4}
    assert "4 of them before these" in " ".join(printed(results | {"ledger": entry}).split())


def test_labels_are_not_markup(results: dict[str, Any]) -> None:
    results["title"] = "[red]title[/red]"
    results["models"]["lstm"]["label"] = "[b]"
    text = printed(results)
    assert "[red]title[/red]" in text
    assert "[b]" in text


def test_a_terminal_without_utf8_shows_it(results: dict[str, Any]) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(typed(results), Console(file=file, width=80))
    file.flush()
    assert b"ResLSTM" in raw.getvalue()
