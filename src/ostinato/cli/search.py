"""``ostinato search``: find better settings for a study's models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.console import (
    INTERRUPTED,
    Accelerator,
    Cache,
    Jobs,
    Scheduler,
    output,
    progress,
    tell,
)
from ostinato.errors import require
from ostinato.storage import printable

if TYPE_CHECKING:
    from ostinato.study.search import SearchResult


def search(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY.toml",
            help="A study's settings; its table [search] says what varies (docs/guide/search.md). "
            "Without one, the training and the size of its models.",
        ),
    ],
    trials: Annotated[
        int, typer.Option(help="How many in all, with those that the folder holds already.", min=1)
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The search's folder. By default one below runs/."),
    ] = None,
    cache: Cache = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "processes",
    accelerator: Accelerator = "cpu",
) -> None:
    """Search for the settings that do best on validation folds; the test part is not used.

    Examples:
      ostinato search study.toml --trials 40
      ostinato search study.toml --trials 40 --out runs/wider
      ostinato study runs/wider/winner.toml

    Writes the winner as a study, trials.csv and a figure of what matters. After Ctrl-C, or when
    killed, the same command goes on; the same command twice shares the work.
    """
    for module in ("torch", "lightning"):
        require(module, extra="train", needed_for="A search")
    try:
        with progress("folds") as step:
            from ostinato.study.search import search as searched

            result = searched(
                file, trials=trials, out=out, jobs=jobs, cache=cache, progress=step, tell=tell,
                accelerator=accelerator, backend=scheduler,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for sentence in _told(result):
        output.print(printable(sentence), soft_wrap=True)


def _told(result: SearchResult) -> list[str]:
    stopped = f", {result.n_pruned} of them given up early" if result.n_pruned else ""
    failed = f"; {result.n_failed} failed (trials.csv says why)" if result.n_failed else ""
    own = "" if result.own is None else f"; the study as it is has {result.own:.3f}"
    best = f"trial {result.number}" if result.number or result.own is None else "the study as it is"
    sentences = [
        f"{result.n_trials} trials{stopped}{failed}.",
        f"The best is {best}: {result.objective} {result.value:.3f} on the pooled validation "
        f"folds{own if result.number else ''}.",
        *(f"  {name} = {value}" for name, value in result.values.items()),
    ]
    if result.importances:
        most, share = max(result.importances.items(), key=lambda item: item[1])
        sentences.append(f"What matters most: {most} ({share:.0%}).")
    return [
        *sentences,
        "The best of many looks better than it is: the winner's study says of how many.",
        f"Winner: {result.winner}   (ostinato study {result.winner})",
    ]
