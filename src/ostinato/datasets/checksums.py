"""The files of GTZAN's common release: their address, and the SHA-256 of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ostinato.datasets.gtzan import N_TRACKS, damaged, read_table

SOURCE_URL = "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"
"""The address of the collection's archive."""

_CHECKSUMS_FILE = "gtzan_sha256.tsv"
_CHECKSUMS_HEADER = "path\tsha256\tbytes"


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 of a file of the collection, in hexadecimal, and its size."""

    sha256: str
    n_bytes: int


@cache
def checksums() -> dict[str, Checksum]:
    """Return path below ``genres/`` -> checksum; DataError if the package's table is damaged."""
    rows = read_table(_CHECKSUMS_FILE, _CHECKSUMS_HEADER)
    try:
        table = {row["path"]: Checksum(row["sha256"], int(row["bytes"])) for row in rows}
    except ValueError as error:
        raise damaged(_CHECKSUMS_FILE, str(error)) from error
    if len(table) != N_TRACKS:
        raise damaged(_CHECKSUMS_FILE, f"expected {N_TRACKS} files, got {len(table)}")
    return table


def not_verified(
    genres: Path,
    expected: Mapping[str, Checksum],
    progress: Callable[[str, int, int], None],
) -> dict[str, Checksum]:
    """Return those of the expected files that are missing below ``genres``, or differ.

    ``progress`` is called with ``"Verifying"``, bytes done and bytes in all.
    """
    if not genres.is_dir():
        return dict(expected)
    total = sum(checksum.n_bytes for checksum in expected.values())
    done = 0
    wrong = {}
    for path, checksum in expected.items():
        if not _is_right(genres / path, checksum):
            wrong[path] = checksum
        done += checksum.n_bytes
        progress("Verifying", done, total)
    return wrong


def _is_right(path: Path, checksum: Checksum) -> bool:
    if not path.is_file() or path.stat().st_size != checksum.n_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == checksum.sha256
