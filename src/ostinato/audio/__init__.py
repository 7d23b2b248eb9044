"""Any file or stream becomes a waveform: mono float32 samples at the rate asked for."""

from ostinato.audio.file import AudioFile, open_audio
from ostinato.audio.find import AUDIO_SUFFIXES, FoundAudio, find_audio
from ostinato.audio.load import (
    MIN_SECONDS,
    SAMPLE_RATE,
    load_audio,
    waveform_from_array,
)
from ostinato.audio.piped import is_pipe, spool, spool_pipe
from ostinato.audio.samples import AudioError, SilentAudioError, Waveform
from ostinato.audio.stream import AudioStream, RawFormat, Recent

__all__ = [
    "AUDIO_SUFFIXES",
    "MIN_SECONDS",
    "SAMPLE_RATE",
    "AudioError",
    "AudioFile",
    "AudioStream",
    "FoundAudio",
    "RawFormat",
    "Recent",
    "SilentAudioError",
    "Waveform",
    "find_audio",
    "is_pipe",
    "load_audio",
    "open_audio",
    "spool",
    "spool_pipe",
    "waveform_from_array",
]
