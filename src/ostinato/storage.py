"""Files written whole or not at all, and names of files that are safe to print."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from ostinato.errors import OstinatoError, UsageError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class WriteError(OstinatoError):
    """A file could not be written: no permission, no space."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a temporary sibling, which takes the place of ``path`` when all went well.

    The folder is made if it is not there. However the program ends, ``path`` holds either what it
    held before or all of what is new.

    Raises
    ------
    WriteError
        If the folder cannot be made or the file cannot be written; no part of the file is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)  # not tempfile, whose files nobody else may read
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:  # not the system's word: a library says what it cannot write
            raise
        raise WriteError(f"Cannot write {path}: {cause(error)}.") from error
    finally:
        with suppress(OSError):  # where it cannot be removed, the first error is what to tell
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def refuse_address(path: str | os.PathLike[str]) -> None:
    """Raise a UsageError where an address, such as ``https://...``, is given for a path."""
    name = os.fspath(path)
    if _ADDRESS.match(name) and not os.path.lexists(name):
        raise UsageError(
            f"Expected a path, got the address {name}: download it first; sound can come through a "
            f"pipe: ffmpeg -i {shlex.quote(name)} -f wav - | ostinato classify -"
        )


def is_folder(path: Path) -> bool:
    """Whether there is a folder here; False where that may not be known."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder above is closed


def is_file(path: Path) -> bool:
    """Whether there is a file here; False where that may not be known."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where a folder above is closed


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` as the home folder; UsageError where there is none, or for an address."""
    refuse_address(path)
    found = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises RuntimeError
    if found.startswith("~") and Path(found).parts[0] == "~":
        raise UsageError(f"Expected a home folder for {path}, got none; write the path in full.")
    return Path(found)


def user_cache() -> tuple[Path, str]:
    """The user's cache folder, which may not exist yet, and a sentence if it is a makeshift.

    Where there is no home, or no right to write there, it is a folder of the user among the
    temporary ones.
    """
    folder = _users(platformdirs.user_cache_dir)
    nearest = folder and next(p for p in (folder, *folder.parents) if is_file(p) or is_folder(p))
    if folder and nearest and os.access(nearest, os.W_OK | os.X_OK):
        return folder, ""
    user = getattr(os, "getuid", int)()
    makeshift = Path(tempfile.gettempdir()) / f"ostinato-{user}"
    if is_folder(makeshift) and makeshift.stat().st_uid != user:  # somebody else's trap
        makeshift = Path(tempfile.mkdtemp(prefix="ostinato-"))
    why = f"{folder} cannot be written" if folder else "there is no home folder for it"
    return makeshift, f"The cache is in {makeshift} for now: {why}."


def user_data(name: str, *, option: str = "--to") -> Path:
    """A place of this name in the user's folder for data; UsageError where there is no home.

    ``option`` of the command line is what chooses another place.
    """
    folder = _users(platformdirs.user_data_dir)
    if folder is None:
        raise UsageError(
            f"Expected a home folder, to keep {name} in, got none; choose one by {option}."
        )
    return folder / name


def user_settings(name: str) -> Path | None:
    """A place of this name in the user's folder for settings; None where there is no home."""
    folder = _users(platformdirs.user_config_dir)
    return folder and folder / name


def _users(folder: Callable[..., str]) -> Path | None:
    """One of platformdirs' folders for this program; None where there is no home."""
    try:
        found = Path(folder("ostinato", appauthor=False))
    except RuntimeError:  # of platformdirs from 4.4 on; older ones leave the ~
        return None
    return found if found.is_absolute() else None


def as_text(name: str) -> str:
    r"""Text that any file can hold, for programs: bytes that are not UTF-8 become ``\udcff``.

    Names of files are bytes on Linux, and need not be text.
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def csv_line(values: Iterable[str]) -> str:
    """A line of csv, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)  # quotes both kinds of line ends
    return line.getvalue().removesuffix("\r\n")


def printable(text: str, *, keep: str = "") -> str:
    r"""Text that does nothing to a terminal: control characters become ``\x1b``, ``\n`` and so on.

    So do bytes that are not UTF-8, what turns the direction of writing around, and separators of
    lines, but for the characters in ``keep``. A name takes one line then.
    """
    return _COMMANDS.sub(lambda c: c[0] if c[0] in keep else ascii(c[0])[1:-1], text)


def cause(error: BaseException | None) -> str:
    """Why a file cannot be read or written, and what to do about it."""
    no_permission = "permission is denied; choose another folder"
    no_folder = "a part of its path is a file, not a folder; choose another folder"
    causes = {
        errno.ENOSPC: "the disk is full; free some space, or choose another folder",
        errno.EDQUOT: "the disk quota is used up; free some space, or choose another folder",
        errno.EACCES: no_permission,
        errno.EPERM: no_permission,
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.ENOTDIR: no_folder,
        errno.EEXIST: no_folder,
        errno.EISDIR: "a folder of that name is in its place; remove it, or choose another name",
    }
    code = error.errno if isinstance(error, OSError) else None
    return causes.get(code or 0, os.strerror(code) if code else str(error))
