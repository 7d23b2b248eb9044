"""Download of the GTZAN collection: resumed after a break, extracted safely, verified by SHA-256.

Files in the folder::

    genres.tar.gz.part    the bytes so far; .part.json beside it says of which file on the server
    genres.tar.gz         the whole archive; removed at the end if this call downloaded it
    genres.part/          files extracted so far
    genres/               the collection, every file verified

Each step resumes from the last call: downloaded bytes are kept as long as the server's file is the
same, and files with the right SHA-256 stay.
"""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import socket
import ssl
import tarfile
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ostinato.datasets.checksums import SOURCE_URL, Checksum, checksums, not_verified
from ostinato.errors import DataError, OstinatoError, UsageError, first_of
from ostinato.storage import expanded, user_data

Report = Callable[[str, int, int], None]
"""Called with the step (``"Downloading"``), the bytes done, and the total (0 if not known)."""

_CHUNK_BYTES = 1 << 16
_TIMEOUT_S = 30.0
_RETRIES = 4  # in a row, without a new byte
_FIRST_PAUSE_S = 1.0  # doubled from one retry to the next


class DownloadError(OstinatoError):
    """A collection could not be downloaded (exit status 1)."""


class _BrokenError(Exception):
    """The connection failed or broke, and another try may succeed."""


class _UnreachableError(_BrokenError):
    """Another try would fail as well."""


def fetch_gtzan(
    *,
    to: Path | None = None,
    url: str = SOURCE_URL,
    expected: Mapping[str, Checksum] | None = None,
    progress: Report | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Download GTZAN (1.2 GB), extract it and verify every file, or resume a download.

    Parameters
    ----------
    to : Path, optional
        The folder that gets ``genres/``; by default ``gtzan`` in the user's data folder.
    url : str
        The archive's address.
    expected : mapping of str to Checksum, optional
        The files to extract, by their path below ``genres/``; by default those of the table that
        ships with Ostinato.
    progress : callable, optional
        Called with the step, its bytes done and in all.
    tell : callable, optional
        Called with messages, a sentence each.

    Returns
    -------
    Path
        The folder ``genres``, with a folder a genre.

    Raises
    ------
    UsageError
        If ``url`` is not http or https.
    DownloadError
        If there is no network, the server refuses, or the disk is full or cannot be written.
    DataError
        If the archive is damaged or unsafe, or files are missing from it or differ.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UsageError(f"Expected an address that begins with http:// or https://, got '{url}'.")
    folder = user_data("gtzan") if to is None else expanded(to)
    table = checksums() if expected is None else expected
    report, tell = progress or (lambda what, done, total: None), tell or (lambda sentence: None)
    try:
        return _fetch(folder, url, table, report, tell)
    except OSError as error:
        raise DownloadError(
            f"Cannot keep GTZAN in {folder} ({error.strerror or error}, "
            f"at {error.filename or folder}): free some space or choose another folder."
        ) from error


def _fetch(
    folder: Path,
    url: str,
    expected: Mapping[str, Checksum],
    report: Report,
    tell: Callable[[str], None],
) -> Path:
    genres, staged, archive = (folder / name for name in ("genres", "genres.part", "genres.tar.gz"))
    wanted = not_verified(genres, expected, report)
    if not wanted:
        tell(f"GTZAN is complete in {genres}: {len(expected)} files verified, nothing to download.")
        return genres
    todo = not_verified(staged, wanted, report)
    downloaded = bool(todo) and not archive.exists()
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
        extracted_bytes = sum(checksum.n_bytes for checksum in todo.values())
        if downloaded:
            _download(url, archive, extracted_bytes, report, tell)
        _check_space(folder, extracted_bytes)
        try:
            in_archive = _extract(archive, staged, todo, report)
            _check_complete(not_verified(staged, todo, report), in_archive, todo, archive)
        except DataError:
            if downloaded:  # a user's own archive stays; the sentence says what to do with it
                archive.unlink()
            raise
    _put_in_place(staged, genres, wanted)
    if downloaded:
        archive.unlink()
    left = f" {archive} is no longer needed." if archive.exists() else ""
    tell(f"GTZAN is complete in {genres}: {len(expected)} files verified.{left}")
    return genres


def _download(
    url: str, archive: Path, reserve_bytes: int, report: Report, tell: Callable[[str], None]
) -> None:
    """Download ``url`` to ``archive``, resumed after each break."""
    part = archive.with_name(f"{archive.name}.part")
    at_start = furthest = _size(part)
    failures = 0
    while True:
        try:
            _receive(url, part, reserve_bytes, report)
            break
        except _BrokenError as broken:
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            hopeless = isinstance(broken, _UnreachableError) and furthest == at_start
            if hopeless or failures > _RETRIES:
                raise _failed(url, archive, str(broken)) from broken
            pause_s = _FIRST_PAUSE_S * 2 ** (failures - 1)
            tell(f"The download broke off ({broken}); trying again in {pause_s:g} s.")
            time.sleep(pause_s)
        except HTTPError as error:
            raise _failed(url, archive, f"it answered {error.code} {error.reason}") from error
    part.replace(archive)
    _state_file(part).unlink(missing_ok=True)


def _receive(url: str, part: Path, reserve_bytes: int, report: Report) -> None:
    """Request the bytes that ``part`` lacks, once, and append them; it is whole on return."""
    etag, total = _read_state(part)
    have = _size(part) if etag else 0
    if have and have == total:
        return  # the last call was interrupted between the last byte and the renaming
    headers = {"User-Agent": "ostinato", "Accept-Encoding": "identity"}
    if etag and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": etag}
    with _open(Request(url, headers=headers), part) as response:
        length = response.headers.get("Content-Length")
        answered = response.headers.get("ETag", "")
        resumed = (
            response.status == http.client.PARTIAL_CONTENT
            and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            and answered == etag
        )
        if response.status == http.client.PARTIAL_CONTENT and not resumed:
            _forget(part)
            raise _BrokenError("the file on the server has changed")
        have = have if resumed else 0
        total = have + int(length) if length else 0
        _check_space(part.parent, total - have + reserve_bytes)
        if not resumed:
            _forget(part)
            part.touch()
            if answered and not answered.startswith("W/"):  # a weak tag does not promise same bytes
                state = {"etag": answered, "bytes": total}
                _state_file(part).write_text(json.dumps(state), encoding="utf-8")
        with part.open("ab") as file:
            while chunk := _chunk(response):
                file.write(chunk)
                have += len(chunk)
                report("Downloading", have, total)
    if total and have != total:
        raise _BrokenError(f"the connection closed after {have} of {total} bytes")


def _open(request: Request, part: Path) -> http.client.HTTPResponse:
    """Send a request; errors that may be temporary become :class:`_BrokenError`."""
    try:
        response: http.client.HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            _forget(part)
            raise _BrokenError("the file on the server has changed") from error
        if error.code >= http.client.INTERNAL_SERVER_ERROR or error.code in (408, 429):
            raise _BrokenError(f"it answered {error.code} {error.reason}") from error
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _broken(error) from error
    return response


def _chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> _BrokenError:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, socket.gaierror):
        return _UnreachableError("its name could not be resolved")
    if isinstance(reason, ConnectionRefusedError):
        return _UnreachableError("connection refused")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _UnreachableError(f"its certificate is not valid: {reason.reason}")
    if isinstance(reason, TimeoutError):
        return _BrokenError(f"no answer for {_TIMEOUT_S:g} s")
    return _BrokenError(str(reason) or type(reason).__name__)


def _failed(url: str, archive: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"Could not download GTZAN from {urlsplit(url).hostname} ({reason}): check the network and "
        f"run again to resume the download, or download {url} by hand and put it at "
        f"{archive}; 'ostinato study' needs no download, as the frames ship with it."
    )


def _extract(
    archive: Path, staged: Path, wanted: Mapping[str, Checksum], report: Report
) -> set[str]:
    """Extract the wanted files to ``staged``; return all paths of the archive, below ``genres/``.

    DataError if the archive cannot be read, or is unsafe: then no file of it is kept.
    """
    in_archive = set()
    total = archive.stat().st_size
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
            for member in tar:
                unsafe = _why_unsafe(member)
                if unsafe:
                    shutil.rmtree(staged, ignore_errors=True)
                    raise DataError(
                        f"Nothing of {archive} was kept: expected files and folders below genres/, "
                        f"got '{member.name}', {unsafe}; this is not the GTZAN archive."
                    )
                path = PurePosixPath(member.name).as_posix().removeprefix("genres/")
                in_archive.add(path)
                if path in wanted and member.isfile() and member.size == wanted[path].n_bytes:
                    tar.extract(member.replace(name=path), staged, filter="data")
                report("Extracting", raw.tell(), total)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"The archive {archive} cannot be read ({error}): expected GTZAN as tar.gz; remove it, "
            "if you put it there, and run again to download it anew."
        ) from error
    return in_archive


def _why_unsafe(member: tarfile.TarInfo) -> str | None:
    """Why a member is refused: stricter than tarfile, which makes some of these harmless."""
    posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    if posix.is_absolute() or windows.anchor:
        return "an absolute path"
    if ".." in posix.parts or ".." in windows.parts:
        return "a path that leads out of the folder"
    if member.issym() or member.islnk():
        return "a link"
    if not (member.isfile() or member.isdir()):
        return "neither a file nor a folder"
    return None


def _check_complete(
    wrong: Mapping[str, Checksum],
    in_archive: Collection[str],
    wanted: Mapping[str, Checksum],
    archive: Path,
) -> None:
    """Raise DataError with the names of missing and different files, if there are any."""
    if not wrong:
        return
    found = []
    for what, there in (("missing", False), ("different", True)):
        paths = [path for path in wrong if (path in in_archive) is there]
        if paths:
            found.append(f"{len(paths)} {what} ({first_of(paths, 5)})")
    raise DataError(
        f"GTZAN from {archive}: expected {len(wanted)} files with the known SHA-256, got "
        f"{' and '.join(found)}; the archive is damaged or another edition: remove it, if you put "
        "it there, and run again to download it anew."
    )


def _put_in_place(staged: Path, genres: Path, wanted: Collection[str]) -> None:
    """Move the verified files into the collection."""
    if not genres.exists():
        staged.rename(genres)
        return
    for path in wanted:
        (genres / path).parent.mkdir(parents=True, exist_ok=True)
        (staged / path).replace(genres / path)
    shutil.rmtree(staged)


def _check_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise DownloadError(
            f"Not enough room for GTZAN in {folder}: it needs {needed_bytes / 1e9:.2f} GB more, "
            f"{free_bytes / 1e9:.2f} GB are free."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: Path) -> tuple[str, int]:
    """ETag and bytes of the server's file of which ``part`` is the beginning; or ("", 0)."""
    try:
        state = json.loads(_state_file(part).read_text(encoding="utf-8"))
        return str(state["etag"]), int(state["bytes"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", 0


def _forget(part: Path) -> None:
    _state_file(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)
