"""A waveform becomes frames and windows."""

from ostinato.features.arrays import FeatureError, Frames, Waveform
from ostinato.features.excerpts import excerpts, streamed_excerpts
from ostinato.features.frames import (
    COMPRESSION,
    check_sound,
    frames,
    frames_of_image,
    mel_filterbank,
    mel_image,
)
from ostinato.features.mfcc import log_mel_from_mfcc, mfcc_from_log_mel, standardise
from ostinato.features.spec import FeatureSpec
from ostinato.features.windows import cut, window_starts

__all__ = [
    "COMPRESSION",
    "FeatureError",
    "FeatureSpec",
    "Frames",
    "Waveform",
    "check_sound",
    "cut",
    "excerpts",
    "frames",
    "frames_of_image",
    "log_mel_from_mfcc",
    "mel_filterbank",
    "mel_image",
    "mfcc_from_log_mel",
    "standardise",
    "streamed_excerpts",
    "window_starts",
]
