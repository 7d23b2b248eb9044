"""How results look: figures and pages in one style.

The only canvas of matplotlib: figures with a title above them, as small PNGs. And Jinja's templates
of pages, which share ``report.css``.

Drawn with matplotlib's objects on the Agg canvas: no window, no global state. Lengths are in
inches, so that text has the same size in every figure.
"""

from __future__ import annotations

import functools
import io
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import require
from ostinato.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pixels an inch: a figure of 7.5 inches is 1200 pixels wide.
DPI = 160
INK, SOFT, FAINT = "#222222", "#666666", "#dddddd"
#: A genre's name is cut to this many letters.
LONGEST = 16

_FONT = "DejaVu Sans"  # comes with matplotlib

STYLE: dict[str, Any] = {
    "font.family": _FONT,
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,  # a genre may be called "$"
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def templates(folder: Path, *, needed_for: str) -> Any:
    """Jinja with the templates of a folder, and ``report.css`` for them; every value is escaped."""
    jinja2 = require("jinja2", extra="plot", needed_for=needed_for)
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@contextmanager
def style(needed_for: str, texts: Iterable[str] = ()) -> Iterator[None]:
    """Have figures drawn in :data:`STYLE`, with fonts for the names that a user gave.

    ``needed_for`` is what is drawn, for the sentence where matplotlib is not installed. Boxes stand
    for the characters of ``texts`` that :func:`not_drawn` gives.
    """
    matplotlib = require("matplotlib", extra="plot", needed_for=needed_for)
    fonts = [_FONT, *_fonts_for("".join(texts))[0]]
    with matplotlib.rc_context(STYLE | {"font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def not_drawn(texts: Iterable[str]) -> str:
    """Characters of these texts that no installed font has."""
    return _fonts_for("".join(texts))[1]


@functools.lru_cache(maxsize=16)
def _fonts_for(text: str) -> tuple[tuple[str, ...], str]:
    """Installed fonts for what our own lacks, and the characters that none of them has."""
    from matplotlib.font_manager import findfont, fontManager, get_font

    wanted = {c for c in text if not c.isspace()}
    wanted -= _characters(get_font(findfont(_FONT)), wanted)
    chosen: list[str] = []
    # "Last Resort", which comes with matplotlib, has a box for every script.
    fonts = [font for font in fontManager.ttflist if "last resort" not in font.name.lower()]
    for font in sorted(fonts, key=lambda f: f.name) if wanted else ():
        try:
            held = _characters(get_font(font.fname), wanted)
        except (OSError, RuntimeError):  # moved since they were listed, or of colours alone
            continue
        if held:
            chosen.append(font.name)
            wanted -= held
    return tuple(chosen), "".join(sorted(wanted))


def _characters(font: Any, wanted: set[str]) -> set[str]:
    return {c for c in wanted if font.get_char_index(ord(c))}


def titled(title: str, subtitle: str, *, width: float, height: float) -> Figure:
    """Make a figure with its title above a plot area of ``height``, which is left empty."""
    from matplotlib.figure import Figure

    lines, notes = _wrapped(title, int(width * 8.9)), _wrapped(subtitle, int(width * 11.4))
    total = height + 0.23 * len(lines) + 0.19 * len(notes) + 0.24
    figure = Figure(figsize=(width, total), dpi=DPI)
    left, top, below = 0.14 / width, 1 - 0.12 / total, 1 - (0.17 + 0.23 * len(lines)) / total
    figure.text(left, top, "\n".join(lines), size=13, weight="bold", va="top")
    figure.text(left, below, "\n".join(notes), size=10, color=SOFT, va="top")
    return figure


def _wrapped(text: str, longest: int) -> list[str]:
    """Wrap into lines of about equal length: a last line of one word looks like a mistake."""
    n = len(textwrap.wrap(text, longest))
    evenly = (textwrap.wrap(text, width) for width in range(len(text) // max(n, 1) + 1, longest))
    return next((lines for lines in evenly if len(lines) == n), textwrap.wrap(text, longest))


def place(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add axes at these distances, in inches, from the lower left corner."""
    width, height = figure.get_size_inches()
    at = (left / width, bottom / height, (right - left) / width, (top - bottom) / height)
    return figure.add_axes(at)


def keys(figure: Figure, left: float, top: float, **options: Any) -> None:
    """Add a legend in one line, at these distances, in inches, from the lower left corner."""
    width, height = figure.get_size_inches()
    corner = (left / width, top / height)
    figure.legend(
        loc="upper left", bbox_to_anchor=corner, borderaxespad=0, borderpad=0, columnspacing=1.4,
        **options,
    )  # fmt: skip


def short(name: str) -> str:
    """Cut a name to :data:`LONGEST` letters."""
    if len(name) <= LONGEST:
        return name
    return name[: LONGEST - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    from PIL import Image  # matplotlib depends on it

    raw = io.BytesIO()
    figure.savefig(raw, format="rgba", dpi=DPI)
    size = (int(figure.bbox.width), int(figure.bbox.height))
    image = Image.frombytes("RGBA", size, raw.getvalue()).convert("RGB")
    # The figures have few colours: a palette makes their files three times smaller.
    image = image.quantize(256, kmeans=1, dither=Image.Dither.NONE)
    with replacing(path) as temporary:
        image.save(temporary, format="png", optimize=True, dpi=(DPI, DPI))
    return path
