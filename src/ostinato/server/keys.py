"""Keys that clients show, and how they are looked up."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from ostinato.errors import UsageError
from ostinato.storage import cause

SHORTEST = 16
_MOST_BYTES = 1 << 20


class Keys:
    """The keys that open a server; without any, it is open to all.

    Digests are compared, each in constant time and all of them, so that the time of an answer says
    nothing of a key.
    """

    def __init__(self, keys: list[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def open(self, authorization: str) -> bool:
        """Whether the value of the header Authorization holds one of the keys."""
        scheme, _, key = authorization.partition(" ")
        digest = _digest(key.strip())
        known = [hmac.compare_digest(digest, each) for each in self._digests]
        return scheme.lower() == "bearer" and any(known)


def read_keys(path: Path) -> Keys:
    """Read a file with a key a line; empty lines and those that begin with # are passed over.

    Raises
    ------
    UsageError
        If it cannot be read, others than its owner can read it, or a key is too short.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST_BYTES).decode("ascii")
    except OSError as error:
        raise UsageError(f"Cannot read the keys in {path}: {cause(error)}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected keys of ASCII letters, one a line.") from error
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"{path}: expected a file of keys that its owner alone can read, got mode "
            f"{stat.S_IMODE(mode):o}: chmod 600 {path}"
        )
    lines = (line.strip() for line in text.splitlines())
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise UsageError(
            f"{path}: expected a key a line, got none; one is made by: openssl rand -hex 24"
        )
    for number, key in enumerate(keys, start=1):
        if len(key) < SHORTEST or any(letter.isspace() for letter in key):
            raise UsageError(
                f"{path}: expected keys of at least {SHORTEST} letters without spaces, got another "
                f"one as key {number}; one is made by: openssl rand -hex 24"
            )
    return Keys(keys)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
