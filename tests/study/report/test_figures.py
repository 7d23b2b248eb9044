"""Figures are drawn for every kind of study, small enough to embed, and leave nothing behind."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ostinato import plotting
from ostinato.errors import MissingExtraError
from ostinato.plotting import LONGEST, STYLE, not_drawn, save, short, style, titled
from ostinato.storage import WriteError
from ostinato.study.report import draw_all
from ostinato.study.report.captions import CAPTIONS, alternatives
from ostinato.study.report.curves import OBJECTIVE, TRAINING, mean_curve
from ostinato.study.report.figures import FIGURES
from ostinato.study.report.reading import (
    COLOURS,
    colours,
    confused_pairs,
    confusion,
    seed_f1,
)
from tests.helpers.fake_results import GTZAN, fake_results, typed
from tests.study.report.conftest import STUDIES

LARGEST = 300_000  # bytes


def drawn(results: dict[str, Any], names: Sequence[str] = tuple(FIGURES)) -> None:
    """Draw figures coarsely, and keep nothing."""
    for name in names:
        with matplotlib.rc_context(STYLE):
            figure = FIGURES[name](results)
            figure.savefig(io.BytesIO(), format="png", dpi=30)
        for keys in figure.legends:
            box, whole = keys.get_window_extent(), figure.bbox
            assert box.x0 >= whole.x0, name
            assert box.x1 <= whole.x1, name
            assert box.y1 <= whole.y1, name


def figure_of(name: str, results: dict[str, Any]) -> Any:
    with matplotlib.rc_context(STYLE):
        return FIGURES[name](typed(results))


def lines_of(axes: Any, *, marked: bool) -> list[tuple[list[float], list[float]]]:
    """x and y of the lines, with a marker or without."""
    kept = [x for x in axes.get_lines() if (x.get_marker() not in ("", "None", None)) is marked]
    return [(np.array(x.get_xdata()).tolist(), np.array(x.get_ydata()).tolist()) for x in kept]


class TestDrawnIsRecorded:
    """What is plotted is what the record holds, model by model."""

    def test_accuracies_their_intervals_and_gaps(self, results: dict[str, Any]) -> None:
        (axes,) = figure_of("overfitting", results).axes
        models = list(results["models"].values())
        said = [m[f"{part}_accuracy"] for m in models for part in ("train", "valid", "test")]
        assert [x for x, _ in lines_of(axes, marked=True)] == [[one["mean"]] for one in said]
        majority, *spans = (x for x, _ in lines_of(axes, marked=False))
        assert majority == [results["split"]["majority"]["test"]] * 2
        assert spans == [[one["low"], one["high"]] for one in said]
        ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
        wanted = [[m[f"{part}_accuracy"]["mean"] for part in ("valid", "train")] for m in models]
        np.testing.assert_allclose(ends, wanted)
        tints = [tint for tint in colours(results["models"]).values() for _ in range(3)]
        for marked in (True, False):
            own = [x for x in axes.get_lines() if (x.get_marker() == "o") is marked]
            assert [line.get_color() for line in own[not marked :]] == tints
        assert axes.get_xlim()[0] <= 0 < 1 <= axes.get_xlim()[1] < 1.1
        texts = [text.get_text() for text in axes.texts]
        for model in models:
            assert f"{100 * model['gap']['mean']:.1f}\n" in "".join(t + "\n" for t in texts)
            assert f"{100 * model['test_accuracy']['mean']:.1f}%" in texts

    def test_words_in_the_place_of_figures(self, results: dict[str, Any]) -> None:
        said, models = alternatives(typed(results)), results["models"].values()
        for model in models:
            label = model["label"]
            right = float(np.trace(np.array(model["confusion"]["test"])))
            assert f"{label} {model['confidence']['after']['ece']:.3f}" in said["trust"]
            assert (
                f"{label} {100 * model['gap_last_epoch']['mean']:+.1f}" in said["learning_curves"]
            )
            assert f"{label} {right:.1f}".removesuffix(".0") in said["confusion"]
            for part, noun in (("train", "training"), ("valid", "validation"), ("test", "test")):
                percent = f"{noun} {100 * model[f'{part}_accuracy']['mean']:.1f}%"
                assert percent in said["overfitting"]
        assert "of 290 recordings" in said["confusion"]
        f1 = np.mean([m["per_genre"]["test"]["rock"]["f1"] for m in models])
        assert f"rock {f1:.2f}" in said["genre_f1"]
        (true, other, n), *_ = confused_pairs(typed(results), 1)
        assert f"{true} taken for {other} {n:.1f}".removesuffix(".0") in said["confusions"]

    def test_confusion_matrices(self, results: dict[str, Any]) -> None:
        panels = figure_of("confusion", results).axes
        counts = [np.array(m["confusion"]["test"]) for m in results["models"].values()]
        counts.append(np.mean(counts, axis=0))
        assert [axes.get_title() for axes in panels] == [
            "LSTM", "ResLSTM", "ConvLSTM", "mean of the 3",
        ]  # fmt: skip
        for axes, own in zip(panels, counts, strict=True):
            shares = own / own.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(axes.images[0].get_array(), shares)
            (low, high), numbers = axes.images[0].get_clim(), np.zeros_like(own)
            assert (low, high) == (0, 1)
            for text in axes.texts:
                x, y = text.get_position()
                numbers[int(y), int(x)] = float(text.get_text())
            np.testing.assert_allclose(numbers, own, atol=0.5)
            assert [label.get_text() for label in axes.get_yticklabels()] == list(GTZAN)

    def test_f1_of_every_genre_with_a_dot_a_seed(self, results: dict[str, Any]) -> None:
        (axes,) = figure_of("genre_f1", results).axes
        order = [label.get_text().split(" (")[0] for label in axes.get_yticklabels()]
        f1 = {
            g: [m["per_genre"]["test"][g]["f1"] for m in results["models"].values()] for g in GTZAN
        }
        assert order == sorted(GTZAN, key=lambda g: -np.mean(f1[g]))
        for number, bars in enumerate(axes.containers):
            assert [bar.get_width() for bar in bars] == [f1[g][number] for g in order]
            middles = [bar.get_y() + bar.get_height() / 2 for bar in bars]
            np.testing.assert_allclose(np.diff(middles), 1)
            assert bars.patches[0].get_facecolor()[:3] == pytest.approx(
                to_rgb(list(colours(results["models"]).values())[number])
            )
        assert axes.get_xlim() == (0, 1)
        dots = lines_of(axes, marked=True)
        assert len(dots) == 3 * len(GTZAN)
        for number, name in enumerate(results["models"]):
            seeds = seed_f1(typed(results), name)
            own = dots[number * len(GTZAN) :][: len(GTZAN)]
            assert [x for x, _ in own] == [seeds[g] for g in order]

    def test_commonest_errors(self, results: dict[str, Any]) -> None:
        (axes,) = figure_of("confusions", results).axes
        pairs = confused_pairs(typed(results), 12)
        assert [bar.get_width() for bar in axes.patches] == [n for *_, n in pairs]
        named = [label.get_text() for label in axes.get_yticklabels()]
        assert named == [f"{true} taken for {said}" for true, said, _ in pairs]
        dots = [x for x, _ in lines_of(axes, marked=True)]
        for own, model in zip(dots, results["models"].values(), strict=True):
            counts = np.array(model["confusion"]["test"])
            wanted = [counts[GTZAN.index(true), GTZAN.index(said)] for true, said, _ in pairs]
            assert own == wanted
        farthest = np.max([[n for *_, n in pairs], *dots], axis=0)
        assert [text.xy for text in axes.texts] == [(x, y) for y, x in enumerate(farthest)]
        for text, (_, _, n) in zip(axes.texts, pairs, strict=True):
            assert text.get_text() == f"{n:.1f}".removesuffix(".0") + " of 29"

    def test_learning_curves(self, results: dict[str, Any]) -> None:
        panels = figure_of("learning_curves", results).axes
        for number, model in enumerate(results["models"].values()):
            runs = [run["curves"] for run in model["runs"]]
            n = min(len(run["epoch"]) for run in runs)
            for axes, kind in zip(panels[2 * number :][:2], ("loss", "accuracy"), strict=True):
                drawn_ = lines_of(axes, marked=False)
                tint = list(colours(results["models"]).values())[number]
                assert {line.get_color() for line in axes.get_lines()} == (
                    {TRAINING, tint} | ({OBJECTIVE} if kind == "loss" else set())
                )
                if kind == "loss":
                    assert (axes.get_title(), axes.title.get_color()) == (model["label"], tint)
                assert axes.get_ylim()[0] == 0
                assert axes.get_ylim()[1] > 1 if kind == "loss" else 1 < axes.get_ylim()[1] < 1.1
                for part in ("train", "valid"):
                    key = f"{part}_{kind}"
                    for run in runs:
                        assert (run["epoch"], run[key]) in drawn_
                    mean = np.mean([run[key][:n] for run in runs], axis=0)
                    assert any(
                        x == runs[0]["epoch"][:n] and np.allclose(y, mean) for x, y in drawn_
                    )

    def test_reliability_and_what_abstaining_gains(self, results: dict[str, Any]) -> None:
        left, right = figure_of("trust", results).axes
        own = [model["confidence"] for model in results["models"].values()]
        for bars, one in zip(left.containers, own, strict=True):
            points, _, (spans,) = bars.lines
            assert points.get_xdata().tolist() == [p["confidence"] for p in one["reliability"]]
            assert points.get_ydata().tolist() == [p["accuracy"] for p in one["reliability"]]
            np.testing.assert_allclose(
                [segment[:, 1] for segment in spans.get_segments()],
                [[p["low"], p["high"]] for p in one["reliability"]],
            )
        for (x, y), one in zip(lines_of(right, marked=False), own, strict=True):
            assert x == one["risk_coverage"]["coverage"]
            np.testing.assert_allclose(y, 1 - np.array(one["risk_coverage"]["risk"]))


@pytest.mark.parametrize("kind", ["three models", "one model, one seed"])
def test_figures_are_small_files_and_leave_no_global_state(kind: str, tmp_path: Path) -> None:
    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    paths = draw_all(typed(fake_results(**STUDIES[kind])), tmp_path / "figures")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot, "no windows, no current figure"
    assert list(paths) == list(FIGURES)
    for path in paths.values():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width >= 800, "to be read on a page of 1280 pixels"
        assert path.stat().st_size < LARGEST, path.name
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == sorted(
        f"{name}.png" for name in paths
    ), "no temporary file is left"


@pytest.mark.parametrize("kind", STUDIES)
def test_every_kind_of_study_is_drawn(kind: str) -> None:
    results = fake_results(**STUDIES[kind])
    drawn(typed(results))
    assert set(FIGURES) == set(CAPTIONS) == set(alternatives(typed(results)))


def test_the_same_results_give_the_same_file(results: dict[str, Any], tmp_path: Path) -> None:
    first, again = (
        save(FIGURES["overfitting"](typed(results)), tmp_path / name).read_bytes() for name in "ab"
    )
    assert first == again


def test_a_palette_keeps_the_models_colours(tmp_path: Path) -> None:
    figure = titled("", "", width=2, height=2)
    for i, colour in enumerate(COLOURS):
        figure.add_axes((i / 7, 0, 1 / 7, 0.5), facecolor=colour).set_axis_on()
    with Image.open(save(figure, tmp_path / "colours.png")) as image:
        found = {"#{:02X}{:02X}{:02X}".format(*c) for _, c in image.convert("RGB").getcolors(9999)}
    assert set(COLOURS) <= found


def test_a_model_has_one_colour_of_its_own() -> None:
    tints = colours(fake_results(n_models=5)["models"])
    assert len(set(tints.values())) == 5


def test_genres_may_have_any_name() -> None:
    # "$" would open a formula, "_" a subscript; a long name would push the plot off the page.
    names = ["$x_1$", "drum & bass / jungle / breakbeat", "\\frac{", "rock"]
    drawn(typed(fake_results(genres=names, n_per_genre=4, n_seeds=1)))
    assert len(short(names[1])) <= LONGEST


def test_curves_that_were_not_measured_at_an_epoch(results: dict[str, Any], tmp_path: Path) -> None:
    curves = results["models"]["lstm"]["runs"][0]["curves"]
    curves["objective"][0] = None
    curves["valid_loss"][-1] = float("nan")
    drawn(typed(results), ["learning_curves"])


def test_the_mean_curve_ends_with_the_shortest_run() -> None:
    runs = [
        {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0]},
        {"epoch": [1, 2], "loss": [1.0, None]},
    ]
    epochs, mean = mean_curve(runs, "loss")
    assert epochs == [1, 2], "a mean over what is left would jump at epoch 3"
    np.testing.assert_array_equal(mean, [2.0, np.nan])


def test_models_without_an_error_are_drawn(results: dict[str, Any]) -> None:
    for name, model in results["models"].items():
        model["confusion"]["test"] = np.diag(confusion(typed(results), name).sum(axis=1)).tolist()
    drawn(typed(results), ["confusion", "confusions"])


def test_a_folder_that_is_a_file_is_one_sentence(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(WriteError, match=r"Cannot write .*learning_curves\.png"):
        draw_all(typed(results), tmp_path / "figures")


def test_without_matplotlib_the_extra_is_named(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[plot\]"'):
        draw_all(typed(results), tmp_path)


@pytest.mark.filterwarnings("error")
def test_names_that_no_font_has_are_boxes_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.font_manager import fontManager

    ours = [f for f in fontManager.ttflist if f.name.startswith(("DejaVu Sans", "Last Resort"))]
    monkeypatch.setattr(fontManager, "ttflist", ours)
    plotting._fonts_for.cache_clear()
    draw_all(typed(fake_results(genres=["演歌", "rock"], n_per_genre=4, n_seeds=1)), tmp_path)
    assert not_drawn(["演歌", "rock"]) == "歌演"


def test_a_font_that_has_the_letters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """DejaVu Sans Mono stands for a font with letters that our own lacks."""
    from matplotlib import rcParams

    held = plotting._characters
    monkeypatch.setattr(
        plotting,
        "_characters",
        lambda font, wanted: (
            wanted if font.family_name == "DejaVu Sans Mono" else held(font, wanted)
        ),
    )
    plotting._fonts_for.cache_clear()
    assert not_drawn(["演歌"]) == ""
    with style("The report", ["演歌"]):
        assert rcParams["font.family"] == ["DejaVu Sans", "DejaVu Sans Mono"]
    plotting._fonts_for.cache_clear()
