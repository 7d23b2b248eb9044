"""``ostinato evaluate``: a model file judged on a labelled collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import (
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


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model that ostinato models lists, or an ONNX file."
        ),
    ],
    data: Collection,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE.html", help="The page. By default MODEL-on-DIR.html, in this folder."
        ),
    ] = None,
    format_: Format = "table",
    cache: Cache = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
) -> None:
    """Judge a model on recordings whose genres you know, and write the page that train writes.

    Examples:
      ostinato evaluate mine.onnx ~/music/other-tracks
      ostinato evaluate default ~/music/by-genre --format json

    It says where the model may have learned from these recordings, or from their artists.
    """
    require("sklearn", extra="train", needed_for="Judging a model")
    with progress("done") as step:
        from ostinato.study.judge_model import judge_model
        from ostinato.study.report.judgement_page import print_judgement, write_judgement

        found = judge_model(model, data, cache=cache, jobs=jobs, backend=scheduler, progress=step)
    for note in found.judgement.notes:
        tell(note)
    name = f"{found.name} on {found.corpus.name}"
    page = write_judgement(
        found.judgement,
        Path(f"{found.name}-on-{found.corpus.name}.html") if out is None else expanded(out),
        title=name,
        what=found.name,
        facts=[
            f"{found.judgement.n:,} recordings of {len(found.judgement.per_genre)} genres",
            f"{found.judgement.n_groups:,} artists, albums or sounds of unknown artist",
            f"hears {found.info.spec.describe()}",
        ],
        settings={
            "collection": found.corpus.source,
            "model": model,
            "version": found.info.version or "not stated",
            "family": found.info.family,
            "frames": found.info.spec.describe(),
            "temperature": f"{found.info.temperature:.2f}",
            "threshold": "none" if found.info.threshold is None else f"{found.info.threshold:.2f}",
        },
    )
    if format_ == "json":
        said = {"model": found.name, "page": str(page)} | found.judgement.to_dict()
        write_line(json.dumps(said, indent=1))
        return
    print_judgement(found.judgement, output, what=found.name)
    output.print(f"\nPage: {printable(str(page))}", soft_wrap=True)
