"""Runs the notebooks and stores them with their outputs: ``make notebooks``.

::

    python scripts/run_notebooks.py                       # all of notebooks/, at full settings
    python scripts/run_notebooks.py gtzan_study           # one of them

A stored notebook carries the digest of the code that its outputs belong to;
``tests/test_notebooks.py`` fails where the code has changed since.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "notebooks"

CELL_TIMEOUT_S = 1200
MOST_BYTES = 1 << 20


def notebooks() -> dict[str, NotebookNode]:
    """Every notebook as it is stored, by its name."""
    return {
        path.stem: nbformat.read(path, as_version=nbformat.NO_CONVERT)
        for path in sorted(FOLDER.glob("*.ipynb"))
    }


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook: NotebookNode) -> NotebookNode:
    """The cell of the settings that a reader may change."""
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    return cell


def digest(notebook: NotebookNode) -> str:
    """What the outputs depend on: the code, cell by cell."""
    code = "\0".join(cell.source for cell in code_cells(notebook))
    return hashlib.sha256(code.encode()).hexdigest()


def complaints(notebook: NotebookNode) -> list[str]:
    """What is wrong with the outputs, a sentence each."""
    cells, found = code_cells(notebook), []
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("not every cell has been run, in order")
    if notebook.metadata.get("ostinato", {}).get("digest") != digest(notebook):
        found.append("the code has changed since its outputs were made")
    for cell in cells:
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell '{cell.id}' has an error or a warning")
            seen_or_heard = {"image/png", "text/html"} & set(output.get("data", {}))
            if any(not output.metadata.get(kind, {}).get("alt") for kind in seen_or_heard):
                found.append(f"cell '{cell.id}' shows something without a text alternative")
    text = nbformat.writes(notebook)
    if len(text.encode()) > MOST_BYTES:
        found.append(f"it is larger than {MOST_BYTES >> 10} kB")
    if str(REPOSITORY) in text:
        found.append("its outputs name a folder of this machine")
    return found


def execute(given: Mapping[str, NotebookNode], scratch: Path, *, inside: Path) -> None:
    """Run notebooks one after the other, in one kernel of this very Python.

    Parameters
    ----------
    scratch : Path
        An empty folder for the kernel's files.
    inside : Path
        The working directory of the cells.
    """
    asyncio.run(_execute(given, scratch, inside))


async def _execute(given: Mapping[str, NotebookNode], scratch: Path, inside: Path) -> None:
    client = NotebookClient(
        NotebookNode(),
        km=_kernel_manager(scratch),
        timeout=CELL_TIMEOUT_S,
        startup_timeout=CELL_TIMEOUT_S,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(inside)}},
    )
    # cleanup_kc: a kernel of a manager that is handed in is left running otherwise
    async with client.async_setup_kernel(cleanup_kc=True):
        for notebook in given.values():
            forget = nbformat.v4.new_code_cell("%reset -f")
            client.nb = nbformat.v4.new_notebook(cells=[forget])
            await client.async_execute_cell(forget, 0)
            client.nb = notebook
            client.reset_execution_trackers()
            for index, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, index)
            _tidy(notebook)


def _kernel_manager(scratch: Path) -> AsyncKernelManager:
    """A kernel in this Python, whatever kernels are installed on the machine."""
    spec = scratch / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    paths = filter(None, [str(REPOSITORY / "src"), os.environ.get("PYTHONPATH")])
    environment = {
        "PYTHONPATH": os.pathsep.join(paths),
        "IPYTHONDIR": str(scratch / "ipython"),
        "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # without a home, matplotlib warns in the kernel
    }
    command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR"]
    command += ["-f", "{connection_file}"]
    kernel = {"argv": command, "display_name": "Python 3", "language": "python"}
    spec.write_text(json.dumps(kernel | {"env": environment}), encoding="utf-8")
    return AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(scratch / "kernels")]),
        connection_file=str(scratch / "connection.json"),
    )


def _tidy(notebook: NotebookNode) -> None:
    """Number the cells from 1, and keep nothing of the machine or of the time it took."""
    for number, cell in enumerate(code_cells(notebook), 1):
        cell.execution_count = number
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        ostinato={"digest": digest(notebook)},
    )


def main(names: Sequence[str]) -> int:
    from tempfile import TemporaryDirectory

    found = notebooks()
    for name in names or found:
        print(f"notebooks/{name}.ipynb", flush=True)
        with TemporaryDirectory() as scratch:
            execute({name: found[name]}, Path(scratch), inside=REPOSITORY)
        if wrong := complaints(found[name]):
            print(f"Not stored: {'; '.join(wrong)}.", file=sys.stderr)
            return 1
        nbformat.write(found[name], FOLDER / f"{name}.ipynb")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
