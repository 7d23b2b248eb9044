"""The verb ``classify``: name the genre of files."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ostinato.cli.console import (
    check_format,
    messages,
    one_blas_thread,
    output,
    progress,
    write_line,
)
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.storage import printable

if TYPE_CHECKING:
    from ostinato.audio import FoundAudio
    from ostinato.inference.classifier import Verdict

    Result: TypeAlias = Verdict | OstinatoError
    Named: TypeAlias = tuple[str, Result]

_STDIN = "-"
_COLUMNS = ("path", "genre", "probability", "ranked", "abstained", "seconds")

Printer = Callable[[str, "Verdict"], None]


def classify(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Files, folders (all audio files in them), or - for stdin."
        ),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="table for people; json (a line a file) or csv for programs."
        ),
    ] = "table",
    top: Annotated[
        int | None,
        typer.Option(
            help="Number of genres to name. By default 2 in the table, all otherwise.", min=1
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Listen to all of long files, not only to excerpts."),
    ] = False,
    timeline: Annotated[
        bool,
        typer.Option(
            "--timeline", help="Give the genre over time; not in csv. Implies --thorough."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG|FOLDER",
            help="Draw the timeline: one PNG, or a folder with one a file. Implies --thorough.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A model that ships (see ostinato models), musicnn once fetched, or an ONNX file."
        ),
    ] = "default",
    jobs: Annotated[
        int | None, typer.Option(help="Files at a time. By default, one a processor.", min=1)
    ] = None,
) -> None:
    """Name the genre of music files, or say why there is none.

    Prints a line a file, as soon as it is done. A model abstains if no genre is
    likely enough, if the sound is silent, or if it is unlike the music that the
    model learned from. Files that cannot be used are listed at the end, and the
    exit status is then 1.

    Examples:

      ostinato classify song.mp3

      ostinato classify ~/music --format csv > genres.csv

      ostinato classify --timeline --format json mix.flac

      ostinato classify --timeline --plot mix.png mix.flac

      ffmpeg -i video.mkv -f wav - | ostinato classify -
    """
    check_format(format_, ("table", "json", "csv"))
    if timeline and format_ == "csv":
        raise UsageError("Expected --timeline with --format table or json, got csv.")
    one_blas_thread()
    from ostinato.inference.classifier import Classifier

    classifier = Classifier.load(model)
    show = _printer(format_, top, timeline)
    everything = thorough or timeline or plot is not None
    with _with_stdin(paths) as (found, name):
        files = found.paths
        if plot is not None:
            show = _with_picture(show, plot, len(files))
        results = classifier.classify_many(files, jobs=jobs, thorough=everything)
        broken: list[OstinatoError] = [
            DataError(f"The folder '{printable(str(folder))}' cannot be listed: {reason}.")
            for folder, reason in found.closed.items()
        ]
        broken += _show((name(path, result) for path, result in results), len(files), show)
    if broken:
        for error in broken:
            messages.print(str(error), soft_wrap=True, markup=False)
        raise typer.Exit(OstinatoError.exit_status)


def _show(results: Iterable[Named], n_files: int, show: Printer) -> list[OstinatoError]:
    """Print each verdict as it comes; return the errors."""
    broken: list[OstinatoError] = []
    started = time.perf_counter()
    with progress("files") as step:
        for n, (path, result) in enumerate(results, start=1):
            if isinstance(result, OstinatoError):
                broken.append(result)
            else:
                show(path, result)
            if step is not None:
                rate = n / max(time.perf_counter() - started, 1e-9)
                step(n, n_files, f"{rate:.1f} files/s")
    return broken


@contextmanager
def _with_stdin(paths: list[str]) -> Iterator[tuple[FoundAudio, Callable[[Path, Result], Named]]]:
    """Find the files to classify, and name their results; piped sound becomes a temporary file."""
    from ostinato.audio import AudioError, find_audio, spool

    if paths.count(_STDIN) > 1:
        raise UsageError("Expected - once, for there is one standard input.")
    piped = spool(sys.stdin.buffer) if _STDIN in paths else None

    def named(path: Path, result: Result) -> Named:
        if path != piped:
            return str(path), result
        if isinstance(result, AudioError):
            result = AudioError("<stdin>", result.reason)
        return _STDIN, result

    try:
        found = find_audio([piped if piped and p == _STDIN else Path(p) for p in paths])
        if not found.paths and not found.closed:
            others = f"{found.passed_over.total()} other files"
            raise DataError(f"Expected audio files, got {others} in {', '.join(paths)}.")
        yield found, named
    finally:
        if piped is not None:
            piped.unlink(missing_ok=True)


def _with_picture(show: Printer, to: Path, n_files: int) -> Printer:
    from ostinato.inference.timeline import Pictures

    pictures = Pictures(to, n_files=n_files)

    def show_and_draw(path: str, verdict: Verdict) -> None:
        show(path, verdict)
        pictures.add(verdict, path)

    return show_and_draw


def _printer(format_: str, top: int | None, timeline: bool) -> Printer:
    if format_ == "json":
        return lambda path, verdict: _print_json(path, verdict, top, timeline)
    if format_ == "csv":
        _write_row(_COLUMNS)
        return lambda path, verdict: _print_csv(path, verdict, top)
    return lambda path, verdict: _print_line(path, verdict, top or 2, timeline)


def _print_json(path: str, verdict: Verdict, top: int | None, timeline: bool) -> None:
    values: dict[str, Any] = {"path": printable(path), **verdict.to_dict(timeline=timeline)}
    values["ranked"] = values["ranked"][:top]
    write_line(json.dumps(values))


def _print_csv(path: str, verdict: Verdict, top: int | None) -> None:
    ranked = ";".join(f"{genre}={p:.4f}" for genre, p in verdict.ranked[:top])
    _write_row(
        (
            printable(path),
            verdict.genre or "",
            f"{verdict.probability:.4f}",
            ranked,
            verdict.abstained or "",
            f"{verdict.seconds:.2f}",
        )
    )


def _print_line(path: str, verdict: Verdict, top: int, timeline: bool) -> None:
    """Print ``jazz  62%  blues 21%  song.mp3``, or the reason why there is no genre."""
    best, *others = verdict.ranked[:top] or [("", 0.0)]
    guesses = ", ".join(f"{genre} {p:.0%}" for genre, p in others)
    if verdict.genre is None:
        maybe = f" (perhaps {best[0]})" if best[0] else ""
        said = f"{'?':<10}      {verdict.abstained}{maybe}"
    else:
        said = f"{verdict.genre:<10} {best[1]:>4.0%}  {guesses}"
    output.print(f"{said:<38}  {printable(path)}", soft_wrap=True, markup=False)
    if timeline:
        from ostinato.inference.verdict import clock

        for start_s, end_s, genre, p in verdict.segments():
            span = f"{clock(start_s):>9} - {clock(end_s):<9}"
            output.print(f"  {span} {genre or '?':<10} {p:>4.0%}", soft_wrap=True, markup=False)


def _write_row(values: Iterable[str]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    write_line(text.getvalue())
