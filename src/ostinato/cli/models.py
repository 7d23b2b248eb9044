"""The verb ``models``: list the models that there are, and choose the default."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.console import Format, output, tell, write_line
from ostinato.errors import UsageError

_WIDEST = 100  # columns
_OVERLAP = "overlap unknown"  # in a protocol


def models(
    use: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Make this model your default; --use default goes back."
        ),
    ] = None,
    format_: Format = "table",
) -> None:
    """List the models, their accuracy, and the data they were trained on.

    Examples:
      ostinato models
      ostinato models --format json
      ostinato models --use musicnn    # ostinato fetch musicnn first
      ostinato models --use default

    Those that ship come first, then what ostinato fetch gets. All of this is
    read from their files; ostinato export writes it there.

    Any of them can be the --model of ostinato classify and ostinato listen. The
    one of --use is used where none is named, also by ostinato.classify in Python.
    It is kept in a settings file of yours; OSTINATO_MODEL wins over it, and
    --model over both.
    """
    if use is not None:
        if format_ == "json":
            raise UsageError("Expected --use without --format json: it prints no list.")
        _make_default(use)
        return
    from ostinato.inference.catalogue import catalogue

    found = catalogue()
    if format_ == "json":
        write_line(json.dumps(found, indent=1))
    else:
        _print(found)


def _print(found: list[dict[str, Any]]) -> None:
    """Print a table, what its marks mean, and a paragraph a model."""
    from rich.box import SIMPLE_HEAD
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    width = min(output.width, _WIDEST)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("  Model", "Family"):
        table.add_column(head, no_wrap=True)
    for head in ("Parameters", "Size", "Accuracy"):
        table.add_column(head, justify="right")
    for model in found:
        style = "dim" if model["problem"] else "bold" if model["default"] else ""
        table.add_row(*(Text(cell) for cell in _cells(model)), style=style)
    output.print(table, width=width)
    for note, style in _notes(found):
        output.print(Text(note, style=style), soft_wrap=True)  # it may hold a path, to be copied
    for model in found:
        output.print(Text(f"\n{model['name']}", style="bold"), width=width)
        about = Text("\n".join(_sentences(model)), style="dim" if model["problem"] else "")
        output.print(Padding(about, (0, 0, 0, 2), expand=False), width=width)


def _notes(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the marks of the table mean, and which models cannot be used, each with its style."""
    from ostinato.inference.default_model import chosen

    by = chosen().by
    because = f" ({by} says so)" if by else ""
    notes = [
        (f"> What is used without --model{because}. Another: ostinato models --use NAME", ""),
        ("In brackets: 95% interval by artist. *: on tracks that its recipe was chosen on.", ""),
    ]
    if any(_is_pretrained(model) for model in found):
        note = "+: pretrained, overlap unknown: it may have learned from these tracks before."
        notes.append((note, "yellow"))
    for model in found:
        if model["problem"]:
            here = model["kind"] == "fetched" and model["bytes"] is None
            said = f"{_shown(model)} {'is' if here else 'cannot be used:'} {model['problem']}"
            notes.append((said, "dim" if here else "yellow"))
    return notes


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


def _shown(model: dict[str, Any]) -> str:
    """A model's name; that of its file, where it is asked for by its path."""
    name: str = model["name"]
    return Path(name).name if model["kind"] == "file" else name


def _cells(model: dict[str, Any]) -> tuple[str, ...]:
    parameters, accuracy, size = model["parameters"], model["accuracy"], model["bytes"]
    measured = "?"
    if accuracy is not None:
        low, high = 100 * accuracy["low"], 100 * accuracy["high"]
        mark = "* " if _chosen_on(model) else "+ " if _is_pretrained(model) else ""
        measured = f"{mark}{accuracy['mean']:.1%} ({low:.1f}-{high:.1f})"
    return (
        f"{'>' if model['default'] else ' '} {_shown(model)}",
        model["family"] or "?",
        "?" if parameters is None else f"{parameters:,}",
        "-" if size is None else f"{size / 1e6:.1f} MB",
        measured,
    )


def _is_pretrained(model: dict[str, Any]) -> bool:
    """Whether what it was judged on may be among what it learned from."""
    return model["accuracy"] is not None and _OVERLAP in model["accuracy"]["protocol"]


def _chosen_on(model: dict[str, Any]) -> bool:
    """Whether the accuracy is of held-out folds or a valid part, for choosing: not a result."""
    accuracy = model["accuracy"]
    return accuracy is not None and ", valid part" in accuracy["protocol"]


def _sentences(model: dict[str, Any]) -> list[str]:
    if model["family"] is None:  # its file cannot be read
        return [model["problem"]]
    trained, accuracy, threshold = model["trained_on"], model["accuracy"], model["threshold"]
    version, licence = model["version"] or "?", model["licence"] or "?"
    n = "?" if trained["recordings"] is None else f"{trained['recordings']:,}"
    of_what = "Its head, which ships: version" if model["kind"] == "fetched" else "Version"
    stated = "Your own. " if model["kind"] == "own" else f"{of_what} {version}, licence {licence}. "
    said = [
        f"{stated}Trained on {n} recordings of {trained['data'] or '?'}, split "
        f"{trained['split'] or '?'}.",
        f"{len(model['genres'])} genres: {', '.join(model['genres'])}.",
    ]
    if accuracy is not None:
        protocol = accuracy["protocol"].replace(" %", "%")  # else a line may break between the two
        chosen = ", on which the recipe was chosen" if _chosen_on(model) else ""
        said.append(f"Accuracy on {accuracy['n']:,} recordings{chosen}: {protocol}.")
    if model["thresholds"]:
        return [*said, "Names each genre from a threshold of its own on, chosen for its F1."]
    answers = "Answers at any probability"
    if threshold is not None:
        answers = f"Answers from a probability of {threshold:.0%}"
        if model["precision"] is not None:
            answers += f", chosen on held-out recordings for {model['precision']:.0%} right answers"
    return [*said, f"{answers}; temperature {model['temperature']:.2f}."]
