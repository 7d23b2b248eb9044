"""Hooks of MkDocs (`make docs`): pages that are made of what is elsewhere in the repository.

Files outside ``docs/`` that pages link to become pages of the site: the help of every verb, the
Python API from its docstrings, cards, how to contribute, the changelog.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import site_notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from public_api import API
from site_http import routes

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))

#: Files of the repository that are pages of the site, by the place of the page.
ELSEWHERE = {
    "contribute/index.md": "CONTRIBUTING.md",
    "contribute/security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "guide/javascript.md": "examples/javascript/README.md",
    "guide/browser.md": "examples/browser/README.md",
    "research/card.md": "src/ostinato/weights/README.md",
    "research/data.md": "src/ostinato/datasets/data/README.md",
}

#: These, and notebooks with their outputs.
SOURCES = ELSEWHERE | {f"notebooks/{n.stem}.md": f"notebooks/{n.name}" for n in NOTEBOOKS}

#: Programs that such a page shows in full.
SHOWN = {"guide/javascript.md": "examples/javascript/classify.mjs"}

_ROUTES = re.compile("<!-- routes -->.*?<!-- end -->", re.S)
#: A comment at the start of a line would end the paragraph.
_AT_START = re.compile(r"^( *)<!-- figures: .*? -->(?=.*<!-- end -->)", re.M)
_NOWHERE = re.compile("\\[([^\\[\\]]*)\\]\0")  # what has no page is words alone
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {page: (REPOSITORY / source).read_text("utf-8") for page, source in ELSEWHERE.items()}
    for page, program in SHOWN.items():
        made[page] += f"\n```js\n{(REPOSITORY / program).read_text('utf-8')}```\n"
    made |= {"reference/cli.md": _command_line(), "reference/python.md": _python()}
    shown: dict[str, bytes] = {}
    for notebook in NOTEBOOKS:
        made[f"notebooks/{notebook.stem}.md"], its = site_notebooks.page(notebook)
        shown |= {f"notebooks/{name}": content for name, content in its.items()}
    for page, text in (made | shown).items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files of the repository to the pages made of them; leave others as code."""
    here = page.file.src_uri
    source = SOURCES.get(here, f"docs/{here}")
    if here == "reference/http.md":
        markdown = _ROUTES.sub(lambda _: routes(), markdown)
    prose = _CODE.split(_AT_START.sub(r"\1", markdown))  # every second part is code
    for i in range(0, len(prose), 2):
        prose[i] = _LINK.sub(lambda link: _led(link, source, here), prose[i])
    return _NOWHERE.sub(r"\1", "".join(prose))


def _led(link: re.Match[str], source: str, here: str) -> str:
    before, target, anchor, after = link.groups(default="")
    if re.match(r"[a-z]+:", target):
        return link[0]
    in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    pages = {file: page for page, file in SOURCES.items()} | {"README.md": "index.md"}
    page = pages.get(in_repository)
    if page is None and in_repository.startswith("docs/"):
        page = in_repository.removeprefix("docs/")
    if page is None:
        return f"]({REPOSITORY_URL}{in_repository}{anchor}{after}" if REPOSITORY_URL else "]\0"
    return before + posixpath.relpath(page, posixpath.dirname(here) or ".") + anchor + after


REPOSITORY_URL = ""


def _command_line() -> str:
    """Every verb's help, as ``--help`` prints it."""
    import typer
    from typer.testing import CliRunner

    from ostinato.cli.main import NAME, app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    runner = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"})
    parts = ["# The command line\n\nAs `--help` prints it.\n"]
    for verb in verbs:
        shown = runner.invoke(app, [verb, "--help"], prog_name=NAME).output
        parts.append(f"## ostinato {verb}\n\n```text\n{shown.strip()}\n```\n")
    return "\n".join(parts)


def _python() -> str:
    """The promised names of the package, from their docstrings."""
    parts = ["# Python\n\nThe names that [a version promises](versions.md). The rest may change.\n"]
    for title, names in API.items():
        parts.append(f"## {title}\n")
        parts += [f"::: {name}\n    options:\n      heading_level: 3\n" for name in names]
    return "\n".join(parts)
