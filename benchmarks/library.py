"""How fast a library is tagged: against a serial loop, the second time, and at 100,000 files.

Run from the root of the repository, with the package and librosa installed (``.[dev]``)::

    python benchmarks/library.py files --music FOLDER --files 2000
    python benchmarks/library.py large --files 100000

``files`` makes a library from the recordings of a folder: two to six minutes of them, round and
round, copied as they are coded (MP3, Ogg, Opus, AAC) or as FLAC and WAV, with tags. Two loops
go over a sample of it, serially, as notebooks do: librosa loads, 40 MFCC, an LSTM of PyTorch; one
loads whole files, the other 30 s from the middle. Then ``ostinato tag`` goes over all of it, as a
process of its own, twice. Rates are files a second by the clock.

``large`` writes tiny files and fills what is kept between runs, verdicts and journal, as if all
had been heard and tagged. ``ostinato tag`` then goes over them once: seconds until its first line,
files a second, and its peak memory; and once more with ``--write``, where nothing is left to write.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

for _pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import contextlib
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import NamedTuple

import av
import mutagen
import numpy as np
import soundfile

from ostinato.audio import find_audio, load_audio
from ostinato.inference.classifier import Classifier
from ostinato.inference.verdict import Verdict
from ostinato.tagging.journal import Journal
from ostinato.tagging.library import store_key
from ostinato.tagging.run import STORE
from ostinato.tagging.store import Store, state_of
from ostinato.tagging.tags import FileTags

GENRES = ("Rock", "Jazz", "Unknown", "")
SUFFIXES = {"mp3float": ".mp3", "mp3": ".mp3", "vorbis": ".ogg", "opus": ".opus", "aac": ".m4a"}


# --- a library --------------------------------------------------------------------------------


def make_library(
    music: Path, folder: Path, *, n_files: int, minutes: tuple[float, float], seed: int = 0
) -> list[Path]:
    """Write files of many lengths and formats, each with a sound of its own."""
    random = Random(seed)
    sources = find_audio(music).paths
    made = []
    for number in range(n_files):
        source = sources[number % len(sources)]
        start, seconds = random.random(), 60 * random.uniform(*minutes)
        beside = folder / f"artist {number // 40:02d}" / f"album {number // 10 % 4}"
        beside.mkdir(parents=True, exist_ok=True)
        stem = beside / f"{number:04d}"
        with av.open(str(source)) as given:
            suffix = SUFFIXES.get(given.streams.audio[0].codec_context.name, ".wav")
        if number % 10 == 9 or suffix == ".wav":
            suffix = random.choice((".flac", ".wav"))
            path = samples_of(source, stem.with_suffix(suffix), start=start, seconds=seconds)
        else:
            path = packets_of(source, stem.with_suffix(suffix), start=start, seconds=seconds)
        tag(path, artist=beside.parent.name, album=beside.name, genre=random.choice(GENRES))
        made.append(path)
    return made


def packets_of(source: Path, path: Path, *, start: float, seconds: float) -> Path:
    """Copy the packets of a recording from a share of it on, round and round."""
    with av.open(str(source)) as given:
        stream = given.streams.audio[0]
        packets = [
            packet
            for packet in given.demux(stream)
            if packet.size and packet.duration and packet.duration * stream.time_base < 1
        ]
        with av.open(str(path), "w") as copy:
            target = copy.add_stream_from_template(stream)
            number, clock = int(start * len(packets)), 0
            while clock * stream.time_base < seconds:
                packet = av.Packet(bytes(packets[number % len(packets)]))
                packet.duration = packets[number % len(packets)].duration
                packet.time_base, packet.stream = stream.time_base, target
                packet.dts = packet.pts = clock
                clock, number = clock + packet.duration, number + 1
                copy.mux(packet)
    return path


def samples_of(source: Path, path: Path, *, start: float, seconds: float) -> Path:
    """Write the samples of a recording from a share of it on, round and round: 16 bits, mono."""
    mono = load_audio(source, sample_rate_hz=44_100)
    first = int(start * len(mono))
    length = int(seconds * 44_100)
    soundfile.write(path, np.resize(np.roll(mono, -first), length), 44_100, subtype="PCM_16")
    return path


def tag(path: Path, *, artist: str, album: str, genre: str) -> None:
    """Write tags as other programs do."""
    easy = mutagen.File(path, easy=True)
    if easy.tags is None:
        easy.add_tags()
    if path.suffix == ".wav":
        return
    easy["artist"], easy["album"], easy["title"] = artist, album, path.stem
    if genre:
        easy["genre"] = genre
    easy.save()


# --- the loops that it is compared with -------------------------------------------------------


class Loop:
    """What a notebook does, file by file: librosa, MFCC, windows, an LSTM of PyTorch."""

    def __init__(self) -> None:
        import librosa
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._librosa, self._torch = librosa, torch
        self._network = torch.nn.LSTM(40, 64, batch_first=True).eval()
        self._head = torch.nn.Linear(64, 10)

    def __call__(self, path: Path, **part: float) -> int:
        """The number of a genre; ``part`` is what librosa takes: offset, duration."""
        sound, rate = self._librosa.load(path, sr=22_050, **part)
        mfcc = self._librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=40, hop_length=512).T
        mfcc = (mfcc - mfcc.mean()) / mfcc.std()
        windows = np.stack([mfcc[i : i + 432] for i in range(0, len(mfcc) - 432, 216)])
        with self._torch.no_grad():
            states, _ = self._network(self._torch.from_numpy(windows.astype(np.float32)))
            logits = self._head(states.mean(1))
        return int(logits.softmax(1).mean(0).argmax())


def rate_of_loop(loop: Loop, paths: Sequence[Path], **part: float) -> float:
    """Files a second."""
    started = time.perf_counter()
    for path in paths:
        loop(path, **part)
    return len(paths) / (time.perf_counter() - started)


# --- a run of the command ---------------------------------------------------------------------


class Ran(NamedTuple):
    """A run of ``ostinato tag`` as a process of its own."""

    first_line_s: float
    seconds: float
    peak_mb: float
    summary: str


def run_tag(*arguments: str | Path) -> Ran:
    """Run the command; its first line is that of its table."""
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-m", "ostinato", "tag"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    first = time.perf_counter() - started
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr))
    reader.start()
    for _ in process.stdout:
        pass
    reader.join()
    process.wait()
    seconds = time.perf_counter() - started
    *said, peak = errors
    return Ran(first, seconds, float(peak), said[0].strip() if said else "")


# From a small process: on Linux the largest memory of a child counts that of its parent.
LAUNCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), file=sys.stderr)
sys.exit(done.returncode)
"""


def tell(figure: str, value: str, target: str) -> None:
    """Print a line of the table."""
    print(f"{figure:<58}{value:>14}   {target}", flush=True)


def files(options: argparse.Namespace, folder: Path) -> None:
    """The part ``files``."""
    library = options.library or folder / "library"
    if not library.exists():
        make_library(options.music, library, n_files=options.files, minutes=options.minutes)
    paths = find_audio(library).paths
    print(f"{len(paths)} files, {sum(path.stat().st_size for path in paths) / 1e9:.2f} GB")
    sample = Random(1).sample(paths, min(options.sample, len(paths)))
    loop = Loop()
    loop(sample[0])  # librosa compiles on its first call
    whole = rate_of_loop(loop, sample)
    middle = rate_of_loop(loop, sample, offset=20, duration=30)
    cache = ("--cache", folder / "cache", "--replace")
    first = run_tag(library, *cache)
    second = run_tag(library, *cache)
    written = run_tag(library, *cache, "--write", "--journal", folder / "tags.sqlite")
    ours = len(paths) / first.seconds
    print(first.summary)
    tell("files a second, ostinato tag", f"{ours:.1f}", "")
    tell("  against librosa and PyTorch, whole files", f"{ours / whole:.1f} x", ">= 10")
    tell("  against librosa and PyTorch, 30 s of each", f"{ours / middle:.1f} x", "")
    tell("second run, how many times as fast", f"{first.seconds / second.seconds:.0f} x", ">= 100")
    n_written = int(written.summary.split()[0].replace(",", ""))
    tell("tags written, files a second", f"{n_written / written.seconds:.1f}", "")
    tell("peak memory, first run", f"{first.peak_mb:.0f} MB", "")


def large(options: argparse.Namespace, folder: Path) -> None:
    """The part ``large``."""
    library, classifier = folder / "library", Classifier.load("default")
    store = Store(folder / "cache" / STORE, model=store_key(classifier, thorough=False))
    said = Verdict(
        model="default", genre="jazz", named=("jazz",), abstained=None, probability=0.7,
        ranked=(("jazz", 0.7), *((g, 0.3 / 9) for g in classifier.info.genres if g != "jazz")),
        seconds=240.0, genres=classifier.info.genres,
    )  # fmt: skip
    paths = []
    for number in range(options.files):
        beside = library / f"artist {number // 1000:03d}" / f"album {number // 100 % 10}"
        if number % 100 == 0:
            beside.mkdir(parents=True)
        path = beside / f"{number % 100:02d} track.mp3"
        path.write_bytes(b"%d" % number)
        sound = hashlib.sha256(b"%d" % number).hexdigest()
        tags = FileTags(kind="ID3v2.3", genres=("Jazz",), artist="Somebody", album=beside.name,
                        title=path.stem)  # fmt: skip
        store.remember(path, state_of(path), tags, sound)
        store.remember_verdict(sound, said)
        paths.append(path)
    store.close()
    fill(folder / "tags.sqlite", paths)
    places = ("--cache", folder / "cache", "--journal", folder / "tags.sqlite")
    for name, more in (("dry run", ()), ("--write, and nothing to write", ("--write",))):
        ran = run_tag(library, "--replace", *places, *more)
        print(f"{name}: {ran.summary}")
        tell("  seconds to the first line", f"{ran.first_line_s:.1f} s", "<= 3")
        rate = options.files / ran.seconds
        tell("  files a second, from start to end", f"{rate:,.0f}", ">= 3,000")
        tell("  peak memory", f"{ran.peak_mb:.0f} MB", "<= 300")


def fill(journal: Path, paths: Sequence[Path]) -> None:
    """Fill a journal with a finished change of each file, as one transaction."""
    with Journal.open(journal) as opened, opened.writing():
        run = opened.begin_run(model="default", settings="only-missing")
    tags = json.dumps(asdict(FileTags(kind="ID3v2.3", artist="Somebody")))
    names = "start, time, way, device, inode, size, mtime_ns, payload, old_tags, genres, "
    names += "old_sha256, new_sha256, new_size, new_mtime_ns, delta, forward"
    change = (0.0, "copy", 1, 1, 8, 0, "0" * 64, tags, '["Jazz"]', bytes(32), bytes(32), 8, 0,
              bytes(300), b"")  # fmt: skip
    with contextlib.closing(sqlite3.connect(journal)) as db, db:
        for number, path in enumerate(paths, start=1):
            db.execute("INSERT INTO starts VALUES (?, ?, ?, ?)",
                       (number, run, os.fsencode(path), b".part"))  # fmt: skip
            db.execute(f"INSERT INTO changes ({names}) VALUES ({', '.join('?' * 16)})",
                       (number, *change))  # fmt: skip
            db.execute("INSERT INTO ends VALUES (?, 0.0, 'done', '')", (number,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("files", "large"))
    parser.add_argument("--music", type=Path, default=Path("../shared/data/library"))
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--sample", type=int, default=40, help="Files that the loops go over.")
    parser.add_argument("--library", type=Path, help="Make it here, or use the one that is.")
    parser.add_argument("--minutes", type=float, nargs=2, default=(2.0, 6.0), help="Lengths.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ostinato-library-") as folder:
        {"files": files, "large": large}[options.part](options, Path(folder))


if __name__ == "__main__":
    main()
