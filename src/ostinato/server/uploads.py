"""Uploads stream into the spool, within bounds of size and time.

A body is a file as it is, whatever its content type says (curl calls each a form, unless it is told
otherwise), or ``multipart/form-data`` with files in it. What a
sender calls a file is text for sentences: paths are the server's own.

Chunks of at most some 300 kB are written where they come, in the event loop: into the system's
cache that takes less time than to hand them to a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from ostinato.server.body import FORM_BYTES, Form, OneFile
from ostinato.server.folder import Folder, Upload, too_large
from ostinato.server.limits import Limits
from ostinato.server.problems import Problem

_FORM = b"multipart/form-data"


class Spool(Folder):
    """Where uploads are received."""

    async def receive(self, request: Request, *, most_files: int) -> AsyncGenerator[Upload]:
        """Receive a request's files and give each as soon as it is complete.

        What is incomplete when this ends, however it ends, is deleted; what was given is for who
        took it to delete.

        Raises
        ------
        Problem
            400 malformed, 408 too slow, 413 too large, 415 or 422 no file, 429 too much at a time,
            507 no space.
        """
        limits = self.limits
        kind, options = parse_options_header(request.headers.get("content-type"))
        most = limits.upload_bytes
        if kind == _FORM:
            most = most_files * (limits.upload_bytes + FORM_BYTES) + FORM_BYTES
        _check_head(request, most)
        if self.n_received >= limits.uploads:
            raise Problem(
                429,
                "busy",
                f"Expected fewer uploads at a time than {self.n_received}: try again.",
                limits.idle_s,
            )
        self.n_received += 1
        body: Form | OneFile | None = None
        try:
            if kind == _FORM:
                body = Form(self, options.get(b"boundary", b""), most_files=most_files)
            else:
                body = OneFile(self, request.headers.get("content-disposition", ""))
            async with contextlib.aclosing(_chunks(request, limits, most)) as chunks:
                async for chunk in chunks:
                    body.feed(chunk)
                    while body.complete:
                        yield body.complete.pop(0)
            body.finish()
            while body.complete:
                yield body.complete.pop(0)
        finally:
            self.n_received -= 1
            if body is not None:
                body.drop()


def _check_head(request: Request, most: int) -> None:
    """Refuse what the headers tell to be refused, before a byte is read."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(415, "encoded", "Expected a body as it is, got one with a Content-Encoding.")
    stated = int(request.headers.get("content-length", "0"))  # digits: h11 takes nothing else
    if stated > most:
        raise too_large(f"{stated / 1e6:.1f} MB", most)


async def _chunks(request: Request, limits: Limits, most: int) -> AsyncGenerator[bytes]:
    """Give a body's chunks as they come, within the bytes and times that a sender has."""
    left_s, n_bytes = limits.upload_s, 0
    async with contextlib.aclosing(request.stream()) as stream:
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(min(left_s, limits.idle_s)):
                    chunk = await anext(stream, None)
            except TimeoutError as error:
                raise Problem(
                    408,
                    "too-slow",
                    f"Expected the body within {limits.upload_s:g} s, without a pause of "
                    f"{limits.idle_s:g} s, got {n_bytes} bytes by then.",
                ) from error
            except ClientDisconnect as error:
                raise Problem(
                    400, "malformed", f"Expected a whole body, got {n_bytes} bytes and the end."
                ) from error
            if chunk is None:
                return
            left_s -= time.monotonic() - began  # what is done with a chunk does not count
            n_bytes += len(chunk)
            if n_bytes > most:
                raise too_large("more", most)
            yield chunk
