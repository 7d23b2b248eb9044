"""``ostinato audit``: find duplicates and files without music in a collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import Cache, Format, Jobs, Scheduler, output, progress, tell, write_line


def audit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DIR|TABLE|gtzan",
            help="A folder of audio, with or without genres; a table of files (.csv, .tsv); or "
            "gtzan, the frames that ship with the package.",
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Report which pairs leak across this split."),
    ] = None,
    format_: Format = "table",
    threshold: Annotated[
        float | None, typer.Option(help="Least similarity of pairs, at most 1. By default 0.5.")
    ] = None,
    cache: Cache = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
) -> None:
    """Find duplicate recordings by their sound, and files without music.

    Examples:
      ostinato audit gtzan --split fault-filtered
      ostinato audit ~/music --format json > pairs.json

    Finds exact and near duplicates: re-encoded, trimmed or shifted, louder or softer, resampled,
    slightly faster or slower. No file is changed.
    """
    from ostinato.cli.audit_view import print_audit
    from ostinato.datasets import FrameCache
    from ostinato.datasets.audit import NEAR, audit_corpus, audit_folder
    from ostinato.datasets.gtzan import load_gtzan
    from ostinato.datasets.splits import split_corpus

    least = NEAR if threshold is None else threshold
    with progress("files") as step:
        if data == "gtzan":
            corpus = load_gtzan()
            sides = split_corpus(corpus, split) if split else None
            result = audit_corpus(corpus, split=sides, threshold=least, progress=step)
        else:
            frames = FrameCache(cache)
            if frames.note:
                tell(frames.note)
            result = audit_folder(
                Path(data), cache=frames, split=split, threshold=least, n_jobs=jobs,
                backend=scheduler, progress=step,
            )  # fmt: skip
    if format_ == "json":
        write_line(json.dumps(result.to_dict(), indent=1))
    else:
        print_audit(result, output)
