"""A server in a thread, and raw connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ostinato.server.app import Service, build
from ostinato.server.keys import Keys
from ostinato.server.limits import Limits
from ostinato.server.monitor import Monitor
from ostinato.server.problems import MEDIA_TYPE, Problem
from ostinato.server.run import listen, serve
from ostinato.server.served import served
from ostinato.server.uploads import Spool
from ostinato.server.workers import Workers

LIMITS = Limits(
    upload_bytes=1 << 20,
    batch_files=3,
    spool_bytes=2 << 20,
    connections=8,
    uploads=3,
    header_s=0.6,
    idle_s=0.6,
    upload_s=1.5,
    stop_s=2.0,
)


class StopError(Exception):
    """Stops :func:`serving`."""


class Small:
    """A small app: what it receives it tells."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.spool = Spool(limits)
        self.cancelled = 0
        self.app = Starlette(
            routes=[
                Route("/upload", self.upload, methods=["POST"]),
                Route("/big", self.big),
                Route("/sleep", self.sleep, methods=["GET", "POST"]),
                Route("/", self.root),
            ],
            exception_handlers={Problem: self.told},
        )

    async def upload(self, request: Request) -> Response:
        most = int(request.query_params.get("most", "3"))
        told: list[Any] = []
        async with contextlib.aclosing(self.spool.receive(request, most_files=most)) as coming:
            async for upload in coming:
                with upload:
                    content = await asyncio.to_thread(upload.path.read_bytes)
                told.append([upload.name, upload.n_bytes, sum(content)])
        return JSONResponse(told)

    async def big(self, request: Request) -> Response:
        return Response(bytes(20 << 20))

    async def sleep(self, request: Request) -> Response:
        try:
            await asyncio.sleep(float(request.query_params["s"]))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Response("slept")

    async def root(self, request: Request) -> Response:
        return Response("ok")

    async def told(self, request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return JSONResponse(
            problem.to_dict(), problem.status, headers=problem.headers, media_type=MEDIA_TYPE
        )

    @property
    def left(self) -> list[str]:
        """Files in the spool, and bytes that it counts, in a moment."""
        until = time.monotonic() + 1
        while (found := self._left()) and time.monotonic() < until:
            time.sleep(0.01)
        return found

    def _left(self) -> list[str]:
        names = [path.name for path in self.spool.folder.iterdir()]
        return names + [f"{self.spool.n_bytes} bytes"] * bool(self.spool.n_bytes)


@contextlib.contextmanager
def serving(app: Any, limits: Limits = LIMITS) -> Iterator[int]:
    """Serve an app in a thread; gives the port."""
    listener = listen("127.0.0.1", 0, limits=limits)
    port: int = listener.getsockname()[1]
    stop = threading.Event()

    async def watched() -> None:
        while not stop.is_set():
            await asyncio.sleep(0.02)
        raise StopError

    def run() -> None:
        with contextlib.suppress(StopError):
            serve(app, listener, limits=limits, watched=watched)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextlib.contextmanager
def hearing(
    *models: str, limits: Limits = LIMITS, keys: Keys | None = None, **options: Any
) -> Iterator[tuple[str, Monitor]]:
    """Serve the app itself in a thread, with one worker; gives its address and what it counts."""
    offered = served(models)
    workers, spool, monitor = (
        Workers(offered, n=1, limits=limits),
        Spool(limits),
        Monitor(log=False),
    )
    workers.start()
    try:
        service = Service(workers, spool, offered, limits=limits, monitor=monitor)
        app = monitor.watching(build(service, keys=keys, **options))
        with serving(app, limits) as port:
            asyncio.run(workers.wait_ready())
            yield f"http://127.0.0.1:{port}", monitor
    finally:
        spool.close()


class Raw:
    """A connection on which anything can be sent."""

    def __init__(self, port: int, *sent: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        for data in sent:
            self.send(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, data: bytes, *, every_s: float = 0.1) -> None:
        """Send byte by byte, until the peer hangs up."""
        with contextlib.suppress(OSError):
            for byte in data:
                self.socket.sendall(bytes([byte]))
                time.sleep(every_s)

    def rest(self) -> bytes:
        """All that comes until the peer hangs up."""
        found = bytearray()
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                found += data
        self.socket.close()
        return bytes(found)

    def statuses(self) -> list[int]:
        """The statuses of all answers that come until the peer hangs up."""
        lines = self.rest().split(b"HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines]

    def problem(self) -> tuple[int, str]:
        """The only answer: its status, and the code of the problem."""
        head, _, body = self.rest().partition(b"\r\n\r\n")
        assert MEDIA_TYPE.encode() in head, head
        return int(head[9:12]), json.loads(body)["code"]
