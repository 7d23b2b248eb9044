"""The notebook: stored clean, and running from its first cell to its last on a reduced setting."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "notebooks" / "gtzan_study.ipynb"
CELL_TIMEOUT_S = 300

# The smallest networks, so that the whole of GTZAN can be used: its published split needs it.
REDUCED = """
from pathlib import Path

SEEDS = 1
EPOCHS = 2
MODELS = ("lstm", "residual-lstm", "conv-lstm")
SETTINGS = {
    "lstm": {"width": 8, "depth": 1},
    "residual-lstm": {"width": 8, "depth": 1},
    "conv-lstm": {"channels": [4], "texture_frames": 8},
}
JOBS = 1
OUT = Path("study")
"""


@pytest.fixture(scope="module")
def stored() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def kernel_manager(folder: Path) -> AsyncKernelManager:
    """A kernel in this very Python, whatever kernels are installed on the machine."""
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    source = str(REPOSITORY / "src")
    spec.write_text(
        json.dumps({
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
            "env": {
                "PYTHONPATH": os.pathsep.join(
                    filter(None, [source, os.environ.get("PYTHONPATH")])
                ),
                "IPYTHONDIR": str(folder / "ipython"),
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                "OMP_NUM_THREADS": "1",
            },
        })
    )  # fmt: skip
    return AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder / "kernels")]),
        connection_file=str(folder / "connection.json"),
    )


@pytest.fixture(scope="module")
def executed(stored: NotebookNode, tmp_path_factory) -> tuple[NotebookNode, Path]:
    """The notebook with its outputs, and the folder that it ran in; a cell's error is an error."""
    notebook = nbformat.from_dict(stored)
    (parameters,) = tagged(notebook, "parameters")
    parameters.source = REDUCED
    folder = tmp_path_factory.mktemp("notebook")
    here = folder / "here"
    here.mkdir()
    client = NotebookClient(
        notebook,
        km=kernel_manager(folder),
        timeout=CELL_TIMEOUT_S,
        startup_timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(here)}},
    )
    # cleanup_kc: a kernel of a manager that is handed in is left running otherwise
    return client.execute(cleanup_kc=True), here


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def assigned(source: str) -> set[str]:
    """Names that a cell's top level assigns."""
    return {
        target.id
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


SHOWN_AS = ("plain", "markdown")


def text_of(notebook: NotebookNode) -> str:
    """All that the cells print or show as text."""
    texts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            shown = output.get("data", {})
            texts += [output.get("text", ""), *(shown.get(f"text/{t}", "") for t in SHOWN_AS)]
    return "\n".join(texts)


def pictures(notebook: NotebookNode, cell_id: str) -> int:
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


# ---------------------------------------------------------------- as it is stored


def test_it_is_a_valid_notebook_whose_cells_have_ids_of_their_own(stored) -> None:
    nbformat.validate(stored)
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids) > 20


def test_it_is_stored_without_outputs_so_that_a_change_can_be_read(stored) -> None:
    for cell in code_cells(stored):
        assert cell.outputs == [], f"clear the outputs of cell '{cell.id}' before you commit"
        assert cell.execution_count is None, f"clear the count of cell '{cell.id}'"
        assert set(cell.metadata) <= {"tags"}, f"cell '{cell.id}' keeps an editor's metadata"
    # Not the version of whoever ran it last.
    assert stored.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_its_first_cell_says_so(stored) -> None:
    assert stored.cells[0].cell_type == "markdown"
    assert "stored without outputs" in stored.cells[0].source.replace("\n", " ")


def test_the_first_code_cell_holds_what_a_reader_may_shorten(stored) -> None:
    (parameters,) = tagged(stored, "parameters")
    assert parameters is code_cells(stored)[0]
    names = assigned(parameters.source)
    assert names == {"SEEDS", "EPOCHS", "MODELS", "SETTINGS", "JOBS", "OUT"}
    assert assigned(REDUCED) == names  # or the test would leave one at its default


def test_its_defaults_are_those_of_a_study(stored) -> None:
    from ostinato.study.config import StudyConfig

    (parameters,) = tagged(stored, "parameters")
    values: dict[str, object] = {}
    exec(parameters.source, values)
    default = StudyConfig()
    assert (values["SEEDS"], values["MODELS"]) == (default.seeds, default.models)
    assert (values["SETTINGS"], values["EPOCHS"]) == (default.settings, None)


# ---------------------------------------------------------------- as it runs


def test_it_runs_from_the_first_cell_to_the_last(executed) -> None:
    notebook, _ = executed
    assert all(cell.execution_count is not None for cell in code_cells(notebook))
    kinds = {output.output_type for cell in code_cells(notebook) for output in cell.outputs}
    assert "error" not in kinds


def test_it_warns_of_nothing(executed) -> None:
    """A warning in red is the first thing a student would see."""
    notebook, _ = executed
    red = "".join(
        output.text
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.get("name") == "stderr"
    )
    assert "Warning" not in red


def test_its_outputs_hold_the_results_of_the_study(executed) -> None:
    from ostinato.study.report import headline
    from ostinato.study.results import read_results

    notebook, here = executed
    results = read_results(here / "study")
    parts = results.split.folds[0].parts
    assert [parts[name].n for name in ("train", "valid", "test")] == [442, 197, 290]
    text = text_of(notebook)
    assert headline(results) in text
    assert len(results.models) == 3
    for model in results.models.values():
        assert model.label in text
        assert f"{100 * model.accuracy('test').mean:.1f}%" in text
        assert f"{model.parameters:,}" in text


def test_it_shows_the_shapes_and_faults_that_it_speaks_of(executed) -> None:
    text = text_of(executed[0])
    assert "| reggae | 100 | 22 | 0 | Bob Marley | 35 |" in text
    assert "LeakError: 'disco.00099' (train) and 'disco.00098' (valid)" in text
    assert "| valid | 197 |" in text
    assert "| test | 290 |" in text


def test_segments_split_at_random_look_better_than_they_are(executed) -> None:
    """What section 3 says in words must be what its table shows."""
    shares = dict(
        line.strip("| ").split(" | ")
        for line in text_of(executed[0]).splitlines()
        if line.startswith(("| nothing |", "| tracks |", "| artists |"))
    )
    nothing, tracks, artists = (
        int(shares[k].rstrip("%")) for k in ("nothing", "tracks", "artists")
    )
    assert nothing > tracks + 20 > artists + 30


@pytest.mark.parametrize(
    ("cell_id", "n"),
    [("draw-sound", 1), ("draw-genres", 1), ("curves", 2), ("confusion", 2), ("f1", 1)],
)
def test_it_draws_what_it_speaks_of(executed, cell_id: str, n: int) -> None:
    assert pictures(executed[0], cell_id) == n
