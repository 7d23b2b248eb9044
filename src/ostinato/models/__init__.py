"""Network families by name, their settings and their files: one network family a file.

>>> from ostinato import models
>>> model = models.build("lstm", spec=spec, n_genres=10, settings=models.parse_settings("lstm", {}))
"""

from ostinato.models.genre_model import GenreModel, count_parameters
from ostinato.models.registry import (
    FAMILIES,
    Family,
    build,
    family,
    load,
    parse_settings,
    save,
)

__all__ = [
    "FAMILIES",
    "Family",
    "GenreModel",
    "build",
    "count_parameters",
    "family",
    "load",
    "parse_settings",
    "save",
]
