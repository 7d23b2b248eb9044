"""What more workers and more music cost: parts of a study, of Dask, of shards, and per track.

Run from the root of the repository, with the package installed (``.[train,cluster]``)::

    python benchmarks/scale.py                          # all parts, small: some minutes
    python benchmarks/scale.py study --epochs 20        # 2 workers against 1, and Dask
    python benchmarks/scale.py shards --tracks 4000
    python benchmarks/scale.py memory --tracks 100000   # writes 6 GB to a temporary folder
    python benchmarks/scale.py costs

``study`` trains 18 runs on GTZAN's frames three times in turn, with workers that have begun before:
by one worker, by two processes, by two workers of a Dask cluster on this machine. Beside the time
on the wall it tells what the time would be on free cores, from processor time: that of this process
and half that of two workers. Other work on the machine changes the first and hardly the second.

``shards`` trains on the same synthetic tracks from memory and from mapped shards, in turn, and
draws crops alone. ``memory`` trains an epoch on a collection in a process of its own, and tells the
most memory that it took: VmRSS, which counts pages of the mapped files that the system could take
back, and RssAnon, which it could not. ``costs`` measures hearing 30 s of sound and training an
epoch, per track, and tells what collections of 10,000 tracks and more cost at that rate.

One thread a process. The exit status is 0 whether a target is met or not.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from ostinato.datasets import Corpus, FrameCache, Recording
from ostinato.datasets.compute import compute_frames
from ostinato.datasets.shards import FrameShards, pack
from ostinato.datasets.splits import Fold
from ostinato.features import FeatureSpec, Frames
from ostinato.training import train
from ostinato.training.settings import TrainingSettings

SPEC = FeatureSpec()
N_FRAMES, GENRES = 387, 10


def frames_of(key: str) -> Frames:
    """Frames of a synthetic track: noise about a mean of its genre."""
    number = int(key)
    random = np.random.default_rng(number)
    x = random.standard_normal((N_FRAMES, SPEC.n_features), dtype=np.float32)
    x[:, number % GENRES] += 1
    return x


def corpus_of(frames: list[Frames] | FrameShards) -> Corpus:
    """A corpus of synthetic tracks, the genres in turn."""
    recordings = [
        Recording(id=str(i), genre=f"genre {i % GENRES}", artist=str(i)) for i in range(len(frames))
    ]
    return Corpus(name="made", source="made", recordings=recordings, frames=frames, spec=SPEC)


def packed(folder: Path, n: int) -> FrameShards:
    """Synthetic tracks in shards."""
    return pack(folder, [str(i) for i in range(n)], frames_of, n_features=SPEC.n_features)


def epoch(corpus: Corpus, family: str = "lstm", epochs: int = 1) -> None:
    """Train for an epoch; a hundred tracks are held out."""
    fold = Fold(train=corpus.ids[:-100], valid=corpus.ids[-100:], test=())
    train(corpus, fold, family, training=replace(TrainingSettings(), epochs=epochs))


def processor_s(call: Callable[[], object]) -> float:
    """Processor time of a call in this process, in seconds."""
    started = time.process_time()
    call()
    return time.process_time() - started


def study(epochs: int, rounds: int) -> None:
    """18 runs by one worker, two processes, and a Dask cluster of two."""
    import distributed
    import psutil

    from ostinato.datasets.gtzan import load_gtzan
    from ostinato.study.config import StudyConfig
    from ostinato.study.plan import plan_study
    from ostinato.study.study import run_study

    corpus, here = load_gtzan(), psutil.Process()

    def spent() -> tuple[float, float]:
        workers = 0.0
        for child in here.children(recursive=True):
            times = child.cpu_times()
            workers += times.user + times.system
        return time.process_time(), workers

    def timed(jobs: int, backend: str, n_epochs: int, seeds: int) -> tuple[float, float]:
        config = StudyConfig(
            models=("lstm", "residual-lstm"),
            seeds=seeds,
            test=False,
            training=replace(TrainingSettings(), epochs=n_epochs),
        )
        with tempfile.TemporaryDirectory() as folder:
            plan = plan_study(config, corpus, Path(folder) / "study")
            before, started = spent(), time.perf_counter()
            run_study(plan, jobs=jobs, backend=backend, report=False)
            wall = time.perf_counter() - started
            home, workers = (b - a for a, b in zip(before, spent(), strict=True))
        return wall, home + workers / jobs

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        ways = {
            "one worker": (1, "processes"),
            "two processes": (2, "processes"),
            "two workers of Dask": (2, cluster.scheduler_address),
        }
        for jobs, backend in ways.values():
            timed(jobs, backend, 1, 1)  # workers begin
        found = {name: [timed(*way, epochs, 9) for way in [ways[name]] * rounds] for name in ways}
    print(f"\n18 runs of {epochs} epochs     wall [s]   on free cores [s]")
    best = {}
    for name, times in found.items():
        best[name] = [median(column) for column in zip(*times, strict=True)]
        print(f"{name:22s} {best[name][0]:12.1f} {best[name][1]:12.1f}")
    one, two, dask = best.values()
    for what, i in (("wall", 0), ("on free cores", 1)):
        print(
            f"{what}: two processes are {one[i] / two[i]:.2f} times as fast as one (target 1.7); "
            f"Dask takes {100 * (dask[i] / two[i] - 1):+.1f} % (target 10 %)"
        )


def shards(tracks: int, rounds: int) -> None:
    """Training from memory and from shards in turn."""
    import torch

    from ostinato.training.tracks import Tracks

    with tempfile.TemporaryDirectory() as folder:
        mapped = packed(Path(folder), tracks)
        kinds = {"memory": corpus_of([np.array(f) for f in mapped]), "shards": corpus_of(mapped)}
        pools = {name: Tracks.of(corpus, corpus.ids) for name, corpus in kinds.items()}
        which = torch.arange(tracks).split(64)
        trained: dict[str, list[float]] = {name: [] for name in kinds}
        drawn: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(rounds):
            for name in list(kinds)[:: 1 if number % 2 else -1]:
                pool, corpus = pools[name], kinds[name]
                drawn[name].append(
                    processor_s(lambda p=pool: [p.random_crops(w, 144) for w in which])
                )
                trained[name].append(processor_s(lambda c=corpus: epoch(c)))
    print(
        f"\n{tracks} tracks, processor time   crops [us a track]   training an epoch [ms a track]"
    )
    for name in kinds:
        a, b = (1e3 * median(times[name]) / tracks for times in (drawn, trained))
        print(f"{name:27s} {1e3 * a:12.2f} {b:22.3f}")
    share = median(m / s for m, s in zip(trained["memory"], trained["shards"], strict=True))
    print(f"Training from shards has {100 * share:.1f} % of the speed from memory (target 90 %).")


def memory(tracks: int) -> None:
    """Memory of an epoch in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        size_gb = sum(path.stat().st_size for path in packed(Path(folder), tracks).files) / 1e9
        seconds = time.perf_counter() - started
        print(f"\n{tracks} tracks: {size_gb:.2f} GB packed in {seconds:.0f} s")
        done = subprocess.run(
            [sys.executable, __file__, "epoch", "--tracks", str(tracks), "--folder", folder],
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"An epoch: {found['seconds']:.0f} s of processor time; at most {found['VmRSS']:.2f} GB of "
        f"memory (target 2 GB), of which {found['RssAnon']:.2f} GB are its own and not the files'; "
        f"before it, with all that is imported, {found['before']:.2f} GB"
    )


@contextmanager
def watched(most: dict[str, float]) -> Iterator[None]:
    """Note the largest memory of this process, in GB, twenty times a second (Linux)."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for name, value in memory_now().items():
                most[name] = max(most.get(name, 0.0), value)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def memory_now() -> dict[str, float]:
    """VmRSS and RssAnon of this process in GB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1e6 for name in ("VmRSS", "RssAnon")}


def one_epoch(folder: Path, tracks: int) -> None:
    """What ``memory`` measures."""
    corpus = corpus_of(packed(folder, tracks))
    before, most = memory_now()["VmRSS"], {}
    with watched(most):
        seconds = processor_s(lambda: epoch(corpus))
    print(json.dumps({"seconds": seconds, "before": before, **most}))


def costs(tracks: int, rounds: int) -> None:
    """Processor time a track, and what larger collections cost at that rate."""
    import soundfile

    random, n_files = np.random.default_rng(0), 12
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(n_files):
            for ending in ("wav", "mp3"):
                sound = 0.1 * random.standard_normal((30 * 44100, 2))
                soundfile.write(folder / f"{i}.{ending}", sound, 44100)
        hearing = {}
        for ending in ("wav", "mp3"):
            paths = sorted(folder.glob(f"*.{ending}"))

            def hear(paths: list[Path] = paths, number: list[int] = [0]) -> None:  # noqa: B006
                number[0] += 1
                cache = FrameCache(folder / f"{paths[0].suffix}{number[0]}")
                found = compute_frames(paths, spec=SPEC, cache=cache, n_jobs=1, backend="threads")
                assert not any(isinstance(result, str) for result in found)

            hear()
            hearing[ending] = median(processor_s(hear) for _ in range(rounds)) / n_files
        corpus = corpus_of(packed(folder / "shards", tracks))
        training = {}
        for family in ("lstm", "residual-lstm"):
            # Three epochs less one: judging before and after is in both.
            more = median(processor_s(lambda f=family: epoch(corpus, f, 3)) for _ in range(rounds))
            less = median(processor_s(lambda f=family: epoch(corpus, f)) for _ in range(rounds))
            training[family] = (more - less) / 2 / tracks
    print("\nProcessor time a track of 30 s")
    for ending, seconds in hearing.items():
        print(f"  hearing, {ending} (44.1 kHz, stereo): {1e3 * seconds:.0f} ms")
    for family, seconds in training.items():
        print(f"  training, {family}: {1e3 * seconds:.2f} ms an epoch")
    epochs = TrainingSettings().epochs
    print(
        "Hours on machines of 2 cores: hearing mp3 once; one lstm of", epochs, "epochs on one core"
    )
    for n in (10_000, 100_000, 1_000_000):
        hours = [n * hearing["mp3"] / 3600 / 2 / machines for machines in (1, 2, 10)]
        line = ", ".join(f"{h:.2f} (x{m})" for h, m in zip(hours, (1, 2, 10), strict=True))
        print(
            f"  {n:9,d} tracks: hearing {line}; training {n * training['lstm'] * epochs / 3600:.2f}"
        )


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=["study", "shards", "memory", "costs", "epoch"])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.part == "epoch":
        one_epoch(options.folder, options.tracks)
        return
    if options.part in (None, "study"):
        study(options.epochs, options.rounds)
    if options.part in (None, "shards"):
        shards(options.tracks, max(3, options.rounds))
    if options.part in (None, "memory"):
        memory(options.tracks)
    if options.part in (None, "costs"):
        costs(options.tracks, options.rounds)


if __name__ == "__main__":
    main()
