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
from PIL import Image

from ostinato.errors import MissingExtraError
from ostinato.plotting import LONGEST, STYLE, save, short, titled
from ostinato.storage import WriteError
from ostinato.study.report import draw_all
from ostinato.study.report.captions import CAPTIONS, alternatives
from ostinato.study.report.curves import mean_curve
from ostinato.study.report.figures import FIGURES
from ostinato.study.report.reading import COLOURS, colours, confusion
from tests.helpers.fake_results import fake_results, typed
from tests.study.report.conftest import STUDIES

LARGEST = 300_000  # bytes


def drawn(results: dict[str, Any], names: Sequence[str] = tuple(FIGURES)) -> None:
    """Draw figures coarsely, and keep nothing."""
    for name in names:
        with matplotlib.rc_context(STYLE):
            FIGURES[name](results).savefig(io.BytesIO(), format="png", dpi=30)


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
