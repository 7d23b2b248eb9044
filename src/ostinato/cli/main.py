"""The command ``ostinato``: one file a verb, each a parser and a call that Python can make too.

Exit status: 0 done, 1 failed, 2 wrong call, 130 interrupted. Results are printed on stdout;
messages and progress on stderr, progress only if that is a terminal.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ostinato import __version__
from ostinato.cli.audit import audit
from ostinato.cli.classify import classify
from ostinato.cli.compare import compare
from ostinato.cli.console import tell, write_line
from ostinato.cli.export import export
from ostinato.cli.fetch import fetch
from ostinato.cli.listen import listen
from ostinato.cli.models import models
from ostinato.cli.study import study
from ostinato.errors import OstinatoError
from ostinato.storage import expanded

app = typer.Typer(
    name="ostinato",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Recurrent networks that name the genre of music, compared honestly."""
    if version:
        write_line(f"ostinato {__version__}")
        raise typer.Exit


for verb in (study, compare, audit, fetch, classify, listen, export, models):
    app.command()(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    try:
        app(args=[_at_home(a) for a in (sys.argv[1:] if arguments is None else arguments)])
    except OstinatoError as error:
        tell(f"ostinato: {error}")
        sys.exit(error.exit_status)
    except OSError as error:  # a disk that fills up under a checkpoint, a folder that disappears
        where = f" ({error.filename})" if error.filename else ""
        reason = f"{error.strerror or error}{where}"
        tell(f"ostinato: Stopped: {reason}; what was finished is kept.")
        sys.exit(OstinatoError.exit_status)


def _at_home(argument: str) -> str:
    """Expand ``~`` also where shells do not, as in ``--out=~/x``."""
    option, is_set, value = argument.partition("=")
    if argument.startswith("--") and is_set and value.startswith("~"):
        return f"{option}={expanded(value)}"
    return str(expanded(argument)) if argument.startswith("~") else argument


if __name__ == "__main__":
    main()
