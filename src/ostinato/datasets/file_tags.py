"""Artists, albums and titles that a listing leaves open, from the tags and folders of its files.

A folder of audio names genres alone. Tags say who made a recording; where they name no album, the
folder below the genre's is taken for one (``blues/some album/x.mp3``), if the genre has several.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ostinato import parallel
from ostinato.audio.tags import Tags, read_tags
from ostinato.datasets.corpus import Recording
from ostinato.datasets.frame_cache import FrameCache

_NOBODY = {
    "", "unknown", "unknown artist", "unknown album", "untitled", "various", "various artists",
    "va", "v.a.", "none", "n/a", "<unknown>",
}  # fmt: skip


def with_tags(
    recordings: Sequence[Recording],
    paths: Sequence[Path],
    sha256: Sequence[str],
    cache: FrameCache,
) -> list[Recording]:
    """Fill in what rows leave open: artist, album and title of their files.

    ``sha256`` are those of the files' bytes, by which the cache remembers what they said.
    """
    new = [i for i, digest in enumerate(sha256) if cache.known_tags(digest) is None]
    with parallel.run(
        read_tags, [(paths[i],) for i in new], doing="read tags", backend="threads"
    ) as coming:
        for position, found in coming:
            cache.remember_tags(sha256[new[position]], found)
    tags = [Tags(*(cache.known_tags(digest) or ())) for digest in sha256]
    folders: dict[str, set[PurePath]] = defaultdict(set)
    for recording in recordings:
        folders[recording.genre].add(PurePath(recording.id).parent)
    filled = []
    for recording, path, said in zip(recordings, paths, tags, strict=True):
        album = _named(said.album)
        if album is not None:  # two artists may have an album of the same name
            album = f"{path.parent}/{album}"
        elif len(folders[recording.genre]) > 1 and len(PurePath(recording.id).parts) > 2:
            album = str(path.parent)
        filled.append(
            replace(
                recording,
                artist=recording.artist or _named(said.artist),
                title=recording.title or said.title,
                album=recording.album or album,
            )
        )
    return filled


def _named(text: str | None) -> str | None:
    """A name; None for what programs write where they know none."""
    return None if text is None or text.casefold() in _NOBODY else text
