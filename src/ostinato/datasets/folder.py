"""A directory of audio as a corpus: ``--data DIR``.

Two layouts are understood::

    DIR/blues/x.mp3, DIR/blues/album/y.flac      a folder per genre; deeper ones do not matter
    DIR/blues.00000.wav, DIR/jazz.some name.ogg  flat: the genre stands before the first dot

A single folder that holds nothing but folders (``DIR/genres/blues/x.wav``) is looked through. Both
layouts in one directory are an error: which genre a loose file has would be a guess. Hidden files,
``__MACOSX`` and files that are not audio by their suffix are passed over. Links are followed, but
no folder is entered twice.

If every file is named as a track of GTZAN is, and stands in no other genre's folder, the
collection is GTZAN, or a part of it: ids are ``blues.00000``, and artist, title, replicas and known
faults come from its table. Otherwise the id of a file is its path below DIR.

Files that hold the same sound are one ``recording``, so that a split can keep them together: files
with the same bytes, files of one name in one folder in two formats (``x.flac`` and ``x.mp3``), and
the replicas GTZAN is known for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ostinato.audio import AUDIO_SUFFIXES
from ostinato.datasets.augment_audio import NO_COPIES, VariantSettings
from ostinato.datasets.corpus import Corpus, Recording, Skipped
from ostinato.datasets.frame_cache import FrameCache
from ostinato.datasets.gtzan import gtzan_id, tracks
from ostinato.datasets.load import Listing, Progress, hear_listing, printable
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec

_LAYOUT = "a folder per genre, or files named GENRE.NAME.wav"


def load_collection(
    folder: Path,
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    waveform: VariantSettings = NO_COPIES,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read a directory of audio files, and compute the frames of each once.

    Frames are computed in parallel processes and written to ``cache`` as they come: interrupted at
    any point, the next call goes on from there. Those of a recording longer than an excerpt (30 s)
    are the frames of all its excerpts, one after the other in time (see
    :func:`ostinato.datasets.frame_cache.hear`). All frames are held in memory: some 60 kB for 30 s of
    sound at 40 coefficients.

    A file that cannot be read is in ``skipped`` with the reason; a genre with fewer than three
    different recordings is in ``left_out``, and its recordings are dropped.

    Parameters
    ----------
    folder : Path
    spec : FeatureSpec
    cache : FrameCache
    waveform : VariantSettings
        Of copies of every recording, their sound changed, to learn from.
    n_jobs : int, optional
        How many processes compute frames; one a processor core by default.
    progress : callable, optional
        Called after each recording, in no fixed order, with the number done, the number in all and
        its id.

    Returns
    -------
    Corpus
        Sorted by genre and id. ``name`` is ``"gtzan"`` or the folder's.

    Raises
    ------
    UsageError
        If the folder does not exist or is a file, or ``n_jobs`` is below 1.
    DataError
        If the folder cannot be listed, holds no audio, mixes the two layouts or holds one GTZAN
        track twice; if no file can be read; if fewer than two genres are left.
    CacheError
        If the cache cannot be read or written.
    """
    listing = _scan(folder)
    return hear_listing(
        listing,
        spec=spec,
        cache=cache,
        waveform=waveform,
        n_jobs=n_jobs,
        progress=progress,
    )


def _scan(folder: Path) -> Listing:
    """Find the audio files of a collection and their genres, sorted by genre and id."""
    names, skipped, n_others = _walk(folder)
    if not names:
        closed = f", and {skipped[0].id} cannot be listed" if skipped else ""
        raise DataError(
            f"No audio in '{folder}': expected files such as .wav, .mp3 or .flac in {_LAYOUT}; "
            f"got {n_others} other files{closed}."
        )
    depth = _depth_of_genres(names)
    loose = [name for name in names if len(name.parts) == depth + 1]
    if loose and len(loose) < len(names):
        inside = next(name for name in names if len(name.parts) > depth + 1)
        raise DataError(
            f"'{folder}' mixes two layouts, so that genres would be a guess: expected {_LAYOUT}, "
            f"got the folder '{printable(inside.parts[depth])}' beside {len(loose)} loose files "
            f"such as '{printable(loose[0].name)}'; move either elsewhere."
        )
    found: list[tuple[Recording, Path]] = []
    for name in names:
        before, dot, _ = name.stem.partition(".")
        genre = name.parts[depth] if not loose else before if dot else None
        identity = printable(name.as_posix())
        if genre:
            path = folder / name
            found.append((Recording(id=identity, genre=printable(genre), path=str(path)), path))
        else:
            skipped.append(Skipped(identity, "Its name tells no genre: expected GENRE.NAME.wav."))
    if not found:
        raise DataError(
            f"No genres in '{folder}': expected {_LAYOUT}, got {len(names)} files such as "
            f"'{printable(names[0].name)}'."
        )
    found.sort(key=lambda f: (f[0].genre, f[0].id))
    recordings, paths = [r for r, _ in found], [path for _, path in found]
    as_gtzan = _as_gtzan(folder, recordings, paths)
    own_name = printable(folder.resolve().name) or "collection"  # the root of a disk has no name
    return Listing(
        name="gtzan" if as_gtzan else own_name,
        source=printable(str(folder)),
        layout=_LAYOUT,
        recordings=as_gtzan or recordings,
        paths=paths,
        skipped=skipped,
    )


def _walk(folder: Path) -> tuple[list[PurePath], list[Skipped], int]:
    """Paths of audio files below a folder; folders that cannot be listed; how many other files."""
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"Expected a folder of audio, but '{folder}' does not exist.") from None
    except OSError as error:
        raise _cannot_list(folder, error) from error
    if not is_folder:
        raise UsageError(
            f"Expected a folder of audio, or a table of it (.csv, .tsv), but '{folder}' is a file."
        )

    closed: list[Skipped] = []

    def refuse(error: OSError) -> None:
        place = Path(error.filename)
        if place == folder:
            raise _cannot_list(folder, error) from error
        name = printable(place.relative_to(folder).as_posix())
        closed.append(Skipped(name, f"The folder cannot be listed: {error.strerror}."))

    audio: list[PurePath] = []
    n_others = 0
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        if real in entered:  # a link back up, or a second link to the same folder
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        below = PurePath(place).relative_to(folder)
        found = [below / name for name in names if _is_audio(name)]
        n_others += len(names) - len(found)
        audio += found
    return sorted(audio, key=PurePath.as_posix), closed, n_others


def _depth_of_genres(names: Sequence[PurePath]) -> int:
    """How many folders to look through: those that hold a single folder and no audio."""
    depth = 0
    while all(len(name.parts) >= depth + 3 for name in names) and (
        len({name.parts[depth] for name in names}) == 1
    ):
        depth += 1
    return depth


def _as_gtzan(
    folder: Path, recordings: Sequence[Recording], paths: Sequence[Path]
) -> list[Recording] | None:
    """Return the recordings as tracks of GTZAN; None if one of them is not."""
    table = {track.id: track for track in tracks()}
    by_id: dict[str, Recording] = {}
    for recording, path in zip(recordings, paths, strict=True):
        track = table.get(gtzan_id(path) or "")
        if track is None or track.genre != recording.genre:
            return None
        if track.id in by_id:
            other = Path(by_id[track.id].path or "").relative_to(folder)
            raise DataError(
                f"The track '{track.id}' is in '{folder}' twice, as '{other.as_posix()}' and "
                f"'{recording.id}': keep one of them."
            )
        by_id[track.id] = replace(
            recording,
            id=track.id,
            artist=track.artist,
            title=track.title,
            recording=track.recording,
            faults=track.faults,
        )
    return list(by_id.values())


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_audio(name: str) -> bool:
    return not _is_hidden(name) and PurePath(name).suffix.lower() in AUDIO_SUFFIXES


def _cannot_list(folder: Path, error: OSError) -> DataError:
    return DataError(f"The folder '{folder}' cannot be listed: {error.strerror or error}.")
