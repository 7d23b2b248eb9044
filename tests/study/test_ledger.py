"""The ledger of test examinations: nothing is lost, nothing counts twice, damage is told."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from ostinato.errors import DataError
from ostinato.storage import WriteError
from ostinato.study.ledger import (
    COLUMNS,
    Examination,
    append,
    earlier_recipes,
    part_digest,
    read_ledger,
)

ONE = Examination(
    when="2026-01-01T00:00:00+00:00", test_part="part", recordings=290, data="gtzan",
    split="fault-filtered", study="gtzan, first", model="lstm", recipe="r1", seeds=3,
    accuracy=0.5, low=0.4, high=0.6,
)  # fmt: skip


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "test-ledger.csv"
    assert read_ledger(path) == []
    append(path, [ONE])
    (row,) = read_ledger(path)
    assert tuple(row) == COLUMNS
    assert row["study"] == "gtzan, first"
    assert float(row["accuracy"]) == 0.5


def test_the_same_examination_is_entered_once_and_another_is_added(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    append(path, [ONE])
    append(path, [ONE, replace(ONE, recipe="r2")])
    append(path, [replace(ONE, seeds=5)])
    assert [(r["recipe"], r["seeds"]) for r in read_ledger(path)] == [
        ("r1", "3"), ("r2", "3"), ("r1", "5"),
    ]  # fmt: skip


def test_only_other_recipes_before_ones_own_count_and_only_on_this_part(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    for recipe, part in (
        ("a", "part"),
        ("b", "part"),
        ("c", "other"),
        ("r1", "part"),
        ("d", "part"),
    ):
        append(path, [replace(ONE, recipe=recipe, test_part=part)])
    rows = read_ledger(path)
    assert earlier_recipes(rows, "part", {"r1"}) == 2
    assert earlier_recipes(rows, "part", {"new"}) == 4
    assert earlier_recipes(rows, "unseen", {"r1"}) == 0


def _append_many(path: Path, name: str) -> None:
    for k in range(25):
        append(path, [replace(ONE, recipe=f"{name}{k}")])


def test_two_studies_that_write_at_once_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    append(path, [ONE])
    context = get_context("spawn")
    workers = [context.Process(target=_append_many, args=(path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read_ledger(path)) == 51


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "expected the columns when, test_part"),
        ("", "expected the columns .* got nothing"),
        (",".join(COLUMNS) + "\n1,2\n", "line 2: expected 12 fields, got 2"),
    ],
)
def test_a_damaged_ledger_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "ledger.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_ledger(path)
    with pytest.raises(DataError, match=said):
        append(path, [ONE])
    assert path.read_text() == text


def test_what_cannot_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_ledger(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_ledger(tmp_path / "bytes.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises((WriteError, DataError)):
        append(tmp_path / "file" / "ledger.csv", [ONE])


def test_a_part_is_known_by_its_recordings_and_genres_in_any_order() -> None:
    part = part_digest({"a": "blues", "b": "rock"})
    assert part == part_digest({"b": "rock", "a": "blues"})
    assert part != part_digest({"a": "blues", "b": "pop"})
    assert part != part_digest({"a": "blues"})
