"""HTTP/1.1 as uvicorn speaks it, with times and numbers that hold against whoever connects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from ostinato.server.limits import Limits
from ostinato.server.problems import MEDIA_TYPE, Problem

HEAD_BYTES = 16 << 10
"""A request's line and headers at most."""

_LINGER_S = 1.0
_STOPPING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]


class Protocol(H11Protocol):
    """One connection. :meth:`check` is called every so often, and ends it if its time is over."""

    def __init__(self, *, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        now = time.monotonic()
        self._idle_since = self._unread_since = self._moved_at = now
        self._closing_since = math.inf
        self._unread = 0
        self._asgi, self.app = self.app, self._answer
        self._task: asyncio.Task[Any] | None = None
        self._is_lost = False

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._limits.connections:
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._refuse(
                Problem(503, "busy", "Expected fewer connections at a time: try again.", 5)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what was asked here: nobody waits for it any more."""
        super().connection_lost(exc)
        self._drop()

    def _drop(self) -> None:
        """Stop what the app does, for its answer is not sent any more."""
        self._is_lost = True
        if self._task is not None:
            self._task.cancel()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the app, for one request."""
        if self._is_lost:  # before this began
            self.cycle.disconnected = True
            return
        self._task = task = asyncio.current_task()
        try:
            # h11 bounds a head that comes in parts; asyncio takes up to 256 KiB at a time.
            if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES:
                self._refuse(_too_long())
                self.cycle.disconnected = True
                return
            await self._asgi(scope, receive, send)
        except asyncio.CancelledError:  # the client has gone, or the time to stop is over
            if not self._is_lost:
                self._refuse(Problem(503, "stopping", "The server stopped before it was done.", 5))
            self.cycle.disconnected = True  # nothing is answered any more
        finally:
            if self._task is task:  # the next request may have begun
                self._task = None

    def data_received(self, data: bytes) -> None:
        """Take what comes, unless this connection is about to end."""
        if self._closing_since == math.inf:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        error = sys.exception()  # this is called where it was caught
        status = getattr(error, "error_status_hint", 400)
        if status >= 500:  # a Transfer-Encoding that there is not: its sender is at fault
            status = 400
        if status == 431:
            self._refuse(_too_long())
        else:
            said = f"Expected a request of HTTP/1.1, got another: {error}."
            self._refuse(Problem(status, "malformed", said))
        self._drop()

    def check(self, now: float) -> None:
        """End this connection if its peer takes too long to send a request, or to read."""
        limits, transport = self._limits, self.transport
        unread = transport.get_write_buffer_size()
        if unread == 0:
            self._unread_since = now
        if unread == 0 or unread != self._unread:
            self._moved_at = now
        self._unread = unread
        if now - self._unread_since > limits.upload_s or now - self._moved_at > limits.idle_s:
            self._reset()
        elif now - self._closing_since > _LINGER_S:
            transport.close()
        elif (self.cycle is None or self.cycle.response_complete) and (
            now - self._idle_since > limits.header_s
        ):
            if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
                self._refuse(
                    Problem(
                        408,
                        "too-slow",
                        f"Expected a request's headers within {limits.header_s:g} s.",
                    )
                )
            else:
                transport.close()

    def _reset(self) -> None:
        """End at once; the system drops what it would still send."""
        own = self.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, if nothing was answered yet, and close.

        What still comes is passed over for a moment: closed at once, the connection would be reset,
        and the answer lost.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(problem.to_dict()).encode()
            headers = {
                "content-type": MEDIA_TYPE,
                "content-length": str(len(body)),
                "connection": "close",
                **problem.headers,
            }
            answer = h11.Response(
                status_code=problem.status,
                headers=list(headers.items()),
                reason=STATUS_PHRASES[problem.status],
            )
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
            with contextlib.suppress(OSError):  # the peer has gone
                self.transport.write_eof()
            self._closing_since = time.monotonic()
        else:
            self.transport.close()


def _too_long() -> Problem:
    return Problem(431, "too-large", f"Expected headers of {HEAD_BYTES} bytes at most, got more.")


class Server(uvicorn.Server):
    """Serves until a signal, with :class:`Protocol`, whose connections it checks."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.signals: list[int] = []

    async def on_tick(self, counter: int) -> bool:
        """Do what is done ten times a second."""
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            cast("Protocol", connection).check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs; at a second signal cut it off."""
        await super().shutdown(sockets)
        if self.force_exit:
            tasks = self.server_state.tasks
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.lifespan.shutdown()

    async def _wait_tasks_to_complete(self) -> None:
        """Wait, as uvicorn does, but never for what a second signal would not end."""
        while (self.server_state.tasks or self.server_state.connections) and not self.force_exit:
            for connection in list(self.server_state.connections):
                cast("Protocol", connection).check(time.monotonic())
            await asyncio.sleep(0.05)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on signals; a stop that was asked for is no error, so none is raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal, at once at the second."""
        self.signals.append(sig)
        self.force_exit = self.should_exit
        self.should_exit = True
