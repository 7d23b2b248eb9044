"""Send a server what nobody should: it stays up, answers with 4xx, and keeps nothing.

Run from the root of the repository, with the package installed (``.[dev]``)::

    python benchmarks/hostile.py
    python benchmarks/hostile.py --attacks 500 --seed 1 --library ../shared/data/library

Starts ``ostinato serve`` with two workers, attacks it in the ways of ``KINDS``, in an order by a
seeded generator, and prints for each way how often which status came; ``none`` is an end without an
answer, right only where the other side has gone or has not said anything. Sounds to be damaged are
those of ``benchmarks/damaged.py``.

The exit status is 1 if a 5xx came, if a sound file that is none of the sender's was opened or a
connection made to where an upload pointed, if a worker came over its limit of memory, or if after
all that the server does not hear a good file, or holds a file that was sent.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import damaged

NONE = 0
"""In the place of a status: the connection ended without an answer."""

CLASSIFY = "/v1/classify"
Parts = list[tuple[bytes, bytes]]


@dataclass
class Target:
    """A server that is attacked, and what is sent to it."""

    port: int
    sounds: list[bytes]
    bombs: dict[str, bytes] = field(default_factory=dict)
    canary: Path = Path()
    canary_port: int = 0
    slow_s: float = 20.0  # longer than the server waits for headers or a body


# --- how it is sent -------------------------------------------------------------------------------


def conversation(target: Target, *sent: bytes, end: str = "", pause_s: float = 0.0) -> int:
    """Send bytes as they are; the status of the first answer that is not 100."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=150) as connection:
        with contextlib.suppress(ConnectionError):
            for data in sent:
                connection.sendall(data)
                time.sleep(pause_s)
        if end == "gone":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return NONE
        if end == "half":
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        found = bytearray()
        with contextlib.suppress(ConnectionError):
            while not (answer := re.search(rb"HTTP/1\.1 (?!100)(\d{3})", found)):
                data = connection.recv(65536)
                if not data:
                    return NONE
                found += data
            return int(answer[1])
    return NONE


def head(path: str = CLASSIFY, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


def post(target: Target, body: bytes, path: str = CLASSIFY, *lines: str) -> int:
    return conversation(
        target, head(path, "Connection: close", f"Content-Length: {len(body)}", *lines), body
    )


def form(parts: Parts, *, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + h + b"\r\n\r\n" + body + b"\r\n" for h, body in parts) + end


def named(name: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'


def post_form(target: Target, body: bytes, path: str = CLASSIFY) -> int:
    return post(target, body, path, "Content-Type: multipart/form-data; boundary=b")


# --- the ways -------------------------------------------------------------------------------------


def damaged_sound(target: Target, rng: random.Random) -> int:
    """A sound file, damaged."""
    change = damaged.DAMAGE[rng.choice(list(damaged.DAMAGE))]
    content = change(
        rng.choice(target.sounds), target.sounds, np.random.default_rng(rng.getrandbits(32))
    )
    query = rng.choice(["", "?thorough=true", "?timeline=true"])
    if rng.random() < 0.5:
        return post(target, content, CLASSIFY + query)
    return post_form(target, form([(named(b"sound"), content)]), CLASSIFY + query)


def damaged_batch(target: Target, rng: random.Random) -> int:
    """Several damaged files in a form, or one to be explained or compared."""
    change = damaged.DAMAGE[rng.choice(list(damaged.DAMAGE))]
    numbers = np.random.default_rng(rng.getrandbits(32))
    contents = [change(rng.choice(target.sounds), target.sounds, numbers) for _ in range(4)]
    if rng.random() < 0.5:
        return post(target, contents[0], rng.choice(["/v1/explain", "/v1/compare"]))
    body = form([(named(b"%d" % n), content) for n, content in enumerate(contents)])
    return post_form(target, body, "/v1/classify/batch")


def bomb(target: Target, rng: random.Random) -> int:
    """A small file that becomes a large one, or says that it is."""
    content = target.bombs[rng.choice(list(target.bombs))]
    return post(target, content, CLASSIFY + rng.choice(["", "?thorough=true"]))


def no_sound(target: Target, rng: random.Random) -> int:
    """Another kind of file."""
    picture = io.BytesIO()
    picture.write(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + rng.randbytes(200))
    contents = [
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
        b"<!doctype html><audio src='http://127.0.0.1/x.mp3'></audio>",
        b'{"url": "http://127.0.0.1/"}',
        b"\x7fELF\x02\x01\x01" + rng.randbytes(5000),
        picture.getvalue(),
        b"#!/bin/sh\nrm -rf /\n",
        rng.randbytes(rng.choice([1, 100, 10_000, 300_000])),
        bytes(rng.choice([1, 100, 100_000])),
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + rng.randbytes(3000),
        b"text " * 10_000,
    ]
    return post(target, rng.choice(contents), CLASSIFY, "Content-Type: audio/mpeg")


def pointer(target: Target, rng: random.Random) -> int:
    """A file that names others: of the server's disk, or at an address."""
    address = f"http://127.0.0.1:{target.canary_port}/x.wav"
    place = rng.choice([str(target.canary), f"file://{target.canary}", address])
    contents = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{place}\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXTINF:9,x\n{place}\n",
        f"ffconcat version 1.0\nfile '{place}'\n",
        f"[playlist]\nFile1={place}\nNumberOfEntries=1\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {target.canary_port} RTP/AVP 0\n",
        f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period>"
        f"<AdaptationSet mimeType='audio/wav'><Representation id='1' bandwidth='9'><BaseURL>"
        f"{place}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        f"<asx version='3.0'><entry><ref href='{place}'/></entry></asx>",
        f"RTSPtext\r\n{place}\r\n",
        f"[Reference]\r\nRef1={place}\r\n",
        f'<?quicktime type="application/x-quicktime-media-link"?><embed src="{place}" />',
    ]
    names = [b"x.m3u8", b"x.ffconcat", b"x.sdp", b"x.mpd", b"x.pls", str(target.canary).encode()]
    body = form([(named(rng.choice(names)), rng.choice(contents).encode())])
    return post_form(target, body)


def tricky_name(target: Target, rng: random.Random) -> int:
    """A good file, or none, with a name that is a path or no text."""
    name = rng.choice(
        [
            b"../../../../etc/cron.d/x", b"/etc/passwd", b"..\\..\\x", b"C:\\x.mp3", b"\x00.mp3",
            b"x\r\nSet-Cookie: a=b", b"x" * 3000, b"%2e%2e%2f", b"\xff\xfe", b"\x1b[2J", b".", b"~",
            b"$(reboot)", b"-rf", b"pipe:0", b"file:/etc/passwd", b"concat:/etc/passwd", b"|id",
            str(target.canary).encode(),
        ]
    )  # fmt: skip
    content = rng.choice([target.sounds[0], b"no sound", b""])
    if rng.random() < 0.3 and b"\r" not in name and b"\x00" not in name:
        line = f'Content-Disposition: attachment; filename="{name.decode("latin-1")}"'
        return post(target, content or b"x", CLASSIFY, line)
    return post_form(target, form([(named(name), content)]))


def large_form(target: Target, rng: random.Random) -> int:
    """A form of very many parts, very long headers, or very large fields."""
    field_ = b'Content-Disposition: form-data; name="f"'
    parts: list[Parts] = [
        [(field_, b"x")] * 10_000,
        [(named(b"x"), b"x")] * 5_000,
        [(field_ + b"\r\nX: " + b"y" * 100_000, b"x")],
        [(b"\r\n".join([field_] + [b"X-%d: y" % n for n in range(5000)]), b"x")],
        [(field_, bytes(5_000_000))],
        [(b'Content-Disposition: form-data; name="' + b"n" * 60_000 + b'"', b"x")],
    ]
    path = rng.choice([CLASSIFY, "/v1/classify/batch"])
    return post_form(target, form(rng.choice(parts)), path)


def broken_form(target: Target, rng: random.Random) -> int:
    """A form that is none, or is not whole."""
    good = form([(named(b"x"), target.sounds[0][:2000])])
    kind = "Content-Type: multipart/form-data"
    lines = [f"{kind}; boundary=b", kind, f"{kind}; boundary=", f"{kind}; boundary={'b' * 5000}"]
    lines += [f'{kind}; boundary="b\x00"', f"{kind}; charset=utf-16; boundary=b"]
    at, end = sorted(rng.sample(range(len(good)), 2))
    bodies = [
        b"", b"--", b"--b", b"--b--", b"no form", b"\r\n" * 10_000, good[:end], good[at:],
        good[:at] + rng.randbytes(20) + good[at:], good.replace(b"\r\n", b"\n"),
        good.replace(b"--b", b"--c", 1), b"--b\r\n" * 5000, good + b"x" * 100_000,
        form([(b"Content-Disposition: attachment", b"x")]), form([(b"X", b"x")]),
        form([(b"", b"")]),
    ]  # fmt: skip
    return post(target, rng.choice(bodies), CLASSIFY, rng.choice(lines))


def broken_http(target: Target, rng: random.Random) -> int:
    """What is not HTTP, or contradicts itself."""
    close, body = "Connection: close", target.sounds[0][:3000]
    size = len(body)
    chunked = "Transfer-Encoding: chunked"
    sent = [
        [b"GARBAGE\r\n\r\n"],
        [rng.randbytes(500) + b"\r\n\r\n"],
        [b"GET /healthz\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300)],
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        [head(CLASSIFY, close, "X: " + "y" * 100_000)],
        [head(CLASSIFY, close, *[f"X-{n}: y" for n in range(10_000)])],
        [head("/" + "a" * 100_000, close, method="GET")],
        [head("/" + "%00" * 1000, close, method="GET")],
        [head("/../../../../etc/passwd", close, method="GET")],
        [head("/%2e%2e/%2e%2e/etc/passwd", close, method="GET")],
        [head("http://127.0.0.1:1/healthz", close, method="GET")],
        [head("*", close, method="OPTIONS")],
        [head("127.0.0.1:1", close, method="CONNECT")],
        [head(CLASSIFY, close, method=rng.choice(["GET", "PUT", "DELETE", "TRACE", "X" * 2000]))],
        [head(CLASSIFY, close, f"Content-Length: {size}", f"Content-Length: {size + 1}"), body],
        [head(CLASSIFY, close, "Content-Length: -1"), body],
        [head(CLASSIFY, close, "Content-Length: +9"), body],
        [head(CLASSIFY, close, "Content-Length: 9e9"), body],
        [head(CLASSIFY, close, f"Content-Length: {'9' * 18}"), body],
        [head(CLASSIFY, close, f"Content-Length: {'9' * 5000}"), body],
        [head(CLASSIFY, close, f"Content-Length: {size - 9}"), body],  # the rest is garbage
        [head(CLASSIFY, close, chunked, f"Content-Length: {size}"), b"0\r\n\r\n", body],
        [head(CLASSIFY, close, "Transfer-Encoding: gzip, chunked"), b"0\r\n\r\n"],
        [head(CLASSIFY, close, "Transfer-Encoding: xchunked"), body],
        [head(CLASSIFY, close, chunked), b"FFFFFFFFFFFFFFFFFF\r\n", body],
        [head(CLASSIFY, close, chunked), b"-5\r\nabcde\r\n0\r\n\r\n"],
        [head(CLASSIFY, close, chunked), b"5\r\nabcdefgh\r\n0\r\n\r\n"],
        [head(CLASSIFY, close, chunked), b"5;" + b"x" * 50_000 + b"\r\nabcde\r\n0\r\n\r\n"],
        [head(CLASSIFY, close, chunked), *[b"1\r\nx\r\n"] * 2000, b"0\r\n\r\n"],
        [head(CLASSIFY, close, chunked), b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"],
        [head(CLASSIFY, close, "Content-Encoding: gzip", f"Content-Length: {size}"), body],
        [head("/v1/classify?model=" + "%ff" * 1000, close, f"Content-Length: {size}"), body],
        [head("/v1/classify?top=-1&top=x&x=y", close, f"Content-Length: {size}"), body],
        [head("/healthz", "Upgrade: websocket", "Connection: Upgrade", method="GET")],
        [head("/healthz", close, "Authorization: Bearer " + "\xff" * 500, method="GET")],
    ]
    return conversation(target, *rng.choice(sent))


def in_a_row(target: Target, rng: random.Random) -> int:
    """Many requests in one go, with and without bodies."""
    get = head("/healthz", method="GET")
    small = head(CLASSIFY, "Content-Length: 3") + b"abc"
    return conversation(target, b"".join(rng.choices([get, small], k=30)))


def gone(target: Target, rng: random.Random) -> int:
    """Somebody who goes away in the midst of sending, or behind it."""
    content = rng.choice(target.sounds)
    some = rng.choice([0, 1, len(content) // 2, len(content)])
    sent = head(CLASSIFY, f"Content-Length: {len(content)}"), content[:some]
    pause_s = rng.choice([0.0, 0.02])
    return conversation(target, *sent, end=rng.choice(["gone", "half"]), pause_s=pause_s)


def slow(target: Target, rng: random.Random) -> int:
    """Somebody who sends headers or a body byte by byte, or nothing."""
    start = head(CLASSIFY, "Connection: close", "Content-Length: 100000")
    first, rest = rng.choice(
        [(b"", start[:40]), (start, b"x"), (start + b"x" * 5000, b""), (b"", b"")]
    )
    until = time.monotonic() + target.slow_s
    with socket.create_connection(("127.0.0.1", target.port), timeout=150) as connection:
        connection.sendall(first)
        connection.settimeout(target.slow_s / 20)
        for byte in rest:
            if time.monotonic() > until:
                break
            with contextlib.suppress(ConnectionError):
                connection.sendall(bytes([byte]))
            try:
                found = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return NONE
            return int(found[9:12]) if found else NONE
        connection.settimeout(150)
        with contextlib.suppress(ConnectionError):
            found = connection.recv(65536)
            return int(found[9:12]) if found else NONE
    return NONE


def deaf(target: Target, rng: random.Random) -> int:
    """Somebody who asks for much and does not read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", target.port))
        with contextlib.suppress(ConnectionError):
            connection.sendall(head("/openapi.json", method="GET") * 200)
            time.sleep(target.slow_s / 4)
    return NONE


Attack = Callable[[Target, random.Random], int]
KINDS: dict[Attack, int] = {
    damaged_sound: 50,
    damaged_batch: 8,
    no_sound: 6,
    pointer: 6,
    tricky_name: 6,
    large_form: 3,
    broken_form: 6,
    broken_http: 8,
    in_a_row: 1,
    gone: 3,
    slow: 1,
    deaf: 1,
    bomb: 1,
}
"""What is sent, and its share in a hundred."""


# --- what is sent ---------------------------------------------------------------------------------


def bombs() -> dict[str, bytes]:
    """Small files that are hours of sound, or say so; and archives of such."""
    silence = bytes(40_000_000)
    wav = _wav(silence)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("silence.wav", wav)
    found = {"gzip": gzip.compress(wav), "zip": zipped.getvalue()}
    for suffix, (container, codec, rate_hz) in {
        "flac": ("flac", "flac", 8000),
        "wavpack": ("wv", "wavpack", 8000),
        "alac": ("ipod", "alac", 8000),
        "tta": ("tta", "tta", 8000),
        "opus": ("ogg", "libopus", 48_000),
    }.items():
        found[suffix] = _silent(container, codec, rate_hz, minutes=50)
    frame = b"\xff\xe3\x18\xc4" + bytes(68)  # MPEG 2.5, layer III, 8 kbit/s, 8 kHz: 72 ms
    found["mp3 of a day"] = frame * 900_000
    found["rate of 1 Hz"] = _wav(bytes(6000), rate_hz=1)
    found["rate of 2 GHz"] = _wav(bytes(1_000_000), rate_hz=2**31 - 1)
    found["65535 channels"] = _wav(bytes(8_000_000), n_channels=65_535)
    found["255 channels"] = _wav(silence[: 255 * 60_000], n_channels=255)
    found["hours stated"] = _wav(bytes(100_000), stated=2**32 - 1)
    return found


def _wav(
    data: bytes, *, rate_hz: int = 8000, n_channels: int = 1, stated: int | None = None
) -> bytes:
    size = len(data) if stated is None else stated
    form_ = struct.pack("<HHIIHH", 1, n_channels, rate_hz, rate_hz * n_channels % 2**32,
                        n_channels % 2**16, 8)  # fmt: skip
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) % 2**32)
        + b"WAVEfmt \x10\0\0\0"
        + form_
        + (b"data" + struct.pack("<I", size) + data)
    )


def _silent(container: str, codec: str, rate_hz: int, *, minutes: int) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".bomb") as file:
        with av.open(file.name, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate_hz, layout="mono")
            stream.codec_context.open()
            size = stream.codec_context.frame_size or 4096
            kind = stream.format.name
            dtypes = {"flt": np.float32, "s16": np.int16, "s32": np.int32, "u8": np.uint8}
            dtype = dtypes[kind.removesuffix("p")]
            for n in range(minutes * 60 * rate_hz // size):
                frame = av.AudioFrame.from_ndarray(
                    np.zeros((1, size), dtype), format=kind, layout="mono"
                )
                frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
                frame.pts = n * size
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return Path(file.name).read_bytes()


# --- the server, and what is watched --------------------------------------------------------------


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """``ostinato serve``, with its temporary files in a folder."""
    command = [sys.executable, "-m", "ostinato", "serve", "--no-page", "--port", "0"]
    log = folder.parent / "log"
    with log.open("w") as said:
        server = subprocess.Popen(
            [*command, "--workers", "2"],
            stderr=said,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )
    try:
        while not (found := re.search(r"127\.0\.0\.1:(\d+) is ready", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield int(found[1]), server
    finally:
        server.terminate()
        server.wait(60)
        print(*re.findall(r".*(?:worker|Traceback|Error).*", log.read_text())[-20:], sep="\n")


@dataclass
class Watch:
    """Memory of workers, whose limit the system holds: the most that one took of it."""

    share: float = 0.0
    server_mb: float = 0.0
    is_over: bool = False

    def look(self, home: int) -> None:
        """Look once at all processes that have such a limit."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, LookupError):
                limits = (folder / "limits").read_text()
                found = re.search(r"Max data size\s+(\d+)", limits)
                status = (folder / "status").read_text()
                taken = {k: int(v) for k, v in re.findall(r"(Vm\w+):\s+(\d+) kB", status)}
                if int(folder.name) == home:
                    self.server_mb = max(self.server_mb, taken["VmHWM"] / 1000)
                if found:
                    share = taken["VmData"] * 1024 / int(found[1])
                    self.share = max(self.share, share)


def attack(
    target: Target,
    *,
    n: int,
    seed: int = 0,
    kinds: dict[Attack, int] = KINDS,
    n_threads: int = 12,
    watch: Callable[[], None] = lambda: None,
) -> dict[str, Counter[str]]:
    """Attack so many times; for each way, how often which status came."""
    rng = random.Random(seed)
    chosen = [kind for kind, share in kinds.items() for _ in range(max(1, round(n * share / 100)))]
    rng.shuffle(chosen)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    is_over = threading.Event()

    def one(kind: Attack, number: int) -> tuple[str, int]:
        try:
            return kind.__name__, kind(target, random.Random(number))
        except TimeoutError:
            return kind.__name__, 599

    def look() -> None:
        while not is_over.wait(0.1):
            watch()

    watcher = threading.Thread(target=look)
    watcher.start()
    quick, waiting = ThreadPoolExecutor(n_threads), ThreadPoolExecutor(16)
    with quick, waiting:
        pools = {slow: waiting, deaf: waiting}
        begun = [pools.get(k, quick).submit(one, k, rng.getrandbits(32)) for k in chosen]
        for done, future in enumerate(begun, start=1):
            name, status = future.result()
            found[name][str(status) if status else "none"] += 1
            if sys.stderr.isatty():
                print(f"\r{done} of {len(begun)}", end="", file=sys.stderr)
    is_over.set()
    watcher.join()
    return found


@contextlib.contextmanager
def canary(folder: Path, sound: np.ndarray) -> Iterator[tuple[Path, int, Callable[[], list[str]]]]:
    """A sound file and a port that nobody must touch; and what tells who did."""
    path = folder / "canary.wav"
    soundfile.write(path, sound, 22_050)
    long_ago = time.time() - 90_000
    os.utime(path, (long_ago, long_ago + 10))  # of a file read since, the system renews the time
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, address = listener.accept()
                    connection.close()
                    came.append(f"a connection from {address}")

        watcher = threading.Thread(target=accept)
        watcher.start()

        def touched() -> list[str]:
            read = [f"{path} was read"] if path.stat().st_atime > long_ago + 1 else []
            return read + came

        try:
            yield path, listener.getsockname()[1], touched
        finally:
            is_over.set()
            watcher.join()


def table(found: dict[str, Counter[str]]) -> str:
    """A line for each way: how many, and statuses."""
    lines = []
    for name, statuses in found.items():
        each = "  ".join(f"{status}: {n}" for status, n in sorted(statuses.items()))
        lines.append(f"{name.replace('_', ' '):14} {statuses.total():5}   {each}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--attacks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--library", type=Path, help="a folder of recordings to be damaged as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (spool := root / "spool").mkdir()
        (made := root / "made").mkdir()
        sounds = [path.read_bytes() for path in damaged.written(made)]
        if options.library:
            sounds += [path.read_bytes() for path in damaged.recorded(options.library, made)]
        good = made / "good.wav"
        samples = np.tile(damaged.sound()[:, 0], 8)
        soundfile.write(good, samples, 48_000)
        guard = canary(root, samples)
        with guard as (path, port, touched), served(spool) as (server_port, server):
            target = Target(server_port, sounds, bombs(), path, port)
            watch = Watch()
            began = time.monotonic()
            found = attack(
                target, n=options.attacks, seed=options.seed, watch=lambda: watch.look(server.pid)
            )
            print(table(found))
            time.sleep(1)
            left = [p for folder in spool.glob("ostinato-*") for p in folder.iterdir()]
            status = post(target, good.read_bytes())
            problems = touched() + [f"{p.name} is left" for p in left]
            if status != 200:
                problems.append(f"a good file is answered {status}")
            for name, statuses in found.items():
                problems += [f"{n} x {s} at {name}" for s, n in statuses.items() if s[0] == "5"]
            if watch.share > 1:
                problems.append("a worker was over its limit")
            print(
                f"{sum(map(Counter.total, found.values()))} attacks in "
                f"{time.monotonic() - began:.0f} s; a good file: {status}; left: {len(left)}; "
                f"most memory of a worker: {watch.share:.0%} of its limit, of the server: "
                f"{watch.server_mb:.0f} MB"
            )
        left = [str(p) for p in spool.iterdir()]
        problems += [f"{p} is left at the end" for p in left]
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
