"""`fetch_gtzan` against a local server that breaks off, ignores ranges, lies and refuses."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from ostinato.datasets import download
from ostinato.datasets.checksums import SOURCE_URL, Checksum, checksums
from ostinato.datasets.download import DownloadError, fetch_gtzan
from ostinato.errors import DataError, OstinatoError, UsageError

FILES = {
    f"{genre}/{genre}.{number:05d}.wav": np.random.default_rng([i, number]).bytes(60_000 + number)
    for i, genre in enumerate(("blues", "rock"))
    for number in range(3)
}
TABLE = {path: Checksum(hashlib.sha256(b).hexdigest(), len(b)) for path, b in FILES.items()}


def tar_gz(files: dict[str, bytes], *extra: tarfile.TarInfo, first: str = "genres") -> bytes:
    """An archive with ``files`` below ``first``, and then the extra members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        folder = tarfile.TarInfo(first)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for path, content in files.items():
            member = tarfile.TarInfo(f"{first}/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return stream.getvalue()


ARCHIVE = tar_gz(FILES)


@dataclass
class Server:
    """The local server's file, its faults, and the requests that it got."""

    url: str = ""
    body: bytes = ARCHIVE
    etag: str | None = '"one"'
    ranges: bool = True
    honest: bool = True  # False: answers ranges without looking at If-Range
    break_after: list[int] = field(default_factory=list)  # bytes; one for each request to break
    statuses: list[int] = field(default_factory=list)  # one for each request to refuse
    asked: list[dict[str, str]] = field(default_factory=list)  # headers of each request


@pytest.fixture
def server() -> Iterator[Server]:
    offer = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/data/genres.tar.gz")
                self.end_headers()
                return
            offer.asked.append(dict(self.headers))
            if offer.statuses:
                self.send_error(offer.statuses.pop(0))
                return
            start = 0
            wanted = self.headers.get("Range")
            same = not offer.honest or self.headers.get("If-Range") == offer.etag
            if wanted and offer.ranges and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(offer.body):
                    self.send_error(416)
                    return
                self.send_response(206)
                last, total = len(offer.body) - 1, len(offer.body)
                self.send_header("Content-Range", f"bytes {start}-{last}/{total}")
            else:
                self.send_response(200)
            if offer.etag:
                self.send_header("ETag", offer.etag)
            self.send_header("Content-Length", str(len(offer.body) - start))
            self.end_headers()
            stop = len(offer.body)
            if offer.break_after:
                stop = start + offer.break_after.pop(0)
            self.wfile.write(offer.body[start:stop])

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    offer.url = f"http://127.0.0.1:{http.server_address[1]}/data/genres.tar.gz"
    yield offer
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_FIRST_PAUSE_S", 0.0)


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """`fetch_gtzan` of the small collection; keyword arguments go through."""

    def call(**changes: Any) -> Path:
        arguments = {"to": tmp_path, "url": server.url, "expected": TABLE}
        return fetch_gtzan(**{**arguments, **changes})

    return call


def assert_complete(genres: Path) -> None:
    """Every file is there with its content, and nothing else lies beside them."""
    found = {p.relative_to(genres).as_posix(): p for p in genres.rglob("*") if p.is_file()}
    assert sorted(found) == sorted(FILES)
    assert all(found[path].read_bytes() == content for path, content in FILES.items())
    assert [path.name for path in genres.parent.iterdir()] == ["genres"]


def message(caught: pytest.ExceptionInfo[OstinatoError]) -> str:
    """The error's text, which must be one line and have the exit status of a failure."""
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_status == 1
    return text


class TestDownload:
    def test_brings_every_file_and_leaves_nothing_else(
        self, fetch: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said: list[str] = []
        genres = fetch(to=tmp_path / "new" / "folder", tell=said.append)
        assert genres == tmp_path / "new" / "folder" / "genres"
        assert_complete(genres)
        assert said == [f"GTZAN is complete in {genres}: 6 files verified."]
        assert capsys.readouterr() == ("", "")

    def test_second_call_verifies_and_asks_the_server_nothing(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        fetch()
        said: list[str] = []
        assert_complete(fetch(tell=said.append))
        assert len(server.asked) == 1
        assert said[0].endswith("6 files verified, nothing to download.")

    def test_reports_bytes_of_each_step(self, fetch: Callable[..., Path]) -> None:
        seen: dict[str, list[tuple[int, int]]] = {}
        fetch(progress=lambda what, done, total: seen.setdefault(what, []).append((done, total)))
        assert list(seen) == ["Downloading", "Extracting", "Verifying"]
        for steps in seen.values():
            assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert seen["Downloading"][-1] == (len(ARCHIVE), len(ARCHIVE))
        assert seen["Verifying"][-1][0] == sum(len(content) for content in FILES.values())

    @pytest.mark.parametrize("breaks", [[100_000], [0], [70_000, 0, 0, 70_000, 50_000]])
    def test_resumes_where_the_connection_broke(
        self, fetch: Callable[..., Path], server: Server, breaks: list[int]
    ) -> None:
        server.break_after = list(breaks)
        said: list[str] = []
        assert_complete(fetch(tell=said.append))
        assert len(server.asked) == 1 + len(breaks)
        assert said[0].startswith("The download broke off (the connection closed after")
        if breaks[0]:
            assert server.asked[-1]["Range"] == f"bytes={sum(breaks)}-"
            assert server.asked[-1]["If-Range"] == '"one"'

    def test_resumes_through_a_redirection(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        """Hugging Face answers with the address of a store; it must get the range as well."""
        server.break_after = [100_000]
        assert_complete(fetch(url=server.url.replace("/data/genres.tar.gz", "/moved")))
        assert [asked.get("Range") for asked in server.asked] == [None, "bytes=100000-"]

    def test_retries_are_bounded_and_what_came_is_kept(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        server.break_after = [90_000] + [0] * 10
        with pytest.raises(DownloadError) as caught:
            fetch()
        assert len(server.asked) == 1 + 4
        assert "run again to resume the download" in message(caught)
        assert (tmp_path / "genres.tar.gz.part").stat().st_size == 90_000
        server.break_after = []
        assert_complete(fetch())
        assert server.asked[-1]["Range"] == "bytes=90000-"

    def test_pauses_grow(
        self, fetch: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(download, "_FIRST_PAUSE_S", 1.0)
        monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))
        server.statuses = [503] * 4
        assert_complete(fetch())
        assert pauses == [1, 2, 4, 8]

    def test_interrupted_download_resumes(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        def interrupt(what: str, done: int, total: int) -> None:
            if done > 100_000:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(progress=interrupt)
        have = (tmp_path / "genres.tar.gz.part").stat().st_size
        assert 100_000 < have < len(ARCHIVE)
        assert_complete(fetch())
        assert server.asked[-1]["Range"] == f"bytes={have}-"

    def test_interrupted_after_the_last_byte_downloads_nothing_again(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        def interrupt(what: str, done: int, total: int) -> None:
            if done == total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(progress=interrupt)
        assert_complete(fetch())
        assert len(server.asked) == 1

    def test_server_without_ranges_starts_over(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        server.ranges = False
        server.break_after = [100_000]
        assert_complete(fetch())

    def test_server_that_always_breaks_and_knows_no_ranges_is_given_up(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        server.ranges = False
        server.break_after = [100_000] * 50
        with pytest.raises(DownloadError):
            fetch()
        assert len(server.asked) == 1 + 4

    @pytest.mark.parametrize("honest", [True, False])
    def test_changed_file_starts_over(
        self, fetch: Callable[..., Path], server: Server, honest: bool
    ) -> None:
        """The head of one edition must not get the tail of another, even if the server sends it."""
        server.body = b"\x00" * 200_000
        server.break_after = [100_000] + [0] * 4
        with pytest.raises(DownloadError):
            fetch()
        server.body, server.etag, server.honest, server.break_after = ARCHIVE, '"two"', honest, []
        assert_complete(fetch())

    def test_shorter_file_on_a_dishonest_server_starts_over(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        server.body = b"\x00" * 2 * len(ARCHIVE)
        server.break_after = [len(ARCHIVE) + 1] + [0] * 4
        with pytest.raises(DownloadError):
            fetch()
        server.body, server.honest, server.break_after = ARCHIVE, False, []
        assert_complete(fetch())  # by way of 416

    @pytest.mark.parametrize("etag", [None, 'W/"weak"'])
    def test_without_a_strong_etag_starts_over(
        self, fetch: Callable[..., Path], server: Server, etag: str | None
    ) -> None:
        server.etag = etag
        server.break_after = [100_000]
        assert_complete(fetch())
        assert "Range" not in server.asked[-1]

    def test_damaged_state_starts_over(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "genres.tar.gz.part").write_bytes(b"half")
        (tmp_path / "genres.tar.gz.part.json").write_text("{")
        assert_complete(fetch())
        assert "Range" not in server.asked[0]


class TestRefused:
    @pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (401, 1), (503, 5)])
    def test_status_is_told(
        self, fetch: Callable[..., Path], server: Server, status: int, tries: int
    ) -> None:
        server.statuses = [status] * 10
        with pytest.raises(DownloadError, match=f"from 127.0.0.1 .it answered {status} ") as caught:
            fetch()
        assert len(server.asked) == tries
        message(caught)

    def test_no_connection_says_host_reason_and_what_to_do(self, tmp_path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/genres.tar.gz"
        said: list[str] = []
        with pytest.raises(DownloadError) as caught:
            fetch_gtzan(to=tmp_path, url=url, expected=TABLE, tell=said.append)
        text = message(caught)
        assert "from 127.0.0.1 (connection refused)" in text
        assert f"download {url} by hand and put it at {tmp_path / 'genres.tar.gz'}" in text
        assert "'ostinato study' needs no download" in text
        assert said == []  # nobody waits for retries where there is no network

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (URLError(socket.gaierror(-2, "Name or service not known")), "could not be resolved"),
            (URLError(TimeoutError("timed out")), "no answer for 30 s"),
            (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        ],
    )
    def test_reasons_in_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
    ) -> None:
        def urlopen(*args: Any, **settings: Any) -> None:
            raise error

        monkeypatch.setattr(download, "urlopen", urlopen)
        with pytest.raises(DownloadError, match=rf"from huggingface.co \(.*{words}") as caught:
            fetch_gtzan(to=tmp_path, expected=TABLE, tell=lambda line: None)
        assert SOURCE_URL in message(caught)

    @pytest.mark.parametrize("url", ["ftp://host/genres.tar.gz", "genres.tar.gz", "http://", ""])
    def test_address_that_is_none(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(UsageError, match="begins with http"):
            fetch_gtzan(to=tmp_path, url=url, expected=TABLE)

    def test_full_disk_is_told_before_the_download(
        self, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Room is needed for the archive and for what comes out of it."""
        needed = len(ARCHIVE) + sum(len(content) for content in FILES.values())
        usage = SimpleNamespace(free=needed - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        with pytest.raises(DownloadError, match=r"Not enough room .* are free"):
            fetch()
        assert not (tmp_path / "genres.tar.gz.part").exists()
        usage.free = needed
        assert_complete(fetch())

    def test_folder_that_cannot_be_written(
        self, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DownloadError, match=r"Cannot keep GTZAN in .*file") as caught:
            fetch(to=tmp_path / "file" / "below")
        message(caught)


def link(kind: bytes, name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def plain(name: str, size: int = 1) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


class TestUnsafeArchive:
    @pytest.mark.parametrize(
        ("member", "reason"),
        [
            (plain("../escaped"), "leads out of the folder"),
            (plain("genres/../../escaped"), "leads out of the folder"),
            (plain("..\\escaped"), "leads out of the folder"),
            (plain("/escaped"), "an absolute path"),
            (plain("C:\\escaped"), "an absolute path"),
            (link(tarfile.SYMTYPE, "genres/blues/link", "/etc/passwd"), "a link"),
            (link(tarfile.SYMTYPE, "genres/blues/link", "blues.00000.wav"), "a link"),
            (link(tarfile.LNKTYPE, "genres/hard", "genres/blues/blues.00000.wav"), "a link"),
            (link(tarfile.CHRTYPE, "genres/device", ""), "neither a file nor a folder"),
            (link(tarfile.FIFOTYPE, "genres/pipe", ""), "neither a file nor a folder"),
        ],
    )
    def test_is_refused_and_nothing_of_it_kept(
        self,
        fetch: Callable[..., Path],
        server: Server,
        tmp_path: Path,
        member: tarfile.TarInfo,
        reason: str,
    ) -> None:
        server.body = tar_gz(FILES, member)
        folder = tmp_path / "deep" / "folder"
        with pytest.raises(DataError) as caught:
            fetch(to=folder)
        text = message(caught)
        assert reason in text
        assert member.name in text
        assert list(folder.iterdir()) == []
        assert not list(tmp_path.rglob("*escaped*"))

    def test_files_that_are_not_expected_are_not_extracted(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        server.body = tar_gz(FILES, plain("genres/blues/extra.wav"), plain("elsewhere/README"))
        assert_complete(fetch())

    def test_a_file_larger_than_it_should_be_is_not_extracted(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        """An archive of 1 GB of zeros fills no disk."""
        path = next(iter(FILES))
        server.body = tar_gz({**FILES, path: bytes(10_000_000)})
        with pytest.raises(DataError, match=f"1 different .{path}"):
            fetch()
        assert not (tmp_path / "genres.part" / path).exists()


class TestVerification:
    def test_wrong_and_missing_files_are_named(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        changed, missing, *rest = sorted(FILES)
        content = bytearray(FILES[changed])
        content[1000] ^= 1
        server.body = tar_gz({changed: bytes(content)} | {path: FILES[path] for path in rest})
        with pytest.raises(DataError) as caught:
            fetch()
        assert f"1 missing ({missing}) and 1 different ({changed})" in message(caught)
        assert not (tmp_path / "genres").exists()

    def test_after_a_mismatch_the_next_call_downloads_anew(
        self, fetch: Callable[..., Path], server: Server
    ) -> None:
        server.body = tar_gz({path: FILES[path] for path in list(FILES)[1:]})
        with pytest.raises(DataError):
            fetch()
        server.body = ARCHIVE
        assert_complete(fetch())

    def test_many_names_are_shortened(self, fetch: Callable[..., Path], server: Server) -> None:
        server.body = tar_gz({})
        with pytest.raises(DataError, match=r"got 6 missing \(.* and 1 more\)"):
            fetch()

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>Please sign in to the hotel network</html>",
            b"",
            ARCHIVE[: len(ARCHIVE) // 2],
            ARCHIVE[:100_000] + bytes(1000) + ARCHIVE[101_000:],
            gzip.compress(b"no tar" * 200, mtime=0),
        ],
        ids=["a page", "nothing", "half", "damaged", "no tar"],
    )
    def test_what_is_no_archive_is_told(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path, body: bytes
    ) -> None:
        server.body = body
        with pytest.raises(DataError, match=r"archive|GTZAN") as caught:
            fetch()
        message(caught)
        assert not (tmp_path / "genres.tar.gz").exists()
        server.body = ARCHIVE
        assert_complete(fetch())

    def test_archive_put_there_by_hand_is_used_and_kept(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        by_hand = tmp_path / "genres.tar.gz"
        by_hand.write_bytes(ARCHIVE)
        said: list[str] = []
        fetch(tell=said.append)
        assert said[0].endswith(f"{by_hand} is no longer needed.")
        assert by_hand.read_bytes() == ARCHIVE
        assert server.asked == []
        by_hand.unlink()
        assert_complete(tmp_path / "genres")

    def test_damaged_archive_put_there_by_hand_is_named_and_kept(
        self, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        by_hand = tmp_path / "genres.tar.gz"
        by_hand.write_bytes(ARCHIVE[:1000])
        with pytest.raises(DataError, match=r"genres\.tar\.gz cannot be read .* remove it"):
            fetch()
        assert by_hand.exists()

    def test_interrupted_extraction_is_resumed(
        self, fetch: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        """Verified files stay as they are; half a file is written again."""

        def interrupt(what: str, done: int, total: int) -> None:
            if what == "Extracting" and sum(1 for _ in tmp_path.rglob("*.wav")) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(progress=interrupt)
        first, second, *_ = sorted((tmp_path / "genres.part").rglob("*.wav"))
        os.utime(first, (1, 1))
        second.write_bytes(b"half")
        genres = fetch()
        kept = genres / "blues" / first.name
        assert kept.stat().st_mtime == 1
        assert len(server.asked) == 1  # the archive was whole already
        (tmp_path / "genres.tar.gz").unlink()  # not this call's download: left to its owner
        assert_complete(genres)

    def test_mends_a_collection_that_lost_files(
        self, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        genres = fetch()
        gone, damaged, whole, *_ = (genres / path for path in sorted(FILES))
        gone.unlink()
        damaged.write_bytes(b"damaged")
        os.utime(whole, (1, 1))
        assert_complete(fetch())
        assert whole.stat().st_mtime == 1

    def test_by_default_the_shipped_table_and_the_users_folder(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("platformdirs.user_data_dir", lambda *a, **k: str(tmp_path / "data"))
        with pytest.raises(DataError, match=r"expected 1000 files .* got 994 missing|1000 files"):
            fetch_gtzan(url=server.url)
        assert (tmp_path / "data" / "gtzan").is_dir()
        assert len(checksums()) == 1000
        assert "jazz/jazz.00054.wav" in checksums()  # corrupt, and known as such
