"""The weights of MSD_musicnn, read from the public wheel of musicnn 0.1.0.

Private to :mod:`ostinato.inference.musicnn`. The wheel holds a checkpoint of TensorFlow 1: one file of bare
float32 numbers, variable after variable in the order of their names, each one that was trained
followed by the two moments that Adam kept of it. The wheel's SHA-256 is checked before anything in
it is read, so names and shapes say where everything lies, and TensorFlow is not needed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, OstinatoError

REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
DATA = "musicnn/MSD_musicnn/.data-00000-of-00001"
"""Of the wheel's files, the one with the numbers."""

Arrays = dict[str, NDArray[np.float32]]

_NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
_KERNELS = (
    (7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51),
    (7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64),
)  # fmt: skip
_DENSE = ((1506, 200), (200, 50))
_OF_ADAM = ("beta1_power", "beta2_power")


class FetchError(OstinatoError):
    """What was to be fetched could not be had (exit status 1)."""


def downloaded_wheel() -> bytes:
    """The wheel, as pip gets it: from the index that the user's pip is set to.

    Raises
    ------
    FetchError
        If there is no pip, or it cannot download the wheel.
    """
    instead = f"; or get {WHEEL} in another way, and give it with --wheel FILE"
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"musicnn cannot be downloaded: expected pip beside {sys.executable}, which has none: "
            f"python -m ensurepip{instead}."
        )
    with tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
        command = [
            sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps", "--dest", folder,
            "--only-binary=:all:", "--ignore-requires-python", "--disable-pip-version-check",
            "--no-input", "--quiet",
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        path = Path(folder, WHEEL)
        if ran.returncode != 0 or not path.is_file():
            said = ran.stderr.strip().rpartition("\n")[2].removeprefix("ERROR: ").rstrip(".")
            raise FetchError(
                f"musicnn cannot be downloaded: pip says '{said or 'nothing'}'; try again where "
                f"there is a network{instead}."
            )
        return path.read_bytes()


def read_wheel(path: Path) -> bytes:
    """A wheel that was downloaded before.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read the wheel {path}: {error.strerror or error}.") from error


def weights(wheel: bytes, *, source: str) -> Arrays:
    """The network's variables by name, once the wheel has proved to be the known one.

    Parameters
    ----------
    wheel : bytes
    source : str
        Where it is from, for the errors.

    Raises
    ------
    DataError
        If it is another file, or a damaged one.
    """
    found = hashlib.sha256(wheel).hexdigest()
    if found != WHEEL_SHA256:
        raise DataError(
            f"{source}: expected {WHEEL} with the SHA-256 {WHEEL_SHA256}, got {len(wheel)} bytes "
            f"with {found}; it is another file, or was damaged on its way."
        )
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        return arrays_in(files.read(DATA))


def arrays_in(data: bytes) -> Arrays:
    """Variables by name from the numbers of the checkpoint.

    Raises
    ------
    DataError
        If they are more or fewer than the network has.
    """
    arrays: Arrays = {}
    at = 0
    for name, shape in sorted(_shapes().items()):
        size = math.prod(shape)
        if 4 * (at + size) <= len(data):
            arrays[name] = np.frombuffer(data, "<f4", size, 4 * at).reshape(shape)
        copies = 1 if "/moving_" in name or name in _OF_ADAM else 3
        at += copies * size
    if len(data) != 4 * at:
        raise DataError(f"{DATA}: expected {4 * at} bytes of weights, got {len(data)}.")
    return {name: array for name, array in arrays.items() if name not in _OF_ADAM}


def _shapes() -> dict[str, tuple[int, ...]]:
    """All that the checkpoint holds, but the moments."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_OF_ADAM, ())
    for i, width in enumerate(_NORMS):
        for part in ("beta", "gamma", "moving_mean", "moving_variance"):
            shapes[f"{numbered('batch_normalization', i)}/{part}"] = (width,)
    for layer, kernels in (("conv2d", _KERNELS), ("dense", _DENSE)):
        for i, kernel in enumerate(kernels):
            shapes[f"{numbered(layer, i)}/kernel"] = kernel
            shapes[f"{numbered(layer, i)}/bias"] = kernel[-1:]
    return shapes


def numbered(layer: str, i: int) -> str:
    """As TensorFlow names the i-th layer of a kind: ``conv2d``, ``conv2d_1``, ..."""
    return f"{layer}_{i}" if i else layer
