"""What the server says of itself."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

from ostinato.server.monitor import Monitor


def requested(
    monitor: Monitor, *, answers: bool = True, path: str = "/v1/classify", status: int = 200
) -> None:
    """Have a request pass the monitor, whose headers hold a key."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if path:
            scope["route"] = type("Route", (), {"path": path})
        if answers:
            await send({"type": "http.response.start", "status": status, "headers": []})

    async def nothing(*_: Any) -> None: ...

    scope = {
        "type": "http", "method": "POST", "client": ("192.0.2.7", 1),
        "headers": [(b"authorization", b"Bearer secret")], "query_string": b"model=secret",
    }  # fmt: skip
    asyncio.run(monitor.watching(app)(scope, nothing, nothing))


def test_a_line_of_json_a_request(capsys) -> None:
    monitor = Monitor()
    requested(monitor)
    requested(monitor, answers=False)
    monitor.replaced("deadline")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert set(lines[0]) == {"time", "event", "client", "method", "route", "status", "seconds"}
    assert (lines[0]["route"], lines[0]["status"], lines[0]["client"]) == (
        "/v1/classify", 200, "192.0.2.7",
    )  # fmt: skip
    assert lines[1]["status"] == 499  # whoever asked has gone
    assert lines[2]["reason"] == "deadline"
    assert "secret" not in json.dumps(lines)
    metrics = monitor.metrics().decode()
    assert 'ostinato_workers_replaced_total{reason="deadline"} 1.0' in metrics
    assert 'ostinato_requests_total{method="POST",route="/v1/classify",status="499"} 1.0' in metrics
    assert "ostinato_requests_at_work 0.0" in metrics


def test_a_terminal_shows_a_line_for_people(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    requested(Monitor())
    said = capsys.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d request 192.0.2.7 POST /v1/classify 200 0.\d+\n", said)


def test_probes_are_counted_but_not_logged(capsys) -> None:
    monitor = Monitor()
    for path in ("/healthz", "/readyz", "/metrics"):
        requested(monitor, path=path)
    assert capsys.readouterr().err == ""
    assert b'route="/readyz",status="200"} 1.0' in monitor.metrics()


def test_what_has_no_route_is_the_page_or_made_up(capsys) -> None:
    for status in (200, 304, 404):
        requested(Monitor(), path="", status=status)
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    assert [line["route"] for line in lines] == ["page", "page", "other"]


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch) -> None:
    class Full:
        def isatty(self) -> bool:
            return False

        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    requested(Monitor())


def test_a_quiet_one_counts_all_the_same(capsys) -> None:
    monitor = Monitor(log=False)
    requested(monitor)
    assert capsys.readouterr().err == ""
    assert b"ostinato_requests_total{" in monitor.metrics()
