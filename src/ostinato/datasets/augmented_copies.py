"""Frames of the copies of recordings: computed once, and cached beside those of the recordings.

What a copy is, :mod:`ostinato.datasets.augment_audio` says. Its key in the cache is that of the
recording, the SHA-256 of the file and the FeatureSpec, with the digest of how it is made and its
number: another strength or seed is another copy, and more of them leave those there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib

from ostinato.audio import AudioError, load_audio
from ostinato.datasets.augment_audio import VariantSettings, check_can_vary, vary
from ostinato.datasets.frame_cache import FrameCache, frames_of
from ostinato.datasets.processes import in_processes
from ostinato.errors import DataError
from ostinato.features import FeatureError, FeatureSpec, Frames, excerpts


def hear_copies(
    files: Sequence[tuple[Path, str]],
    settings: VariantSettings,
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    n_jobs: int | None = None,
    done: Callable[[int], None] | None = None,
) -> list[tuple[Frames, ...]]:
    """Frames of the copies of audio files: those in the cache, and others computed in parallel.

    Each excerpt of a recording is changed alone and stays one excerpt, whatever its length is then.

    Parameters
    ----------
    files : sequence of (Path, str)
        Which were heard, each with its SHA-256.
    settings : VariantSettings
    spec : FeatureSpec
    cache : FrameCache
        Written to by this process alone, as copies come.
    n_jobs : int, optional
        How many processes, of one thread each; one a processor core by default.
    done : callable, optional
        Called after each file, in no fixed order, with its position in ``files``.

    Returns
    -------
    list of tuple of float32 array [shape=(n_frames, n_features)]
        One a file, in order, of all its copies.

    Raises
    ------
    UsageError, MissingExtraError
        As :func:`check_can_vary`.
    CacheError
        If the cache cannot be read or written.
    DataError
        If a file is not what it was, or a process was killed.
    """
    check_can_vary(settings, sample_rate_hz=spec.sample_rate_hz)
    numbers = range(1, settings.copies + 1)
    found: dict[int, dict[int, Frames]] = {}
    calls = []
    for position, (path, sha256) in enumerate(files):
        kept = {n: cache.load(sha256, spec, variant=_key(settings, n)) for n in numbers}
        found[position] = {n: frames for n, frames in kept.items() if frames is not None}
        missing = [n for n in numbers if n not in found[position]]
        if missing:
            call = joblib.delayed(_copies_of)
            calls.append(call(position, path.absolute(), sha256, settings, missing, spec))
        elif done:
            done(position)
    with in_processes(calls, n_jobs or joblib.cpu_count()) as coming:
        for position, made in coming:
            path, sha256 = files[position]
            if isinstance(made, str):
                raise DataError(f"'{path}' was heard, but no copy can be made of it: {made}")
            for number, frames in made.items():
                cache.store(sha256, spec, frames, variant=_key(settings, number))
            found[position] |= made
            if done:
                done(position)
    return [tuple(found[i][n] for n in numbers) for i in range(len(files))]


def _copies_of(
    position: int,
    path: Path,
    sha256: str,
    settings: VariantSettings,
    numbers: Sequence[int],
    spec: FeatureSpec,
) -> tuple[int, dict[int, Frames] | str]:
    """Frames of some copies of a file, or why there are none. Runs in a process of its own."""
    rate = spec.sample_rate_hz
    try:
        pieces = excerpts(load_audio(path, sample_rate_hz=rate), spec)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return position, "it has changed since; run the same again."
        return position, {
            n: frames_of(
                (
                    vary(piece, settings, sample_rate_hz=rate, sha256=sha256, number=n)
                    for piece in pieces
                ),
                spec,
            )
            for n in numbers
        }
    except AudioError as error:
        return position, f"{error.reason}."
    except FeatureError as error:
        return position, f"{error}"
    except OSError as error:
        return position, f"it cannot be read: {error.strerror or error}."
    except MemoryError:
        return position, "it does not fit into memory."


def _key(settings: VariantSettings, number: int) -> str:
    return f"{settings.digest()}-{number}"
