"""One corpus from any data: shipped frames, a folder or table of audio, an archive of frames.

:mod:`ostinato.datasets.folder` lists a folder, :mod:`ostinato.datasets.table` a table. From there
on the two are one: frames are computed once and cached, unreadable files are skipped with the
reason, files with the same sound become one ``recording``, genres with too few of them are left
out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ostinato.datasets.augment_audio import NO_COPIES, AudioAugmentation, check_can_augment
from ostinato.datasets.augmented_copies import compute_copies
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.datasets.corpus import Corpus, Listing, Recording, Skipped, linked
from ostinato.datasets.folder import list_folder
from ostinato.datasets.frame_cache import FrameCache
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.mel_npz import load_mel_npz
from ostinato.datasets.table import is_table, read_table
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.inference.musicnn import TAGS_SPEC

MIN_RECORDINGS = 3
"""Different recordings a genre needs: one for each part of a split."""

MIN_GENRES = 2

Progress = Callable[[int, int, str], None]
"""Called with recordings done, recordings in all, and the id of the one just done."""

_LISTED = 12  # genres an error names before it counts the others


def load_corpus(
    data: str | Path,
    *,
    spec: FeatureSpec,
    cache: FrameCache | None = None,
    augmentation: AudioAugmentation = NO_COPIES,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Load recordings with their frames.

    Frames of audio are computed in parallel processes and cached one by one: the next call after an
    interruption continues from there. A recording longer than an excerpt (30 s) has the frames of
    all its excerpts (:func:`ostinato.datasets.compute.compute_frames`). All frames are held in
    memory: some 60 kB for 30 s of sound at 40 coefficients.

    Parameters
    ----------
    data : str or Path
        ``"gtzan"``, the frames that ship with the package; a folder of audio; a table of audio
        files (``.csv``, ``.tsv``); an archive of mel frames (``.npz``); for
        :data:`~ostinato.inference.musicnn.TAGS_SPEC`, an archive of tags, or a folder of them.
    spec : FeatureSpec
    cache : FrameCache, optional
        By default the user's.
    augmentation : AudioAugmentation
        Augmented copies of every recording, for those of the training part; of audio only.
    n_jobs : int, optional
        Number of processes that compute frames; by default one a processor core.
    progress : callable, optional
        Called after each recording, in no fixed order, with the number done, the number in all and
        its id; then again, from 1 on, as copies are made.

    Returns
    -------
    Corpus
        Of audio: sorted by genre and id. Files that cannot be read are in ``skipped`` with the
        reason, genres with fewer than three different recordings in ``left_out``.

    Raises
    ------
    UsageError
        If there are no such data, they cannot give frames of this ``spec``, ``n_jobs`` is below 1,
        or MP3 does not support the sample rate of ``spec``.
    MissingExtraError
        If copies are asked for and audiomentations is not installed.
    DataError
        If the data cannot be used (see the module that reads them), no file can be read, or fewer
        than two genres are left.
    CacheError
        If the cache cannot be read or written.
    """
    path = Path(data)
    if spec == TAGS_SPEC:
        corpus = load_tag_npz(path)
    elif data == "gtzan":
        corpus = load_gtzan(n_coefficients=spec.n_coefficients, kind=spec.kind)
    elif path.suffix == ".npz" and not path.is_dir():
        corpus = load_mel_npz(path, spec=spec)
    else:
        return load_listing(
            read_table(path) if is_table(path) else list_folder(path),
            spec=spec,
            cache=cache or FrameCache(),
            augmentation=augmentation,
            n_jobs=n_jobs,
            progress=progress,
        )
    if corpus.spec != spec:
        raise UsageError(f"{data}: expected {spec.describe()}, got {corpus.spec.describe()}.")
    return corpus.with_copies_of(augmentation)


def load_listing(
    listing: Listing,
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    augmentation: AudioAugmentation = NO_COPIES,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Compute the frames of listed files, and make a corpus of those that can be used.

    Parameters, result and errors are those of :func:`load_corpus`; the corpus is in the listing's
    order.
    """
    # What can never be enough is an error before hours of computing.
    _too_small(listing, listing.recordings, len(listing.skipped))
    if augmentation.copies:
        check_can_augment(augmentation, sample_rate_hz=spec.sample_rate_hz)
    done = _counted(progress, [recording.id for recording in listing.recordings])
    results = compute_frames(listing.paths, spec=spec, cache=cache, n_jobs=n_jobs, done=done)
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
    recordings = _grouped([r for r, _, _ in readable], [found.sha256 for _, _, found in readable])
    left_out = _too_small(listing, recordings, len(skipped))
    kept = [i for i, recording in enumerate(recordings) if recording.genre not in left_out]
    copies = (
        compute_copies(
            [(readable[i][1], readable[i][2].sha256) for i in kept],
            augmentation,
            spec=spec,
            cache=cache,
            n_jobs=n_jobs,
            done=_counted(progress, [f"{recordings[i].id}, copies" for i in kept]),
        )
        if augmentation.copies
        else []
    )
    return Corpus(
        name=listing.name,
        source=listing.source,
        recordings=tuple(recordings[i] for i in kept),
        frames=tuple(readable[i][2].frames for i in kept),
        spec=spec,
        skipped=tuple(sorted(skipped, key=lambda s: s.id)),
        left_out=left_out,
        notes=listing.notes,
        augmentation=augmentation,
        copies=tuple(zip(*copies, strict=True)),
    )


def _counted(progress: Progress | None, names: Sequence[str]) -> Callable[[int], None] | None:
    """Report to progress how many of these are done, by the position of the one just done."""
    if progress is None:
        return None
    n_done = itertools.count(1)
    return lambda position: progress(next(n_done), len(names), names[position])


def _too_small(listing: Listing, usable: Sequence[Recording], n_skipped: int) -> dict[str, int]:
    """Genres with too few different usable recordings, and how many they have."""
    genres = sorted({recording.genre for recording in listing.recordings})
    different: dict[str, set[str]] = {genre: set() for genre in genres}
    for recording in usable:
        different[recording.genre].add(recording.recording)
    counts = {genre: len(names) for genre, names in different.items()}
    left_out = {genre: n for genre, n in counts.items() if n < MIN_RECORDINGS}
    if len(counts) - len(left_out) < MIN_GENRES:
        listed = [f"{genre} ({n})" for genre, n in list(counts.items())[:_LISTED]]
        if len(counts) > _LISTED:
            listed.append(f"{len(counts) - _LISTED} more")
        unread = f"; {n_skipped} could not be used" if n_skipped else ""
        raise DataError(
            f"Expected at least {MIN_GENRES} genres with {MIN_RECORDINGS} or more different, "
            f"readable recordings each in '{listing.source}' ({listing.layout}), got "
            f"{', '.join(listed)}{unread}."
        )
    return left_out


def _grouped(recordings: Sequence[Recording], hashes: Sequence[str]) -> list[Recording]:
    """Give one ``recording`` to all that hold the same sound."""
    keys = []
    for recording, sha256 in zip(recordings, hashes, strict=True):
        name = str(PurePath(recording.path or recording.id).with_suffix(""))
        keys.append((("recording", recording.recording), ("bytes", sha256), ("name", name)))
    return [
        replace(recording, recording=recordings[first].recording)
        for recording, first in zip(recordings, linked(keys), strict=True)
    ]
