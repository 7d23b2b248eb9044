"""Network families by name, their settings and their files: one network family a file.

>>> from ostinato import models
>>> model = models.build("lstm", spec=spec, n_genres=10, settings=models.family("lstm").settings())
"""

from ostinato.models.registry import (
    FAMILIES,
    Family,
    GenreModel,
    build,
    count_parameters,
    family,
    load,
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
    "save",
]
