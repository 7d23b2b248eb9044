"""What runs inside a worker process: it hears one file after the other, within bounds.

A worker answers in JSON, which its home reads as data: whatever a hostile file makes of a worker,
nothing that it says is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import math
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ostinato.errors import OstinatoError
from ostinato.server.jobs import Asked, get_ready
from ostinato.server.limits import Limits
from ostinato.server.problems import Problem
from ostinato.server.served import Served

Hear = Callable[[Asked], dict[str, Any]]

_NO_MEMORY = re.compile(
    "bad_alloc|malloc|(failed to|cannot|can't|unable to) allocate", re.IGNORECASE
)
_log = logging.getLogger("ostinato.server")


def work(home: Connection, models: Sequence[Served], limits: Limits, hear: Hear) -> None:
    """Get ready, say so, and answer jobs until home hangs up, or memory has run out once.

    Says ``{}`` when it is ready, ``{"error": ..., "exit_status": ...}`` if it cannot be; then to
    each job ``{"verdict": ...}`` or ``{"problem": ...}``.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they reach all of a terminal: home decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with suppress(EOFError, OSError):  # home is gone
        try:
            get_ready(models)
        except OstinatoError as error:
            _say(home, {"error": str(error), "exit_status": error.exit_status})
            return
        _bound(limits)
        _say(home, {})
        is_fit = True
        while is_fit:
            job = home.recv()
            _set_alarm(limits.work_s + 5)  # home is gone as well if it has not ended this by then
            told, is_fit = _answered(job, hear)
            _say(home, told)
            _set_alarm(0)


def _say(home: Connection, told: dict[str, Any]) -> None:
    home.send_bytes(json.dumps(told).encode())


def _answered(job: Asked, hear: Hear) -> tuple[dict[str, Any], bool]:
    """Answer a job; and whether this worker can be used again."""
    try:
        return {"verdict": hear(job)}, True
    except Exception as error:
        if _is_of_memory(error):
            problem = Problem(
                422,
                "too-much-memory",
                f"Expected a file that is heard within the server's memory for one, "
                f"got '{job}', which takes more: it is damaged, or not made to be heard.",
            )
            return {"problem": problem.args}, False
        if isinstance(error, Problem):
            return {"problem": error.args}, True
        _log.exception("A worker failed at a file")
        problem = Problem(
            500, "internal", f"The server failed at '{job}': this is a fault of Ostinato."
        )
        return {"problem": problem.args}, True


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether it, or what it came from, says that there was no memory."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        # Our own sentences hold names that senders chose; libraries' hold none.
        is_own = isinstance(error, OstinatoError | Problem)
        if not is_own and _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _bound(limits: Limits) -> None:
    """Bound what this process may take from now on: memory, and no file written."""
    if sys.platform != "linux":
        return  # elsewhere the system counts what is only reserved, or does not keep to it
    import resource

    most = data_bytes() + limits.worker_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def data_bytes(process: int | str = "self") -> int:
    """Memory of a process that RLIMIT_DATA counts: what it has that is private and writable."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def _set_alarm(seconds: float) -> None:
    """Have the system end this process after so many seconds; 0: not at all."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))
