"""What a file holds beside its sound and its genre, item by item: proof that nothing else changed.

Whoever changes genres compares the items before and after. So nothing here is shared with the code
that writes: each format is divided anew, in the simplest way that its standard allows, and what
cannot be divided is an item as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mutagen import MutagenError
from mutagen.id3 import Frames
from mutagen.id3._tags import determine_bpi
from mutagen.id3._util import unsynch
from mutagen.ogg import OggPage

from ostinato.storage import cause
from ostinato.tagging.file_bytes import read_at, size_of
from ostinato.tagging.file_tags import Damaged, TagError

Item = tuple[str, bytes]
"""Where it is, such as ``moov.udta.meta.ilst.covr``, and its bytes."""

_MOST_PAGES = 10_000


def other_items(path: Path) -> list[Item]:
    """Frames, comments, atoms, pictures and chunks of a file, in order.

    Left out are sound, padding, sizes, places in the file, and the fields that
    :func:`~ostinato.tagging.tags.write_genres` writes.

    Raises
    ------
    TagError
        If the file cannot be read, or is so damaged that nothing can be proven.
    """
    try:
        with path.open("rb") as file:
            return list(_items(file))
    except OSError as error:
        reason = cause(error)
        raise TagError(f"Cannot read the tags of {path}: {reason}.", reason) from error
    except (Damaged, MutagenError, EOFError, struct.error) as error:
        reason = str(error) or "it is cut off"
        raise TagError(f"Cannot read the tags of {path}: {reason}.", reason) from error


def _items(file: BinaryIO) -> Iterator[Item]:
    head = read_at(file, 0, min(16, size_of(file)))
    if head.startswith((b"RIFF", b"FORM")):
        items = list(_chunks(file, 12, size_of(file), "<" if head[:1] == b"R" else ">", ""))
        yield from items
        if all(name != "ID3" for name, _ in items):
            yield from _id3(_NEW_ID3)
    elif head.startswith(b"DSD "):
        yield from _dsf(file)
    elif head.startswith(b"OggS"):
        yield from _ogg(file)
    elif head.startswith(bytes.fromhex("3026b275")):
        size = int.from_bytes(read_at(file, 16, 8), "little")
        yield from _asf(read_at(file, 30, size - 30), "")
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        yield from _atoms(file, 0, size_of(file), "")
    else:
        yield from _front(file)


# --- ID3, and what is at the end ----------------------------------------------------------------


def _seven_bits(data: bytes) -> int:
    return int("".join(f"{byte & 0x7F:07b}" for byte in data) or "0", 2)


def _id3(tag: bytes) -> Iterator[Item]:
    """Frames of a tag, without unsynchronisation, and what is behind them."""
    version, flags, body = tag[3], tag[5], tag[10:]
    yield "ID3", tag[:6]
    if version == 4 and flags & 0x10:
        body = body[:-10]
    if version < 4 and flags & 0x80:
        with suppress(ValueError):  # a flag that lies
            body = unsynch.decode(body)
    if flags & 0x40 and version > 2 and body[:4].decode("latin-1") not in Frames:
        size = int.from_bytes(body[:4]) + 4 if version == 3 else _seven_bits(body[:4])
        yield "ID3.extended", body[:6] + body[10:size] if version == 3 else body[:size]
        body = body[size:]
    plain = version < 4 or determine_bpi(body, Frames) is int
    n_name, n_head = (3, 6) if version == 2 else (4, 10)
    while len(body) >= n_head and body[0]:
        sizes = body[n_name : 2 * n_name]
        size = n_head + (int.from_bytes(sizes) if plain else _seven_bits(sizes))
        if size > len(body):
            break
        frame, body = body[:size], body[size:]
        if not _is_written(frame[:n_name], frame[n_head:]):
            yield f"ID3.{frame[:n_name].decode('latin-1')}", frame
    if rest := body.strip(b"\0"):
        yield "ID3.rest", rest


_NEW_ID3 = b"ID3\3\0\0\0\0\0\0"
"""What stands for a tag that is not there, since a new one is of version 2.3."""


def _front(file: BinaryIO) -> Iterator[Item]:
    """ID3 tags in front of a file, of which the first counts, and what is at its end or FLAC's."""
    at, tags, size = 0, list[bytes](), size_of(file)
    while (start := read_at(file, at, min(10, size - at))).startswith(b"ID3"):
        n_tag = 10 + _seven_bits(start[6:]) + (10 if start[3] == 4 and start[5] & 0x10 else 0)
        tags.append(read_at(file, at, n_tag))
        at += n_tag
    if start.startswith(b"fLaC"):
        yield from (("ID3", tag) for tag in tags)
        yield from _flac(file, at + 4)
        return
    v1 = read_at(file, size - 128, 128) if size >= 128 else b""
    yield from _id3(tags[0] if tags else _NEW_ID3)
    if not tags and v1.startswith(b"TAG"):
        yield from _repeated(v1)
    yield from (("ID3", tag) for tag in tags[1:])
    yield from _at_end(file)


def _repeated(v1: bytes) -> Iterator[Item]:
    """The frames in which a new tag says what an ID3v1 tag says."""
    texts = {"TIT2": v1[3:33], "TPE1": v1[33:63], "TALB": v1[63:93], "TYER": v1[93:97]}
    if not v1[125] and v1[126]:
        texts["TRCK"] = str(v1[126]).encode()
    for name, field in texts.items():
        if text := field.split(b"\0")[0].strip():
            yield f"ID3.{name}", name.encode() + struct.pack(">I3x", len(text) + 1) + text


def _is_written(name: bytes, body: bytes) -> bool:
    """Whether a frame is the genre, or the comment described as ``ostinato``, in any encoding."""
    described = body[4:].replace(b"\0", b"").lstrip(b"\xff\xfe").lower()
    comment = name in (b"COM", b"COMM") and described.startswith(b"ostinato")
    return comment or name in (b"TCO", b"TCON")


def _at_end(file: BinaryIO) -> Iterator[Item]:
    """ID3v1, Lyrics3 and APE at the end of a file."""
    end = size_of(file)
    last = read_at(file, max(0, end - 128), min(128, end))
    if last.startswith(b"TAG"):
        yield "ID3v1", last[:-1]
        end -= 128
        foot = read_at(file, max(0, end - 15), min(15, end))
        if foot.endswith(b"LYRICS200") and foot[:6].isdigit():
            size = 15 + int(foot[:6])
            yield "Lyrics3", read_at(file, end - size, size)
            end -= size
    foot = read_at(file, max(0, end - 32), min(32, end))
    if foot.startswith(b"APETAGEX"):
        version, size, n_items = struct.unpack("<3I", foot[8:20])
        body = read_at(file, end - size, size - 32)
        if version != 2000:
            yield "APE", version.to_bytes(4)
        for _ in range(n_items):
            if not body:
                break
            n_value = int.from_bytes(body[:4], "little")
            n_item = 8 + body[8:].index(b"\0") + 1 + n_value if b"\0" in body[8:] else len(body)
            item, body = body[:n_item], body[n_item:]
            key = item[8:].split(b"\0")[0].decode("latin-1")
            if key.lower() not in ("genre", "ostinato"):
                yield f"APE.{key}", item
        if body:
            yield "APE.rest", body


# --- Chunks -------------------------------------------------------------------------------------


def _chunks(file: BinaryIO, at: int, end: int, order: str, path: str) -> Iterator[Item]:
    """Chunks of WAV and AIFF; of that of sound its size alone."""
    while at + 8 <= end:
        name, size = struct.unpack(f"{order}4sI", read_at(file, at, 8))
        if not name.isascii() or not name.decode("ascii").isprintable():
            yield f"{path}rest", (end - at).to_bytes(8)
            return
        where, body = path + name.decode("latin-1"), min(size, max(0, end - at - 8))
        if name in (b"data", b"SSND"):
            yield where, size.to_bytes(4)
        elif name.lower() == b"id3 ":
            tag = read_at(file, at + 8, body)
            n_tag = 10 + _seven_bits(tag[6:10])
            yield from _id3(tag[:n_tag]) if tag.startswith(b"ID3") else [(where, tag)]
            if behind := tag[n_tag:].strip(b"\0"):
                yield f"{where}.rest", behind
        elif name == b"LIST" and read_at(file, at + 8, min(4, body)) == b"INFO":
            yield from _chunks(file, at + 12, at + 8 + body, order, "LIST.INFO.")
        elif where != "LIST.INFO.IGNR":
            yield where, read_at(file, at + 8, body)
        at += 8 + size + size % 2


def _dsf(file: BinaryIO) -> Iterator[Item]:
    *_, at = struct.unpack("<3Q", read_at(file, 4, 24))
    yield "fmt", read_at(file, 28, 52)
    yield from _id3(read_at(file, at, size_of(file) - at) if at else _NEW_ID3)


# --- Vorbis comments ----------------------------------------------------------------------------


def _comments(block: bytes) -> Iterator[Item]:
    file = BytesIO(block)

    def counted() -> bytes:
        n_bytes = int.from_bytes(read_at(file, file.tell(), 4), "little")
        return read_at(file, file.tell(), n_bytes)

    if (vendor := counted()) != b"Ostinato":  # of comments that are new
        yield "vendor", vendor
    for _ in range(int.from_bytes(file.read(4), "little")):
        comment = counted()
        if comment[: comment.find(b"=")].lower() not in (b"genre", b"ostinato"):
            yield "comment", comment
    if rest := file.read().rstrip(b"\0"):  # Vorbis' framing bit is here
        yield "comments.rest", rest


def _flac(file: BinaryIO, at: int) -> Iterator[Item]:
    kind = 0
    while not kind & 0x80:
        kind, *size = read_at(file, at, 4)
        body = read_at(file, at + 4, int.from_bytes(size))
        at += 4 + len(body)
        if kind & 0x7F == 4:
            yield from _comments(body)
        elif kind & 0x7F != 1:
            yield f"block {kind & 0x7F}", body


def _ogg(file: BinaryIO) -> Iterator[Item]:
    """First packets of all streams, and all before the sound of the first that is known."""
    file.seek(0)
    main, held, n_packets = None, list[bytes](), 0
    for _ in range(_MOST_PAGES):
        page = OggPage(file)
        if page.first and not page.packets:
            raise Damaged("a stream of it begins with nothing")
        if page.first and main is None and (n_packets := packets_before_sound(page.packets[0])):
            main = page.serial
        if page.serial == main:
            if page.continued and held:
                held[-1] += page.packets.pop(0)
            held += page.packets
        elif page.first:
            yield "stream", page.packets[0]
        if main is not None and len(held) - (not page.complete) >= n_packets:
            break
    if main is None:
        raise Damaged("it holds no stream of Vorbis, Opus, FLAC or Speex")
    yield "head", held[0]
    n_before = {b"\x01vor": 7, b"Opus": 8, b"\x7fFLA": 4}.get(held[0][:4], 0)
    yield "comments", held[1][: 1 if n_before == 4 else n_before]  # FLAC's has a size behind it
    yield from _comments(held[1][n_before:])
    yield from (("packet", packet) for packet in held[2:n_packets])


def packets_before_sound(first: bytes) -> int:
    """Number of packets before the sound of a stream by its first one; 0 if it is not known."""
    if first.startswith(b"\x7fFLAC"):
        return 1 + (int.from_bytes(first[7:9]) or 1)
    n_packets = {b"\x01vorbis": 3, b"OpusHea": 2, b"Speex  ": 2}
    return n_packets.get(first[:7], 0)


# --- Atoms and objects --------------------------------------------------------------------------

_NESTED = {"moov", "moov.udta", "moov.udta.meta", "moov.udta.meta.ilst"}
_NESTED |= {"moov.trak", "moov.trak.mdia", "moov.trak.mdia.minf", "moov.trak.mdia.minf.stbl"}


def _atoms(file: BinaryIO, at: int, end: int, path: str) -> Iterator[Item]:
    """Atoms of MP4; of sound and of the tables that say where it lies, the size alone."""
    while at + 8 <= end:
        size, head = int.from_bytes(read_at(file, at, 4)), 8
        name = path + read_at(file, at + 4, 4).decode("latin-1")
        if size == 1:
            size, head = int.from_bytes(read_at(file, at + 8, 8)), 16
        size = size or end - at
        kind = name.rpartition(".")[2]
        if name in _NESTED and size >= head:
            version = 4 if kind == "meta" and read_at(file, at + 12, 4) != b"hdlr" else 0
            yield from _atoms(file, at + head + version, at + size, f"{name}.")
        elif kind in ("mdat", "stco", "co64"):
            yield name, size.to_bytes(8)
        elif size < head:
            return  # zeros at the end of a list
        elif kind not in ("free", "\xa9gen", "gnre"):
            body = read_at(file, at + head, size - head)
            is_new = kind == "hdlr" and body == bytes(8) + b"mdirappl" + bytes(9)
            if not is_new and not (kind == "----" and body[:48].upper() == _OURS):
                yield name, body
        at += size


_OURS = b"\0\0\0\x1cMEAN\0\0\0\0COM.APPLE.ITUNES\0\0\0\x14NAME\0\0\0\0OSTINATO"


def _asf(objects: bytes, path: str) -> Iterator[Item]:
    """Objects of ASF's header; lists of attributes are divided, sizes and padding left out."""
    while objects:
        size = int.from_bytes(objects[16:24], "little")
        if not 24 <= size <= len(objects):
            raise Damaged("the objects of its header do not fill it")
        kind, body, objects = objects[:4].hex(), objects[24:size], objects[size:]
        if kind == "b503bf5f":  # the header's extension
            if body[:18] != bytes.fromhex("11d2d3abbaa9cf118ee600c00c2053650600"):  # of all
                yield kind, body[:18]
            yield from _asf(body[22:], "extension.")
        elif kind == "40a4d0d2":  # the extended content description
            yield from _attributes(body[2:], is_library=False)
        elif kind == "941c2344":  # the metadata library
            yield from _attributes(body[2:], is_library=True)
        elif kind == "a1dcab8c":  # the properties of the file, with its size
            yield kind, body[:16] + body[24:]
        elif kind != "74d40618":  # padding
            yield path + kind, body


def _attributes(body: bytes, *, is_library: bool) -> Iterator[Item]:
    while body:
        if is_library:
            _, _, n_name, _, n_value = struct.unpack("<4HI", body[:12])
            name, size = body[12 : 12 + n_name], 12 + n_name + n_value
        else:
            n_name = int.from_bytes(body[:2], "little")
            name = body[2 : 2 + n_name]
            size = n_name + 6 + int.from_bytes(body[n_name + 4 : n_name + 6], "little")
        text = name.decode("utf-16-le", "replace").rstrip("\0").lower()
        if text not in ("wm/genre", "wm/genreid", "ostinato"):
            yield f"attribute {text}", body[:size]
        body = body[size:]
