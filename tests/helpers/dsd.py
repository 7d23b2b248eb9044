"""Writes sound as DSD, one bit a sample, which no library here can write: DSF and DSDIFF files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DSD64_HZ = 64 * 44_100
_BLOCK_BYTES = 4096


def write_dsd(path: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    """Write samples [shape=(n_samples, n_channels)], by the suffix as .dsf or .dff."""
    n_bits = len(samples) * DSD64_HZ // rate_hz // 8 * 8
    places = np.arange(n_bits) * rate_hz / DSD64_HZ
    channels = []
    for channel in samples.T:
        wide = np.interp(places, np.arange(len(channel)), channel)
        # A modulator of the first order: a one wherever the sum passes another whole number.
        total = np.floor(np.cumsum((wide + 1) / 2))
        order = "little" if path.suffix == ".dsf" else "big"
        channels.append(np.packbits(np.diff(total, prepend=0) > 0, bitorder=order))
    made = _dsf(channels, n_bits) if path.suffix == ".dsf" else _dff(channels)
    path.write_bytes(made)


def _dsf(channels: list[NDArray[np.uint8]], n_bits: int) -> bytes:
    n = len(channels)
    n_blocks = -(-channels[0].size // _BLOCK_BYTES)
    padded = [np.pad(c, (0, n_blocks * _BLOCK_BYTES - c.size)) for c in channels]
    data = np.stack([c.reshape(n_blocks, _BLOCK_BYTES) for c in padded], axis=1).tobytes()
    form = struct.pack("<6IQII", 1, 0, n, n, DSD64_HZ, 1, n_bits, _BLOCK_BYTES, 0)
    head = b"fmt " + struct.pack("<Q", 12 + len(form)) + form
    body = b"data" + struct.pack("<Q", 12 + len(data)) + data
    return b"DSD " + struct.pack("<3Q", 28, 28 + len(head) + len(body), 0) + head + body


def _dff(channels: list[NDArray[np.uint8]]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack(">Q", len(body)) + body + bytes(len(body) % 2)

    names = [b"C   "] if len(channels) == 1 else [b"SLFT", b"SRGT"]
    properties = (
        chunk(b"FS  ", struct.pack(">I", DSD64_HZ))
        + chunk(b"CHNL", struct.pack(">H", len(names)) + b"".join(names))
        + chunk(b"CMPR", b"DSD \x0enot compressed")
    )
    version = chunk(b"FVER", struct.pack(">I", 0x0105_0000))
    data = chunk(b"DSD ", np.stack(channels, axis=1).tobytes())
    return chunk(b"FRM8", b"DSD " + version + chunk(b"PROP", b"SND " + properties) + data)
