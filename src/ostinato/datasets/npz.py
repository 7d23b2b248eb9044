"""Archives of NumPy arrays (.npz), in which research groups share data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read the arrays of these names, in this order; nothing is unpickled.

    DataError if the file is no archive of arrays, or lacks one of these.
    """
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            arrays = {name: stored[name] for name in names if name in stored.files}
    except Exception as error:  # on damaged files zipfile and NumPy raise a dozen kinds
        raise DataError(
            f"{path}: expected an archive of NumPy arrays (.npz), got a file that cannot be read "
            f"as one ({error})."
        ) from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DataError(
            f"{path}: expected the arrays {', '.join(names)}; it lacks {', '.join(missing)}."
        )
    return arrays
