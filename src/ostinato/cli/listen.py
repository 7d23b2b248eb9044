"""The verb that hears what is played now."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.console import check_format, one_blas_thread, output, write_line
from ostinato.errors import UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.audio import AudioStream, RawFormat
    from ostinato.inference.live import Said
    from ostinato.inference.verdict import Verdict

_BAR = 20  # characters of certainty

Show = Callable[["Said", bool], None]  # and whether it is the last


def listen(
    rate: Annotated[
        int | None, typer.Option(help="Of bare samples, in Hz: 44100 unless given.", min=1)
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Of bare samples: 2 unless given.", min=1)
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of bare samples: s16le (unless given) or f32le.")
    ] = None,
    every: Annotated[
        float, typer.Option(help="Seconds of sound from one verdict to the next.", min=0.1)
    ] = 1.0,
    format_: Annotated[
        str, typer.Option("--format", help="table for people; json, a line a verdict.")
    ] = "table",
    model: Annotated[
        str,
        typer.Option(
            help="A model that ships with the package, musicnn (once fetched), or an ONNX file."
        ),
    ] = "default",
) -> None:
    """Name the genre of what is played now, again every second.

    Hears WAV from standard input, or bare samples where --rate, --channels or
    --encoding is given; the default microphone where standard input is a
    terminal. A verdict is on the last 30 s, and needs about 11 s of sound to
    begin with (20 s with musicnn). The end of the sound, or Ctrl-C, ends it with a last verdict.

    Examples:

      ostinato listen

      arecord -q -f cd | ostinato listen

      ffmpeg -v error -i https://radio.example/stream -f wav - | ostinato listen --format json

      parec --rate=44100 --channels=2 --format=s16le | ostinato listen --rate 44100
    """
    check_format(format_)
    one_blas_thread()
    from ostinato.inference.classifier import Classifier
    from ostinato.inference.live import Listener

    raw = _raw(rate, channels, encoding)
    classifier = Classifier.load(model)
    listener = Listener(classifier, every_s=every)
    rate_hz = classifier.info.spec.sample_rate_hz
    with _open(raw, rate_hz) as live, _shown(format_, listener.enough_s) as show:
        with suppress(KeyboardInterrupt):  # while a verdict is made, too, it is the end, no error
            for chunk in live.chunks():
                if (said := listener.hear(chunk)) is not None:
                    show(said, False)
        show(listener.last(), True)


def _raw(rate: int | None, channels: int | None, encoding: str | None) -> RawFormat | None:
    given = {"rate_hz": rate, "n_channels": channels, "encoding": encoding}
    settings = {name: value for name, value in given.items() if value is not None}
    if not settings:
        return None
    from ostinato.audio import RawFormat

    return RawFormat(**settings)  # type: ignore[arg-type]


def _open(raw: RawFormat | None, rate_hz: int) -> AudioStream:
    from ostinato.audio import AudioStream

    if not sys.stdin.isatty():
        return AudioStream.from_stream(sys.stdin.buffer, raw, sample_rate_hz=rate_hz)
    if raw is not None:
        raise UsageError(
            "Expected sound on standard input, which --rate, --channels and --encoding describe, "
            "got a terminal; without them the microphone is heard."
        )
    return AudioStream.microphone(sample_rate_hz=rate_hz)


@contextmanager
def _shown(format_: str, enough_s: float) -> Iterator[Show]:
    """How verdicts are shown: as JSON, in one line that is rewritten, or in a line each."""
    if format_ == "json":
        yield lambda said, is_last: write_line(json.dumps({**said.to_dict(), "last": is_last}))
        return
    if not output.is_terminal:
        said_s = -1.0

        def write(said: Said, is_last: bool) -> None:
            nonlocal said_s
            if not (is_last and said.at_s == said_s):
                write_line(_line(said, enough_s).plain.rstrip())
            said_s = said.at_s

        yield write
        return
    from rich.live import Live
    from rich.text import Text

    start = Text("listening ...", style="dim")
    with Live(start, console=output, auto_refresh=False, redirect_stderr=False) as line:
        yield lambda said, is_last: line.update(
            _line(said, enough_s, bar=not is_last), refresh=True
        )


def _line(said: Said, enough_s: float, *, bar: bool = False) -> Text:
    """``0:42  jazz        62%  blues 21%, rock 8%``, or why there is no genre."""
    from rich.text import Text

    minutes, seconds = divmod(int(said.at_s), 60)
    line = Text(f"{minutes:>3}:{seconds:02}  ", no_wrap=True, overflow="ellipsis", end="")
    if said.verdict is None:
        return line.append(f"listening ... ({enough_s:.0f} s of sound are needed)", style="dim")
    if said.verdict.genre is None:
        return line.append("?           ", style="bold").append(_why_not(said.verdict))
    (genre, p), *others = said.verdict.ranked
    line.append(f"{genre:<10} {p:>4.0%}  ", style="bold")
    if bar:
        full = round(p * _BAR)
        line.append("\N{FULL BLOCK}" * full, style="green")
        line.append("\N{LIGHT SHADE}" * (_BAR - full) + "  ", style="dim")
    return line.append(", ".join(f"{name} {q:.0%}" for name, q in others[:2]), style="dim")


def _why_not(verdict: Verdict) -> str:
    if not verdict.ranked:
        return str(verdict.abstained)
    genre, p = verdict.ranked[0]
    return f"{verdict.abstained} (perhaps {genre}, {p:.0%})"
