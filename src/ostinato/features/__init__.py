"""A waveform becomes frames and windows."""

from ostinato.features.frames import (
    COMPRESSION,
    EXCERPT_TOLERANCE,
    FeatureError,
    Frames,
    Waveform,
    excerpts,
    frames,
    log_mel_from_mfcc,
    mel_filterbank,
    mfcc_from_log_mel,
    standardise,
)
from ostinato.features.spec import FeatureSpec
from ostinato.features.windows import cut, window_starts

__all__ = [
    "COMPRESSION",
    "EXCERPT_TOLERANCE",
    "FeatureError",
    "FeatureSpec",
    "Frames",
    "Waveform",
    "cut",
    "excerpts",
    "frames",
    "log_mel_from_mfcc",
    "mel_filterbank",
    "mfcc_from_log_mel",
    "standardise",
    "window_starts",
]
