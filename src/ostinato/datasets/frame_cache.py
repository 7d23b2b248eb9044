"""Frames on disk: what was once computed from a file is not computed again.

The cache is a folder (the user's cache folder, or ``--cache DIR``)::

    hashes.txt                                which bytes a path held when it was last read
    <FeatureSpec digest>/<ab>/<sha256>.npy    the frames of a file with these bytes
    <FeatureSpec digest>/<ab>/<sha256>-<variant>.npy    those of a copy whose sound was changed

The key of an entry is the SHA-256 of the file's *bytes* and the digest of the FeatureSpec, so a
file that is moved, renamed or copied is found again, and one that is changed is not. ``hashes.txt``
maps (path, size, modification time) to the SHA-256 and only saves reading the file; losing it costs
time and nothing else. Entries stand in 256 sub-folders: 100,000 files are some 400 a folder.

Several processes may use one cache at once. An entry is written beside its place and renamed, so
it is whole or absent. A line of ``hashes.txt`` is appended in one write and carries its own
checksum, so a torn one is passed over.

An entry ends with the SHA-256 of what stands before it (NumPy reads such a file as any other
``.npy``). It is checked on every load: an entry cut short by a crash, or with a bit turned over,
counts as absent, and is computed and written anew.

Failures are not kept: a file that could not be read is tried again each time, so that it is heard
as soon as it is mended or a newer decoder is installed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import platformdirs

from ostinato.audio import AudioError, Waveform, load_audio
from ostinato.datasets.processes import in_processes
from ostinato.errors import OstinatoError, UsageError
from ostinato.features import FeatureError, FeatureSpec, Frames, excerpts, frames
from ostinato.storage import WriteError, replacing

_SETTLED_NS = 2_000_000_000
"""A file younger than this may change again without its modification time doing so: the coarsest
clock of a file system in use, FAT's, ticks every 2 s."""

_FileKey = tuple[str, int, int]  # absolute path, size in bytes, modification time in ns


class CacheError(OstinatoError):
    """The cache cannot be read or written: a full disk, no permission (exit status 1)."""


class FrameCache:
    """Frames by content of the file and FeatureSpec.

    Parameters
    ----------
    folder : Path or None
        Made at the first write. None is the user's own, e.g. ``~/.cache/ostinato/frames``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            folder = Path(platformdirs.user_cache_dir("ostinato", appauthor=False)) / "frames"
        self.folder = folder.expanduser()
        self._hashes: dict[_FileKey, str] | None = None

    def known_hash(self, path: Path, *, size: int, mtime_ns: int) -> str | None:
        """SHA-256 of a file as remembered; None if the file is new or has changed since.

        Parameters
        ----------
        path : Path
        size, mtime_ns : int
            In bytes; modification time in ns.

        Raises
        ------
        CacheError
            If the cache cannot be read.
        """
        if self._hashes is None:
            self._hashes = self._read_hashes()
        return self._hashes.get(_key(path, size, mtime_ns))

    def remember_hash(self, path: Path, *, size: int, mtime_ns: int, sha256: str) -> None:
        """Note which bytes a file holds, so that it need not be read again to know.

        A file changed within the last 2 s is not noted: it could change once more without its
        modification time telling.

        Parameters
        ----------
        path : Path
        size, mtime_ns : int
            In bytes; modification time in ns. Both taken *before* the file was hashed.
        sha256 : str
            In hexadecimal.

        Raises
        ------
        CacheError
            If the cache cannot be written.
        """
        if time.time_ns() - mtime_ns < _SETTLED_NS:
            return
        key = _key(path, size, mtime_ns)
        record = json.dumps([*key, sha256]).encode("ascii")
        # The line break comes first: whatever a torn line left behind, this one starts afresh.
        line = b"\n%08x %s" % (zlib.crc32(record), record)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._index.open("ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._error("written", error) from error
        if self._hashes is not None:
            self._hashes[key] = sha256

    def load(self, sha256: str, spec: FeatureSpec, *, variant: str = "") -> Frames | None:
        """Frames of the file with these bytes; None if they are absent or damaged.

        Parameters
        ----------
        sha256 : str
            In hexadecimal.
        spec : FeatureSpec
        variant : str
            Which copy of the sound; empty is the sound itself.

        Returns
        -------
        float32 array [shape=(n_frames, n_features)] or None

        Raises
        ------
        CacheError
            If an entry is there and cannot be read.
        """
        try:
            content = self._entry(sha256, spec, variant).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("read", error) from error
        body, checksum = content[:-32], content[-32:]
        if hashlib.sha256(body).digest() != checksum:
            return None
        stored: Frames = np.load(io.BytesIO(body), allow_pickle=False)
        return stored

    def store(self, sha256: str, spec: FeatureSpec, computed: Frames, *, variant: str = "") -> None:
        """Keep the frames of the file with these bytes.

        Parameters
        ----------
        sha256 : str
            In hexadecimal.
        spec : FeatureSpec
        computed : float32 array [shape=(n_frames, n_features)]
        variant : str
            Which copy of the sound; empty is the sound itself.

        Raises
        ------
        CacheError
            If the cache cannot be written. No half-written file is left.
        """
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(computed, dtype=np.float32), allow_pickle=False)
        body = buffer.getvalue()
        try:
            with replacing(self._entry(sha256, spec, variant)) as beside:
                beside.write_bytes(body + hashlib.sha256(body).digest())
        except WriteError as error:
            raise self._error("written", error.__cause__) from error

    @property
    def _index(self) -> Path:
        return self.folder / "hashes.txt"

    def _entry(self, sha256: str, spec: FeatureSpec, variant: str) -> Path:
        name = f"{sha256}-{variant}" if variant else sha256
        return self.folder / spec.digest() / sha256[:2] / f"{name}.npy"

    def _read_hashes(self) -> dict[_FileKey, str]:
        try:
            lines = self._index.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._error("read", error) from error
        hashes: dict[_FileKey, str] = {}
        for line in lines:
            checksum, _, record = line.partition(b" ")
            if record and checksum == b"%08x" % zlib.crc32(record):
                path, size, mtime_ns, sha256 = json.loads(record)
                hashes[path, size, mtime_ns] = sha256
        return hashes

    def _error(self, verb: str, error: BaseException | None) -> CacheError:
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT):
            why, remedy = "the disk is full", "free some space, or name another folder"
        elif code in (errno.EACCES, errno.EPERM, errno.EROFS):
            why, remedy = "permission is denied", "name a folder of your own"
        elif code in (errno.EEXIST, errno.ENOTDIR):
            why, remedy = "a file stands where a folder should be", "name another folder"
        else:
            why, remedy = os.strerror(code) if code else str(error), "name another folder"
        return CacheError(
            f"The frame cache '{self.folder}' cannot be {verb}: {why}; {remedy} with --cache DIR."
        )


@dataclass(frozen=True)
class Heard:
    """What was found in a file.

    Attributes
    ----------
    sha256 : str
        Of its bytes, in hexadecimal.
    frames : float32 array [shape=(n_frames, n_features)]
    """

    sha256: str
    frames: Frames


def hear(
    paths: Sequence[Path],
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    n_jobs: int | None = None,
    done: Callable[[int], None] | None = None,
) -> list[Heard | str]:
    """Frames of audio files: those in the cache, and the others computed in parallel processes.

    Only this process writes to the cache, and each entry before it counts as done: an interruption
    loses no more than what was being computed.

    The frames of a file are those of its excerpts (see :func:`ostinato.features.frames.excerpts`), each
    standardised by itself, one after the other in time. The last excerpt ends with the sound and
    may repeat a part of the one before. An excerpt without content, a silence in the middle, is
    left out.

    Parameters
    ----------
    paths : sequence of Path
    spec : FeatureSpec
    cache : FrameCache
    n_jobs : int, optional
        How many processes, of one thread each; one a processor core by default.
    done : callable, optional
        Called after each file, in no fixed order, with its position in ``paths``.

    Returns
    -------
    list of Heard or str
        One a path, in order; for a file that has no frames the reason, a sentence.

    Raises
    ------
    UsageError
        If ``n_jobs`` is below 1.
    CacheError
        If the cache cannot be read or written.
    DataError
        If a process was killed.
    """
    if n_jobs is not None and n_jobs < 1:
        raise UsageError(f"Expected at least 1 job to compute frames with, got {n_jobs}.")
    results: dict[int, Heard | str] = {}

    def finish(position: int, result: Heard | str) -> None:
        results[position] = result
        if done:
            done(position)

    waiting: list[tuple[int, Path]] = []
    for position, path in enumerate(paths):
        known = _from_cache(path, spec, cache)
        if known is None:
            waiting.append((position, path))
        else:
            finish(position, known)
    there = cache.folder.absolute()  # workers are used again, and may have been started elsewhere
    calls = [joblib.delayed(_listen)(i, path.absolute(), spec, there) for i, path in waiting]
    with in_processes(calls, n_jobs or joblib.cpu_count()) as coming:
        for position, result in coming:
            if isinstance(result, _Fresh):
                if not result.is_stored:
                    cache.store(result.heard.sha256, spec, result.heard.frames)
                cache.remember_hash(
                    paths[position],
                    size=result.size,
                    mtime_ns=result.mtime_ns,
                    sha256=result.heard.sha256,
                )
            finish(position, result.heard if isinstance(result, _Fresh) else result)
    return [results[position] for position in range(len(paths))]


@dataclass(frozen=True)
class _Fresh:
    """What a process found in a file, with what the cache must know of it."""

    heard: Heard
    size: int
    mtime_ns: int
    is_stored: bool


def _from_cache(path: Path, spec: FeatureSpec, cache: FrameCache) -> Heard | None:
    """Frames of a file that has not changed since it was last read, without opening it."""
    try:
        status = path.stat()
    except OSError:
        return None  # the reason is found, and told, where the file is opened
    sha256 = cache.known_hash(path, size=status.st_size, mtime_ns=status.st_mtime_ns)
    stored = cache.load(sha256, spec) if sha256 else None
    return Heard(sha256, stored) if sha256 and stored is not None else None


def _listen(position: int, path: Path, spec: FeatureSpec, folder: Path) -> tuple[int, _Fresh | str]:
    """Frames of a file, or why it has none. Runs in a process of its own, and writes nothing."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a named pipe would be waited on for ever
            return position, "It is not a regular file."
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        stored = FrameCache(folder).load(sha256, spec)  # there if the file was moved, or copied
        if stored is None:
            sound = load_audio(path, sample_rate_hz=spec.sample_rate_hz)
            computed = frames_of(excerpts(sound, spec), spec)
        else:
            computed = stored
        after = path.stat()
    except AudioError as error:
        return position, f"{error.reason[0].upper()}{error.reason[1:]}."
    except FeatureError as error:
        return position, str(error)
    except OSError as error:
        return position, f"It cannot be read: {error.strerror or error}."
    except MemoryError:
        return position, "It does not fit into memory."
    size, mtime_ns = status.st_size, status.st_mtime_ns
    if (after.st_size, after.st_mtime_ns) != (size, mtime_ns):
        return position, "It changed while it was being read."
    return position, _Fresh(Heard(sha256, computed), size, mtime_ns, stored is not None)


def frames_of(sounds: Iterable[Waveform], spec: FeatureSpec) -> Frames:
    """Frames of excerpts, one after the other [shape=(n_frames, n_features)].

    Raises
    ------
    FeatureError
        If none of them has content.
    """
    pieces: list[Frames] = []
    silence: FeatureError | None = None
    for excerpt in sounds:
        try:
            pieces.append(frames(excerpt, spec))
        except FeatureError as error:
            silence = error
    if not pieces and silence is not None:
        raise silence
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _key(path: Path, size: int, mtime_ns: int) -> _FileKey:
    # Not resolved: the status is that of a link's target already, and resolving is slow.
    return str(path.absolute()), size, mtime_ns
