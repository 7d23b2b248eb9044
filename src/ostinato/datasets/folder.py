"""A folder of audio as a listing: ``--data DIR``.

Two layouts are understood::

    DIR/blues/x.mp3, DIR/blues/album/y.flac      a folder per genre; deeper ones do not matter
    DIR/blues.00000.wav, DIR/jazz.some name.ogg  flat: the genre stands before the first dot

A folder that holds nothing but a single folder (``DIR/genres/blues/x.wav``) is looked through. Both
layouts in one folder are an error: the genre of a loose file would be a guess. Hidden files,
``__MACOSX`` and files without an audio suffix are ignored. Links are followed, but no folder is
entered twice.

If every file is named as a track of GTZAN, and none is in another genre's folder, the collection is
GTZAN, or a part of it: ids are ``blues.00000``, and artist, title, replicas and known faults come
from its table. Otherwise the id of a file is its path below DIR.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ostinato.audio import find_audio
from ostinato.datasets.corpus import Listing, Recording, Skipped
from ostinato.datasets.gtzan import gtzan_id, tracks
from ostinato.errors import DataError, UsageError
from ostinato.storage import printable

_LAYOUT = "a folder per genre, or files named GENRE.NAME.wav"


def list_folder(folder: Path) -> Listing:
    """List the audio files of a collection with their genres, sorted by genre and id.

    The listing's name is ``"gtzan"`` or the folder's. UsageError if there is no such folder;
    DataError if it cannot be listed, or holds no audio, both layouts, or one GTZAN track twice.
    """
    names, skipped, others = audio_below(folder)
    if not names:
        closed = f", and {skipped[0].id} cannot be listed" if skipped else ""
        raise DataError(
            f"No audio in '{folder}': expected files such as .wav, .mp3 or .flac in {_LAYOUT}; "
            f"got {others}{closed}."
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
            skipped.append(Skipped(identity, "Its name holds no genre: expected GENRE.NAME.wav."))
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


def audio_below(folder: Path) -> tuple[Sequence[PurePath], list[Skipped], str]:
    """Audio files below a folder, folders that cannot be listed, and in words the other files.

    UsageError if there is no such folder; DataError if it cannot be listed.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"Expected a folder of audio, but '{folder}' does not exist.") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"The folder '{folder}' cannot be listed: {reason}.") from error
    if not is_folder:
        raise UsageError(
            f"Expected a folder of audio, or a table of it (.csv, .tsv), but '{folder}' is a file."
        )
    found = find_audio(folder)
    if folder in found.closed:
        raise DataError(f"The folder '{folder}' cannot be listed: {found.closed[folder]}.")
    closed = [
        Skipped(
            printable(place.relative_to(folder).as_posix()),
            f"The folder cannot be listed: {reason}.",
        )
        for place, reason in found.closed.items()
    ]
    names = sorted((path.relative_to(folder) for path in found.paths), key=PurePath.as_posix)
    return names, closed, found.told_passed_over() or "no files"


def _depth_of_genres(names: Sequence[PurePath]) -> int:
    """Count the outer folders that hold a single folder and no audio."""
    depth = 0
    while all(len(name.parts) >= depth + 3 for name in names) and (
        len({name.parts[depth] for name in names}) == 1
    ):
        depth += 1
    return depth


def _as_gtzan(
    folder: Path, recordings: Sequence[Recording], paths: Sequence[Path]
) -> list[Recording] | None:
    """Return the recordings as tracks of GTZAN; None if one of them is none."""
    table = {track.id: track for track in tracks()}
    names: dict[str, str] = {}
    found: list[Recording] = []
    for recording, path in zip(recordings, paths, strict=True):
        track = table.get(gtzan_id(path) or "")
        if track is None or track.genre != recording.genre:
            return None
        other = names.setdefault(track.id, recording.id)
        if other != recording.id:
            raise DataError(
                f"The track '{track.id}' is in '{folder}' twice, as '{other}' and "
                f"'{recording.id}': keep one of them."
            )
        found.append(replace(track, path=recording.path))
    return found
