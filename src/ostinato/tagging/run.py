"""One run over a library, dry or not: what ``ostinato tag`` does, for programs.

::

    with TagRun([Path("music")], policy=Policy(what="replace"), write=True) as run:
        for row in run:
            print(row.path, row.tags.genres, "->", row.new)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ostinato.audio import find_audio
from ostinato.errors import DataError
from ostinato.inference.classifier import Classifier
from ostinato.inference.default_model import in_use
from ostinato.storage import expanded, user_cache
from ostinato.tagging.change import Changer, HardLinks
from ostinato.tagging.genre_map import PLAYERS, load_map
from ostinato.tagging.journal import Journal
from ostinato.tagging.library import TRACK, Library, store_key
from ostinato.tagging.policy import Policy
from ostinato.tagging.repair import repair
from ostinato.tagging.row import Row
from ostinato.tagging.store import Store, state_of
from ostinato.tagging.tags import TagError, read_tags
from ostinato.tagging.undo import undo

STORE = "library.sqlite"

MANY = 64
"""Files for which it pays to start processes."""


class TagRun:
    """A run over the files of a library: a context, and an iterator of their rows.

    Parameters
    ----------
    paths : sequence of Path
        Files, and folders with all audio files in them.
    policy : Policy
        Which genres a file gets.
    names : str or path
        A genre map (:func:`~ostinato.tagging.genre_map.load_map`).
    model : str or path, optional
        As :meth:`Classifier.load <ostinato.inference.classifier.Classifier.load>` takes it.
    write : bool
        Write tags; else nothing but what is known of the library is written.
    provenance : bool
        Write the model and the probability into a field of their own as well.
    thorough, by, hear_all, jobs, backend
        As :class:`~ostinato.tagging.library.Library` takes them; by default, threads hear a few
        files, and processes many.
    in_place, hard_links, keep_mtime
        As :class:`~ostinato.tagging.change.Changer` takes them.
    journal, cache : Path, optional
        The journal of changes, and the folder for what is known; by default the user's.

    Attributes
    ----------
    found : FoundAudio
        The files, and what was passed over on the way to them.
    notes : list of str
        Sentences: what an interrupted run had left, which cache is used.
    number : int or None
        The run's number in the journal; None before anything is written.

    Raises
    ------
    OstinatoError
        If there are no audio files, the model, the map, the journal or the cache cannot be used, or
        another run holds the journal.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        policy: Policy | None = None,
        names: str | Path = PLAYERS,
        model: str | Path | None = None,
        write: bool = False,
        provenance: bool = False,
        thorough: bool = False,
        by: str = TRACK,
        hear_all: bool = False,
        jobs: int | None = None,
        backend: str | None = None,
        in_place: bool = False,
        hard_links: HardLinks = "skip",
        keep_mtime: bool = False,
        journal: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.number: int | None = None
        self._provenance, self._stack = provenance, ExitStack()
        self._in_place, self._hard_links, self._keep_mtime = in_place, hard_links, keep_mtime
        self._policy = Policy() if policy is None else policy
        with in_use(model) as named:
            self._classifier = Classifier.load(named)
        genre_map = load_map(names, genres=self._classifier.info.genres)
        self.found = find_audio(paths)
        if not (self.found.paths or self.found.closed):
            others = self.found.told_passed_over() or "no files"
            raise DataError(f"Expected audio files, got {others} in {', '.join(map(str, paths))}.")
        if backend is None:
            is_many = len(self.found.paths) >= MANY and jobs != 1
            backend = "processes" if is_many else "threads"
        with self._stack as stack:
            self._store = self._open_store(cache, thorough=thorough)
            stack.callback(self._store.close)
            self._journal: Journal | None = None
            if write:
                self._journal = stack.enter_context(Journal.open(journal))
                stack.enter_context(self._journal.writing())
                self.notes += repair(self._journal)
            self.library = Library(
                self._classifier,
                self._store,
                policy=self._policy,
                names=genre_map,
                thorough=thorough,
                by=by,
                hear_all=hear_all,
                jobs=jobs,
                backend=backend,
                model=model,
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stack.close()

    def __iter__(self) -> Iterator[Row]:
        """The rows of the files, in order; each is written, if it is to be, before it is given."""
        for row in self.library.rows(self.found.paths):
            yield self._written(row) if self._journal and row.action == "write" else row

    def _open_store(self, cache: Path | None, *, thorough: bool) -> Store:
        folder, note = user_cache() if cache is None else (expanded(cache), "")
        self.notes += [note] if note else []
        return Store(folder / STORE, model=store_key(self._classifier, thorough=thorough))

    def _written(self, row: Row) -> Row:
        """Write a row's tags, and say how that went."""
        assert self._journal is not None
        assert row.verdict is not None
        if self.number is None:
            self.number = self._journal.begin_run(
                model=self._classifier.name, settings=self._policy.what
            )
        verdict, comment = row.verdict, None
        if self._provenance:
            version = f" {verdict.model_version}" if verdict.model_version else ""
            comment = (
                f"ostinato {verdict.model}{version}: {' + '.join(verdict.named)} "
                f"{verdict.probability:.0%}"
            )
        changer = Changer(
            self._journal, self.number, in_place=self._in_place, hard_links=self._hard_links,
            keep_mtime=self._keep_mtime,
        )  # fmt: skip
        self._store.forget(row.path)
        try:
            changed = changer.change(row.path, row.new, old=row.tags, comment=comment)
        except TagError as error:
            return row.failed(error.reason)
        with suppress(OSError, TagError):  # gone already: it is not known then
            state = state_of(row.path)
            self._store.remember(row.path, state, read_tags(row.path), changed.payload)
        return replace(row, written=True)


def undone(
    run: int | None,
    paths: Sequence[Path],
    *,
    journal: Path | None = None,
    tell: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[tuple[Path, TagError | None]]:
    """Take back what a run wrote: its files, or those among the paths, with the error of each.

    Without ``run`` it is the last that wrote and was not undone. What an interrupted run left is
    mended before, and ``tell`` is given a sentence on each file of it. ``progress`` is as
    :func:`~ostinato.tagging.undo.undo` takes it.
    """
    with Journal.open(journal, must_exist=True) as opened, opened.writing():
        for sentence in repair(opened):
            tell(sentence)
        yield from undo(opened, run, paths, progress=progress)
