"""The verb ``serve``: the classifier over HTTP, with a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import listed, one_blas_thread, tell


def serve(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen at; 0.0.0.0 is every one of this machine."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any that is free.", min=0, max=65535)] = (
        8000
    ),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Models to offer, the default first: names of ostinato models, or ONNX files. By "
            "default all that there are.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Files heard at a time. By default one per core.", min=1)
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of keys, one a line, one of which each request must show."
        ),
    ] = None,
    max_mb: Annotated[int, typer.Option(help="Megabytes of a file that are taken.", min=1)] = 64,
    max_minutes: Annotated[
        float, typer.Option(help="Minutes of sound in a file that are taken.", min=0.1)
    ] = 60.0,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A site whose pages may call from browsers, such as https://example.org; give it "
            "again for another.",
        ),
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Serve the API alone.")] = False,
) -> None:
    """Serve verdicts over HTTP, and a page to look and listen.

    Examples:
      ostinato serve
      ostinato serve --host 0.0.0.0 --api-key-file keys.txt
      curl --data-binary @song.mp3 http://127.0.0.1:8000/v1/classify
      curl -F file=@song.mp3 "http://127.0.0.1:8000/v1/classify?timeline=true"

    The page is at the address that is printed; the API is described by
    /openapi.json there. It listens to this machine alone unless --host says
    otherwise. Uploads, time, memory and waiting requests are bounded; what is
    too much is refused with a sentence. Ctrl-C ends it when what runs is done,
    and leaves nothing on the disk.
    """
    one_blas_thread()
    from dataclasses import replace

    from ostinato.server.entry import run
    from ostinato.server.limits import Limits

    usual, upload_bytes = Limits(), max_mb << 20
    limits = replace(
        usual,
        upload_bytes=upload_bytes,
        spool_bytes=max(usual.spool_bytes, 4 * upload_bytes),
        sound_s=60 * max_minutes,
    )
    run(
        host=host,
        port=port,
        models=listed(model),
        n_workers=workers,
        key_file=api_key_file,
        limits=limits,
        allowed_origins=allow_origin or (),
        page=not no_page,
        tell=tell,
    )
