"""The walker of folders: which files below a folder are audio, and what is passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {".wav", ".au", ".snd", ".aif", ".aiff", ".flac", ".mp3", ".ogg", ".oga", ".opus"}
    | {".m4a", ".mp4", ".aac", ".webm", ".wma"}
)
"""Suffixes of the files that count as audio in a folder (lower case, with the dot)."""


@dataclass
class FoundAudio:
    """Audio files, and what was passed over on the way to them.

    ``paths`` are in the order given; those of a folder sorted by name, before those of its
    subfolders. ``passed_over`` counts other files by suffix (lower case, with the dot; ``""`` for
    none); ``closed`` gives the reason of each folder that cannot be listed.
    """

    paths: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    closed: dict[Path, str] = field(default_factory=dict)


def find_audio(paths: Path | Sequence[Path]) -> FoundAudio:
    """Find the audio files in folders, at any depth.

    Links are followed, but no folder is entered twice. Hidden files and folders, ``__MACOSX`` and
    files with a suffix that is not in :data:`AUDIO_SUFFIXES` are passed over. A path that is no
    folder is taken as it is, whatever its name and whether it exists.
    """
    found = FoundAudio()
    for path in [paths] if isinstance(paths, Path) else paths:
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir may raise
            found.paths += _walk(path, found)
        else:
            found.paths.append(path)
    return found


def _walk(root: Path, found: FoundAudio) -> list[Path]:
    """Audio files below a folder; what else is there is noted in ``found``."""

    def note_closed(error: OSError) -> None:
        found.closed[Path(error.filename)] = error.strerror or str(error)

    audio: list[Path] = []
    entered: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=note_closed):
        real = os.path.realpath(folder)
        if real in entered:  # a link back up, or a second link to the same folder
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(names):
            suffix = PurePath(name).suffix.lower()
            if suffix in AUDIO_SUFFIXES and not _is_hidden(name):
                audio.append(Path(folder, name))
            else:
                found.passed_over[suffix] += 1
    return audio


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
