"""The floors of the house: no import runs upwards, and the listening wing is free of torch.

Imports are read from the source, so that those inside functions count as well: an arrow that runs
up does so whenever it is followed.
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ostinato
from tests.helpers.programs import run

PACKAGE = Path(ostinato.__file__).parent

#: From the ground up. A module may import those before it, and the other modules of its package.
FLOORS = (
    "ostinato",  # names the errors, and holds the version
    "errors",
    "files",
    # the listening wing: a file becomes frames, frames become a verdict
    "_samples",
    "_decode",
    "audio",
    "_seek",
    "streams",
    "_pcm",
    "live",
    "_spectrum",
    "_featurespec",
    "features",
    "windows",
    "modelfile",
    "_onnxcheck",
    "modelgraph",
    "_musicnnwheel",
    "musicnn",
    "hearing",
    "verdict",
    "inference",
    "listen",
    # who learns, and who is examined
    "datasets",
    "splits",
    # beside splits: which recordings are the same, by their sound
    "_fingerprint",
    "_auditfiles",
    "audit",
    "_auditview",
    # the learning wing; training draws its curves with the metrics of evaluation
    "models",
    "evaluation",
    "training",
    "config",
    "runs",
    "results",
    "ledger",
    # The report reads the record of a study (a dictionary) and no code of it; the study has it
    # written, and so stands above it.
    "report",
    "study",
    "compare",
    "sweep",
    "export",
    # the command line: parses, calls, prints
    "console",
    "cli_listen",
    "cli_live",
    "cli_export",
    "cli_models",
    "cli",
)

#: What must start in a fraction of a second, and be installed without torch.
LIGHT = (
    "ostinato",
    "ostinato.errors",
    "ostinato.storage",
    "ostinato.audio.load",
    "ostinato.audio.file",
    "ostinato.audio.stream",
    "ostinato.features.frames",
    "ostinato.features.windows",
    "ostinato.inference.model_info",
    "ostinato.inference.model_file",
    "ostinato.inference.musicnn",
    "ostinato.inference.sampling",
    "ostinato.inference.verdict",
    "ostinato.inference.classifier",
    "ostinato.inference.live",
    "ostinato.datasets",
    "ostinato.datasets.corpus",
    "ostinato.datasets.gtzan",
    "ostinato.datasets.frame_cache",
    "ostinato.datasets.folder",
    "ostinato.datasets.augmented_copies",
    "ostinato.datasets.mel_npz",
    "ostinato.datasets.tag_npz",
    "ostinato.datasets.download",
    "ostinato.datasets.load",
    "ostinato.datasets.table",
    "ostinato.datasets.augment_audio",
    "ostinato.datasets.splits",
    "ostinato.datasets.splits.drawn",
    "ostinato.datasets.splits.file",
    "ostinato.datasets.splits.fold",
    "ostinato.datasets.splits.lists",
    "ostinato.datasets.splits.segments",
    "ostinato.datasets.audit.audit",
    "ostinato.evaluation.metrics",
    "ostinato.evaluation.significance",
    "ostinato.cli.console",
    "ostinato.cli.classify",
    "ostinato.cli.listen",
    "ostinato.cli.export",
    "ostinato.cli.models",
    "ostinato.cli.main",
)
HEAVY = (
    "torch",
    "lightning",
    "torchmetrics",
    "sklearn",
    "matplotlib",
    "jinja2",
    "pydantic",
    "safetensors",
    "tomli_w",
    "librosa",
    "audiomentations",
    "onnx",
    "onnxruntime",  # of the core, but only whoever loads a model waits for it
)
#: Typer reads options with pydantic, from its version 0.29 on: there it cannot be helped.
HEAVY_TO_PARSE = tuple(name for name in HEAVY if name != "pydantic")


def module_name(path: Path) -> str:
    parts = ("ostinato", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor(module: str) -> str:
    """The entry of FLOORS that a module belongs to: ``ostinato.models.lstm`` to ``models``."""
    return module.split(".")[1] if "." in module else module


def imports(module: str, tree: ast.AST) -> set[str]:
    """Modules of this package that the source of a module imports, wherever in it."""
    is_package = SOURCES[module].name == "__init__.py"
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module if is_package else module.rpartition(".")[0]
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            # "from ostinato import files" is the module files; "... import __version__" is not.
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in SOURCES else base for name in names}
    return {name for name in found if name in SOURCES and name != module}


IMPORTS = {
    module: imports(module, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    for module, path in SOURCES.items()
}


class TestFloors:
    def test_every_module_has_its_floor(self) -> None:
        """A new module is put into FLOORS, above all that it imports and below all who use it."""
        assert len(SOURCES) > 30  # the source was found
        assert {floor(module) for module in SOURCES} == set(FLOORS)

    @pytest.mark.parametrize("module", SOURCES)
    def test_no_import_runs_upwards(self, module: str) -> None:
        height = FLOORS.index(floor(module))
        if module == "ostinato":
            # Always open; what listens only when it is asked for, by __getattr__.
            assert IMPORTS[module] <= {"ostinato.errors", "ostinato.inference.classifier"}
            return
        upwards = [name for name in IMPORTS[module] if FLOORS.index(floor(name)) > height]
        assert not upwards

    def test_no_module_imports_itself_by_way_of_others(self) -> None:
        """Also within a package, where the floors say nothing."""
        graphlib.TopologicalSorter(IMPORTS).prepare()

    def test_imports_are_read_as_they_are_meant(self) -> None:
        """The reader above, on each form of an import that there is."""
        source = """
import ostinato.audio.load
from ostinato import __version__
from ostinato import storage as files
from ostinato.datasets import gtzan
from . import layers
from .lstm import LSTMClassifier
def later():
    from ostinato.errors import DataError
import numpy
"""
        assert imports("ostinato.models.registry", ast.parse(source)) == {
            "ostinato",
            "ostinato.audio.load",
            "ostinato.storage",
            "ostinato.datasets.gtzan",
            "ostinato.models.layers.normalisation",
            "ostinato.models.lstm",
            "ostinato.errors",
        }


class TestListeningWing:
    def test_all_that_listens_is_examined(self) -> None:
        """Whatever is below the learning wing, but for what another module stands for."""
        learning = FLOORS[FLOORS.index("models") : FLOORS.index("console")]
        # Above the models, but of NumPy alone.
        numeric = {"ostinato.evaluation.metrics", "ostinato.evaluation.significance"}
        private = {name for name in SOURCES if name.rpartition(".")[2].startswith("_")}
        expected = {name for name in SOURCES if floor(name) not in learning}
        assert set(LIGHT) == (expected | numeric) - private

    def test_importing_it_brings_in_nothing_heavy(self) -> None:
        """Torch alone would make every call of the command line seconds slower."""
        program = f"""
import importlib, json, sys
brought = {{}}
for module in {LIGHT}:
    importlib.import_module(module)
    for heavy in {HEAVY}:
        if heavy in sys.modules:
            brought.setdefault(heavy, module)
print(json.dumps(brought))
"""
        assert json.loads(run(program)) == {}  # heavy package: the first module that brought it

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["--version"],
            ["study", "--help"],
            ["fetch", "--help"],
            ["audit", "--help"],
            ["classify", "--help"],
            ["export", "--help"],
        ],
        ids=" ".join,
    )
    def test_asking_the_command_line_for_help_is_light(self, arguments: list[str]) -> None:
        program = f"""
import contextlib, io, sys
from ostinato.cli import main
with contextlib.redirect_stdout(io.StringIO()) as said:
    try:
        main({arguments})
        status = 0
    except SystemExit as end:
        status = end.code
assert not status, status
assert said.getvalue()
print(*(heavy for heavy in {HEAVY_TO_PARSE} if heavy in sys.modules))
"""
        assert run(program).split() == []

    def test_as_a_program(self) -> None:
        """``python -m ostinato.cli.main`` is what the installed command runs."""
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "ostinato.cli.main", "--help"],
            env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "study" in result.stdout
        imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
        assert "typer" in imported  # the list is one of imports
        assert not imported & set(HEAVY_TO_PARSE)

    def test_it_works_where_the_learning_wing_is_not_installed(self) -> None:
        """A core installation: GTZAN is loaded and split, and a study says what is missing."""
        program = f"""
import sys
sys.modules |= dict.fromkeys({HEAVY_TO_PARSE})
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import split_corpus
fold = split_corpus(load_gtzan(n_coefficients=1)).folds[0]
assert len(fold.test) == 290
from ostinato.cli import main
try:
    main(["study"])
except SystemExit as end:
    print(end.code)
"""
        assert run(program).split() == ["1"]
