"""Frames of a collection larger than memory: files that are mapped into it, and read as needed.

A *shard* holds the frames of some recordings one after the other: ``NAME.f32``, float32 values in
little-endian order, row by row, and ``NAME.json``, the recordings' keys and numbers of frames. The
second is written last: a shard without it, or of another size than it says, counts as absent. So
packing can be interrupted at any time and loses one shard at most. A folder is of one FeatureSpec,
and grows with each recording that is packed for the first time.
"""

from __future__ import annotations

import json
import mmap
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ostinato import cluster
from ostinato.errors import DataError
from ostinato.features import Frames
from ostinato.storage import replacing, write_text

SHARD_BYTES = 2**28
"""A shard is closed when it has reached this size."""

_IN_MEMORY_BYTES = 2**27  # of frames given out, after which their pages are let go of
_TYPE = np.dtype("<f4")

Place = tuple[int, int, int]
"""Number of the shard's file, first row, number of rows."""


class FrameShards(Sequence[Frames]):
    """Frames of recordings in shards: each a view of the mapped file, which cannot be written.

    Pages that were read are let go of as others are given out: what stays in memory is bounded,
    while the system keeps in its cache what it has room for. Pickled, it is the paths alone, so
    workers share one copy on disk; DataError where they do not see it.
    """

    def __init__(
        self, files: tuple[Path, ...], places: Sequence[Place], *, n_features: int
    ) -> None:
        self.files = files
        self.n_features = n_features
        self._places = list(places)
        self._maps: dict[int, tuple[mmap.mmap, Frames]] = {}
        self._given = 0  # bytes since pages were let go of

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Frames: ...
    @overload
    def __getitem__(self, index: slice) -> FrameShards: ...
    def __getitem__(self, index: int | slice) -> Frames | FrameShards:
        if isinstance(index, slice):
            return FrameShards(self.files, self._places[index], n_features=self.n_features)
        file, first, n_rows = self._places[index]
        self._given += n_rows * self.n_features * _TYPE.itemsize
        if self._given > _IN_MEMORY_BYTES:
            self._let_go()
        known = self._maps.get(file)
        rows = known[1] if known else self._open(file)
        return rows[first : first + n_rows]

    def chosen(self, positions: Sequence[int]) -> FrameShards:
        """The recordings at these positions, in this order."""
        places = [self._places[i] for i in positions]
        return FrameShards(self.files, places, n_features=self.n_features)

    def _open(self, number: int) -> Frames:
        path = self.files[number]
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            where = f" on {name}" if (name := cluster.host()) else ""
            raise DataError(
                f"The frames in {path} cannot be read{where} ({error}): on a cluster every worker "
                "must see the folder of the cache (--cache) at the same path."
            ) from error
        rows: Frames = np.frombuffer(mapped, dtype=_TYPE).reshape(-1, self.n_features)
        self._maps[number] = mapped, rows
        return rows

    def _let_go(self) -> None:
        self._given = 0
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            for mapped, _ in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}, "_given": 0}


def chosen(frames: Sequence[Frames], positions: NDArray[np.int64]) -> Sequence[Frames]:
    """The frames at these positions, in this order, without reading any that are in shards."""
    if isinstance(frames, FrameShards):
        return frames.chosen(positions.tolist())
    return [frames[i] for i in positions.tolist()]


def pack(
    folder: Path, keys: Sequence[str], load: Callable[[str], Frames], *, n_features: int
) -> FrameShards:
    """The frames with these keys, in this order; ``load`` gives those that no shard has yet.

    WriteError if a shard cannot be written; those before it are kept.
    """
    known = dict(_stored(folder, n_features))
    missing = [key for key in dict.fromkeys(keys) if key not in known]
    while missing:
        missing = missing[_write(folder, missing, load) :]
    known = dict(_stored(folder, n_features))
    files = tuple(sorted({known[key][0] for key in keys}))
    numbers = {file: number for number, file in enumerate(files)}
    places = []
    for key in keys:
        file, first, n_rows = known[key]
        places.append((numbers[file], first, n_rows))
    return FrameShards(files, places, n_features=n_features)


def _write(folder: Path, keys: Sequence[str], load: Callable[[str], Frames]) -> int:
    """Write a shard of the first of these; the result is how many they are."""
    lengths: dict[str, int] = {}
    path = folder / f"{secrets.token_hex(8)}.f32"
    with replacing(path) as temporary, temporary.open("wb") as file:
        for key in keys:
            frames = load(key)
            file.write(np.ascontiguousarray(frames, dtype=_TYPE).data)
            lengths[key] = len(frames)
            if file.tell() >= SHARD_BYTES:
                break
    write_text(path.with_suffix(".json"), json.dumps(lengths))
    return len(lengths)


def _stored(folder: Path, n_features: int) -> Iterator[tuple[str, tuple[Path, int, int]]]:
    """What the shards of a folder hold: key, file, first row, number of rows."""
    for index in sorted(folder.glob("*.json")):
        path = index.with_suffix(".f32")
        try:
            lengths: dict[str, int] = json.loads(index.read_text(encoding="utf-8"))
            size = path.stat().st_size
        except (OSError, ValueError):
            continue
        if size != sum(lengths.values()) * n_features * _TYPE.itemsize:
            continue
        first = 0
        for key, n_rows in lengths.items():
            yield key, (path, first, n_rows)
            first += n_rows
