"""Names of genres: ID3's numbers, and how one field of ID3 holds several.

ID3v2.3 (4.2.1) has references in brackets and at most one text behind them, ``(17)(8)Viking
Metal``; ID3v2.4 has texts with a NUL between them. What is read is more than that: a number without
brackets, and what programs write in v2.3 besides, ``Rock; Jazz`` and a NUL. A slash does not
divide: there are genres with a slash in their name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mutagen._constants import GENRES

_NUMBERS = {name: number for number, name in enumerate(GENRES)}
_REFERENCE = re.compile(r"\((\d{1,3}|RX|CR)\)")
_WORDS = {"RX": "Remix", "CR": "Cover"}
NO_GENRE = 255
"""The number that stands for none."""


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


_BY_KEY = {_key(name): number for name, number in _NUMBERS.items()}


def number_of(name: str) -> int:
    """ID3v1's number of a genre, whatever its case and hyphens; 255 if it has none."""
    return _BY_KEY.get(_key(name), NO_GENRE)


def name_of(number: int) -> str:
    """Name of ID3v1's genre of this number; empty if there is none."""
    return GENRES[number] if 0 <= number < len(GENRES) else ""


def genres_in(texts: Sequence[str], version: int) -> list[str]:
    """Genres that the texts of a TCON field hold, in order, each once.

    Parameters
    ----------
    texts
        The field's texts, divided where it has a NUL.
    version
        2, 3 or 4, of ID3v2.
    """
    found: list[str] = []
    for whole in texts:
        text = whole.strip()
        while reference := _REFERENCE.match(text):
            found.append(_referred(reference[1]))
            text = text[reference.end() :].strip()
        text = text[1:] if text.startswith("((") else text
        parts = text.split(";") if version < 4 else [text]
        found += [_named(part.strip()) for part in parts]
    return list(dict.fromkeys(filter(None, found)))


def _referred(reference: str) -> str:
    return _WORDS.get(reference) or name_of(int(reference))


def _named(text: str) -> str:
    """A text that may be a number, as v2.4 has references; "20er Jahre" and "80s" are not."""
    if text in _WORDS:
        return _WORDS[text]
    if text.isdecimal() and text.isascii() and len(text) <= 3:
        return "" if int(text) == NO_GENRE else name_of(int(text)) or text
    return text


def tcon_texts(genres: Sequence[str], version: int) -> list[str]:
    """Texts of a TCON field that holds these genres: several only in version 4.

    One genre is its plain name. In versions 2 and 3, all but the last are references if all of them
    have a number; else the names are joined with ``"; "``, as programs do.
    """
    if version == 4 or not genres:
        return list(genres)
    *first, text = genres
    references = "".join(f"({_NUMBERS[name]})" for name in first if name in _NUMBERS)
    if any(name not in _NUMBERS for name in first):
        references, text = "", "; ".join(genres)
    return [references + ("(" if text.startswith("(") else "") + text]
