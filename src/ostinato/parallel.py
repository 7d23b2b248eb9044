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
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, TypeVar

from ostinato.errors import OstinatoError, UsageError

T = TypeVar("T")

Progress = Callable[[int, Any], None]
"""Called with the position of a call and what its function reports."""

_JOBLIB_NAMES = {"processes": "loky", "threads": "threading"}


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


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, within a container's limit.

    4 GB where the system does not say.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        memory = 4 * 2**30
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")
        return min(memory, int(limit))
    except (OSError, ValueError):  # no such system, or no limit: "max"
        return memory


def is_cluster(backend: str) -> bool:
    """Whether a backend is a Dask cluster; UsageError if there is no such backend."""
    if backend not in _JOBLIB_NAMES and "://" not in backend:
        raise UsageError(
            f"Expected the backend {', '.join(_JOBLIB_NAMES)} or a Dask scheduler's address "
            f"(tcp://host:8786), got '{backend}'."
        )
    return backend not in _JOBLIB_NAMES


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

    Yields an iterator of (position in ``calls``, result). Leaving the context stops what is still
    at work.

    Parameters
    ----------
    function : callable
        Must be picklable, unless it runs in threads. What all calls share is best bound with
        :func:`functools.partial`: a cluster then gets it once.
    calls : sequence of tuple
        The positional arguments of each call.
    doing : str
        What a worker does, for the sentence about one that was killed: ``"computed frames"``.
    n_jobs : int, optional
        How many threads or processes; by default one a processor core. A cluster has its own.
    backend : str
        ``"processes"``, ``"threads"``, or the address of a Dask scheduler
        (``"tcp://host:8786"``), whose workers see the same audio files.
    ordered : bool
        Whether results come in the order of ``calls``.
    progress : callable, optional
        The function is given a keyword argument ``report``, and may call it with any plain value
        while at work; ``progress`` is then called here with the call's position and that value, in
        another thread. By the end of the context all reports have come, but from a cluster, where
        late ones are lost, and where a call that is made again begins anew.

    Raises
    ------
    UsageError
        If ``n_jobs`` is below 1, there is no such backend, or a cluster cannot be used as it is.
    MissingExtraError
        If a scheduler is named and distributed is not installed.
    WorkerKilledError
        If a worker was killed.
    ClusterError
        If a cluster has no workers, or its scheduler is gone.
    """
    if n_jobs is not None and n_jobs < 1:
        raise UsageError(f"Expected at least 1 job, got {n_jobs}.")
    started: Generator[tuple[int, T]]
    if not is_cluster(backend):
        started = _with_joblib(function, calls, backend, n_jobs or cpu_count(), ordered, progress)
    else:
        from ostinato.cluster import run_on_cluster

        started = run_on_cluster(
            function, calls, backend, doing=doing, ordered=ordered, progress=progress
        )
    try:
        # Closed on the way out: an interruption must not leave workers at work on what is left.
        with warnings.catch_warnings(), contextlib.closing(started) as results:
            # joblib on an interruption, and on a worker replaced because its memory has grown.
            warnings.filterwarnings("ignore", r"\d+ tasks ", UserWarning)
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            yield results
    except BrokenProcessPool as error:
        raise WorkerKilledError(
            f"A process that {doing} was killed, most likely because memory ran out: what was "
            "done is kept, so run the same again with fewer jobs (--jobs)."
        ) from error


def _with_joblib(
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    backend: str,
    n_jobs: int,
    ordered: bool,
    progress: Progress | None,
) -> Generator[tuple[int, T]]:
    import joblib

    # Threads share the BLAS of this process, whose threads are its owner's to set.
    options = {"inner_max_num_threads": 1} if backend == "processes" else {}
    with joblib.parallel_config(_JOBLIB_NAMES[backend], **options):
        workers = joblib.Parallel(
            n_jobs=min(n_jobs, len(calls)) or 1,
            return_as="generator" if ordered else "generator_unordered",
        )
    with _mailbox(progress) if progress else contextlib.nullcontext() as send:
        results = workers(
            joblib.delayed(_call)(function, position, arguments, send)
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
    function: Callable[..., T], position: int, arguments: tuple[Any, ...], send: Progress | None
) -> tuple[int, T]:
    reporting = {"report": partial(send, position)} if send else {}
    return position, function(*arguments, **reporting)


@contextlib.contextmanager
def _mailbox(progress: Progress) -> Generator[Progress]:
    """Give a function that workers report with; what they send has reached progress on exit."""
    key = secrets.token_bytes(16)
    errors: list[Exception] = []  # raised on exit: who reports must not wait

    def listen() -> None:
        while True:
            try:
                with listener.accept() as connection:
                    position, value = connection.recv()
            except (EOFError, OSError, AuthenticationError):
                continue  # a worker that was killed while it reported, or a stranger
            if position < 0:
                return
            try:
                progress(position, value)
            except Exception as error:
                errors.append(error)

    with Listener(backlog=128, authkey=key) as listener:  # a socket; on Windows a pipe
        send = partial(_send, listener.address, key)
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield send
        finally:
            send(-1, None)  # comes after all that were sent before
            thread.join()
    if errors:
        raise errors[0]


def _send(address: Any, key: bytes, position: int, value: Any) -> None:
    with Client(address, authkey=key) as connection:
        connection.send((position, value))
