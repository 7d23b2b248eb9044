"""Decode a sound file into mono blocks, in order, and read the length that it states.

:mod:`ostinato.audio.load` says what is read and what is refused. Nothing here holds a whole file: a
block is given as soon as it is decoded.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ostinato.audio.chain import Link, OggClock, OneRate, check_links, find_links
from ostinato.audio.channels import Channels, Mixer, joined
from ostinato.audio.formats import (
    CONTAINERS,
    ENCRYPTED,
    STATE_END,
    UNKNOWN_CODEC,
    is_encrypted,
    states_length,
    why_unknown,
)
from ostinato.audio.samples import (
    MIN_READABLE,
    UNKNOWN_BYTES,
    AudioError,
    Waveform,
    as_float,
    check_rate,
)

if TYPE_CHECKING:
    import av
    from av import AudioFrame, Packet
    from av.container import InputContainer

MOST_IDLE_S = 8.0
"""Seconds without a sample after which a decoder is given up."""

# First bytes of WAV (three kinds), AIFF, AU and FLAC.
SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"fLaC")

# Formats of a WAV that are MPEG audio, least byte first, and where they are looked for.
_MPEG_TAGS = (b"\x50\0", b"\x55\0")
_HEAD_BYTES = 4096

# libsndfile believes the size of a file, not its header; what the header states is in its log:
# "data : 220500 (should be 73470)" (WAV), "Data Size : ..." (AU), "SSND : ..." (AIFF).
_STATED_BYTES = re.compile(r"(?m)^ *(?:data|Data Size|SSND) *: *(\d+) \(should be (\d+)\)")

# Small enough for the cache, and a header that claims a thousand channels cannot make us allocate
# more.
_BLOCK_SAMPLES = 1 << 17


class Decoding:
    """One pass over a file: iterate for its mono blocks, then ask what the file stated.

    libsndfile decodes what suits it; FFmpeg the rest, and goes on where libsndfile gives up. An
    AudioError, which calls the file ``name``, is raised while iterating.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.rate_hz = 0  # known from the first block on; what has another later is resampled
        self.stated_s: float | None = None  # known after the last block
        self.alone: Counter[int] = Counter()  # stretches of which one channel was heard: which

    def __iter__(self) -> Iterator[Waveform]:
        refusal = None
        n_given = 0
        if is_for_soundfile(self.path, self.name):
            try:
                for block in self._by_soundfile():
                    n_given += block.size
                    yield block
                if n_given:  # a length of 0 in the header may stand for "not known yet"
                    return
            except soundfile.LibsndfileError as error:
                refusal = libsndfile_says(error)
        with refused_before(refusal):
            for block in self._by_ffmpeg():
                skipped = min(n_given, block.size)
                n_given -= skipped
                if skipped < block.size:
                    yield block[skipped:]

    def _by_soundfile(self) -> Iterator[Waveform]:
        with open_soundfile(self.path) as file:
            if "MPEG" in file.subtype:  # behind a header that is longer than was looked at
                return
            check_rate(self.name, file.samplerate)
            self.rate_hz = file.samplerate
            n_samples = 0
            mixer = Mixer(file.samplerate)
            block = np.empty((block_length(file.channels), file.channels), dtype=np.float32)
            while len(part := file.read(out=block)):
                n_samples += len(part)
                yield from mixer.add(list(part.T))
            yield from mixer.end()
            self.alone.update(mixer.alone)
            self.stated_s = stated_by_log(file.extra_info, n_samples / file.samplerate)

    def _by_ffmpeg(self) -> Iterator[Waveform]:
        one_rate = OneRate(self.name)
        links = find_links(self.path)
        if not links:
            self.stated_s = yield from self._link(None, one_rate)
            return
        self.stated_s = 0.0
        failed: dict[Link, AudioError] = {}
        for link in links:  # a broken one is damage, and does not end the recording
            try:
                self.stated_s += (yield from self._link(link, one_rate)) or 0.0
            except AudioError as error:
                failed[link] = error
        check_links(links, failed)
        for (mono,) in one_rate.rest():
            yield mono

    def _link(
        self, link: Link | None, of_chain: OneRate
    ) -> Generator[Waveform, None, float | None]:
        """Decode a file, or a link of it; return the length that it states in seconds."""
        n_given = n_packets = n_failed = 0
        trouble = ""
        clock, one_rate = OggClock(), OneRate(self.name)
        mixer: Mixer | None = None

        def brought(blocks: Sequence[Waveform]) -> Sequence[Waveform]:
            if link is None:  # most files
                self.rate_hz = one_rate.rate_hz
                return blocks
            ready = [of_chain.add([block], one_rate.rate_hz) for block in blocks]
            self.rate_hz = of_chain.rate_hz
            return [mono for parts in ready for (mono,) in parts]

        with open_container(self.path, self.name, link) as container:
            stream = main_stream(container, self.name)
            is_ogg = container.format.name == "ogg"

            def decoded() -> Iterator[Channels]:
                nonlocal n_given, n_packets, n_failed, trouble
                for frames, error in decoded_packets(container, stream, self.name):
                    n_packets += 1
                    if error:  # pass over it, as players do, and count
                        n_failed, trouble = n_failed + 1, f"({error})"
                    for frame in frames:
                        n_given += frame.samples
                        if is_ogg:
                            clock.add(frame)
                        yield from one_rate.add(channels_of(frame, self.name), frame.sample_rate)
                yield from one_rate.rest()

            for channels in joined(decoded()):
                mixer = mixer or Mixer(one_rate.rate_hz)
                yield from brought(mixer.add(channels))
            if mixer:
                yield from brought(mixer.end())
                self.alone.update(mixer.alone)
            stated_s = clock.span_s() if is_ogg else stated_seconds(container, stream, self.path)
        if not n_given:
            raise AudioError(self.name, f"its audio stream gives no samples {trouble}".rstrip())
        if stated_s is None and n_failed > (1 - MIN_READABLE) * n_packets:
            share = f"{n_failed} of its {n_packets} packets"
            raise AudioError(self.name, f"it is damaged, {share} are unreadable {trouble}")
        return stated_s


# --- libsndfile ---------------------------------------------------------------------------------


def is_for_soundfile(path: Path, name: str) -> bool:
    """Tell by the first bytes of a regular file whether libsndfile should try it first."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer for ever
            kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
            raise AudioError(name, f"it is a {kinds.get(stat.S_IFMT(mode), 'device')}, not a file")
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        why = getattr(error, "strerror", error)
        raise AudioError(name, f"it cannot be opened ({why})") from error
    if not head:
        raise AudioError(name, "it is empty (0 bytes)")
    # soundfile takes any file named .raw for headerless, whatever is in it.
    if not head.startswith(SOUNDFILE_MAGIC) or path.suffix.lower() == ".raw":
        return False
    # MP3 in WAV: libsndfile may end it too early, and its decoder writes to stderr on opening it.
    form = head.find(b"fmt ")
    return form < 0 or head[form + 8 : form + 10] not in _MPEG_TAGS


def open_soundfile(path: Path) -> soundfile.SoundFile:
    """Open a file with libsndfile."""
    # Names are bytes on Linux, and need not be valid text; Windows wants text.
    return soundfile.SoundFile(os.fspath(path) if sys.platform == "win32" else os.fsencode(path))


def block_length(n_channels: int) -> int:
    """Number of samples of each channel to read at once."""
    return max(1, _BLOCK_SAMPLES // n_channels)


def libsndfile_says(error: soundfile.LibsndfileError) -> str:
    """The reason of a refusal, as a clause."""
    return str(error.error_string).removeprefix("Error : ").rstrip(".")


@contextmanager
def refused_before(refusal: str | None) -> Iterator[None]:
    """Add to an error of FFmpeg's, within the context, why libsndfile refused, if it did."""
    try:
        yield
    except AudioError as error:
        if refusal is None:
            raise
        raise AudioError(error.path, f"{error.reason} (libsndfile: '{refusal}')") from error


def stated_by_log(log: str, present_s: float) -> float | None:
    """Length by the header of a WAV, AIFF or AU file that is not as long as that, in seconds."""
    if (sizes := _STATED_BYTES.search(log)) is None:
        return None
    stated, present = (int(size) for size in sizes.groups())
    return present_s * stated / present if stated < UNKNOWN_BYTES and present > 0 else None


# --- FFmpeg -------------------------------------------------------------------------------------


@contextmanager
def open_container(path: Path, name: str, link: Link | None = None) -> Iterator[InputContainer]:
    """Open a file, or a link of it, with FFmpeg; within the context, its errors are AudioErrors."""
    import av  # 0.1 s that a folder of WAV or FLAC need not spend

    with ffmpeg_errors(name):
        try:
            container = av.open(
                # Without "file:", FFmpeg takes "Bach: Air.m4a" for an address.
                f"file:{os.fspath(path)}" if link is None else link.url(os.fspath(path)),
                "r",
                # Nor may a file that is opened open an address.
                options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file,subfile"},
                metadata_errors="replace",  # tags in unknown encodings are no reason to fail
                timeout=MOST_IDLE_S,
            )
        except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError) as error:
            raise AudioError(name, why_unknown(path)) from error
        with container:
            yield container


@contextmanager
def ffmpeg_errors(name: str) -> Iterator[None]:
    """Turn an error of FFmpeg's within the context into an AudioError."""
    import av

    try:
        yield
    except av.error.ExitError as error:  # the interrupt that a time limit stands for
        raise AudioError(name, _NO_PROGRESS) from error
    except (av.FFmpegError, OSError) as error:
        reason = f"it cannot be read, or is badly damaged ({error.strerror})"
        raise AudioError(name, reason) from error


# A damaged header of CAF may claim packets of one sample: a minute of them takes five to decode.
_MANY = 1000

_NO_PROGRESS = f"it seems damaged, its decoder gave no sample for {MOST_IDLE_S:g} s"


def main_stream(container: InputContainer, name: str) -> av.AudioStream:
    """Pick the main audio stream of a container."""
    import av

    stream = container.streams.best("audio")
    if stream is None:
        raise AudioError(name, "it holds no audio stream that can be decoded")
    if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
        raise AudioError(name, UNKNOWN_CODEC)
    if is_encrypted(stream.codec_context):
        raise AudioError(name, ENCRYPTED)
    return stream


def decoded_packets(
    container: InputContainer, stream: av.AudioStream, name: str
) -> Iterator[tuple[list[AudioFrame], str]]:
    """Decode from the container's position; give each packet's frames, and its error or ""."""
    import av

    decoded_at = time.monotonic()
    n_frames = n_samples = 0
    for packet in packets(container, stream):
        frames: list[AudioFrame] = []
        trouble = ""
        try:
            frames = packet.decode()
        except av.error.EOFError:  # its end was told already
            pass
        except av.FFmpegError as error:
            trouble = str(error.strerror)
        n_frames += len(frames)
        n_samples += sum(frame.samples for frame in frames)
        if n_frames > _MANY and n_samples < 2 * n_frames:
            raise AudioError(name, "it seems damaged, its packets hold one sample each")
        now = time.monotonic()
        if frames:
            decoded_at = now
        elif now - decoded_at > MOST_IDLE_S:
            raise AudioError(name, _NO_PROGRESS)
        yield frames, trouble
        decoded_at += time.monotonic() - now  # what the caller did meanwhile is not counted


def packets(
    container: InputContainer, *streams: av.AudioStream
) -> Iterator[Packet[av.AudioStream]]:
    """Read from the container's position until it ends or breaks off; the length tells which."""
    import av

    with suppress(av.error.InvalidDataError, av.error.EOFError):
        while True:
            try:
                yield from container.demux(*streams)  # type: ignore[misc] # of audio alone
                return
            except IndexError:  # PyAV does not know a stream that begins later: go on behind it
                continue


# FFmpeg's names of samples, without the "p" where each channel has a plane of its own.
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
_FFMPEG_POINTERS = 8


def channels_of(frame: AudioFrame, name: str) -> Channels:
    """Samples of a decoded frame, which lie in its memory."""
    dtype = _DTYPES.get(frame.format.name.removesuffix("p"))
    if dtype is None:
        expected = "integers of 8, 16 or 32 bits or floats"
        got = f"got '{frame.format.name}': 'ffmpeg -i FILE out.wav' converts it"
        raise AudioError(name, f"expected samples that are {expected}, {got}")
    n_channels = frame.layout.nb_channels
    if frame.format.name == "fltp" and n_channels <= 2:
        # MP3, AAC, Vorbis, Opus: so few samples at a time that to_ndarray takes half of the time
        # of decoding them.
        return [
            np.frombuffer(plane, np.float32, frame.samples)  # type: ignore[call-overload]
            for plane in frame.planes
        ]
    if n_channels < _FFMPEG_POINTERS or not frame.format.is_planar:
        samples = frame.to_ndarray().T  # planar: (n, n_channels), else (n * n_channels, 1)
        return list(as_float(samples.reshape(-1, n_channels)).T)
    # PyAV counts planes up to a null pointer, and behind eight there is none: it would read on.
    from av.audio.plane import AudioPlane

    planes = (bytes(AudioPlane(frame, channel)) for channel in range(n_channels))
    return [as_float(np.frombuffer(plane, dtype, frame.samples)) for plane in planes]


def stated_seconds(container: InputContainer, stream: av.AudioStream, path: Path) -> float | None:
    """Length of a stream by its header, in seconds; None where no header states it."""
    if not states_length(container, path):
        return None
    if stream.duration and stream.time_base:
        stated_s = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:  # Matroska; not that of a video
        stated_s = container.duration / 1e6  # microseconds
    else:
        return None
    if container.format.name in STATE_END and stream.start_time and stream.time_base:
        start_s = max(0.0, float(stream.start_time * stream.time_base))
        return stated_s - start_s if start_s < stated_s else None
    return stated_s
