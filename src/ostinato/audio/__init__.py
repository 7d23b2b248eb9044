"""Any file or stream becomes a waveform: mono float32 samples at the rate asked for."""

from ostinato.audio.file import AudioFile, open_audio
from ostinato.audio.load import (
    AUDIO_SUFFIXES,
    MIN_SECONDS,
    SAMPLE_RATE,
    load_audio,
    waveform_from_array,
)
from ostinato.audio.samples import AudioError, Waveform
from ostinato.audio.stream import AudioStream, RawFormat, Recent

__all__ = [
    "AUDIO_SUFFIXES",
    "MIN_SECONDS",
    "SAMPLE_RATE",
    "AudioError",
    "AudioFile",
    "AudioStream",
    "RawFormat",
    "Recent",
    "Waveform",
    "load_audio",
    "open_audio",
    "waveform_from_array",
]
