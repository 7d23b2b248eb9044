"""``ostinato train``: a model of one's own genres, from a folder of each."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import (
    INTERRUPTED,
    Cache,
    Collection,
    Format,
    Jobs,
    Scheduler,
    output,
    progress,
    tell,
    write_line,
)
from ostinato.errors import require
from ostinato.storage import expanded, printable


def train(
    data: Collection,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME.onnx",
            help="The model file; its page goes beside it. By default one of your own models, "
            "which ostinato models lists, named for the folder.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="discriminant, residual-lstm, lstm, conv-lstm, fusion, ... (docs/research/"
            "models.md). By default chosen by the size of the collection.",
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="KIND|FILE",
            help="What the model hears: mfcc, log-mel, or an ear, musicnn or FILE.onnx. By default "
            "musicnn where it was fetched, else mfcc.",
        ),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Share of right verdicts that the threshold aims at.")
    ] = 0.8,
    seed: Annotated[int, typer.Option(help="Decides folds and first weights.", min=0)] = 0,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="tensorboard|mlflow",
            help="Log settings, curves, figures and the model as well, in local files "
            "(docs/guide/search.md).",
        ),
    ] = None,
    format_: Format = "table",
    cache: Cache = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
) -> None:
    """Learn your own genres, judge what was learned, and write a model file.

    Examples:
      ostinato train ~/music/my-genres
      ostinato train ~/music/my-genres --out mine.onnx
      ostinato classify --model mine.onnx ~/new
      ostinato train dinner-or-gym.csv --frames mfcc --model residual-lstm

    Ten recordings a genre are a start. Recordings of one artist (by their tags) or album, and
    copies, stay together when the model is judged, so the accuracy is that on artists it has never
    heard. The page says which files may be filed wrongly, and which genres need more. A genre named
    "other" teaches what is none of them. After Ctrl-C, or worse, the same command goes on.
    """
    require("torch", extra="train", needed_for="Training")
    try:
        with progress("done") as step:
            from ostinato.study.own_genres import learn_genres
            from ostinato.study.report.judgement_page import print_judgement, write_judgement
            from ostinato.study.tracking import check_tracker, track

            if log is not None:
                check_tracker(log)
            found = learn_genres(
                data, out, model=model, frames=frames, seed=seed, precision=precision,
                cache=cache, jobs=jobs, backend=scheduler, progress=step, tell=tell,
            )  # fmt: skip
    except KeyboardInterrupt:
        tell("Interrupted. What is finished is kept; run the same again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    page = write_judgement(
        found.judgement,
        found.path.with_suffix(".html"),
        title=found.info.name,
        what="Judged on artists and albums that it had not heard, it",
        facts=found.facts,
        settings=found.settings,
    )
    if log is not None:
        tell(f"Logged: {track([found.tracked(page)], log, found.path.with_suffix(''))}")
    if format_ == "json":
        said = {"model": str(found.path), "page": str(page), "why": found.recipe.why}
        write_line(json.dumps(said | found.judgement.to_dict(), indent=1))
        return
    print_judgement(found.judgement, output, what=f"Judged by folds, {found.info.name}")
    output.print(
        f"\nModel: {printable(str(found.path))}\nPage: {printable(str(page))}", soft_wrap=True
    )
    named = found.info.name if out is None else str(expanded(out))
    quoted = shlex.quote(printable(named))
    output.print(f"Use it: ostinato classify --model {quoted} FILE", soft_wrap=True)
