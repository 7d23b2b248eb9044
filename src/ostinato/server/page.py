"""The page for people, at ``/``: files that lie in ``page/``, read once, and no others.

They are our own, without a library (docs/design.md, "Parts, chosen", says why), and ask no other
host for anything, which the headers forbid as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from ostinato.audio.find import AUDIO_SUFFIXES
from ostinato.inference.timeline import COLOURS
from ostinato.server.limits import Limits

FOLDER = Path(__file__).parent / "page"
STYLE = Path(__file__).parents[1] / "report.css"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked anew each time, and answered by 304
}
"""Headers of every file of the page."""


def add_page(app: Starlette, limits: Limits) -> None:
    """Add the page's files to an app: ``/``, and ``/page/...`` for its styles and scripts."""
    for path, (content, suffix) in _files(limits).items():
        app.add_route(path, _sender(content, _TYPES[suffix]), include_in_schema=False)


def _files(limits: Limits) -> dict[str, tuple[bytes, str]]:
    """Contents and suffixes by path."""
    found = {f"/page/{file.name}": file for file in FOLDER.iterdir() if file.suffix in _TYPES}
    found["/page/report.css"] = STYLE
    found["/"] = found.pop("/page/index.html")
    files = {path: (file.read_bytes(), file.suffix) for path, file in found.items()}
    return files | {"/page/given.js": (_given(limits), ".js")}


def _given(limits: Limits) -> bytes:
    """A module of what the page is to know of Python's side."""
    values = {
        "SUFFIXES": sorted(AUDIO_SUFFIXES),
        "COLOURS": COLOURS,
        "MOST_BYTES": limits.upload_bytes,
        "MOST_SECONDS": limits.sound_s,
    }
    lines = (f"export const {name} = {json.dumps(value)};\n" for name, value in values.items())
    return "".join(lines).encode()


def _sender(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that sends this, or 304 to who has it."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": tag}

    async def send(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return send
