"""The verb ``listen``: name the genre of what is played now."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.console import Format, Model, one_blas_thread, output, write_line
from ostinato.cli.process import standard_input
from ostinato.errors import UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.audio import AudioStream
    from ostinato.inference.live import LiveClassifier, LiveVerdict

_BAR = 20  # characters that a probability of 1 fills

Show = Callable[["LiveVerdict", bool], None]  # a verdict, and whether it is the last


def listen(
    rate: Annotated[
        int | None, typer.Option(help="Sample rate of raw samples, in Hz. By default 44100.", min=1)
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of raw samples. By default 2.", min=1)
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="s16le|f32le", help="Encoding of raw samples. By default s16le."),
    ] = None,
    every: Annotated[
        float, typer.Option(help="Seconds of sound from one verdict to the next.", min=0.1)
    ] = 1.0,
    format_: Format = "table",
    model: Model = None,
) -> None:
    """Name the genre of what is played now, again every second.

    Examples:
      ostinato listen
      arecord -q -f cd | ostinato listen
      parec --format=s16le --rate=44100 | ostinato listen --rate 44100
      ffmpeg -v error -i https://radio.example/stream -f wav - | ostinato listen

    Reads WAV from standard input, or raw samples if --rate, --channels or
    --encoding is given; the default microphone if standard input is a terminal.
    A verdict covers the last 30 s. The first one comes after 10 s of sound, and
    says that it is early until the model has all that it takes at once: 30 s, or
    20 s with musicnn. The end of the sound, or Ctrl-C, ends it with a last verdict.
    """
    one_blas_thread()
    from ostinato.inference.classifier import Classifier
    from ostinato.inference.live import LiveClassifier

    given = {"rate_hz": rate, "n_channels": channels, "encoding": encoding}
    settings = {name: value for name, value in given.items() if value is not None}
    classifier = Classifier.load(model)
    running = LiveClassifier(classifier, every_s=every)
    rate_hz = classifier.info.spec.sample_rate_hz
    with _open(settings, rate_hz) as stream, _shown(format_, running) as show:
        with suppress(KeyboardInterrupt):  # Ctrl-C is the end, also while a verdict is made
            for chunk in stream.chunks():
                now = running.add(chunk, heard_channel=stream.heard_channel)
                if now is not None:
                    show(now, False)
        show(running.last(), True)


def _open(settings: dict[str, Any], rate_hz: int) -> AudioStream:
    """Open standard input, of raw samples if there are settings; the microphone at a terminal."""
    from ostinato.audio import AudioStream, RawFormat

    raw = RawFormat(**settings) if settings else None
    if sys.stdin is None or not sys.stdin.isatty():
        return AudioStream.from_stream(standard_input(), raw, sample_rate_hz=rate_hz)
    if raw is not None:
        raise UsageError(
            "Expected sound on standard input, which --rate, --channels and --encoding describe, "
            "got a terminal; leave them out to listen to the microphone."
        )
    return AudioStream.microphone(sample_rate_hz=rate_hz)


@contextmanager
def _shown(format_: str, running: LiveClassifier) -> Iterator[Show]:
    """Show verdicts as JSON, in one line that is rewritten, or in a line each."""
    if format_ == "json":
        yield lambda now, is_last: write_line(json.dumps({**now.to_dict(), "last": is_last}))
        return
    if not output.is_terminal:
        shown = None

        def write(now: LiveVerdict, is_last: bool) -> None:
            nonlocal shown
            if now != shown:  # the last one may be that of the last tick
                write_line(_line(now, running).plain.rstrip())
            shown = now

        yield write
        return
    from rich.live import Live
    from rich.text import Text

    start = Text("listening ...", style="dim")
    with Live(start, console=output, auto_refresh=False, redirect_stderr=False) as line:
        yield lambda now, is_last: line.update(_line(now, running, bar=not is_last), refresh=True)


def _line(now: LiveVerdict, running: LiveClassifier, *, bar: bool = False) -> Text:
    """Format ``0:42  jazz  62%  blues 21%, rock 8%``, or why there is no genre."""
    from rich.text import Text

    minutes, seconds = divmod(int(now.at_s), 60)
    line = Text(f"{minutes:>3}:{seconds:02}  ", no_wrap=True, overflow="crop", end="")
    if now.verdict is None:
        first = f"{running.first_s:.0f} s of sound are needed"
        return line.append(f"listening ... ({first})", style="dim")
    early = f"early ({int(now.at_s)} of {running.enough_s:.0f} s)  " if now.early else ""
    alone = now.verdict.heard_channel
    one_channel = "" if alone is None else f"  (channel {alone}, for all cancel out)"
    if now.verdict.genre is None:
        guess = now.verdict.guess
        maybe = f" (perhaps {guess}, {now.verdict.probability:.0%})" if guess else ""
        line.append("?           ", style="bold").append(early)
        return line.append(f"{now.verdict.abstained}{maybe}{one_channel}")
    p = now.verdict.probability
    line.append(f"{now.verdict.genre:<10} {p:>4.0%}  ", style="bold")
    if bar:
        full = round(p * _BAR)
        here, rest = "#." if output.options.ascii_only else "\N{FULL BLOCK}\N{LIGHT SHADE}"
        line.append(here * full, style="green")
        line.append(rest * (_BAR - full) + "  ", style="dim")
    line.append(early)
    return line.append(now.verdict.others(3) + one_channel, style="dim")
