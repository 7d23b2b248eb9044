"""Shared by all tests: where the research data lies, and how to go without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real GTZAN frames and audio; tests that need it are skipped without it."""
    root = Path(os.environ.get("OSTINATO_SHARED", REPOSITORY.parent / "shared"))
    data = root / "data"
    if not data.is_dir():
        pytest.skip(f"no research data at {data} (set OSTINATO_SHARED to the folder that holds it)")
    return data
