"""Frames of audio files, computed in parallel and kept in the cache."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ostinato import cluster, parallel
from ostinato.audio import AudioError, Waveform, waveform_from_array
from ostinato.audio.load import decode_audio
from ostinato.datasets.frame_cache import FrameCache
from ostinato.errors import DataError
from ostinato.features import FeatureError, FeatureSpec, Frames, excerpts, frames
from ostinato.inference.ear import Ear, open_ear

UNREADABLE = (AudioError, FeatureError, OSError, MemoryError)
"""Errors that concern one file, and stop no other."""

FileStatus = tuple[int, int]
"""Size in bytes and time of the last change in ns: who has the same two is taken for unchanged."""

_FULL_SCALE = 0.999
# Suffixes of the cache's entries with the share of clipped samples, and with the channel that was
# heard alone, which few files have.
_CLIPPED, _CHANNEL = "clipped", "channel"


@dataclass(frozen=True)
class FileFrames:
    """The frames of an audio file [shape=(n_frames, n_features)], and the SHA-256 of its bytes.

    ``clipped`` is the share of its samples at full scale, in the mono mix: samples of which one
    channel is clipped, or two in opposite senses, do not count. None if it was not asked for.
    ``heard_channel``, from 1, was heard where all cancel each other out; None if they do not.
    """

    sha256: str
    frames: Frames
    clipped: float | None = None
    heard_channel: int | None = None


def compute_frames(
    paths: Sequence[Path],
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    done: Callable[[int], None] | None = None,
    **options: Any,
) -> list[FileFrames | str]:
    """The results of :func:`each_frames`, in the order of ``paths``; it takes the same options.

    ``done`` is called after each file, in no fixed order, with its position in ``paths``.
    """
    results: dict[int, FileFrames | str] = {}
    for position, result in each_frames(paths, spec=spec, cache=cache, **options):
        results[position] = result
        if done:
            done(position)
    return [results[position] for position in range(len(paths))]


def each_frames(
    paths: Sequence[Path],
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    ear: Path | None = None,
    clipping: bool = False,
    n_jobs: int | None = None,
    backend: str = "processes",
) -> Iterator[tuple[int, FileFrames | str]]:
    """Read the frames of audio files from the cache, and compute those that it lacks.

    Only this process writes to the cache, each entry before it is yielded: an interruption loses no
    more than the files at work.

    The frames of a file are those of its excerpts (:func:`ostinato.features.excerpts`), each
    standardised by itself, one after the other in time. The last excerpt ends with the sound and
    may repeat a part of the one before. An excerpt without content, a silence in the middle, is
    left out.

    ``ear`` is the file of the ear that gives frames of a spec whose kind is external; each worker
    opens it once, for one thread. ``clipping`` is measured as files are decoded, and cached as
    well. ``backend`` is that of :func:`ostinato.parallel.run`; the machines of a cluster must see
    audio and ear at the same path as this one, else a DataError says which does not. Yields
    (position in ``paths``, result), in no fixed order: for a file that has no frames, the reason,
    a sentence.
    """
    waiting = []
    for position, path in enumerate(paths):
        if known := _from_cache(path, spec, cache, clipping):
            yield position, known
        else:
            waiting.append(position)
    # Absolute: worker processes are reused, and may have been started in another folder.
    ear = None if ear is None else ear.absolute()
    compute = partial(
        _compute, spec=spec, ear=ear, folder=cache.folder.absolute(), clipping=clipping
    )
    calls: list[tuple[Path, dict[Path, FileStatus]]] = []
    for path in (paths[position].absolute() for position in waiting):
        # What a cluster's machine must see as it is here; a file that is gone is its own reason.
        needed = [path, *([ear] if ear else [])] if parallel.is_cluster(backend) else []
        calls.append((path, {p: status for p in needed if (status := _status(p))}))
    with parallel.run(
        compute, calls, n_jobs=n_jobs, backend=backend, doing="computed frames"
    ) as coming:
        for i, result in coming:
            if isinstance(result, str):
                yield waiting[i], result
                continue
            path, here = calls[i]
            _keep(result, spec, cache)
            size, mtime_ns = here.get(path, result.status)
            sha256 = result.found.sha256
            cache.remember_hash(path, size=size, mtime_ns=mtime_ns, sha256=sha256)
            yield waiting[i], result.found


def _keep(result: _Computed, spec: FeatureSpec, cache: FrameCache) -> None:
    """Store what a worker has computed."""
    if result.is_stored:
        return
    found = result.found
    cache.store(found.sha256, spec, found.frames)
    for number, suffix in ((found.clipped, _CLIPPED), (found.heard_channel, _CHANNEL)):
        if number is not None:
            fact = np.array([[number]], dtype=np.float32)
            cache.store(found.sha256, spec, fact, suffix=suffix)


def frames_of(waveforms: Iterable[Waveform], spec: FeatureSpec, ear: Path | None) -> Frames:
    """Compute the frames of excerpts, one after the other; FeatureError if none has content."""
    of_excerpt = partial(frames, spec=spec) if ear is None else _opened(ear, spec).frames
    pieces: list[Frames] = []
    silence: FeatureError | None = None
    for excerpt in waveforms:
        try:
            pieces.append(of_excerpt(excerpt))
        except FeatureError as error:
            silence = error
    if not pieces and silence is not None:
        raise silence
    return np.concatenate(pieces)


@lru_cache(maxsize=1)
def _opened(ear: Path, spec: FeatureSpec) -> Ear:
    """The ear, opened once in a process; DataError if it does not give frames of this spec."""
    found = open_ear(ear)
    if found.spec != spec:
        raise DataError(
            f"{ear}: expected the ear of {spec.describe()}, got that of {found.spec.describe()}."
        )
    return found


def reason(error: BaseException) -> str:
    """Why a file has no frames: a sentence that does not name the file."""
    if isinstance(error, AudioError):
        return f"{error.reason[0].upper()}{error.reason[1:]}."
    if isinstance(error, OSError):
        where = f" on {host}" if (host := cluster.host()) else ""
        return f"It cannot be read{where}: {error.strerror or error}."
    if isinstance(error, MemoryError):
        return "It does not fit into memory."
    return str(error)


@dataclass(frozen=True)
class _Computed:
    """A worker's result, with what the cache must know of the file."""

    found: FileFrames
    status: FileStatus
    is_stored: bool


def _from_cache(
    path: Path, spec: FeatureSpec, cache: FrameCache, clipping: bool
) -> FileFrames | None:
    """The frames of a file that has not changed since it was last read, without opening it."""
    if (status := _status(path)) is None:
        return None  # the worker that opens the file reports the reason
    sha256 = cache.known_hash(path, size=status[0], mtime_ns=status[1])
    return _stored(sha256, spec, cache, clipping) if sha256 else None


def _stored(sha256: str, spec: FeatureSpec, cache: FrameCache, clipping: bool) -> FileFrames | None:
    """The cache's entry of the file with these bytes, if it has all that was asked for."""
    stored = cache.load(sha256, spec)
    share = cache.load(sha256, spec, suffix=_CLIPPED) if clipping and stored is not None else None
    if stored is None or (clipping and share is None):
        return None
    channel = cache.load(sha256, spec, suffix=_CHANNEL)
    return FileFrames(
        sha256,
        stored,
        None if share is None else float(share[0, 0]),
        None if channel is None else int(channel[0, 0]),
    )


def _status(path: Path) -> FileStatus | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _check_as_at_home(files: Mapping[Path, FileStatus]) -> None:
    """Refuse to go on where a file of home is not the same: it would make other data of them."""
    for path, (expected, _) in files.items():
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{cluster.host()} of the cluster cannot read '{path}', which this machine can "
                f"({error.strerror}): every worker must see the same files at the same path."
            ) from error
        if size != expected:
            raise DataError(
                f"{cluster.host()} of the cluster has another file at '{path}', of {size} bytes, "
                f"not {expected}: every worker must see the same files at the same path."
            )


def _compute(
    path: Path,
    here: Mapping[Path, FileStatus],
    *,
    spec: FeatureSpec,
    ear: Path | None,
    folder: Path,
    clipping: bool,
) -> _Computed | str:
    """The frames of a file, or why it has none. Runs in a worker, and writes nothing.

    ``here`` says what files on a machine of a cluster must be like.
    """
    _check_as_at_home(here)
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):  # reading a named pipe would never end
            return "It is not a regular file."
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        # There if the file was moved, or copied.
        stored = _stored(sha256, spec, FrameCache(folder), clipping)
        found = stored or _from_audio(path, sha256, spec, ear, clipping)
        after = path.stat()
    except UNREADABLE as error:
        return reason(error)
    status = before.st_size, before.st_mtime_ns
    if (after.st_size, after.st_mtime_ns) != status:
        return "It changed while it was being read."
    return _Computed(found, status, stored is not None)


def _from_audio(
    path: Path, sha256: str, spec: FeatureSpec, ear: Path | None, clipping: bool
) -> FileFrames:
    """Frames, and the share of samples at full scale, from one decoding of the file."""
    mono, own_rate_hz, channel = decode_audio(path)
    clipped = float(np.mean(np.abs(mono) >= _FULL_SCALE)) if clipping else None
    sound = waveform_from_array(
        mono, sample_rate_hz=own_rate_hz, target_sample_rate_hz=spec.sample_rate_hz
    )
    return FileFrames(sha256, frames_of(excerpts(sound, spec), spec, ear), clipped, channel)
