"""What the source can say: its strings, in which ``...`` stands for what is filled in."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import ostinato

SOURCE = Path(ostinato.__file__).parent


def said(folder: Path = SOURCE) -> list[str]:
    """All strings in the Python files of a folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def is_said(sentence: str, source: list[str]) -> bool:
    """Whether one string of the source holds the parts of a sentence between ``...``, in order."""
    parts = sentence.split("...")

    def holds(text: str) -> bool:
        at = 0
        for part in parts:
            at = text.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return True

    return any(map(holds, source))


def first_cells(page: str, heading: str) -> list[str]:
    """First cells of the rows of a page's tables whose first column is so headed."""
    tables = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|-.*\n((?:\|.*\n)+)", page, re.M)
    return [row[2:].partition(" | ")[0] for table in tables for row in table.splitlines()]
