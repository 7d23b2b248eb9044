"""Writes sound in every format that can be written here, by the suffix."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.helpers.dsd import write_dsd

TONE_HZ = 1_000.0
Samples = NDArray[np.float32]


def tone(rate_hz: int, *, seconds: float = 2.0, channels: int = 1) -> Samples:
    """A 1 kHz tone with noise of its own in every channel [shape=(n_samples, channels)]."""
    n = round(seconds * rate_hz)
    noise = np.random.default_rng(7).standard_normal((n, channels))
    sine = np.sin(2 * np.pi * TONE_HZ * np.arange(n) / rate_hz)
    return (0.4 * sine[:, None] + 0.02 * noise).astype(np.float32)


def write_with_pyav(
    path: Path,
    samples: Samples,
    rate_hz: int,
    *,
    container: str,
    codec: str,
    bit_rate: int = 128_000,
    **options: str,
) -> None:
    """Encode samples [shape=(n_samples, channels)] by FFmpeg, for what libsndfile cannot write."""
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        stream.bit_rate = bit_rate
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            stream.format, layout, rate_hz, frame_size=stream.codec_context.frame_size or None
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(piece))


# How a file with each suffix is made: (container, codec), by libsndfile or by FFmpeg.
BY_SOUNDFILE = {
    ".wav": ("WAV", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".snd": ("AU", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".w64": ("W64", "PCM_16"),
    ".rf64": ("RF64", "PCM_16"),
    ".bwf": ("WAV", "PCM_24"),
    ".caf": ("CAF", "PCM_24"),
}
BY_PYAV = {
    ".m4a": ("ipod", "aac"),
    ".m4b": ("ipod", "aac"),
    ".m4r": ("ipod", "aac"),
    ".mp4": ("mp4", "aac"),
    ".m4v": ("mp4", "ac3"),
    ".mov": ("mov", "pcm_s16le"),
    ".3gp": ("3gp", "aac"),
    ".3g2": ("3g2", "aac"),
    ".aac": ("adts", "aac"),
    ".webm": ("webm", "libopus"),
    ".weba": ("webm", "libopus"),
    ".mka": ("matroska", "pcm_s16le"),
    ".mkv": ("matroska", "aac"),
    ".ogv": ("ogg", "libopus"),
    ".wma": ("asf", "wmav2"),
    ".wmv": ("asf", "wmav2"),
    ".asf": ("asf", "libmp3lame"),
    ".avi": ("avi", "libmp3lame"),
    ".flv": ("flv", "libmp3lame"),
    ".mpg": ("mpeg", "mp2"),
    ".mpeg": ("vob", "ac3"),
    ".mp2": ("mp2", "mp2"),
    ".ac3": ("ac3", "ac3"),
    ".eac3": ("eac3", "eac3"),
    ".aifc": ("aiff", "pcm_s16le"),
    ".wv": ("wv", "wavpack"),
    ".tta": ("tta", "tta"),
}
BY_HAND = {".dsf", ".dff"}
WRITTEN = sorted({*BY_SOUNDFILE, *BY_PYAV, *BY_HAND})
# What nothing here can write, and FFmpeg's demuxer for it.
UNWRITTEN = {
    ".ape": "ape",
    ".tak": "tak",
    ".shn": "shn",
    ".mpc": "mpc",
    ".ra": "rm",
    ".oma": "oma",
}
# Codecs of few rates.
AT_48_KHZ = {".opus", ".webm", ".weba", ".ogv", ".ac3", ".eac3", ".m4v", ".mpeg", ".mpg", ".mp2"}


def write(path: Path, samples: Samples, rate_hz: int) -> Path:
    """Write a file in the format that its suffix names."""
    if path.suffix in BY_SOUNDFILE:
        container, subtype = BY_SOUNDFILE[path.suffix]
        soundfile.write(path, samples, rate_hz, format=container, subtype=subtype)
    elif path.suffix in BY_HAND:
        write_dsd(path, samples, rate_hz)
    else:
        container, codec = BY_PYAV[path.suffix]
        write_with_pyav(path, samples, rate_hz, container=container, codec=codec)
    return path
