"""What this installation is: versions, extras, folders, models, formats, and whether it hears.

It is made to be pasted into a report: a home folder is written ``~``, and no file is named.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from ostinato.errors import OstinatoError
from ostinato.parallel import cpu_count, memory_bytes
from ostinato.storage import user_cache, user_data, user_settings

_NEEDED = re.compile(r"([\w.-]+)(?:\[([^\]]*)\])?[^;]*(?:;.*?\bextra\s*==\s*[\"']([\w-]+)[\"'].*)?")
_NOT_TOLD = ("all", "dev", "docs", "mutants", "release")
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OSTINATO_DEVICE", "OSTINATO_MODEL")
_CODECS = ("mp3", "aac", "flac", "vorbis", "opus", "alac", "wmav2", "wavpack", "ac3", "pcm_s16le")


def examine() -> dict[str, Any]:
    """Examine this installation; all values are plain, for JSON."""
    from ostinato import __version__

    return {
        "ostinato": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cpu_count(),
        "memory_gb": round(memory_bytes() / 2**30, 1),
        "packages": dict(_packages("")),
        "extras": _extras(),
        "variables": _variables(),
        "folders": _folders(),
        "devices": _devices(),
        "audio": _audio(),
        "models": _models(),
        "hears": _hears(),
    }


def _requirements() -> Iterator[tuple[str, str, str]]:
    """Packages that are needed, the extras of theirs, and the extra that needs them or ``""``."""
    with suppress(metadata.PackageNotFoundError):  # run from a folder, not installed
        for line in metadata.requires("ostinato") or ():
            if found := _NEEDED.match(line):
                yield found[1], found[2] or "", found[3] or ""


def _packages(extra: str) -> Iterator[tuple[str, str | None]]:
    """Packages that an extra needs, with those of the extras inside it; None: not installed."""
    for name, inner, needed_by in _requirements():
        if needed_by != extra:
            continue
        if name == "ostinato":
            for each in inner.split(","):
                yield from _packages(each.strip())
            continue
        version = None
        with suppress(metadata.PackageNotFoundError):
            version = metadata.version(name)
        yield name, version


def _extras() -> dict[str, dict[str, str | None]]:
    names = sorted({extra for _, _, extra in _requirements() if extra} - {*_NOT_TOLD})
    return {name: dict(_packages(name)) for name in names}


def _variables() -> dict[str, str]:
    found = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {name: "(a file)" if os.sep in value else value for name, value in found.items()}


def _folders() -> dict[str, dict[str, Any]]:
    places: dict[str, Path | None] = {"cache": user_cache()[0], "settings": user_settings("")}
    with suppress(OstinatoError):  # there is no home
        places["data"] = user_data("")
    return {name: _folder(path) for name, path in places.items() if path is not None}


def _folder(path: Path) -> dict[str, Any]:
    nearest = next(p for p in (path, *path.parents) if p.exists())
    home, shown = os.path.expanduser("~"), str(path)  # noqa: PTH111 - ~ may be nowhere
    if home not in ("~", "/") and shown.startswith(home):
        shown = "~" + shown[len(home) :]
    files = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    return {
        "path": shown,
        "can_be_written": os.access(nearest, os.W_OK | os.X_OK),
        "files": len(files),
        "mb": round(sum(files) / 1e6, 1),
    }


def _devices() -> dict[str, Any]:
    import onnxruntime

    from ostinato.inference.session import DEVICES

    available = onnxruntime.get_available_providers()
    return {name: device.provider in available for name, device in DEVICES.items()}


def _audio() -> dict[str, Any]:
    import av
    import soundfile
    import soxr

    return {
        "ffmpeg": {name: ".".join(map(str, v)) for name, v in av.library_versions.items()},
        "libsndfile": soundfile.__libsndfile_version__,
        "libsoxr": soxr.__libsoxr_version__,
        "codecs": {name: name in av.codecs_available for name in _CODECS},
    }


def _models() -> list[dict[str, Any]]:
    """The models by their state: a user's own are counted, for their names are the user's."""
    from ostinato.inference.catalogue import catalogue

    try:
        known = catalogue()
    except OstinatoError as error:  # of the settings
        problem = type(error).__name__
        return [{"name": "?", "version": None, "is_default": True, "state": f"damaged ({problem})"}]
    return [
        {
            "name": "(own)" if model["kind"] in ("own", "file") else model["name"],
            "version": model["version"],
            "is_default": model["default"],
            "state": _state(model),
        }
        for model in known
    ]


def _state(model: dict[str, Any]) -> str:
    if model["problem"] is None:
        return "usable"
    is_there = model["bytes"] is not None
    return "damaged" if is_there or model["kind"] != "fetched" else "not fetched"


def _hears() -> dict[str, Any]:
    """Hear five seconds of a made sound by the model that ships, from a file of its own."""
    import tempfile

    import numpy as np
    import soundfile

    from ostinato.inference.classifier import Classifier

    seconds, rate_hz = 5.0, 22_050
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = sum(
        np.sin(2 * np.pi * f * t) * (1 + np.sin(2 * np.pi * 2 * t)) for f in (220, 277, 330)
    )
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made.flac"
            soundfile.write(path, 0.1 * np.asarray(sound), rate_hz)
            verdict = Classifier.load("default").classify(path)
    except (OSError, OstinatoError) as error:
        return {"works": False, "problem": f"{type(error).__name__}: {error}"}
    if len(verdict.ranked) != len(verdict.genres):
        return {"works": False, "problem": f"the verdict ranks {len(verdict.ranked)} genres"}
    return {"works": True, "seconds": round(time.perf_counter() - started, 2)}


def is_sound(found: dict[str, Any]) -> bool:
    """Whether nothing that is needed is missing or broken."""
    return (
        found["hears"]["works"]
        and None not in found["packages"].values()
        and not any(model["state"].startswith("damaged") for model in found["models"])
        and sys.version_info >= (3, 11)
    )
