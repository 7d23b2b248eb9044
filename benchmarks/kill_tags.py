"""What a killed run leaves: `kill -9` at random moments while tags are written, or taken back.

Run from the root of the repository, with the package installed (``.[dev]``)::

    python benchmarks/kill_tags.py
    python benchmarks/kill_tags.py --kills 20 --files 50 --seed 3

A library of short sounds is made, in every format that can be written here and hold tags; the tags
of one half have room for more. Each round starts a process that writes a genre into all files, by
copies in even rounds and in place in odd ones, and kills it at a random moment. In every fourth
round the process that takes the tags back is killed instead. Then

- what the killed run left is mended, and the next run writes the rest;
- both runs are undone.

After each of these steps every file is decoded and its tags are read. Counted are the kills, and

torn
    files that were overwritten in part when the process was killed, before the next run: in place
    alone, and at most one a kill.
lost
    of which sound or tags are neither what they were nor what they should be, after the next run;
    temporary files that are still there; and files that differ in one bit after the undo.

The exit status is 1 if anything was lost, or torn by a copy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av

from ostinato.errors import OstinatoError
from ostinato.tagging import tags
from ostinato.tagging.change import Changer
from ostinato.tagging.file_tags import FileTags
from ostinato.tagging.journal import Journal
from ostinato.tagging.repair import repair
from ostinato.tagging.undo import undo

SAID = {"title": "A title", "artist": "An artist", "genre": "Rock", "date": "1999"}
ROOM = "x" * 3000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-tags-") as folder:
        return kill(Path(folder), asked.kills, asked.files, random.Random(asked.seed))


def kill(folder: Path, n_kills: int, n_files: int, rng: random.Random) -> int:
    library = Library(folder, n_files)
    print(f"{n_files} files of {len(library.n_of)} formats: {dict(library.n_of)}")
    durations_s = {job: library.work(job, "copy", "Polka") for job in ("write", "undo")}
    library.check_restored()
    n_killed: Counter[str] = Counter()
    began = time.monotonic()
    while n_killed.total() < n_kills:
        number = n_killed.total()
        way = ("copy", "in-place")[number % 2]
        genre = f"Genre {number} " + "o" * rng.choice([0, 0, 900])
        job = "undo" if number % 4 > 1 and number % 8 > 3 else "write"
        if job == "undo":
            library.work("write", way, genre)
        if not library.work(job, way, genre, kill_after_s=rng.uniform(0, durations_s[job])):
            library.work("undo", way, genre)  # it had finished
            continue
        n_killed[f"{job}, {way}"] += 1
        allowed = [library.was, dict.fromkeys(library.was, (genre.strip(),))]
        library.n_torn[way] += len(library.check(allowed, is_mended=False))
        library.work("write", way, genre)
        library.check(allowed[1:])
        library.work("undo", way, genre)
        library.check_restored()
        print(f"{n_killed.total()} kills", end="\r", file=sys.stderr)
    print(f"{n_killed.total()} kills ({time.monotonic() - began:.0f} s): {dict(n_killed)}")
    print(f"files that a kill found half overwritten: {dict(library.n_torn)}")
    print(f"sentences of the next run: {dict(library.told)}")
    print(f"lost: {len(library.lost)}")
    for what in library.lost:
        print(f"  {what}")
    return int(bool(library.lost or library.n_torn["copy"]))


class Library:
    """Files, what they were, and the journal of what is done to them."""

    def __init__(self, folder: Path, n_files: int) -> None:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from tests.helpers.tagged import BY_FFMPEG, TAGGED, write_bare, write_tagged

        self.folder, self.music, self.temporary = folder, folder / "music", folder / "temporary"
        self.music.mkdir()
        self.temporary.mkdir()
        self.n_of: Counter[str] = Counter()
        for number in range(n_files):
            suffix = TAGGED[number % len(TAGGED)]
            self.n_of[suffix] += 1
            path = self.music / f"{number}{suffix}"
            bare = write_bare(folder / f"bare{suffix}", seconds=0.3 + 0.01 * number)
            if suffix in BY_FFMPEG:
                write_tagged(path, bare, SAID)
            else:
                bare.rename(path)
            if number // len(TAGGED) % 2:
                tags.write_genres(path, [ROOM])
                tags.write_genres(path, ["Rock"])
        self.files = sorted(self.music.iterdir())
        self.sums = {path: sha256(path) for path in self.files}
        self.mtimes = {path: path.stat().st_mtime_ns for path in self.files}
        self.sounds = {path: sound(path) for path in self.files}
        self.tags = {path: tags.read_tags(path) for path in self.files}
        self.was = {path: said.genres for path, said in self.tags.items()}
        self.n_torn: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.lost: list[str] = []

    def work(self, job: str, way: str, genre: str, kill_after_s: float | None = None) -> float:
        """Let a process work; give the seconds that it took, or 0 if it ended before the kill."""
        command = [sys.executable, __file__, "--work", job, str(self.folder), way, genre]
        places = {**os.environ, "TMPDIR": str(self.temporary)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=places)
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n", "the worker has failed"
        began = time.monotonic()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            process.send_signal(signal.SIGKILL)
        said = process.communicate()[0]
        took_s = time.monotonic() - began
        if process.returncode == -signal.SIGKILL:
            return took_s
        assert process.returncode == 0, f"the worker ended with {process.returncode}"
        for line in said.splitlines():
            kind, text = json.loads(line)
            if kind == "repair":
                self.told[text.rpartition(": ")[2]] += 1
            else:
                self.lost.append(f"{job}, {way}: {text}")
        return took_s if kill_after_s is None else 0.0

    def check(
        self, allowed: list[dict[Path, tuple[str, ...]]], *, is_mended: bool = True
    ) -> list[Path]:
        """Decode all files and read their tags; give those that are not as they may be."""
        wrong = []
        for path in self.files:
            try:
                now: FileTags | None = tags.read_tags(path)
                same = sound(path) == self.sounds[path]
            except (OstinatoError, av.FFmpegError, OSError):
                now, same = None, False
            rest = (now.title, now.artist, now.year) if now else ()
            was = self.tags[path]
            if (
                now is None
                or not same
                or rest != (was.title, was.artist, was.year)
                or now.genres not in [genres[path] for genres in allowed]
            ):
                wrong.append(path)
        if is_mended:
            self.lost += [f"{path.name}: {tags.read_tags(path)}" for path in wrong]
            self.lost += [f"left over: {path}" for path in self.parts()]
        return wrong

    def check_restored(self) -> None:
        """Compare every byte, and the times of change, with what they were."""
        for path in self.files:
            if sha256(path) != self.sums[path]:
                self.lost.append(f"{path.name} did not come back")
            elif path.stat().st_mtime_ns != self.mtimes[path]:
                self.lost.append(f"{path.name} has another time of change")
        self.lost += [f"left over: {path}" for path in self.parts()]

    def parts(self) -> Iterator[Path]:
        """Temporary copies that are still there."""
        yield from (path for path in self.music.iterdir() if path not in self.sums)
        yield from self.temporary.glob(".ostinato-*")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sound(path: Path) -> str:
    """SHA-256 of all samples, as FFmpeg decodes them."""
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def work(job: str, folder: Path, way: str, genre: str) -> None:
    """What a process does until it is killed: repair, then write or undo."""

    def tell(kind: str, text: str) -> None:
        print(json.dumps([kind, text]), flush=True)

    with Journal.open(folder / "tags.sqlite") as journal, journal.writing():
        print("begins", flush=True)
        for sentence in repair(journal):
            tell("repair", sentence)
        if job == "undo":
            while journal.last_run() is not None:
                for path, error in undo(journal):
                    if error:
                        tell("error", f"{path.name}: {error}")
            return
        run = journal.begin_run(model="none", settings=way)
        changer = Changer(journal, run, in_place=way == "in-place")
        for path in sorted((folder / "music").iterdir()):
            if not path.name.startswith("."):
                try:
                    changer.change(path, [genre.strip()], old=tags.read_tags(path))
                except OstinatoError as error:
                    tell("error", f"{path.name}: {error}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _, _, name, where, how, word = sys.argv
        sys.exit(work(name, Path(where), how, word))
    sys.exit(main())
