"""A thousand damaged files: none crashes, hangs or fills the memory; each is heard or refused.

In a process of its own, which a crash would end: see ``benchmarks/damaged.py``, which can be run
with other seeds and more files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ostinato
from tests.conftest import REPOSITORY

N_FILES = 1000


def test_a_thousand_damaged_files_are_heard_or_refused(tmp_path: Path) -> None:
    shared = Path(os.environ.get("OSTINATO_SHARED", REPOSITORY.parent / "shared"))
    result = subprocess.run(
        [
            sys.executable,
            str(REPOSITORY / "benchmarks" / "damaged.py"),
            f"--files={N_FILES}",
            # Without it, those that the writers of the formats make are damaged.
            f"--library={shared / 'data' / 'library'}",
        ],
        env=os.environ
        | {"PYTHONPATH": str(Path(ostinato.__file__).parents[1]), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""  # no file went wrong, and no decoder talks past us
    assert result.returncode == 0
    columns, *rows = [line.split() for line in result.stdout.splitlines()[:-1]]
    assert len(rows) == 6
    for name, *numbers in rows:
        count = dict(zip(columns, map(int, numbers), strict=True))
        # Every kind of damage does damage, and not so much that nothing is left to read.
        assert count["heard"] > N_FILES // 50, name
        assert count["refused"] > N_FILES // 50, name
        of_all = N_FILES if name == "all" else N_FILES // 5
        assert count["heard"] + count["refused"] == of_all
        assert sum(count.values()) == of_all  # nothing in the other columns
    assert not list(tmp_path.iterdir())
