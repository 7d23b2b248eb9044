"""What ``--help`` prints: a sentence, examples to copy, then the rest, at any width."""

from __future__ import annotations

import inspect
from typing import Any

from rich.markup import escape
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

#: What stands for a value where the option does not say it.
_NUMBERS = {int: "N", float: "X"}


class Verb(TyperCommand):
    """A verb whose help is its docstring, laid out (:func:`laid_out`).

    What stands in brackets is text, no markup. A flag has no value, so none is shown.
    """

    def __init__(self, name: str | None, *, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        super().__init__(name, help=laid_out(help or ""), **settings)
        for param in self.params:
            if isinstance(param, TyperArgument | TyperOption):
                param.help = escape(param.help or "")
                param.metavar = param.metavar or _NUMBERS.get(param.type_descriptor.annotation)
            if isinstance(param, TyperOption) and param.is_flag:
                param.metavar = ""


class Verbs(TyperGroup):
    """The group of all verbs; its help is its docstring, laid out."""

    def __init__(self, *, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        super().__init__(help=laid_out(help or ""), **settings)


def laid_out(docstring: str) -> str:
    """Join the lines of each paragraph, but for examples, which stay a line each."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return escape(
        "\n\n".join(p if p.startswith("Examples:") else " ".join(p.split()) for p in paragraphs)
    )
