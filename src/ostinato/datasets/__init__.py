"""Recordings with their frames, and who learns from which."""

from ostinato.datasets.corpus import Corpus, Recording, Skipped
from ostinato.datasets.frame_cache import CacheError, FrameCache
from ostinato.datasets.load import load_corpus

__all__ = ["CacheError", "Corpus", "FrameCache", "Recording", "Skipped", "load_corpus"]
