"""Turn bytes into samples as they arrive: WAV headers, and samples of every width."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ostinato.audio.channels import Channels
from ostinato.audio.samples import UNKNOWN_BYTES, AudioError, as_float, check_rate

MOST_CHANNELS = 64

READ_S = 0.1
"""Seconds of sound to read at once, at most."""

_MOST_HEADER_BYTES = 1 << 20
_BYTES_24 = 3


@dataclass(frozen=True)
class PcmFormat:
    """How bytes become samples, and how many bytes there are if that is known."""

    dtype: str  # of NumPy, but for "i3"
    rate_hz: int
    n_channels: int
    n_bytes: int | None = None

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        width = _BYTES_24 if self.dtype == "i3" else np.dtype(self.dtype).itemsize
        return width * self.n_channels

    def channels(self, data: bytes) -> Channels:
        """Turn the bytes of whole samples of all channels into floats."""
        if self.dtype == "i3":  # shifted into the upper bytes of 32 bits
            wide = np.zeros((len(data) // _BYTES_24, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, _BYTES_24)
            samples: NDArray[Any] = wide.view("<i4")
        else:
            samples = np.frombuffer(data, self.dtype)
        return list(as_float(samples.reshape(-1, self.n_channels)).T)


_Read = Callable[[int], bytes]


def reader(stream: BinaryIO, name: str) -> _Read:
    """Make a function that reads the bytes that have arrived, waiting for one; b"" at the end."""
    # read() of a buffered stream would wait for all that it was asked for.
    read_some = getattr(stream, "read1", stream.read)

    def read(n_bytes: int) -> bytes:
        try:
            return bytes(read_some(n_bytes) or b"")
        except (OSError, ValueError) as error:  # ValueError: it is closed
            why = getattr(error, "strerror", None) or error
            raise AudioError(name, f"it cannot be read ({why})") from error

    return read


def arriving(read: _Read, samples: PcmFormat) -> Iterator[Channels]:
    """Turn bytes into samples as they come; bytes of half a sample wait for the rest."""
    at_once = max(1, round(READ_S * samples.rate_hz)) * samples.frame_bytes
    left = samples.n_bytes
    waiting = b""
    while left is None or left > 0:
        data = read(at_once - len(waiting) if left is None else min(left, at_once - len(waiting)))
        if not data:
            return
        if left is not None:
            left -= len(data)
        waiting += data
        whole = len(waiting) // samples.frame_bytes * samples.frame_bytes
        if whole:
            yield samples.channels(waiting[:whole])
            waiting = waiting[whole:]


def _exactly(read: _Read, n_bytes: int) -> bytes:
    """Read this number of bytes, fewer only at the end."""
    data = b""
    while len(data) < n_bytes and (more := read(n_bytes - len(data))):
        data += more
    return data


# Format tag and bits of a sample; the tag 0xFFFE says that the tag is in the extension.
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WAV_DTYPES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "i3",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


def wav_header(read: _Read, name: str) -> PcmFormat:
    """Read the header of a WAV up to its first sample."""
    head = _exactly(read, 12)
    if not head:
        raise AudioError(name, "it ended before its first byte")
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        reason = "expected live sound as WAV or, with its format given, as bare samples"
        raise AudioError(name, f"{reason}: put 'ffmpeg -i - -f wav -' in between")
    samples = None
    n_read = 0
    while len(chunk := _exactly(read, 8)) == 8 and n_read < _MOST_HEADER_BYTES:
        kind, size = struct.unpack("<4sI", chunk)
        if kind == b"data" and samples is not None:
            is_known = 0 < size < UNKNOWN_BYTES
            return PcmFormat(*samples, n_bytes=size if is_known else None)
        n_read += 8 + size
        if n_read >= _MOST_HEADER_BYTES:
            break
        body = _exactly(read, size + size % 2)
        if kind == b"fmt ":
            samples = _wav_format(body, name)
    raise AudioError(name, "its WAV header is damaged, it leads to no samples")


def _wav_format(body: bytes, name: str) -> tuple[str, int, int]:
    """Dtype, rate and channels of a WAV by its format chunk."""
    if len(body) < 16:
        raise AudioError(name, "its WAV header is damaged, its format is cut short")
    tag, n_channels, rate_hz, _, _, n_bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack("<H", body[24:26])
    dtype = _WAV_DTYPES.get((tag, n_bits))
    if dtype is None:
        reason = "expected a WAV of integers or floats"
        raise AudioError(name, f"{reason}, got format {tag:#x} of {n_bits} bits")
    check_rate(name, rate_hz)
    if not 1 <= n_channels <= MOST_CHANNELS:
        raise AudioError(name, f"expected 1 to {MOST_CHANNELS} channels, got {n_channels}")
    return dtype, rate_hz, n_channels
