"""The verb that makes a file to listen with from a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.console import output, progress
from ostinato.errors import UsageError, require


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished study.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.onnx", help="The file to write.")],
    model: Annotated[
        str | None, typer.Option(help="Of the study's models; needed where it has several.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which of its trainings. By default the first, 0.", min=0)
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="The mean of all seeds' trainings, not a single one."),
    ] = False,
    fold: Annotated[int, typer.Option(help="Which of its folds.", min=0)] = 0,
    precision: Annotated[
        float,
        typer.Option(help="Share of right verdicts below which to abstain: 0.7, 0.8 or 0.9."),
    ] = 0.8,
    with_front_end: Annotated[
        bool,
        typer.Option(
            "--with-front-end",
            help="Take 30 s of sound, not frames: for programs in any language, with ONNX Runtime "
            "alone.",
        ),
    ] = False,
    licence: Annotated[str, typer.Option(help="Of the model, to be written into it.")] = "",
    cache: Annotated[
        Path | None, typer.Option(help="Where frames of the study's data are kept.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that listen to them.", min=1)] = None,
) -> None:
    """Make an ONNX file of a trained model, for ostinato classify --model FILE.onnx.

    The file holds genres, frames, windows, temperature, threshold and
    measured accuracy as well. The study's data are loaded again: on them the
    file is compared with the model.

    Examples:

      ostinato export runs/gtzan --model residual-lstm --to genres.onnx

      ostinato export runs/gtzan --model lstm --ensemble --to five.onnx

      ostinato export runs/gtzan --model lstm --with-front-end --to sound.onnx
    """
    require("torch", extra="train", needed_for="Export of a model")
    from ostinato.study.export import export_run

    if ensemble and seed is not None:
        raise UsageError("Expected --ensemble, the mean of all seeds, or one --seed; got both.")

    with progress("files") as step:
        difference = export_run(
            run, to, model=model, seed=None if ensemble else seed or 0, fold=fold,
            precision=precision, front_end=with_front_end, cache=cache, jobs=jobs, progress=step,
            licence=licence,
        )  # fmt: skip
    size = to.stat().st_size / 1e6
    output.print(
        f"{to}: {size:.1f} MB; PyTorch and ONNX Runtime agree to {difference:.1e}.",
        soft_wrap=True,
        markup=False,
    )
