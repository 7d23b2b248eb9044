"""The terminal: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ostinato.errors import UsageError

INTERRUPTED = 130  # exit status after Ctrl-C

output = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


def one_blas_thread() -> None:
    """Keep NumPy's matrix products on one thread; to be called before NumPy is imported.

    The products that compute frames are small: more threads would cost half of the processor's
    time for a file, and files are classified in parallel anyway. A number set by the user stays.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")


def format_of(*known: str) -> Callable[[str], str]:
    """Make the check of --format in a verb that knows these."""

    def check(name: str) -> str:
        if name not in known:
            *others, last = known
            raise UsageError(f"Expected --format {', '.join(others)} or {last}, got '{name}'.")
        return name

    return check


# Options that several verbs have.
Format = Annotated[
    str,
    typer.Option(
        "--format", callback=format_of("table", "json"), help="table for people, json for programs."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="A model that ships (see ostinato models), musicnn once fetched, or an ONNX file."
    ),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for the frames of audio files between calls.")
]
Jobs = Annotated[
    int | None, typer.Option(help="Files or trainings at a time. By default one per core.", min=1)
]


def tell(sentence: str) -> None:
    """Print a message for people on stderr."""
    messages.print(sentence, soft_wrap=True, markup=False)


def listed(names: str | None) -> tuple[str, ...] | None:
    """Split an option's names, separated by commas; None stays None."""
    return None if names is None else tuple(name.strip() for name in names.split(","))


def write_line(line: str) -> None:
    """Write a line for a program on stdout and flush it, so that a pipe's reader need not wait."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar on stderr, None if that is no terminal; a new total restarts the clock."""
    if not messages.is_terminal:
        yield None
        return
    columns = (
        "[bold]{task.fields[unit]}", BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), "{task.description}",
    )  # fmt: skip
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("", total=None, unit=unit, start=True)

        def step(done: int, total: int, what: str) -> None:
            if bar.tasks[0].total not in (None, total):
                bar.reset(task)
            bar.update(task, completed=done, total=total, description=what)

        yield step
