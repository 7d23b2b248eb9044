"""What a folder or a table says of its files, and the corpus that comes of hearing them.

:mod:`ostinato.datasets.folder` lists a folder, :mod:`ostinato.datasets.table` a table. From
there on the two are one: frames computed once and cached, files that cannot be read passed over
with the reason, files that hold the same sound made one ``recording``, genres with too few of them
left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from ostinato.datasets.augment_audio import NO_COPIES, VariantSettings, check_can_vary
from ostinato.datasets.augmented_copies import hear_copies
from ostinato.datasets.corpus import Corpus, Recording, Skipped
from ostinato.datasets.frame_cache import FrameCache, Heard, hear
from ostinato.errors import DataError
from ostinato.features import FeatureSpec

MIN_RECORDINGS = 3
"""Different recordings a genre needs: one each to learn from, to choose by and to be judged on."""

MIN_GENRES = 2

Progress = Callable[[int, int, str], None]
"""Called with recordings done, recordings in all, and the id of the one just done."""

_LISTED = 12  # genres an error names before it counts the others


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files with their genres, before anything is heard.

    Attributes
    ----------
    name : str
        Of the corpus.
    source : str
        The folder or the table, as it was asked for.
    layout : str
        How genres are told, for the sentences of errors.
    recordings : sequence of Recording
        Sorted by genre and id.
    paths : sequence of Path
        One a recording, in the same order.
    skipped : sequence of Skipped
        What was passed over before hearing.
    notes : tuple of str
        What the owner should know of how it was read, a sentence each.
    """

    name: str
    source: str
    layout: str
    recordings: Sequence[Recording]
    paths: Sequence[Path]
    skipped: Sequence[Skipped] = ()
    notes: tuple[str, ...] = ()


def hear_listing(
    listing: Listing,
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    waveform: VariantSettings = NO_COPIES,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Compute the frames of each file once, and make a corpus of those that can be used.

    Parameters
    ----------
    listing : Listing
    spec : FeatureSpec
    cache : FrameCache
    waveform : VariantSettings
        Of copies of every recording: who learns from them is the split's to say.
    n_jobs : int, optional
        How many processes compute frames; one a processor core by default.
    progress : callable, optional
        Called after each recording, in no fixed order, with the number done, the number in all and
        its id; then so again, from 1 on, as copies are made.

    Returns
    -------
    Corpus
        In the listing's order. Recordings that were passed over are in ``skipped`` with the reason;
        genres with fewer than ``MIN_RECORDINGS`` different ones in ``left_out``.

    Raises
    ------
    UsageError
        If ``n_jobs`` is below 1, or MP3 has not the sample rate of ``spec``.
    MissingExtraError
        If copies are asked for and audiomentations is not installed.
    DataError
        If no file can be read, or fewer than two genres are left.
    CacheError
        If the cache cannot be read or written.
    """
    # What can never be enough is said before hours of listening.
    _too_small(listing, listing.recordings, len(listing.skipped))
    if waveform.copies:
        check_can_vary(waveform, sample_rate_hz=spec.sample_rate_hz)
    done = _counted(progress, [recording.id for recording in listing.recordings])
    results = hear(listing.paths, spec=spec, cache=cache, n_jobs=n_jobs, done=done)
    heard: list[tuple[Recording, Heard]] = []
    paths: list[Path] = []
    skipped = list(listing.skipped)
    for recording, path, result in zip(listing.recordings, listing.paths, results, strict=True):
        if isinstance(result, Heard):
            heard.append((recording, result))
            paths.append(path)
        else:
            skipped.append(Skipped(recording.id, result))
    if not heard:
        reason = skipped[0].reason[0].lower() + skipped[0].reason[1:]
        raise DataError(
            f"None of the {len(skipped)} audio files in '{listing.source}' can be used; the first "
            f"is '{skipped[0].id}': {reason}"
        )
    recordings = _grouped([r for r, _ in heard], [h.sha256 for _, h in heard])
    left_out = _too_small(listing, recordings, len(skipped))
    kept = [i for i, recording in enumerate(recordings) if recording.genre not in left_out]
    copies = (
        hear_copies(
            [(paths[i], heard[i][1].sha256) for i in kept],
            waveform,
            spec=spec,
            cache=cache,
            n_jobs=n_jobs,
            done=_counted(progress, [f"{recordings[i].id}, copies" for i in kept]),
        )
        if waveform.copies
        else []
    )
    return Corpus(
        name=listing.name,
        source=listing.source,
        recordings=tuple(recordings[i] for i in kept),
        frames=tuple(heard[i][1].frames for i in kept),
        spec=spec,
        skipped=tuple(sorted(skipped, key=lambda s: s.id)),
        left_out=left_out,
        notes=listing.notes,
        waveform=waveform,
        variants=tuple(zip(*copies, strict=True)),
    )


def _counted(progress: Progress | None, names: Sequence[str]) -> Callable[[int], None] | None:
    """Tell progress how many of these are done, by the position of the one just done."""
    if progress is None:
        return None
    n_done = itertools.count(1)
    return lambda position: progress(next(n_done), len(names), names[position])


def printable(name: str) -> str:
    r"""Text that any file can hold: bytes of a file name that are not UTF-8 become ``\udcff``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


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
    first: dict[tuple[str, str], int] = {}
    parents = list(range(len(recordings)))

    def root(i: int) -> int:
        while parents[i] != i:
            i = parents[i]
        return i

    for i, (recording, sha256) in enumerate(zip(recordings, hashes, strict=True)):
        name = str(PurePath(recording.path or recording.id).with_suffix(""))
        for key in (("recording", recording.recording), ("bytes", sha256), ("name", name)):
            a, b = root(i), root(first.setdefault(key, i))
            parents[max(a, b)] = min(a, b)
    return [replace(r, recording=recordings[root(i)].recording) for i, r in enumerate(recordings)]
