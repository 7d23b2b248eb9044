"""What becomes of damaged sound files: each is heard or refused by one sentence, soon, in memory.

Run from the root of the repository, with the package installed (``.[dev]``)::

    python benchmarks/damaged.py
    python benchmarks/damaged.py --files 200 --seed 1 --library ../shared/data/library

Short sounds are damaged in the ways of ``DAMAGE``, in turn and by a seeded generator: 2 s made here
in every format that can be written, among them chains and late clocks; the first 3 s of each
recording of a library (its packets as they are, not encoded again); and what lies beside that
library in ``awkward``. Each damaged file is given to a process of its own
kind, which reads it in four ways: ``load_audio``, ``open_audio`` with excerpts all over the length
that it states, ``blocks``, and as a live stream. Counted are, for each kind of damage, the files

heard, refused
    by ``load_audio``; both are right.
differ
    of which ``load_audio`` and ``blocks`` give different verdicts, or sounds of another length.
wrong
    that raised anything but an ``AudioError``, or gave samples that are not finite.
crashed, hung, large
    that ended the process, took longer than 10 s of processor time in one of the ways (or 50 s in
    all), or more than 1 GB of memory.

The exit status is 1 if any file is counted in the last three rows or differs. Ctrl-C ends it with
the table of what was tried.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

MOST_SECONDS = 10.0
MOST_MEMORY_MB = 1000.0
HOURS_10 = 36_000

Rng = np.random.Generator


# --- sounds to be damaged -------------------------------------------------------------------------

BY_SOUNDFILE = {
    ".wav": ("WAV", "PCM_16"),
    ".float.wav": ("WAV", "FLOAT"),
    ".24.aiff": ("AIFF", "PCM_24"),
    ".au": ("AU", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
}
BY_FFMPEG = {
    ".m4a": ("ipod", "aac"),
    ".alac.m4a": ("ipod", "alac"),
    ".mov": ("mov", "pcm_s16le"),
    ".aac": ("adts", "aac"),
    ".latm": ("latm", "aac"),
    ".webm": ("webm", "libopus"),
    ".mkv": ("matroska", "aac"),
    ".flac.mka": ("matroska", "flac"),
    ".wma": ("asf", "wmav2"),
    ".mp3.wav": ("wav", "libmp3lame"),
    ".w64": ("w64", "pcm_s16le"),
    ".caf": ("caf", "pcm_s24be"),
    ".alac.caf": ("caf", "alac"),
    ".aifc": ("aiff", "pcm_s16le"),
    ".sox": ("sox", "pcm_s32le"),
    ".ircam": ("ircam", "pcm_s16le"),
    ".voc": ("voc", "pcm_s16le"),
    ".wv": ("wv", "wavpack"),
    ".tta": ("tta", "tta"),
    ".mp2": ("mp2", "mp2"),
    ".ac3": ("ac3", "ac3"),
    ".eac3": ("eac3", "eac3"),
    ".spdif": ("spdif", "ac3"),
    ".flac.ogg": ("ogg", "flac"),
    ".ts": ("mpegts", "aac"),
    ".mpg": ("mpeg", "mp2"),
    ".vob": ("vob", "ac3"),
    ".flv": ("flv", "aac"),
    ".avi": ("avi", "libmp3lame"),
    ".rm": ("rm", "ac3"),
    ".nut": ("nut", "libopus"),
    ".wtv": ("wtv", "mp2"),
}
LATE_S = 3600  # where some clocks begin
LATE = {".late.mka": ("matroska", "libopus"), ".late.ogg": ("ogg", "libopus")}
IN_FRAGMENTS = {".fragments.mp4": ("mp4", "aac")}
# Sounds one behind the other.
CHAINS = {
    ".chain.ogg": [".ogg", ".opus", ".flac.ogg"],
    ".mp3.mp3": [".mp3", ".mp3"],
    ".late.chain.ogg": [".late.ogg", ".ogg"],
}
AWKWARD = {".wv", ".caf", ".mka", ".opus"}  # all but a chain of 110 s
# Codecs of a library's recordings, and what holds their packets.
CONTAINERS = {"mp3float": "mp3", "vorbis": "ogg", "aac": "ipod"}


def sound(rate_hz: int = 48_000) -> np.ndarray:
    """Two seconds of two channels, float32 [shape=(n_samples, 2)]."""
    times = np.arange(2 * rate_hz) / rate_hz
    noise = np.random.default_rng(0).standard_normal((times.size, 2))
    chirp = np.sin(2 * np.pi * (200 + 300 * times) * times)
    return (0.3 * chirp[:, None] + 0.02 * noise).astype(np.float32)


def written(folder: Path) -> Iterator[Path]:
    """One file of each format."""
    for suffix, (container, subtype) in BY_SOUNDFILE.items():
        path = folder / f"made{suffix}"
        soundfile.write(path, sound(), 48_000, format=container, subtype=subtype)
        yield path
    for suffix, (container, codec) in {**BY_FFMPEG, **LATE, **IN_FRAGMENTS}.items():
        path = folder / f"made{suffix}"
        fragments = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
        options = fragments if suffix in IN_FRAGMENTS else {}
        with av.open(str(path), "w", format=container, options=options) as output:
            stream = output.add_stream(codec, rate=48_000, layout="stereo")
            stream.bit_rate = 128_000
            stream.codec_context.open()
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound().T), format="fltp", layout="stereo"
            )
            frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), 0
            size = stream.codec_context.frame_size or 1024
            resampler = av.AudioResampler(stream.format, "stereo", 48_000, frame_size=size)
            for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
                for packet in stream.encode(piece):
                    if suffix in LATE:
                        ticks = round(LATE_S / packet.time_base)
                        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    output.mux(packet)
        yield path
    for suffix, links in CHAINS.items():
        path = folder / f"made{suffix}"
        path.write_bytes(b"".join((folder / f"made{link}").read_bytes() for link in links))
        yield path


def recorded(library: Path, folder: Path) -> Iterator[Path]:
    """The first 3 s of every recording."""
    for path in sorted(library.iterdir()):
        short = folder / f"cut-{path.name}"
        if path.suffix == ".wav":
            samples, rate_hz = soundfile.read(path, frames=24_000)
            soundfile.write(short, samples, rate_hz)
            yield short
            continue
        with av.open(str(path)) as source:
            stream = source.streams.audio[0]
            kind = CONTAINERS.get(stream.codec_context.name, path.suffix.lstrip("."))
            with av.open(str(short), "w", format=kind) as output:
                copy = output.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.dts is None or packet.dts * packet.time_base > 3:
                        break
                    packet.stream = copy
                    output.mux(packet)
        yield short


# --- damage ---------------------------------------------------------------------------------------


def truncated(data: bytes, others: list[bytes], rng: Rng) -> bytes:
    """End anywhere, one time in four within the header."""
    end = min(600, len(data)) if rng.random() < 0.25 else len(data)
    return data[: rng.integers(1, end)]


def flipped(data: bytes, others: list[bytes], rng: Rng) -> bytes:
    """Flip up to 100 bits, one time in two all within the first or last 1000 bytes."""
    bits = np.frombuffer(data, np.uint8).copy()
    first, last = 0, bits.size
    if rng.random() < 0.5:
        first, last = (0, min(1000, last)) if rng.random() < 0.7 else (max(0, last - 1000), last)
    places = rng.integers(first, last, rng.integers(1, 101))
    np.bitwise_xor.at(bits, places, np.uint8(1) << rng.integers(0, 8, places.size, np.uint8))
    return bits.tobytes()


def spliced(data: bytes, others: list[bytes], rng: Rng) -> bytes:
    """Join, repeat, drop, or put one file into another."""
    other = others[rng.integers(len(others))]
    at, end = sorted(rng.integers(0, len(data), 2))
    piece = other[rng.integers(len(other)) :][: rng.integers(1, 40_000)]
    return [
        data + other,
        data[:at] + other[min(at, len(other)) :],
        data[:at] + data[end:],
        data[:end] + data[at:],
        data[:at] + piece + data[at:],
        data[:at] + piece + data[at + len(piece) :],
    ][rng.integers(6)]


def overwritten(data: bytes, others: list[bytes], rng: Rng) -> bytes:
    """Put zeros, ones or noise over a stretch."""
    at = rng.integers(len(data))
    size = int(min(rng.integers(1, 5_000), len(data) - at))
    filling = [bytes(size), b"\xff" * size, rng.bytes(size)][rng.integers(3)]
    return data[:at] + filling + data[at + size :]


# Fields of headers: the mark before them, how far behind its begin, and their form.
FIELDS = {
    b"wvpk": [(4, "<I"), (8, "<H"), (12, "<I"), (16, "<I"), (20, "<I"), (24, "<I")],
    b"TTA1": [(4, "<H"), (6, "<H"), (8, "<H"), (10, "<I"), (14, "<I")],
    b"caff": [(4, ">H")],
    b"desc": [(4, ">Q"), (12, ">d"), (24, ">I"), (28, ">I"), (32, ">I"), (36, ">I"), (40, ">I")],
    b"pakt": [(4, ">Q"), (12, ">Q"), (20, ">Q")],
    b"riff\x2e\x91": [(16, "<Q")],
    b"avih": [(4, "<I"), (8, "<I"), (24, "<I"), (32, "<I")],
    b"strh": [(28, "<I"), (32, "<I"), (40, "<I"), (52, "<I")],
    b"strf": [(8, "<H"), (10, "<H"), (12, "<I"), (20, "<H"), (22, "<H")],
    b"FLV\x01": [(5, ">I"), (9, ">I"), (13, ">I")],
    b"duration": [(9, ">d")],
    b".RMF": [(4, ">I")],
    b"PROP": [(4, ">I"), (22, ">I"), (30, ">I")],
    b"MDPR": [(4, ">I"), (10, ">I"), (34, ">I")],
    b"Creative": [(20, "<H"), (27, "<I")],
    b".SoX": [(4, "<I"), (8, "<Q"), (16, "<d"), (24, "<I")],
    b"\x0b\x77": [(4, ">B"), (2, ">H")],
    b"trun": [(4, ">I"), (8, ">I")],
    b"tfdt": [(8, ">Q")],
    b"RIFF": [(4, "<I"), (16, "<I"), (20, "<H"), (22, "<H"), (24, "<I"), (32, "<H"), (34, "<H")],
    b"data": [(4, "<I")],
    b"FORM": [(4, ">I")],
    b"COMM": [(4, ">I"), (8, ">H"), (10, ">I"), (14, ">H"), (16, ">Q")],
    b"SSND": [(4, ">I"), (8, ">I")],
    b".snd": [(4, ">I"), (8, ">I"), (12, ">I"), (16, ">I"), (20, ">I")],
    b"fLaC": [(8, ">H"), (10, ">H"), (18, ">I"), (20, ">I"), (22, ">I"), (4, ">I")],
    b"Xing": [(8, ">I"), (12, ">I")],
    b"Info": [(8, ">I"), (12, ">I")],
    b"mvhd": [(-4, ">I"), (16, ">I"), (20, ">I")],
    b"mdhd": [(-4, ">I"), (16, ">I"), (20, ">I")],
    b"stts": [(-4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
    b"stsz": [(-4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
    b"stsc": [(8, ">I"), (12, ">I"), (16, ">I")],
    b"stco": [(8, ">I"), (12, ">I")],
    b"mp4a": [(20, ">H"), (22, ">H"), (28, ">I")],
    b"elst": [(8, ">I"), (12, ">I"), (16, ">I")],
    b"OggS": [(6, "<Q"), (14, "<I"), (18, "<I"), (26, "<B")],
    b"OpusHead": [(9, "<B"), (10, "<H"), (12, "<I")],
    b"\x01vorbis": [(11, "<B"), (12, "<I"), (28, "<B")],
    b"\x44\x89": [(3, ">d"), (2, ">B")],  # Matroska: Duration
    b"\xb5": [(2, ">d")],  # Matroska: SamplingFrequency
    b"\x18\x53\x80\x67": [(4, ">Q")],  # Matroska: size of the segment
    b"\xa1\xdc\xab\x8c": [(36, "<Q"), (60, "<Q"), (68, "<Q"), (76, "<Q")],  # ASF: properties
}
WHOLE = [0, 1, 2, 255, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF]
RATES_HZ = [8_000, 22_050, 44_100, 48_000]


def lying(data: bytes, others: list[bytes], rng: Rng) -> bytes:
    """Change up to three fields of the header, often to a length of 10 hours."""
    known = [
        (at + offset, form)
        for mark, fields in FIELDS.items()
        for at in [data.find(mark), data.rfind(mark)]
        if at >= 0
        for offset, form in fields
        if 0 <= at + offset <= len(data) - struct.calcsize(form)
    ]
    if not known:  # raw AAC
        known = [(int(rng.integers(8)), ">H")]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, form = known[rng.integers(len(known))]
        if form.endswith("d"):
            lies: list[float] = [HOURS_10 * 1e3, 1e300, -1.0, float("nan"), float("inf"), 0.0, 1e-9]
            struct.pack_into(form, changed, at, lies[rng.integers(len(lies))])
            continue
        lengths = [HOURS_10 * rate for rate in RATES_HZ] + [HOURS_10 * 1000, HOURS_10 * 38]
        lie = int([*WHOLE, *lengths, *lengths][rng.integers(len(WHOLE) + 2 * len(lengths))])
        struct.pack_into(form, changed, at, lie % (1 << 8 * struct.calcsize(form)))
    return _with_checksums(bytes(changed)) if data.startswith(b"OggS") else bytes(changed)


def _with_checksums(data: bytes) -> bytes:
    """Make the lies of an Ogg file believable: a page with a wrong checksum is passed over."""
    table = []
    for index in range(256):
        rest = index << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x04C1_1DB7 if rest & 0x8000_0000 else rest << 1) & 0xFFFF_FFFF
        table.append(rest)
    pages = data.split(b"OggS")
    for i, page in enumerate(pages[1:], start=1):
        zeroed = b"OggS" + page[:18] + bytes(4) + page[22:]
        checksum = 0
        for byte in zeroed:
            checksum = checksum << 8 & 0xFFFF_FFFF ^ table[checksum >> 24 ^ byte]
        pages[i] = page[:18] + struct.pack("<I", checksum) + page[22:]
    return b"OggS".join(pages)


DAMAGE: dict[str, Callable[[bytes, list[bytes], Rng], bytes]] = {
    "truncated": truncated,
    "flipped": flipped,
    "spliced": spliced,
    "overwritten": overwritten,
    "lying": lying,
}


# --- in the other process -------------------------------------------------------------------------


def listen() -> None:
    """Read the names of files, and answer each with a line of JSON."""
    from ostinato.audio import AudioError, AudioStream, load_audio, open_audio

    def verdict(read: Callable[[], int]) -> int | str:
        try:
            return read()
        except AudioError as error:
            return str(error)

    def checked(waveform: Any) -> int:
        assert np.isfinite(waveform).all()
        return int(waveform.size)

    def in_blocks(path: str) -> int:
        with open_audio(path) as sound:
            return sum(checked(block) for block in sound.blocks(1.0))

    def in_excerpts(path: str) -> int:
        with open_audio(path) as sound:
            length_s = min(sound.seconds or 3.0, 1e9)
            n_samples = 0
            for place in (0.5, 0.0, 0.9, 1.0, 0.3):
                n_samples += checked(sound.excerpt(max(0.0, place * length_s), 1.0))
            return n_samples

    def as_live(path: str) -> int:
        with Path(path).open("rb") as stream, AudioStream.from_stream(stream) as live:
            return sum(checked(chunk) for chunk in live.chunks())

    for line in sys.stdin:
        path = line.rstrip("\n")
        answer: dict[str, Any] = {}
        ways = {
            "load": lambda path: checked(load_audio(path)),
            "blocks": in_blocks,
            "excerpts": in_excerpts,
            "live": as_live,
        }
        for way, read in ways.items():
            begin = time.process_time()
            try:
                answer[way] = verdict(lambda read=read, path=path: read(path))  # type: ignore[misc]
            except Exception as error:
                answer["wrong"] = f"{way}: {type(error).__name__}: {error}"
            taken_s = time.process_time() - begin
            answer["seconds"] = max(taken_s, answer.get("seconds", 0.0))
        answer["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), flush=True)


# --- the watch over it ----------------------------------------------------------------------------


class Listener:
    """A process that reads one file after another; another one after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def hear(self, path: Path) -> dict[str, Any]:
        """What it answers, or that it ``crashed`` or ``hung``."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--listen"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(os.fsencode(path) + b"\n")
        process.stdin.flush()
        # Four ways, and each may take its time; and the first call loads the libraries.
        ready, _, _ = select.select([process.stdout], [], [], 5 * MOST_SECONDS)
        line = process.stdout.readline() if ready else b""
        if line:
            return dict(json.loads(line))
        if not ready:
            process.kill()
        self.close()
        return {"hung": True} if not ready else {"crashed": process.returncode}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


def sort(answer: dict[str, Any]) -> set[str]:
    """Columns in which a file is counted."""
    kinds = {kind for kind in ("hung", "crashed", "wrong") if kind in answer}
    if answer.get("seconds", 0.0) > MOST_SECONDS:
        kinds.add("hung")
    if answer.get("memory_mb", 0.0) > MOST_MEMORY_MB:
        kinds.add("large")
    if kinds:
        return kinds
    load, blocks = answer["load"], answer["blocks"]
    if type(load) is not type(blocks) or (isinstance(load, int) and load != blocks):
        kinds.add("differ")
    return kinds | {"heard" if isinstance(load, int) else "refused"}


COLUMNS = ("heard", "refused", "differ", "wrong", "crashed", "hung", "large")


def main() -> int:
    parser = argparse.ArgumentParser(description="Damaged sound files, heard or refused.")
    parser.add_argument("--files", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--library", type=Path, default=Path("../shared/data/library"))
    parser.add_argument("--keep", type=Path, help="folder for the files that went wrong")
    parser.add_argument("--listen", action="store_true", help=argparse.SUPPRESS)
    choices = parser.parse_args()
    if choices.listen:
        listen()
        return 0

    rng = np.random.default_rng(choices.seed)
    counts = {name: Counter[str]() for name in DAMAGE}
    slowest_s = most_mb = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = list(written(folder))
        if choices.library.is_dir():
            sources += recorded(choices.library, folder)
        if (awkward := choices.library.parent / "awkward").is_dir():
            sources += [path for path in sorted(awkward.iterdir()) if path.suffix in AWKWARD]
        whole = [path.read_bytes() for path in sources]
        listener = Listener()
        for path in sources:  # undamaged, they are heard; and the libraries are loaded
            assert sort(answer := listener.hear(path)) == {"heard"}, (path.name, answer)
        begin = time.perf_counter()
        n_tried = 0
        with contextlib.suppress(KeyboardInterrupt):  # what was tried is told
            for i in range(choices.files):
                damage = list(DAMAGE)[i % len(DAMAGE)]
                which = (i // len(DAMAGE)) % len(sources)
                path = folder / f"{i:04d}-{damage}-{sources[which].name}"
                path.write_bytes(DAMAGE[damage](whole[which], whole, rng))
                answer = listener.hear(path)
                kinds = sort(answer)
                counts[damage].update(kinds)
                slowest_s = max(slowest_s, answer.get("seconds", 0.0))
                most_mb = max(most_mb, answer.get("memory_mb", 0.0))
                if not kinds <= {"heard", "refused"}:
                    print(f"{path.name}: {', '.join(sorted(kinds))}: {answer}", file=sys.stderr)
                    if choices.keep:
                        choices.keep.mkdir(parents=True, exist_ok=True)
                        (choices.keep / path.name).write_bytes(path.read_bytes())
                path.unlink()
                n_tried += 1
        taken_s = time.perf_counter() - begin
        listener.close()

    print(f"{'':14}" + "".join(f"{column:>9}" for column in COLUMNS))
    total: Counter[str] = Counter()
    for damage, count in counts.items():
        total += count
        print(f"{damage:14}" + "".join(f"{count[column]:9}" for column in COLUMNS))
    print(f"{'all':14}" + "".join(f"{total[column]:9}" for column in COLUMNS))
    print(
        f"{n_tried} files from {len(sources)} sounds in {taken_s:.0f} s; the slowest way of "
        f"reading took {slowest_s:.2f} s of processor time; most memory {most_mb:.0f} MB"
    )
    return int(sum(total.values()) != total["heard"] + total["refused"])


if __name__ == "__main__":
    sys.exit(main())
