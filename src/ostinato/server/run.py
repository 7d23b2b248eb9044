"""Serves an app on a socket until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ostinato.errors import OstinatoError, UsageError
from ostinato.server.limits import Limits

if TYPE_CHECKING:
    from ostinato.server.protocol import Server


def listen(host: str, port: int, *, limits: Limits) -> socket.socket:
    """Bind a socket, before anything that takes time.

    Connections wait in it until :func:`serve` takes them.

    Raises
    ------
    UsageError
        If there is no such address here, or its port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port: expected a number from 0 to 65535, got {port}.")
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(limits.connections)
        except BaseException:
            listener.close()
            raise
    except socket.gaierror as error:
        raise UsageError(
            f"--host: expected an address of this machine, got '{host}' ({error.strerror})."
        ) from error
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there already; stop it, or choose another "
            "port (--port)",
            errno.EACCES: "ports below 1024 are for the system; choose another (--port)",
            errno.EADDRNOTAVAIL: "this machine has no such address; choose another (--host)",
        }
        reason = reasons.get(error.errno or 0, str(error.strerror))
        raise UsageError(f"Cannot serve on {host}, port {port}: {reason}.") from error
    return listener


def serve(
    app: Any,
    listener: socket.socket,
    *,
    limits: Limits,
    watched: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve an ASGI app until SIGTERM, SIGINT or SIGHUP, and finish what runs then.

    A second signal ends it at once.

    Parameters
    ----------
    watched : callable, optional
        Gives what is awaited beside; an error of it stops the server, and is raised.

    Raises
    ------
    OstinatoError
        Of ``watched``; if the app did not start.
    SystemExit
        128 and the number of the second signal.
    """
    import uvicorn  # takes 0.1 s

    from ostinato.server.protocol import HEAD_BYTES, Protocol, Server

    config = uvicorn.Config(
        app,
        http=functools.partial(Protocol, limits=limits),  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.stop_s),
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    asyncio.run(_run(Server(config), listener, watched))


async def _run(
    server: Server, listener: socket.socket, watched: Callable[[], Awaitable[None]] | None
) -> None:
    beside = asyncio.create_task(_watch(server, watched))
    try:
        await server.serve([listener])
    except SystemExit as error:  # of uvicorn
        raise OstinatoError("The server did not start; why is in the lines before.") from error
    finally:
        if not beside.done():
            beside.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beside
    if not server.started:
        raise OstinatoError("The server did not start; why is in the lines before.")
    if len(server.signals) > 1:
        raise SystemExit(128 + server.signals[-1])


async def _watch(server: Server, watched: Callable[[], Awaitable[None]] | None) -> None:
    if watched is not None:
        try:
            await watched()
        except BaseException:
            server.should_exit = True
            raise
