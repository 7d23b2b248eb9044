"""What a run over a library looks like in a terminal: a few lines a folder, and a summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.cli.console import output, tell
from ostinato.storage import printable

if TYPE_CHECKING:
    from ostinato.tagging.entry import Entry, Run
    from ostinato.tagging.row import Row
    from ostinato.tagging.run import TagRun

_NAMES = 3  # of files told in a line
_GENRES = 8  # told in the summary
_ERRORS = 20  # told by name


def files(count: int) -> str:
    """``1 file``, ``1,234 files``."""
    return f"{count:,} file{'' if count == 1 else 's'}"


class FolderTable:
    """Prints a folder's files as soon as all of them have come: a line for each kind of change.

    ::

        Kevin MacLeod
          (none) -> Blues         3 files  four_beers.mp3 62%, hustle.mp3 58%, look_busy.mp3 71%
          it has a genre          4 files
          no genre is likely en…  1 file   vibe_ace.ogg (perhaps jazz)
    """

    def __init__(self, roots: list[Path]) -> None:
        self._roots = {root for root in roots if len(roots) == 1}
        self._folder: Path | None = None
        self._lines: dict[tuple[int, str], list[str]] = {}

    def add(self, row: Row) -> None:
        """Take a row; the files of a folder come together."""
        if row.path.parent != self._folder:
            self.end()
            self._folder = row.path.parent
        name, verdict = printable(row.path.name), row.verdict
        if row.action == "write":
            old = "; ".join(row.tags.genres) or "(none)"
            key = (0, f"{old} -> {'; '.join(row.new)}")
            name += f" {verdict.probability:.0%}" if verdict else ""
        elif row.action == "abstain":
            key = (2, f"? {row.why}")
            name += f" (perhaps {verdict.guess})" if verdict and verdict.guess else ""
        elif row.action == "keep":
            key = (1, f"= {row.why}")
        else:
            key = (3, "! cannot be used")
        self._lines.setdefault(key, []).append(name)

    def end(self) -> None:
        """Print the last folder."""
        if self._folder is None:
            return
        folder = self._folder
        for root in self._roots:
            if folder != root and folder.is_relative_to(root):
                folder = folder.relative_to(root)
        output.print(printable(str(folder)), style="bold", soft_wrap=True)
        for (kind, what), names in sorted(self._lines.items()):
            some = ", ".join(names[:_NAMES]) if kind != 1 else ""
            more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES and some else ""
            style = {0: "green", 3: "red"}.get(kind, "dim")
            output.print(
                f"  {what:<34}  {files(len(names)):>9}  {some}{more}".rstrip(),
                style=style,
                soft_wrap=True,
            )
        self._lines = {}


class Summary:
    """Counts rows, and says in the end what was done, or would be."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._actions: Counter[str] = Counter()
        self._genres: Counter[str] = Counter()
        self._whys: Counter[str] = Counter()
        self.n_errors = 0
        self._errors: list[str] = []

    def add(self, row: Row) -> None:
        """Count a row."""
        self._actions[row.action] += 1
        if row.action == "write":
            self._genres.update(row.new)
        elif row.action == "error":
            self.n_errors += 1
            if len(self._errors) < _ERRORS:
                self._errors.append(f"{printable(str(row.path))}: {row.why}")
        else:
            self._whys[row.why] += 1

    def progress(self, rate: float) -> str:
        """What is told beside the bar."""
        errors = f", {self.n_errors:,} cannot be used" if self.n_errors else ""
        return f"{rate:,.0f} files/s{errors}" if rate >= 10 else f"{rate:.1f} files/s{errors}"

    def tell(self, run: TagRun) -> None:
        """Say on stderr what became of the files."""
        n_write = self._actions["write"]
        common = [f"{genre} {n:,}" for genre, n in self._genres.most_common(_GENRES)]
        others = len(self._genres) - len(common)
        named = ", ".join(common) + (f" and {others} more genres" if others > 0 else "")
        verb = "got" if self._write else "would get"
        parts = [f"{files(n_write)} {verb} a genre{f' ({named})' if n_write else ''}"]
        parts += [f"{n:,}: {why}" for why, n in self._whys.most_common()]
        if self.n_errors:
            parts.append(f"{self.n_errors:,} cannot be used")
        if run.library.n_other:
            parts.append(f"{run.library.n_other:,} are not asked for (--where)")
        tell("; ".join(parts) + ".")
        for sentence in self._errors:
            tell(sentence)
        if self.n_errors > len(self._errors):
            tell(f"and {self.n_errors - len(self._errors):,} more, which --format csv lists.")
        for folder, reason in run.found.closed.items():
            tell(f"The folder '{printable(str(folder))}' cannot be listed: {reason}.")
        if run.found.passed_over:
            tell(f"Passed over: {run.found.told_passed_over()}.")
        if run.number is not None and n_write:
            tell(f"To take it back: ostinato tag --undo {run.number}")
        elif n_write and not self._write:
            tell("Nothing was changed: --write writes these genres, and --undo takes them back.")


def print_runs(runs: Iterable[Run]) -> None:
    """Print the runs of a journal, a line each."""
    for run in runs:
        if run.undoes is not None:
            what = f"took back run {run.undoes}"
        else:
            back = f", {run.n_undone:,} of them taken back" if run.n_undone else ""
            what = f"{run.model}, {run.settings}{back}"
        output.print(
            f"{run.id:>4}  {when(run.time)}  {files(run.n_files):>13}  {what}", soft_wrap=True
        )


def print_changes(entries: Iterable[Entry]) -> None:
    """Print what became of files, a line each, the oldest first."""
    for entry in entries:
        old, new = (
            "; ".join(genres) or "(none)" for genres in (entry.old_tags.genres, entry.genres)
        )
        state = "" if entry.state == "done" else f"  {entry.state}"
        why = f" ({entry.why})" if entry.why else ""
        undo = f"took back {entry.undoes}: " if entry.undoes is not None else ""
        output.print(
            f"{entry.run:>4}  {when(entry.time)}  {undo}{old} -> {new}{state}{why}  {entry.path}",
            soft_wrap=True,
        )


def when(seconds: float) -> str:
    """A time, by the clock of this place."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
