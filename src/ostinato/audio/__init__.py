"""Any file or stream becomes a waveform: mono float32 samples at the rate asked for."""

from ostinato.audio.file import AudioFile, open_audio
from ostinato.audio.load import SAMPLE_RATE, load_audio, waveform_from_array
from ostinato.audio.samples import AudioError, Waveform

__all__ = [
    "SAMPLE_RATE",
    "AudioError",
    "AudioFile",
    "Waveform",
    "load_audio",
    "open_audio",
    "waveform_from_array",
]
