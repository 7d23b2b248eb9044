"""``ostinato compare``: compare the models of several studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import Format, listed, output, write_line
from ostinato.errors import require


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of studies.")],
    genres: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Compare the recall of these genres as well, separated by commas.",
        ),
    ] = None,
    format_: Format = "table",
) -> None:
    """Compare the models of finished studies that tested on the same recordings.

    Examples:
      ostinato compare runs/gtzan runs/wider --format json
      ostinato compare runs/gtzan runs/wider --genres disco,reggae

    The statistics are those within one study: intervals by artist and seed, and for every pair of
    models the difference, its interval and a sign-flip test by artist, Holm-adjusted over all
    pairs. Studies with other test recordings are refused.
    """
    require("torch", extra="train", needed_for="A comparison of studies")
    from ostinato.study.compare import compare as compared
    from ostinato.study.compare import read_judged
    from ostinato.study.report import print_comparison
    from ostinato.study.results import to_json

    found = compared([read_judged(folder) for folder in runs], genres=listed(genres) or ())
    if format_ == "json":
        write_line(to_json(found).rstrip())
    else:
        print_comparison(found, output)
