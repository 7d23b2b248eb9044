"""A hostile file costs one worker, which is replaced; every job is answered."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ostinato.errors import OstinatoError, UsageError
from ostinato.server import nursery
from ostinato.server.jobs import Asked, Job
from ostinato.server.limits import Limits
from ostinato.server.problems import Problem
from ostinato.server.served import Served
from ostinato.server.workers import Workers
from tests.helpers.hearing import hear

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc of Linux")
LIMITS = Limits(work_s=1.0, worker_bytes=64 << 20, waiting=2, stop_s=2.0)


def job(name: str = "hear", path: str = "") -> Job:
    return Job(path=path, name=name, model="default", most_s=60.0)


class Deadly:
    """What ends the process that it is sent to."""

    def __call__(self, asked: Asked) -> dict[str, Any]:
        raise AssertionError

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


class Server:
    """Workers, and a loop in which they are asked."""

    def __init__(self, *, n: int = 2, limits: Limits = LIMITS) -> None:
        self.reasons: list[str] = []
        self.workers = Workers([], n=n, limits=limits, replaced=self.reasons.append, hear=hear)
        self.loop = asyncio.new_event_loop()
        self.workers.start()
        self.do(self.workers.wait_ready())

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(what, 20))

    def ask(self, name: str, path: str = "") -> Any:
        return self.do(self.workers.run(job(name, path)))

    def refused(self, name: str, path: str = "") -> Problem:
        with pytest.raises(Problem) as refused:
            self.ask(name, path)
        return refused.value

    def all_of(self, names: list[str]) -> list[Any]:
        async def run() -> list[Any]:
            asked = [self.workers.run(job(name)) for name in names]
            return await asyncio.gather(*asked, return_exceptions=True)

        return self.do(run())

    def close(self) -> None:
        self.do(self.workers.stop())
        self.loop.close()


@pytest.fixture(scope="module")
def one() -> Iterator[Server]:
    server = Server(n=1)
    yield server
    server.close()


@pytest.fixture(scope="module")
def two() -> Iterator[Server]:
    server = Server(n=2)
    yield server
    server.close()


FORKED_BEFORE = """
import asyncio, multiprocessing, os, signal
from multiprocessing import forkserver
from ostinato.server.jobs import Job
from ostinato.server.limits import Limits
from ostinato.server.workers import Workers
from tests.helpers.hearing import hear

async def main():
    workers = Workers([], n=1, limits=Limits(), hear=hear)
    workers.start()
    await workers.wait_ready()
    job = Job(path="", name="hear", model="default", most_s=60.0)
    before = await workers.run(job)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(before["process"], number)
    print("the same" if await workers.run(job) == before else "another")
    await workers.stop()

if __name__ == "__main__":
    forkserver.ensure_running()
    asyncio.run(main())
"""

POOL_BESIDE = """
import multiprocessing
from ostinato.server import nursery

if __name__ == "__main__":
    nursery.begin()
    for _ in range(20):
        pool = multiprocessing.get_context("forkserver").Pool(2)
        pool.map(abs, range(3))
        pool.terminate()
        pool.join()
"""


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


class TestOneJob:
    def test_is_answered_by_the_same_process_each_time(self, one: Server) -> None:
        assert one.ask("hear") == one.ask("hear")
        assert one.ask("hear")["process"] != os.getpid()

    def test_a_problem_comes_home_as_it_is(self, one: Server) -> None:
        problem = one.refused("refuse It is no sound.")
        assert (problem.status, problem.code, problem.detail) == (
            422,
            "not-heard",
            "It is no sound.",
        )
        assert problem.headers == {"Retry-After": "3"}

    def test_a_fault_of_ours_is_500_and_tells_nothing_of_it(self, one: Server, capfd) -> None:
        problem = one.refused("raise secret of the machine")
        assert (problem.status, problem.code) == (500, "internal")
        assert "secret" not in problem.detail.replace("raise secret of the machine", "")

    def test_a_worker_writes_no_file(self, one: Server, tmp_path) -> None:
        problem = one.refused("write", str(tmp_path / "out"))
        assert problem.status == 500
        assert not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size

    def test_signals_for_the_server_do_not_reach_it(self, one: Server) -> None:
        before = one.ask("hear")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(before["process"], number)
        assert one.ask("hear") == before

    def test_nor_where_the_program_has_begun_to_fork_before(self, tmp_path) -> None:
        """Its process to fork from may hold no signals back, and have imported nothing."""
        (tmp_path / "program.py").write_text(FORKED_BEFORE)
        ran = subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert (ran.returncode, ran.stdout) == (0, "the same\n"), ran.stderr

    def test_other_processes_of_the_program_end_when_they_are_told_to(self, tmp_path) -> None:
        """They are forked from the one that holds signals back, and a pool ends its own by one."""
        (tmp_path / "program.py").write_text(POOL_BESIDE)
        subprocess.run([sys.executable, "program.py"], cwd=tmp_path, timeout=60, check=True)


class TestBounds:
    def test_too_much_memory_is_422_and_the_worker_goes(self, one: Server) -> None:
        before = one.ask("hear")
        assert one.ask("take 32") == {"n_bytes": 32 << 20}
        one.reasons.clear()
        problem = one.refused("take 96")
        assert (problem.status, problem.code) == (422, "too-much-memory")
        assert one.ask("hear") != before
        assert one.reasons == ["memory"]

    def test_what_a_library_says_of_memory_counts_and_what_a_sender_says_does_not(
        self, one
    ) -> None:
        before = one.ask("hear")
        assert one.refused("refuse 'bad_alloc.mp3' is no sound.").code == "not-heard"
        assert one.ask("hear") == before
        assert one.refused("raise std::bad_alloc").code == "too-much-memory"
        assert one.ask("hear") != before

    def test_a_worker_is_ended_at_the_deadline_and_not_tried_again(self, one: Server) -> None:
        before, began = one.ask("hear"), time.monotonic()
        one.reasons.clear()
        problem = one.refused("sleep 30")
        assert (problem.status, problem.code) == (422, "too-slow-to-hear")
        assert 1.0 <= time.monotonic() - began < 10
        assert one.ask("hear") != before
        assert one.reasons == ["deadline"]
        assert not is_running(before["process"])


class TestDeath:
    @pytest.mark.parametrize(
        ("name", "status", "code"),
        [
            ("SIGSEGV", 422, "unhearable"),
            ("SIGABRT", 422, "unhearable"),
            ("SIGKILL", 503, "worker-died"),
        ],
    )
    def test_a_job_that_two_workers_die_of_is_refused(self, one, name, status, code) -> None:
        one.reasons.clear()
        problem = one.refused(f"signal {name}")
        assert (problem.status, problem.code) == (status, code)
        assert one.ask("hear")["process"]
        assert one.reasons == ["died", "died"]

    def test_a_job_whose_worker_was_killed_is_answered_by_another(self, one, tmp_path) -> None:
        trace = tmp_path / "trace"
        trace.touch()
        assert one.ask("once", str(trace))["process"]
        assert not trace.exists()

    def test_a_worker_that_died_idle_costs_no_job(self, one: Server) -> None:
        process = one.ask("hear")["process"]
        os.kill(process, signal.SIGKILL)
        while is_running(process):
            time.sleep(0.01)
        one.reasons.clear()
        assert one.ask("hear")["process"] != process
        assert one.reasons == ["died"]

    def test_where_workers_come_from_may_die(self, one: Server) -> None:
        process = one.ask("hear")["process"]
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        os.kill(int(fields[1]), signal.SIGKILL)
        until = time.monotonic() + 10
        while (now := one.ask("hear")["process"]) == process and time.monotonic() < until:
            time.sleep(0.02)
        assert now != process
        while is_running(process) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_running(process)

    def test_the_others_are_answered_meanwhile(self, two: Server) -> None:
        answers = two.all_of(["signal SIGSEGV", *["hear"] * 10, "sleep 30", *["hear"] * 10])
        refused = [(n, a.code) for n, a in enumerate(answers) if isinstance(a, Problem)]
        assert refused == [(0, "unhearable"), (11, "too-slow-to-hear")]

    def test_killed_every_little_while_each_job_is_answered(self, two: Server) -> None:
        """Only a job whose two workers were killed is refused, with 503."""
        names = ["sleep 0.05"] * 60
        killed: list[int] = []

        async def kill() -> None:
            while True:
                await asyncio.sleep(0.25)
                process = random.choice(two.workers.process_ids)
                os.kill(process, signal.SIGKILL)
                killed.append(process)

        async def run() -> list[Any]:
            killer = asyncio.create_task(kill())
            try:
                asked = [two.workers.run(job(name)) for name in names]
                return await asyncio.gather(*asked, return_exceptions=True)
            finally:
                killer.cancel()

        answers = two.do(run())
        assert len(answers) == len(names)
        assert len(killed) >= 4
        problems = [answer for answer in answers if not isinstance(answer, dict)]
        assert all(p.code == "worker-died" for p in problems)
        assert len(problems) <= len(killed) // 2


class TestPlaces:
    def test_are_bounded_and_say_when_to_come_again(self, two: Server) -> None:
        places = [two.workers.place() for _ in range(2 * (1 + LIMITS.waiting))]
        for place in places:
            place.__enter__()
        with pytest.raises(Problem) as refused, two.workers.place():
            pass
        assert (refused.value.status, refused.value.code) == (429, "busy")
        assert int(refused.value.headers["Retry-After"]) >= 1
        places.pop().__exit__(None, None, None)
        with two.workers.place():
            pass
        for place in places:
            place.__exit__(None, None, None)

    def test_what_nobody_waits_for_any_more_is_not_heard(self, one: Server, tmp_path) -> None:
        async def run() -> None:
            busy = asyncio.create_task(one.workers.run(job("sleep 0.3")))
            trace = tmp_path / "trace"
            trace.touch()
            waiting = asyncio.create_task(one.workers.run(job("once", str(trace))))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await busy
            await one.workers.run(job("hear"))
            assert trace.exists()

        one.do(run())

    def test_a_job_that_waits_too_long_is_told(self, one: Server, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr(one.workers, "_limits", replace(LIMITS, answer_s=0.2))
        (trace := tmp_path / "trace").touch()

        async def run() -> None:
            busy = one.workers.run(job("sleep 0.5"))
            waiting = one.workers.run(job("once", str(trace)))
            told = await asyncio.gather(busy, waiting, return_exceptions=True)
            assert [(problem.status, problem.code) for problem in told] == [(503, "busy")] * 2
            assert str(told[1]).startswith("Expected a worker for 'once' within 0.2 s, got none")

        one.do(run())
        monkeypatch.undo()
        assert one.ask("hear")  # behind the first, whose time is over
        assert trace.exists()  # nobody heard what nobody waited for


class TestStart:
    def test_a_model_that_is_not_known_is_told(self) -> None:
        workers = Workers([Served("it", "no-such-model")], n=1, limits=LIMITS)
        workers.start()

        async def run() -> None:
            try:
                with pytest.raises(UsageError, match="got 'no-such-model'"):
                    await workers.wait_ready()
                assert not workers.is_ready
            finally:
                await workers.stop()

        asyncio.run(run())

    def test_one_that_dies_as_it_starts_is_told_and_does_not_spin(self) -> None:
        workers = Workers([], n=1, limits=LIMITS, hear=Deadly())
        workers.start()

        async def run() -> None:
            try:
                began = time.process_time()
                with pytest.raises(OstinatoError, match=r"ended before \(exit status 3\)"):
                    await workers.wait_ready()
                with pytest.raises(Problem) as refused:
                    await workers.run(job())
                assert (refused.value.status, refused.value.code) == (503, "no-worker")
                assert time.process_time() - began < 1
            finally:
                await workers.stop()

        asyncio.run(run())

    def test_there_must_be_one(self) -> None:
        with pytest.raises(UsageError, match="at least 1 worker, got 0"):
            Workers([], n=0, limits=LIMITS)

    def test_where_sockets_would_have_too_long_a_path(self, tmp_path, monkeypatch) -> None:
        long = tmp_path / ("x" * 80)
        long.mkdir()
        assert nursery.is_forking()
        monkeypatch.setattr("tempfile.tempdir", str(long))
        assert not nursery.is_forking()
        server = Server(n=1)
        assert server.ask("hear")
        server.close()


class TestStop:
    def test_what_runs_and_waits_is_finished_and_what_is_new_refused(self) -> None:
        server = Server(n=1)
        processes = server.workers.process_ids

        async def run() -> list[Any]:
            asked = [asyncio.create_task(server.workers.run(job("sleep 0.2"))) for _ in range(3)]
            await asyncio.sleep(0.05)
            stopping = asyncio.create_task(server.workers.stop())
            await asyncio.sleep(0.05)
            assert not server.workers.is_ready
            with pytest.raises(Problem, match="stops") as refused:
                await server.workers.run(job())
            assert refused.value.status == 503
            with pytest.raises(Problem, match="stops"), server.workers.place():
                pass
            await stopping
            return await asyncio.gather(*asked)

        assert [answer["process"] for answer in server.do(run())] == processes * 3
        server.loop.close()
        assert not any(map(is_running, processes))

    def test_what_takes_too_long_is_cut_off_with_503(self) -> None:
        server = Server(n=1, limits=Limits(work_s=30, stop_s=0.3))
        processes = server.workers.process_ids

        async def run() -> Any:
            asked = asyncio.create_task(server.workers.run(job("sleep 20")))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await server.workers.stop()
            assert time.monotonic() - began < 10
            with pytest.raises(Problem) as refused:
                await asked
            return refused.value

        assert server.do(run()).status == 503
        server.loop.close()
        assert not any(map(is_running, processes))

    @pytest.mark.parametrize("how", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
    def test_workers_end_with_home_however_it_ends(self, how: str) -> None:
        program = f"""
import asyncio, os, signal, sys
from ostinato.server.limits import Limits
from ostinato.server.workers import Workers
from tests.helpers.hearing import hear

if __name__ == "__main__":
    workers = Workers([], n=2, limits=Limits(), hear=hear)
    workers.start()
    asyncio.run(workers.wait_ready())
    print(*workers.process_ids, flush=True)
    {how}
"""
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=20
        )
        assert ended.returncode in (3, -signal.SIGKILL)
        processes = [int(word) for word in ended.stdout.split()]
        assert processes
        until = time.monotonic() + 10
        while any(map(is_running, processes)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not any(map(is_running, processes))
