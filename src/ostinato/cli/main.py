"""The command ``ostinato``: one file a verb, each a parser and a call that Python can make too.

Exit status: 0 done, 1 failed, 2 wrong call, 130 interrupted. Results are printed on stdout;
messages and progress on stderr, progress only if that is a terminal.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from typing import Annotated

import typer
from typer.exceptions import TyperException

from ostinato.cli.audit import audit
from ostinato.cli.classify import classify
from ostinato.cli.compare import compare
from ostinato.cli.console import tell, write_line
from ostinato.cli.doctor import doctor
from ostinato.cli.evaluate import evaluate
from ostinato.cli.export import export
from ostinato.cli.fetch import fetch
from ostinato.cli.help import Verb, Verbs
from ostinato.cli.listen import listen
from ostinato.cli.models import models
from ostinato.cli.process import settled
from ostinato.cli.search import search
from ostinato.cli.serve import serve
from ostinato.cli.study import study
from ostinato.cli.tag import tag
from ostinato.cli.train import train
from ostinato.errors import OstinatoError
from ostinato.storage import expanded, refuse_address, user_cache

NAME = "ostinato"

app = typer.Typer(
    name=NAME,
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Recurrent networks that name the genre of music, compared honestly.

    Examples:
      ostinato classify song.mp3             # its genre, or an honest "?"
      ostinato tag ~/music                   # what it would write; --write does
      ostinato train ~/music/my-genres       # your own: a folder per genre
      ostinato study                         # LSTM, ResLSTM and ConvLSTM on GTZAN

    Each verb has examples of its own: ostinato classify --help.
    """
    if version:
        from ostinato import __version__  # read from the installation: 20 ms that only this waits

        write_line(f"{NAME} {__version__}")
        raise typer.Exit


for subject, verbs in {
    "Name genres": (classify, tag, listen, serve, models),
    "Learn your own": (train, evaluate),
    "Study models": (study, search, compare, audit, export),
    "This installation": (fetch, doctor),
}.items():
    for verb in verbs:
        app.command(cls=Verb, rich_help_panel=subject)(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    if not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 - ~ may be nowhere
        # matplotlib, which PyTorch Lightning imports as well, would complain in every process.
        os.environ.setdefault("MPLCONFIGDIR", str(user_cache()[0] / "matplotlib"))
    with settled():
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    """Run a verb and give the exit status; an error is one sentence on stderr."""
    try:
        _refuse_addresses(arguments)
        given = [_at_home(argument) for argument in arguments]
        return int(app(given, prog_name=NAME, standalone_mode=False) or 0)
    except TyperException as error:  # a call that cannot be parsed
        if error.format_message():  # else it was the help, which is printed already
            tell(f"{NAME}: {_wrong_call(error, arguments)}")
        return error.exit_code
    except OstinatoError as error:
        tell(f"{NAME}: {error}")
        return error.exit_status
    except OSError as error:  # a disk that fills up under a checkpoint, a folder that disappears
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        with suppress(OSError):  # it may be the stream of messages that cannot be written
            tell(f"{NAME}: Stopped: {reason}{where}; what was finished is kept.")
        return OstinatoError.exit_status


def _refuse_addresses(arguments: list[str]) -> None:
    """Refuse addresses where paths are taken."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, is_set, value = argument.partition("=")
        if not (is_set and option.startswith("--")):
            option, value = before, argument
        if option not in ("--url", "--licence", "--scheduler", "--allow-origin"):
            refuse_address(value)


def _at_home(argument: str) -> str:
    """Expand ``~`` also where shells do not, as in ``--out=~/x``."""
    option, is_set, value = argument.partition("=")
    if argument.startswith("--") and is_set and value.startswith("~"):
        return f"{option}={expanded(value)}"
    return str(expanded(argument)) if argument.startswith("~") else argument


def _wrong_call(error: TyperException, arguments: list[str]) -> str:
    """Say what is wrong about a call that cannot be parsed, and what to do."""
    said = error.format_message()
    if alike := getattr(error, "possibilities", None):
        said = f"{error.message}. Did you mean {' or '.join(alike)}?"
    if not said.endswith((".", "?")):
        said += "."
    context = getattr(error, "ctx", None)
    command = context.command_path if context else NAME
    option = str(getattr(error, "option_name", ""))
    for path in arguments if option else ():
        if path.startswith(option) and "=" not in path and ("." in path or os.path.lexists(path)):
            return f"{said} If it is a file: {command} -- {shlex.quote(path)}"
    return f"{said} See {command} --help."
