"""The verb ``doctor``: say what this installation is, for a report."""

from __future__ import annotations

import json
from typing import Any

import typer

from ostinato.cli.console import Format, one_blas_thread, write_line
from ostinato.errors import OstinatoError


def doctor(format_: Format = "table") -> None:
    """Say what this installation is, and whether it hears.

    Examples:
      ostinato doctor
      ostinato doctor --format json

    Versions, extras, folders, models, audio formats and threads, in a text to
    paste into a report. A home folder is written ~, and no file is named. The
    exit status is 1 if something that is needed is missing or broken.
    """
    one_blas_thread()
    from ostinato.inference.doctor import examine, is_sound

    found = examine()
    if format_ == "json":
        write_line(json.dumps(found, indent=1))
    else:
        for line in _lines(found):
            write_line(line)
    if not is_sound(found):
        raise typer.Exit(OstinatoError.exit_status)


def _lines(found: dict[str, Any]) -> list[str]:
    cores = f"{found['cores']} core{'s' if found['cores'] > 1 else ''}"
    hears = found["hears"]
    heard = (
        f"yes, a made sound in {hears['seconds']} s"
        if hears["works"]
        else f"no: {hears['problem']}"
    )
    folders = [
        f"{name:<9} {folder['path']}, {folder['files']} files, {folder['mb']} MB"
        + ("" if folder["can_be_written"] else ", CANNOT BE WRITTEN")
        for name, folder in found["folders"].items()
    ]
    models = [
        f"{model['name']:<17} version {model['version'] or '?'}, {model['state']}"
        + (", the default" if model.get("is_default") else "")
        for model in found["models"]
    ]
    extras = [f"{name:<9} {_extra(packages)}" for name, packages in found["extras"].items()]
    audio = found["audio"]
    return [
        f"Ostinato {found['ostinato']}, Python {found['python']}, {found['system']}",
        f"{cores}, {found['memory_gb']} GB",
        f"Hears: {heard}",
        *_part("Needs", [_joined(found["packages"])]),
        *_part("Extras", extras),
        *_part("Models", models),
        *_part("Audio", [
            f"libsndfile {audio['libsndfile']}, libsoxr {audio['libsoxr']}, FFmpeg inside PyAV: "
            f"{_joined(audio['ffmpeg'])}",
            f"decodes {_joined({name: '' for name, there in audio['codecs'].items() if there})}",
        ]),
        *_part("Devices", [
            _joined({name: "yes" if there else "no" for name, there in found["devices"].items()})
        ]),
        *_part("Folders", folders),
        *_part("Variables", [_joined(found["variables"]) or "none of those that matter are set"]),
    ]  # fmt: skip


def _part(name: str, lines: list[str]) -> list[str]:
    return ["", name, *(f"  {line}" for line in lines)]


def _joined(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version or ''}".strip() for name, version in versions.items())


def _extra(packages: dict[str, str | None]) -> str:
    missing = [name for name, version in packages.items() if version is None]
    if len(missing) == len(packages):
        return "not installed"
    return f"lacks {', '.join(missing)}" if missing else "installed"
