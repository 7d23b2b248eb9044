"""A waveform becomes frames and windows."""

from ostinato.features.frames import (
    FeatureError,
    Frames,
    excerpts,
    frames,
    log_mel_from_mfcc,
    mel_filterbank,
    mfcc_from_log_mel,
)
from ostinato.features.spec import FeatureSpec
from ostinato.features.windows import cut, window_starts

__all__ = [
    "FeatureError",
    "FeatureSpec",
    "Frames",
    "cut",
    "excerpts",
    "frames",
    "log_mel_from_mfcc",
    "mel_filterbank",
    "mfcc_from_log_mel",
    "window_starts",
]
