"""``ostinato fetch``: download a collection or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import messages
from ostinato.errors import UsageError


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
