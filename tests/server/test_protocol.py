"""Whoever connects has bounded time, bytes and connections, whatever is sent."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pytest

from tests.helpers.serving import LIMITS, Raw, Small

CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"
SOON_S = 8.0  # on a machine that has other things to do
GET = b"GET / HTTP/1.1\r\n" + CLOSE


@pytest.fixture(autouse=True)
def still_there(port: int) -> Iterator[None]:
    """Behind each test the server answers."""
    yield
    until = time.monotonic() + 5
    while (found := Raw(port, GET).statuses()) == [503] and time.monotonic() < until:
        time.sleep(0.05)
    assert found == [200]


class TestTime:
    def test_a_head_that_comes_too_slowly_is_told_so(self, port: int) -> None:
        began, slow = time.monotonic(), Raw(port)
        slow.drip(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100)
        assert LIMITS.header_s <= time.monotonic() - began < SOON_S
        assert slow.problem() == (408, "too-slow")

    def test_who_says_nothing_is_hung_up_on(self, port: int) -> None:
        began = time.monotonic()
        assert Raw(port).rest() == b""
        assert LIMITS.header_s <= time.monotonic() - began < SOON_S

    def test_the_next_request_has_no_more_time(self, port: int) -> None:
        kept, began = Raw(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), time.monotonic()
        kept.drip(b"GET / HTTP/1.1\r\nX: " + b"y" * 100)
        assert kept.statuses() == [200, 408]
        assert time.monotonic() - began < SOON_S

    def test_a_body_that_nobody_reads_is_not_waited_for(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        refused, began = Raw(port, head), time.monotonic()
        refused.drip(b"x" * 100)
        assert time.monotonic() - began < SOON_S
        assert refused.statuses() == [405]

    def test_who_does_not_read_is_given_up(self, port: int) -> None:
        greedy = [Raw(port, b"GET /big HTTP/1.1\r\n" + CLOSE) for _ in range(LIMITS.connections)]
        assert Raw(port, GET).statuses() == [503]
        for one in greedy:
            ended = select.poll()
            ended.register(one.socket, select.POLLHUP)
            assert ended.poll(10_000)
            assert len(one.rest()) < 20 << 20

    def test_who_reads_gets_all(self, port: int) -> None:
        assert len(Raw(port, b"GET /big HTTP/1.1\r\n" + CLOSE).rest()) > 20 << 20

    def test_what_takes_the_server_long_is_not_cut_off(self, port: int) -> None:
        asked = b"GET /sleep?s=1.5 HTTP/1.1\r\n" + CLOSE
        assert Raw(port, asked).statuses() == [200]


class TestNumber:
    def test_connections_are_bounded(self, port: int) -> None:
        idle = [Raw(port) for _ in range(LIMITS.connections)]
        assert Raw(port).problem() == (503, "busy")
        for one in idle:
            one.socket.close()

    def test_a_head_is_bounded(self, port: int) -> None:
        head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000
        assert Raw(port, head + b"\r\n\r\n").problem() == (431, "too-large")
        assert Raw(port, head).problem() == (431, "too-large")

    def test_headers_are_bounded(self, port: int) -> None:
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(5000))
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n"
        assert Raw(port, head).problem() == (431, "too-large")


class TestMalformed:
    @pytest.mark.parametrize(
        "sent",
        [
            b"GARBAGE\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        ],
    )
    def test_what_is_no_request_is_told_so(self, port: int, sent: bytes) -> None:
        status, code = Raw(port, sent).problem()
        assert status in (400, 501)
        assert code == "malformed"

    def test_a_broken_chunk_ends_it(self, port: int, small: Small) -> None:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert Raw(port, head, b"3\r\nabc\r\nNO NUMBER\r\n").problem() == (400, "malformed")
        assert small.left == []

    def test_requests_in_a_row_are_answered_in_order(self, port: int) -> None:
        post = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert Raw(port, post + get + post + GET).statuses() == [200] * 4


class TestGone:
    def test_what_was_asked_by_who_has_gone_is_dropped(self, port: int, small: Small) -> None:
        before = small.cancelled
        gone = Raw(port, b"GET /sleep?s=20 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        gone.socket.close()
        until = time.monotonic() + 5
        while small.cancelled == before and time.monotonic() < until:
            time.sleep(0.01)
        assert small.cancelled == before + 1
