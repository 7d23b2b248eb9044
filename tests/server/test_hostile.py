"""A sample of ``benchmarks/hostile.py``: what nobody should send is refused, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile

from benchmarks import hostile
from ostinato.server.app import Service, build
from ostinato.server.limits import Limits
from ostinato.server.monitor import Monitor
from ostinato.server.served import served
from ostinato.server.uploads import Spool
from ostinato.server.workers import Workers
from tests.helpers.serving import serving
from tests.helpers.sounds import RATE_HZ, music

LIMITS = Limits(
    upload_bytes=4 << 20, header_s=1.0, idle_s=1.0, upload_s=2.0, work_s=5.0, stop_s=5.0
)
KINDS = {kind: share for kind, share in hostile.KINDS.items() if kind is not hostile.bomb}


@pytest.fixture(scope="module")
def spool() -> Iterator[Spool]:
    made = Spool(LIMITS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def workers() -> Workers:
    return Workers(served(["lstm"]), n=2, limits=LIMITS)


@pytest.fixture(scope="module")
def target(spool: Spool, workers: Workers, tmp_path_factory) -> Iterator[hostile.Target]:
    folder = tmp_path_factory.mktemp("sounds")
    sounds = []
    for name in ("a.wav", "a.flac", "a.mp3", "a.ogg"):
        soundfile.write(folder / name, music(0, seconds=3.0), RATE_HZ)
        sounds.append((folder / name).read_bytes())
    workers.start()
    service = Service(workers, spool, served(["lstm"]), limits=LIMITS, monitor=Monitor(log=False))
    app = build(service, page=False)
    with (
        hostile.canary(folder, music(1, seconds=3.0)) as (path, port, touched),
        serving(app, LIMITS) as server_port,
    ):
        yield hostile.Target(server_port, sounds, {}, path, port, slow_s=2.0)
        assert touched() == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_is_refused_and_nothing_is_left(kind, target: hostile.Target, spool: Spool) -> None:
    n = 16 if kind in (hostile.damaged_sound, hostile.broken_http, hostile.broken_form) else 4
    found = hostile.attack(target, n=n, seed=1, kinds={kind: 100})[kind.__name__]
    assert found.total() == n
    assert not [status for status in found if status[0] == "5"], found
    assert hostile.post(target, target.sounds[0]) == 200
    assert list(spool.folder.iterdir()) == []


def test_killed_workers_leave_no_request_without_an_answer(
    target: hostile.Target, workers: Workers
) -> None:
    """A file whose worker is killed is heard by another; 503 is for those killed twice."""
    n_killed = 0
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(hostile.post, target, target.sounds[0]) for _ in range(60)]
        while (n_done := sum(one.done() for one in asked)) < len(asked):
            time.sleep(0.01)
            if n_done >= 8 * (n_killed + 1) and workers.is_ready:
                with contextlib.suppress(LookupError, ProcessLookupError):
                    os.kill(workers.process_ids[0], signal.SIGKILL)
                n_killed += 1
    statuses = Counter(one.result() for one in asked)
    assert set(statuses) <= {200, 503}
    assert n_killed >= 3
    assert statuses[503] <= n_killed // 2


def test_a_canary_tells(tmp_path) -> None:
    """What is to prove that nothing was read must be able to tell that something was."""
    with hostile.canary(tmp_path, music(1, seconds=1.0)) as (path, port, touched):
        assert touched() == []
        path.read_bytes()
        hostile.socket.create_connection(("127.0.0.1", port)).close()
        for _ in range(50):
            if len(touched()) == 2:
                break
            asyncio.run(asyncio.sleep(0.05))
        assert len(touched()) == 2
