"""Files of a folder or table to be audited: which there are, and whether their samples are clipped.

Private to :mod:`ostinato.datasets.audit.audit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ostinato import parallel
from ostinato.audio import AudioError
from ostinato.audio.decode import Decoding
from ostinato.datasets.corpus import Recording, Skipped
from ostinato.datasets.folder import audio_below, list_folder
from ostinato.datasets.table import is_table, read_table
from ostinato.errors import DataError
from ostinato.storage import printable

MOST_CLIPPED = 0.001
"""Share of samples at full scale from which a file is called clipped."""

_FULL_SCALE = 0.999


def files_below(folder: Path) -> tuple[list[Recording], list[Skipped]]:
    """All audio files below a folder, sorted, and the folders that cannot be listed.

    Genres, artists and titles are known where the folder is laid out as a collection is, or where a
    table stands in its place: then the files are those that it names.

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
        known = {}  # no genres, or no telling them: an audit goes without
    entries = []
    for name in names:
        path = str(folder / name)
        entries.append(
            known.get(path) or Recording(id=printable(name.as_posix()), genre="", path=path)
        )
    return entries, closed


def clipping(paths: Sequence[Path], *, n_jobs: int | None = None) -> list[str | None]:
    """What is wrong with the samples of each file, a sentence, or None.

    Samples are those of the mono mix, as decoded: where only one channel of two is clipped, or the
    two are clipped in opposite senses, they are not at full scale.

    Parameters
    ----------
    paths : sequence of Path
    n_jobs : int, optional
        How many processes; one a processor core by default.

    Raises
    ------
    DataError
        If a process was killed.
    """
    calls = [(p.absolute(),) for p in paths]
    with parallel.run(_clipped, calls, n_jobs=n_jobs, doing="read samples", ordered=True) as coming:
        return [sentence for _, sentence in coming]


def _clipped(path: Path) -> str | None:
    n_full = n_samples = 0
    try:
        for block in Decoding(path, str(path)):
            n_full += int(np.count_nonzero(np.abs(block) >= _FULL_SCALE))
            n_samples += block.size
    except AudioError as error:  # it changed since it was heard
        return f"{error.reason[0].upper()}{error.reason[1:]}."
    share = n_full / n_samples
    if share < MOST_CLIPPED:
        return None
    return f"Clipped: {100 * share:.1f} % of its samples are at full scale."
