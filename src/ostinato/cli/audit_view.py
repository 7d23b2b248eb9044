"""The findings of an audit for people: a table of pairs, one of files, and a sentence or two.

Programs read :meth:`ostinato.datasets.audit.AuditResult.to_dict`.
"""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.datasets.audit import AuditResult
from ostinato.datasets.corpus import Recording

_WIDEST_ID, _NARROWEST_NAME, _GAP = 24, 10, 3  # columns, in a terminal too narrow for all


def print_audit(result: AuditResult, console: Console) -> None:
    """Print pairs, files with the wrong content, and a summary."""
    if result.pairs:
        console.print(_pairs(result, console.width))
    if result.files:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("File")
        table.add_column("Problem")
        for file in result.files:
            table.add_row(Text(file.id), Text(file.problem))
        console.print(table)
    for sentence in summary(result):
        console.print(Text(sentence), soft_wrap=True)


def summary(result: AuditResult) -> list[str]:
    """The findings in a sentence or two."""
    exact = sum(pair.kind == "exact" for pair in result.pairs)
    near = len(result.pairs) - exact
    sentences = [
        f"{_counted(len(result.entries), 'recording')} compared: {_counted(exact, 'exact pair')}, "
        f"{_counted(near, 'near pair')}, {_counted(len(result.files), 'file')} with a problem."
    ]
    if result.split:
        n = len({(leak.a, leak.b) for leak in result.leaks})
        sentences.append(
            f"{_counted(n, 'pair')} {'leaks' if n == 1 else 'leak'} across the split "
            f"'{result.split}'"
            + (": a figure examined on it measures memory as well." if n else ".")
        )
    return sentences


def _pairs(result: AuditResult, console_width: int) -> Table:
    entries = {entry.id: entry for entry in result.entries}
    sides: dict[tuple[str, str], list[str]] = {}
    folds = len({s.fold for s in result.leaks}) > 1
    for s in result.leaks:
        where = f"{s.a_part} / {s.b_part}" + (f" (fold {s.fold})" if folds else "")
        sides.setdefault((s.a, s.b), []).append(where)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    # One line a pair where it can be: long paths are folded, what is known of them is cut.
    width = min(_WIDEST_ID, max(len(i) for p in result.pairs for i in (p.a, p.b)))
    for name in ("A", "B"):
        table.add_column(name, overflow="fold", min_width=width)
    table.add_column("Kind", min_width=5)
    table.add_column("Alike", justify="right", min_width=5)
    table.add_column("Offset", justify="right", min_width=8)
    if result.leaks:
        table.add_column("Leaks", min_width=13)
    taken = 2 * width + sum(c.min_width or 0 for c in table.columns[2:])
    left = console_width - taken - _GAP * (len(table.columns) + 1)
    known = left >= _NARROWEST_NAME and any(_known_as(entry) for entry in result.entries)
    if known:
        table.add_column("Known as", no_wrap=True, overflow="ellipsis", max_width=left)
    for pair in result.pairs:
        cells = [pair.a, pair.b, pair.kind, f"{pair.similarity:.3f}", f"{pair.offset_s:.2f} s"]
        if result.leaks:
            cells.append(", ".join(sides.get((pair.a, pair.b), ())))
        if known:
            a, b = _known_as(entries[pair.a]), _known_as(entries[pair.b])
            cells.append(a if a == b else f"{a or 'unknown'} / {b or 'unknown'}")
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _known_as(entry: Recording) -> str:
    names = ": ".join(name for name in (entry.artist, entry.title) if name)
    return f"{names} ({entry.genre})" if names and entry.genre else names or entry.genre


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
