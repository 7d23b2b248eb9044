"""``ostinato export``: write a trained model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import Cache, Jobs, output, progress
from ostinato.errors import UsageError, require
from ostinato.storage import printable


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished study.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.onnx", help="The file to write.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which of the study's models; needed if it has several."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which training. By default the first, 0.", min=0)
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="Export the mean of all seeds, not a single training."),
    ] = False,
    fold: Annotated[int, typer.Option(help="Which fold of the split.", min=0)] = 0,
    precision: Annotated[
        float, typer.Option(help="Precision that the threshold targets: 0.7, 0.8 or 0.9.")
    ] = 0.8,
    with_front_end: Annotated[
        bool,
        typer.Option(
            "--with-front-end",
            help="The file takes 30 s of sound, for programs that have only ONNX Runtime.",
        ),
    ] = False,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="The model's licence, written into the file.")
    ] = "",
    cache: Cache = None,
    jobs: Jobs = None,
) -> None:
    """Write a trained model as an ONNX file, for ostinato classify --model FILE.onnx.

    Examples:
      ostinato export runs/gtzan --model residual-lstm --to genres.onnx
      ostinato export runs/gtzan --model lstm --ensemble --to five.onnx
      ostinato export runs/gtzan --model lstm --with-front-end --to sound.onnx

    The file also holds genres, frames, windows, temperature, threshold and measured accuracy. The
    study's data are loaded again, to check the file against the trained model.
    """
    require("torch", extra="train", needed_for="Export of a model")
    from ostinato.inference.model_file import open_graph
    from ostinato.inference.registry import ear_file

    if ensemble and seed is not None:
        raise UsageError("Expected --ensemble, the mean of all seeds, or one --seed; got both.")

    with progress("files") as step:
        from ostinato.study.export import export_run

        difference = export_run(
            run, to, model=model, seed=None if ensemble else seed or 0, fold=fold,
            precision=precision, front_end=with_front_end, cache=cache, jobs=jobs, progress=step,
            licence=licence,
        )  # fmt: skip
    size = f"{to.stat().st_size / 1e6:.1f} MB"
    said = f"{printable(str(to))}: {size}; PyTorch and ONNX Runtime agree to {difference:.1e}."
    output.print(said, soft_wrap=True)
    spec = open_graph(to).info.spec
    if spec.kind == "external":
        output.print(
            f"It hears through the ear of {spec.describe()}: keep that file beside it as "
            f"{ear_file(spec)}, or in your data folder.",
            soft_wrap=True,
        )
