"""The terminal: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)  # fmt: skip

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


def check_format(name: str, known: Sequence[str] = ("table", "json")) -> None:
    """Refuse a --format that a verb does not have.

    Raises
    ------
    UsageError
    """
    if name not in known:
        *others, last = known
        raise UsageError(f"Expected --format {', '.join(others)} or {last}, got '{name}'.")


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
        TextColumn("[bold]{task.fields[unit]}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("", total=None, unit=unit, start=True)

        def step(done: int, total: int, what: str) -> None:
            if bar.tasks[0].total not in (None, total):
                bar.reset(task)
            bar.update(task, completed=done, total=total, description=what)

        yield step
