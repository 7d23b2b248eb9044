"""``ostinato study``: train, test and report models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.console import (
    INTERRUPTED,
    Accelerator,
    Cache,
    Jobs,
    Scheduler,
    listed,
    output,
    progress,
    tell,
)
from ostinato.errors import UsageError
from ostinato.storage import printable


def study(
    file: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="Settings, which options override.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|TABLE|NPZ",
            help="A folder of audio (a folder per genre, or GENRE.NAME.wav), a table (.csv, .tsv) "
            "with the columns path, genre and, where known, artist, title, id, recording, or a "
            "file of GTZAN's mel frames (.npz). By default gtzan, the frames that ship with the "
            "package.",
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="KIND|FILE",
            help="The models' input: mfcc, the default; log-mel, mel bands (not from the frames "
            "that ship); log-mel-from-mfcc, mel bands reconstructed from MFCC; musicnn-tags, from "
            "a file of them (.npz); or what an ear hears in audio: musicnn, once it was fetched, "
            "or FILE.onnx (docs/guide/ears.md).",
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Models, separated by commas. By default lstm, residual-lstm and conv-lstm; on "
            "what an ear hears baseline in place of conv-lstm.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="fault-filtered (GTZAN's published lists), strict (the same without training "
            "tracks by artists of the test part), holdout (60/20/20, no artist overlap), "
            "song-holdout (artists may overlap), artist-folds (to choose with), "
            "artist-folds-all, song-folds (to compare), a saved FILE.tsv, or auto, the default: "
            "fault-filtered where the data have it, else holdout.",
        ),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN/VALID/TEST",
            help="Sizes of holdout and song-holdout in percent. By default 60/20/20.",
        ),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="How many times folds are drawn. By default once.", min=1)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Trainings per model. By default 3.", min=1)
    ] = None,
    test: Annotated[
        bool | None, typer.Option(help="--no-test does not use the test part: for choosing.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The study's folder. By default one below runs/."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where looks at a test part are entered. By default test-ledger.csv beside the "
            "study's folder.",
        ),
    ] = None,
    cache: Cache = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
    accelerator: Accelerator = "cpu",
    only: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Variants of the study to run, separated by commas."),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="tensorboard|mlflow",
            help="Log settings, curves, figures, metrics and models of the finished study as well: "
            "to tensorboard/ in its folder, or to mlflow/ beside it.",
        ),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Repeat a finished study's folder in a new one, and compare: exit status 0 where "
            "all figures are the same, 1 where some differ.",
        ),
    ] = None,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Allow segment-random, where pieces of a recording leak, as a demonstration.",
        ),
    ] = False,
) -> None:
    """Train models with several seeds each, compare them, and write a report.

    Examples:
      ostinato study
      ostinato study --data ~/music/by-genre --models lstm,residual-lstm
      ostinato study --data ~/music/table.csv --shares 80/10/10
      ostinato study --data ~/music --frames musicnn  # fetch musicnn first
      ostinato study --split artist-folds --no-test   # to choose a recipe
      ostinato study studies/leaks.toml               # variants, in one table
      ostinato study --again runs/gtzan               # are the figures the same?

    Without arguments: LSTM, ResLSTM and ConvLSTM on GTZAN, with the frames that ship with the
    package and the published fault-filtered split. After Ctrl-C the same command resumes.
    """
    if again is not None:
        changed = (file, data, frames, models, split, shares, repeats, seeds, test, only, log)
        if allow_leak or any(value is not None for value in changed):
            raise UsageError("Expected no other study and no settings beside --again RUN.")
        _again(
            again, out=out, jobs=jobs, backend=scheduler, cache=cache, accelerator=accelerator,
            ledger=ledger,
        )  # fmt: skip
        return
    try:
        with progress("done") as step:
            from ostinato.study import StudyResult, run
            from ostinato.study.config import parse_shares
            from ostinato.study.report import print_summary, print_sweep

            result = run(
                file, out=out, jobs=jobs, backend=scheduler, cache=cache, only=listed(only),
                accelerator=accelerator, ledger=ledger, progress=step, tell=tell,
                log=log, data=data, frames=frames, models=listed(models), split=split,
                shares=parse_shares(shares) if shares is not None else None, repeats=repeats,
                seeds=seeds, test=test, allow_leak=allow_leak or None,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if isinstance(result, StudyResult):
        print_summary(result.results, output)
    else:
        print_sweep(result.table, output)
    output.print(f"\nReport: {printable(str(result.report))}", soft_wrap=True)


def _again(run: Path, **options: Any) -> None:
    """Repeat a study, and print what differs."""
    try:
        with progress("done") as step:
            from ostinato.study.again import repeat

            found = repeat(run, progress=step, tell=tell, **options)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for sentence in found.differences:
        output.print(printable(sentence), soft_wrap=True)
    counted = f"{found.n_figures:,} figures and {found.n_predictions:,} predictions"
    said = f"The same: {counted}." if found.same else f"Not the same, of {counted}."
    output.print(f"{said} {printable(str(found.folder))} holds the repetition.", soft_wrap=True)
    if not found.same:
        raise typer.Exit(1)
