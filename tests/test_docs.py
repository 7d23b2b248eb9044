"""The documentation: its links lead somewhere, and its lines fit a screen."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from ostinato.cli.main import app
from tests.helpers.slow import SLOW

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    *(
        REPOSITORY / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    ),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "src").rglob("*.md")),
]
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]

COLUMNS = 120


def test_pages_were_found() -> None:
    assert len(PAGES) > 12


@pytest.mark.parametrize("name", NAMES)
def test_no_relative_link_is_dead(name: str) -> None:
    page = REPOSITORY / name
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in relative if not (page.parent / target).exists()]


@pytest.mark.parametrize("name", NAMES)
def test_lines_fit_a_screen(name: str) -> None:
    """Rows of tables cannot be broken, and code stays as it is."""
    text = re.sub(
        r"^```.*?^```", "", (REPOSITORY / name).read_text(encoding="utf-8"), flags=re.M | re.S
    )
    prose = [line for line in text.splitlines() if not line.startswith("|")]
    assert not [line for line in prose if len(line) > COLUMNS]


def test_every_command_can_be_typed_as_it_stands() -> None:
    """What README says is run as well, by test_readme.py; all others are taken by the parser."""
    verbs = typer.main.get_command(app).commands
    n_typed = 0
    for page in [*PAGES, *(REPOSITORY / "examples").rglob("README.md")]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for call in re.findall(r"^(?:.*[|&;] )?ostinato ([^|&;\n]+)", block, re.MULTILINE):
                verb, *words = shlex.split(call.partition(" > ")[0], comments=True)
                try:
                    verbs[verb].make_context(verb, words)
                except Exception as error:
                    raise AssertionError(f"{page.name}: ostinato {call}: {error}") from error
                n_typed += 1
    assert n_typed > 80


def test_pages_that_the_source_names_exist() -> None:
    named = {
        path
        for folder in ("src", "studies", "scripts", "benchmarks")
        for file in (REPOSITORY / folder).rglob("*")
        if file.suffix in (".py", ".toml", ".md", ".j2")
        for path in re.findall(r"\bdocs/[\w/-]+\.\w+", file.read_text(encoding="utf-8"))
    }
    assert "docs/reference/results.md" in named
    assert not [path for path in named if not (REPOSITORY / path).is_file()]


def test_files_that_say_where_to_change_what_exist() -> None:
    text = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.partition("## Where do I change")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| ", table, re.M)) > 20
    paths = re.findall(r"`([\w/]+(?:\.py|/))`", table)
    homes = (REPOSITORY / "src" / "ostinato", REPOSITORY)
    assert not [path for path in paths if not any((home / path).exists() for home in homes)]


def test_what_is_entered_as_slow_exists() -> None:
    """A test that is renamed would else come back into `make check` unseen."""
    for entry in SLOW:
        path, *names = entry.split("::")
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        assert all(re.search(rf"\b{name}\b", text) for name in names), entry
