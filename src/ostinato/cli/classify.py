"""The verb ``classify``: name the genre of files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ostinato.cli.console import (
    Jobs,
    Model,
    format_of,
    messages,
    one_blas_thread,
    output,
    progress,
    tell,
    write_line,
)
from ostinato.cli.larger_model import hint
from ostinato.cli.process import standard_input
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.storage import as_text, csv_line, printable

if TYPE_CHECKING:
    from ostinato.audio import FoundAudio
    from ostinato.inference.classifier import Verdict

    _Names: TypeAlias = dict[Path, str]  # of temporary files: what the user calls them

_STDIN = "-"
_COLUMNS = (
    "path", "genre", "probability", "ranked", "abstained", "seconds", "model", "model_version",
)  # fmt: skip


def classify(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders (all audio files in them), pipes, - for stdin.",
        ),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="table|json|csv",
            callback=format_of("table", "json", "csv"),
            help="table for people, json (a line a file) or csv for programs.",
        ),
    ] = "table",
    top: Annotated[
        int | None, typer.Option(help="Genres to name. By default 2 in the table, else all.", min=1)
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Listen to all of long files, not only to excerpts.")
    ] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Genres over time, not in csv. Implies --thorough.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PNG|FOLDER", help="Draw timelines, one a file. Implies --thorough."),
    ] = None,
    model: Model = None,
    jobs: Jobs = None,
) -> None:
    """Name the genre of music files, or say why there is none.

    Examples:
      ostinato classify song.mp3
      ostinato classify ~/music --format csv > genres.csv
      ostinato classify --timeline --format json mix.flac
      ostinato classify --timeline --plot mix.png mix.flac
      curl -s https://example.org/song.ogg | ostinato classify -

    Prints a line a file, as soon as it is done. A model abstains if no genre is
    likely enough, if the sound is silent or too short, or if it is unlike the
    music that the model learned from. A model that learned of several genres a
    track names all that are likely enough (+). Files that cannot be used are
    listed at the end, and the exit status is then 1. Runs on the processor,
    unless OSTINATO_DEVICE is cuda, coreml or directml.
    """
    if timeline and format_ == "csv":
        raise UsageError("Expected --timeline with --format table or json, got csv.")
    one_blas_thread()
    from ostinato.inference.classifier import Classifier

    classifier = Classifier.load(model)
    if format_ == "csv":
        write_line(csv_line(_COLUMNS))
    started = time.perf_counter()
    with _given(paths) as (found, names, broken), progress("files") as step:
        pictures = None
        if plot is not None:
            from ostinato.inference.timeline import Pictures

            pictures = Pictures(plot, n_files=len(found.paths))
        everything = thorough or timeline or plot is not None
        any_heard = False
        results = classifier.classify_many(found.paths, jobs=jobs, thorough=everything)
        for n, (file, result) in enumerate(results, start=1):
            path = names.get(file, str(file))
            if isinstance(result, OstinatoError):
                broken.append(_renamed(result, file, path) if file in names else result)
            else:
                any_heard = True
                _print(path, result, format_=format_, top=top, timeline=timeline)
                if pictures is not None:
                    pictures.add(result, path)
            if step is not None:
                rate = n / max(time.perf_counter() - started, 1e-9)
                step(n, len(found.paths), f"{rate:.1f} files/s")
    for error in broken:
        tell(str(error))
    if found.passed_over:
        tell(f"Passed over: {found.told_passed_over()}.")
    if any_heard and model is None and format_ == "table" and (line := hint()):
        messages.print(line, style="dim", soft_wrap=True)
    if broken:
        raise typer.Exit(OstinatoError.exit_status)


@contextmanager
def _given(paths: list[str]) -> Iterator[tuple[FoundAudio, _Names, list[OstinatoError]]]:
    """Find the files to classify; what pipes give is in temporary files, which are named too.

    Yields as well what cannot be used of what was given.
    """
    from ostinato.audio import AudioError, find_audio, is_pipe, spool, spool_pipe

    if paths.count(_STDIN) > 1:
        raise UsageError("Expected - once, for there is one standard input.")
    pipes = {path for path in paths if path != _STDIN and is_pipe(Path(path))}
    for path in pipes:
        if paths.count(path) > 1:  # whoever writes to it would be waited for again, for ever
            raise UsageError(f"Expected the pipe '{path}' once: its sound can be read once.")
    names: _Names = {}
    broken: list[OstinatoError] = []
    files: list[Path] = []
    try:
        for path in paths:
            try:
                if path == _STDIN:
                    file = spool(standard_input(), "<stdin>")
                elif path in pipes:
                    file = spool_pipe(Path(path))
                elif not path:  # an unset variable of a script, which is not the present folder
                    raise AudioError(path, "expected a path, got an empty one")
                else:
                    files.append(Path(path))
                    continue
            except AudioError as error:
                broken.append(error)
                continue
            names[file] = path
            files.append(file)
        found = find_audio(files)
        if not (found.paths or found.closed or broken):
            others = found.told_passed_over() or "no files"
            raise DataError(f"Expected audio files, got {others} in {', '.join(paths)}.")
        broken += [
            DataError(f"The folder '{printable(str(folder))}' cannot be listed: {reason}.")
            for folder, reason in found.closed.items()
        ]
        yield found, names, broken
    finally:
        for file in names:
            file.unlink(missing_ok=True)


def _renamed(error: OstinatoError, file: Path, name: str) -> OstinatoError:
    """Have an error name a pipe as the user does, and not its temporary file."""
    from ostinato.audio import AudioError

    if not isinstance(error, AudioError):
        return error
    name = "<stdin>" if name == _STDIN else name
    return AudioError(name, error.reason.replace(str(file), name))


def _print(path: str, verdict: Verdict, *, format_: str, top: int | None, timeline: bool) -> None:
    """Print the verdict on one file."""
    if format_ == "json":
        values = {"path": as_text(path), **verdict.to_dict(timeline=timeline)}
        values["ranked"] = values["ranked"][:top]
        write_line(json.dumps(values))
    elif format_ == "csv":
        ranked = ";".join(f"{genre}={p:.4f}" for genre, p in verdict.ranked[:top])
        share, seconds = f"{verdict.probability:.4f}", f"{verdict.seconds:.2f}"
        why = verdict.abstained or ""
        by = (verdict.model, verdict.model_version or "")
        named = ";".join(verdict.named)
        write_line(csv_line((as_text(path), named, share, ranked, why, seconds, *by)))
    else:
        from ostinato.inference.verdict import clock

        _print_line(path, verdict, top or 2)
        for segment in verdict.segments() if timeline else ():
            span = f"{clock(segment.start_s):>9} - {clock(segment.end_s):<9}"
            named = " + ".join(segment.named) or "?"
            output.print(f"  {span} {named:<10} {segment.probability:>4.0%}", soft_wrap=True)


def _print_line(path: str, verdict: Verdict, top: int) -> None:
    """Print ``jazz  62%  blues 21%  song.mp3``, or the reason why there is no genre."""
    if verdict.genre is None:
        maybe = f" (perhaps {verdict.guess})" if verdict.guess else ""
        said = f"{'?':<10}      {verdict.abstained}{maybe}"
    else:
        said = f"{verdict.genre:<10} {verdict.probability:>4.0%}  {verdict.others(top)}"
    alone = verdict.heard_channel
    heard = "" if alone is None else f"  (channel {alone} was heard, for all cancel out)"
    output.print(f"{said:<38}  {printable(path)}{heard}", soft_wrap=True)
