"""Files with tags, in the formats that can hold them here."""

from __future__ import annotations

from pathlib import Path

import av

from tests.helpers.formats import AT_48_KHZ, tone, write

_MUXERS = {
    ".mp3": "mp3",
    ".flac": "flac",
    ".ogg": "ogg",
    ".opus": "opus",
    ".oga": "ogg",
    ".m4a": "ipod",
    ".m4b": "mp4",
    ".wav": "wav",
    ".aiff": "aiff",
    ".wv": "wv",
    ".tta": "tta",
    ".wma": "asf",
    ".mka": "matroska",
    ".webm": "webm",
}
BY_FFMPEG = (*_MUXERS,)
"""Suffixes of formats into which FFmpeg can write tags, Matroska's among them."""
TAGGED = (*(suffix for suffix in BY_FFMPEG if suffix not in (".mka", ".webm")), ".aac", ".dsf")
"""Suffixes of formats that can hold tags here."""


def write_bare(path: Path, *, seconds: float = 0.5) -> Path:
    """Write half a second of sound without tags, or with the encoder's name alone."""
    rate_hz = 48_000 if path.suffix in AT_48_KHZ else 44_100
    return write(path, tone(rate_hz, seconds=seconds), rate_hz)


def write_tagged(path: Path, bare: Path, tags: dict[str, str], **options: str) -> Path:
    """Write the sound of a file with tags, by FFmpeg's names for them; options are the muxer's."""
    options |= {"write_id3v2": "1"} if path.suffix == ".aiff" else {}
    with (
        av.open(str(bare)) as source,
        av.open(str(path), "w", format=_MUXERS[path.suffix], options=options) as target,
    ):
        target.metadata.update(tags)
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path
