"""The digest of what is heard in a file: equal before and after its tags are written.

FFmpeg takes the file apart, and the packets of its audio streams are digested, whatever lies
between them and wherever they lie. Two kinds of files are taken apart here, which is far faster:
those that are nothing but a stream (MP3, AAC, FLAC), without the tags at both ends, which FFmpeg
would hand out as sound; and Ogg, page by page.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ostinato.audio.chain import Link, find_links
from ostinato.audio.decode import is_for_soundfile, open_container, packets
from ostinato.audio.samples import AudioError
from ostinato.tagging.other_items import packets_before_sound

if TYPE_CHECKING:
    from av import AudioCodecContext, AudioStream
    from av.container import InputContainer

_STREAMS = {"mp3", "aac", "ac3", "eac3", "flac"}  # FFmpeg's names of formats without a container
_READ_BYTES = 1 << 20
_PAGE_HEAD_BYTES, _MOST_PAGE_HEAD = 27, 27 + 255
_ID3_HEAD_BYTES = 10
_APE_HEAD_BYTES = 32
_LYRICS_END_BYTES = 6 + len(b"LYRICS200")


def payload_digest(path: Path) -> str:
    """SHA-256 of the sound in a file as it is coded, in hexadecimal digits.

    It covers the bytes of all audio streams, and what is needed to decode them: codec, sample rate,
    channels, configuration. Tags, pictures, padding and the places of packets do not count. The
    file is read once, in order.

    Raises
    ------
    AudioError
        If the file cannot be opened, or holds no audio.
    """
    name = str(path)
    is_for_soundfile(path, name)  # refuses what is no file: a pipe would never end
    whole = hashlib.sha256()
    links: list[Link | None] = [*find_links(path)]
    for link in links or [None]:
        with open_container(path, name, link) as container, path.open("rb") as file:
            streams = container.streams.audio
            if not streams:
                raise AudioError(name, "it holds no audio stream")
            for stream in streams:
                whole.update(_decoder(stream))
            for digest in _digests(container, file, link):
                whole.update(digest)
    return whole.hexdigest()


def _digests(container: InputContainer, file: BinaryIO, link: Link | None) -> list[bytes]:
    """Digests of the bytes of each stream."""
    streams, kind = container.streams.audio, container.format.name
    digests: defaultdict[int, hashlib._Hash] = defaultdict(hashlib.sha256)
    if kind in _STREAMS and len(streams) == 1:
        for data in _without_tags(file):
            digests[0].update(data)
    elif kind == "ogg":
        for serial, data in _pages(file, *(link or (0, file.seek(0, os.SEEK_END)))):
            digests[serial].update(data)
    else:
        for packet in packets(container, *streams):
            digests[packet.stream.index].update(packet)
    return [digest.digest() for _, digest in sorted(digests.items())]


def _decoder(stream: AudioStream) -> bytes:
    """What is needed to decode a stream, as bytes."""
    codec: AudioCodecContext | None = stream.codec_context
    if codec is None:  # FFmpeg knows no decoder for it, and PyAV's types do not know that
        return b"unknown"
    said = f"{codec.codec.canonical_name} {codec.sample_rate} {codec.layout.nb_channels} "
    return said.encode() + _without_comments(codec.name, codec.extradata or b"")


def _without_comments(codec: str, extradata: bytes) -> bytes:
    """The configuration of a codec; that of Vorbis has the comments in its middle."""
    if codec != "vorbis" or extradata[:1] != b"\2":
        return extradata
    sizes: list[int] = []  # of the first two of its three packets, in Xiph's lacing
    at = 1
    while len(sizes) < 2 and at < len(extradata):
        size = 0
        while extradata[at : at + 1] == b"\xff":
            size, at = size + 255, at + 1
        sizes.append(size + int.from_bytes(extradata[at : at + 1]))
        at += 1
    return extradata[at : at + sizes[0]] + extradata[at + sum(sizes) :]


def _without_tags(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a bare stream between the tags in front of it and those behind it."""
    begin = _behind_metadata(file, _behind_id3(file))
    end = _before_tags(file, begin)
    yield from _between(file, begin, end)


def _between(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """The bytes of a stretch of a file."""
    file.seek(begin)
    while begin < end and (data := file.read(min(_READ_BYTES, end - begin))):
        begin += len(data)
        yield data


def _pages(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Serial number and bytes of each page of Ogg, without the packets before the sound.

    Where damage hides the next page, what is left is given as it is.
    """
    n_before: dict[int, int] = {}  # packets of each stream that are still to come before its sound
    while at < end:
        head = _read_at(file, at, min(_MOST_PAGE_HEAD, end - at))
        lacing = head[_PAGE_HEAD_BYTES : _PAGE_HEAD_BYTES + (head[26:27] or b"\0")[0]]
        size = _PAGE_HEAD_BYTES + len(lacing) + sum(lacing)
        if head[:4] != b"OggS" or at + size > end:
            yield from ((-1, data) for data in _between(file, at, end))
            return
        body = _read_at(file, at + size - sum(lacing), sum(lacing))
        serial = int.from_bytes(head[14:18], "little")
        if head[5] & 2:  # it begins a stream
            n_before[serial] = packets_before_sound(body)
        begin = place = 0
        while n_before.get(serial) and place < len(lacing):
            begin += lacing[place]
            n_before[serial] -= lacing[place] < 255  # the packet ends here
            place += 1
        yield serial, body[begin:]
        at += size


def _behind_id3(file: BinaryIO) -> int:
    """Where the ID3v2 tags at the start of a file end; there may be several."""
    at = 0
    while (size := _id3_bytes(_read_at(file, at, _ID3_HEAD_BYTES), b"ID3")) is not None:
        at += size
    return at


def _id3_bytes(head: bytes, mark: bytes) -> int | None:
    """Length of an ID3v2 tag by its header, or by its footer; None if this is none."""
    # The size is 28 bits in four bytes (ID3v2.4, 3.1).
    if len(head) < _ID3_HEAD_BYTES or head[:3] != mark or head[3] == 0xFF or max(head[6:]) > 0x7F:
        return None
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    has_footer = head[3] == 4 and head[5] & 0x10
    return size + (2 if has_footer else 1) * _ID3_HEAD_BYTES


def _behind_metadata(file: BinaryIO, begin: int) -> int:
    """Where the frames of a FLAC begin; what decodes it is in FFmpeg's configuration as well."""
    if _read_at(file, begin, 4) != b"fLaC":
        return begin
    at, is_last = begin + 4, False
    while not is_last and len(head := _read_at(file, at, 4)) == 4:
        is_last = head[0] >= 0x80
        at += 4 + int.from_bytes(head[1:])
    return at


def _before_tags(file: BinaryIO, begin: int) -> int:
    """Where the tags at the end of a file begin, whichever there are and in any order."""
    end = file.seek(0, os.SEEK_END)
    while (size := _tag_bytes_before(file, end)) and size <= end - begin:
        end -= size
    return end


def _tag_bytes_before(file: BinaryIO, end: int) -> int:
    """Length of the tag that ends here; 0 if there is none."""
    for size, mark in ((128, b"TAG"), (227, b"TAG+")):  # ID3v1, and what some put before it
        if _read_at(file, end - size, len(mark)) == mark:
            return size
    lyrics = _read_at(file, end - _LYRICS_END_BYTES, _LYRICS_END_BYTES)
    if lyrics[6:] == b"LYRICS200" and lyrics[:6].isdigit():
        return int(lyrics[:6]) + _LYRICS_END_BYTES
    foot = _read_at(file, end - _APE_HEAD_BYTES, _APE_HEAD_BYTES)
    if foot[:8] == b"APETAGEX":  # its size counts the footer, and not the header
        has_header = foot[23] & 0x80
        return int.from_bytes(foot[12:16], "little") + (_APE_HEAD_BYTES if has_header else 0)
    return _id3_bytes(foot[-_ID3_HEAD_BYTES:], b"3DI") or 0


def _read_at(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    """Some bytes of a file; none if they would begin before it."""
    if at < 0:
        return b""
    file.seek(at)
    return file.read(n_bytes)
