"""One worker process, as home sees it: started, asked, waited for, ended."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from ostinato.errors import OstinatoError, UsageError
from ostinato.server import nursery
from ostinato.server.jobs import Asked
from ostinato.server.limits import Limits
from ostinato.server.served import Served
from ostinato.server.worker import Hear, work

_START_S = 60.0  # within which a worker loads its models
_ANSWER_BYTES = 64 << 20


class StartError(OstinatoError):
    """A worker ended before it was ready, and did not say why."""


class TooSlowError(Exception):
    """A worker did not answer within its time."""


class DiedError(Exception):
    """A worker died; ``exit_status`` is what it left with, or the number of a signal, negative."""

    def __init__(self, exit_status: int | None) -> None:
        super().__init__(exit_status)
        self.exit_status = exit_status


class Process:
    """A worker process, begun. It must be ended.

    Raises
    ------
    StartError
        If the system refuses another process.
    """

    def __init__(self, models: Sequence[Served], limits: Limits, hear: Hear) -> None:
        self.is_ready = False
        self._connection, workers_end = multiprocessing.Pipe()
        try:
            self._process = nursery.start(work, workers_end, models, limits, hear)
        except (OSError, EOFError) as error:
            self._connection.close()
            raise StartError(f"Expected a worker process to start, got '{error}'.") from error
        finally:
            workers_end.close()

    @property
    def id(self) -> int:
        """The number that the system gives it."""
        number: int = self._process.pid
        return number

    def wait_ready(self) -> None:
        """Wait until it is ready; raise OstinatoError if it cannot be."""
        try:
            told = self._told(_START_S)
        except (TooSlowError, DiedError) as error:
            raise StartError(
                "Expected a worker process to load its models, got one that ended before "
                f"(exit status {getattr(error, 'exit_status', None)}): memory may have run out."
            ) from error
        if "error" in told:
            raise (UsageError if told["exit_status"] == 2 else OstinatoError)(told["error"])
        self.is_ready = True

    @property
    def is_dead(self) -> bool:
        """Whether it has ended."""
        return bool(wait([self._process.sentinel], 0))

    def hear(self, job: Asked, *, within_s: float) -> dict[str, Any]:
        """Have a job answered; raise TooSlowError or DiedError if there is no answer."""
        try:
            self._connection.send(job)
        except OSError as error:
            raise DiedError(self._exit_status()) from error
        return self._told(within_s)

    def _told(self, within_s: float) -> dict[str, Any]:
        ready = wait([self._connection, self._process.sentinel], within_s)
        if not ready:
            raise TooSlowError
        try:
            if self._connection in ready or self._connection.poll(0):
                told: dict[str, Any] = json.loads(self._connection.recv_bytes(_ANSWER_BYTES))
                return told
        except (EOFError, OSError):
            pass
        raise DiedError(self._exit_status())

    def _exit_status(self) -> int | None:
        wait([self._process.sentinel], 1.0)
        with nursery.lock:
            exit_status: int | None = self._process.exitcode
        return exit_status

    def kill(self) -> None:
        """Have the system end it."""
        with nursery.lock:
            self._process.kill()

    def end(self) -> None:
        """End it, however it stands, and wait until it has ended."""
        self.is_ready = False
        with nursery.lock:
            self._process.kill()
            self._process.join(5)
        self._connection.close()
