"""``ostinato study``: train, test and report models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.console import INTERRUPTED, listed, messages, output, progress
from ostinato.errors import UsageError, require


def study(
    file: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="Settings; options override them.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A folder of audio (a folder per genre, or GENRE.NAME.wav), a table (.csv, .tsv) "
            "with the columns path, genre and, where known, artist, title, id, recording, or a "
            "file of GTZAN's mel frames (.npz). By default gtzan, the frames that ship with the "
            "package."
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            help="What models see: mfcc, the default; log-mel, mel bands (not of the frames that "
            "ship); log-mel-from-mfcc, bands as smooth as the MFCC leave them; or musicnn-tags, "
            "from a file of them (.npz)."
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Models, separated by commas. By default lstm,residual-lstm,conv-lstm."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="fault-filtered (GTZAN's published lists), strict (the same without training "
            "tracks by artists of the test part), holdout (60/20/20, no artist on two sides), "
            "song-holdout (artists on both sides), artist-folds (to choose with), "
            "artist-folds-all, song-folds (to compare), a saved FILE.tsv, or auto, the default: "
            "fault-filtered where the data have it, else holdout."
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
        int | None,
        typer.Option(
            help="How many times artist-folds, artist-folds-all or song-folds are drawn. By "
            "default once.",
            min=1,
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Trainings a model. By default 3.", min=1)
    ] = None,
    test: Annotated[
        bool | None,
        typer.Option(
            "--test/--no-test", help="--no-test leaves the test part untouched: for choosing."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder. By default named below runs/.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where frames of --data are kept between calls.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs side by side. By default one a core.", min=1)
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="cpu, gpu or auto: where the networks are trained.")
    ] = "cpu",
    only: Annotated[
        str | None,
        typer.Option(help="Of a study with variants: run these alone, separated by commas."),
    ] = None,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Run the split segment-random, in which pieces of one recording stand on both "
            "sides, as a demonstration.",
        ),
    ] = False,
) -> None:
    """Compare models: train each with several seeds, examine them, write a report.

    Without arguments: LSTM, ResLSTM and ConvLSTM on GTZAN, with the frames that ship with the
    package and the published fault-filtered split. Ctrl-C at any time: the same command goes on.

    Examples:

      ostinato study

      ostinato study --data ~/music/by-genre --models lstm,residual-lstm --seeds 5

      ostinato study --data ~/music/table.csv --shares 80/10/10

      ostinato study --split artist-folds --no-test      (to choose: no test track is heard)

      ostinato study studies/leaks.toml                  (a file with variants: one table of all)
    """
    require("torch", extra="train", needed_for="A study")
    require("lightning", extra="train", needed_for="A study")
    from ostinato.study import config as settings
    from ostinato.study.report import print_summary
    from ostinato.study.study import load_data, plan_study, run_study
    from ostinato.study.sweep import is_sweep

    def load(config: settings.StudyConfig) -> Any:
        with progress("files") as step:
            corpus = load_data(config, cache=cache, jobs=jobs, progress=step)
        if config.data != "gtzan":
            _tell_what_is_missing(corpus)
        return corpus

    changes = {
        "data": data,
        "frames": frames,
        "models": listed(models),
        "split": split,
        "shares": settings.parse_shares(shares) if shares is not None else None,
        "repeats": repeats,
        "seeds": seeds,
        "test": test,
        "allow_leak": allow_leak or None,
    }
    if file and is_sweep(file):
        _sweep(file, changes, load, only=listed(only), out=out, jobs=jobs, device=accelerator)
        return
    if only is not None:
        raise UsageError("Expected a study with variants for --only, got one without.")
    config = settings.overridden(
        settings.load_config(file) if file else settings.StudyConfig(), **changes
    )
    corpus = load(config)
    plan = plan_study(config, corpus, out)
    with _resumable(plan.folder), progress("epochs") as step:
        result = run_study(plan, jobs=jobs, progress=step, accelerator=accelerator)
    print_summary(result.results, output)
    output.print(f"\nReport: {result.report}", soft_wrap=True)


def _sweep(
    file: Path,
    changes: dict[str, Any],
    load: Callable[[Any], Any],
    *,
    only: tuple[str, ...] | None,
    out: Path | None,
    jobs: int | None,
    device: str,
) -> None:
    """Run a study's variants, and print the table of all that are finished."""
    from ostinato.study.report import print_sweep, write_sweep
    from ostinato.study.sweep import load_sweep, run_sweep, tabulate

    sweep = load_sweep(file, **changes)
    folder = out or Path("runs") / file.stem
    with _resumable(folder), progress("epochs") as step:
        chosen = sweep.only(only) if only else sweep
        run_sweep(chosen, folder, load, jobs=jobs, progress=step, accelerator=device)
    table = tabulate(sweep, folder)
    print_sweep(table, output)
    output.print(f"\nReport: {write_sweep(table, folder)}", soft_wrap=True)


def _tell_what_is_missing(corpus: Any) -> None:
    for note in corpus.notes:
        messages.print(note, soft_wrap=True, markup=False)
    for skipped in corpus.skipped:
        messages.print(f"Passed over: {skipped.id}: {skipped.reason}", soft_wrap=True)
    for genre, n in corpus.left_out.items():
        messages.print(
            f"Left out: genre '{genre}' has {n} usable recording{'s' if n != 1 else ''}; at least "
            "3 are needed (one to learn, one to validate, one to test).",
            soft_wrap=True,
        )


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        messages.print(
            f"\nInterrupted. What was trained is kept in {folder}; the same command goes on.",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None
