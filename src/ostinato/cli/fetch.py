"""``ostinato fetch``: download a collection or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import tell, transfers, write_line
from ostinato.errors import UsageError, near
from ostinato.storage import as_text


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="gtzan|musicnn",
            help="gtzan, the collection, or musicnn, a larger pretrained network.",
        ),
    ],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to save it in.")] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With gtzan: another address of the same archive."),
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With musicnn: its wheel; without, pip downloads it."),
    ] = None,
) -> None:
    """Download a collection or a model, verify it, and print its path.

    Examples:
      ostinato fetch gtzan --to ~/data          # 1.2 GB, for the next line
      ostinato study --data ~/data/genres
      ostinato fetch musicnn                    # 29 MB, for the next line
      ostinato models --use musicnn

    The only verb that uses the network. An interrupted download of gtzan is resumed. musicnn, a
    network pretrained on other music, comes as a wheel from the package index; its weights become
    a file that --model musicnn and ostinato study --frames musicnn find (docs/guide/musicnn.md).
    """
    if name not in (known := ("gtzan", "musicnn")):
        raise UsageError(f"Expected one of: gtzan, musicnn; got '{name}'{near(name, known)}")
    for option, given, of in (("--url", url, "gtzan"), ("--wheel", wheel, "musicnn")):
        if given is not None and name != of:
            raise UsageError(f"Expected {option} with {of}, got it with {name}.")
    if name == "musicnn":
        from ostinato.inference.musicnn_wheel import fetch_musicnn

        path = fetch_musicnn(to=to, wheel=wheel, tell=tell)
        if to is None:
            from ostinato.cli.larger_model import told_of_it

            tell(told_of_it())
        write_line(as_text(str(path)))
        return
    from ostinato.datasets.checksums import SOURCE_URL
    from ostinato.datasets.download import fetch_gtzan

    with transfers() as step:
        folder = fetch_gtzan(to=to, url=url or SOURCE_URL, progress=step, tell=tell)
    write_line(as_text(str(folder)))
