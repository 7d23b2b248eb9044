"""A library of music, file by file: what each says, what the model says, and what would change.

The road, folder by folder, each step lazy and a few files ahead of the next::

    paths -> known? -> tags -> to be heard? -> digest of the sound -> known? -> verdict -> Row

Tags are read, sounds digested and heard in threads, or on a cluster; what is known already
(:mod:`ostinato.tagging.store`) costs a look at the file's size and times. Nothing is written to any
file here.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ostinato import parallel
from ostinato.audio import AudioError
from ostinato.errors import OstinatoError, UsageError
from ostinato.inference.classifier import Classifier, kept
from ostinato.inference.many import in_order
from ostinato.inference.registry import kept_name
from ostinato.inference.verdict import Verdict, mean_of
from ostinato.tagging.genre_map import GenreMap
from ostinato.tagging.payload import payload_digest
from ostinato.tagging.policy import Policy
from ostinato.tagging.row import Row
from ostinato.tagging.store import State, Store, state_of, unpacked, unpacked_tags
from ostinato.tagging.tags import FileTags, TagError, read_tags

ALBUM, TRACK = "album", "track"

_PASSING = {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ENOSPC, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN, errno.EBUSY,
}  # fmt: skip

_CALLS = 256  # to workers at a time


@dataclass(slots=True, eq=False)
class _File:
    """A file on its way."""

    path: Path
    state: State | None = None
    tags: FileTags | None = None
    sound: str | None = None
    verdict: Verdict | None = None
    error: str = ""
    is_lasting: bool = False  # the error, which is new: it is the file's, and not the system's
    to_hear: bool = False
    is_known: bool = False  # its tags, and its sound if that is needed


class Library:
    """What comes of the files of a library.

    Parameters
    ----------
    classifier : Classifier
    store : Store
        Opened with the :func:`store_key` of the classifier and ``thorough``.
    policy : Policy
    names : GenreMap
    thorough : bool
        Listen to all of long files.
    by : str
        ``track``, or ``album``: one verdict for the files of a folder that have one album, the mean
        over them.
    hear_all : bool
        Hear files as well that no verdict would change.
    jobs : int, optional
        Files at a time; by default one a processor core.
    backend : str
        Where files are heard: ``"threads"``; ``"processes"``, which take a second to start and are
        a third faster; or the address of a Dask scheduler: its workers.
    model : str or path, optional
        What workers load: a name or a path; by default the user's default.
    """

    def __init__(
        self,
        classifier: Classifier,
        store: Store,
        *,
        policy: Policy,
        names: GenreMap,
        thorough: bool = False,
        by: str = TRACK,
        hear_all: bool = False,
        jobs: int | None = None,
        backend: str = "threads",
        model: str | Path | None = None,
    ) -> None:
        if by not in (TRACK, ALBUM):
            raise UsageError(f"Expected one verdict by {TRACK} or {ALBUM}, got '{by}'.")
        self._classifier, self._store = classifier, store
        self._policy, self._names = policy, names
        self._thorough, self._by_album, self._hear_all = thorough, by == ALBUM, hear_all
        self._jobs = parallel.cpu_count() if jobs is None else jobs
        self._backend = backend
        self._model = None if model is None else kept_name(model)
        self.n_other = 0  # files that the policy is not about
        self.n_heard = 0  # files that were heard now, not before

    def rows(self, paths: Iterable[Path]) -> Iterator[Row]:
        """The rows of files, in the order of the paths; each path once.

        Files that the policy is not about have none; :attr:`n_other` counts them.
        """
        once = {os.fspath(path): path for path in paths}
        files = self._with_tags(self._looked_at(once.values()))
        heard = self._heard(self._with_sound(self._chosen(files)))
        for group in self._groups(heard):
            yield from self._decided(group)

    # --- what is known, and what files say ------------------------------------------------------

    def _looked_at(self, paths: Iterable[Path]) -> Iterator[_File]:
        for folder, group in itertools.groupby(paths, key=lambda path: path.parent):
            known = self._store.of_folder(folder)
            for path in group:
                yield self._look(path, known)

    def _look(self, path: Path, known: dict[bytes, Any]) -> _File:
        file = _File(path)
        try:
            file.state = state_of(path)
        except (OSError, ValueError) as error:
            file.error = f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
            return file
        found = known.get(os.fsencode(path.name))
        if found is not None and found.state == file.state:
            file.tags, file.sound, file.is_known = unpacked_tags(found.tags), found.sound, True
            file.error = found.failure
            if found.verdict is not None:
                file.verdict = self._unpacked(found.verdict)
        return file

    def _with_tags(self, files: Iterable[_File]) -> Iterator[_File]:
        """Read the tags of files that are not known."""
        reading = in_order(
            lambda file: None if _is_done(file, "tags") else read_tags(file.path),
            files,
            n_threads=self._jobs,
            quick=lambda file: _is_done(file, "tags"),
        )
        for file, result in reading:
            _take(file, "tags", result)
            yield file

    def _chosen(self, files: Iterable[_File]) -> Iterator[_File]:
        """Say which files are to be heard: all of a group if a verdict on one is asked for."""
        for group in self._groups(files):
            is_wanted = any(map(self._is_wanted, group))
            for file in group:
                file.to_hear = is_wanted and not file.error
            yield from group

    def _is_wanted(self, file: _File) -> bool:
        """Whether a verdict on the file is asked for."""
        tags = file.tags
        if tags is None or not self._policy.is_about(tags):
            return False
        return self._hear_all or self._policy.may_change(tags)

    def _groups(self, files: Iterable[_File]) -> Iterator[list[_File]]:
        """Files that get one verdict: those of a folder with one album, or each alone."""
        if not self._by_album:
            yield from ([file] for file in files)
            return
        for _, folder in itertools.groupby(files, key=lambda file: file.path.parent):
            albums: dict[str, list[_File]] = {}
            for file in folder:
                albums.setdefault(file.tags.album.casefold() if file.tags else "", []).append(file)
            yield from albums.values()

    # --- what is heard --------------------------------------------------------------------------

    def _with_sound(self, files: Iterable[_File]) -> Iterator[_File]:
        """Digest the sounds of files that are to be heard, and remember what files say."""
        where = "threads" if self._backend == "processes" else self._backend
        each = self._each(payload_digest, files, lambda f: _is_done(f, "sound"), where)
        for file, result in each:
            _take(file, "sound", result)
            if file.tags is not None and not (file.is_known and result is None):
                assert file.state is not None
                self._store.remember(file.path, file.state, file.tags, file.sound)
            if file.to_hear and file.sound is not None and file.verdict is None:
                said = self._store.verdict(file.sound)
                file.verdict = None if said is None else self._unpacked(said)
            yield file

    def _heard(self, files: Iterable[_File]) -> Iterator[_File]:
        """Hear the files on whose sound there is no verdict yet."""
        if self._backend == "threads":
            hear: Callable[[Path], Any] = partial(
                self._classifier.classify_file, thorough=self._thorough
            )
        else:
            hear = partial(_hear, self._model, self._classifier.digest, self._thorough)
        each = self._each(hear, files, lambda f: _is_done(f, "verdict"), self._backend)
        for file, result in each:
            if _take(file, "verdict", result) and file.verdict is not None:
                self.n_heard += 1
                assert file.sound is not None
                self._store.remember_verdict(file.sound, file.verdict)
            elif file.is_lasting and file.state is not None:
                tags = file.tags or FileTags()
                self._store.remember(file.path, file.state, tags, file.sound, file.error)
            yield file

    def _each(
        self, function: Callable[[Path], Any], files: Iterable[_File],
        is_done: Callable[[_File], bool], backend: str,
    ) -> Iterator[tuple[_File, Any]]:  # fmt: skip
        """Call a function on the files for which there is something to do, several at a time."""
        if backend == "threads":
            yield from in_order(
                lambda file: None if is_done(file) else function(file.path),
                files,
                n_threads=self._jobs,
                quick=is_done,
            )
            return
        rest = iter(files)
        while part := list(itertools.islice(rest, _CALLS)):
            is_left = [not is_done(file) for file in part]
            calls = [(function, file.path) for file in itertools.compress(part, is_left)]
            if not calls:
                yield from ((file, None) for file in part)
                continue
            with parallel.run(
                _tried,
                calls,
                doing="heard files",
                n_jobs=self._jobs,
                backend=backend,
                ordered=True,
            ) as coming:
                for file, is_asked in zip(part, is_left, strict=True):
                    yield file, next(coming)[1] if is_asked else None

    def _unpacked(self, text: str) -> Verdict:
        return unpacked(text, self._classifier.info, model=self._classifier.name)

    # --- what comes of it -----------------------------------------------------------------------

    def _decided(self, group: Sequence[_File]) -> Iterator[Row]:
        verdicts = [file.verdict for file in group if file.to_hear and file.verdict]
        mean = mean_of(verdicts) if self._by_album and verdicts else None
        for file in group:
            tags = file.tags or FileTags()
            if file.error:
                yield Row(path=file.path, tags=tags, action="error", new=tags.genres,
                          why=file.error)  # fmt: skip
            elif self._policy.is_about(tags):
                verdict = (mean or file.verdict) if file.to_hear else None
                row = self._policy.decide(file.path, tags, verdict, self._names)
                yield replace(row, seconds=file.verdict.seconds if file.verdict else None)
            else:
                self.n_other += 1


def store_key(classifier: Classifier, *, thorough: bool) -> str:
    """What verdicts are kept by, besides the sound: the model, and how it listens."""
    return f"{classifier.digest}{' thorough' if thorough else ''}"


def _is_done(file: _File, what: str) -> bool:
    """Whether there is nothing to find out: it is known, not asked for, or the file has failed."""
    asked = what == "tags" or file.to_hear
    return bool(file.error) or not asked or getattr(file, what) is not None


def _take(file: _File, what: str, result: Any) -> bool:
    """Take in what was found out about a file; whether that is something new."""
    if isinstance(result, OstinatoError):
        result = _failed(result)
    if isinstance(result, _Failure):
        file.error, file.is_lasting = result
        return False
    if result is not None:
        setattr(file, what, result)
    return result is not None


class _Failure(NamedTuple):
    """Why a file cannot be used, and whether that is the file's own, and not the system's."""

    reason: str
    is_lasting: bool


def _failed(error: OstinatoError) -> _Failure:
    """What an error says of its file; one of a cluster that cannot do this work is raised."""
    if isinstance(error, UsageError):
        raise error
    is_of_file = isinstance(error, AudioError | TagError)  # and not of the model, say
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) in _PASSING:
            break
        cause = cause.__cause__
    return _Failure(getattr(error, "reason", str(error)), is_lasting=is_of_file and cause is None)


def _tried(function: Callable[[Path], Any], path: Path) -> Any:
    """Call a function on a file; its failure is the result: sent home, errors lose causes."""
    try:
        return function(path)
    except OstinatoError as error:
        return _failed(error)


def _hear(model: str | Path | None, digest: str, thorough: bool, path: Path) -> Verdict:
    """Hear a file on a worker, which must have the same model as home."""
    classifier = kept(model)
    if classifier.digest != digest:
        raise UsageError(
            f"Expected the model that is used at home on every machine of the cluster, got another "
            f"of the name {model or 'default'}: copy its file there."
        )
    return classifier.classify_file(path, thorough=thorough)
