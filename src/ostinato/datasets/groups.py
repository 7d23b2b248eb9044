"""Groups of recordings that a split keeps together: linked rows, and artists as sets of people.

A table writes artists as it likes: ``"Lauryn Hill; Bob Marley"`` is by two, and Bob Marley may be
``"BOB MARLEY"`` in the next row. :func:`people` reads who is meant, and :func:`artist_groups` joins
all artists who are connected by a recording that they made together.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

_SEVERAL = re.compile(r";|\b(?:feat|ft)\b\.?|\bfeaturing\b", re.IGNORECASE)
# These are in the names of bands as well: "Earth, Wind & Fire", "AC/DC".
_PERHAPS = re.compile(r"[&,+/]|\b(?:and|with|vs|x)\b", re.IGNORECASE)


def linked(keys: Sequence[Iterable[Hashable]]) -> list[int]:
    """The first row of each row's group: rows that share a key, directly or in a chain."""
    parents = list(range(len(keys)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = i = parents[parents[i]]
        return i

    first: dict[Hashable, int] = {}
    for i, own in enumerate(keys):
        for key in own:
            a, b = root(i), root(first.setdefault(key, i))
            parents[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(keys))]


def artist_groups(artists: Sequence[str | None]) -> tuple[str | None, ...]:
    """Name the group of each row's artist; rows by connected artists have the same name.

    Artists are connected if one recording names both, directly or in a chain. A group has the name
    that most of its rows are written with, the first in the alphabet of several.

    Parameters
    ----------
    artists : sequence of str or None
        As the table writes them; None or blank where unknown, which is in no group: None.

    >>> artist_groups(["Bob Marley", "BOB MARLEY", "Lauryn Hill; Bob Marley", "Lauryn Hill", None])
    ('BOB MARLEY', 'BOB MARLEY', 'BOB MARLEY', 'BOB MARLEY', None)
    """
    written = sorted({name for name in artists if name is not None and name.strip()})
    alone = {_folded(part) for name in written for part in _parts(_SEVERAL, name)}
    first = linked([people(name, alone) for name in written])
    rows = Counter(artists)
    named: dict[int, str] = {}
    for name, group in zip(written, first, strict=True):
        if rows[name] > rows[named.setdefault(group, name)]:
            named[group] = name
    of = {name: named[group] for name, group in zip(written, first, strict=True)}
    return tuple(None if name is None else of.get(name) for name in artists)


def people(artist: str, known: Collection[str] = ()) -> frozenset[str]:
    """The artists that a name stands for, each in one spelling.

    A name is divided at ``;``, ``feat.``, ``ft.`` and ``featuring``. At ``&``, ``,``, ``+``, ``/``,
    ``and``, ``with``, ``vs`` and ``x``, which the names of bands hold as well, it is only divided
    to find parts that are ``known`` as artists of their own; the whole name stays one of them.
    Case, accents, spaces, punctuation, a leading "the", and "and" in place of "&" make no
    difference.

    >>> sorted(people("Beyoncé feat. Jay-Z"))
    ['beyonce', 'jayz']
    >>> sorted(people("Simon & Garfunkel"))
    ['simongarfunkel']
    >>> sorted(people("Simon & Garfunkel", known={"simon"}))
    ['simon', 'simongarfunkel']
    """
    names = _parts(_SEVERAL, artist)
    within = {_folded(part) for name in names for part in _parts(_PERHAPS, name)}
    return frozenset({_folded(name) for name in names} | (within & set(known)))


def _parts(at: re.Pattern[str], name: str) -> list[str]:
    """The parts of a name, blank ones left out: "Little Feat" is no two. The name if none is."""
    parts = [part for part in at.split(name) if _folded(part)]
    return parts if len(parts) > 1 else [name]


def _folded(name: str) -> str:
    """The letters and digits of a name that tell it apart, and all of it if it has none."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    plain = (c for c in letters if not unicodedata.combining(c))
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain).split()
    kept = [word for word in words[1:] if word != "and"]
    if words and (words[0] != "the" or not kept):
        kept.insert(0, words[0])
    return "".join(kept) or "".join(letters.split())
