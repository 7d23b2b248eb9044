"""What a model's genres are called in files: renamed, merged into one, or left out.

A map is a TOML file with one table::

    [genres]
    hiphop = "Hip-Hop"      # renamed
    disco = "Dance"         # merged: two genres may have one name
    metal = ""              # left out: never written

Genres that it does not name keep their own. ``players.toml`` ships: names as players know them,
for the genres of the models that ship and others that are common.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ostinato.errors import UsageError, joined, near
from ostinato.storage import expanded, printable

PLAYERS, NONE = "players", "none"


class GenreMap:
    """The names of genres in files, whatever the case in which a model writes them."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {genre.casefold(): name for genre, name in names.items()}

    def names(self, genres: Sequence[str]) -> tuple[str, ...]:
        """What files call these genres: each name once, without those that are left out."""
        found = (self._names.get(genre.casefold(), genre) for genre in genres)
        return tuple(dict.fromkeys(filter(None, found)))


def load_map(
    name_or_path: str | Path = PLAYERS, *, genres: Sequence[str] | None = None
) -> GenreMap:
    """Load a map of genres: ``players``, ``none`` (names as they are), or a file.

    Parameters
    ----------
    genres : sequence of str, optional
        The model's. A file that names another one is refused.

    Raises
    ------
    UsageError
        If the file cannot be read, is no map, or names a genre that the model does not have.
    """
    if name_or_path == NONE:
        return GenreMap({})
    if name_or_path == PLAYERS:
        return GenreMap(_read(Path(__file__).with_name("players.toml")))
    path = expanded(name_or_path)
    names = _read(path)
    known = {genre.casefold() for genre in genres or names}
    for genre in names:
        if genre.casefold() not in known:
            raise UsageError(
                f"The genre map '{printable(str(path))}': expected genres of the model, "
                f"{joined(list(genres or ()))}, got '{genre}'" + near(genre, known)
            )
    return GenreMap(names)


def _read(path: Path) -> dict[str, str]:
    what = f"The genre map '{printable(str(path))}'"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} is not valid TOML: {error}.") from error
    names = values.get("genres")
    if set(values) != {"genres"} or not isinstance(names, dict):
        raise UsageError(f"{what}: expected one table, [genres], got {_told(values)}.")
    for genre, name in names.items():
        if not isinstance(name, str):
            raise UsageError(
                f'{what}, {genre}: expected a name in quotes, or "" to leave it out; got {name!r}.'
            )
    return {genre: " ".join(name.split()) for genre, name in names.items()}


def _told(values: Mapping[str, object]) -> str:
    return joined([f"'{key}'" for key in values]) or "none"
