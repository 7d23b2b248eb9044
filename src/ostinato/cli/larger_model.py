"""What verbs say of the larger model, which is fetched: how good it is, beside the default."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from ostinato.errors import OstinatoError
from ostinato.storage import is_file, user_cache, write_text

NAME = "musicnn"

_STAMP = f"told-of-{NAME}"  # in the user's cache
_DAY_S = 24 * 3600

JUDGED = ("default-filtered", "musicnn-head")
"""The files that both were examined with, on the same tracks."""


def told_of_it() -> str:
    """What to do to use it, and the accuracy of both."""
    ours, its = _accuracies()
    return (
        f"To use it from now on: ostinato models --use {NAME}. It named {its['mean']:.1%} of "
        f"{its['n']} test tracks right (pretrained, overlap unknown), default's recipe "
        f"{ours['mean']:.1%}."
    )


def hint() -> str | None:
    """One line that tells of it, once a day at most; None where it has been fetched or told of.

    Where that cannot be told or noted, as without a home, there is no line and no error.
    """
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        return None
    from ostinato.inference.default_model import chosen
    from ostinato.inference.registry import fetched_path

    with suppress(OstinatoError, OSError):
        folder, makeshift = user_cache()
        if makeshift or chosen().by or is_file(fetched_path(NAME)):
            return None
        stamp = folder / _STAMP
        if is_file(stamp) and 0 <= time.time() - stamp.stat().st_mtime < _DAY_S:
            return None
        ours, its = _accuracies()
        write_text(stamp, "")
        return (
            f"Named right: default {ours['mean']:.0%}, {NAME} {its['mean']:.0%} (overlap unknown): "
            f"ostinato fetch {NAME}"
        )
    return None


def _accuracies() -> list[dict[str, float]]:
    from ostinato.inference.catalogue import accuracy

    return [accuracy(name) for name in JUDGED]
