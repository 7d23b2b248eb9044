"""The files of a folder or table to be audited.

Private to :mod:`ostinato.datasets.audit.find`.
"""

from __future__ import annotations

from pathlib import Path

from ostinato.datasets.corpus import Recording, Skipped
from ostinato.datasets.folder import audio_below, list_folder
from ostinato.datasets.table import is_table, read_table
from ostinato.errors import DataError
from ostinato.storage import printable


def files_below(folder: Path) -> tuple[list[Recording], list[Skipped]]:
    """All audio files below a folder, sorted, and the folders that cannot be listed.

    Genres, artists and titles are known where the folder is laid out as a collection is, or where a
    table is given: then the files are the table's.

    Raises
    ------
    UsageError
        If the folder does not exist or is a file that is no table.
    DataError
        If it cannot be listed, or holds no audio; if the table is wrong.
    """
    if is_table(folder):
        return list(read_table(folder).recordings), []
    names, closed, n_others = audio_below(folder)
    if not names:
        raise DataError(
            f"No audio in '{folder}': expected files such as .wav, .mp3 or .flac, got {n_others} "
            "other files."
        )
    try:
        known = {recording.path: recording for recording in list_folder(folder).recordings}
    except DataError:
        known = {}  # no genres: an audit does not need them
    entries = []
    for name in names:
        path = str(folder / name)
        entries.append(
            known.get(path) or Recording(id=printable(name.as_posix()), genre="", path=path)
        )
    return entries, closed
