"""Calls on a Dask cluster: what :func:`ostinato.parallel.run` does with a scheduler's address.

A machine of the cluster needs the same versions as home, and workers of one thread each: a
training's random numbers are its process's. Workers write nothing at home; what they find out is
the result of their call. A call whose worker dies is made again on another one.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import pickle
import platform
import queue
import secrets
import socket
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from ostinato.errors import OstinatoError, UsageError, require

T = TypeVar("T")

CONNECT_S = 10.0
"""How long home tries to reach the scheduler, and waits for its first worker."""

WITHOUT_WORKERS_S = 60.0
"""How long a cluster may be without any worker while calls wait: Dask starts dead ones again."""

# Their versions may change the last digits of frames and weights.
_LIBRARIES = (
    "av", "distributed", "lightning", "numpy", "onnxruntime", "scikit-learn", "scipy", "soundfile",
    "soxr", "torch",
)  # fmt: skip
_POLL_S = 2.0
_host: ContextVar[str | None] = ContextVar("host", default=None)


class ClusterError(OstinatoError):
    """The cluster cannot do the work, or has stopped to (exit status 1)."""


class _CancelledError(Exception):
    """Ends a call that reports its progress when nobody waits for it any more."""


def host() -> str | None:
    """Name of the machine of a cluster on which this call runs; None at home."""
    return _host.get()


def run_on_cluster(
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    address: str,
    *,
    doing: str,
    ordered: bool = False,
    progress: Callable[[int, Any], None] | None = None,
) -> Generator[tuple[int, T]]:
    """Yield (position, result) of calls; see :func:`ostinato.parallel.run`.

    What is sent ahead is bounded, so that a scheduler need not hold 100,000 calls.

    Raises
    ------
    UsageError
        If there is no scheduler at the address, or a machine has other versions than home.
    ClusterError
        If there are no workers, the scheduler is gone, or a call's workers died one after another.
    """
    distributed: Any = require("distributed", extra="cluster", needed_for=f"The cluster {address}")
    with _quiet(), _connected(distributed, address) as client:
        topic = f"ostinato-progress-{secrets.token_hex(8)}" if progress else None
        try:
            _check(client, address)
            if progress:
                client.subscribe_topic(topic, lambda event: progress(*event[1]))
            yield from _results(client, function, calls, ordered, topic)
        except (OSError, distributed.client.FutureCancelledError) as error:
            # A closed connection may be noticed here before the client says that it is not running.
            closed = isinstance(error, distributed.comm.CommClosedError)
            if isinstance(error, OSError) and client.status == "running" and not closed:
                raise  # of the function
            raise ClusterError(
                f"The Dask scheduler at {address} is gone: what was done is kept; start it, and "
                "run the same again."
            ) from error
        except distributed.KilledWorker as error:
            raise ClusterError(
                f"Several workers of {address} that {doing} were killed one after another, most "
                "likely because memory ran out: what was done is kept, so run the same again with "
                "fewer workers a machine."
            ) from error


@contextmanager
def _connected(distributed: Any, address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected a Dask scheduler at {address} (--scheduler), got no answer: {error}."
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=2)


def _results(
    client: Any,
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    ordered: bool,
    topic: str | None,
) -> Iterator[tuple[int, T]]:
    # A task, not scattered data: it is made again if all who hold it die. A worker gets it once.
    shared = client.submit(pickle.loads, _pickled(function), pure=False)
    here = versions()
    coming = enumerate(calls)
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    at_work: dict[str, Any] = {}
    early: dict[int, T] = {}  # results that wait for their turn
    wanted = itertools.count()  # positions, in order
    following = next(wanted)
    try:
        while True:
            room = max(8, 3 * sum(client.nthreads().values())) - len(at_work) - len(early)
            for position, arguments in itertools.islice(coming, max(0, room)):
                future = client.submit(
                    _call, shared, position, arguments, topic, here, pure=False, key=_key(position)
                )
                at_work[future.key] = future
                future.add_done_callback(done.put)
            if not at_work:
                return
            for position, result in client.gather(_finished(client, done, at_work)):
                if not ordered:
                    yield position, result
                    continue
                early[position] = result
                while following in early:
                    yield following, early.pop(following)
                    following = next(wanted)
    finally:
        with suppress(Exception):  # where the scheduler is gone, so is the work
            client.cancel(list(at_work.values()))


def _key(position: int) -> str:
    return f"ostinato-{position}-{secrets.token_hex(8)}"


def _pickled(function: Callable[..., Any]) -> bytes:
    import cloudpickle  # type: ignore[import-untyped]

    return bytes(cloudpickle.dumps(function))


def _finished(client: Any, done: queue.SimpleQueue[Any], at_work: dict[str, Any]) -> list[Any]:
    """Wait for futures that are done, and take them from those at work."""
    seen = time.monotonic()
    while True:
        try:
            first = done.get(timeout=_POLL_S)
            break
        except queue.Empty:
            if client.nthreads():
                seen = time.monotonic()
            elif time.monotonic() - seen > WITHOUT_WORKERS_S:
                raise ClusterError(
                    f"The Dask scheduler at {client.scheduler.address} has been without workers "
                    f"for {WITHOUT_WORKERS_S:.0f} s: what was done is kept; start workers, and run "
                    "the same again."
                ) from None
    futures = [first]
    while not done.empty():
        futures.append(done.get())
    for future in futures:
        del at_work[future.key]
    return futures


def _call(
    function: Callable[..., T],
    position: int,
    arguments: tuple[Any, ...],
    topic: str | None,
    home: dict[str, str],
) -> tuple[int, T]:
    """Make a call in a worker, with one BLAS thread."""
    from distributed import get_worker
    from threadpoolctl import threadpool_limits

    worker = get_worker()
    if difference := _difference(home, _facts(worker)):  # of a worker that came later
        raise UsageError(difference)
    reporting = {}
    if topic:
        reporting["report"] = partial(_report, worker, worker.get_current_task(), topic, position)
    token = _host.set(socket.gethostname())
    try:
        with threadpool_limits(1):
            return position, function(*arguments, **reporting)
    finally:
        _host.reset(token)


def _report(worker: Any, key: Any, topic: str, position: int, value: Any) -> None:
    task = worker.state.tasks.get(key)
    if task is None or task.state == "cancelled":
        raise _CancelledError
    worker.log_event(topic, (position, value))


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """The versions of all that decides figures, on this machine; of Ostinato, its code as well."""
    from importlib import metadata

    folder = Path(__file__).parent
    code = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        code.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    number = sys.modules["ostinato"].__version__  # imported from there, it would be a cycle
    found = {
        "ostinato": f"{number} (code {code.hexdigest()[:8]})",
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _facts(dask_worker: Any) -> dict[str, str]:
    """What a worker is like. Its one argument is named as Dask wants it."""
    threads = str(dask_worker.state.nthreads)
    return {**versions(), "host": socket.gethostname(), "threads": threads}


def _difference(home: dict[str, str], there: dict[str, str]) -> str:
    """A sentence on why a worker cannot do home's work; empty if it can."""
    at = f"the worker on {there['host']}"
    for name, version in home.items():
        if there.get(name) != version:
            return (
                f"Expected {name} {version} as at home on every machine of the cluster, got "
                f"{there.get(name, 'none')} for {at}: install the same version there, and start "
                "its workers again."
            )
    if there["threads"] != "1":
        return (
            f"Expected workers of one thread, got {there['threads']} threads for {at}: start it "
            "with dask worker --nthreads 1 --nworkers N, for N processes."
        )
    return ""


def _check(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or with machines that differ from home."""
    started = time.monotonic()
    while not client.nthreads():
        if time.monotonic() - started > CONNECT_S:
            raise ClusterError(
                f"Expected workers of the Dask scheduler at {address}, got none in "
                f"{CONNECT_S:.0f} s: start some with dask worker {address} --nthreads 1."
            )
        time.sleep(0.1)
    home = versions()
    for worker, there in client.run(_facts, on_error="return").items():
        if isinstance(there, OSError):
            continue  # it has just died
        if isinstance(there, Exception):
            why = f"{type(there).__name__}: {there}"
            raise UsageError(
                f"Expected ostinato {home['ostinato']} on every machine of the cluster, got none, "
                f"or another, for the worker at {worker} ({why}): install the same version there."
            )
        if difference := _difference(home, there):
            raise UsageError(difference)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Dask logs of workers that come and go: what matters is an error here."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
