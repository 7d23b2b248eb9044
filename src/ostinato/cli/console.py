"""The terminal of the command line: output, messages, and progress where a person watches."""

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
    """Keep NumPy's products on one thread each; to be called before NumPy is imported.

    Those of the frames are small: threads that help with them cost more than they do, half of the
    processor's time of a whole file, and files are heard several at a time anyway. Whoever has set
    a number keeps it.
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


def listed(names: str | None) -> tuple[str, ...] | None:
    """Split an option's names, separated by commas; None stays None."""
    return None if names is None else tuple(name.strip() for name in names.split(","))


def write_line(line: str) -> None:
    """Write a line for a program on stdout, at once: whoever reads the pipe need not wait."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar on stderr, or None where nobody watches."""
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
            bar.update(task, completed=done, total=total, description=what)

        yield step
