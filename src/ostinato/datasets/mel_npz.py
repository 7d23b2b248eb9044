"""Mel frames of GTZAN tracks in one file, as research groups share them: ``--data FILE.npz``.

Arrays of the archive, N tracks of T frames:

============  =======================  ============================================================
``mel``       uint8 ``(N, 128, T)``    log-mel images, low band first, about a frame every 77.5 ms
``track_id``  str ``(N,)``             ``"blues.00000"`` to ``"rock.00099"``, each once
``genre``     str ``(N,)``             the genre of each track
============  =======================  ============================================================

Cells are in dB, up to a scale and an offset of each track, which need not be known: every image is
standardised over its cells (mean 0, deviation 1), as :func:`ostinato.features.frames` does.
Artists, titles and replicas come from the package's table of GTZAN. Other arrays in the archive are
ignored, and nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets.corpus import Corpus
from ostinato.datasets.gtzan import gtzan_corpus, tracks
from ostinato.datasets.npz import read_arrays
from ostinato.errors import DataError, UsageError
from ostinato.features import (
    FeatureError,
    FeatureSpec,
    Frames,
    log_mel_from_mfcc,
    mfcc_from_log_mel,
    standardise,
)
from ostinato.storage import is_file


def load_mel_npz(path: Path, *, spec: FeatureSpec) -> Corpus:
    """Read a file of mel frames, and derive frames of a FeatureSpec from them.

    The corpus has frames of shape ``(T, spec.n_features)``, in the order of the file. UsageError if
    there is no such file, or ``spec`` has other than the default settings of time and frequency;
    DataError if the file is no such archive.
    """
    held = FeatureSpec(kind=spec.kind, n_coefficients=spec.n_coefficients)
    if spec != held:
        raise UsageError(f"{path}: the file can give {held.describe()}; got {spec.describe()}.")
    if not is_file(path):
        raise UsageError(f"Expected a file of mel frames, got '{path}', which does not exist.")
    images, ids, genres = read_arrays(path, ("mel", "track_id", "genre")).values()
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != spec.n_mels:
        raise DataError(
            f"{path}: expected 'mel' of uint8 and shape (tracks, {spec.n_mels}, frames), got "
            f"{images.dtype} of shape {images.shape}."
        )
    for name, array in (("track_id", ids), ("genre", genres)):
        if array.dtype.kind != "U" or array.shape != images.shape[:1]:
            raise DataError(
                f"{path}: expected '{name}' of text and shape ({len(images)},), one a track, got "
                f"{array.dtype} of shape {array.shape}."
            )
    genre_of = {track.id: track.genre for track in tracks()}
    frames = []
    for name, genre, image in zip(ids.tolist(), genres.tolist(), images, strict=True):
        if name not in genre_of:
            raise DataError(
                f"{path}: expected tracks of GTZAN ('blues.00000' to 'rock.00099'), got '{name}'."
            )
        if genre != genre_of[name]:
            raise DataError(
                f"{path}: expected the genre '{genre_of[name]}' of track '{name}', got '{genre}'."
            )
        frames.append(_frames(path, name, image, spec))
    return gtzan_corpus(ids.tolist(), frames, spec=spec, source=path.name)


def _frames(path: Path, name: str, image: NDArray[np.uint8], spec: FeatureSpec) -> Frames:
    """Frames [shape=(T, n_features)] from an image [shape=(n_mels, T)]."""
    try:
        log_mel = standardise(np.ascontiguousarray(image.T, dtype=np.float32))
    except FeatureError as error:
        raise DataError(f"{path}: track '{name}': {error}") from error
    if spec.kind == "log-mel":
        return log_mel
    mfcc = mfcc_from_log_mel(log_mel, spec.n_coefficients)
    return mfcc if spec.kind == "mfcc" else log_mel_from_mfcc(mfcc, spec.n_mels)
