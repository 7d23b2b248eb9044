"""The verb ``models``: list the models that ship with the package, and choose the default."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from ostinato.cli.console import Format, output, tell, write_line
from ostinato.errors import UsageError

_WIDEST = 100  # columns


def models(
    use: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Make this model your default; --use default goes back."
        ),
    ] = None,
    format_: Format = "table",
) -> None:
    """List the models that ship, their accuracy, and the data they were trained on.

    Any of them can be the --model of ostinato classify and ostinato listen, and with
    --use the one that these and ostinato.classify in Python use where none is named.
    The choice is kept in a settings file of yours; OSTINATO_MODEL wins over it, and
    --model over both. All of this is read from the models' files; ostinato export
    writes it there.

    Examples:

      ostinato models

      ostinato models --format json

      ostinato models --use musicnn           (first: ostinato fetch musicnn)

      ostinato models --use default
    """
    if use is not None:
        if format_ == "json":
            raise UsageError("Expected --use without --format json: it prints no list.")
        _make_default(use)
        return
    from rich.box import SIMPLE_HEAD
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from ostinato.inference.registry import catalogue

    found = catalogue()
    if format_ == "json":
        write_line(json.dumps(found, indent=1))
        return
    width = min(output.width, _WIDEST)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("Model", "Family"):
        table.add_column(head, no_wrap=True)
    for head in ("Parameters", "Size", "Accuracy"):
        table.add_column(head, justify="right")
    for model in found:
        table.add_row(*(Text(cell) for cell in _cells(model)))
    output.print(table, width=width)
    if found:
        note = "In brackets: 95% interval by artist. *: on tracks that its recipe was chosen on."
        output.print(Text(f"{note}\n"), width=width)
    for n, model in enumerate(found):
        output.print(Text("\n" * (n > 0) + model["name"], style="bold"), width=width)
        about = Text("\n".join(_sentences(model)))
        output.print(Padding(about, (0, 0, 0, 2), expand=False), width=width)


def _make_default(named: str) -> None:
    """Make a model the user's default, once it has proved to load, and say so."""
    from ostinato.inference.classifier import Classifier
    from ostinato.inference.default_model import BACK, SHIPPED, VARIABLE, choose
    from ostinato.inference.registry import kept_name

    Classifier.load(named)
    model = kept_name(named)
    settings = choose(model)
    said = "the default again" if model == SHIPPED else f"your default now ({settings})"
    tell(f"{model} is {said}." + (f" To go back: {BACK}" if settings else ""))
    if os.environ.get(VARIABLE):
        tell(f"{VARIABLE} is set to '{os.environ[VARIABLE]}', and wins over it.")


def _cells(model: dict[str, Any]) -> tuple[str, ...]:
    parameters, accuracy = model["parameters"], model["accuracy"]
    measured = "?"
    if accuracy is not None:
        low, high = 100 * accuracy["low"], 100 * accuracy["high"]
        mark = " *" if _chosen_on(model) else ""
        measured = f"{accuracy['mean']:.1%} ({low:.1f}-{high:.1f}){mark}"
    return (
        model["name"],
        model["family"],
        "?" if parameters is None else f"{parameters:,}",
        f"{model['bytes'] / 1e6:.1f} MB",
        measured,
    )


def _chosen_on(model: dict[str, Any]) -> bool:
    """Whether the accuracy is of held-out folds or a valid part, for choosing: not a result."""
    accuracy = model["accuracy"]
    return accuracy is not None and ", valid part" in accuracy["protocol"]


def _sentences(model: dict[str, Any]) -> list[str]:
    trained, accuracy, threshold = model["trained_on"], model["accuracy"], model["threshold"]
    version, licence = model["version"] or "?", model["licence"] or "?"
    n = "?" if trained["recordings"] is None else f"{trained['recordings']:,}"
    said = [
        f"Version {version}, licence {licence}. "
        f"Trained on {n} recordings of {trained['data'] or '?'}, split {trained['split'] or '?'}.",
        f"{len(model['genres'])} genres: {', '.join(model['genres'])}.",
    ]
    if accuracy is not None:
        protocol = accuracy["protocol"].replace(" %", "%")  # else a line may break between the two
        chosen = ", on which the recipe was chosen" if _chosen_on(model) else ""
        said.append(f"Accuracy on {accuracy['n']:,} recordings{chosen}: {protocol}.")
    answers = "Answers at any probability"
    if threshold is not None:
        answers = f"Answers from a probability of {threshold:.0%}"
        if model["precision"] is not None:
            answers += f", chosen on held-out recordings for {model['precision']:.0%} right answers"
    return [*said, f"{answers}; temperature {model['temperature']:.2f}."]
