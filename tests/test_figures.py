"""Figures of the documentation: each is what its result file says, beside its command."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ostinato.evaluation.significance import Interval
from ostinato.study.report import print_summary
from ostinato.study.report.table import sweep_markdown, sweep_notes
from ostinato.study.results import to_json
from ostinato.study.results.tables import SweepRow, SweepTable
from tests.helpers.fake_results import fake_results, typed

REPOSITORY = Path(__file__).parents[1]


sys.path.insert(0, str(REPOSITORY / "scripts"))

import figure_views as views  # noqa: E402
import fill_figures as figures  # noqa: E402

PAGES = {str(page.relative_to(REPOSITORY)): page.read_text("utf-8") for page in figures.pages()}
BLOCKS = [(page, block) for page, text in PAGES.items() for block in figures.blocks(text)]
FROM_FILES = [(page, block) for page, block in BLOCKS if block.name != "code"]


class TestPages:
    def test_pages_and_blocks_were_found(self) -> None:
        assert {"README.md", "docs/research/accuracy.md"} <= set(PAGES)
        assert {page for page, block in FROM_FILES if block.what == "gtzan terminal"}

    @pytest.mark.parametrize(("page", "block"), FROM_FILES, ids=lambda at: getattr(at, "what", at))
    def test_a_block_is_what_its_file_says(self, page: str, block: Any) -> None:
        assert block.body == block.due(), f"{page}: python scripts/fill_figures.py fills it"

    def test_what_code_counts_is_what_it_counts(self) -> None:
        counted = [(page, block) for page, block in BLOCKS if block.name == "code"]
        assert counted
        assert not [(page, b.what) for page, b in counted if b.body != b.due()]

    @pytest.mark.parametrize("page", PAGES)
    def test_no_table_of_figures_stands_outside_a_block(self, page: str) -> None:
        assert not figures.strays(PAGES[page])

    @pytest.mark.parametrize("page", PAGES)
    def test_the_command_stands_beside_the_figures(self, page: str) -> None:
        text = " ".join(PAGES[page].split())
        names = {block.name for at, block in FROM_FILES if at == page}
        commands = {
            record["command"] for record in map(views.read_record, names) if "command" in record
        }
        assert not [command for command in commands if command not in text]

    def test_result_files_are_small_in_use_and_of_one_commit(self) -> None:
        kept = sorted((REPOSITORY / views.RECORDS).iterdir())
        assert kept
        assert not [file for file in kept if file.stat().st_size > 100_000]
        assert {file.stem for file in kept} <= {block.name for _, block in FROM_FILES}
        commits = {file.stem: views.read_record(file.stem)["commit"] for file in kept}
        assert not [name for name, commit in commits.items() if commit.endswith("-dirty")]


@pytest.fixture(scope="module")
def made_up() -> dict[str, Any]:
    """A made-up study's ``results.json``."""
    return fake_results()


@pytest.fixture
def root(tmp_path: Path, made_up: dict[str, Any]) -> Path:
    """A repository with one result file, made of that study."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps(made_up))
    record = figures.keep(tmp_path / "run", "ostinato study")
    folder = tmp_path / views.RECORDS
    folder.mkdir(parents=True)
    (folder / "made-up.json").write_text(json.dumps(record))
    return tmp_path


def row(variant: str) -> SweepRow:
    """A row of a study with variants."""
    accuracy, gap = Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4)
    return SweepRow(
        variant=variant, at=None, model="lstm", label="LSTM", parameters=7, split="artist-folds",
        leaks=False, part="valid", n=100, n_train=80, train_recordings=80, train_artists=9,
        shared_artists=0.0, shared_recordings=0.0, seeds=3, accuracy=accuracy, train_accuracy=0.8,
        gap=gap, seconds=1.0, gradient_norms=None, recall={"blues": 0.5}, difference=None,
    )  # fmt: skip


def block(what: str, body: str = "\nold\n") -> str:
    return f"Before.\n<!-- figures: {what} -->{body}<!-- end -->\nAfter.\n"


class TestBlocks:
    def test_the_terminals_block_is_what_a_study_prints(
        self, root: Path, made_up: dict[str, Any]
    ) -> None:
        console = Console(file=io.StringIO(), width=90)
        print_summary(typed(made_up), console, times=False)
        printed = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
        lines = figures.filled(block("made-up terminal"), root).splitlines()
        assert lines[0] == "Before."
        assert lines[-1] == "After."
        assert [line for line in lines[3:-3] if line] == [line for line in printed if line]

    def test_filling_twice_changes_nothing(self, root: Path) -> None:
        once = figures.filled(block("made-up models"), root)
        assert "old" not in once
        assert figures.filled(once, root) == once

    def test_every_figure_of_the_file_is_seen(self, root: Path) -> None:
        """A changed accuracy, interval or count makes a page that was filled stale."""
        path = root / views.RECORDS / "made-up.json"
        text = figures.filled(block("made-up models") + block("made-up genres lstm"), root)
        for change in (
            lambda m: m["test_accuracy"].update(mean=0.123),
            lambda m: m["test_accuracy"].update(high=0.987),
            lambda m: m["gap"].update(low=-0.123),
            lambda m: m["per_genre"]["test"]["blues"].update(recall=0.123),
            lambda m: m.update(parameters=7),
        ):
            record = json.loads(path.read_text())
            change(record["results"]["models"]["lstm"])
            changed = root / views.RECORDS / "changed.json"
            changed.write_text(json.dumps(record))
            again = text.replace("made-up", "changed")
            assert figures.filled(again, root) != again

    def test_a_figure_within_a_line_stays_there(self, root: Path, made_up: dict[str, Any]) -> None:
        model = made_up["models"]["lstm"]
        path = "results.models.lstm.test_accuracy.mean percent"
        text = figures.filled(block(f"made-up value {path}", "0"), root)
        assert f"-->{100 * model['test_accuracy']['mean']:.1f} %<!-- end -->" in text

    def test_a_genre_of_few_artists_is_marked(self, root: Path) -> None:
        path = root / views.RECORDS / "made-up.json"
        record = json.loads(path.read_text())
        own = record["results"]["models"]["lstm"]["per_genre"]["test"]
        own["blues"] |= {"artists": 4, "recall": 1.0}
        own["blues"]["intervals"]["recall"] = [1.0, 1.0]
        own["rock"]["artists"] = 12
        path.write_text(json.dumps(record))
        rows = views.render("made-up genres lstm", root).splitlines()
        (blues,) = [row for row in rows if row.startswith("| blues ")]
        (rock,) = [row for row in rows if row.startswith("| rock ")]
        assert "4 (fewer than 10)" in blues
        assert "100 (no interval: 4 artists)" in blues
        assert "| 12 |" in rock

    def test_a_study_with_variants_is_its_table_and_notes(self, tmp_path: Path) -> None:
        table = SweepTable(
            schema=1, title="Leaks", axis=None, base=None, rows=[row("a"), row("b")], waiting=["c"]
        )
        (tmp_path / "table.json").write_text(to_json(table))
        folder = tmp_path / views.RECORDS
        folder.mkdir(parents=True)
        (folder / "leaks.json").write_text(json.dumps(figures.keep(tmp_path, "ostinato study")))
        text = views.render("leaks sweep", tmp_path)
        lines = text.splitlines()
        assert lines[:4] == sweep_markdown(table).splitlines()[2:6]
        assert max(map(len, lines)) <= 120
        assert " ".join(text.split()).endswith(" ".join(" ".join(sweep_notes(table)).split()))
        assert "50.0% (40.0-60.0)" in views.render("leaks terminal", tmp_path)

    def test_a_look_at_a_test_part_is_one_row(self, tmp_path: Path) -> None:
        head = "when,commit,split,study,model,seeds,system,accuracy"
        look = "2026-11-25T14:16:57+00:00,0123456,strict,mine,lstm,3"
        (tmp_path / "ledger.csv").write_text(
            f"{head}\n{look},single,0.602759\n{look},ensemble,0.6\n"
            "2026-11-26T00:00:00+00:00,0123456,strict,begun,lstm,3,single,\n"
        )
        rows = views.render("ledger.csv looks", tmp_path).splitlines()[2:]
        assert rows == [
            "| 2026-11-25 | 0123456 | strict | mine | lstm | 3 | 60.3 | 60.0 |",
            "| 2026-11-26 | 0123456 | strict | begun | lstm | 3 |  |  |",
        ]

    def test_output_is_kept_word_for_word(self, tmp_path: Path) -> None:
        folder = tmp_path / views.RECORDS
        folder.mkdir(parents=True)
        command = [sys.executable, "-c", "print('held  95.1 %')"]
        (folder / "levels.json").write_text(json.dumps(figures.keep_output(command)))
        assert "\nheld  95.1 %\n" in figures.filled(block("levels output"), tmp_path)

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ("none terminal", "cannot be read"),
            ("made-up sums", "expected a view of"),
            ("made-up", "expected a view of"),
            ("made-up value results.models.gru", "no 'gru'"),
            ("made-up genres gru", "gru"),
            ("made-up models lstm", "argument"),
        ],
    )
    def test_a_block_that_cannot_be_filled_is_an_error(
        self, root: Path, what: str, said: str
    ) -> None:
        with pytest.raises(views.FiguresError, match=said):
            figures.filled(block(what), root)

    def test_a_block_without_an_end_is_an_error(self) -> None:
        text = "<!-- figures: a terminal -->\n" + block("b terminal")
        with pytest.raises(views.FiguresError, match="no <!-- end -->"):
            figures.blocks(text)


class TestStrays:
    TABLE = "| model | test |\n|---|---|\n| LSTM | 53.7 |\n| CNN | 54.0 |\n"

    def test_a_table_of_figures_is_found_once(self) -> None:
        assert figures.strays(f"# Page\n\n{self.TABLE}") == ["| LSTM | 53.7 |"]

    @pytest.mark.parametrize("heading", figures.EXEMPT)
    def test_not_below_a_heading_that_says_so_nor_deeper(self, heading: str) -> None:
        text = f"# Page\n\n## {heading}\n\n### Depth\n\n{self.TABLE}"
        assert not figures.strays(text)
        assert figures.strays(f"{text}\n## Results\n\n{self.TABLE}")

    def test_not_in_a_block(self) -> None:
        assert not figures.strays(block("a models", f"\n{self.TABLE}"))

    def test_printed_output_counts(self) -> None:
        assert figures.strays("```\n LSTM  23,978  53.7% (45.1-62.6)\n```\n")

    @pytest.mark.parametrize("line", ["| a | 3 genres |", "| a | 0.2 MB, 13.5 s |"])
    def test_words_sizes_and_times_do_not(self, line: str) -> None:
        assert not figures.strays(line)

    def test_commands_do_not(self) -> None:
        assert not figures.strays("```\nostinato study --shares 80/10/10   # 10 % each\n```\n")


class TestCommand:
    def test_a_stale_page_is_named_then_filled(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(figures, "REPOSITORY", root)
        page = root / "README.md"
        page.write_text(block("made-up models"))
        assert figures.main(["--check"]) == 1
        assert "README.md: out of date" in capsys.readouterr().out
        assert "old" in page.read_text()
        assert figures.main([]) == 0
        assert "| LSTM |" in page.read_text()
        assert figures.main(["--check"]) == 0

    def test_a_study_is_kept_with_its_command_commit_and_day(
        self, root: Path, made_up: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(figures, "_commit", lambda: "0123456")
        monkeypatch.setattr(figures, "REPOSITORY", root)
        assert figures.main(["--keep", str(root / "run"), "--as", "again"]) == 0
        record = views.read_record("again", root)
        assert record["command"] == "ostinato study studies/again.toml --out runs/again"
        assert record["commit"] == "0123456"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["kept"])
        own = record["results"]["models"]["lstm"]["test_accuracy"]
        assert own == made_up["models"]["lstm"]["test_accuracy"]

    def test_a_folder_without_a_study_is_an_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert figures.main(["--keep", str(tmp_path)]) == 1
        assert "results.json or table.json" in capsys.readouterr().err
