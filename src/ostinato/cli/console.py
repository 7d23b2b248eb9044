"""The terminal: results on stdout, messages and progress on stderr.

All that is printed passes here. Names of files, genres and models are a user's text, to which
brackets, colons and control characters belong: nothing in it is markup or a command to a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from ostinato.errors import UsageError
from ostinato.storage import printable

INTERRUPTED = 130  # exit status after Ctrl-C


class PlainConsole(Console):
    """A console to which all text is data: without markup, emoji names and control characters."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        self.above: Console | None = None  # a bar's, on the same terminal: it moves out of the way

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, above the bar if there is one."""
        (self.above.print if self.above else super().print)(*objects, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render to segments, whose text commands nothing; what moves the cursor is rich's own."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, keep="\n"), style, control)


output = PlainConsole()
messages = PlainConsole(stderr=True)


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


def _known_backend(backend: str) -> str:
    from ostinato.parallel import is_cluster  # only where it is asked for: it takes a while

    if backend != "processes":
        is_cluster(backend)
    return backend


# Options that several verbs have.
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="table|json",
        callback=format_of("table", "json"),
        help="table for people, json for programs.",
    ),
]
Collection = Annotated[
    str,
    typer.Argument(
        metavar="DIR|TABLE",
        help="A folder of audio with a folder per genre, or a table (.csv, .tsv) with the columns "
        "path and genre.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="A model that ostinato models lists, or an ONNX file. By default what OSTINATO_MODEL "
        "names, else what ostinato models --use chose, else default.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for the frames of audio files between calls. By default in the user's cache, "
        "such as ~/.cache/ostinato.",
    ),
]
Jobs = Annotated[
    int | None, typer.Option(help="Files or trainings at a time. By default one per core.", min=1)
]
Scheduler = Annotated[
    str,
    typer.Option(
        metavar="tcp://HOST:PORT",
        show_default=False,
        callback=_known_backend,
        help="Address of a Dask scheduler whose workers do the work (docs/guide/scale.md). By "
        "default this machine does it.",
    ),
]
Accelerator = Annotated[
    str,
    typer.Option(
        metavar="cpu|gpu|auto",
        help="Device for training: cpu, gpu (or its kind: cuda, mps), or auto, which says what it "
        "found. The default models are small: see docs/research/models.md.",
    ),
]


def tell(sentence: str) -> None:
    """Print a message for people on stderr, in one line."""
    messages.print(printable(sentence), soft_wrap=True)


def listed(names: str | None) -> tuple[str, ...] | None:
    """Split an option's names, separated by commas; None stays None."""
    return None if names is None else tuple(name.strip() for name in names.split(","))


def write_line(line: str) -> None:
    """Write a line for a program on stdout and flush it, so that a pipe's reader need not wait."""
    if sys.stdout.isatty():
        output.print(line, soft_wrap=True)
        return
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar on stderr, None if that is no terminal; a new total restarts the clock.

    What takes seconds to import is imported inside it: the bar is there from the start.
    """
    columns = (
        TextColumn(unit, style="bold", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with _bar(*columns) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("", total=None)

        def step(done: int, total: int, what: str) -> None:
            if bar.tasks[0].total not in (None, total):
                bar.reset(task)
            bar.update(task, completed=done, total=total, description=printable(what))

        yield step


@contextmanager
def transfers() -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on stderr for each step of a download, None if that is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with _bar(*columns) as bar:
        if bar is None:
            yield None
            return
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total or None)

        yield step


@contextmanager
def _bar(*columns: ProgressColumn) -> Iterator[Progress | None]:
    if not messages.is_terminal:
        yield None
        return
    # Rich would send to stderr what is written to stdout, also where that is a file.
    with Progress(*columns, console=messages, transient=True, redirect_stdout=False) as bar:
        output.above = messages if sys.stdout.isatty() else None
        try:
            yield bar
        finally:
            output.above = None
