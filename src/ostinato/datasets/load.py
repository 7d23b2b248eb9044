"""One corpus from any data: shipped frames, a folder or table of audio, an archive of frames.

:mod:`ostinato.datasets.folder` lists a folder, :mod:`ostinato.datasets.table` a table. From there
on the two are one: frames are computed once and cached, unreadable files are skipped with the
reason, files with the same sound become one ``recording``, tags name artists where nothing else
does, genres with too few recordings are left out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ostinato import parallel
from ostinato.datasets.augment_audio import NO_COPIES, AudioAugmentation, check_can_augment
from ostinato.datasets.augmented_copies import compute_copies, copy_names
from ostinato.datasets.compute import FileFrames, each_frames
from ostinato.datasets.corpus import Corpus, Listing, Recording, Skipped
from ostinato.datasets.file_tags import with_tags
from ostinato.datasets.folder import list_folder
from ostinato.datasets.frame_cache import FrameCache
from ostinato.datasets.groups import linked
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.mel_npz import load_mel_npz
from ostinato.datasets.shards import FrameShards, pack
from ostinato.datasets.table import is_table, read_table
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.errors import DataError, UsageError, first_of
from ostinato.features import FeatureSpec, Frames
from ostinato.inference.musicnn import TAGS_SPEC
from ostinato.storage import expanded, is_folder

MIN_RECORDINGS = 3
"""Different recordings a genre needs: one for each part of a split."""

MIN_GENRES = 2

SHARE_OF_MEMORY = 1 / 8
"""Frames of audio that take more of it are mapped from shards."""

_AT_ONCE = 256  # files of a large collection whose copies are in memory at once

Progress = Callable[[int, int, str], None]
"""Called with recordings done, recordings in all, and the id of the one just done."""


def load_corpus(
    data: str | Path,
    *,
    spec: FeatureSpec,
    ear: Path | None = None,
    cache: FrameCache | None = None,
    augmentation: AudioAugmentation = NO_COPIES,
    n_jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
    check: Callable[[Listing], None] | None = None,
    least: int = MIN_RECORDINGS,
) -> Corpus:
    """Load recordings with their frames.

    Frames of audio are computed in parallel processes and cached one by one, so an interrupted call
    can be resumed. A recording longer than an excerpt (30 s) has the frames of all its excerpts
    (:func:`ostinato.datasets.compute.each_frames`). They take some 60 kB for 30 s of sound at 40
    coefficients, and are held in memory; those of audio that would take more than an eighth of it
    are packed into shards beside the cache (:mod:`ostinato.datasets.shards`), and mapped.

    Parameters
    ----------
    data : str or Path
        ``"gtzan"``, the frames that ship with the package; a folder of audio; a table of audio
        files (``.csv``, ``.tsv``); an archive of mel frames (``.npz``); for
        :data:`~ostinato.inference.musicnn.TAGS_SPEC`, an archive of tags, or a folder of them.
    ear : Path, optional
        The file of the ear that gives frames of this ``spec``, which is its
        :attr:`ostinato.inference.ear.Ear.spec`; of audio only.
    cache : FrameCache, optional
        By default the user's.
    augmentation : AudioAugmentation
        Augmented copies of every recording, for the training part; of audio only.
    n_jobs : int, optional
        Number of processes that compute frames; by default one a processor core.
    backend : str
        Where frames are computed, as in :func:`ostinato.parallel.run`.
    progress : callable, optional
        Called after each recording, in no fixed order; then again, from 1 on, as copies are made.
    check : callable, optional
        Called with the listing of audio before any frames are computed, to refuse it.
    least : int
        Different recordings of audio that a genre needs; with 1, for judging alone, one genre will
        do.

    Returns
    -------
    Corpus
        Audio is sorted by genre and id. Files that cannot be read are in ``skipped`` with the
        reason, genres with fewer than ``least`` different recordings in ``left_out``.

    Raises
    ------
    UsageError
        If there are no such data, they cannot give frames of this ``spec``, ``n_jobs`` is below 1,
        or MP3 copies do not support its sample rate.
    MissingExtraError
        If copies are asked for and audiomentations is not installed.
    DataError
        If the data cannot be used (see the module that reads them), no file can be read, or fewer
        than two genres are left.
    CacheError
        If the cache cannot be read or written.

    Examples
    --------
    >>> from ostinato.datasets import load_corpus
    >>> from ostinato.features import FeatureSpec
    >>> corpus = load_corpus("music", spec=FeatureSpec(), n_jobs=1)
    >>> len(corpus), corpus.genres, corpus.frames[0].shape
    (12, ('ballad', 'march', 'reel'), (51, 40))
    """
    path = expanded(data)
    if spec == TAGS_SPEC:
        corpus = load_tag_npz(path)
    elif spec.kind == "external" and (ear is None or _has_no_audio(data, path)):
        raise UsageError(
            f"{data}: expected a folder or a table of audio, and the ear of {spec.describe()}, got "
            + ("no ear." if ear is None else "frames, which an ear cannot hear.")
        )
    elif data == "gtzan":
        corpus = load_gtzan(n_coefficients=spec.n_coefficients, kind=spec.kind)
    elif _has_no_audio(data, path):
        corpus = load_mel_npz(path, spec=spec)
    else:
        listing = read_table(path) if is_table(path) else list_folder(path)
        if check is not None:
            check(listing)
        return _load_listing(
            listing,
            spec=spec,
            ear=ear,
            cache=FrameCache() if cache is None else cache,
            augmentation=augmentation,
            n_jobs=n_jobs,
            backend=backend,
            progress=progress,
            least=least,
        )
    if corpus.spec != spec:
        raise UsageError(f"{data}: expected {spec.describe()}, got {corpus.spec.describe()}.")
    return corpus.with_copies_of(augmentation)


def _has_no_audio(data: str | Path, path: Path) -> bool:
    return data == "gtzan" or (path.suffix == ".npz" and not is_folder(path))


def _load_listing(
    listing: Listing,
    *,
    spec: FeatureSpec,
    ear: Path | None,
    cache: FrameCache,
    augmentation: AudioAugmentation,
    n_jobs: int | None,
    backend: str,
    progress: Progress | None,
    least: int,
) -> Corpus:
    """Compute the frames of listed files, and make a corpus of those that can be used."""
    # What can never be enough is an error before hours of computing.
    _too_small(listing, listing.recordings, len(listing.skipped), least)
    if augmentation.copies:
        check_can_augment(augmentation, sample_rate_hz=spec.sample_rate_hz)
    done = _counted(progress, [recording.id for recording in listing.recordings])
    options: dict[str, Any] = {
        "spec": spec, "ear": ear, "cache": cache, "n_jobs": n_jobs, "backend": backend,
    }  # fmt: skip
    most_bytes = SHARE_OF_MEMORY * parallel.memory_bytes() / (1 + augmentation.copies)
    results, is_large = _hear(listing.paths, options, done=done, most_bytes=most_bytes)
    readable: list[tuple[Recording, Path, FileFrames]] = []
    skipped = list(listing.skipped)
    for recording, path, result in zip(listing.recordings, listing.paths, results, strict=True):
        if isinstance(result, FileFrames):
            readable.append((recording, path, result))
        else:
            skipped.append(Skipped(recording.id, result))
    if not readable:
        reason = skipped[0].reason[0].lower() + skipped[0].reason[1:]
        raise DataError(
            f"None of the {len(skipped)} audio files in '{listing.source}' can be used; the first "
            f"is '{skipped[0].id}': {reason}"
        )
    recordings = _grouped([(recording, found.sha256) for recording, _, found in readable])
    if not any(recording.artist for recording in recordings):
        recordings = with_tags(
            recordings,
            [path for _, path, _ in readable],
            [found.sha256 for *_, found in readable],
            cache,
        )
    left_out = _too_small(listing, recordings, len(skipped), least)
    kept = [
        (replace(recording, genre=genres[0], also=tuple(genres[1:])), path, found)
        for recording, (_, path, found) in zip(recordings, readable, strict=True)
        if (genres := [genre for genre in recording.genres if genre not in left_out])
    ]
    frames: Sequence[Frames] = tuple(found.frames for _, _, found in kept)
    copies: Iterable[Sequence[Frames]] = ()
    if augmentation.copies:
        files = [(path, found.sha256) for _, path, found in kept]
        done = _counted(progress, [f"{recording.id}, copies" for recording, _, _ in kept])
        # A few at a time where the collection is large, for the cache alone.
        size = _AT_ONCE if is_large else len(files)
        for first in range(0, len(files), size):
            told = done and partial(_call_from, done, first)
            made = compute_copies(files[first : first + size], augmentation, done=told, **options)
        copies = zip(*made, strict=True)
    if is_large:
        frames = _packed([found.sha256 for _, _, found in kept], cache, spec)
        copies = [
            _packed([f"{found.sha256}-{name}" for _, _, found in kept], cache, spec)
            for name in copy_names(augmentation).values()
        ]
    return Corpus(
        name=listing.name,
        source=listing.source,
        recordings=tuple(recording for recording, _, _ in kept),
        frames=frames,
        spec=spec,
        skipped=tuple(sorted(skipped, key=lambda s: s.id)),
        left_out=left_out,
        notes=(
            *listing.notes,
            *filter(None, [cache.note]),
            *_heard_from_one_channel([found for _, _, found in kept]),
        ),
        augmentation=augmentation,
        copies=tuple(copies),
    )


def _hear(
    paths: Sequence[Path],
    options: dict[str, Any],
    *,
    done: Callable[[int], None] | None,
    most_bytes: float,
) -> tuple[list[FileFrames | str], bool]:
    """The frames of all files in order, and whether they take more bytes than these.

    If they do, the results are without frames, which are in the cache alone.
    """
    results: dict[int, FileFrames | str] = {}
    nothing = np.empty((0, options["spec"].n_features), dtype=np.float32)
    n_bytes = 0
    for position, result in each_frames(paths, **options):
        results[position] = result
        if isinstance(result, FileFrames):
            was_large = n_bytes > most_bytes
            n_bytes += result.frames.nbytes
            if n_bytes > most_bytes:
                for i in [position] if was_large else list(results):
                    if isinstance(found := results[i], FileFrames):
                        results[i] = replace(found, frames=nothing)
        if done:
            done(position)
    return [results[position] for position in range(len(paths))], n_bytes > most_bytes


def _call_from(done: Callable[[int], None], first: int, position: int) -> None:
    done(first + position)


def _packed(keys: Sequence[str], cache: FrameCache, spec: FeatureSpec) -> FrameShards:
    """Entries of the cache, in shards beside them."""

    def load(key: str) -> Frames:
        sha256, _, suffix = key.partition("-")
        frames = cache.load(sha256, spec, suffix=suffix)
        if frames is None:
            raise DataError(
                f"An entry of the frame cache '{cache.folder}' was lost or damaged while it was in "
                "use: run the same again, and its frames are computed again."
            )
        return frames

    return pack(cache.shards(spec), keys, load, n_features=spec.n_features)


def _heard_from_one_channel(files: Sequence[FileFrames]) -> Iterator[str]:
    n = sum(found.heard_channel is not None for found in files)
    if n:
        were = "recording was" if n == 1 else "recordings were"
        yield (
            f"{n} {were} heard from one channel where the channels cancel each other out, and "
            "their mix is silent."
        )


def _counted(progress: Progress | None, names: Sequence[str]) -> Callable[[int], None] | None:
    """Report to progress how many of these are done, by the position of the one just done."""
    if progress is None:
        return None
    n_done = itertools.count(1)
    return lambda position: progress(next(n_done), len(names), names[position])


def _too_small(
    listing: Listing, usable: Sequence[Recording], n_skipped: int, least: int
) -> dict[str, int]:
    """Genres with too few different usable recordings, and how many they have."""
    different = Counter(g for g, _ in {(g, r.recording) for r in usable for g in r.genres})
    named = {genre for r in listing.recordings for genre in r.genres}
    counts = {genre: different[genre] for genre in sorted(named)}
    left_out = {genre: n for genre, n in counts.items() if n < least}
    if len(counts) - len(left_out) < (1 if least == 1 else MIN_GENRES):
        listed = first_of([f"{genre} ({n})" for genre, n in counts.items()], 12)
        unread = f"; {n_skipped} could not be used" if n_skipped else ""
        raise DataError(
            f"Expected at least {MIN_GENRES} genres with {MIN_RECORDINGS} or more different, "
            f"readable recordings each in '{listing.source}' ({listing.layout}), got "
            f"{listed}{unread}."
        )
    return left_out


def _grouped(readable: Sequence[tuple[Recording, str]]) -> list[Recording]:
    """Give one ``recording`` to all that hold the same sound, or have one name but for suffixes."""
    keys = [
        (
            ("recording", recording.recording),
            ("bytes", sha256),
            ("name", PurePath(recording.path or recording.id).with_suffix("")),
        )
        for recording, sha256 in readable
    ]
    return [
        replace(recording, recording=readable[first][0].recording)
        for (recording, _), first in zip(readable, linked(keys), strict=True)
    ]
