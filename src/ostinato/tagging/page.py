"""The page of a library: one HTML file that needs nothing else, made of a stream of rows.

The template ``page.html.j2`` lies beside this module. Of a row nothing is kept but counts, and
a few names in the lists of the page, so that memory does not grow with the library.
"""

from __future__ import annotations

import heapq
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.inference.verdict import Verdict
from ostinato.plotting import templates
from ostinato.storage import printable, write_text
from ostinato.tagging.policy import is_missing
from ostinato.tagging.row import Row

LISTED = 40
"""Files that a list of the page names."""

SHOWN = 30
"""Folders, genres, reasons and pairs that a table of the page has."""

MOST_KEYS = 5_000
"""Different folders, genres or pairs that are counted; those that come later count together."""

COLOURS = (
    "#4477aa", "#ee8866", "#44aa99", "#cc6677", "#ddcc77", "#aa4499", "#88ccee", "#999933",
)  # fmt: skip
"""Colours of the most frequent genres; all others are grey."""

OTHERS, NONE = "other genres", "no genre"

YEARS = range(1860, 2100)
"""Years that can be a recording's."""

_SQUARE = 12  # genres up to which the disagreements are a square


class Tally(Counter[Any]):
    """Counts by key, of :data:`MOST_KEYS` keys at most: others count as :data:`OTHERS`."""

    def count(self, key: Any) -> None:
        """Count a key once more."""
        self[key if key in self or len(self) < MOST_KEYS else OTHERS] += 1


class Listed(NamedTuple):
    """A file in a list of the page."""

    path: str
    said: str  # its genres before
    heard: str
    probability: float
    second: str  # the next likely genre, with its probability


class Bar(NamedTuple):
    """A row of a table of bars: how many files, and the shares of their genres."""

    name: str
    n: int
    parts: list[tuple[str, int, float, str]]  # genre, files, share of the row, colour
    told: str  # the largest of them, in words


class LibraryPage:
    """Counts the rows of a library, and writes its page.

    Parameters
    ----------
    root : Path
        The library: its folders of the first level are told apart.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._inside = root, os.path.join(root, "")  # noqa: PTH118 - ends in a slash
        self._actions, self._kept, self._errors = Counter[str](), Tally(), Tally()
        self._before, self._after, self._models = Tally(), Tally(), Tally()
        self._folders, self._years = Tally(), Tally()  # by (folder, genre), (year, genre)
        self._abstained = Tally()  # by (why, the likeliest genre all the same)
        self._pairs = Tally()  # (said, heard)
        self._n_written = self._n_heard = self._n_told = self._n_agree = 0
        self._seconds = 0.0
        self._unsure: list[tuple[float, int, Listed]] = []  # heaps: the page's rows, and no more
        self._surest: list[tuple[float, int, Listed]] = []
        self._failed: list[tuple[str, str]] = []
        self._last: Verdict | None = None
        self._number = itertools.count()

    def add(self, row: Row) -> None:
        """Count a file."""
        self._actions[row.action] += 1
        self._n_written += row.written
        self._seconds += row.seconds or 0.0
        for genre in row.tags.genres or (NONE,):
            self._before.count(genre)
        for genre in row.new or (NONE,):
            self._after.count(genre)
        first, name = row.new[0] if row.new else NONE, self._name(row.path)
        self._folders.count((_folder(name), first))
        if row.tags.year in YEARS:
            self._years.count((row.tags.year, first))
        if row.action == "error":
            self._errors.count(_reason(row.why))
            if len(self._failed) < LISTED:
                self._failed.append((printable(name), printable(row.why)))
        elif row.action == "keep":
            self._kept.count(_reason(row.why))
        elif row.action == "abstain":
            guess = (row.verdict and row.verdict.guess) or NONE
            self._abstained.count((_reason(row.why), guess))
        if row.verdict is not None:
            self._hear(row, row.verdict, printable(name))

    def _hear(self, row: Row, verdict: Verdict, name: str) -> None:
        """Count what the model says of a file, and put it where it belongs on the page."""
        self._n_heard += 1
        self._models.count(f"{verdict.model} {verdict.model_version or ''}".strip())
        is_new, self._last = verdict is not self._last, verdict  # an album has one for its files
        if not row.genres:
            return
        listed = Listed(
            name,
            "; ".join(row.tags.genres),
            " + ".join(row.genres),
            verdict.probability,
            ", ".join(f"{genre} {share:.0%}" for genre, share in verdict.ranked[1:2]),
        )
        if is_new:
            _keep(self._unsure, (-verdict.probability, -next(self._number), listed))
        if is_missing(row.tags.genres):
            return
        self._n_told += 1
        if _agree(row.tags.genres, row.genres):
            self._n_agree += 1
            return
        self._pairs.count((row.tags.genres[0], row.genres[0]))
        if is_new:
            _keep(self._surest, (verdict.probability, -next(self._number), listed))

    def write(self, path: Path) -> Path:
        """Write the page, whole or not at all.

        Raises
        ------
        MissingExtraError
            If Jinja is not installed.
        WriteError
            If the file cannot be written.
        """
        made = templates(Path(__file__).parent, needed_for="The page of a library")
        made.filters |= {"share": _percent, "files": _files}
        write_text(path, made.get_template("page.html.j2").render(**self._context()))
        return path

    def _context(self) -> dict[str, Any]:
        """What the template is filled with."""
        colours = self._colours()
        n = self._actions.total()
        return {
            "title": printable(self._root.name or str(self._root)),
            "n": n,
            "hours": self._seconds / 3600,
            "n_heard": self._n_heard,
            "models": [name for name, _ in self._models.most_common()],
            "written": self._n_written > 0,
            "n_change": self._n_written or self._actions["write"],
            "actions": self._told_actions(),
            "genres": self._told_genres(colours),
            "colours": colours,
            "folders": _bars(self._folders, colours, by_size=True),
            "years": _bars(_by_decade(self._years), colours, by_size=False),
            "by_decade": _is_long(self._years),
            "n_dated": self._years.total(),
            "abstained": [
                (why, guesses.total(), guesses.most_common(3))
                for why, guesses in _largest(_by_name(self._abstained))[:SHOWN]
            ],
            "unsure": [listed for *_, listed in sorted(self._unsure, reverse=True)],
            "surest": [listed for *_, listed in sorted(self._surest, reverse=True)],
            "n_told": self._n_told,
            "n_agree": self._n_agree,
            "square": self._square(),
            "failed": self._failed,
            "errors": self._errors.most_common(SHOWN),
            "n_errors": self._actions["error"],
            "none": NONE,
        }

    def _colours(self) -> dict[str, str]:
        """The colours of the most frequent genres; the others' and that of no genre, in CSS."""
        known = [genre for genre, _ in self._after.most_common() if genre not in (NONE, OTHERS)]
        colours = dict(zip(known, COLOURS, strict=False))
        if len(known) > len(COLOURS):
            colours[OTHERS] = "var(--grey)"
        return colours | ({NONE: "var(--none)"} if self._after[NONE] else {})

    def _told_actions(self) -> list[tuple[str, int, str]]:
        """What becomes of the files: in words, how many, and the colour."""
        verb = "got" if self._n_written else "would get"
        kept = [(f"stay as they are ({why})", n, "var(--line)") for why, n in self._kept.items()]
        told = [
            (f"{verb} a new genre", self._actions["write"], "var(--accent)"),
            *sorted(kept, key=lambda each: -each[1])[:SHOWN],
            ("the model abstains", self._actions["abstain"], "var(--open)"),
            ("cannot be used", self._actions["error"], "var(--bad)"),
        ]
        return [each for each in told if each[1]]

    def _told_genres(self, colours: Mapping[str, str]) -> list[tuple[str, int, int, float, str]]:
        """Genres: files that have it before and in the end, the share of the largest, colour."""
        names = [genre for genre, _ in (self._after + self._before).most_common(SHOWN)]
        most = max((max(self._before[g], self._after[g]) for g in names), default=1)
        return [
            (genre, self._before[genre], self._after[genre], self._after[genre] / most,
             colours.get(genre, "var(--grey)"))
            for genre in sorted(names, key=lambda g: (g in (NONE, OTHERS), -self._after[g]))
        ]  # fmt: skip

    def _square(self) -> tuple[list[str], list[tuple[str, list[tuple[int, float]]]]]:
        """Disagreements between the most frequent genres: heads, and rows of counts and shades."""
        pairs = {pair: n for pair, n in self._pairs.items() if pair != OTHERS}
        said, heard = Counter[str](), Counter[str]()
        for (one, other), n in pairs.items():
            said[one] += n
            heard[other] += n
        heads = [genre for genre, _ in heard.most_common(_SQUARE)]
        most = max(pairs.values(), default=1)
        rows = [
            (genre, [(pairs.get((genre, head), 0), pairs.get((genre, head), 0) / most)
                     for head in heads])
            for genre, _ in said.most_common(_SQUARE)
        ]  # fmt: skip
        return heads, rows

    def _name(self, path: Path) -> str:
        """The path from the library's root; in full outside of it."""
        return str(path).removeprefix(self._inside)


def _folder(name: str) -> str:
    """The folder of the first level; in full outside of the root."""
    if os.path.isabs(name):  # noqa: PTH117 - a Path takes longer than all else here
        return os.path.dirname(name)  # noqa: PTH120
    return name.partition(os.sep)[0] if os.sep in name else "(in no folder)"


def _keep(heap: list[tuple[float, int, Listed]], entry: tuple[float, int, Listed]) -> None:
    """Add an entry, and drop the smallest if there are more than the page lists."""
    (heapq.heappush if len(heap) < LISTED else heapq.heappushpop)(heap, entry)


def _reason(why: str) -> str:
    """A clause without the figures behind its colon: reasons that are alike count together."""
    return printable(why.partition(": ")[0])[:100]


def _agree(said: Iterable[str], heard: Iterable[str]) -> bool:
    """Whether two are the same, as Hip Hop and Hip-Hop, or one of a kind, as Rock and Hard Rock."""
    pairs = [(_words(one), _words(other)) for one in said for other in heard]
    return any(
        set(one) <= set(other) or set(other) <= set(one) or "".join(one) == "".join(other)
        for one, other in pairs
    )


def _words(genre: str) -> list[str]:
    return re.findall(r"\w+", genre.casefold())


def _by_decade(years: Tally) -> Counter[tuple[str, str]]:
    """Years as text, by decades if they are many; what came too late to be told apart goes."""
    is_long = _is_long(years)
    told = Counter[tuple[str, str]]()
    for key, n in years.items():
        if key != OTHERS:
            told[f"{key[0] // 10 * 10}s" if is_long else str(key[0]), key[1]] += n
    return told


def _is_long(years: Tally) -> bool:
    return len({key[0] for key in years if key != OTHERS}) > 15


def _by_name(counted: Mapping[Any, int]) -> dict[str, Counter[str]]:
    """What is counted by (name, genre), as genres by name."""
    by_name: dict[str, Counter[str]] = {}
    for key, n in counted.items():
        name, genre = ("others", OTHERS) if key == OTHERS else key
        by_name.setdefault(name, Counter())[genre] += n
    return by_name


def _largest(by_name: Mapping[str, Counter[str]]) -> list[tuple[str, Counter[str]]]:
    """The names with the most files first."""
    return sorted(by_name.items(), key=lambda each: (-each[1].total(), each[0]))


def _bars(
    counted: Mapping[Any, int], colours: Mapping[str, str], *, by_size: bool
) -> tuple[list[Bar], int]:
    """Bars of what is counted by (name, genre), and how many names have none."""
    by_name = _by_name(counted)
    ordered = _largest(by_name)
    chosen = sorted(ordered[:SHOWN] if by_size else ordered, key=lambda each: each[0].casefold())
    bars = []
    for name, genres in chosen:
        n, shown = genres.total(), Counter[str]()
        for genre, count in genres.items():
            shown[genre if genre in colours else OTHERS] += count
        parts = [
            (genre, shown[genre], shown[genre] / n, colours.get(genre, "var(--grey)"))
            for genre in [*colours, *({OTHERS} - colours.keys())]
            if shown[genre]
        ]
        largest = sorted(parts, key=lambda part: -part[1])[:3]
        told = ", ".join(f"{genre} {_percent(share)}" for genre, _, share, _ in largest)
        bars.append(Bar(printable(name), n, parts, told))
    return bars, len(by_name) - len(chosen)


def _percent(share: float) -> str:
    """``12%``; ``<1%`` for what is not nothing."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _files(n: int) -> str:
    return f"{n:,} file{'' if n == 1 else 's'}"
