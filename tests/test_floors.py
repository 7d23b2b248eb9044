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
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ostinato
from tests.helpers.programs import run

PACKAGE = Path(ostinato.__file__).parent

DESIGN = Path(__file__).parents[1] / "docs" / "design.md"

#: From the ground up, as docs/design.md says it: a package may import those before it.
FLOORS = (
    "ostinato",
    *re.search(r"```floors\n(.*?)```", DESIGN.read_text(encoding="utf-8"), re.S)[1].split(),
)

#: What is installed with ``ostinato[train]`` alone; all else must start in a fraction of a second.
LEARNING = ("models", "training", "study")
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
        """A new package is put into docs/design.md, above all that it imports."""
        assert len(SOURCES) > 30  # the source was found
        assert {floor(module) for module in SOURCES} <= {*FLOORS, "__main__"}

    @pytest.mark.parametrize("module", SOURCES)
    def test_no_import_runs_upwards(self, module: str) -> None:
        if module in ("ostinato", "ostinato.__main__"):
            # Always open; what listens only when it is asked for, by __getattr__.
            names = {"errors", "inference"} if module == "ostinato" else {"cli"}
            assert {floor(name) for name in IMPORTS[module]} <= names
            return
        height = FLOORS.index(floor(module))
        assert not [name for name in IMPORTS[module] if FLOORS.index(floor(name)) > height]

    def test_the_house_has_at_most_eleven_packages_and_seven_modules(self) -> None:
        inside = [p for p in PACKAGE.iterdir() if p.name not in ("weights", "__pycache__")]
        assert 4 <= sum(p.is_dir() for p in inside) <= 11
        assert 3 <= sum(p.suffix == ".py" for p in inside) <= 7

    def test_no_module_is_private_and_none_is_long(self) -> None:
        """A package's ``__init__`` is its wall; what lies inside needs no underscore."""
        assert not [m for m in SOURCES if re.search(r"\._(?!_)", m)]
        lengths = [len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES.values()]
        assert max(lengths) <= 400
        assert sorted(lengths)[len(lengths) // 2] <= 200

    def test_no_module_imports_itself_by_way_of_others(self) -> None:
        """Also within a package, where the floors say nothing."""
        graphlib.TopologicalSorter(IMPORTS).prepare()

    def test_imports_are_read_as_they_are_meant(self) -> None:
        """The reader above, on each form of an import that there is."""
        source = """
import ostinato.audio.load
from ostinato import __version__, storage
from ostinato.datasets import gtzan
from . import layers
from .lstm import LSTMClassifier
def later():
    from ostinato.errors import DataError
import numpy
"""
        assert imports("ostinato.models", ast.parse(source)) == {
            "ostinato",
            "ostinato.audio.load",
            "ostinato.storage",
            "ostinato.datasets.gtzan",
            "ostinato.models.layers",
            "ostinato.models.lstm",
            "ostinato.errors",
        }


#: ``python -m ostinato`` runs where it is imported.
#: FastAPI's routes are made of pydantic; a server's workers start while it is imported.
SERVING = ("ostinato.server.app", "ostinato.server.schemas")
LIGHT = tuple(m for m in SOURCES if floor(m) not in (*LEARNING, "__main__") and m not in SERVING)


class TestListeningWing:
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
from ostinato.cli.main import main
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
        """``python -m ostinato`` is what the installed command runs."""
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "ostinato", "--help"],
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
from ostinato.cli.main import main
try:
    main(["study"])
except SystemExit as end:
    print(end.code)
"""
        assert run(program).split() == ["1"]
