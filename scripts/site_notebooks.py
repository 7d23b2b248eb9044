"""Stored notebooks as pages of the site: Markdown, and the pictures and sounds that it shows.

Nothing is executed. The code of a cell with the tag ``folded`` is shown on demand.
"""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

_SUFFIXES = {"image/png": "png", "image/svg+xml": "svg", "audio/mpeg": "mp3"}
_PLAYER = re.compile(r'<source src="data:(audio/\w+);base64,([^"]+)"')


def page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its files by name, which lie beside the page.

    Raises
    ------
    ValueError
        If a cell shows what the site cannot.
    """
    parts: list[str] = []
    files: dict[str, bytes] = {}
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(source)
            continue
        code = _fenced(source, "python")
        if "folded" in cell["metadata"].get("tags", ()):
            what = cell["id"].replace("-", " ")
            code = f"<details markdown><summary>Code: {what}</summary>\n\n{code}\n\n</details>"
        parts.append(code)
        for number, output in enumerate(cell["outputs"]):
            shown, file = _shown(output, f"{notebook.stem}-{cell['id']}-{number}")
            parts.append(f'<div class="output" markdown>\n\n{shown}\n\n</div>')
            files |= file
    return "\n\n".join(parts), files


def _shown(output: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """One output as Markdown, and the file that it needs."""
    if output["output_type"] == "stream":
        return _fenced("".join(output["text"]).strip("\n"), "text"), {}
    data = {kind: "".join(text) for kind, text in output["data"].items()}
    about = output["metadata"]
    if "image/png" in data:
        facts, file = about["image/png"], f"{name}.png"
        alt = html.escape(facts["alt"])
        shown = f'<img src="{file}" alt="{alt}" width="{facts["width"]}" loading="lazy">'
        return shown, {file: base64.b64decode(data["image/png"])}
    if player := _PLAYER.search(data.get("text/html", "")):
        kind, sound = player.groups()
        file = f"{name}.{_SUFFIXES[kind]}"
        label = html.escape(about["text/html"]["alt"])
        return f'<audio controls src="{file}" aria-label="{label}"></audio>', {
            file: base64.b64decode(sound)
        }
    if "text/markdown" in data:
        return data["text/markdown"], {}
    if set(data) == {"text/plain"}:
        return _fenced(data["text/plain"], "text"), {}
    raise ValueError(f"{name}: expected text, Markdown, PNG or MP3, got {', '.join(data)}.")


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
