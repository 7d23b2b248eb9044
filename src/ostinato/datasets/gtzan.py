"""GTZAN: the table of its 1000 tracks, its published splits, and the frames that ship here.

The frames are MFCC of the 999 readable tracks, kept in 8 bits with one step a coefficient;
``data/README.md`` beside this file says how they were made and what the 8 bits cost. The table
holds facts alone: artists and titles (B. L. Sturm's index, as corrected up to 2024), the exact
replicas, the published lists and the SHA-256 of each file of the common release.

References
----------
G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE TSAP 10(5), 2002.
B. L. Sturm, "The state of the art ten years after a state of the art", JNMR 43(2), 2014.
C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music adversaries", IEEE TMM 17(11), 2015
(the fault-filtered split).
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets.corpus import PARTS, Corpus, Recording, Skipped
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec, Frames, log_mel_from_mfcc

GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
"""The ten genres, sorted; 100 tracks of each."""

SPLITS = ("fault-filtered", "stratified")
"""The published splits of the table."""

GTZAN_ID = re.compile(rf"(?P<genre>{'|'.join(GENRES)})\.000\d\d")
"""The id of a track: ``"blues.00000"`` to ``"rock.00099"``."""

_AUDIO_SUFFIX = re.compile(
    r"\.(wav|au|aiff?|flac|mp3|og[ga]|opus|m4a|mp4|aac|wma|webm)", re.IGNORECASE
)
_FRAMES_FILE = "gtzan_mfcc.npz"
_TRACKS_FILE = "gtzan_tracks.tsv"
_TRACKS_HEADER = "id\tgenre\tartist\ttitle\trecording\tfaults\tfault_filtered\tstratified"
N_TRACKS = 1000


@dataclass(frozen=True, kw_only=True)
class GtzanTrack(Recording):
    """One row of the track table; artists and titles as Sturm's index spells them.

    ``recording`` is the id of the first of the tracks that are exact replicas of each other.
    ``fault_filtered`` and ``stratified`` are the part (``"train"``, ``"valid"``, ``"test"``) of the
    published split that lists the track, None where none does.
    """

    fault_filtered: str | None
    stratified: str | None


def gtzan_id(path: str | PurePath) -> str | None:
    """Return the GTZAN id that an audio file's name spells, in any folder and format, or None.

    >>> gtzan_id("Downloads/blues.00007.au")
    'blues.00007'
    >>> gtzan_id("Downloads/blues.mp3") is None
    True
    """
    name = PurePath(path)
    known = GTZAN_ID.fullmatch(name.stem) and _AUDIO_SUFFIX.fullmatch(name.suffix)
    return name.stem if known else None


@cache
def tracks() -> tuple[GtzanTrack, ...]:
    """Return the 1000 tracks, sorted by id; DataError if the package's table is damaged."""
    rows = tuple(
        GtzanTrack(
            id=row["id"],
            genre=row["genre"],
            artist=row["artist"] or None,
            title=row["title"] or None,
            recording=row["recording"],
            faults=tuple(row["faults"].split("; ")) if row["faults"] else (),
            fault_filtered=row["fault_filtered"] or None,
            stratified=row["stratified"] or None,
        )
        for row in read_table(_TRACKS_FILE, _TRACKS_HEADER)
    )
    if len(rows) != N_TRACKS:
        raise damaged(_TRACKS_FILE, f"expected {N_TRACKS} tracks, got {len(rows)}")
    return rows


def published_split(name: str) -> dict[str, tuple[str, ...]]:
    """Return the ids of each part of a published split, sorted.

    ``"fault-filtered"``: 443 train, 197 valid and 290 test tracks, without replicas and mislabels;
    its train part lists ``jazz.00054``, which cannot be read. ``"stratified"``: 500, 250 and 250
    tracks, with the collection's faults. UsageError for another name.
    """
    if name not in SPLITS:
        raise UsageError(
            f"Expected a published split of GTZAN ({' or '.join(SPLITS)}), got '{name}'."
        )
    column = name.replace("-", "_")
    return {
        part: tuple(track.id for track in tracks() if getattr(track, column) == part)
        for part in PARTS
    }


def load_gtzan(
    *,
    n_coefficients: int | None = None,
    kind: Literal["mfcc", "log-mel", "log-mel-from-mfcc", "external"] = "mfcc",
) -> Corpus:
    """Return the 999 readable tracks with the frames that ship with the package.

    Parameters
    ----------
    n_coefficients : int, optional
        Number of MFCC to keep, from the first; all that ship by default. MFCC are nested: the
        first k of many are the k of a transform that keeps k.
    kind : {"mfcc", "log-mel-from-mfcc"}
        The MFCC, or the mel bands that have these MFCC and no finer detail.

    Returns
    -------
    Corpus
        Frames of shape ``(387, n_coefficients)`` or ``(387, 128)``, one about every 77.5 ms,
        standardised over each track; ``jazz.00054`` is in ``skipped``.

    Raises
    ------
    UsageError
        For other frames, less than one coefficient, or more than ship.
    DataError
        If a file of the package is damaged.
    """
    if kind not in ("mfcc", "log-mel-from-mfcc"):
        raise UsageError(
            f"Frames '{kind}': the GTZAN frames in the package are MFCC, of which true mel bands "
            "cannot be made; give the audio (ostinato fetch gtzan, then --data DIR) or a file of "
            "mel frames (--data FILE.npz), or take the smoothed bands: --frames log-mel-from-mfcc."
        )
    ids, mfcc = _shipped_frames(n_coefficients)
    spec = FeatureSpec(kind=kind, n_coefficients=mfcc.shape[2])
    frames = [one if kind == "mfcc" else log_mel_from_mfcc(one, spec.n_mels) for one in mfcc]
    without = {track.id: track for track in tracks()}
    for name in ids:
        if without.pop(name, None) is None:
            raise damaged(_FRAMES_FILE, f"track '{name}' is not in {_TRACKS_FILE}")
    skipped = tuple(
        Skipped(name, f"No frames of this track ship: {'; '.join(track.faults)}.")
        for name, track in without.items()
    )
    return gtzan_corpus(
        ids, frames, spec=spec, source="frames shipped with the package", skipped=skipped
    )


def gtzan_corpus(
    ids: Sequence[str],
    frames: Sequence[Frames],
    *,
    spec: FeatureSpec,
    source: str,
    skipped: tuple[Skipped, ...] = (),
) -> Corpus:
    """Return tracks of the table as a corpus, with their frames."""
    by_id = {track.id: track for track in tracks()}
    return Corpus(
        name="gtzan",
        source=source,
        recordings=tuple(by_id[name] for name in ids),
        frames=tuple(frames),
        spec=spec,
        skipped=skipped,
    )


def decode_frames(
    differences: NDArray[np.uint8], step: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the frames that 8-bit codes stand for [shape=(n_tracks, n_frames, n_coefficients)].

    ``differences`` are codes, each less the one a frame earlier, modulo 256 (which compresses
    better). Code c of coefficient k stands for ``offset[k] + c * step[k]``.
    """
    codes = np.cumsum(differences, axis=1, dtype=np.uint8)
    frames: NDArray[np.float32] = codes * step
    frames += offset
    return frames


def _shipped_frames(n_coefficients: int | None) -> tuple[list[str], NDArray[np.float32]]:
    """Read ids and frames [shape=(n_tracks, n_frames, n_coefficients)] from the package."""
    raw = _read(_FRAMES_FILE)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            ids = stored["track_id"].tolist()
            differences, step, offset = stored["differences"], stored["step"], stored["offset"]
        shipped = step.shape[0]
        whole = differences.dtype == np.uint8 and differences.shape[::2] == (len(ids), shipped)
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError) as error:
        raise damaged(_FRAMES_FILE, str(error)) from error
    if not whole:
        raise damaged(_FRAMES_FILE, "its arrays do not fit each other")
    k = shipped if n_coefficients is None else n_coefficients
    if not 1 <= k <= shipped:
        raise UsageError(
            f"Expected 1 to {shipped} coefficients, as many as the GTZAN frames in the package "
            f"have, got {k}; more need the audio: ostinato fetch gtzan."
        )
    return ids, decode_frames(differences[:, :, :k], step[:k], offset[:k])


def read_table(name: str, header: str) -> list[dict[str, str]]:
    """The rows of a tab-separated table of the package, by the names of its columns."""
    try:
        first, *lines = _read(name).decode("utf-8").rstrip("\n").split("\n")
        if first != header:
            raise ValueError(f"its first line is not '{' '.join(header.split())}'")
        columns = header.split("\t")
        return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]
    except ValueError as error:  # also an empty file, bad UTF-8, a row too short or too long
        raise damaged(name, str(error)) from error


def _read(name: str) -> bytes:
    """Bytes of a file that ships in the package's ``datasets/data``."""
    try:
        return files("ostinato").joinpath("datasets", "data", name).read_bytes()
    except OSError as error:
        raise damaged(name, error.strerror or str(error)) from error


def damaged(name: str, reason: str) -> DataError:
    """The error for a file of the package that is missing or damaged."""
    return DataError(
        f"The file '{name}' that ships with Ostinato is missing or damaged "
        f"({reason.rstrip('.')}): reinstall the package."
    )
