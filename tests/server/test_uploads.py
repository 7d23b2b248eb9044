"""Uploads stream into a folder that is the server's own, within bounds, and leave nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ostinato.errors import OstinatoError
from ostinato.server.body import named
from ostinato.server.limits import Limits
from ostinato.server.uploads import Spool
from tests.helpers.serving import LIMITS, Raw, Small

MOST = LIMITS.upload_bytes
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/upload"


@pytest.fixture(autouse=True)
def nothing_is_left(small: Small) -> Iterator[None]:
    yield
    assert small.left == []


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def form(*parts: bytes, boundary: bytes = b"b", end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


def file_part(content: bytes, *, name: bytes = b"x.mp3") -> bytes:
    head = b'Content-Disposition: form-data; name="file"; filename="%s"\r\n' % name
    return head + b"Content-Type: audio/mpeg\r\n\r\n" + content


def post(url: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return httpx.post(url, content=body, headers=headers)


class TestReceived:
    @pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", "text/plain", ""])
    def test_a_body_is_a_file_whatever_its_type(self, url: str, kind: str) -> None:
        content = os.urandom(300_000)
        headers = {"Content-Type": kind} if kind else {}
        answer = httpx.post(url, content=content, headers=headers)
        assert answer.json() == [["upload", 300_000, sum(content)]]

    def test_files_of_a_form_come_in_order_and_other_parts_are_passed_over(self, url: str) -> None:
        first, second = os.urandom(200_000), b"--b\r\nlooks like an end\r\n--b"
        files = [("file", ("a.mp3", first)), ("file", ("b.flac", second))]
        answer = httpx.post(url, files=files, data={"title": "x" * 100})
        assert answer.json() == [["a.mp3", 200_000, sum(first)], ["b.flac", 27, sum(second)]]

    def test_a_form_byte_by_byte_is_the_same_form(self, port: int) -> None:
        body = form(file_part(b"abc\r\n--a"), b'Content-Disposition: form-data; name="t"\r\n\r\n1')
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n"
        slow = Raw(port, head % len(body))
        slow.drip(body, every_s=0.001)
        told = slow.rest().partition(b"\r\n\r\n")[2]
        assert json.loads(told) == [["x.mp3", 8, sum(b"abc\r\n--a")]]

    def test_chunks_are_taken(self, url: str) -> None:
        content = [b"a" * 10, b"b" * 70_000, b"c"]
        assert httpx.post(url, content=iter(content)).json()[0][1] == 70_011

    def test_an_empty_file_with_a_name_is_a_file(self, url: str) -> None:
        assert post(url, form(file_part(b""))).json() == [["x.mp3", 0, 0]]

    def test_who_asks_whether_to_go_on_is_told_so(self, port: int) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        asking = Raw(port, head + b"Connection: close\r\nContent-Length: 3\r\n\r\n")
        assert asking.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"[:25]
        asking.send(b"abc")
        assert asking.statuses() == [200]


class TestNames:
    @pytest.mark.parametrize(
        ("disposition", "name"),
        [
            ("", "upload"),
            ("attachment", "upload"),
            ('form-data; name="file"; filename="a b.mp3"', "a b.mp3"),
            ('form-data; filename="a;b.mp3"', "a;b.mp3"),
            ('form-data; filename="s\xc3\xb6ng.mp3"', "söng.mp3"),
            ("attachment; filename*=UTF-8''s%C3%B6ng.mp3", "söng.mp3"),
            ("attachment; filename*=iso-8859-1'de's%F6ng.mp3", "söng.mp3"),
            ("attachment; filename*=no-such''%41; filename=y", "y"),
            ('form-data; filename="../../etc/passwd"', "../../etc/passwd"),
            ('form-data; filename="a\x1b[31mb\x00c"', "a\\x1b[31mb\\x00c"),
            ("attachment; filename*=UTF-8''a%0D%0Ab%E2%80%AEc", "a\\r\\nb\\u202ec"),
            ('form-data; filename="   "', "upload"),
        ],
    )
    def test_a_name_is_a_line_of_text(self, disposition: str, name: str) -> None:
        assert named(disposition) == name

    def test_a_name_is_cut(self) -> None:
        assert named(f'form-data; filename="{"x" * 10_000}"') == "x" * 200 + "..."

    @pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\\..\\b", "CON", ".", "-rf"])
    def test_no_name_is_a_path(self, url: str, small: Small, name: str) -> None:
        before = set(small.spool.folder.parent.iterdir())
        answer = httpx.post(url, files={"file": (name, b"abc")})
        assert answer.json() == [[name, 3, sum(b"abc")]]
        assert set(small.spool.folder.parent.iterdir()) <= before | {small.spool.folder}

    def test_a_raw_body_is_named_by_its_header(self, url: str) -> None:
        headers = {"Content-Disposition": 'attachment; filename="a.mp3"'}
        assert httpx.post(url, content=b"abc", headers=headers).json()[0][0] == "a.mp3"


class TestTooMuch:
    def test_a_stated_length_is_refused_before_a_byte_is_sent(self, port: int) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
        refused = Raw(port, head + b"Content-Length: %d\r\n\r\n" % (MOST + 1))
        assert refused.problem() == (413, "too-large")

    def test_so_much_is_taken_and_no_byte_more(self, url: str) -> None:
        assert httpx.post(url, content=bytes(MOST)).json()[0][1] == MOST
        assert problem(httpx.post(url, content=bytes(MOST + 1))) == (413, "too-large")
        chunks = iter([bytes(MOST), b"x"])
        assert problem(httpx.post(url, content=chunks)) == (413, "too-large")
        assert post(url, form(file_part(bytes(MOST)))).json()[0][1] == MOST
        assert problem(post(url, form(file_part(bytes(MOST + 1))))) == (413, "too-large")

    def test_files_of_a_form_are_counted(self, url: str) -> None:
        assert len(post(url, form(*[file_part(b"x")] * 3)).json()) == 3
        assert problem(post(url, form(*[file_part(b"x")] * 4))) == (413, "too-many-files")
        assert problem(post(f"{url}?most=1", form(*[file_part(b"x")] * 2)))[0] == 413

    def test_fields_of_a_form_are_counted(self, url: str) -> None:
        field = b'Content-Disposition: form-data; name="t"\r\n\r\n1'
        assert post(url, form(*[field] * 16, file_part(b"x"))).status_code == 200
        assert problem(post(url, form(*[field] * 10_000))) == (400, "malformed")

    def test_what_is_beside_the_files_is_bounded(self, url: str) -> None:
        field = b'Content-Disposition: form-data; name="t"\r\n\r\n' + bytes(70_000)
        assert problem(post(url, form(field))) == (413, "too-large")

    def test_headers_of_a_part_are_bounded(self, url: str) -> None:
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(1000)) + file_part(b"x")
        assert problem(post(url, form(many))) == (400, "malformed")
        large = b"X: " + b"y" * 10_000 + b"\r\n" + file_part(b"x")
        assert problem(post(url, form(large))) == (400, "malformed")

    def test_the_spool_is_bounded(self, url: str, small: Small, monkeypatch) -> None:
        monkeypatch.setattr(small.spool, "n_bytes", LIMITS.spool_bytes - 10)
        assert httpx.post(url, content=b"x" * 10).status_code == 200
        answer = httpx.post(url, content=b"x" * 11)
        assert problem(answer) == (429, "busy")
        assert int(answer.headers["Retry-After"]) > 0
        small.spool.n_bytes = 0

    def test_uploads_at_a_time_are_bounded(self, port: int, url: str) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        slow = [Raw(port, head, b"x") for _ in range(LIMITS.uploads)]
        for _ in range(100):  # until the server has begun to receive them all
            answer = httpx.post(url, content=b"abc")
            if answer.status_code != 200:
                break
            time.sleep(0.05)
        assert problem(answer) == (429, "busy")
        for one in slow:
            one.send(b"x" * 9)
            one.socket.close()

    def test_a_full_disk_is_507(self, url: str, monkeypatch) -> None:
        def write(descriptor: int, data: bytes) -> int:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr("ostinato.server.folder.os.write", write)
        assert problem(httpx.post(url, content=b"abc")) == (507, "no-space")


class TestTooSlow:
    HEAD = b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "

    def test_a_pause(self, port: int) -> None:
        began, slow = time.monotonic(), Raw(port, self.HEAD + b"10\r\n\r\n", b"abc")
        assert slow.problem() == (408, "too-slow")
        assert LIMITS.idle_s <= time.monotonic() - began < 8

    def test_a_drip(self, port: int) -> None:
        began, slow = time.monotonic(), Raw(port, self.HEAD + b"99\r\n\r\n")
        threading.Thread(target=slow.drip, args=(b"x" * 30,)).start()
        assert slow.problem() == (408, "too-slow")
        assert LIMITS.upload_s <= time.monotonic() - began < 8


class TestMalformed:
    @pytest.mark.parametrize(
        ("kind", "body", "expected"),
        [
            ("audio/mpeg", b"", (422, "no-file")),
            ("multipart/form-data", form(file_part(b"x")), (400, "malformed")),
            (f"multipart/form-data; boundary={'b' * 300}", b"x", (400, "malformed")),
            ("multipart/form-data; boundary=b", b"", (400, "malformed")),
            ("multipart/form-data; boundary=b", b"no form", (400, "malformed")),
            ("multipart/form-data; boundary=b", b"--b--\r\n", (422, "no-file")),
            ("multipart/form-data; boundary=b", form(file_part(b"x"), end=b""), (400, "malformed")),
            ("multipart/form-data; boundary=b", form(b"\x00: x\r\n\r\n"), (400, "malformed")),
            (
                "multipart/form-data; boundary=b",
                form(file_part(b"", name=b"")),  # a browser's, of which nothing was chosen
                (422, "no-file"),
            ),
            (
                "multipart/form-data; boundary=b",
                form(b'Content-Disposition: form-data; name="file"\r\n\r\nx'),
                (422, "no-file"),
            ),
        ],
    )
    def test_it_is_told_so(self, url: str, kind: str, body: bytes, expected) -> None:
        assert problem(httpx.post(url, content=body, headers={"Content-Type": kind})) == expected

    def test_an_encoded_body_is_refused(self, url: str) -> None:
        answer = httpx.post(url, content=b"x", headers={"Content-Encoding": "gzip"})
        assert problem(answer) == (415, "encoded")

    def test_a_body_that_ends_early_leaves_nothing(self, port: int) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        gone = Raw(port, head, b"x" * 500)
        gone.socket.close()


class TestFolder:
    def test_it_is_nobody_elses_and_goes_at_the_end(self) -> None:
        spool = Spool(Limits())
        assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
        (spool.folder / "0").touch()
        spool.close()
        assert not spool.folder.exists()

    def test_it_goes_where_nobody_closes_it(self) -> None:
        folder = Spool(Limits()).folder
        assert not folder.exists()

    def test_it_comes_again_where_the_system_took_it(self, url: str, small: Small) -> None:
        small.spool.folder.rmdir()
        assert httpx.post(url, content=b"abc").status_code == 200
        assert stat.S_IMODE(small.spool.folder.stat().st_mode) == 0o700

    def test_no_space_is_one_sentence(self, monkeypatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**9, 10**9 - 5, 5))
        with pytest.raises(OstinatoError, match=r"Expected 67 MB .* got 0 MB.*TMPDIR"):
            Spool(Limits())

    def test_no_right_is_one_sentence(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        with pytest.raises(OstinatoError, match=r"Expected a folder for uploads in .*TMPDIR"):
            Spool(Limits())
        assert not Path(tmp_path / "none").exists()
