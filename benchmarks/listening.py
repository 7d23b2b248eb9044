"""Benchmark of classification: the same verdict from audio as from frames, speed and memory.

Run from the root of the repository, with the package and librosa installed (``.[dev]``)::

    python benchmarks/listening.py
    python benchmarks/listening.py --shared ../shared/data --music ~/music --music /usr/share/games

It prints one table: figure, measured, target, met or not. Times are **processor time** (user and
system) on one thread, which other programs on the machine disturb less than wall time; for a fresh
process, wall time is given too. Cases that are compared take turns, and a ratio is the median over
rounds of the ratio within a round. Accuracy is not measured here; parity and agreement are, with
the weights ``default-filtered``, which learned from the filtered training part alone, and which
are as large as ``default``.

parity
    Verdicts on whole GTZAN tracks, from their audio and from the frames that ship.
start
    ``import ostinato``, and ``ostinato classify song.mp3`` in a fresh process, against a script
    that does the same with librosa and PyTorch (``PEER``): decode, 40 MFCC, a recurrent network.
network
    The model's graph on the windows of 30 s, one thread.
pipeline
    A folder of mp3s classified whole, warm, against PyAV that only decodes them.
quick
    The quick way against all of a song of 4 minutes; and how often both agree, on recordings
    longer than 2 minutes.
musicnn
    Network, fresh process, pipeline and agreement of musicnn as well, where it was fetched.
memory
    Peak resident memory of a process that classifies an mp3, by its length.

Music is looped from the library of ``--shared``; figures whose data are missing are left out, and
the table says so. The exit status is 0 whether targets are met or not.
"""
# ruff: noqa: E402 (the number of threads must be set before the libraries are imported)

from __future__ import annotations

import os

# Read when the libraries are loaded, so before any of them is, here and in the fresh processes.
for _pool in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from ostinato import Classifier, OstinatoError
from ostinato.audio import find_audio, load_audio
from ostinato.datasets.gtzan import load_gtzan
from ostinato.features import cut
from ostinato.inference.ear import open_ear
from ostinato.inference.musicnn import NAME
from ostinato.inference.registry import fetched_path, load_graph
from ostinato.inference.verdict import Verdict

SONG_S, LONG_S, LONGEST_S = 240, 1_200, 7_200
N_SONGS = 5
RATE = 44_100

PEER = """
import sys
import librosa, numpy as np, torch
torch.set_num_threads(1)
sound, rate = librosa.load(sys.argv[1], sr=22050)
mfcc = librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=40, n_fft=2048, hop_length=1708).T
mfcc = (mfcc - mfcc.mean()) / mfcc.std()
windows = np.stack([mfcc[i : i + 144] for i in range(0, len(mfcc) - 144, 72)])
torch.manual_seed(0)
network, head = torch.nn.LSTM(40, 64, batch_first=True).eval(), torch.nn.Linear(64, 10)
with torch.no_grad():
    states, _ = network(torch.from_numpy(windows.astype(np.float32)))
    print(head(states.mean(1)).softmax(1).mean(0).argmax().item())
"""
# From a small process: on Linux the largest memory of a child counts that of its parent.
LAUNCH = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
clock_s = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
peak_mb = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(json.dumps({"processor_s": used.ru_utime + used.ru_stime, "clock_s": clock_s,
                  "peak_mb": peak_mb, "output": done.stdout}))
sys.exit(done.returncode)
"""
IMPORT = "import time; t = time.process_time(); import ostinato; print(time.process_time() - t)"


class Row(NamedTuple):
    """A line of the table; ``target`` None: for information."""

    figure: str
    measured: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""


# --- measuring ------------------------------------------------------------------------------------


class Spent(NamedTuple):
    """Time and memory of a fresh process, and its output."""

    processor_s: float
    clock_s: float
    peak_mb: float
    output: str


def fresh(*command: str) -> Spent:
    """Run Python in its own process."""
    begun = [sys.executable, "-c", LAUNCH, sys.executable, *command]
    result = subprocess.run(begun, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"python {' '.join(command)[-200:]}: {result.stderr.strip()}")
    return Spent(**json.loads(result.stdout))


def take_turns(cases: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Processor seconds of every case in every round; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            began = time.process_time()
            case()
            taken[name].append(time.process_time() - began)
    return {name: np.array(times[1:]) for name, times in taken.items()}


# --- music ----------------------------------------------------------------------------------------


def source_music(library: Path) -> np.ndarray:
    """Music at 44.1 kHz: 40 s of each of some recordings, or notes if there is no library."""
    if library.is_dir():
        names = [path for path in find_audio([library]).paths if path.suffix == ".mp3"]
        parts = [load_audio(path, sample_rate_hz=RATE)[: 40 * RATE] for path in names[:N_SONGS]]
        return np.concatenate(parts)
    rng = np.random.default_rng(0)
    t = np.arange(40 * N_SONGS * RATE) / RATE
    pitch_hz = rng.uniform(80, 2000, 80 * N_SONGS)[(2 * t).astype(int)]
    notes = 0.3 * np.sin(2 * np.pi * pitch_hz * t) * np.exp(-4 * (t % 0.5))
    return np.asarray(notes + 0.01 * rng.normal(size=t.size), dtype=np.float32)


def write_song(
    path: Path, music: np.ndarray, seconds: float, codec: str, *, header: bool = True
) -> Path:
    """Loop music and encode it in stereo, at 128 kbit/s; an mp3 with a header or none."""
    n = round(seconds * RATE)
    mono = np.resize(music, n)
    stereo = np.stack([mono, np.roll(mono, 9)])  # (2, n)
    options = {} if header else {"write_xing": "0", "id3v2_version": "0"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(stream.format.name, "stereo", RATE, frame_size=1152)
        for first in range(0, n, RATE):
            block = np.ascontiguousarray(stereo[:, first : first + RATE], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate = RATE
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return path


def decode(path: Path) -> int:
    """Decode a file, and discard it."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


# --- the figures ----------------------------------------------------------------------------------


def parity(classifier: Classifier, folder: Path) -> list[Row]:
    """Compare verdicts from audio with those from the frames that ship."""
    spec = classifier.info.spec
    kind: Any = spec.kind
    corpus = load_gtzan(n_coefficients=spec.n_coefficients, kind=kind)
    shipped = dict(zip(corpus.ids, corpus.frames, strict=True))
    paths = [path for path in find_audio([folder]).paths if path.stem in shipped]
    if not paths:
        return []
    other, withheld, apart, all_apart = 0, 0, [], []
    for path in paths:
        sound = classifier.classify(path)
        frames = classifier.classify(frames=shipped[path.stem])
        p, q = dict(sound.ranked), dict(frames.ranked)
        other += sound.ranked[0][0] != frames.ranked[0][0]
        withheld += sound.genre != frames.genre
        apart.append(abs(p[frames.ranked[0][0]] - frames.probability))
        all_apart.append(np.mean([abs(p[genre] - q[genre]) for genre in q]))
    of = f"of {len(paths)} tracks"
    return [
        Row("parity: another genre is the likeliest", other, "tracks", 4, note=of),
        Row("parity: another verdict, abstaining included", withheld, "tracks", 4, note=of),
        Row("parity: probability of the likeliest genre", float(np.mean(apart)), "apart", 0.03,
            note=f"over all genres {np.mean(all_apart):.4f}, most {max(apart):.3f}"),
    ]  # fmt: skip


def network(classifier: Classifier) -> list[Row]:
    """Time the graph alone, on the windows of an excerpt."""
    info = classifier.info
    n_frames = round(info.spec.excerpt_seconds / info.spec.hop_seconds)
    frames = np.random.default_rng(0).normal(size=(n_frames, info.spec.n_features))
    windows = cut(frames.astype(np.float32), length=info.window_frames, hop=info.window_hop)
    graph = load_graph(info.name)
    taken = take_turns({"graph": lambda: graph.run(windows)}, rounds=30)["graph"]
    return [
        Row("the network, 30 s", 1000 * float(np.median(taken)), "ms", 4,
            note=f"{len(windows)} windows, {graph.n_bytes / 1e6:.1f} MB"),
    ]  # fmt: skip


def ear(path: Path) -> list[Row]:
    """Time the ear of musicnn, its frames included, on 20 s of sound."""
    opened = open_ear(path)
    n_samples = 20 * opened.spec.sample_rate_hz
    sound = np.random.default_rng(0).normal(size=n_samples).astype(np.float32) / 10
    taken = take_turns({"ear": lambda: opened.frames(sound)}, rounds=10)["ear"]
    note = f"{path.stat().st_size / 1e6:.1f} MB"
    return [Row("musicnn, 20 s", float(np.median(taken)), "s", 0.1, note=note)]


def start(songs: Sequence[Path], *, with_musicnn: bool) -> list[Row]:
    """Time fresh processes, a round a song, for some songs need a closer look."""
    imports = [float(fresh("-c", IMPORT).output) for _ in range(2 * len(songs) + 1)]
    ours, whole, larger, peer = [], [], [], []
    fresh("-c", PEER, str(songs[0]))  # writes numba's cache
    for song in songs:
        verb = ("-m", "ostinato", "classify", str(song), "--model")
        ours.append(fresh(*verb, "default"))
        whole.append(fresh(*verb, "default", "--thorough"))
        if with_musicnn:
            larger.append(fresh(*verb, NAME))
        peer.append(fresh("-c", PEER, str(song)))

    def ratio(cases: Sequence[Spent]) -> float:
        ratios = [b.processor_s / a.processor_s for a, b in zip(cases, peer, strict=True)]
        return float(np.median(ratios))

    def clock(cases: Sequence[Spent]) -> str:
        seconds = np.median([case.clock_s for case in cases])
        return f"by the clock {seconds:.2f} s, {max(case.peak_mb for case in cases):.0f} MB"

    def median(cases: Sequence[Spent]) -> float:
        return float(np.median([case.processor_s for case in cases]))

    rows = [
        Row("import ostinato", float(np.median(imports)), "s", 0.2),
        Row("ostinato classify song.mp3, 4 minutes", median(ours), "s", 1.2, note=clock(ours)),
        Row("the same, --thorough", median(whole), "s", note=clock(whole)),
        Row("librosa and PyTorch", median(peer), "s", note=clock(peer)),
        Row("librosa and PyTorch / ostinato classify", ratio(ours), "x", 7, at_least=True),
        Row("librosa and PyTorch / --thorough", ratio(whole), "x"),
    ]
    if with_musicnn:
        memory = max(case.peak_mb for case in larger)
        rows += [
            Row("the same, --model musicnn", median(larger), "s", 0.9, note=clock(larger)),
            Row("its memory", memory, "MB", 250),
        ]
    return rows


def pipeline(classifier: Classifier, songs: Sequence[Path], rounds: int, most: float) -> list[Row]:
    """Time a folder, warm, classified whole."""
    times = take_turns(
        {
            "heard": lambda: list(classifier.classify_many(songs, jobs=1, thorough=True)),
            "decoded": lambda: [decode(song) for song in songs],
        },
        rounds,
    )
    ratio = float(np.median(times["heard"] / times["decoded"]))
    each = {name: 1e3 * np.median(taken) / len(songs) for name, taken in times.items()}
    note = f"{each['heard']:.0f} and {each['decoded']:.0f} ms for each file of 30 s"
    figure = f"mp3s, {classifier.name}, thorough / decoding alone"
    return [Row(figure, ratio, "x", most, note=note)]


def quick(classifier: Classifier, songs: Sequence[Path], rounds: int) -> list[Row]:
    """Excerpts against all, by format; of several songs, for some need a closer look."""
    rows = []
    for suffix in dict.fromkeys(song.suffix for song in songs):
        alike = [song for song in songs if song.suffix == suffix]
        ratios, taken = [], np.zeros(2)
        for song in alike:
            times = take_turns(
                {
                    "quick": lambda song=song: classifier.classify(song),
                    "thorough": lambda song=song: classifier.classify(song, thorough=True),
                },
                rounds,
            )
            ratios.append(np.median(times["thorough"] / times["quick"]))
            taken += [np.median(of_case) for of_case in times.values()]
        brief, whole = 1e3 * taken / len(alike)
        note = f"{brief:.0f} and {whole:.0f} ms"
        if len(alike) > 1:
            note = f"{len(alike)} songs, {min(ratios):.1f} to {max(ratios):.1f}; mean {note}"
        rows.append(
            Row(f"thorough / quick, 4 minutes of {suffix[1:]}", float(np.median(ratios)), "x", 3,
                at_least=True, note=note)
        )  # fmt: skip
    return rows


def agreement(classifier: Classifier, folders: Sequence[Path], least: float) -> list[Row]:
    """How often excerpts and all of a recording say the same."""
    n = same = same_verdict = refused = 0
    for path in find_audio([folder for folder in folders if folder.is_dir()]).paths:
        try:
            brief = classifier.classify(path)
            if brief.seconds <= 120:
                continue
            whole = classifier.classify(path, thorough=True)
        except OstinatoError:
            refused += 1
            continue
        n += 1
        same += _likeliest(brief) == _likeliest(whole)
        same_verdict += brief.genre == whole.genre
    if not n:
        return []
    note = f"{n} recordings over 2 minutes" + (f", {refused} could not be read" if refused else "")
    return [
        Row(f"quick and thorough likeliest, {classifier.name}", 100 * same / n, "%", least,
            at_least=True, note=note),
        Row("quick and thorough: the same verdict", 100 * same_verdict / n, "%",
            note="abstaining included"),
    ]  # fmt: skip


def _likeliest(verdict: Verdict) -> str:
    return verdict.ranked[0][0] if verdict.ranked else ""


def memory(song: Path) -> list[Row]:
    """By the length of the file: a song without a header of its length, again and again."""
    rows = []
    for seconds, options in (
        (SONG_S, ["--thorough"]), (LONG_S, ["--thorough"]), (LONGEST_S, ["--thorough"]),
        (LONGEST_S, []),
    ):  # fmt: skip
        path = song.with_name("long.mp3")
        path.write_bytes(song.read_bytes() * (seconds // SONG_S))
        spent = fresh("-m", "ostinato", "classify", str(path), *options)
        how = f"{seconds // 60} minutes{', thorough' if options else ''}"
        note = f"{spent.processor_s:.1f} s"
        rows.append(Row(f"memory: {how}", spent.peak_mb, "MB", 400, note=note))
    return rows


# --- the table ------------------------------------------------------------------------------------


def show(rows: Sequence[Row]) -> None:
    for row in rows:
        target, verdict = "", ""
        if row.target is not None:
            target = f"{'>=' if row.at_least else '<='} {row.target:g}"
            met = row.measured >= row.target if row.at_least else row.measured <= row.target
            verdict = "met" if met else "MISSED"
        number = f"{row.measured:.4g} {row.unit}"
        print(f"  {row.figure:<46}{number:>14}{target:>10}  {verdict:<7} {row.note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The listening wing against its targets.")
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--music", type=Path, action="append", default=[], metavar="DIR",
                        help="more recordings for the agreement")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    choices = parser.parse_args()
    library, rounds = choices.shared / "library", choices.rounds
    classifier = Classifier.load("default-filtered")
    musicnn = Classifier.load(NAME) if fetched_path(NAME).is_file() else None
    info = classifier.info
    print(f"Model {info.name or 'default-filtered'}: {info.family}, {info.spec.describe()}")
    print(f"One thread; processor time; {rounds} rounds; music of {library}\n")
    print(f"  {'Figure':<46}{'measured':>14}{'target':>10}")
    with tempfile.TemporaryDirectory(prefix="ostinato-") as name:
        folder = Path(name)
        music = source_music(library)
        songs = [
            write_song(folder / f"{name}.{suffix}", part, SONG_S, codec)
            for suffix, codec in (("mp3", "libmp3lame"), ("m4a", "aac"), ("flac", "flac"))
            for name, part in enumerate(np.array_split(music, N_SONGS if suffix == "mp3" else 1))
        ]
        pieces = [
            write_song(folder / f"piece{i}.mp3", np.roll(music, i * 9 * RATE), 30, "libmp3lame")
            for i in range(10)
        ]
        show(parity(classifier, choices.shared / "gtzan" / "audio" / "full"))
        show(network(classifier))
        if musicnn:
            show(ear(fetched_path(NAME)))
        mp3s = [song for song in songs if song.suffix == ".mp3"]
        show(start(mp3s, with_musicnn=musicnn is not None))
        show(pipeline(classifier, pieces, rounds, 1.6))
        if musicnn:
            show(pipeline(musicnn, pieces, rounds, 6))
        show(quick(classifier, songs, rounds))
        show(agreement(classifier, [library, *choices.music], 95))
        if musicnn:
            show(agreement(musicnn, [library, *choices.music], 97))
        show(memory(write_song(folder / "bare.mp3", music, SONG_S, "libmp3lame", header=False)))
    if not musicnn:
        print("\nmusicnn was left out: ostinato fetch musicnn gets it.")
    if not library.is_dir():
        print("\nParity, and agreement on the library, were left out: there is no shared data.")


if __name__ == "__main__":
    main()
