"""Shared by all tests: where the research data lies, and how to go without it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers.slow import SLOW

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and rich keeps the width it starts with

for chosen in ("OSTINATO_MODEL", "OSTINATO_DEVICE"):  # by whoever runs the tests, for other things
    os.environ.pop(chosen, None)

# The same examples in every run, so that what is green stays so; others are drawn by
# pytest --hypothesis-profile default.
hypothesis.settings.register_profile("the same", derandomize=True, database=None)
hypothesis.settings.load_profile("the same")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    # Files with slow tests begin: one that began last would run alone, while other cores wait.
    with_slow = {entry.partition("::")[0] for entry in SLOW}
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in with_slow)


@pytest.fixture(scope="session", autouse=True)
def no_settings(tmp_path_factory) -> Iterator[Path]:
    """The user's folder for settings is one that is not there, so the default is what ships."""
    folder = tmp_path_factory.getbasetemp() / "settings"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(folder))
        yield folder


@pytest.fixture(autouse=True)
def no_settings_left(no_settings: Path) -> Iterator[None]:
    """A model that a test makes the default is that test's alone."""
    yield
    shutil.rmtree(no_settings, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real GTZAN frames and audio; tests that need it are skipped without it."""
    root = Path(os.environ.get("OSTINATO_SHARED", REPOSITORY.parent / "shared"))
    data = root / "data"
    if not data.is_dir():
        pytest.skip(f"no research data at {data} (set OSTINATO_SHARED to the folder that holds it)")
    return data


@pytest.fixture
def data_home(monkeypatch, tmp_path) -> Path:
    """A user's data folder, empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(folder))
    return folder


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Run the command line in a folder of its own; gives (status, stdout, stderr)."""
    from ostinato.cli import main as cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return (left.value.code or 0), captured.out, captured.err

    return run
