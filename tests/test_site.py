"""The site of the documentation: whole, searched, and without a request to another host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ostinato.cli.main import app
from tests.helpers.browser import check_look, chromium, needs_chromium

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))
pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as ``make docs`` builds it: a dead link or a page outside the navigation fails."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_there_and_found_by_search(site: Path) -> None:
    pages = {path.relative_to(REPOSITORY / "docs") for path in (REPOSITORY / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page.with_suffix(".html")).exists()} == set()
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {page.with_suffix(".html").as_posix() for page in pages} <= found


def test_the_command_line_and_the_python_api_are_shown(site: Path) -> None:
    verbs = {command.callback.__name__ for command in app.registered_commands}
    shown = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert set(re.findall(r'id="ostinato-(\w+)"', shown)) == verbs
    assert "ostinato classify song.mp3" in shown
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("ostinato.classify", "ostinato.Classifier", "ostinato.study.run"):
        assert f'id="{name}"' in python
    assert not re.search(r":(func|class|meth|mod|attr|data):`", python)


def test_every_route_of_the_server_is_shown(site: Path) -> None:
    from site_http import document

    described = document()
    shown = (site / "reference" / "http.html").read_text(encoding="utf-8")
    routes = {
        f"{m.upper()} {path}" for path, methods in described["paths"].items() for m in methods
    }
    assert "POST /v1/classify" in routes
    assert set(re.findall(r"<h3[^>]*>((?:GET|POST) .*?)<", shown)) == routes
    for name, schema in described["components"]["schemas"].items():
        assert f'id="{name.lower()}"' in shown
        assert {key for key in schema["properties"] if f"<code>{key}</code>" not in shown} == set()


def test_notebooks_are_pages_with_their_pictures_and_sounds(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    notebooks = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    assert notebooks
    for notebook in notebooks:
        page = site / "notebooks" / f"{notebook.stem}.html"
        shown = re.findall(r'<(?:img|audio)\b[^>]* src="(.*?)"', page.read_text(encoding="utf-8"))
        assert shown
        assert [file for file in shown if not (page.parent / file).is_file()] == []
        assert f"notebooks/{notebook.stem}.html" in index


def test_a_link_to_what_is_no_page_is_words_alone(site: Path) -> None:
    shown = (site / "reference" / "results.html").read_text(encoding="utf-8")
    assert "The ledger" in shown or "ledger, with" in shown
    assert "[ledger]" not in shown
    assert "\0" not in shown


def test_no_figure_tears_its_paragraph(site: Path) -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    assert "<!-- figures: " in shown
    assert re.findall(r"<!-- figures: [^>]*--></p>", shown) == []


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe|link|source|video|audio)\b[^>]*(?:src|href)="(.*?)"'
    )
    styles = re.compile(r"(?:url\(|@import\s*)['\"]?(https?:)?//")
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert [url for url in loaded.findall(text) if "//" in url] == [], page
    for sheet in site.rglob("*.css"):
        assert not styles.search(sheet.read_text(encoding="utf-8")), sheet


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_pass_axe(site: Path, scheme: str) -> None:
    """Pages with links in text, pictures, tables and code; in both schemes."""
    with chromium() as browser:
        for page in ("understand/networks", "contribute/style"):
            seen = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 900})
            seen.goto((site / f"{page}.html").as_uri())
            seen.wait_for_timeout(300)
            check_look(seen)
