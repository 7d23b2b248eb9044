"""The Python code of documentation's pages, run as it stands."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any


def ran(page: str) -> tuple[dict[str, Any], str]:
    """The names that a page's code makes, block after block, and what it prints."""
    made: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for code in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
            exec(code, made)
    return made, printed.getvalue()
