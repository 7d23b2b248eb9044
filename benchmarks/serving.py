"""Benchmark of ``ostinato serve``: throughput, waiting, memory, killed workers, start.

Run from the root of the repository, with the extra ``serve`` installed::

    python benchmarks/serving.py
    python benchmarks/serving.py --only start,throughput --seconds 60 --library ~/music
    python benchmarks/serving.py --only memory,kill --requests 10000

It prints one table: figure, measured, target, met or not. A real server listens on loopback, on
the processors that it shares with the clients here, which are asyncio on bare sockets; what they
take of the processors is told. Songs are 30 s of MP3, made here or cut from ``--library``. The
exit status is 0 whether targets are met or not.

start
    From the start of the process to 200 of ``/readyz``, with the page and without.
throughput
    ``--clients`` connections, each of which sends the next song when it has its answer, against
    ``Classifier.classify_many`` on the same files in this process. Both take turns; the ratio is
    the median over rounds. The processor time of a file, that of the clients included, is compared
    as well, which other programs on the machine disturb less.
waiting
    The time of a request that is alone, and the 95th percentile where requests arrive at 80 % of
    that throughput: evenly, and at random (Poisson). At random there is no target: two workers
    that always take equally long would have 4.2x.
memory
    Memory that the server and its workers do not share with files, over ``--requests`` requests of
    1 s of sound, by tenths.
kill
    A worker killed every 3 s under the load of ``throughput``: what the clients got.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

for _pool in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import asyncio
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from ostinato import Classifier
from ostinato.audio import find_audio, load_audio
from ostinato.inference.verdict import Verdict

RATE, SONG_S, N_SONGS = 44_100, 30, 8
IDLE_S = 3.0  # an idle connection is not used any more: the server is about to close it
FIGURES = ("start", "throughput", "waiting", "memory", "kill")
SERVE = (sys.executable, "-m", "ostinato", "serve", "--model", "default")


class Row(NamedTuple):
    """A line of the table."""

    figure: str
    measured: str
    target: str = ""
    is_met: bool | None = None


class Speed(NamedTuple):
    """How fast files are heard, and what one takes."""

    rate: float  # files a second
    cost_s: float  # processor time of a file
    own_s: float  # the client's part of it


class Server:
    """A server in a process of its own, and what the system says of it."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        command = (*SERVE, "--port", str(self.port), *arguments)
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        while not self.is_ready():
            if self.process.poll() is not None:
                self.log.seek(0)
                sys.exit(self.log.read().decode())
            time.sleep(0.005)
        self.start_s = time.perf_counter() - began

    def is_ready(self) -> bool:
        """Ask whether it takes work."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def family(self, pid: int | None = None) -> list[int]:
        """Numbers of the process and of all below it."""
        pid = pid or self.process.pid
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            below = [int(n) for task in tasks for n in (task / "children").read_text().split()]
        except OSError:
            return []
        return [pid, *(other for child in below for other in self.family(child))]

    def workers(self) -> list[int]:
        """Processes without children below the server that have heard something."""
        leaves = [pid for pid in self.family()[1:] if len(self.family(pid)) == 1]
        return [pid for pid in leaves if b"onnxruntime" in _read(f"/proc/{pid}/maps")]

    def processor_s(self) -> float:
        """Processor time that all processes have taken."""
        fields = [_read(f"/proc/{pid}/stat").rpartition(b")")[2].split() for pid in self.family()]
        return sum(int(f[11]) + int(f[12]) for f in fields if f) / os.sysconf("SC_CLK_TCK")

    def mib(self) -> tuple[float, float]:
        """Memory of its own that the server has, and that of all below it, in MiB."""
        rollups = [_read(f"/proc/{pid}/smaps_rollup").decode() for pid in self.family()]
        found = [re.search(r"^Pss_Anon: +(\d+)", rollup, re.M) for rollup in rollups]
        server, *below = (int(size[1]) / 1024 if size else 0.0 for size in found)
        return server, sum(below)

    def stop(self) -> None:
        """End it as a person would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.stop()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


class Client:
    """A connection that is kept, and the statuses that came over it."""

    def __init__(self, port: int, statuses: Counter[int | str]) -> None:
        self.port, self.statuses = port, statuses
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.last = 0.0  # when it was used

    async def ask(self, song: bytes) -> float:
        """Send a song, and give the seconds until its answer."""
        began = time.perf_counter()
        if began - self.last > IDLE_S:
            self.close()
        try:
            status, retry_s = await self._status(song)
        except (OSError, asyncio.IncompleteReadError):
            self.statuses["no answer"] += 1
            self.close()
            return time.perf_counter() - began
        self.last = time.perf_counter()
        self.statuses[status] += 1
        if status == 429:
            await asyncio.sleep(retry_s)
        return time.perf_counter() - began

    async def _status(self, song: bytes) -> tuple[int, float]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        head = f"POST /v1/classify HTTP/1.1\r\nHost: me\r\nContent-Length: {len(song)}\r\n\r\n"
        writer.write(head.encode())
        writer.write(song)
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: *(\d+)", answer)
        await reader.readexactly(int(length[1]) if length else 0)
        if "connection: close" in answer:
            self.close()
        retry = re.search(r"retry-after: *(\d+)", answer)
        return int(answer.split()[1]), float(retry[1]) if retry else 0.0

    def close(self) -> None:
        """Close the connection; the next song opens another."""
        if self.streams:
            self.streams[1].close()
            self.streams = None


def load(
    server: Server,
    songs: Sequence[bytes],
    statuses: Counter[int | str],
    *,
    clients: int,
    requests: int | None = None,
    seconds: float = float("inf"),
) -> list[float]:
    """Have clients send one song after the other; the seconds of each request."""
    times: list[float] = []
    over = time.perf_counter() + seconds
    numbers = iter(range(requests)) if requests else count()

    async def one() -> None:
        client = Client(server.port, statuses)
        while time.perf_counter() < over and (number := next(numbers, None)) is not None:
            times.append(await client.ask(songs[number % len(songs)]))
        client.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(clients)))

    asyncio.run(all_of_them())
    return times


async def arriving(
    server: Server, songs: Sequence[bytes], pauses: Sequence[float]
) -> tuple[list[float], Counter[int | str]]:
    """Send a song after each pause, whether those before are answered or not."""
    statuses: Counter[int | str] = Counter()
    free: list[Client] = []
    times: list[float] = []

    async def one(song: bytes) -> None:
        client = free.pop() if free else Client(server.port, statuses)
        times.append(await client.ask(song))
        free.append(client)

    at, asked = time.perf_counter(), []
    for pause, song in zip(pauses, cycle(songs), strict=False):
        at += pause
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        asked.append(asyncio.create_task(one(song)))
    await asyncio.gather(*asked)
    for client in free:
        client.close()
    return times, statuses


def start() -> list[Row]:
    rows = []
    for name, arguments, target_s in (
        ("without the page", ("--no-page",), 1.5),
        ("with it", (), 2.0),
    ):
        seconds = []
        for _ in range(5):
            with serving(*arguments) as server:
                seconds.append(server.start_s)
        typical = statistics.median(seconds)
        shown = f"{typical:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
        rows.append(Row(f"start {name}", shown, f"<= {target_s} s", typical <= target_s))
    return rows


def throughput(
    server: Server, paths: Sequence[Path], *, clients: int, seconds: float, rounds: int = 3
) -> tuple[list[Row], float]:
    """Rows, and requests a second."""
    songs = [path.read_bytes() for path in paths]
    classifier = Classifier.load("default")
    statuses: Counter[int | str] = Counter()

    def served(for_s: float) -> Speed:
        began, own, theirs = time.perf_counter(), time.process_time(), server.processor_s()
        times = load(server, songs, statuses, clients=clients, seconds=for_s)
        own, theirs = time.process_time() - own, server.processor_s() - theirs
        wall_s, n = time.perf_counter() - began, len(times)
        return Speed(n / wall_s, (own + theirs) / n, own / n)

    def in_process(n: int, jobs: int | None = None) -> Speed:
        began, took = time.perf_counter(), time.process_time()
        heard = list(classifier.classify_many(islice(cycle(paths), n), jobs=jobs))
        assert all(isinstance(verdict, Verdict) for _, verdict in heard)
        return Speed(n / (time.perf_counter() - began), (time.process_time() - took) / n, 0)

    rate = served(2).rate
    in_process(8)
    there, here, alone = [], [], []
    for number in range(rounds):
        steps = [
            lambda: there.append(served(seconds / rounds)),
            lambda: here.append(in_process(round(rate * seconds / rounds))),
            lambda: alone.append(in_process(round(rate * seconds / rounds / 4), jobs=1)),
        ]
        for step in steps if number % 2 else reversed(steps):
            step()
    rate = statistics.median(speed.rate for speed in there)
    ratio = statistics.median(a.rate / b.rate for a, b in zip(there, here, strict=True))
    cheap, cheapest = (
        statistics.median(b.cost_s / a.cost_s for a, b in zip(there, other, strict=True))
        for other in (here, alone)
    )
    own = statistics.median(a.own_s / a.cost_s for a in there)
    rows = [
        Row(f"requests a second, {clients} clients", f"{rate:.1f} ({dict(statuses)})"),
        Row("classify_many, files a second", f"{statistics.median(b.rate for b in here):.1f}"),
        Row("the former over the latter", f"{ratio:.2f}x", ">= 0.85x", ratio >= 0.85),
        Row("likewise, by processor time a file", f"{cheap:.2f}x"),
        Row("likewise, against classify_many with one thread", f"{cheapest:.2f}x"),
        Row("of that time the clients' own", f"{own:.1%}"),
    ]
    return rows, rate


def waiting(server: Server, paths: Sequence[Path], rate: float, seconds: float) -> list[Row]:
    songs = [path.read_bytes() for path in paths]
    n_alone = 30
    statuses: Counter[int | str] = Counter()
    alone_s = statistics.median(load(server, songs, statuses, clients=1, requests=n_alone))
    rows = [Row("a request alone, median", f"{alone_s * 1000:.0f} ms")]
    n = round(0.8 * rate * seconds)
    own = random.Random(0)
    for name, pauses in (
        ("evenly", [1 / (0.8 * rate)] * n),
        ("at random", [own.expovariate(0.8 * rate) for _ in range(n)]),
    ):
        times, statuses = asyncio.run(arriving(server, songs, pauses))
        p95 = float(np.quantile(times, 0.95))
        shown = f"{p95 / alone_s:.1f}x ({p95 * 1000:.0f} ms; {dict(statuses)})"
        target = ("<= 3x", p95 <= 3 * alone_s) if name == "evenly" else ()
        rows.append(Row(f"p95 at 80 %, {name}", shown, *target))
    return rows


def memory(server: Server, folder: Path, *, clients: int, requests: int) -> list[Row]:
    songs = [made(folder / f"short-{n}.mp3", n, seconds=1).read_bytes() for n in range(16)]
    sizes: list[tuple[float, float]] = []
    statuses: Counter[int | str] = Counter()
    for _ in range(10):
        load(server, songs, statuses, clients=clients, requests=requests // 10)
        sizes.append(server.mib())
    rows = [Row(f"{requests} requests", str(dict(statuses)))]
    for name, own in zip(("server", "workers"), zip(*sizes, strict=True), strict=True):
        grown = (statistics.mean(own[-3:]) / statistics.mean(own[1:4])) - 1
        shown = f"{grown:+.1%} (MiB: {' '.join(f'{size:.0f}' for size in own)})"
        rows.append(
            Row(f"memory of the {name}, tenths 8 to 10 over 2 to 4", shown, "<= 5 %", grown <= 0.05)
        )
    return rows


def kill(server: Server, paths: Sequence[Path], *, clients: int, seconds: float) -> list[Row]:
    songs = [path.read_bytes() for path in paths]
    statuses: Counter[int | str] = Counter()
    n_killed = 0

    done = threading.Event()

    def killing() -> None:
        nonlocal n_killed
        while not done.wait(3):
            if found := server.workers():
                os.kill(random.choice(found), signal.SIGKILL)
                n_killed += 1

    killer = threading.Thread(target=killing)
    killer.start()
    times = load(server, songs, statuses, clients=clients, seconds=seconds)
    done.set()
    killer.join()
    faults = sum(n for status, n in statuses.items() if isinstance(status, int) and status >= 500)
    shown = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items(), key=str))
    return [
        Row(f"answers, {n_killed} workers killed", shown, "all", statuses["no answer"] == 0),
        Row("of them 5xx", str(faults), "<= 1 in 100", faults <= len(times) / 100),
    ]


def made(path: Path, number: int, *, seconds: float = SONG_S) -> Path:
    """Write something like a song as MP3: notes at a tempo and pitch of its number, and noise."""
    rng = np.random.default_rng(number)
    t = np.arange(int(seconds * RATE)) / RATE
    beat_s, sound = rng.uniform(0.2, 0.6), 0.02 * rng.standard_normal((2, t.size))
    for voice in range(4):
        pitch = rng.choice([110, 165, 220, 330]) * 2.0 ** rng.integers(-1, 3)
        notes = pitch * 2 ** (rng.integers(0, 12, 1 + int(seconds / beat_s)) / 12)
        phase = 2 * np.pi * np.cumsum(notes[(t / beat_s).astype(int)]) / RATE
        sound[voice % 2] += 0.2 * np.sin(phase) * np.exp(-6 * (t % beat_s))
    return write_mp3(path, sound.mean(axis=0) + 0.3 * sound)


def write_mp3(path: Path, channels: np.ndarray) -> Path:
    samples = (np.clip(channels, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mp3", rate=RATE, layout="stereo", bit_rate=128_000)
        for first in range(0, samples.shape[1], 1152):
            part = np.ascontiguousarray(samples[:, first : first + 1152].T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = RATE, first
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def the_songs(folder: Path, library: Path | None) -> list[Path]:
    if library is None:
        return [made(folder / f"{number}.mp3", number) for number in range(N_SONGS)]
    paths = []
    for number, path in enumerate(find_audio(library).paths[:N_SONGS]):
        sound = load_audio(path, sample_rate_hz=RATE)[: SONG_S * RATE]
        paths.append(write_mp3(folder / f"{number}.mp3", np.stack([sound, sound])))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(FIGURES), help="figures, separated by commas")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load")
    parser.add_argument("--requests", type=int, default=10_000, help="for memory")
    parser.add_argument("--library", type=Path, help="songs to cut 30 s from")
    asked = parser.parse_args()
    only = asked.only.split(",")
    rows: list[Row] = []
    if "start" in only:
        rows += start()
    if not {*only} - {"start"}:
        show(rows)
        return
    with tempfile.TemporaryDirectory() as name, serving("--no-page") as server:
        folder = Path(name)
        paths = the_songs(folder, asked.library)
        if "throughput" in only or "waiting" in only:
            found, rate = throughput(server, paths, clients=asked.clients, seconds=asked.seconds)
            rows += found
            if "waiting" in only:
                rows += waiting(server, paths, rate, asked.seconds / 2)
        if "memory" in only:
            rows += memory(server, folder, clients=asked.clients, requests=asked.requests)
        if "kill" in only:
            rows += kill(server, paths, clients=asked.clients, seconds=asked.seconds)
    show(rows)


def show(rows: Sequence[Row]) -> None:
    width = max(len(row.figure) for row in rows)
    for figure, measured, target, is_met in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[is_met]
        print(f"{figure:{width}}  {measured}  {target}  {verdict}".rstrip())


if __name__ == "__main__":
    main()
