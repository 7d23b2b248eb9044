"""Calls side by side: whatever the backend, the same results, reports and sentences."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest

from ostinato import parallel
from ostinato.errors import UsageError
from ostinato.parallel import WorkerKilledError


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as started:
        yield started.scheduler_address


@pytest.fixture(params=["processes", "threads", "cluster"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("cluster") if request.param == "cluster" else request.param


def power(base: float, exponent: float) -> float:
    return base**exponent


def fail(number: int) -> int:
    if number == 2:
        raise ValueError("two is wrong")
    return number


def count_up(n: int, *, report: Callable[[int], None]) -> int:
    for step in range(1, n + 1):
        report(step)
    return n


def results(function: Callable[..., object], calls: list[tuple[object, ...]], **options: object):
    with parallel.run(function, calls, doing="worked", **{"n_jobs": 2, **options}) as coming:
        return list(coming)


def test_each_result_comes_with_its_position(backend: str) -> None:
    found = results(power, [(2.0, 3.0), (3.0, 2.0), (5.0, 1.0)], backend=backend)
    assert sorted(found) == [(0, 8.0), (1, 9.0), (2, 5.0)]


def test_in_order_when_asked_for(backend: str) -> None:
    found = results(partial(power, 2.0), [(float(i),) for i in range(9)], backend=backend,
                    ordered=True)  # fmt: skip
    assert found == [(i, 2.0**i) for i in range(9)]


def test_no_calls_are_no_results(backend: str) -> None:
    assert results(power, [], backend=backend) == []


def test_an_error_of_a_call_is_raised_as_it_is(backend: str) -> None:
    with pytest.raises(ValueError, match="two is wrong"):
        results(fail, [(i,) for i in range(4)], backend=backend)


@pytest.mark.parametrize("name", ["processes", "threads"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_reports_of_calls_at_work_have_all_come_in_the_end(name: str, n_jobs: int) -> None:
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    found = results(
        count_up,
        [(3,), (50,), (1,)],
        backend=name,
        n_jobs=n_jobs,
        progress=lambda position, step: seen[position].append(step),
    )
    assert sorted(found) == [(0, 3), (1, 50), (2, 1)]
    assert seen == {0: [1, 2, 3], 1: list(range(1, 51)), 2: [1]}


def test_reports_come_from_a_cluster(cluster: str) -> None:
    seen: list[tuple[int, int]] = []
    arrived = threading.Event()

    def note(position: int, step: int) -> None:
        seen.append((position, step))
        if len(seen) == 4:
            arrived.set()

    with parallel.run(
        count_up, [(3,), (1,)], doing="counted", backend=cluster, progress=note
    ) as coming:
        assert sorted(coming) == [(0, 3), (1, 1)]
        assert arrived.wait(10)
    assert sorted(seen) == [(0, 1), (0, 2), (0, 3), (1, 1)]


def die(_: int) -> None:
    os._exit(9)


def test_a_killed_worker_is_one_sentence() -> None:
    with pytest.raises(WorkerKilledError, match="A process that worked was killed") as caught:
        results(die, [(i,) for i in range(3)])
    assert "\n" not in str(caught.value)
    assert sorted(results(power, [(2.0, 3.0), (3.0, 2.0)])) == [(0, 8.0), (1, 9.0)]


def die_after_reporting(n: int, *, report: Callable[[int], None]) -> None:
    report(n)
    os._exit(9)


def test_a_worker_killed_with_its_reports_does_not_hang() -> None:
    with pytest.raises(WorkerKilledError):
        results(die_after_reporting, [(i,) for i in range(3)], progress=lambda *_: None)


def test_an_error_of_the_progress_is_raised_in_the_end() -> None:
    def broken(position: int, step: int) -> None:
        raise RuntimeError("no bar")

    with pytest.raises(RuntimeError, match="no bar"):
        results(count_up, [(2,), (2,)], progress=broken)


def note_and_wait(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    time.sleep(0.05)
    return number


@pytest.mark.parametrize("name", ["processes", "threads"])
def test_leaving_the_context_stops_what_is_left(name: str, tmp_path: Path) -> None:
    def interrupted() -> None:
        calls = [(tmp_path, i) for i in range(400)]
        with parallel.run(note_and_wait, calls, doing="waited", n_jobs=2, backend=name) as coming:
            next(coming)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    begun = len(list(tmp_path.iterdir()))
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) - begun <= 2
    assert begun < 400


def blas_threads(_: int) -> set[int]:
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_a_worker_has_one_blas_thread(cluster: str) -> None:
    for name in ("processes", cluster):
        assert all(threads == {1} for _, threads in results(blas_threads, [(0,), (1,)],
                                                            backend=name))  # fmt: skip


@pytest.mark.parametrize("n_jobs", [0, -1])
def test_no_jobs_is_a_wrong_call(n_jobs: int) -> None:
    with pytest.raises(UsageError, match=f"at least 1 job, got {n_jobs}"):
        results(power, [(2.0, 3.0)], n_jobs=n_jobs)


def test_an_unknown_backend_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="processes, threads or a Dask scheduler's address"):
        results(power, [(2.0, 3.0)], backend="dask")


def test_no_scheduler_at_an_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("ostinato.cluster.CONNECT_S", 0.5)
    with pytest.raises(UsageError, match=r"Expected a Dask scheduler at tcp://127\.0\.0\.1:9"):
        results(power, [(2.0, 3.0)], backend="tcp://127.0.0.1:9")


def test_cores_are_counted_as_joblib_counts_them() -> None:
    assert parallel.cpu_count() == joblib.cpu_count()


def test_a_container_may_use_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "250000 100000\n")
    assert parallel.cpu_count() == 3
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "max 100000\n")
    assert parallel.cpu_count() == 8
