"""Calls side by side, in threads, in processes or on a Dask cluster: the only door to joblib.

::

    calls = [(path, spec) for path in paths]
    with parallel.run(compute, calls, doing="computed frames") as results:
        for position, frames in results:
            keep(paths[position], frames)

Workers have one BLAS thread each: there are as many of them as there are cores. That, and what
becomes of a killed worker or an interruption, is settled here and nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, TypeVar

from ostinato.errors import OstinatoError, UsageError, require

T = TypeVar("T")

Progress = Callable[[int, Any], None]
"""Called with the position of a call and what its function reports."""

_JOBLIB_NAMES = {"processes": "loky", "threads": "threading"}
_TOPIC = "ostinato-progress"


class WorkerKilledError(OstinatoError):
    """A worker process was killed, most likely for its memory (exit status 1)."""


def cpu_count() -> int:
    """Processor cores that this process may use: those of its affinity, within a container's limit.

    joblib counts so too, but importing it takes a tenth of a second.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    n_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(n_cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such system, or no limit: "max"
        return n_cores


@contextlib.contextmanager
def run(
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    *,
    doing: str,
    n_jobs: int | None = None,
    backend: str = "processes",
    ordered: bool = False,
    progress: Progress | None = None,
) -> Generator[Iterator[tuple[int, T]]]:
    """Call a function with each of many arguments, in parallel; results come as they are ready.

    Parameters
    ----------
    function : callable
        Must be picklable, unless it runs in threads. What all calls share is best bound with
        :func:`functools.partial`: a cluster then gets it once.
    calls : sequence of tuple
        Positional arguments of each call.
    doing : str
        What a worker does, for the sentence about one that was killed: ``"computed frames"``.
    n_jobs : int, optional
        How many threads or processes; by default one a processor core. A cluster has its own.
    backend : str
        ``"processes"``, ``"threads"``, or the address of a Dask scheduler
        (``"tcp://host:8786"``), whose workers see the same files.
    ordered : bool
        Whether results come in the order of ``calls``.
    progress : callable, optional
        The function is given a keyword argument ``report``, and may call it with any plain value
        while at work; ``progress`` is then called here with the call's position and that value, in
        another thread. By the end of the context all reports have come, but from a cluster, where
        late ones are lost.

    Yields
    ------
    iterator of (int, result)
        The position in ``calls``, and what the function returned for it. Leaving the context stops
        what is still at work.

    Raises
    ------
    UsageError
        If ``n_jobs`` is below 1, or there is no such backend.
    MissingExtraError
        If a scheduler is named and distributed is not installed.
    WorkerKilledError
        If a worker was killed.
    """
    if n_jobs is not None and n_jobs < 1:
        raise UsageError(f"Expected at least 1 job, got {n_jobs}.")
    if backend not in _JOBLIB_NAMES and "://" not in backend:
        raise UsageError(
            f"Expected the backend {', '.join(_JOBLIB_NAMES)} or a Dask scheduler's address "
            f"(tcp://host:8786), got '{backend}'."
        )
    if backend in _JOBLIB_NAMES:
        started = _with_joblib(function, calls, backend, n_jobs or cpu_count(), ordered, progress)
    else:
        started = _on_cluster(function, calls, backend, ordered, progress)
    # Closed on the way out: an interruption must not leave workers at work on what is left.
    with warnings.catch_warnings(), contextlib.closing(started) as results:
        # joblib's words on an interruption, and on a worker replaced because its memory has grown.
        warnings.filterwarnings("ignore", r"\d+ tasks ", UserWarning)
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        yield _named(results, doing)


def _named(results: Iterator[T], doing: str) -> Iterator[T]:
    """The results; a killed worker is told in a sentence."""
    try:
        yield from results
    except Exception as error:
        if isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker":
            raise WorkerKilledError(
                f"A process that {doing} was killed, most likely because memory ran out: what was "
                "done is kept, so run the same again with fewer jobs (--jobs)."
            ) from error
        raise


# Threads and processes


def _with_joblib(
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    backend: str,
    n_jobs: int,
    ordered: bool,
    progress: Progress | None,
) -> Generator[tuple[int, T]]:
    if not calls:
        return
    import joblib

    # Threads share the BLAS of this process, whose threads are its owner's to set.
    options = {"inner_max_num_threads": 1} if backend == "processes" else {}
    with joblib.parallel_config(_JOBLIB_NAMES[backend], **options):
        workers = joblib.Parallel(
            n_jobs=min(n_jobs, len(calls)),
            return_as="generator" if ordered else "generator_unordered",
        )
    with _Mailbox(progress) if progress else contextlib.nullcontext() as mailbox:
        results = workers(
            joblib.delayed(_call)(function, position, arguments, mailbox and mailbox.address)
            for position, arguments in enumerate(calls)
        )
        try:
            for result in results:  # noqa: UP028 - "yield from" would close them before the pause
                yield result
        except GeneratorExit:
            # Stopped while it takes in a task, as it does after a result, loky prints a traceback.
            time.sleep(0.1)
            results.close()
            raise


def _call(
    function: Callable[..., T],
    position: int,
    arguments: tuple[Any, ...],
    address: _Address | None,
) -> tuple[int, T]:
    reporting = {"report": _Report(address, position)} if address else {}
    return position, function(*arguments, **reporting)


@dataclass(frozen=True)
class _Address:
    """Where reports are sent: a socket of this machine (on Windows a pipe), and its key."""

    place: Any
    key: bytes


@dataclass(frozen=True)
class _Report:
    """What a function at work calls with its progress."""

    address: _Address
    position: int

    def __call__(self, value: Any) -> None:
        with Client(self.address.place, authkey=self.address.key) as connection:
            connection.send((self.position, value))


class _Mailbox:
    """Takes in reports and hands them on, in a thread of its own; all that were sent, on exit."""

    def __init__(self, progress: Progress) -> None:
        key = secrets.token_bytes(16)
        self._listener = Listener(backlog=128, authkey=key)
        self._progress = progress
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.address = _Address(self._listener.address, key)

    def __enter__(self) -> _Mailbox:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        _Report(self.address, -1)(None)  # comes after all that were sent before
        self._thread.join()
        self._listener.close()
        if self._error and kind is None:
            raise self._error

    def _listen(self) -> None:
        while True:
            try:
                with self._listener.accept() as connection:
                    position, value = connection.recv()
            except (EOFError, OSError, AuthenticationError):
                continue  # a worker that was killed while it reported, or a stranger
            if position < 0:
                return
            try:
                self._progress(position, value)
            except Exception as error:
                self._error = self._error or error  # raised on exit: who reports must not wait


# A cluster


def _on_cluster(
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    address: str,
    ordered: bool,
    progress: Progress | None,
) -> Generator[tuple[int, T]]:
    distributed: Any = require("distributed", extra="cluster", needed_for=f"The cluster {address}")
    try:
        client = distributed.Client(address)
    except OSError as error:
        raise UsageError(f"Expected a Dask scheduler at {address}: {error}.") from error
    with client:
        topic = f"{_TOPIC}-{secrets.token_hex(8)}" if progress else None
        if progress:
            client.subscribe_topic(topic, lambda event: progress(*event[1]))
        sent = client.scatter(function, broadcast=True, hash=False)
        futures = [
            client.submit(_call_on_cluster, sent, position, arguments, topic, pure=False)
            for position, arguments in enumerate(calls)
        ]
        try:
            if ordered:
                for future in futures:
                    yield future.result()
            else:
                for future in distributed.as_completed(futures):
                    yield future.result()
        finally:
            client.cancel(futures)


def _call_on_cluster(
    function: Callable[..., T], position: int, arguments: tuple[Any, ...], topic: str | None
) -> tuple[int, T]:
    import distributed
    from threadpoolctl import threadpool_limits

    reporting = {}
    if topic:
        worker = distributed.get_worker()
        reporting = {"report": lambda value: worker.log_event(topic, (position, value))}
    with threadpool_limits(1):
        return position, function(*arguments, **reporting)
