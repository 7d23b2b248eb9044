"""The ledger of test examinations: nothing is lost, nothing counts twice, damage is told."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from ostinato import __version__
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import Fold, Split, save_split
from ostinato.errors import DataError
from ostinato.evaluation.significance import Interval
from ostinato.storage import WriteError
from ostinato.study import ledger
from ostinato.study.config import StudyConfig
from ostinato.study.ledger import (
    COLUMNS,
    ENSEMBLE,
    SHIPPED,
    SINGLE,
    Examination,
    append,
    code_version,
    count_others,
    looks,
    part_digest,
    read_ledger,
)
from ostinato.study.plan import plan_study
from tests.helpers.toy import toy_corpus

GTZAN_290 = "018f38a99dc2"  # the test part of fault-filtered and strict
PLANNED = Examination(
    when="2026-01-01T00:00:00+00:00", commit="abc1234", test_part="part", recordings=290,
    data="gtzan", split="fault-filtered", study="gtzan, first", model="lstm", recipe="r1", seeds=3,
)  # fmt: skip
ONE = PLANNED.examined(SINGLE, Interval(0.5, 0.4, 0.6), "2026-01-01T01:00:00+00:00")


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


def test_a_look_is_entered_before_its_figures_and_never_after_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    append(path, [PLANNED])
    append(path, [PLANNED])
    append(path, [ONE, replace(ONE, system=ENSEMBLE)])
    append(path, [PLANNED])
    assert [(r["when"][11:13], r["system"], r["accuracy"]) for r in read_ledger(path)] == [
        ("00", "", ""), ("01", "single", "0.500000"), ("01", "ensemble", "0.500000"),
    ]  # fmt: skip


def test_other_recipes_on_this_part_count_once_each_and_those_before_ones_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.csv"
    for hour, (recipe, part) in enumerate(
        [("a", "part"), ("b", "part"), ("c", "other"), ("r1", "part"), ("d", "part")]
    ):
        own = replace(PLANNED, recipe=recipe, test_part=part, when=f"2026-01-01T{hour:02d}:00")
        append(path, [own, own.examined(SINGLE, Interval(0.5, 0.4, 0.6), own.when)])

    def counted(recipe: str, part: str = "part") -> tuple[int, int]:
        found = count_others(path, [replace(PLANNED, recipe=recipe, test_part=part)])
        return found.other_recipes, found.earlier_recipes

    assert counted("r1") == (3, 2)
    assert counted("new") == (4, 4)  # not entered yet: all are before it
    assert counted("r1", "unseen") == (0, 0)


def test_a_look_is_at_the_test_parts_of_all_folds(tmp_path: Path) -> None:
    corpus = toy_corpus()  # two recordings an artist, ten a genre
    folds = tuple(
        Fold(**{
            part: tuple(r.id for r in corpus.recordings if int(r.id[-1]) // 2 in artists)
            for part, artists in parts.items()
        })
        for parts in (
            {"test": [0], "valid": [1], "train": [2, 3, 4]},
            {"test": [4], "valid": [3], "train": [0, 1, 2]},
        )
    )  # fmt: skip
    save_split(Split(name="two", folds=folds), tmp_path / "two.tsv")
    config = StudyConfig(models=("lstm",), seeds=1, split=str(tmp_path / "two.tsv"), coefficients=4)
    plan = plan_study(config, corpus, tmp_path / "study")
    (look,) = looks(plan.tasks, corpus, data="toy", split="two", study="study")
    assert look.recordings == 12
    seen = [i for fold in folds for i in fold.test]
    genre = {r.id: r.genre for r in corpus.recordings}
    assert look.test_part == part_digest({i: genre[i] for i in seen})


def test_looks_that_ship_count_wherever_the_test_part_of_gtzan_is_examined(tmp_path: Path) -> None:
    """A fresh clone has no ledger of its own; rows of the two are ordered by time, not by file."""
    rows = read_ledger(SHIPPED)
    recipes = {row["recipe"] for row in rows if row["test_part"] == GTZAN_290}
    assert len(recipes) > 10
    new = replace(PLANNED, test_part=GTZAN_290, recipe="new", when="2000-01-01T00:00:00+00:00")
    found = count_others(tmp_path / "none.csv", [new])
    assert (found.other_recipes, found.earlier_recipes) == (len(recipes), len(recipes))
    append(tmp_path / "own.csv", [new])
    found = count_others(tmp_path / "own.csv", [new])
    assert (found.other_recipes, found.earlier_recipes) == (len(recipes), 0)


def test_make_study_is_among_the_looks_that_ship(tmp_path: Path) -> None:
    """Its looks are those of whole tracks and of their pieces; recipes that changed would not be
    found in the ledger, and the report would call them new."""
    corpus = load_gtzan()
    planned = _looks(StudyConfig(split="fault-filtered"), tmp_path, corpus)
    assert {look.test_part for look in planned} == {GTZAN_290}
    assert {look.recordings for look in planned} == {290}
    assert {look.recipe for look in planned} <= {row["recipe"] for row in read_ledger(SHIPPED)}
    pieces = _looks(StudyConfig(split="strict", segments=10), tmp_path, corpus)
    assert {look.test_part for look in pieces} == {GTZAN_290}
    assert {look.recordings for look in pieces} == {287}  # of the 290
    drawn = _looks(StudyConfig(split="holdout"), tmp_path, corpus)
    assert not {look.test_part for look in drawn} & {GTZAN_290}
    assert not _looks(StudyConfig(split="fault-filtered", test=False), tmp_path, corpus)


def _looks(config: StudyConfig, folder: Path, corpus) -> list[Examination]:
    plan = plan_study(config, corpus, folder)
    pieces = plan.config.segments > 1
    return looks(plan.tasks, plan.corpus, data="gtzan", split="s", study="s", pieces=pieces)


def test_the_commit_is_that_of_a_checkout_and_the_version_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "src" / "ostinato" / "study" / "ledger.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    monkeypatch.setattr(ledger, "__file__", str(module))
    assert code_version() == __version__

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        call = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    assert code_version() == __version__  # no commit yet
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "--short=7", "HEAD")
    assert code_version() == commit
    (module.parent / "test-ledger.csv").write_text("rows that a study adds are no change of code")
    assert code_version() == commit
    module.write_text("a = 2\n")
    assert code_version() == f"{commit}-dirty"


def test_the_ledger_that_ships_is_sound() -> None:
    rows = read_ledger(SHIPPED)
    assert [row["when"] for row in rows] == sorted(row["when"] for row in rows)
    keys = [tuple(row[key] for key in ("test_part", "recipe", "seeds", "system")) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"([0-9a-f]{7,}(-dirty)?)?", row["commit"]) for row in rows)


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
        ("a,b\n1,2\n", "expected the columns when, commit"),
        ("", "expected the columns .* got nothing"),
        (",".join(COLUMNS) + "\n1,2\n", "line 2: expected 14 fields, got 2"),
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
