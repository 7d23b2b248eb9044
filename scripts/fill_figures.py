"""Fills the figures of the documentation from small result files.

::

    python scripts/fill_figures.py                     # fill every block of every page
    python scripts/fill_figures.py --check             # only name the pages that are out of date
    python scripts/fill_figures.py --keep runs/gtzan   # a study -> studies/results/gtzan.json
    python scripts/fill_figures.py --keep-output levels python benchmarks/levels.py

``--keep`` takes what the pages need from ``results.json`` (a study) or ``table.json`` (a study with
variants), ``--keep-output`` takes what a command prints. Both note the command, the commit and the
day. A page marks a block with two comments::

    <!-- figures: gtzan terminal -->
    ...
    <!-- end -->

The first names a result file (or the path of any JSON file) and a view of :data:`VIEWS`. Around one
figure the comments stand within a line. The name ``code`` is for what code counts, from no file.
``tests/test_figures.py`` fails where a page and its file differ.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figure_views import RECORDS, REPOSITORY, FiguresError, render

CARD = "src/ostinato/weights/README.md"

#: Tables below these headings need no block: nothing that can be run now prints them.
EXEMPT = (
    "Figures of earlier versions",
    "Prototype trials (no command)",
    "Published figures",
    "Speed of one machine",
)

_BLOCK = re.compile(r"(<!-- figures: (?P<what>[^\n]*?) -->)(?P<body>.*?)(<!-- end -->)", re.S)
#: A share or a score: not a size or a time, which are the machine's.
_FIGURE = re.compile(r"\d\.\d+(?!\d*\s?(?:[kM]B|m?s|k?Hz)\b)|\d\s?%")


def pages(root: Path = REPOSITORY) -> list[Path]:
    """The pages whose tables of figures must stand in blocks."""
    folders = [root / "docs" / name for name in ("research", "reference", "understand")]
    found = [
        root / name for name in ("README.md", CARD, "docs/guide/models.md", "docs/guide/musicnn.md")
    ]
    found += [page for folder in folders for page in sorted(folder.rglob("*.md"))]
    return [page for page in found if page.is_file()]


# Blocks of a page.


@dataclass(frozen=True)
class Block:
    """A marked stretch of a page: what its first comment says, and what stands in it."""

    what: str
    body: str

    @classmethod
    def of(cls, match: re.Match[str]) -> Block:
        """The block that :data:`_BLOCK` found."""
        return cls(match["what"], match["body"])

    @property
    def name(self) -> str:
        """The record that it is filled from, or ``code``."""
        return self.what.split()[0] if self.what.strip() else ""

    def due(self, root: Path = REPOSITORY) -> str:
        """What should stand in it; FiguresError if that cannot be told."""
        own_lines = "\n" if self.body.startswith("\n") else ""
        return f"{own_lines}{render(self.what, root)}{own_lines}"


def blocks(text: str) -> list[Block]:
    """The blocks of a page, in order; FiguresError where one does not end."""
    found = [Block.of(match) for match in _BLOCK.finditer(text)]
    if len(found) != text.count("<!-- figures:") or any("<!-- figures:" in b.body for b in found):
        raise FiguresError("a block of figures has no <!-- end -->")
    return found


def filled(text: str, root: Path = REPOSITORY) -> str:
    """A page's text with every block filled; FiguresError names a block that cannot be."""
    blocks(text)  # each has an end
    return _BLOCK.sub(lambda match: f"{match[1]}{Block.of(match).due(root)}{match[4]}", text)


def strays(text: str) -> list[str]:
    """First lines of tables and printed output with figures, outside blocks and exempt headings."""
    found, exempt_at, fence, table = [], 0, False, False
    for line in _BLOCK.sub("", text).splitlines():
        if line.startswith("```"):
            fence, table = not fence, False
        elif not fence and (heading := re.match(r"(#+) (.*)", line)):
            level = len(heading[1])
            if exempt_at == 0 or level <= exempt_at:
                exempt_at = level if heading[2] in EXEMPT else 0
        table &= line.startswith("|") or fence
        inside = line.startswith("|") or (fence and not re.search(r"#|ostinato |=", line))
        if inside and not table and not exempt_at and _FIGURE.search(line):
            found.append(line)
            table = True
    return found


# Records.


def keep(folder: Path, command: str) -> dict[str, Any]:
    """The record of a finished study, or of one with variants."""
    from ostinato.study.results import RESULTS
    from ostinato.study.sweep import TABLE

    kept = {"results": RESULTS, "table": TABLE}
    for key, file in kept.items():
        if (folder / file).is_file():
            found = json.loads((folder / file).read_text(encoding="utf-8"))
            (_slim_study if key == "results" else _slim_sweep)(found)
            return _stamp(command) | {key: found}
    raise FiguresError(f"Expected {' or '.join(kept.values())} in {folder}, got neither.")


def keep_output(command: Sequence[str]) -> dict[str, Any]:
    """The record of what a command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return _stamp(shlex.join(command)) | {"output": done.stdout}


def _slim_study(found: dict[str, Any]) -> None:
    """Leave out what no page shows, and what makes ``results.json`` large."""
    for model in found["models"].values():
        model["runs"] = []
        model.pop("gradient_norms", None)
        for name in ("confidence", "ensemble_confidence"):
            if model[name]:
                model[name]["reliability"] = []
                model[name]["risk_coverage"] |= {"coverage": [], "risk": []}


def _slim_sweep(found: dict[str, Any]) -> None:
    for row in found["rows"]:
        row["gradient_norms"] = None


def _stamp(command: str) -> dict[str, Any]:
    return {"command": command, "commit": _commit(), "kept": f"{datetime.now(UTC):%Y-%m-%d}"}


def _commit() -> str:
    """The commit of the code, ``-dirty`` where modules differ from it."""
    commit, changed = (
        subprocess.run(
            ["git", *command], check=True, capture_output=True, text=True, cwd=REPOSITORY
        )
        for command in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "src"))
    )
    return commit.stdout.strip() + ("-dirty" if changed.stdout else "")


def stale(root: Path = REPOSITORY) -> Iterator[tuple[Path, str]]:
    """Pages that differ from their result files, with the text that they should have."""
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        if (now := filled(text, root)) != text:
            yield page, now


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Fills the blocks of figures in the documentation."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is stale")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of a finished study")
    parser.add_argument("--as", dest="name", help="name of the record; else that of the folder")
    parser.add_argument("--command", help="else: ostinato study studies/NAME.toml --out runs/NAME")
    parser.add_argument("--keep-output", nargs=argparse.REMAINDER, metavar="NAME COMMAND")
    asked = parser.parse_args(arguments)
    try:
        if asked.keep:
            name = asked.name or asked.keep.name
            command = asked.command or f"ostinato study studies/{name}.toml --out runs/{name}"
            _write(name, keep(asked.keep, command))
        elif asked.keep_output:
            name, *command = asked.keep_output
            _write(name, keep_output(command))
        found = list(stale(REPOSITORY))
    except (FiguresError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    for page, text in found:
        print(f"{page.relative_to(REPOSITORY)}: {'out of date' if asked.check else 'filled'}")
        if not asked.check:
            page.write_text(text, encoding="utf-8")
    return int(asked.check and bool(found))


def _write(name: str, record: dict[str, Any]) -> None:
    path = REPOSITORY / RECORDS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
