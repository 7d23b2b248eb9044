"""Python programs in a process of their own, which has imported nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import ostinato

SOURCE = Path(ostinato.__file__).parents[1]


def run(
    program: str,
    *arguments: str | Path,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> str:
    """What the program prints on stdout; it must end well. ``options`` are the interpreter's."""
    result = subprocess.run(
        [sys.executable, *options, "-c", program, *map(str, arguments)],
        env={**environment, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
