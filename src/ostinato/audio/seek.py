"""Decode any part of a sound file by seeking to it: mono, at the file's own rate.

Positions are counted in samples as :mod:`ostinato.audio.decode` gives them, from its first.
libsndfile seeks to the sample. FFmpeg seeks to a packet, and knows a time for it, so

- decoding starts 1 s early: MP3 borrows bits from frames before, Opus and AAC start from nothing
  and are the same as in one pass after a few frames only;
- the position is that of the median frame of all that are decoded, on the grid of frames of one
  size, since times are rounded (to 1 ms in Matroska, ASF and FLV) and those of the first frames
  behind a seek are wrong (Ogg); MPEG-4 states the place of every packet, and packets are counted,
  since its times may jump where the sound does not;
- an MPEG stream may be several, with a clock each: then all before a stretch is decoded;
- a stretch near the start is read from the start, where the first packets are treated specially.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.audio.chain import (
    N_FIRST_OGG,
    Link,
    OneRate,
    clock_at_0,
)
from ostinato.audio.channels import Channels, Mixer, Read, excerpt, joined
from ostinato.audio.decode import (
    block_length,
    channels_of,
    decoded_packets,
    ffmpeg_errors,
    main_stream,
    open_container,
    open_soundfile,
    packets,
    stated_by_log,
    stated_seconds,
)
from ostinato.audio.samples import AudioError, Waveform, check_complete, check_rate

if TYPE_CHECKING:
    from av import AudioFrame
    from av.index import IndexEntries

_UNKNOWN_FRAMES = 1 << 62  # libsndfile's SF_COUNT_MAX, where a FLAC does not state its length
_PREROLL_S = 1.0  # 20 of the shortest MP3 frames, 50 of Opus
_SLACK_S = 0.1  # by how much the time of one frame may be wrong
_MOST_UNCOUNTED = 0.05  # priming and padding of a short file; jumps of its times
_BEYOND_S = 1e6  # behind the end of any file
_N_FIRST = 16  # frames by which time and place are compared, or as many as fill this many seconds
_MOST_FIRST_S = 4.0
_MAY_JUMP = {"mpegts", "mpeg"}  # formats that may be put together with any clock
_MOST_COUNTED_BYTES = 1 << 30  # a longer one is not read through for that
_MOST_DRIFT = 0.02


class SoundfileSeeker:
    """Reads stretches of a file with libsndfile.

    What libsndfile refuses, here or in :meth:`read`, is a LibsndfileError: FFmpeg may know better.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._file = open_soundfile(path)
        self.rate_hz: int = self._file.samplerate
        self.alone: Counter[int] = Counter()  # stretches of which one channel was heard: which
        self.seconds: float | None = None
        self.is_usable = "MPEG" not in self._file.subtype and self._file.frames > 0
        if not self.is_usable:
            return
        try:
            check_rate(name, self.rate_hz)
            if self._file.frames < _UNKNOWN_FRAMES:
                self.seconds = self._file.frames / self.rate_hz
                stated_s = stated_by_log(self._file.extra_info, self.seconds)
                check_complete(name, read_s=self.seconds, stated_s=stated_s)
        except AudioError:
            self.close()
            raise

    def read(self, first: int, n_samples: int) -> tuple[Waveform, int]:
        """Samples from ``first`` on, fewer at the end, and where they start."""
        if first >= self._file.frames:
            return np.zeros(0, np.float32), first
        return excerpt(self._read, first, n_samples, self.alone)

    def _read(self, first: int, n_samples: int) -> Read:
        mixer = Mixer(self.rate_hz, at=first)
        self._file.seek(first)
        left = n_samples
        blocks = [np.zeros(0, np.float32)]
        while left > 0:
            n_now = min(left, block_length(self._file.channels))
            part = self._file.read(n_now, dtype="float32", always_2d=True)
            if not len(part):
                break
            blocks += mixer.add(list(part.T))
            left -= len(part)
        blocks += mixer.end()
        return Read(np.concatenate(blocks), first, mixer)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ContainerSeeker:
    """Reads stretches of a file, or of a link of a chained one, with FFmpeg."""

    def __init__(self, path: Path, name: str, link: Link | None = None) -> None:
        self._path, self._name, self._link = path, name, link
        self._opened = ExitStack()
        self._is_open = False
        self.rate_hz = 0
        self._counts_packets = self._clock_jumps = False
        self._ticks_hz: Fraction | None = None  # of frames' times; None until it is known
        self._total: int | None = None  # samples, once the end was reached in one pass
        self.alone: Counter[int] = Counter()
        try:
            with ffmpeg_errors(name):
                self._start_again()
                self._compare_clock_and_count()
                self.seconds = stated_seconds(self._container, self._stream, path)
                if self.seconds is None:
                    self.seconds = self._counted_s()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._is_open = False
        self._opened.close()

    def read(self, first: int, n_samples: int) -> tuple[Waveform, int]:
        """Samples from ``first`` on, fewer at the end, and where they start.

        They start behind ``first`` only where the file holds nothing at that time.
        """
        if self._total is not None and first >= self._total:
            return np.zeros(0, np.float32), first
        with ffmpeg_errors(self._name):
            return excerpt(self._read, first, n_samples, self.alone)

    def _read(self, first: int, n_samples: int) -> Read:
        is_far = first > _PREROLL_S * self.rate_hz
        if is_far and not self._clock_jumps and self._seek(first):
            found = self._decode_until(first, n_samples, from_start=False)
            if found is not None and found.at <= first:
                return found
        # What is missing here is missing in the file, and not only to its index.
        self._start_again()
        found = self._decode_until(first, n_samples, from_start=True)
        assert found is not None
        return found

    def _start_again(self) -> None:
        self.close()
        self._container = self._opened.enter_context(
            open_container(self._path, self._name, self._link)
        )
        self._stream = main_stream(self._container, self._name)
        self._is_open = True

    def _compare_clock_and_count(self) -> None:
        """Decode the first frames, and keep what the clock says at sample 0."""
        n_first = N_FIRST_OGG if self._container.format.name == "ogg" else _N_FIRST
        frames: list[AudioFrame] = []
        counts = [0.0]  # at the first rate, until a frame begins
        for decoded, _ in decoded_packets(self._container, self._stream, self._name):
            for frame in decoded:
                frames.append(frame)
                counts.append(counts[-1] + self._samples(frame))
            if len(frames) >= n_first or counts[-1] > _MOST_FIRST_S * self.rate_hz > 0:
                break
        if not frames:
            raise AudioError(self._name, "its audio stream gives no samples")
        self._packet_samples = max(frame.samples for frame in frames)
        self._counts_packets = self._lists_every_packet()
        self._tick = float(self._stream.time_base or 0) * self.rate_hz  # in samples
        self._grid = math.gcd(*(frame.samples for frame in frames[1:-1])) or 1
        self._grid_begins = frames[0].samples
        clocks = [self._clock(frame) for frame in frames]
        differences = [c - n for c, n in zip(clocks, counts, strict=False) if c is not None]
        self._origin = clock_at_0(differences) if differences else 0.0

    def _samples(self, frame: AudioFrame) -> float:
        """Length of a frame in samples at the rate of the first."""
        if not self.rate_hz:
            check_rate(self._name, frame.sample_rate)
            self.rate_hz = frame.sample_rate
        return frame.samples * self.rate_hz / frame.sample_rate

    def _lists_every_packet(self) -> bool:
        """Tell whether this is MPEG-4 with one index for all of it."""
        duration, time_base = self._stream.duration, self._stream.time_base
        if "mp4" not in self._container.format.name or not duration or not time_base:
            return False
        if not hasattr(self._stream, "index_entries"):  # PyAV has it from 16.1 on
            return False
        # A file in fragments states each one's packets where it begins, and so only some here.
        counted_s = len(self._entries) * self._packet_samples / self.rate_hz
        return abs(counted_s / float(duration * time_base) - 1) < _MOST_UNCOUNTED

    @property
    def _entries(self) -> IndexEntries:
        """Places of packets; asked for anew each time, since they go when their container does."""
        return self._stream.index_entries

    def _clock(self, frame: AudioFrame) -> float | None:
        """Place of a frame in samples, but for a constant; None where it is not told."""
        if self._counts_packets:
            if frame.dts is None:
                return None
            return float(self._packet_samples * self._entries.search_timestamp(frame.dts))
        pts = frame.pts
        if self._ticks_hz is None:  # the same for all frames: asking each takes a while
            self._ticks_hz = frame.time_base and 1 / frame.time_base
        if pts is None or not self._ticks_hz:
            return None
        return pts * self.rate_hz * self._ticks_hz.denominator / self._ticks_hz.numerator

    def _seek(self, first: int) -> bool:
        """Go to a packet 1 s before a sample; False where that is not possible."""
        import av

        if not self._is_open:  # it could not be opened a second time
            return False
        clock = first + self._origin - _PREROLL_S * self.rate_hz
        if self._counts_packets:
            packet = min(max(0, int(clock / self._packet_samples)), len(self._entries) - 1)
            ticks = self._entries[packet].timestamp
        elif self._stream.time_base:
            ticks = int(clock / self.rate_hz / self._stream.time_base)
        else:
            return False
        try:
            self._container.seek(ticks, stream=self._stream)
        except (av.FFmpegError, OSError, OverflowError):
            return False
        return True

    def _decode_until(self, first: int, n_samples: int, *, from_start: bool) -> Read | None:
        """Decode from here until behind these samples; None if it is not known where they are.

        What is surely before them is dropped, so that memory is constant.
        """
        slack = int(_SLACK_S * self.rate_hz)
        # Where the clock stands still. WavPack has packets of 8 s.
        most = n_samples + 2 * self.rate_hz + self._packet_samples
        places = [0.0] if from_start else []  # of here, as each frame tells it
        one_rate = OneRate(self._name, self.rate_hz)
        kept: list[Channels] = []
        n_dropped = n_kept = 0.0
        for frame in self._frames():
            count = n_dropped + n_kept
            if not from_start and (clock := self._clock(frame)) is not None:
                places.append(clock - self._origin - count)
            now = places[-1] + count if places else first
            if now > first + n_samples + slack or n_kept > most:
                break
            length = self._samples(frame)
            if not n_kept and now + length < first - slack:
                n_dropped += length
            else:
                kept += one_rate.add(channels_of(frame, self._name), frame.sample_rate)
                n_kept += length
        else:
            if from_start:
                self._total = round(n_dropped + n_kept)
        kept += one_rate.rest()
        if not places:
            return None
        at = self._on_grid(statistics.median(places)) + round(n_dropped)
        begin, end = (max(0, edge - at) for edge in (first, first + n_samples))
        mixer = Mixer(self.rate_hz, at=at)
        blocks = [np.zeros(0, np.float32)]
        for channels in joined(kept):
            blocks += mixer.add(channels)
        blocks += mixer.end()
        return Read(np.concatenate(blocks)[begin:end], max(at, first), mixer)

    def _on_grid(self, place: float) -> int:
        """Where a frame begins that the clock puts about here; rounded times are made exact."""
        begin, grid = self._grid_begins, self._grid
        near = begin + grid * round((place - begin) / grid)
        return near if self._tick > 1 and abs(near - place) < 2 * self._tick else round(place)

    def _frames(self) -> Iterator[AudioFrame]:
        """Decode from where the container stands."""
        for frames, _ in decoded_packets(self._container, self._stream, self._name):
            yield from frames

    def _counted_s(self) -> float | None:
        """Count what no header states: packets are read, and none is decoded."""
        import av

        time_base = self._stream.time_base
        if not time_base:
            return None
        may_jump = self._container.format.name in _MAY_JUMP
        if not (may_jump and self._path.stat().st_size < _MOST_COUNTED_BYTES):
            may_jump = False
            with suppress(av.FFmpegError, OSError, OverflowError):
                self._container.seek(int(_BEYOND_S / time_base), stream=self._stream)
            end, _ = self._end_of_packets()
        if may_jump or end is None:  # a seek to the end may lose the clock
            self._start_again()
            end, length = self._end_of_packets()
            if may_jump and length:
                counted_s = float(length * time_base)
                by_clock_s = float((end or 0) * time_base) - self._origin / self.rate_hz
                self._clock_jumps = abs(by_clock_s - counted_s) > _MOST_DRIFT * counted_s
                return counted_s
        if end is None:
            return None
        return max(0.0, float(end * time_base) - self._origin / self.rate_hz)

    def _end_of_packets(self) -> tuple[int | None, int]:
        """Read packets to the end; the clock at the end of the last, and how long all are."""
        end, length = None, 0
        for packet in packets(self._container, self._stream):
            duration = packet.duration or 0
            if duration >= 1 << 31:  # of the last in Ogg, where the end cuts off more than that one
                duration -= 1 << 32
            length += duration
            if packet.pts is not None:
                end = packet.pts + duration
        return end, length
