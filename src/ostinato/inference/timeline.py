"""Draw the timeline of a verdict: the genre, and the probability of each genre, over time.

A ribbon shows the verdict of every part; below it, the probabilities of the genres are stacked, in
steps as wide as the excerpts. Where no genre is likely enough, both are hatched; where the sound is
silent, both are empty.

Axes: N stretches, G genres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError, joined, require
from ostinato.inference.verdict import Segment, Stretch, Verdict, clock
from ostinato.plotting import INK, SOFT, place, save, short, style, titled
from ostinato.storage import is_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches.
WIDTH, HEIGHT = 9.8, 3.9
_RIBBON, _FOOT, _LEFT, _RIGHT = 0.34, 0.5, 0.6, 2.05

#: Genres that have a colour in a picture; the probabilities of the others are added up.
MOST_SHOWN = 9
#: A genre that never leads is shown if its mean probability is at least this.
LEAST_SHARE = 0.03
OTHERS, NO_VERDICT, SILENCE = "other genres", "no verdict", "silent"

#: Tol (2021), "muted", told apart by colour-blind readers too, and a tenth for GTZAN's ten genres.
COLOURS = (
    "#4477aa", "#ddcc77", "#cc6677", "#aa4499", "#44aa99", "#882255", "#88ccee", "#332288",
    "#ee8866", "#117733",
)  # fmt: skip
_PALE = "#d9d9d9"
_EMPTY = "#f5f5f5"
_LETTER = 0.092  # inches, of a bold letter in the ribbon
_NEEDED_FOR = "The picture of a timeline"
_OTHER_PICTURES = (".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf", ".eps", ".tif", ".tiff")
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_MOST_TICKS = 9


def draw_timeline(verdict: Verdict, path: Path, *, name: str) -> Path:
    """Draw the timeline of the sound ``name`` as a PNG, whose folder is made."""
    with style(_NEEDED_FOR, (name, *verdict.genres)):
        return save(timeline(verdict, name), path)


class Pictures:
    """Draws the pictures of many files: one PNG, or a folder with one for each file.

    Parameters
    ----------
    to : Path
        A PNG, by its suffix, or a folder, which is made.
    n_files : int
        How many files will be drawn.

    Raises
    ------
    UsageError
        If several files are to become one PNG, or a picture is asked for that is no PNG.
    MissingExtraError
        If matplotlib is not installed.
    """

    def __init__(self, to: Path, *, n_files: int) -> None:
        # Said now, not after a long file.
        require("matplotlib", extra="plot", needed_for=_NEEDED_FOR)
        if to.suffix.lower() in _OTHER_PICTURES and not is_folder(to):
            raise UsageError(f"Expected a .png or a folder for the picture, got {to}.")
        self._is_file = to.suffix.lower() == ".png" and not is_folder(to)
        if self._is_file and n_files > 1:
            raise UsageError(
                f"Pictures of {n_files} files: expected a folder to put them in, got {to}."
            )
        self._to = to
        self._taken: set[str] = set()

    def add(self, verdict: Verdict, name: str) -> Path:
        """Draw one more file; return the picture's path.

        Files of one name, from different folders, are numbered: ``song.mp3.png``,
        ``song.mp3-2.png``.

        Raises
        ------
        WriteError
            If the picture cannot be written.
        """
        if self._is_file:
            return draw_timeline(verdict, self._to, name=Path(name).name)
        base = "stdin" if name == "-" else Path(name).name
        title, number = base, 1
        while title.casefold() in self._taken:
            number += 1
            title = f"{base}-{number}"
        self._taken.add(title.casefold())
        return draw_timeline(verdict, self._to / f"{title}.png", name=base)


def timeline(verdict: Verdict, name: str) -> Figure:
    """Draw the ribbon of verdicts above the stacked probabilities."""
    segments = verdict.segments()
    figure = titled(_title(verdict, segments), _subtitle(verdict, name), width=WIDTH, height=HEIGHT)
    right, top = WIDTH - _RIGHT, HEIGHT - 0.12
    ribbon = place(figure, _LEFT, top - _RIBBON, right, top)
    stack = place(figure, _LEFT, _FOOT, right, top - _RIBBON - 0.1)
    end_s = max(verdict.seconds, segments[-1].end_s if segments else 0.0, 1e-3)
    colours = genre_colours(verdict)
    _draw_ribbon(ribbon, segments, colours, end_s)
    _draw_stack(stack, verdict, colours)
    for segment in segments:
        if segment.genre is None:
            stack.axvspan(segment.start_s, segment.end_s, facecolor=(1, 1, 1, 0.45), lw=0,
                          hatch="///", edgecolor=(1, 1, 1, 0.9), zorder=3)  # fmt: skip
    ticks = _ticks(end_s)
    stack.set_xticks(ticks, [clock(tick) for tick in ticks])
    stack.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    stack.set(xlim=(0, end_s), ylim=(0, 1))
    stack.set_xlabel("hours : minutes : seconds" if end_s >= 3600 else "minutes : seconds")
    return figure


# ---------------- words


def _title(verdict: Verdict, segments: Sequence[Segment]) -> str:
    if not segments:
        return f"No verdict: {verdict.abstained or 'there is no sound'}"
    lasting: dict[str, float] = {}
    for segment in segments:
        name = _name(segment)
        lasting[name] = lasting.get(name, 0.0) + segment.end_s - segment.start_s
    ranked = sorted(lasting, key=lambda name: -lasting[name])
    if len(ranked) == 1:
        return _capital(f"{ranked[0]} throughout")
    shares = [f"{lasting[name] / sum(lasting.values()):.0%}" for name in ranked]
    parts = [f"{name} {share}" for name, share in zip(ranked[1:4], shares[1:4], strict=True)]
    return _capital(f"{ranked[0]} {shares[0]} of the time, {joined(parts)}")


def _name(segment: Segment) -> str:
    return " + ".join(short(genre) for genre in segment.named) or NO_VERDICT


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _subtitle(verdict: Verdict, name: str) -> str:
    said = [f"{name}, {clock(verdict.seconds)}."]
    if verdict.timeline:
        spans = [stretch.end_s - stretch.start_s for stretch in verdict.timeline]
        said.append(f"Probabilities every {np.median(spans):.0f} s; above them, verdicts.")
    if not verdict.by_probability:
        said.append(f"Hatched: {verdict.abstained}.")
    elif any(segment.genre is None for segment in verdict.segments()):
        reasons = [f"no genre reaches {verdict.threshold:.0%}"] if verdict.threshold else []
        reasons += ["no genre reaches its threshold"] if verdict.thresholds else []
        reasons += [f"'{verdict.other}' is likeliest"] if verdict.other else []
        said.append(f"Hatched: {', or '.join(reasons)}.")
    return " ".join(said)


# ---------------- data


def genre_colours(verdict: Verdict) -> dict[str, str]:
    """The genres that are shown, the likeliest first, and their colours.

    A genre has one colour in all pictures of a model of at most ten genres.
    """
    if not verdict.timeline:
        return {}
    _, _, probabilities = _steps(verdict.timeline)  # (N, G)
    means = _means(verdict.timeline)  # (G,)
    leads = set(probabilities.argmax(axis=1).tolist())
    order = np.argsort(-means, kind="stable").tolist()
    worthy = [g for g in order if g in leads or means[g] >= LEAST_SHARE]
    # If there is no room for all, those that lead go first.
    kept = set(sorted(worthy, key=lambda g: (g not in leads, -means[g]))[:MOST_SHOWN])
    shown = [g for g in worthy if g in kept]
    fixed = len(verdict.genres) <= len(COLOURS)
    return {
        verdict.genres[g]: COLOURS[g if fixed else rank % len(COLOURS)]
        for rank, g in enumerate(shown)
    }


def _steps(
    stretches: Sequence[Stretch],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts (N,), ends (N,) and probabilities (N, G); no two overlap, as in the segments."""
    ends = np.array([stretch.end_s for stretch in stretches])
    starts = np.array([stretch.start_s for stretch in stretches])
    starts[1:] = np.maximum(starts[1:], ends[:-1])
    return starts, ends, np.array([stretch.probabilities for stretch in stretches])


def _means(stretches: Sequence[Stretch]) -> NDArray[np.float64]:
    """Probabilities, averaged over time (G,)."""
    starts, ends, probabilities = _steps(stretches)
    spans = np.maximum(ends - starts, 1e-9)
    return np.asarray(np.average(probabilities, axis=0, weights=spans))


def _unbroken(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> Iterator[slice]:
    """Runs of stretches without a gap between them."""
    breaks = np.flatnonzero(starts[1:] - ends[:-1] > 1e-3) + 1
    bounds = [0, *breaks.tolist(), len(starts)]
    for first, last in pairwise(bounds):
        yield slice(first, last)


# ---------------- drawing


def _draw_ribbon(
    axes: Axes, segments: Sequence[Segment], colours: dict[str, str], end_s: float
) -> None:
    axes.set(xlim=(0, end_s), ylim=(0, 1), facecolor=_EMPTY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    inches = (WIDTH - _LEFT - _RIGHT) / end_s
    for segment in segments:
        start_s, stop_s, genre = segment[:3]
        span_s = stop_s - start_s
        fill = _PALE if genre is None else colours.get(genre, _PALE)
        axes.barh(0.5, span_s, 1, left=start_s, color=fill, edgecolor="white", lw=1.2,
                  hatch="///" if genre is None else None)  # fmt: skip
        label = _name(segment)
        if len(label) * _LETTER < span_s * inches:
            box = {"facecolor": _PALE, "edgecolor": "none", "pad": 2} if genre is None else None
            axes.text(start_s + span_s / 2, 0.47, label, ha="center", va="center", size=10,
                      weight="normal" if genre is None else "bold", color=_ink_on(fill),
                      bbox=box)  # fmt: skip
    heard = [0.0, *(bound for segment in segments for bound in segment[:2]), end_s]
    for begin_s, stop_s in zip(heard[::2], heard[1::2], strict=True):
        if len(SILENCE) * _LETTER < (stop_s - begin_s) * inches:
            axes.text((begin_s + stop_s) / 2, 0.47, SILENCE, ha="center", va="center", size=10,
                      color=SOFT)  # fmt: skip


def _draw_stack(axes: Axes, verdict: Verdict, colours: dict[str, str]) -> None:
    axes.set_facecolor(_EMPTY)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=3)
    axes.tick_params(axis="y", length=0)
    if not verdict.timeline:
        return
    starts, ends, probabilities = _steps(verdict.timeline)
    columns = [verdict.genres.index(genre) for genre in colours]
    rest = 1 - probabilities[:, columns].sum(axis=1)  # (N,)
    layers = [*probabilities[:, columns].T, rest]
    for run in _unbroken(starts, ends):
        edges = np.append(starts[run], ends[run][-1])
        if verdict.thresholds:  # they do not add up to 1: a line each
            for rank, (layer, colour) in enumerate(zip(layers, colours.values(), strict=False)):
                wide = 1.5 + len(colours) - rank  # where two are equal, both are seen
                axes.stairs(layer[run], edges, baseline=None, color=colour, lw=wide)
            continue
        below = np.zeros(len(edges) - 1)
        for layer, colour in zip(layers, [*colours.values(), _PALE], strict=True):
            above = np.clip(below + layer[run], 0, 1)
            axes.stairs(above, edges, baseline=below, fill=True, color=colour, lw=0.3)
            axes.stairs(above, edges, baseline=None, color="white", lw=0.7)
            below = above
    means = _means(verdict.timeline)
    shares = {genre: float(means[verdict.genres.index(genre)]) for genre in colours}
    others = 1 - sum(shares.values())
    rows = [(short(genre), colours[genre], share) for genre, share in shares.items()]
    if len(colours) < len(verdict.genres) and not verdict.thresholds:
        rows.append((OTHERS, _PALE, others))
    _draw_keys(axes, rows)


def _draw_keys(axes: Axes, rows: Sequence[tuple[str, str, float]]) -> None:
    """Write the genres beside the stack, in its order from the bottom up, with their means."""
    inch = 1 / (WIDTH - _LEFT - _RIGHT)
    square, name_at, share_at = 1 + 0.17 * inch, 1 + 0.31 * inch, 1 + (_RIGHT - 0.15) * inch
    at: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for number, (name, colour, share) in enumerate(rows):
        y = (number + 0.5) * 0.1
        axes.plot(square, y, "s", ms=8, color=colour, **at)
        axes.text(name_at, y, name, size=9.5, va="center", color=INK, **at)
        axes.text(share_at, y, f"{share:.0%}", size=9.5, va="center", ha="right", color=SOFT, **at)
    axes.text(share_at, len(rows) * 0.1 + 0.035, "mean", size=9, ha="right", va="center",
              color=SOFT, **at)  # fmt: skip


def _ticks(end_s: float) -> list[float]:
    """Round times, at most ten of them."""
    steps = (step for step in _STEPS_S if end_s / step <= _MOST_TICKS)
    step = next(steps, 86400 * np.ceil(end_s / 86400 / _MOST_TICKS))
    return [float(tick) for tick in np.arange(0, end_s + 1e-9, step)]


def _ink_on(colour: str) -> str:
    """Dark or white, whichever is legible on this colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "white"
