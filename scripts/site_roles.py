"""Roles of Sphinx in docstrings, as code: ``:func:`~a.b.c``` becomes ``c``, ``a.b.c`` stays so."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:[a-z]+):`(~?)([^`]+)`")


class Roles(griffe.Extension):
    """Rewrites the docstrings that MkDocs shows (``mkdocs.yml``)."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_as_code, obj.docstring.value)


def _as_code(role: re.Match[str]) -> str:
    is_short, name = role.groups()
    return f"`{name.rpartition('.')[2] if is_short else name}`"
