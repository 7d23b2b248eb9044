"""Splits by their names: what ``--split`` accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ostinato.datasets.corpus import Corpus
from ostinato.datasets.splits.drawn import (
    HOLDOUT_SHARES,
    artist_folds,
    check_shares,
    holdout,
    song_folds,
    song_holdout,
)
from ostinato.datasets.splits.fold import Split, check_split
from ostinato.datasets.splits.published import fault_filtered, missing, strict
from ostinato.datasets.splits.segments import ARMS, LEAKING, SEGMENT_RANDOM, refuse_leak
from ostinato.datasets.splits.split_file import SUFFIX, load_split
from ostinato.errors import UsageError, near
from ostinato.storage import expanded, is_file

_LISTS: dict[str, Callable[[Corpus], Split]] = {
    "fault-filtered": fault_filtered,
    "strict": strict,
}
_HOLDOUTS: dict[str, Callable[..., Split]] = {"holdout": holdout, "song-holdout": song_holdout}
_FOLDS: dict[str, Callable[..., Split]] = {
    "artist-folds": artist_folds,
    "artist-folds-all": partial(artist_folds, examined_too=True),
    "song-folds": song_folds,
}
SPLITS = ("auto", *_LISTS, *_HOLDOUTS, *_FOLDS)
"""The names of honest splits: ``segment-random``, which leaks, is not among them."""


def check_settings(
    name: str, *, shares: Mapping[str, float] = HOLDOUT_SHARES, repeats: int = 1
) -> None:
    """Check the settings of a split, as far as this is possible without a corpus.

    Parameters are those of :func:`split_corpus`; the name may also be one of those splits of pieces
    that only a study makes, ``segment-random`` and the arms of the leak table.

    Raises
    ------
    UsageError
        If there is no such split, shares other than 60/20/20 are not for a holdout, or more than
        one repeat is not for folds that are drawn.
    """
    if name.endswith(SUFFIX):
        if not is_file(expanded(name)):
            raise UsageError(f"split: there is no file {name}.")
    elif name not in (*SPLITS, SEGMENT_RANDOM, *ARMS):
        raise UsageError(
            f"split: expected one of {', '.join(SPLITS)}, or a file {SUFFIX}; got '{name}'"
            + near(name, SPLITS)
        )
    check_shares(shares)
    if dict(shares) != HOLDOUT_SHARES and name not in ("auto", *_HOLDOUTS):
        raise UsageError(
            f"shares: only {' and '.join(_HOLDOUTS)} take shares, but the split is '{name}'."
        )
    if repeats < 1:
        raise UsageError(f"repeats: expected 1 or more, got {repeats}.")
    if repeats > 1 and name not in _FOLDS:
        raise UsageError(
            f"repeats: only folds that are drawn, {', '.join(_FOLDS)}, can be drawn {repeats} "
            f"times, but the split is '{name}'."
        )


def split_corpus(
    corpus: Corpus,
    name: str = "auto",
    *,
    seed: int = 0,
    shares: Mapping[str, float] = HOLDOUT_SHARES,
    repeats: int = 1,
) -> Split:
    """Split a corpus, and check that no recording leaks.

    Parameters
    ----------
    name : str
        One of :data:`SPLITS`, or the path of a saved split. ``auto`` is ``fault-filtered`` if
        the corpus is GTZAN and lacks no readable track of those lists, else ``holdout``.
    shares : dict of str to float
        The shares of train, valid and test in ``holdout`` and ``song-holdout``.
    repeats : int
        Number of times that folds are drawn, with seeds ``seed``, ``seed`` + 1, ...

    Raises
    ------
    UsageError
        As :func:`check_settings`.
    DataError
        If the corpus does not fit the split.
    LeakError
        If a recording is in two parts, or an artist whom the split keeps apart; always for
        ``segment-random`` and ``same-tracks``, which leak.
    """
    check_settings(name, shares=shares, repeats=repeats)
    if name in LEAKING:
        refuse_leak(name)
    if name in ARMS:
        raise UsageError(f"split: '{name}' is one of pieces of recordings, which a study makes.")
    if name.endswith(SUFFIX):
        return load_split(expanded(name), corpus)
    if name == "auto":
        name = "holdout" if missing(corpus) else "fault-filtered"
        check_settings(name, shares=shares)
    if name in _HOLDOUTS:
        split = _HOLDOUTS[name](corpus, seed=seed, shares=shares)
    elif name in _FOLDS:
        split = _FOLDS[name](corpus, seed=seed, repeats=repeats)
    else:
        split = _LISTS[name](corpus)
    return check_split(corpus, split)
