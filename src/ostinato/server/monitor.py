"""What the server says of itself: metrics for Prometheus, and a line of JSON a request.

Neither holds a key, a file's name or anything of its contents.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostinato.storage import printable

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_ASKED_OFTEN = ("/healthz", "/readyz", "/metrics")  # counted, but not logged
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Monitor:
    """Counts what the server does, and logs it on stderr if that is asked for."""

    def __init__(self, *, log: bool = True) -> None:
        self._log = log
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "ostinato_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ostinato_request_seconds",
            "From request to answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._at_work = Gauge(
            "ostinato_requests_at_work", "Requests without an answer yet.", registry=registry
        )
        self._received = Counter("ostinato_received_bytes", "Bytes of uploads.", registry=registry)
        self._verdicts = Counter(
            "ostinato_verdicts", "Verdicts given.", ["model", "is_sure"], registry=registry
        )
        self._sound = Counter(
            "ostinato_sound_seconds", "Seconds of the sounds heard.", registry=registry
        )
        self._replaced = Counter(
            "ostinato_workers_replaced",
            "Workers that were replaced.",
            ["reason"],
            registry=registry,
        )

    def metrics(self) -> bytes:
        """All metrics, in the text form of Prometheus."""
        return generate_latest(self._registry)

    def received(self, n_bytes: int) -> None:
        """Count an upload."""
        self._received.inc(n_bytes)

    def gave(self, model: str, verdict: dict[str, Any]) -> None:
        """Count a verdict."""
        self._verdicts.labels(model, str(verdict["genre"] is not None).lower()).inc()
        self._sound.inc(verdict["seconds"])

    def replaced(self, reason: str) -> None:
        """Count a worker that was replaced. Safe to call from any thread."""
        self._replaced.labels(reason).inc()
        self.say("worker replaced", reason=reason)

    def say(self, event: str, **values: Any) -> None:
        """Log an event: a line of JSON, or at a terminal one for people."""
        if not self._log:
            return
        now = datetime.now(UTC)
        if sys.stderr.isatty():
            said = " ".join(str(value) for value in (event, *values.values()) if value is not None)
            line = f"{now.astimezone():%H:%M:%S} {said}"
        else:
            time_ = now.isoformat(timespec="milliseconds")
            line = json.dumps({"time": time_, "event": event, **values})
        with suppress(OSError):  # a log that cannot be written stops no request
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()

    def watching(self, app: ASGIApp) -> ASGIApp:
        """Wrap an app, so that its requests are counted and logged."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = 499  # the client went away before there was an answer

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            started = time.perf_counter()
            self._at_work.inc()
            try:
                await app(scope, receive, sending)
            finally:
                self._at_work.dec()
                self._count(scope, status, time.perf_counter() - started)

        return watched

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # What clients make up is no label.
        route = getattr(scope.get("route"), "path", "page" if status < 400 else "other")
        method = scope["method"] if route != "other" else "any"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if route in _ASKED_OFTEN:
            return
        client = scope.get("client")
        self.say(
            "request",
            client=client[0] if client else None,
            method=method,
            route=route,
            status=status,
            seconds=round(seconds, 4),
        )
