"""Processes that hear files: a hostile one costs one worker, which is replaced.

Home, the process that serves, has one thread for each worker. It starts the process, takes jobs
from a queue, and waits for an answer, the worker's death or the deadline, whichever comes first.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from ostinato.errors import OstinatoError, UsageError
from ostinato.server import jobs
from ostinato.server.jobs import Asked
from ostinato.server.limits import Limits
from ostinato.server.problems import Problem
from ostinato.server.process import DiedError, Process, StartError, TooSlowError
from ostinato.server.served import Served
from ostinato.server.worker import Hear

DIED, DEADLINE, MEMORY = "died", "deadline", "memory"
"""Why a worker was replaced."""

_TRIES = 3  # starts that fail one after the other, until it is said
_FAULTS = {
    -getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT", "SIGILL")
    if hasattr(signal, name)
}
_log = logging.getLogger("ostinato.server")


@dataclass(eq=False)
class _Task:
    job: Asked
    future: Future[dict[str, Any]] = field(default_factory=Future)
    deaths: int = 0


class Workers:
    """Worker processes, each with all models loaded.

    Parameters
    ----------
    models : sequence of Served
        The models that jobs may ask for.
    n : int
        Processes, at least 1.
    replaced : callable, optional
        Called with ``"died"``, ``"deadline"`` or ``"memory"``, in another thread, when a worker
        was replaced.
    hear : callable
        What a worker does; importable by its name.
    """

    def __init__(
        self,
        models: Sequence[Served],
        *,
        n: int,
        limits: Limits,
        replaced: Callable[[str], None] = lambda reason: None,
        hear: Hear = jobs.answer,
    ) -> None:
        if n < 1:
            raise UsageError(f"Expected at least 1 worker, got {n}.")
        self.n = n
        self._models, self._limits = tuple(models), limits
        self._replaced, self._hear = replaced, hear
        self._threads = [threading.Thread(target=self._keep, daemon=True) for _ in range(n)]
        self._ready: Future[None] = Future()
        self._processes: set[Process] = set()
        self._queue: deque[_Task] = deque()
        self._change = threading.Condition()  # of the queue, or the end
        self._unanswered: set[_Task] = set()
        self._places = 0
        self._mean_s = 1.0
        self._is_stopping = self._is_ended = False

    def start(self) -> None:
        """Begin the processes; returns at once, while they load their models."""
        atexit.register(self._end)
        for thread in self._threads:
            thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether a worker has loaded all models and can be asked."""
        return not self._is_stopping and any(p.is_ready for p in list(self._processes))

    @property
    def process_ids(self) -> list[int]:
        """Numbers of the processes."""
        return [process.id for process in list(self._processes)]

    async def wait_ready(self) -> None:
        """Wait until a worker is ready.

        Raises
        ------
        OstinatoError
            What is wrong with a model; that workers end as they start.
        """
        await asyncio.shield(asyncio.wrap_future(self._ready))

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a request's place among those that wait or are heard.

        Raises
        ------
        Problem
            429 if there is none, 503 if the server stops.
        """
        self.check_place()
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    def check_place(self) -> None:
        """Raise :meth:`place`'s Problem if it would, so that nobody sends a file for nothing."""
        self._refuse_if_stopping()
        if self._places >= self.n * (1 + self._limits.waiting):
            raise Problem(
                429,
                "busy",
                f"Expected fewer requests at a time: {self._places} are at work or wait; try again "
                "after the seconds that Retry-After names.",
                self._mean_s * self._places / self.n,
            )

    async def run(self, job: Asked) -> dict[str, Any]:
        """Have a job answered, within a place. It is dropped if this is cancelled while it waits.

        Raises
        ------
        Problem
            Why there is no verdict.
        """
        self._refuse_if_stopping()
        task = _Task(job)
        with self._change:
            self._unanswered.add(task)
            self._queue.append(task)
            self._change.notify()
        try:
            async with asyncio.timeout(self._limits.answer_s):
                return await asyncio.wrap_future(task.future)
        except TimeoutError as error:
            raise Problem(
                503,
                "busy",
                f"Expected a worker for '{job}' within {self._limits.answer_s:g} s, got none: the "
                "files before it take long; try again.",
                self._limits.work_s,
            ) from error
        finally:
            self._unanswered.discard(task)  # also where nobody waits for it any more

    async def stop(self) -> None:
        """Finish what was asked within ``limits.stop_s``, refuse what is new, end all processes."""
        self._is_stopping = True
        until = time.monotonic() + self._limits.stop_s
        while self._unanswered and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(self._end)

    def _refuse_if_stopping(self) -> None:
        if self._is_stopping:
            raise Problem(503, "stopping", "The server stops: try again when it is back.", 5)

    def _end(self) -> None:
        """End all processes and threads, now."""
        atexit.unregister(self._end)
        with self._change:
            self._is_stopping = self._is_ended = True
            self._change.notify_all()
            for process in list(self._processes):
                process.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5)
        for task in list(self._unanswered):
            self._settle(task, Problem(503, "stopping", "The server stopped before it was heard."))

    # What follows runs in the thread of a worker.

    def _keep(self) -> None:
        """Keep one worker at work, until the end."""
        failures = 0
        while not self._is_ended:
            try:
                with self._started() as worker:
                    worker.wait_ready()
                    failures = 0
                    with contextlib.suppress(InvalidStateError):  # another one was first
                        self._ready.set_result(None)
                    reason = self._feed(worker)
            except Exception as error:
                failures += 1
                self._tell_failure(error, failures)
                with self._change:
                    self._change.wait_for(lambda: self._is_ended, min(0.1 * 2**failures, 10))
            else:
                if reason and not self._is_ended:
                    _log.warning("A worker was replaced: %s", reason)
                    self._replaced(reason)

    @contextlib.contextmanager
    def _started(self) -> Iterator[Process]:
        """Start a process, which ends at the latest when this does."""
        worker = Process(self._models, self._limits, self._hear)
        try:
            with self._change:
                self._processes.add(worker)
                if self._is_ended:
                    worker.kill()
            yield worker
        finally:
            worker.end()
            self._processes.discard(worker)

    def _tell_failure(self, error: Exception, failures: int) -> None:
        """Say that workers do not start, and answer who waits, if none is left."""
        said_why = isinstance(error, OstinatoError) and not isinstance(error, StartError)
        needed = 1 if said_why else _TRIES
        if failures == needed:
            _log.error("A worker does not start: %s", error)
        if failures < needed or self.is_ready:
            return
        with contextlib.suppress(InvalidStateError):
            self._ready.set_exception(error)
        with self._change:
            waiting, self._queue = self._queue, deque()
        for task in waiting:
            self._settle(
                task,
                Problem(503, "no-worker", "The server has no worker that hears: try again.", 10),
            )

    def _feed(self, worker: Process) -> str | None:
        """Give jobs to a worker; why it must be replaced, None at the end."""
        while True:
            with self._change:
                while not self._queue and not self._is_ended and not worker.is_dead:
                    self._change.wait(1.0)
                if self._is_ended:
                    return None
                if worker.is_dead:
                    return DIED
                task = self._queue.popleft()
            if task not in self._unanswered:  # nobody waits for it any more
                continue
            began = time.monotonic()
            reason = self._have_heard(worker, task)
            self._mean_s += 0.1 * (time.monotonic() - began - self._mean_s)
            if reason:
                return reason

    def _have_heard(self, worker: Process, task: _Task) -> str | None:
        """Have one job heard; why its worker must be replaced, if it must."""
        limit_s, name = self._limits.work_s, str(task.job)
        try:
            told = worker.hear(task.job, within_s=limit_s)
            if "verdict" in told:
                self._settle(task, told["verdict"])
                return None
            problem = Problem(*told["problem"])
            self._settle(task, problem)
            return MEMORY if problem.code == "too-much-memory" else None
        except TooSlowError:
            detail = (
                f"Expected a file that is heard within {limit_s:g} s, got '{name}', which takes "
                "longer: cut it, or leave out what asks for all of it (thorough, timeline)."
            )
            self._settle(task, Problem(422, "too-slow-to-hear", detail))
            return DEADLINE
        except DiedError as death:
            self._bury(task, death.exit_status)
            return DIED
        except Exception:  # what it said was no answer: a hostile file may have taken it over
            _log.exception("A worker gave no answer")
            self._bury(task, None)
            return DIED

    def _bury(self, task: _Task, exit_status: int | None) -> None:
        """Have another worker try what one died of, once."""
        task.deaths += 1
        if task.deaths < 2 and not self._is_ended:
            with self._change:
                self._queue.appendleft(task)
                self._change.notify()
        elif exit_status in _FAULTS:
            self._settle(
                task,
                Problem(
                    422,
                    "unhearable",
                    f"Expected a file that can be heard, got '{task.job}', at which two "
                    "workers failed: it is damaged, or made to do harm.",
                ),
            )
        else:
            self._settle(
                task,
                Problem(
                    503,
                    "worker-died",
                    f"Two workers that heard '{task.job}' were ended from outside, most "
                    "likely because memory ran out: try again.",
                    5,
                ),
            )

    def _settle(self, task: _Task, result: dict[str, Any] | Problem) -> None:
        self._unanswered.discard(task)
        with contextlib.suppress(InvalidStateError):  # its sender has gone, or the end came first
            if isinstance(result, Problem):
                task.future.set_exception(result)
            else:
                task.future.set_result(result)
