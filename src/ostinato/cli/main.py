"""The command line: parses, calls, prints. What each verb does, Python can call too.

Exit status: 0 done, 1 something could not be done, 2 wrong call, 130 interrupted. Machine output is
on stdout; progress is on stderr, and only when a person watches.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato import __version__
from ostinato.cli import classify as cli_listen
from ostinato.cli import export as cli_export
from ostinato.cli import listen as cli_live
from ostinato.cli import models as cli_models
from ostinato.cli.console import check_format, messages, output
from ostinato.cli.console import progress as _progress
from ostinato.errors import OstinatoError, UsageError, require

app = typer.Typer(
    name="ostinato",
    help="Recurrent networks that name the genre of music, compared honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Recurrent networks that name the genre of music, compared honestly."""
    if version:
        typer.echo(f"ostinato {__version__}")
        raise typer.Exit


@app.command(no_args_is_help=False)
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
        with _progress("files") as step:
            corpus = load_data(config, cache=cache, jobs=jobs, progress=step)
        if config.data != "gtzan":
            _tell_what_is_missing(corpus)
        return corpus

    changes = {
        "data": data,
        "frames": frames,
        "models": _listed(models),
        "split": split,
        "shares": settings.parse_shares(shares) if shares is not None else None,
        "repeats": repeats,
        "seeds": seeds,
        "test": test,
        "allow_leak": allow_leak or None,
    }
    if file and is_sweep(file):
        _sweep(file, changes, load, only=_listed(only), out=out, jobs=jobs, device=accelerator)
        return
    if only is not None:
        raise UsageError("Expected a study with variants for --only, got one without.")
    config = settings.overridden(
        settings.load_config(file) if file else settings.StudyConfig(), **changes
    )
    corpus = load(config)
    plan = plan_study(config, corpus, out)
    with _resumable(plan.folder), _progress("epochs") as step:
        result = run_study(plan, jobs=jobs, progress=step, accelerator=accelerator)
    print_summary(result.results, output)
    output.print(f"\nReport: {result.report}", soft_wrap=True)


def _listed(names: str | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.strip() for name in names.split(","))


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
    with _resumable(folder), _progress("epochs") as step:
        chosen = sweep.only(only) if only else sweep
        run_sweep(chosen, folder, load, jobs=jobs, progress=step, accelerator=device)
    table = tabulate(sweep, folder)
    print_sweep(table, output)
    output.print(f"\nReport: {write_sweep(table, folder)}", soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of studies.")],
    genres: Annotated[
        str | None,
        typer.Option(help="Compare the recall of these genres as well, separated by commas."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="table for people, json for programs.")
    ] = "table",
) -> None:
    """Compare the models of finished studies that examined the same recordings.

    The same statistics as within one study: intervals by artist and seed, and for every pair of
    models the difference with its interval and a sign-flip test by artist, by Holm adjusted for
    all pairs. Studies that examined other recordings are refused.

    Examples:

      ostinato compare runs/gtzan runs/wider --format json

      ostinato compare runs/ablation/base runs/ablation/weak-genres --genres disco,reggae
    """
    require("torch", extra="train", needed_for="A comparison of studies")
    from ostinato.study.compare import compare as compared
    from ostinato.study.compare import read_judged
    from ostinato.study.report import print_comparison

    check_format(format_)
    found = compared([read_judged(folder) for folder in runs], genres=_listed(genres) or ())
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        print_comparison(found, output)


@app.command()
def audit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DIR|TABLE|gtzan",
            help="A folder of audio, with or without genres; a table of it (.csv, .tsv); or gtzan, "
            "the frames that ship with the package.",
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(help="Tell which pairs stand on two sides of this split of the collection."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="table for people, json for programs.")
    ] = "table",
    threshold: Annotated[
        float | None,
        typer.Option(help="Similarity from which a pair is shown, at most 1. By default 0.5."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where frames of audio files are kept between calls.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes that listen. By default one a core.", min=1)
    ] = None,
) -> None:
    """Find the same recording twice, from the sound itself, and files that hold no music.

    Exact copies and near ones: re-encoded, trimmed or shifted, louder or softer, resampled,
    slightly faster or slower. Nothing is changed.

    Examples:

      ostinato audit gtzan --split fault-filtered

      ostinato audit ~/music --format json > pairs.json
    """
    from ostinato.datasets.audit import audit as auditing
    from ostinato.datasets.audit.view import print_audit
    from ostinato.datasets.frame_cache import FrameCache
    from ostinato.datasets.gtzan import load_gtzan
    from ostinato.datasets.splits import split_corpus

    check_format(format_)
    least = auditing.NEAR if threshold is None else threshold
    with _progress("files") as step:
        if data == "gtzan":
            corpus = load_gtzan()
            sides = split_corpus(corpus, split) if split else None
            result = auditing.audit(corpus, split=sides, threshold=least, progress=step)
        else:
            result = auditing.audit_folder(
                Path(data), cache=FrameCache(cache), split=split, threshold=least, n_jobs=jobs,
                progress=step,
            )  # fmt: skip
    if format_ == "json":
        typer.echo(json.dumps(result.to_dict(), indent=1))
    else:
        print_audit(result, output)


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="What to fetch: gtzan, the collection, or musicnn, a larger ear."),
    ],
    to: Annotated[Path | None, typer.Option(help="The folder to put it in.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Of gtzan: another home of the same archive.")
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Of musicnn: its wheel, downloaded before; else pip downloads it."
        ),
    ] = None,
) -> None:
    """Download a collection or a model, verify it, and say where it lies.

    The only verb that uses the network. A download of gtzan that breaks off goes on where it
    stopped. Of musicnn, a network pretrained on other music, the wheel comes from the package
    index; its weights become a file that --model musicnn finds (docs/musicnn.md).

    Examples:

      ostinato fetch gtzan --to ~/data        (1.2 GB; then: ostinato study --data ~/data/genres)

      ostinato fetch musicnn                  (29 MB; then: ostinato classify --model musicnn ...)
    """
    if name not in ("gtzan", "musicnn"):
        raise UsageError(f"Expected one of: gtzan, musicnn; got '{name}'.")
    for option, given, of in (("--url", url, "gtzan"), ("--wheel", wheel, "musicnn")):
        if given is not None and name != of:
            raise UsageError(f"Expected {option} with {of}, got it with {name}.")
    if name == "musicnn":
        from ostinato.inference.musicnn import fetch_musicnn

        path = fetch_musicnn(
            to=to, wheel=wheel, tell=lambda line: messages.print(line, soft_wrap=True, markup=False)
        )
        typer.echo(path)
        return
    from ostinato.datasets.download import fetch_gtzan
    from ostinato.datasets.gtzan import SOURCE_URL

    typer.echo(fetch_gtzan(to=to, url=url or SOURCE_URL))


app.command()(cli_listen.classify)
app.command()(cli_live.listen)
app.command()(cli_export.export)
app.command()(cli_models.models)


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
        raise SystemExit(INTERRUPTED) from None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    try:
        app(args=arguments)
    except OstinatoError as error:
        messages.print(f"ostinato: {error}", soft_wrap=True, markup=False)
        sys.exit(error.exit_status)
    except OSError as error:  # a disk that fills up under a checkpoint, a folder that disappears
        where = f" ({error.filename})" if error.filename else ""
        reason = f"{error.strerror or error}{where}"
        sentence = f"ostinato: Stopped: {reason}; what was finished is kept."
        messages.print(sentence, soft_wrap=True, markup=False)
        sys.exit(OstinatoError.exit_status)


if __name__ == "__main__":
    main()
