"""Duplicate recordings in a collection, found from the sound itself, and files without music.

Copies of one recording in two parts of a split leak: the figure measures memory. Tables name some
copies; the sound reveals the others. Pairs are

exact
    The same bytes, or frames equal to the last bit (of frames that ship in 8 bits: the same codes).
near
    Everything else in which at least some 5 s sound alike: another encoding, bit rate, level or
    sample rate, a start that is trimmed or late, a speed or pitch changed by up to 2 %, another
    excerpt of the same recording that overlaps, another mix of it. ``similarity`` is the
    correlation of the two images of sound, from :data:`NEAR` to 1.

:mod:`ostinato.datasets.audit.fingerprint` describes the method. The threshold was set on one half
of the planted copies of ``benchmarks/audit.py`` and is reported on the other:
``docs/guide/audit.md``.

Not found are another performance of the same piece (a cover), a copy that shares less than 5 s, a
speed or pitch changed by much more than 2 %, and sound of less than 3.2 s.

References
----------
B. L. Sturm, "The state of the art ten years after a state of the art", JNMR 43(2), 2014 (the
replicas of GTZAN, found by the fingerprints of Shazam and by ear).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ostinato.datasets.audit.fingerprint import WINDOW_FRAMES, Index
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.datasets.corpus import Corpus, Recording, Skipped
from ostinato.datasets.folder import audio_below, list_folder
from ostinato.datasets.frame_cache import FrameCache
from ostinato.datasets.load import Progress, load_corpus
from ostinato.datasets.splits import PARTS, Split, check_settings, split_corpus
from ostinato.datasets.table import is_table, read_table
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec, Frames
from ostinato.storage import printable

NEAR = 0.5
"""Similarity from which a pair is reported."""

SPEC = FeatureSpec(excerpt_seconds=36_000.0)
"""The audit's frames: the package's, but of a whole file at once (up to 10 h), so that frame i is
at i times 77.5 ms whatever the length."""

MOST_CLIPPED = 0.001
"""Share of samples at full scale from which a file is reported as clipped."""

MOST_SILENT = 0.5
"""Share of silent frames from which a file is reported as silent."""

LEAST_VARIATION = 0.2
"""Variation over time, in deviations, below which a file is reported as constant. That of the
999 tracks of GTZAN is 0.45 to 1.8; that of a sine less than 0.001, as an mp3 as well."""

_BATCH = 256  # files whose frames are in memory at once
_SILENCE = 0.1  # sum of squares of a frame's coefficients but the first: all bands at one level


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two entries with the same sound.

    ``similarity`` is 1 for an exact pair, else from the threshold to 1. Time t in ``a`` is
    t - ``offset_s`` in ``b``, exact to half a frame (39 ms) if both have the same speed.
    """

    a: str
    b: str
    kind: Literal["exact", "near"]
    similarity: float
    offset_s: float


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A pair whose entries are in two parts of a fold of a split."""

    a: str
    b: str
    fold: int
    a_part: str
    b_part: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An entry without music, or that cannot be read, and why (one sentence)."""

    id: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """The findings of an audit."""

    name: str  # "gtzan", or the folder or table
    entries: tuple[Recording, ...]  # all that were compared; the genre is "" if unknown
    pairs: tuple[Pair, ...]  # exact ones first, then by similarity
    files: tuple[Problem, ...] = ()
    split: str | None = None  # the name of the split that was checked
    leaks: tuple[Leak, ...] = ()  # the pairs that leak across it

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``name``, ``n_entries``, ``pairs``, ``files`` and ``split``."""
        split = {"name": self.split, "straddling": [asdict(leak) for leak in self.leaks]}
        return {
            "name": self.name,
            "n_entries": len(self.entries),
            "pairs": [asdict(pair) for pair in self.pairs],
            "files": [asdict(problem) for problem in self.files],
            "split": split if self.split else None,
        }


def audit_corpus(
    corpus: Corpus,
    *,
    split: Split | None = None,
    threshold: float = NEAR,
    progress: Progress | None = None,
) -> AuditResult:
    """Find the recordings of a corpus with the same sound, from their frames.

    Time grows with n log n, memory with n, but for pairs that are really alike; 12 kB and about
    0.5 ms are spent on each 30 s.

    Parameters
    ----------
    corpus : Corpus
        Its frames may be computed on demand: each is read once.
    split : Split, optional
        Find the pairs that leak across it.
    threshold : float
        Similarity from which a pair is reported, above 0 and at most 1.

    Raises
    ------
    UsageError
        If the corpus has other frames than 40 MFCC from 128 mel bands every 77.5 ms (shorter or
        longer excerpts do not matter), or the threshold is out of its range.
    """
    _check_threshold(threshold)
    if replace(corpus.spec, excerpt_seconds=SPEC.excerpt_seconds) != SPEC:
        raise UsageError(
            f"Corpus '{corpus.name}': expected {SPEC.describe()}, the package's default frames, "
            f"got {corpus.spec.describe()}."
        )
    audited = _Audited()
    for done, (recording, frames) in enumerate(zip(corpus.recordings, corpus.frames, strict=True)):
        audited.add(recording, frames)
        if progress:
            progress(done + 1, len(corpus), recording.id)
    skipped = [Problem(id=s.id, problem=s.reason) for s in corpus.skipped]
    return audited.result(corpus.name, skipped, split=split, threshold=threshold)


def audit_folder(
    folder: Path,
    *,
    cache: FrameCache,
    split: str | None = None,
    threshold: float = NEAR,
    n_jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
) -> AuditResult:
    """Find the audio files below a folder with the same sound, and those without music.

    Genres are not needed. Where the folder is laid out as a collection, or is a table, genres,
    artists and titles are reported with the pairs.

    Parameters
    ----------
    folder : Path
        Or a table (:mod:`ostinato.datasets.table`).
    split : str, optional
        Name of a split (:data:`ostinato.datasets.splits.SPLITS`) of the collection, or a file.
    threshold : float
        As :func:`audit_corpus`.
    n_jobs : int, optional
        Number of processes; by default one a processor core.
    backend : str
        Where frames are computed, as in :func:`ostinato.parallel.run`.

    Returns
    -------
    AuditResult
        ``files`` names what cannot be read, is silent, constant, clipped or too short.

    Raises
    ------
    UsageError
        If the folder or table does not exist, or an argument is out of its range.
    DataError
        If there is no audio, the table is wrong, or the collection cannot be split so.
    CacheError
        If the cache cannot be read or written.
    """
    _check_threshold(threshold)
    # First, and from the same cache: an error of the split comes before hours of computing.
    sides = None
    if split:
        check_settings(split)  # before any file is read
        corpus = load_corpus(
            folder, spec=SPEC, cache=cache, n_jobs=n_jobs, backend=backend, progress=progress
        )
        sides = split_corpus(corpus, split)
    entries, closed = _files_below(folder)
    problems = [Problem(id=c.id, problem=c.reason) for c in closed]
    audited = _Audited()
    n_done = itertools.count(1)
    for first in range(0, len(entries), _BATCH):
        batch = entries[first : first + _BATCH]
        paths = [Path(entry.path or "") for entry in batch]

        def done(position: int, batch: Sequence[Recording] = batch) -> None:
            if progress:
                progress(next(n_done), len(entries), batch[position].id)

        results = compute_frames(
            paths, spec=SPEC, cache=cache, clipping=True, n_jobs=n_jobs, backend=backend, done=done
        )
        for entry, result in zip(batch, results, strict=True):
            if isinstance(result, FileFrames):
                audited.add(entry, result.frames)
                if result.heard_channel is not None:
                    sentence = (
                        "Its channels cancel each other out, and their mix is silent: channel "
                        f"{result.heard_channel} was heard there."
                    )
                    problems.append(Problem(id=entry.id, problem=sentence))
                if result.clipped is not None and result.clipped >= MOST_CLIPPED:
                    share = f"{100 * result.clipped:.1f} %"
                    sentence = f"Clipped: {share} of its samples are at full scale."
                    problems.append(Problem(id=entry.id, problem=sentence))
            else:
                problems.append(Problem(id=entry.id, problem=result))
    return audited.result(str(folder), problems, split=sides, threshold=threshold)


def find_leaks(pairs: Iterable[Pair], split: Split) -> tuple[Leak, ...]:
    """Find the pairs whose entries are in two parts of a split, in each fold where they are."""
    found = []
    sides = [{i: p for p in PARTS for i in fold.part(p)} for fold in split.folds]
    for pair, (k, part) in itertools.product(pairs, enumerate(sides)):
        a_part, b_part = part.get(pair.a), part.get(pair.b)
        if a_part and b_part and a_part != b_part:
            found.append(Leak(a=pair.a, b=pair.b, fold=k, a_part=a_part, b_part=b_part))
    return tuple(found)


class _Audited:
    """The entries so far, their fingerprints and problems."""

    def __init__(self) -> None:
        self.index = Index()
        self.entries: list[Recording] = []
        self.problems: list[Problem] = []

    def add(self, entry: Recording, frames: Frames) -> None:
        image = self.index.add(frames)
        self.entries.append(entry)
        silent = float(np.mean(np.square(frames[:, 1:]).sum(axis=1) < _SILENCE))
        if silent >= MOST_SILENT:
            problem = f"Silent for {100 * silent:.0f} % of its time."
        elif len(frames) < WINDOW_FRAMES:
            needed = WINDOW_FRAMES * SPEC.hop_seconds
            problem = f"Too short to be compared: at least {needed:.1f} s are needed."
        elif float(np.sqrt(np.square(image[:, :8]).mean())) < LEAST_VARIATION:
            problem = "A constant sound: nothing in it changes with time."
        else:
            return
        self.problems.append(Problem(id=entry.id, problem=problem))

    def result(
        self, name: str, problems: Sequence[Problem], *, split: Split | None, threshold: float
    ) -> AuditResult:
        exact = list(self._exact())
        near = sorted(self._near(threshold), key=lambda p: (-p.similarity, p.a, p.b))
        pairs = (*exact, *near)
        return AuditResult(
            name=name,
            entries=tuple(self.entries),
            pairs=pairs,
            files=tuple(sorted((*problems, *self.problems), key=lambda p: p.id)),
            split=split.name if split else None,
            leaks=find_leaks(pairs, split) if split else (),
        )

    def _exact(self) -> Iterator[Pair]:
        groups: dict[bytes, list[str]] = {}
        for entry, digest in zip(self.entries, self.index.digests, strict=True):
            groups.setdefault(digest, []).append(entry.id)
        for group in groups.values():
            for a, b in itertools.combinations(group, 2):
                yield Pair(a=a, b=b, kind="exact", similarity=1.0, offset_s=0.0)

    def _near(self, threshold: float) -> Iterator[Pair]:
        for pair in self.index.candidates():
            if self.index.digests[pair.a] == self.index.digests[pair.b]:
                continue
            like = self.index.likeness(pair)
            if like.similarity >= threshold:
                yield Pair(
                    a=self.entries[pair.a].id,
                    b=self.entries[pair.b].id,
                    kind="near",
                    similarity=round(min(like.similarity, 1.0), 4),
                    offset_s=round(like.offset * SPEC.hop_seconds, 2) + 0.0,  # no minus zero
                )


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise UsageError(f"Expected a similarity threshold above 0, at most 1, got {threshold:g}.")


def _files_below(folder: Path) -> tuple[list[Recording], list[Skipped]]:
    """All audio files of a folder or table, and the folders that cannot be listed."""
    if is_table(folder):
        return list(read_table(folder).recordings), []
    names, closed, others = audio_below(folder)
    if not names:
        raise DataError(
            f"No audio in '{folder}': expected files such as .wav, .mp3 or .flac, got {others}."
        )
    try:
        known = {recording.path: recording for recording in list_folder(folder).recordings}
    except DataError:
        known = {}  # no genres: an audit does not need them
    entries = []
    for name in names:
        path = str(folder / name)
        unknown = Recording(id=printable(name.as_posix()), genre="", path=path)
        entries.append(known.get(path, unknown))
    return entries, closed
