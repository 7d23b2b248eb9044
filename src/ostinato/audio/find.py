"""The walker of folders: which files below a folder are audio, and what is passed over."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ostinato.storage import is_folder

_SUFFIXES = """
.wav .w64 .rf64 .bwf .au .snd .aif .aiff .aifc .caf
.flac .wv .tta .ape .tak .shn .dsf .dff
.mp3 .mp2 .aac .m4a .m4b .m4r .ogg .oga .opus .mka .weba .wma .ac3 .eac3 .mpc .ra .oma
.mp4 .m4v .mov .3gp .3g2 .mkv .webm .ogv .avi .asf .wmv .flv .mpg .mpeg
"""
AUDIO_SUFFIXES: frozenset[str] = frozenset(_SUFFIXES.split())
"""Suffixes of the files that count as audio in a folder (lower case, with the dot).

Those of films are among them, which are heard by their sound. Left out is what is as often
something else: ``.ts`` is also TypeScript, ``.dts`` a device tree.
"""

_IS_SUFFIX = re.compile(r"\.\w{1,9}")
_MOST_TOLD = 5


@dataclass
class FoundAudio:
    """Audio files, and what was passed over on the way to them.

    ``paths`` are in the order given; those of a folder sorted by name, before those of its
    subfolders. ``passed_over`` counts other files that are not hidden by suffix (lower case, with
    the dot; ``""`` for none); ``closed`` gives the reason of each folder that cannot be listed.
    """

    paths: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    closed: dict[Path, str] = field(default_factory=dict)

    def told_passed_over(self) -> str:
        """Say what was passed over, the commonest first: ``"12 .jpg, 3 .txt and 5 others"``."""
        known = sorted(self.passed_over.items(), key=lambda c: (-c[1], c[0]))
        told = [f"{count} {suffix or 'without a suffix'}" for suffix, count in known[:_MOST_TOLD]]
        n_others = sum(count for _, count in known[_MOST_TOLD:])
        others = f" and {n_others} other{'s' if n_others > 1 else ''}" if n_others else ""
        return ", ".join(told) + others


def find_audio(paths: Path | Sequence[Path]) -> FoundAudio:
    """Find the audio files in folders, at any depth.

    Links are followed, but no folder is entered twice. Hidden files and folders, ``__MACOSX`` and
    files with a suffix that is not in :data:`AUDIO_SUFFIXES` are passed over. A path that is no
    folder is taken as it is, whatever its name and whether it exists.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ostinato.audio import find_audio
    >>> found = find_audio(Path("music"))
    >>> len(found.paths), found.told_passed_over()
    (12, '1 .txt')
    """
    found = FoundAudio()
    for path in [paths] if isinstance(paths, Path) else paths:
        if is_folder(path):
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
        parent = Path(folder)
        for name in sorted(names):
            if _is_hidden(name):
                continue
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a path takes ten times as long
            if suffix in AUDIO_SUFFIXES:
                audio.append(parent / name)
            else:  # "Vol. 2 of 3" has none
                found.passed_over[suffix if _IS_SUFFIX.fullmatch(suffix) else ""] += 1
    return audio


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
