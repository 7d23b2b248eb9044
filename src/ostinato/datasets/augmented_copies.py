"""Frames of augmented copies, computed once and kept in the cache beside those of the recordings.

:mod:`ostinato.datasets.augment_audio` says what a copy is. Its key in the cache is that of the
recording, with the digest of how copies are made and the copy's number: another strength or seed is
another copy, and more copies leave those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ostinato import parallel
from ostinato.audio import load_audio
from ostinato.datasets.augment_audio import AudioAugmentation, augment
from ostinato.datasets.compute import UNREADABLE, frames_of, reason
from ostinato.datasets.frame_cache import FrameCache
from ostinato.errors import DataError
from ostinato.features import FeatureSpec, Frames, excerpts


def compute_copies(
    files: Sequence[tuple[Path, str]],
    settings: AudioAugmentation,
    *,
    spec: FeatureSpec,
    cache: FrameCache,
    ear: Path | None = None,
    n_jobs: int | None = None,
    backend: str = "processes",
    done: Callable[[int], None] | None = None,
) -> list[tuple[Frames, ...]]:
    """Read the frames of augmented copies from the cache, and compute those that it lacks.

    Each excerpt of a recording is changed alone and stays one excerpt, whatever its new length.
    Only this process writes to the cache, as copies are computed.

    ``files`` are readable audio files, each with its SHA-256; ``done`` is called after each, in no
    fixed order, with its position. The result has one tuple a file, in order, of all its copies.
    """
    numbers = range(1, settings.copies + 1)
    names = copy_names(settings)
    found: list[dict[int, Frames]] = []
    waiting: list[int] = []
    calls = []
    for position, (path, sha256) in enumerate(files):
        kept = {n: cache.load(sha256, spec, suffix=names[n]) for n in numbers}
        found.append({n: frames for n, frames in kept.items() if frames is not None})
        missing = [n for n in numbers if n not in found[position]]
        if missing:
            waiting.append(position)
            calls.append((path.absolute(), sha256, missing))
        elif done:
            done(position)
    ear = None if ear is None else ear.absolute()
    compute = partial(_copies_of, settings=settings, spec=spec, ear=ear)
    with parallel.run(
        compute, calls, n_jobs=n_jobs, backend=backend, doing="computed frames"
    ) as coming:
        for i, made in coming:
            position = waiting[i]
            path, sha256 = files[position]
            if isinstance(made, str):
                why = f"{made[0].lower()}{made[1:]}"
                raise DataError(f"No augmented copy of '{path}' can be made: {why}")
            for number, frames in made.items():
                cache.store(sha256, spec, frames, suffix=names[number])
            found[position] |= made
            if done:
                done(position)
    return [tuple(of_file[n] for n in numbers) for of_file in found]


def copy_names(settings: AudioAugmentation) -> dict[int, str]:
    """Suffix of each copy's entry in the cache, by its number."""
    return {n: f"{settings.digest()}-{n}" for n in range(1, settings.copies + 1)}


def _copies_of(
    path: Path,
    sha256: str,
    numbers: Sequence[int],
    *,
    settings: AudioAugmentation,
    spec: FeatureSpec,
    ear: Path | None,
) -> dict[int, Frames] | str:
    """The frames of some copies of a file, or why there are none. Runs in a worker."""
    rate = spec.sample_rate_hz
    try:
        pieces = excerpts(load_audio(path, sample_rate_hz=rate), spec)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return "It has changed since; run the same again."
        make = partial(augment, settings=settings, sample_rate_hz=rate, sha256=sha256)
        return {
            n: frames_of((make(piece, number=n) for piece in pieces), spec, ear) for n in numbers
        }
    except UNREADABLE as error:
        return reason(error)
