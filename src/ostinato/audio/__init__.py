"""Any file or stream becomes a waveform: mono float32 samples at the rate asked for."""

from ostinato.audio.file import Sound, open_sound
from ostinato.audio.load import SAMPLE_RATE, load_audio, waveform_from_array
from ostinato.audio.samples import AudioError, Waveform

__all__ = [
    "SAMPLE_RATE",
    "AudioError",
    "Sound",
    "Waveform",
    "load_audio",
    "open_sound",
    "waveform_from_array",
]
