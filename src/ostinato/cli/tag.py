"""The verb ``tag``: write genres into files, and take them back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ostinato.cli.console import (
    INTERRUPTED,
    Jobs,
    Model,
    Scheduler,
    format_of,
    one_blas_thread,
    output,
    progress,
    tell,
)
from ostinato.cli.tag_view import FolderTable, Summary, files, print_changes, print_runs
from ostinato.errors import OstinatoError, UsageError
from ostinato.storage import expanded, printable

if TYPE_CHECKING:
    from ostinato.tagging.change import HardLinks
    from ostinato.tagging.row import Row
    from ostinato.tagging.run import TagRun

_WHERE = "genre="


def _known_links(name: str) -> str:
    if name not in ("skip", "break", "in-place"):
        raise UsageError(f"Expected --hard-links skip, break or in-place, got '{name}'.")
    return name


def tag(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, and folders with all audio files in them. After --undo, the number of a "
            "run may come first.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the tags. Without it, nothing is changed.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace genres that files have, too.")
    ] = False,
    add: Annotated[bool, typer.Option("--add", help="Add to the genres that files have.")] = False,
    only_missing: Annotated[
        bool, typer.Option("--only-missing", help="Tag files without a genre. This is the default.")
    ] = False,
    min_probability: Annotated[
        float | None,
        typer.Option(metavar="P", help="Write genres of at least this probability (0 to 1)."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="At most so many genres a file. By default one."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="track|album",
            help="album: one verdict for the files of an album in a folder, the mean over them.",
        ),
    ] = "track",
    where: Annotated[
        str | None,
        typer.Option(
            metavar="genre=PATTERN",
            help="Only files whose genre is so: genre=Unknown, genre='*rock*', genre=empty.",
        ),
    ] = None,
    map_: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="FILE.toml",
            help="What genres are called in files: a file, none (as the model calls them), or "
            "players (Hip-Hop, R&B and so on).",
        ),
    ] = "players",
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Write model and probability in a field, too.")
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Listen to all of long files, not only to excerpts.")
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="table|csv|json|parquet",
            callback=format_of("table", "csv", "json", "parquet"),
            help="table for people; csv, json (a line a file) or parquet for programs.",
        ),
    ] = "table",
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page of the library; files that stay as they are are heard for it, too.",
        ),
    ] = None,
    playlists: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a playlist (M3U8) of each genre.")
    ] = None,
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Take back what the last run wrote, or RUN: [RUN] [PATH...]."),
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="List the runs that wrote, or changes of PATH...")
    ] = False,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Write over the old tag where the new one fits, and make no copy of the file: "
            "for libraries on a network share.",
        ),
    ] = False,
    hard_links: Annotated[
        str,
        typer.Option(
            metavar="skip|break|in-place",
            callback=_known_links,
            help="Files with several names (torrents, backups): leave them; give this name a file "
            "of its own; or change all names.",
        ),
    ] = "skip",
    keep_mtime: Annotated[
        bool, typer.Option("--keep-mtime", help="Keep the files' times of change.")
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The journal of changes. By default one in the user's data."
        ),
    ] = None,
    model: Model = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for what is known of libraries between runs. By default the user's cache.",
        ),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
) -> None:
    """Tag a music library: genres into files that have none, safely, and back again.

    Examples:
      ostinato tag ~/music
      ostinato tag ~/music --write
      ostinato tag ~/music --where genre=Unknown --by album --write
      ostinato tag --undo

    Without --write nothing is changed: the table says what would be. A model's
    "I don't know" is never written. Each change is made on a copy, proven to
    hold the same sound and all other tags, and takes the file's place at once;
    its old bytes are kept in a journal, from which --undo restores the file to
    the last byte. A run that was interrupted goes on where it was.
    """
    if (replace, add, only_missing).count(True) > 1:
        raise UsageError("Expected one of --only-missing, --replace and --add.")
    if undo or history:
        if write or (undo and history):
            raise UsageError("Expected one of --write, --undo and --history.")
        (_undo if undo else _history)(given or [], journal)
        return
    paths = [expanded(path) for path in given or ()]
    if not paths or "" in (given or ()):
        raise UsageError("Expected files or folders to tag, got none: ostinato tag ~/music")
    if format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("Expected parquet to go to a file: ostinato tag ... > library.parquet")
    one_blas_thread()
    from ostinato.tagging.policy import Policy
    from ostinato.tagging.run import TagRun

    run = TagRun(
        paths,
        policy=Policy(
            what="replace" if replace else "add" if add else "only-missing",
            min_probability=min_probability,
            top=top,
            where=_pattern(where),
        ),
        names=map_,
        model=model,
        write=write,
        provenance=provenance,
        thorough=thorough,
        by=by,
        hear_all=page is not None,
        jobs=jobs,
        backend=None if scheduler == "processes" else scheduler,
        in_place=in_place,
        hard_links=cast("HardLinks", hard_links),
        keep_mtime=keep_mtime,
        journal=None if journal is None else expanded(journal),
        cache=cache,
    )
    try:
        with run:
            _show(run, format_=format_, page=page, playlists=playlists, write=write, roots=paths)
    except KeyboardInterrupt:
        tell("Interrupted: what was heard and written is kept, and the same command goes on.")
        raise typer.Exit(INTERRUPTED) from None


def _show(
    run: TagRun, *, format_: str, page: Path | None, playlists: Path | None, write: bool,
    roots: list[Path],
) -> None:  # fmt: skip
    """Go through a run, and show its rows in all ways that are asked for."""
    from ostinato.tagging.outputs import Playlists, row_writer

    for note in run.notes:
        tell(note)
    summary = Summary(write=write)
    with ExitStack() as stack:
        takers: list[Callable[[Row], None]] = [summary.add]
        if format_ == "table":
            table = FolderTable(roots)
            takers.append(table.add)
            stack.callback(table.end)
        else:
            takers.append(stack.enter_context(row_writer(format_, sys.stdout)))
        library_page = None
        if page is not None:
            from ostinato.tagging.page import LibraryPage  # of an extra

            library_page = LibraryPage(roots[0])
        lists = Playlists(expanded(playlists)) if playlists else None
        takers += [each.add for each in (library_page, lists) if each]
        step = stack.enter_context(progress("files"))
        started = time.perf_counter()
        for n, row in enumerate(run, start=1):
            for take in takers:
                take(row)
            if step is not None:
                rate = n / max(time.perf_counter() - started, 1e-9)
                step(n + run.library.n_other, len(run.found.paths), summary.progress(rate))
    summary.tell(run)
    if library_page is not None and page is not None:
        library_page.write(expanded(page))
        tell(f"Page: {printable(str(page))}")
    if lists is not None:
        for sentence in lists.write():
            tell(sentence)
    if summary.n_errors or run.found.closed:
        raise typer.Exit(OstinatoError.exit_status)


def _pattern(where: str | None) -> str | None:
    """The pattern of ``genre=PATTERN``."""
    if where is None:
        return None
    if not where.startswith(_WHERE) or where == _WHERE:
        raise UsageError(
            f"Expected --where genre=PATTERN, such as genre=Unknown or genre=empty; got '{where}'."
        )
    return where.removeprefix(_WHERE)


def _undo(given: list[str], journal: Path | None) -> None:
    """Take back a run, and say what became of each file that could not be."""
    from ostinato.tagging.run import undone

    number = None
    if given and given[0].isdecimal() and not Path(given[0]).exists():
        number, given = int(given[0]), given[1:]
    n_restored = n_left = 0
    paths = [expanded(path).absolute() for path in given]
    with progress("files") as step:
        for _, error in undone(number, paths, journal=journal, tell=tell, progress=step):
            if error is None:
                n_restored += 1
            else:
                n_left += 1
                tell(str(error))
    if not n_restored + n_left:
        tell("There is nothing to take back: ostinato tag --history lists the runs.")
        return
    output.print(f"{files(n_restored)} as before.", soft_wrap=True)
    if n_left:
        raise typer.Exit(OstinatoError.exit_status)


def _history(given: list[str], journal: Path | None) -> None:
    """List runs, or the changes of files."""
    from ostinato.tagging.journal import Journal

    path = None if journal is None else expanded(journal)
    with Journal.open(path, must_exist=True) as opened:
        if not given:
            print_runs(opened.runs())
        for name in given:
            print_changes(opened.history(expanded(name).absolute()))
