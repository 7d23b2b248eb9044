"""The notebooks: stored with outputs that belong to them, and running on reduced settings."""

from __future__ import annotations

import ast
import copy
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import figure_views as views  # noqa: E402
import run_notebooks as notebooks  # noqa: E402
import site_notebooks  # noqa: E402

STORED = notebooks.notebooks()

#: Settings with which a notebook runs in seconds; by name, the code of its first cell.
REDUCED = {
    # The smallest networks, so that the whole of GTZAN can be used: its published split needs it.
    "gtzan_study": """
from pathlib import Path

SEEDS = 1
EPOCHS = 1
MODELS = ("lstm", "residual-lstm", "conv-lstm")
SETTINGS = {
    "lstm": {"width": 8, "depth": 1},
    "residual-lstm": {"width": 8, "depth": 1},
    "conv-lstm": {"channels": [4], "texture_frames": 8},
}
JOBS = 1
OUT = Path("study")
""",
    # As it is stored: it takes a few seconds.
    "hear_what_it_hears": """
SONG = None
MODEL = "default"
EXCERPT_S = 30.0
""",
    "your_own_genres": """
from pathlib import Path

COLLECTION = None
FRAMES = "mfcc"
TRACKS = 5
SECONDS = 6
JOBS = 1
OUT = Path("own")
""",
}


@pytest.fixture(params=STORED)
def name(request) -> str:
    return request.param


@pytest.fixture
def stored(name: str) -> NotebookNode:
    return STORED[name]


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> tuple[dict[str, NotebookNode], Path]:
    """All notebooks with their outputs on reduced settings, and the folder that they ran in."""
    reduced = copy.deepcopy(STORED)
    for name, notebook in reduced.items():
        notebooks.parameters(notebook).source = REDUCED[name].strip()
    folder = tmp_path_factory.mktemp("notebooks")
    inside = folder / "inside"
    inside.mkdir()
    notebooks.execute(reduced, folder, inside=inside)
    return reduced, inside


def assigned(source: str) -> set[str]:
    """Names that a cell's top level assigns."""
    return {
        target.id
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def outputs(notebook: NotebookNode, cell_id: str | None = None) -> Iterator[NotebookNode]:
    for cell in notebooks.code_cells(notebook):
        if cell_id in (None, cell.id):
            yield from cell.outputs


def text_of(notebook: NotebookNode, cell_id: str | None = None) -> str:
    """All that the cells print or show as text."""
    texts = []
    for output in outputs(notebook, cell_id):
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/markdown", data.get("text/plain", ""))]
    return "\n".join(texts)


def table(notebook: NotebookNode, cell_id: str) -> list[list[str]]:
    """Rows of the tables that a cell shows, without their heads."""
    lines = text_of(notebook, cell_id).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    heads = {i for i, row in enumerate(rows) if set(row[0]) == {"-"}}
    return [row for i, row in enumerate(rows) if not heads & {i, i + 1}]


def pictures(notebook: NotebookNode, cell_id: str) -> list[str]:
    """What the pictures of a cell show, in words."""
    data = [o for o in outputs(notebook, cell_id) if "image/png" in o.get("data", {})]
    return [output.metadata["image/png"]["alt"] for output in data]


class TestStored:
    def test_notebooks_were_found(self) -> None:
        assert set(STORED) == set(REDUCED)

    def test_outputs_are_complete_and_belong_to_the_code(self, stored: NotebookNode) -> None:
        nbformat.validate(stored)
        assert notebooks.complaints(stored) == [], "make notebooks"

    def test_changed_code_is_seen_and_changed_words_are_not(self, stored: NotebookNode) -> None:
        changed = copy.deepcopy(stored)
        changed.cells[0].source += " More words."
        assert notebooks.complaints(changed) == []
        notebooks.parameters(changed).source += "\nMORE = 1"
        assert notebooks.complaints(changed) == ["the code has changed since its outputs were made"]

    def test_what_was_not_run_or_went_wrong_is_seen(self, stored: NotebookNode) -> None:
        changed = copy.deepcopy(stored)
        first, second, *_ = notebooks.code_cells(changed)
        first.execution_count = None
        second.outputs = [nbformat.v4.new_output("stream", name="stderr", text="Warning")]
        assert notebooks.complaints(changed) == [
            "not every cell has been run, in order",
            f"cell '{second.id}' has an error or a warning",
        ]

    def test_the_first_cell_says_how_to_open_it(self, name: str, stored: NotebookNode) -> None:
        words = stored.cells[0].source
        assert f"jupyterlab\njupyter lab notebooks/{name}.ipynb" in words

    def test_its_links_lead_somewhere(self, stored: NotebookNode) -> None:
        words = "\n".join(c.source for c in stored.cells if c.cell_type == "markdown")
        links = re.findall(r"\]\(([^)\s#]+)", words)
        assert links
        assert [link for link in links if not (notebooks.FOLDER / link).exists()] == []

    def test_the_reduced_settings_replace_every_setting(
        self, name: str, stored: NotebookNode
    ) -> None:
        cell = notebooks.parameters(stored)
        assert cell is notebooks.code_cells(stored)[0]
        assert assigned(REDUCED[name]) == assigned(cell.source)

    def test_a_page_shows_every_output(self, name: str, stored: NotebookNode) -> None:
        text, files = site_notebooks.page(notebooks.FOLDER / f"{name}.ipynb")
        kinds = [set(o.get("data", {})) for o in outputs(stored)]
        assert len([f for f in files if f.endswith(".png")]) == sum("image/png" in k for k in kinds)
        assert len([f for f in files if f.endswith(".mp3")]) == sum("text/html" in k for k in kinds)
        assert all(f'src="{file}"' in text for file in files)
        assert all(cell.source in text for cell in stored.cells)


class TestRun:
    def test_it_runs_to_its_end_and_warns_of_nothing(self, name: str, executed) -> None:
        assert notebooks.complaints(executed[0][name]) == []


class TestGtzanStudy:
    """The stored figures are those of ``ostinato study studies/gtzan.toml``."""

    @pytest.fixture
    def record(self) -> dict[str, Any]:
        return views.read_record("gtzan")

    def test_its_recipe_is_that_of_the_study(self) -> None:
        from ostinato.study.config import StudyConfig, load_config
        from ostinato.study.results.schema import Claim
        from ostinato.training.settings import TrainingSettings

        cells = {cell.id: cell.source for cell in notebooks.code_cells(STORED["gtzan_study"])}
        values: dict[str, Any] = {v.__name__: v for v in (Claim, StudyConfig, TrainingSettings)}
        for cell_id in ("parameters", "settings"):
            exec(cells[cell_id], values)
        assert values["config"] == load_config(REPOSITORY / "studies" / "gtzan.toml")

    def test_its_table_and_sentences_are_the_studys(self) -> None:
        shown = text_of(STORED["gtzan_study"], "summary").split()
        assert shown == views.render("gtzan terminal").strip("`").split()

    def test_figures_of_every_genre_are_the_studys(self, record: dict[str, Any]) -> None:
        models = record["results"]["models"].values()
        rows = [
            [genre, str(own["support"]), str(own["artists"]), *(share(own, key) for key in SCORES)]
            for model in models
            for genre, own in model["per_genre"]["test"].items()
        ]
        assert len(rows) == 3 * 10
        assert table(STORED["gtzan_study"], "f1") == rows

    def test_pictures_are_the_studys(self, record: dict[str, Any]) -> None:
        from ostinato.study.report.captions import alternatives
        from ostinato.study.results import to_json
        from ostinato.study.results.files import parse_results

        due = alternatives(parse_results(to_json(record["results"]), "the record"))
        stored = STORED["gtzan_study"]
        shown = {
            cell: pictures(stored, cell)
            for cell in ("curves", "over-fitting", "confusion", "f1", "trust")
        }
        assert shown == {
            "curves": [due["learning_curves"]],
            "over-fitting": [due["overfitting"]],
            "confusion": [due["confusion"], due["confusions"]],
            "f1": [due["genre_f1"]],
            "trust": [due["trust"]],
        }

    def test_it_shows_what_it_has_trained(self, executed) -> None:
        from ostinato.study.report import headline
        from ostinato.study.results import read_results

        notebook, inside = executed[0]["gtzan_study"], executed[1]
        results = read_results(inside / "study")
        assert headline(results) in text_of(notebook, "findings")
        for model in results.models.values():
            assert f"{100 * model.accuracy('test').mean:.1f}%" in text_of(notebook, "over-fitting")

    def test_segments_split_at_random_look_better_than_they_are(self) -> None:
        """What section 3 says in words must be what its table shows."""
        rows = table(STORED["gtzan_study"], "lie")
        nothing, tracks, artists = (int(share.rstrip("%")) for _, share in rows)
        assert nothing > tracks + 20 > artists + 30

    def test_it_shows_the_shapes_and_faults_that_it_speaks_of(self) -> None:
        text = text_of(STORED["gtzan_study"])
        assert "| reggae | 100 | 22 | 0 | Bob Marley | 35 |" in text
        assert "LeakError: 'disco.00099' (train) and 'disco.00098' (valid)" in text
        assert "| all | 442 | 197 | 290 |" in text


class TestHear:
    def test_the_song_goes_from_one_genre_through_none_to_another(self, executed) -> None:
        (timeline,) = pictures(executed[0]["hear_what_it_hears"], "draw-timeline")
        parts = [part.rpartition(": ")[2].rstrip(".") for part in timeline.split("; ")]
        assert parts == ["classical", "no verdict", "disco"]

    def test_what_spoke_for_the_verdict_begins_with_the_drums(self, executed) -> None:
        shown = text_of(executed[0]["hear_what_it_hears"], "occlusion")
        assert int(re.search(r"from (\d+) s on", shown)[1]) >= 45

    def test_it_needs_no_pytorch(self) -> None:
        code = "\n".join(c.source for c in notebooks.code_cells(STORED["hear_what_it_hears"]))
        named = {
            node.module for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)
        }
        assert {module.split(".")[1] for module in named if module.startswith("ostinato.")} <= {
            "audio", "features", "inference", "plotting",
        }  # fmt: skip


class TestOwnGenres:
    def test_the_mistake_made_on_purpose_is_what_it_suspects(self) -> None:
        first, *_ = table(STORED["your_own_genres"], "suspects")
        assert first[:3] == ["tango/a-mistake.flac", "tango", "waltz"]

    def test_it_names_new_tracks_and_tells_noise_from_them(self) -> None:
        *tracks, noise = table(STORED["your_own_genres"], "use")
        right = [name.split()[0] == verdict for name, verdict, _ in tracks]
        assert len(right) == 9
        assert sum(right) > 6
        assert noise[1].startswith("none")

    def test_the_page_and_the_model_are_written(self, executed) -> None:
        notebook, inside = executed[0]["your_own_genres"], executed[1]
        assert "own/my-genres.html, own/my-genres.onnx" in text_of(notebook, "page")
        assert "my-genres" in (inside / "own" / "my-genres.html").read_text(encoding="utf-8")


SCORES = ("precision", "recall", "f1")


def share(own: dict[str, Any], key: str) -> str:
    """A share with its interval in per cent, as the notebook has it."""
    low, high = (100 * bound for bound in own["intervals"][key])
    return f"{100 * own[key]:.0f} ({low:.0f}-{high:.0f})"
