"""A real Dask cluster of separate processes gives what this machine gives, whoever dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ostinato import cluster as own
from ostinato import parallel
from ostinato.cluster import ClusterError
from ostinato.datasets import FrameCache, load_corpus
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.errors import DataError, UsageError
from ostinato.inference.classifier import Classifier
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.study import run_study
from ostinato.tagging.genre_map import load_map
from ostinato.tagging.library import Library
from ostinato.tagging.policy import Policy
from ostinato.tagging.row import Row
from ostinato.tagging.store import Store
from tests.helpers.calls import Payload, count_forever, size_with, slow_root
from tests.helpers.forked import forked
from tests.helpers.graphs import WEIGHT, toy_bytes
from tests.helpers.sounds import write_tune
from tests.helpers.toy import QUICK, SPEC, toy_corpus

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

STUDY = StudyConfig(
    models=("lstm",), seeds=4, coefficients=4, training=QUICK,
    settings={"lstm": {"width": 4, "depth": 1, "texture_frames": 4}},
)  # fmt: skip


@pytest.fixture(scope="module")
def two_workers() -> Iterator[str]:
    forked()
    with (
        # How long a result is looked for at a worker that has just died.
        dask.config.set({"distributed.comm.timeouts.connect": "8s"}),
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as started,
    ):
        yield started.scheduler_address


def workers(address: str) -> list[int]:
    """The process ids of a cluster's workers."""
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def collection(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for genre in ("drone", "hiss"):
        (folder / genre).mkdir(parents=True)
        for i in range(6):
            sound = 0.1 * random.normal(size=22050 * 2).cumsum() ** (2 if genre == "hiss" else 1)
            soundfile.write(folder / genre / f"{i}.wav", sound / np.abs(sound).max() / 2, 22050)
    return folder


class TestAWorkerThatIsKilled:
    def test_loses_no_result_and_gives_none_twice(self, two_workers) -> None:
        found = []
        calls = [(i,) for i in range(60)]
        with parallel.run(slow_root, calls, doing="worked", backend=two_workers) as coming:
            for number, result in enumerate(coming):
                found.append(result)
                if number == 10:
                    os.kill(workers(two_workers)[0], signal.SIGKILL)
        assert sorted(found) == [(i, i**0.5) for i in range(60)]

    def test_while_results_come_in_order(self, two_workers) -> None:
        found = []
        with parallel.run(
            slow_root, [(i,) for i in range(40)], doing="worked", backend=two_workers, ordered=True
        ) as coming:
            for result in coming:
                found.append(result)
                if len(found) == 5:
                    for process in workers(two_workers):  # all that hold what was sent
                        os.kill(process, signal.SIGKILL)
        assert found == [(i, i**0.5) for i in range(40)]

    def test_changes_no_figure_of_a_study(self, two_workers, tmp_path) -> None:
        corpus = toy_corpus()
        home, away = (plan_study(STUDY, corpus, tmp_path / name) for name in ("home", "away"))
        run_study(home, jobs=1, report=False)
        seen: list[tuple[int, int]] = []

        def tell(done: int, total: int, _: str) -> None:
            seen.append((done, total))
            if len(seen) == 3:
                os.kill(workers(two_workers)[0], signal.SIGKILL)

        run_study(away, backend=two_workers, report=False, progress=tell)
        assert seen[0] == (0, 16)
        assert seen[-1] == (16, 16)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        for one, other in zip(home.tasks, away.tasks, strict=True):
            names = {p.name for p in one.folder.iterdir()}
            assert names == {p.name for p in other.folder.iterdir()}
            for name in names - {"run.json", "curves.csv"}:  # they say how long it took, and when
                assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
            records = [json.loads((t.folder / "run.json").read_text()) for t in (one, other)]
            for record in records:
                record["curves"].pop("seconds")
                record.pop("seconds"), record.pop("finished")
            assert records[0] == records[1]


class TestHearing:
    def test_a_folder_sounds_as_at_home(self, two_workers, tmp_path) -> None:
        folder = collection(tmp_path / "music")
        (folder / "drone" / "broken.wav").write_text("this is not sound")
        home, away = (
            load_corpus(
                folder, spec=replace(SPEC, n_coefficients=8), cache=FrameCache(tmp_path / name),
                backend=backend, n_jobs=1,
            )
            for name, backend in (("home", "threads"), ("away", two_workers))
        )  # fmt: skip
        assert home.recordings == away.recordings
        assert home.skipped == away.skipped
        assert [f.tobytes() for f in home.frames] == [f.tobytes() for f in away.frames]
        # The cache is home's: a second call needs nobody.
        again = load_corpus(
            folder, spec=away.spec, cache=FrameCache(tmp_path / "away"), n_jobs=1, backend="threads"
        )
        assert [f.tobytes() for f in again.frames] == [f.tobytes() for f in away.frames]


def test_a_library_is_heard_by_workers_as_at_home(two_workers, tmp_path) -> None:
    model = tmp_path / "toy.onnx"
    model.write_bytes(toy_bytes())
    paths = [write_tune(tmp_path / f"{n}.flac", n, n, seconds=2) for n in range(4)]
    paths.insert(2, tmp_path / "gone.flac")
    classifier = Classifier.load(model)

    def heard(name: str, backend: str, classifier: Classifier = classifier) -> list[Row]:
        store = Store(tmp_path / name, model=classifier.digest)
        options = {"policy": Policy(), "names": load_map(), "model": model, "backend": backend}
        rows = list(Library(classifier, store, **options).rows(paths))
        store.close()
        return rows

    assert heard("there", two_workers) == heard("home", "threads")
    other = tmp_path / "other.onnx"
    other.write_bytes(toy_bytes(weight=-WEIGHT))
    with pytest.raises(UsageError, match="copy its file there"):
        heard("another", two_workers, Classifier.load(other))


def test_what_all_calls_share_reaches_a_worker_once(two_workers, tmp_path) -> None:
    payload = Payload(tmp_path / "notes")
    with parallel.run(
        partial(size_with, payload), [(i,) for i in range(50)], doing="worked", backend=two_workers
    ) as coming:
        assert sorted(coming) == [(i, i + 5) for i in range(50)]
    arrivals = payload.notes.read_text().split()
    assert 1 <= len(arrivals) == len(set(arrivals)) <= 2


def test_leaving_ends_what_is_at_work(two_workers) -> None:
    """A training that nobody waits for ends with its epoch, and the next call is served."""
    started = time.monotonic()
    with parallel.run(
        count_forever, [(i,) for i in range(4)], doing="worked", backend=two_workers,
        progress=lambda *_: None,
    ):  # fmt: skip
        time.sleep(0.5)
    with parallel.run(slow_root, [(4,)], doing="worked", backend=two_workers) as coming:
        assert list(coming) == [(0, 2.0)]
    assert time.monotonic() - started < 20


class TestMachinesThatDiffer:
    @pytest.mark.parametrize("name", ["ostinato", "Python", "torch", "numpy"])
    def test_from_home_are_refused(self, two_workers, monkeypatch, name) -> None:
        other = {**own.versions(), name: "0.0"}
        monkeypatch.setattr(own, "versions", lambda: other)
        with (
            pytest.raises(UsageError, match=rf"Expected {name} 0\.0 as at home .* got ") as caught,
            parallel.run(slow_root, [(1,)], doing="worked", backend=two_workers) as coming,
        ):
            list(coming)
        assert socket.gethostname() in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_by_their_threads_are_refused(self) -> None:
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
            ) as started,
            pytest.raises(UsageError, match="workers of one thread, got 2 threads"),
            parallel.run(
                slow_root, [(1,)], doing="worked", backend=started.scheduler_address
            ) as coming,
        ):
            list(coming)


WORKER = ("--nthreads", "1", "--no-dashboard", "--no-nanny")


@contextlib.contextmanager
def started(*arguments: str, inside: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker in a process of its own."""
    command = [*inside, sys.executable, "-m", "dask", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def scheduler(folder: Path, host: str = "127.0.0.1") -> Iterator[tuple[subprocess.Popen, str]]:
    note = folder / "scheduler.json"
    arguments = ("--host", host, "--port", "0", "--no-dashboard", "--scheduler-file", str(note))
    with started("scheduler", *arguments) as process:
        deadline = time.monotonic() + 30
        while not (note.exists() and note.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, json.loads(note.read_text())["address"]


def test_a_scheduler_without_workers_and_one_that_dies(tmp_path, monkeypatch) -> None:
    with scheduler(tmp_path) as (process, address):
        monkeypatch.setattr(own, "CONNECT_S", 1.0)
        with (
            pytest.raises(ClusterError, match=rf"Expected workers .* {address}, got none in 1 s"),
            parallel.run(slow_root, [(1,)], doing="worked", backend=address) as coming,
        ):
            list(coming)
        monkeypatch.setattr(own, "CONNECT_S", 20.0)
        with started("worker", address, *WORKER):
            found: list[tuple[int, float]] = []
            killed: list[float] = []
            with pytest.raises(ClusterError, match=rf"scheduler at {address} is gone: what was"):
                _kill_after_three(process, address, found, killed)
            assert time.monotonic() - killed[0] < 15
            assert 3 <= len(found) < 900
            assert all(result == i**0.5 for i, result in found)


def test_a_closed_connection_noticed_before_the_client_is_stopped(tmp_path, monkeypatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(own, "_check", lambda client, address: None)

    def closed(client: object) -> dict[str, int]:
        raise distributed.comm.CommClosedError("in <TCP (closed)>: ConnectionResetError")

    monkeypatch.setattr(distributed.Client, "nthreads", closed)
    with (
        scheduler(tmp_path) as (_, address),
        pytest.raises(ClusterError, match=rf"scheduler at {address} is gone: what was"),
        parallel.run(slow_root, [(1,)], doing="worked", backend=address) as coming,
    ):
        list(coming)


def _kill_after_three(
    process: subprocess.Popen[bytes], address: str, found: list[Any], killed: list[float]
) -> None:
    calls = [(i,) for i in range(900)]
    with parallel.run(slow_root, calls, doing="worked", backend=address) as coming:
        for result in coming:
            found.append(result)
            if len(found) == 3:
                process.kill()
                killed.append(time.monotonic())


@pytest.fixture
def another_host(tmp_path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The address of this host for another one, and how to run a program there.

    The other host has a network, a name and folders of its own: ``tmp_path/music`` is empty there.
    """
    needed = ("ip", "unshare", "mount", "hostname")
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, needed)):
        pytest.skip("two hosts need Linux's network namespaces, and root to make them")
    name, link = f"ostinato{os.getpid()}", f"os{os.getpid() % 100000}"
    steps = [
        f"ip netns add {name}", f"ip link add {link}a type veth peer name {link}b netns {name}",
        f"ip addr add 10.213.77.1/30 dev {link}a", f"ip link set {link}a up",
        f"ip -n {name} addr add 10.213.77.2/30 dev {link}b", f"ip -n {name} link set {link}b up",
        f"ip -n {name} link set lo up",
    ]  # fmt: skip
    try:
        for step in steps:
            made = subprocess.run(step.split(), capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"network namespaces are not allowed here: {made.stderr.strip()}")
        setup = f'hostname other-host && mount -t tmpfs none "{tmp_path}/music" && exec "$@"'
        yield "10.213.77.1", (
            "ip", "netns", "exec", name, "unshare", "-m", "-u", "sh", "-c", setup, "sh",
        )  # fmt: skip
    finally:
        subprocess.run(["ip", "link", "del", f"{link}a"], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_a_file_that_another_host_lacks_is_a_sentence(tmp_path, another_host) -> None:
    here, there = another_host
    folder = collection(tmp_path / "music")
    elsewhere = collection(tmp_path / "seen by both")
    with (
        scheduler(tmp_path, here) as (_, address),
        started("worker", address, *WORKER, inside=there),
    ):
        cache, spec = FrameCache(tmp_path / "cache"), replace(SPEC, n_coefficients=8)
        with pytest.raises(DataError) as caught:
            load_corpus(folder, spec=spec, cache=cache, backend=address)
        said = str(caught.value)
        assert said.startswith(f"other-host of the cluster cannot read '{folder}")
        assert "No such file or directory" in said
        assert "\n" not in said
        paths = sorted(elsewhere.rglob("*.wav"))
        found = compute_frames(paths, spec=spec, cache=cache, backend=address)
        assert len(found) == 12
        assert all(isinstance(f, FileFrames) for f in found)
