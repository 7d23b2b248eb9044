"""Tag sequences of GTZAN tracks, computed by musicnn, as research groups share them.

Arrays of the archive ``--data FILE.npz --frames musicnn-tags``, N rows in all:

=======  ====================  =====================================================================
``X``    float32 ``(N, 50)``   likelihoods of the 50 tags of MSD_musicnn, in [0, 1]; a row a second
``Y``    int ``(N,)``          the genre, 0 to 9 in the order of the alphabet
``IDS``  str ``(N,)``          the track, ``"blues/blues.00029.au"``; its rows in order of time
=======  ====================  =====================================================================

A folder means all such files in it. Frames are the square roots of the likelihoods;
:mod:`ostinato.inference.musicnn` computes them from audio. Artists, titles and replicas come from
the package's table of GTZAN; a track that is corrupt in the collection is skipped, whatever its
tags were computed from. Nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ostinato.datasets.corpus import Corpus, Skipped
from ostinato.datasets.gtzan import GENRES, gtzan_corpus, gtzan_id, tracks
from ostinato.datasets.npz import read_arrays
from ostinato.errors import DataError, UsageError
from ostinato.features import Frames
from ostinato.inference.musicnn import TAGS_SPEC
from ostinato.storage import is_file, is_folder


def load_tag_npz(path: Path) -> Corpus:
    """Read a file of tag sequences, or all files of a folder, sorted by id.

    Frames have shape ``(n_rows, 50)`` and :data:`ostinato.inference.musicnn.TAGS_SPEC`.

    Raises
    ------
    UsageError
        If there is no such file, or none in the folder.
    DataError
        If a file is no such archive, lacks an array, or holds one of another form, an unknown
        track, a track of another genre than GTZAN's, or one that is in another file too.
    """
    files = sorted(path.glob("*.npz")) if is_folder(path) else [path]
    if not files or not is_file(files[0]):
        raise UsageError(
            f"Expected a file of tag sequences, or a folder of them, got '{path}'; from audio, the "
            "ear gives them (--frames musicnn)."
        )
    found: dict[str, Frames] = {}
    for file in files:
        for name, frames in _sequences(file).items():
            if name in found:
                raise DataError(f"{file}: expected each track in one file, got '{name}' again.")
            found[name] = frames
    corrupt = {track.id for track in tracks() if "corrupt" in track.faults}
    skipped = tuple(
        Skipped(name, "The sound of this track is corrupt in the collection.")
        for name in sorted(corrupt & found.keys())
    )
    ids = sorted(found.keys() - corrupt)
    return gtzan_corpus(
        ids, [found[i] for i in ids], spec=TAGS_SPEC, source=path.name, skipped=skipped
    )


def _sequences(path: Path) -> dict[str, Frames]:
    """The frames of each track of a file."""
    likelihoods, labels, names = read_arrays(path, ("X", "Y", "IDS")).values()
    n_rows, width = len(names), TAGS_SPEC.n_features
    if likelihoods.dtype != np.float32 or likelihoods.shape != (n_rows, width) or not n_rows:
        raise DataError(
            f"{path}: expected 'X' of float32 and shape (rows, {width}), a row for each of "
            f"'IDS', got {likelihoods.dtype} of shape {likelihoods.shape} for {n_rows}."
        )
    if not ((likelihoods >= 0) & (likelihoods <= 1)).all():
        raise DataError(f"{path}: expected likelihoods in [0, 1] in 'X', got others or NaN.")
    if labels.dtype.kind not in "iu" or labels.shape != (n_rows,) or names.dtype.kind != "U":
        raise DataError(
            f"{path}: expected 'Y' of whole numbers and 'IDS' of text, one a row, got "
            f"{labels.dtype} of shape {labels.shape} and {names.dtype}."
        )
    known = {track.id: track.genre for track in tracks()}
    roots = np.sqrt(likelihoods)
    sequences: dict[str, Frames] = {}
    for given in np.unique(names).tolist():
        rows = np.flatnonzero(names == given)
        name = gtzan_id(given)
        if name is None or name not in known or name in sequences:
            raise DataError(
                f"{path}: expected tracks of GTZAN ('blues/blues.00000.au'), each under one name, "
                f"got '{given}'."
            )
        if (labels[rows] != GENRES.index(known[name])).any():
            raise DataError(f"{path}: expected the genre of '{given}' in 'Y', got another.")
        sequences[name] = roots[rows]
    return sequences
