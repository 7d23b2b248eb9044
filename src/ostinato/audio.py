"""File -> waveform: mono float32 at 22 050 Hz, from any format, with one kind of error.

The first bytes of a file decide who decodes it, never its name. libsndfile (soundfile) reads WAV,
AIFF, AU and FLAC, bit for bit; FFmpeg (PyAV) the rest, and what libsndfile refuses. MP3 and Ogg go
to FFmpeg although libsndfile knows them: it ends a variable-rate MP3 without a length header too
early (2.9 s of 10 s, with no error), its MP3 decoder writes to stderr, and FFmpeg decodes Vorbis
and Opus in about half the time. On MP3 and Vorbis the two agree to 4e-6.

Every waveform is

- mono: the mean of all channels;
- at 22 050 Hz, resampled by soxr at high quality;
- in [-1, 1]: where the peak is higher (float files, overshoot of lossy codecs and of resampling)
  the whole waveform is divided by it. Frames do not depend on scale; clipping would change them;
- sound: at least 0.5 s of finite samples that are not all the same.

A file that breaks off is used if at least 90 % of what it states can be read: a missing last frame
does no harm, and a third of a recording does not pass for the whole. Lengths that writers to a pipe
put in place of one they do not know (0, 0xFFFFFFFF, about 2 GiB) state nothing. Raw AAC and MP3
without a length header state nothing either (there, 90 % of the packets must be sound), nor do WMA
and Ogg, which end where they end.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import ArrayLike, NDArray

from ostinato.errors import OstinatoError, UsageError

if TYPE_CHECKING:
    from av import AudioStream
    from av.container import InputContainer

SAMPLE_RATE = 22_050
"""Samples a second of every waveform, unless another rate is asked for."""

MIN_SECONDS = 0.5
"""Anything shorter is an error: it holds too few frames to be music."""

MIN_READABLE = 0.9
"""The part of a file that must be readable: of the stated length, and of its packets."""

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {".wav", ".au", ".snd", ".aif", ".aiff", ".flac", ".mp3", ".ogg", ".oga", ".opus"}
    | {".m4a", ".mp4", ".aac", ".webm", ".wma"}
)
"""Names under which sound is looked for in a folder (lower case, with the dot)."""

Waveform: TypeAlias = NDArray[np.float32]
"""Mono samples in [-1, 1] [shape=(n_samples,)]."""

# First bytes of WAV (three kinds), AIFF, AU and FLAC.
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"fLaC")

# FFmpeg's demuxers that may be tried: none that would follow a playlist to other files.
_CONTAINERS = "aac,aiff,asf,au,flac,matroska,mov,mp3,ogg,wav"

# libsndfile believes the size of a file, not its header; what the header states is in its log:
# "data : 220500 (should be 73470)" (WAV), "Data Size : ..." (AU), "SSND : ..." (AIFF).
_STATED_BYTES = re.compile(r"(?m)^ *(?:data|Data Size|SSND) *: *(\d+) \(should be (\d+)\)")
# Sizes from here on mean "not known when the header was written": SoX to a pipe puts 0x7F000000 in
# AIFF and about 0x7FFFF000 in WAV, FFmpeg 0xFFFFFFFF.
_UNKNOWN_BYTES = 0x7F00_0000

# A rate outside is a damaged header, and resampling by it could fill the memory.
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1_000, 1_000_000
_RATES = f"{_LOWEST_RATE_HZ} to {_HIGHEST_RATE_HZ} Hz"

_BLOCK_FRAMES = 1 << 16  # small enough for the cache, and a header cannot make us allocate more


class AudioError(OstinatoError):
    """A sound cannot be used; the message says which, and why, in one sentence.

    Attributes
    ----------
    path : str
        The file, or ``"<array>"``.
    reason : str
        Why, as a clause without a full stop.
    """

    def __init__(self, path: str, reason: str) -> None:
        # A name that is not valid Unicode must not make a second error when it is printed.
        shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
        super().__init__(f"'{shown}' cannot be used as sound: {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        # Worker processes send their errors home pickled, by default with the message alone.
        return type(self), (self.path, self.reason)


@dataclass(frozen=True)
class _Decoded:
    """Mono samples as decoded, their rate, and the length the file states, if it does."""

    mono: Waveform
    rate_hz: int
    stated_s: float | None


def load_audio(path: str | os.PathLike[str], *, sample_rate_hz: int = SAMPLE_RATE) -> Waveform:
    """Read a sound file of any format, rate, width and number of channels.

    Parameters
    ----------
    path : str or path
    sample_rate_hz : int
        Rate of the waveform, in Hz.

    Returns
    -------
    float32 array [shape=(n_samples,)]
        Mono, contiguous, in [-1, 1].

    Raises
    ------
    AudioError
        If the file is missing, not a regular file, unreadable, empty, no sound, cut short (less
        than 90 % of its stated length), damaged, without an audio stream, without samples, shorter
        than 0.5 s, silent, or holds NaN or infinite samples.
    UsageError
        If ``sample_rate_hz`` is not a rate.
    """
    _check_target_rate(sample_rate_hz)
    name = os.fspath(path)
    decoded = _decode(Path(name))
    stated_s = decoded.stated_s
    read_s = decoded.mono.size / decoded.rate_hz
    if stated_s is not None and read_s < MIN_READABLE * stated_s:
        seconds = f"{read_s:.1f} s of the {stated_s:.1f} s"
        reason = f"it is cut short or damaged, only {seconds} that it states could be read"
        raise AudioError(name, reason)
    return _finish(name, decoded.mono, rate_hz=decoded.rate_hz, target_hz=sample_rate_hz)


def waveform_from_array(
    samples: ArrayLike, *, sample_rate_hz: int, target_sample_rate_hz: int = SAMPLE_RATE
) -> Waveform:
    """Turn samples in memory into a waveform, as :func:`load_audio` does with a file.

    Parameters
    ----------
    samples : array [shape=(n_samples,) or (n_samples, n_channels)]
        Floats (full scale 1.0), or integers of 8, 16 or 32 bits, which are scaled by their range
        (unsigned 8 bits have their zero at 128, as in WAV).
    sample_rate_hz : int
        Their rate, in Hz.
    target_sample_rate_hz : int
        Rate of the waveform, in Hz.

    Returns
    -------
    float32 array [shape=(n_samples,)]
        Mono, contiguous, in [-1, 1]; never the array that was passed in.

    Raises
    ------
    AudioError
        With the path ``"<array>"``: wrong shape or type, not a rate, shorter than 0.5 s, silent,
        NaN or infinite samples.
    UsageError
        If ``target_sample_rate_hz`` is not a rate.
    """
    _check_target_rate(target_sample_rate_hz)
    name = "<array>"
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or 0 in array.shape:
        shapes = "(n_samples,) or (n_samples, n_channels)"
        raise AudioError(name, f"expected samples of shape {shapes}, got {array.shape}")
    if array.dtype.kind != "f" and array.dtype.str[1:] not in _FULL_SCALE:
        expected = "floats or integers of 8, 16 or 32 bits"
        raise AudioError(name, f"expected {expected}, got {array.dtype}")
    columns = array.reshape(len(array), -1)  # (n_samples, n_channels)
    if columns.shape[0] < columns.shape[1]:
        reason = f"expected shape (n_samples, n_channels), got {array.shape}: is it transposed?"
        raise AudioError(name, reason)
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as such
        mono = _downmix(_as_float(columns))
    return _finish(name, mono, rate_hz=sample_rate_hz, target_hz=target_sample_rate_hz)


def _check_target_rate(rate_hz: int) -> None:
    if not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ:
        raise UsageError(f"The waveform's sample rate: expected {_RATES}, got {rate_hz}.")


# By kind and bytes, whatever the byte order.
_FULL_SCALE = {"u1": 2.0**7, "i1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31}


def _as_float(samples: NDArray[np.generic]) -> Waveform:
    """Scale samples of any type to float32 with full scale 1.0 [same shape]."""
    scaled = samples.astype(np.float32, copy=False)
    if samples.dtype.kind == "f":
        return scaled
    if samples.dtype.kind == "u":
        scaled = scaled - np.float32(128)
    return scaled * np.float32(1 / _FULL_SCALE[samples.dtype.str[1:]])


def _downmix(samples: NDArray[np.float32]) -> Waveform:
    """Average the channels [shape=(n_samples, n_channels)] into a new array [shape=(n_samples,)].

    Column by column: ``mean(axis=1)`` over a short last axis takes 15 times as long for stereo,
    almost as much as decoding.
    """
    mono: Waveform = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        mono += samples[:, channel]
    if samples.shape[1] > 1:
        mono *= np.float32(1 / samples.shape[1])
    return mono


def _finish(name: str, mono: Waveform, *, rate_hz: int, target_hz: int) -> Waveform:
    """Check that mono samples are sound; resample them and keep them within [-1, 1]."""
    if not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ:
        raise AudioError(name, f"expected a sample rate of {_RATES}, got {rate_hz}")
    if mono.size < MIN_SECONDS * rate_hz:
        seconds = mono.size / rate_hz
        raise AudioError(name, f"it lasts {seconds:.3g} s, at least {MIN_SECONDS} s are needed")
    low, high = mono.min(), mono.max()  # both are NaN if any sample is
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError(name, "it holds samples that are NaN or infinite")
    if low == high:  # before resampling, which would put a ripple at both ends
        raise AudioError(name, f"it holds no sound, all samples of its mono mix are {low:g}")
    mono = _within_range(mono)
    if rate_hz != target_hz:
        mono = _within_range(soxr.resample(mono, rate_hz, target_hz, quality="HQ"))
    return np.ascontiguousarray(mono)


def _within_range(mono: Waveform) -> Waveform:
    """Divide by the peak where it is above 1."""
    peak = max(mono.max(), -mono.min())
    return mono / peak if peak > 1 else mono


def _decode(path: Path) -> _Decoded:
    """Decode a file with libsndfile or FFmpeg, whichever suits its first bytes."""
    refusal = None
    # soundfile takes any file named .raw for headerless, whatever is in it.
    if _first_bytes(path).startswith(_SOUNDFILE_MAGIC) and path.suffix.lower() != ".raw":
        try:
            decoded = _decode_with_soundfile(path)
        except soundfile.LibsndfileError as error:
            refusal = error.error_string.removeprefix("Error : ").rstrip(".")
        else:
            if decoded is not None:
                return decoded
    try:
        return _decode_with_pyav(path)
    except AudioError as error:
        if refusal is None:
            raise
        raise AudioError(error.path, f"{error.reason} (libsndfile: '{refusal}')") from error


def _first_bytes(path: Path) -> bytes:
    """Read the first bytes of a regular file that is not empty."""
    name = os.fspath(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer for ever
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise AudioError(name, f"it is {kind}, not a file")
        with path.open("rb") as handle:
            head = handle.read(4)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        why = getattr(error, "strerror", error)
        raise AudioError(name, f"it cannot be opened ({why})") from error
    if not head:
        raise AudioError(name, "it is empty (0 bytes)")
    return head


def _decode_with_soundfile(path: Path) -> _Decoded | None:
    """Decode WAV, AIFF, AU or FLAC; None (or soundfile's error) if FFmpeg should try."""
    # Names are bytes on Linux, and need not be valid text; Windows wants text.
    name = os.fspath(path) if sys.platform == "win32" else os.fsencode(path)
    blocks = []
    with soundfile.SoundFile(name) as file:
        if "MPEG" in file.subtype:  # MP3 in WAV: see the top of this module
            return None
        block = np.empty((_BLOCK_FRAMES, file.channels), dtype=np.float32)
        while len(part := file.read(out=block)):
            blocks.append(_downmix(part))
        rate_hz, log = file.samplerate, file.extra_info
    if not blocks:  # a length of 0 in the header may stand for "not known yet"
        return None
    mono = np.concatenate(blocks)
    stated_s = None
    if (sizes := _STATED_BYTES.search(log)) is not None:
        stated, present = (int(size) for size in sizes.groups())
        if stated < _UNKNOWN_BYTES and present > 0:
            stated_s = mono.size / rate_hz * stated / present
    return _Decoded(mono, rate_hz, stated_s)


def _decode_with_pyav(path: Path) -> _Decoded:
    """Decode with FFmpeg whatever it knows."""
    import av  # 0.1 s that a folder of WAV or FLAC need not spend

    name = os.fspath(path)
    # Without "file:", FFmpeg takes "Bach: Air.m4a" for an address.
    url, options = f"file:{name}", {"format_whitelist": _CONTAINERS}
    try:
        mp3_states_length = _mp3_states_length(path)
        # Tags in unknown encodings are no reason to fail.
        with av.open(url, "r", options=options, metadata_errors="replace") as container:
            return _decode_container(name, container, mp3_states_length)
    except (av.FFmpegError, OSError) as error:
        reason = "it is of no sound format that can be read, or badly damaged"
        raise AudioError(name, f"{reason} ({error.strerror})") from error


def _decode_container(name: str, container: InputContainer, mp3_states_length: bool) -> _Decoded:
    """Decode the main audio stream of an open container."""
    import av

    stream = container.streams.best("audio")
    if stream is None:
        raise AudioError(name, "it holds no audio stream that can be decoded")
    if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
        raise AudioError(name, "the codec of its audio stream is not known")
    blocks: list[Waveform] = []
    rate_hz = n_packets = n_failed = 0
    trouble = ""
    for packet in container.demux(stream):
        n_packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError as error:  # pass over it, as players do, and count
            n_failed, trouble = n_failed + 1, f"({error.strerror})"
            continue
        for frame in frames:
            rate_hz = rate_hz or frame.sample_rate
            if frame.sample_rate != rate_hz:
                rates = f"from {rate_hz} to {frame.sample_rate} Hz"
                raise AudioError(name, f"its sample rate changes {rates}")
            samples = frame.to_ndarray().T  # planar: (n, n_channels), else (n * n_channels, 1)
            n_channels = frame.layout.nb_channels
            blocks.append(_downmix(_as_float(samples.reshape(-1, n_channels))))
    if not blocks:
        raise AudioError(name, f"its audio stream gives no samples {trouble}".rstrip())
    stated_s = _stated_seconds(container, stream, mp3_states_length)
    if stated_s is None and n_failed > (1 - MIN_READABLE) * n_packets:
        share = f"{n_failed} of its {n_packets} packets"
        raise AudioError(name, f"it is damaged, {share} are unreadable {trouble}")
    return _Decoded(np.concatenate(blocks), rate_hz, stated_s)


def _stated_seconds(
    container: InputContainer, stream: AudioStream, mp3_states_length: bool
) -> float | None:
    """Length of a stream by its header, in seconds; None where FFmpeg only guesses it."""
    kind = container.format.name
    if kind == "aac" or (kind == "mp3" and not mp3_states_length):
        return None  # from the bit rate of the first frame
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:  # Matroska; not that of a video
        return container.duration / 1e6  # microseconds
    return None


def _mp3_states_length(path: Path) -> bool:
    """Look for the length header of an MP3 (Xing, Info or VBRI) behind its ID3v2 tag."""
    with path.open("rb") as handle:
        head = handle.read(10)
        if len(head) == 10 and head.startswith(b"ID3"):
            size = 0
            for byte in head[6:]:  # 28 bits in four bytes (ID3v2.4, 3.1)
                size = size << 7 | byte & 0x7F
            handle.seek(10 + size)
        first_frame = head + handle.read(4096)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))
