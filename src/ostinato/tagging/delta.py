"""Reverse deltas: what must be kept to make the old file again from the new one.

A delta is a list of stretches to copy from the new file, and of bytes that are nowhere in it. It is
made for files whose tags were written: their payload is moved as a whole, with small changes inside
(numbers and checksums of Ogg's pages, places in the index of an MP4). So the files are compared
side by side at a few distances, and another distance is looked for only where none of them fits.

A delta begins with a mark and the size of the old file in bytes. Then come, compressed as one, for
each stretch: how many bytes are not copied, these bytes, how many are copied, and from how far
behind the end of the last stretch. Numbers are in base 128, the lowest digit first.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 64 << 20
"""Bytes of the old file that are not in the new one, at most: more is not only tags."""

_HEAD = struct.Struct("<4sQ")
_MARK = b"ODL1"
_BLOCK_BYTES = 1 << 16
_READ_BYTES = 1 << 20
_FEWEST = 24  # equal bytes that are no accident
_SAMPLE_BYTES = 32
_FEWEST_VALUES = 8  # of a sample: silence and padding are everywhere
_NEAR_BYTES = 1 << 23
_MOST_SEARCHED = 1 << 32
_MOST_DISTANCES = 6


class DeltaError(ValueError):
    """A delta is too large to keep, damaged, or of another file; the message is a clause."""


class _Copy(NamedTuple):
    """A stretch of the old file that is in the new one too."""

    at: int
    end: int
    distance: int  # of its place in the new file, less that in the old one


def reverse_delta(old: Path, new: Path, *, in_place: bool = False) -> bytes:
    """Make the delta by which the new file becomes the old one again.

    Both are read in blocks, once where they are equal. With ``in_place``, whatever is copied keeps
    its place: the old file comes back from one that was overwritten only in part as well.

    Raises
    ------
    DeltaError
        If more than :data:`MOST_BYTES` of the old file are not in the new one.
    OSError
        If one of them cannot be read.
    """
    with old.open("rb") as old_file, new.open("rb") as new_file:
        pair = _Pair(old_file, new_file, in_place=in_place)
        packer = zlib.compressobj(6)
        packed = [_HEAD.pack(_MARK, pair.old_bytes)]
        at = copied_to = n_literal = 0
        for copy in [*pair.copies(), _Copy(pair.old_bytes, pair.old_bytes, 0)]:
            n_literal += copy.at - at
            if n_literal > MOST_BYTES:
                raise DeltaError(f"more than {MOST_BYTES >> 20} MB of it would change")
            literal = pair.old(at, copy.at - at)
            begin = copy.at + copy.distance
            ahead = begin - copied_to
            parts = (len(literal), copy.end - copy.at, 2 * ahead if ahead >= 0 else -2 * ahead - 1)
            n, length, place = map(_digits, parts)
            packed.append(packer.compress(n + literal + length + place))
            at, copied_to = copy.end, copy.end + copy.distance
        return b"".join([*packed, packer.flush()])


def apply_delta(new: Path, delta: bytes, write: Callable[[bytes], object]) -> None:
    """Make the old file from the new one and its delta; ``write`` takes its bytes, in order.

    Raises
    ------
    DeltaError
        If the delta is damaged, or the file is shorter than the one it was made for. That all is
        right is told by the old file's checksum alone.
    OSError
        If the new file cannot be read.
    """
    mark, old_bytes = _HEAD.unpack_from(delta) if len(delta) >= _HEAD.size else (b"", 0)
    if mark != _MARK:
        raise DeltaError("what is kept of the old file is damaged")
    try:
        body = zlib.decompress(delta[_HEAD.size :])
    except zlib.error as error:
        raise DeltaError("what is kept of the old file is damaged") from error
    at = written = copied_to = 0
    with new.open("rb") as file:
        while at < len(body):
            n, at = _number(body, at)
            write(body[at : at + n])
            length, at = _number(body, at + n)
            place, at = _number(body, at)
            copied_to += -(place + 1) // 2 if place % 2 else place // 2
            if copied_to < 0:
                raise DeltaError("what is kept of the old file is damaged")
            file.seek(copied_to)
            _copy(file, write, length)
            copied_to += length
            written += n + length
    if written != old_bytes:
        raise DeltaError("what is kept of the old file is damaged")


def _copy(file: BinaryIO, write: Callable[[bytes], object], n_bytes: int) -> None:
    while n_bytes:
        data = file.read(min(n_bytes, _READ_BYTES))
        if not data:
            raise DeltaError("the file is shorter than it was left")
        write(data)
        n_bytes -= len(data)


def _digits(number: int) -> bytes:
    """A number in base 128, its lowest digit first; all but the last have the highest bit set."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def _number(body: bytes, at: int) -> tuple[int, int]:
    """The number that begins here, and where it ends."""
    number = shift = 0
    while at < len(body):
        number |= (body[at] & 0x7F) << shift
        shift += 7
        at += 1
        if body[at - 1] < 0x80:
            return number, at
    raise DeltaError("what is kept of the old file is damaged")


_Run: TypeAlias = tuple[int, int, int]
"""Begin, end and distance of equal bytes, in a block."""


class _Pair:
    """Two files side by side. They are read, not mapped: one that shrinks would end the process."""

    def __init__(self, old: BinaryIO, new: BinaryIO, *, in_place: bool) -> None:
        self._old, self._new, self._in_place = old, new, in_place
        self.old_bytes, self._new_bytes = (file.seek(0, os.SEEK_END) for file in (old, new))
        # Those that have fitted, the last one first: from the start on, and from the end.
        from_end = 0 if in_place else self._new_bytes - self.old_bytes
        self._distances = list(dict.fromkeys([0, from_end]))
        self._searched = 0

    def old(self, at: int, n_bytes: int) -> bytes:
        """A stretch of the old file."""
        return _read(self._old, at, n_bytes)

    def copies(self) -> Iterator[_Copy]:
        """Stretches of the old file that are in the new one, in the old one's order."""
        last: _Copy | None = None
        for copy in self._pieces():
            if last and (last.end, last.distance) == (copy.at, copy.distance):
                last = _Copy(last.at, copy.end, copy.distance)
            else:
                if last:
                    yield last
                last = copy
        if last:
            yield last

    def _pieces(self) -> Iterator[_Copy]:
        """The same, cut at the edges of blocks."""
        at = 0
        while at < self.old_bytes:
            distance = self._distances[0]
            data = self.old(at, _READ_BYTES)
            if not data:  # somebody has cut it short meanwhile
                return
            if self._beside(at, len(data), distance) == data:
                yield _Copy(at, at + len(data), distance)
                at += len(data)
                continue
            for begin in range(0, len(data), _BLOCK_BYTES):
                block = data[begin : begin + _BLOCK_BYTES]
                for run_at, end, distance in self._cover(block, at + begin):
                    yield _Copy(at + begin + run_at, at + begin + end, distance)
            at += len(data)

    def _cover(self, block: bytes, at: int) -> list[_Run]:
        """Cover as much of a block of the old file as possible, by few stretches."""
        runs: list[_Run] = []
        cover: list[_Run] = []
        for distances in (self._distances[:1], self._distances[1:], None):
            if distances is None:
                distances = self._search(block, at, cover)
            runs += [run for d in distances for run in self._runs(block, at, d)]
            cover = _cover(runs, len(block))
            if _is_covered(cover, len(block)):
                break
        fitted = [distance for *_, distance in reversed(cover)]
        self._distances = list(dict.fromkeys([*fitted, *self._distances]))[:_MOST_DISTANCES]
        return cover

    def _beside(self, at: int, n_bytes: int, distance: int) -> bytes:
        """Bytes of the new file beside those of the old one; fewer at its end."""
        return _read(self._new, at + distance, n_bytes)

    def _runs(self, block: bytes, at: int, distance: int) -> list[_Run]:
        """Where a block is equal to what is beside it in the new file."""
        first = max(0, -(at + distance))
        beside = self._beside(at + first, len(block) - first, distance)
        if not beside:
            return []
        ours: NDArray[np.uint8] = np.frombuffer(block, np.uint8, len(beside), first)
        equal = np.zeros(len(beside) + 2, np.int8)
        equal[1:-1] = ours == np.frombuffer(beside, np.uint8)
        begins, ends = np.flatnonzero(np.diff(equal)).reshape(-1, 2).T
        long = ends - begins >= _FEWEST
        pairs = zip(begins[long].tolist(), ends[long].tolist(), strict=True)
        return [(first + begin, first + end, distance) for begin, end in pairs]

    def _search(self, block: bytes, at: int, cover: list[_Run]) -> list[int]:
        """Look in the new file for what is not covered; give the distances where it is."""
        found: list[int] = []
        if self._in_place:
            return found
        holes = zip([0, *(run[1] for run in cover)], [*(run[0] for run in cover), len(block)],
                    strict=True)  # fmt: skip
        for begin, end in sorted(holes, key=lambda hole: hole[0] - hole[1])[:2]:
            # From the end: a tag that has changed is in front of what has moved.
            places = {end - _SAMPLE_BYTES - (end - begin) * part // 4 for part in range(4)}
            for place in sorted(places, reverse=True):
                sample = block[place : place + _SAMPLE_BYTES]
                if place < begin or len(set(sample)) < _FEWEST_VALUES:
                    continue
                if (where := self._find(sample, at + place)) is not None:
                    found.append(where - (at + place))
                    break
        return [distance for distance in found if distance not in self._distances]

    def _find(self, sample: bytes, at: int) -> int | None:
        """Where a sample of the old file is in the new one: nearby, or else anywhere."""
        near = max(0, at - _NEAR_BYTES), min(self._new_bytes, at + _NEAR_BYTES)
        for begin, end in (near, (0, near[0]), (near[1], self._new_bytes)):
            for place in range(begin, end, _READ_BYTES):
                if self._searched > _MOST_SEARCHED:
                    return None
                data = _read(self._new, place, _READ_BYTES + _SAMPLE_BYTES)
                self._searched += len(data)
                if (where := data.find(sample)) >= 0:
                    return place + where
        return None


def _cover(runs: list[_Run], n_bytes: int) -> list[_Run]:
    """Choose among runs, which may overlap, those that cover the most, and cut them to fit."""
    cover: list[_Run] = []
    runs = sorted(runs, key=lambda run: run[0])
    at = k = 0
    best: _Run = (0, 0, 0)
    while at < n_bytes:
        while k < len(runs) and runs[k][0] <= at:
            best = max(best, runs[k], key=lambda run: run[1])
            k += 1
        if best[1] - at >= _FEWEST // 2:
            cover.append((at, best[1], best[2]))
            at = best[1]
        elif k < len(runs):
            at = runs[k][0]
        else:
            break
    return cover


def _is_covered(cover: list[_Run], n_bytes: int) -> bool:
    """Whether so little is left that a search is not worth its time."""
    left = n_bytes - sum(end - begin for begin, end, _ in cover)
    return left < max(256, n_bytes // 8)


def _read(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    """Read a stretch of a file, fewer bytes at its end; none if it would begin before the file."""
    if at < 0 or n_bytes <= 0:
        return b""
    file.seek(at)
    return file.read(n_bytes)
