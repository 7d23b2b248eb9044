"""Studies with variants: what they share, what they change, and the table of all."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ostinato.cli.main import main
from ostinato.errors import DataError, UsageError
from ostinato.study import sweep as sweep_module
from ostinato.study.ledger import LEDGER, read_ledger
from ostinato.study.report.sweep_page import along_axis, gradients, rows_of, write_sweep
from ostinato.study.report.table import sweep_cells, sweep_columns, sweep_markdown, sweep_notes
from ostinato.study.results import plain
from ostinato.study.sweep import is_sweep, load_sweep, run_sweep, tabulate
from tests.helpers.toy import toy_corpus

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = toy_corpus(seed=4)
TEXT = """
title = "One thing at a time"
models = ["lstm"]
split = "artist-folds"
test = false
seeds = 2
coefficients = 4
base = "base"

[training]
epochs = 3
batch_size = 8
window_frames = 24
window_hop = 12

[settings.lstm]
width = 8
depth = 1
texture_frames = 4

[[variants]]
name = "base"

[[variants]]
name = "shortcut"
models = ["residual-lstm"]
settings.residual-lstm = {width = 8, depth = 1, texture_frames = 4}

[[variants]]
name = "other-tracks"
split = "holdout"

[[variants]]
name = "leak"
split = "segment-random"
segments = 2
allow_leak = true
"""


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    sweep = load_sweep(written(folder, TEXT))
    run_sweep(sweep, folder / "out", lambda _: CORPUS, jobs=1)
    return sweep, folder / "out", tabulate(sweep, folder / "out")


def test_a_variant_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    base, shortcut, *_ = load_sweep(written(tmp_path)).variants
    assert base.config.settings["lstm"]["width"] == 8
    assert shortcut.config.models == ("residual-lstm",)
    assert shortcut.config.training == base.config.training
    assert shortcut.config.settings["lstm"] == base.config.settings["lstm"]  # merged, not replaced


def test_the_command_line_changes_every_variant(tmp_path: Path) -> None:
    sweep = load_sweep(written(tmp_path), seeds=7, test=None)
    assert {v.config.seeds for v in sweep.variants} == {7}
    assert not sweep.variants[0].config.test


def test_every_variant_and_model_is_a_row(done) -> None:
    _, folder, table = done
    assert [(row.variant, row.label) for row in table.rows] == [
        ("base", "LSTM"), ("shortcut", "ResLSTM"), ("other-tracks", "LSTM"), ("leak", "LSTM"),
    ]  # fmt: skip
    assert json.loads((folder / "table.json").read_text()) == plain(table)
    results = json.loads((folder / "base" / "results.json").read_text())
    row, within = table.rows[0], results["models"]["lstm"]
    assert row.accuracy.mean == pytest.approx(within["valid_accuracy"]["mean"])
    assert row.gap.mean == pytest.approx(within["gap"]["mean"])


def test_only_what_examined_the_same_recordings_is_held_against_the_base(done) -> None:
    *_, table = done
    base, shortcut, other, leak = table.rows
    assert base.difference is other.difference is leak.difference is None
    expected = shortcut.accuracy.mean - base.accuracy.mean
    found = shortcut.difference
    assert found.mean == pytest.approx(expected)
    assert found.low <= found.mean <= found.high
    assert found.p_holm == found.p  # one comparison


def test_p_is_adjusted_for_all_that_are_held_against_the_base(done, tmp_path: Path) -> None:
    """Two variants that are always wrong, each by a small p: Holm doubles it."""
    sweep, folder, _ = done
    shutil.copytree(folder / "base", tmp_path / "base")
    for name in ("wrong", "as-wrong"):
        shutil.copytree(folder / "base", tmp_path / name)
        path = tmp_path / name / "predictions.csv"
        head, *rows = (line.split(",") for line in path.read_text().splitlines())
        n = len(CORPUS.genres)
        for row in rows:
            place = CORPUS.genres.index(row[3])
            row[-n:] = ["0"] * n
            row[-n + (place + 1) % n] = "1"
        path.write_text("".join(",".join(row) + "\n" for row in [head, *rows]))
    variants = [replace(sweep.variants[0], name=name) for name in ("base", "wrong", "as-wrong")]
    table = tabulate(replace(sweep, variants=tuple(variants)), tmp_path)
    for row in table.rows[1:]:
        assert row.accuracy.mean == 0
        assert 0 < row.difference.p < 0.01
        assert row.difference.p_holm == pytest.approx(2 * row.difference.p)


def test_a_leak_is_counted_and_called_so(done) -> None:
    *_, table = done
    leak = table.rows[-1]
    assert leak.leaks
    assert leak.shared_recordings > 0.5
    assert {row.shared_recordings for row in table.rows[:-1]} == {0}
    heads = sweep_columns(table)
    assert sweep_markdown(table).splitlines()[3] == "|" + "---|" * len(heads)
    assert any("LEAKING" in note and "leak" in note for note in sweep_notes(table))


def test_a_name_that_would_end_a_cell_of_markdown_does_not(done) -> None:
    *_, table = done
    named = replace(table, rows=(replace(table.rows[0], variant="a|b"), *table.rows[1:]))
    assert sweep_markdown(named).splitlines()[4].startswith(r"| a\|b | ")


def test_a_table_of_splits_tells_rows_tracks_and_artists(done) -> None:
    """30 tracks by 15 artists: 24 rows a fold are whole tracks of 12, 48 are pieces of all."""
    *_, table = done
    of = {row.variant: (row.n_train, row.train_recordings, row.train_artists) for row in table.rows}
    assert of["base"] == (24, 24, 12)
    pieces, tracks, artists = of["leak"]
    assert pieces == 48
    assert 24 < tracks <= 30
    assert 12 < artists <= 15
    heads = sweep_columns(table)
    cells = dict(zip(heads, sweep_cells(table, table.rows[0]), strict=True))
    assert cells["Rows / tracks / artists"] == "24 / 24 / 12"
    assert cells["Own / artist met"] == "none / none"
    assert "Against base" in heads


def test_table_page_and_markdown_say_the_same(done, tmp_path: Path) -> None:
    *_, table = done
    page = write_sweep(table, tmp_path)
    html, text = page.read_text(), (tmp_path / "table.md").read_text()
    assert text == sweep_markdown(table)
    for row in table.rows:
        cells = sweep_cells(table, row)
        assert len(cells) == len(sweep_columns(table))
        assert "| " + " | ".join(cells) + " |" in text
        assert all(cell.replace("-", "\N{MINUS SIGN}").split("(")[0] in html
                   or cell.split("(")[0] in html for cell in cells)  # fmt: skip
    assert "LEAKING" in html
    assert (tmp_path / "figures" / "accuracy.png").stat().st_size > 1000


def test_a_sweep_that_was_interrupted_tells_what_is_missing(done, tmp_path: Path) -> None:
    sweep, *_ = done
    with pytest.raises(DataError, match="Expected finished studies"):
        tabulate(sweep, tmp_path)
    run_sweep(sweep.only(["base"]), tmp_path, lambda _: CORPUS, jobs=1)
    table = tabulate(sweep, tmp_path)
    assert table.waiting == ["shortcut", "other-tracks", "leak"]
    assert any("Not run yet: shortcut" in note for note in sweep_notes(table))


def test_an_axis_is_drawn(done, tmp_path: Path) -> None:
    *_, table = done
    rows = [replace(row, at=at) for at, row in zip((1, 4, 1, 4), table.rows, strict=True)]
    page = write_sweep(replace(table, axis="depth", rows=rows), tmp_path)
    for name in ("accuracy", "gradients"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 1000
    assert page.read_text().count("data:image/png") == 2


def test_what_is_drawn_is_the_table(done) -> None:
    *_, table = done
    (axes,) = rows_of(table).axes
    lines = [np.array(line.get_xdata()).tolist() for line in axes.get_lines()]
    assert lines[1::2] == [[row.accuracy.mean] for row in table.rows]
    assert lines[::2] == [[row.accuracy.low, row.accuracy.high] for row in table.rows]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"{row.variant}, {row.label}" for row in table.rows]

    rows = [replace(row, at=at) for at, row in zip((1, 4, 2, 8), table.rows, strict=True)]
    deep = replace(table, axis="depth", rows=rows)
    by_label = [[row for row in rows if row.label == label] for label in ("LSTM", "ResLSTM")]
    panels = along_axis(deep).axes
    assert [label.get_text() for label in panels[1].get_xticklabels()] == ["1", "2", "4", "8"]
    for axes, key in zip(panels, ("accuracy", "gap"), strict=True):
        for bars, own in zip(axes.containers, by_label, strict=True):
            points, _, (spans,) = bars.lines
            drawn = np.array(points.get_ydata(), float)
            np.testing.assert_allclose(drawn, [getattr(r, key).mean for r in own])
            places = [(1, 2, 4, 8).index(r.at) for r in own]
            np.testing.assert_allclose(np.array(points.get_xdata(), float), places, atol=0.1)
            ends = [[getattr(r, key).low, getattr(r, key).high] for r in own]
            drawn = np.array([s[:, 1] for s in spans.get_segments()], float)
            np.testing.assert_allclose(drawn, np.array(ends, float))
    panels = gradients(deep).axes
    assert [axes.get_title() for axes in panels] == ["LSTM", "ResLSTM", "", ""]
    for axes, (when, own) in zip(panels, itertools.product(("first_epoch", "all_epochs"), by_label),
                                 strict=True):  # fmt: skip
        drawn = [line.get_ydata() for line in axes.get_lines()]
        assert [list(y) for y in drawn] == [
            [getattr(layer, when).mean for layer in row.gradient_norms] for row in own
        ]
        assert [line.get_label() for line in axes.get_lines()] == [f"{row.at}" for row in own]


def test_gradients_of_every_recurrent_layer_are_in_the_table(done) -> None:
    *_, table = done
    (layer,) = table.rows[0].gradient_norms  # of depth 1
    for norm in (layer.first_epoch, layer.all_epochs):
        assert 0 < norm.low <= norm.mean <= norm.high


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "shortcut"', 'name = "base"', "expected different names"),
        ('name = "shortcut"', 'name = "a/b"', "got 'a/b'"),
        ('name = "shortcut"', "seeds = 1", "got None"),
        ('base = "base"', 'base = "none"', "base: expected a variant of base, shortcut"),
        ('base = "base"', "base = 3", "base: expected a name, got 3"),
        ('base = "base"', 'axis = "depth"', "expected a number 'at'"),
        ('name = "base"', 'name = "base"\nat = 3', "expected a number 'at'"),
        ("seeds = 2", "seedz = 2", "There is no setting 'variants.base.seedz'"),
        ('split = "holdout"', 'split = "x"', "expected one of"),
        ("allow_leak = true", "", "--allow-leak"),
        ("epochs = 3", "epochs = ", "is not valid TOML"),
        (
            "epochs = 3",
            "epochs = 0",
            r"line \d+: variants.base.training.epochs: expected a positive",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises((UsageError, DataError), match=said):
        load_sweep(written(tmp_path, TEXT.replace(old, new, 1)))


def test_a_sweep_has_its_title_or_a_plain_one(tmp_path: Path) -> None:
    titled = TEXT.replace('title = "One thing at a time"\n', "")
    assert load_sweep(written(tmp_path)).title == "One thing at a time"
    assert load_sweep(written(tmp_path, titled)).title == "Variants compared"


def test_progress_names_the_variant_and_how_many_there_are(monkeypatch, tmp_path: Path) -> None:
    said = []

    def run(plan, *, progress, **_):
        progress(1, 3, "lstm seed 1")
        progress(3, 3, "")

    monkeypatch.setattr(sweep_module, "run_study", run)
    sweep = load_sweep(written(tmp_path)).only(["base", "shortcut"])
    run_sweep(sweep, tmp_path, lambda _: CORPUS, progress=lambda *step: said.append(step))
    assert said == [
        (1, 3, "base, 1 of 2: lstm seed 1"), (3, 3, "base, 1 of 2"),
        (1, 3, "shortcut, 2 of 2: lstm seed 1"), (3, 3, "shortcut, 2 of 2"),
    ]  # fmt: skip


def test_variants_must_be_tables(tmp_path: Path) -> None:
    path = written(tmp_path, "variants = 3\n")
    with pytest.raises(UsageError, match=r"\[\[variants\]\]"):
        load_sweep(path)


def test_variants_are_run_by_name(tmp_path: Path) -> None:
    sweep = load_sweep(written(tmp_path))
    assert [v.name for v in sweep.only(["leak", "base"]).variants] == ["base", "leak"]
    with pytest.raises(
        UsageError, match=r"Expected variants of base, .*; got 'bass'; did you mean 'base'\?"
    ):
        sweep.only(["bass"])


def test_the_command_runs_a_sweep_and_prints_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ostinato.study.entry.load_data", lambda *_, **__: CORPUS)
    call = ["study", str(written(tmp_path)), "--out", str(tmp_path / "out"), "--jobs", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*call, "--only", "base,shortcut", "--seeds", "1"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines() if "out" not in line) <= 80
    assert "Against base" in printed
    assert re.search(r"^ ?shortcut .*\n ?ResLSTM ", printed, re.MULTILINE)  # a row of two lines
    out = " ".join(printed.split())
    assert "Not run yet: other-tracks, leak" in out
    assert (tmp_path / "out" / "report.html").exists()


def test_variants_of_other_data_have_a_corpus_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides the frames is loaded once, and anew where a variant changes it."""
    ways = ("", 'frames = "log-mel-from-mfcc"', "waveform = {copies = 1, pitch = 2.0}", "seeds = 3")
    text = "".join(f'[[variants]]\nname = "v{k}"\n{way}\n' for k, way in enumerate(ways))
    loaded = []
    monkeypatch.setattr(sweep_module, "plan_study", lambda *_: None)
    monkeypatch.setattr(sweep_module, "run_study", lambda *_, **__: None)

    def load(config):
        loaded.append((config.frames, config.waveform.copies))
        return CORPUS

    run_sweep(load_sweep(written(tmp_path, text)), tmp_path / "out", load)
    assert loaded == [("mfcc", 0), ("log-mel-from-mfcc", 0), ("mfcc", 1)]


@pytest.mark.parametrize("named", [False, True])
def test_looks_of_all_variants_stand_in_one_ledger(
    tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the sweep's folder, where other studies' are, or where --ledger says."""
    monkeypatch.setattr("ostinato.study.entry.load_data", lambda *_, **__: CORPUS)
    text = TEXT.replace("test = false", "test = true").replace("artist-folds", "holdout")
    own = ["--ledger", str(tmp_path / "elsewhere.csv")] if named else []
    call = ["study", str(written(tmp_path, text)), "--out", str(tmp_path / "runs" / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*call, "--jobs", "1", "--only", "base,shortcut", "--seeds", "1", *own])
    assert not ended.value.code
    rows = read_ledger(tmp_path / "elsewhere.csv" if named else tmp_path / "runs" / LEDGER)
    assert [(row["study"], row["model"], row["system"]) for row in rows] == [
        ("base", "lstm", ""), ("base", "lstm", "single"),
        ("shortcut", "residual-lstm", ""), ("shortcut", "residual-lstm", "single"),
    ]  # fmt: skip


def test_only_is_for_studies_with_variants(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", "--only", "base"])
    assert ended.value.code == 2
    assert "--only" in capsys.readouterr().err


def test_what_ships_can_be_read() -> None:
    shipped = [path for path in sorted(REPOSITORY.glob("studies/**/*.toml")) if is_sweep(path)]
    assert REPOSITORY / "studies" / "leaks.toml" in shipped
    for path in shipped:
        assert load_sweep(path).variants
