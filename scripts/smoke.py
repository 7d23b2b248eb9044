"""Try what a new user does first, in clean environments (`make dist` runs it on what it built).

    python scripts/smoke.py dist/*.whl dist/*.tar.gz    # installed with each Python that is here
    python scripts/smoke.py --installed                 # what is installed beside this Python

The verbs hear sounds that are made here; nothing is read from the checkout but the versions of
``constraints.txt``, and nothing is left behind. An sdist is installed without extras, a wheel with
the server, and with PyTorch, for a study, only where its build for the CPU can be had: the one for
CUDA takes several GB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
MINORS = (11, 12, 13, 14)
STUDY = """
models = ["lstm", "residual-lstm"]
seeds = 1
[training]
epochs = 2
window_frames = 24
window_hop = 24
[settings.lstm]
width = 4
depth = 1
texture_frames = 4
[settings.residual-lstm]
width = 4
depth = 1
texture_frames = 4
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", nargs="*", type=Path, help="wheels and sdists")
    parser.add_argument("--installed", action="store_true", help="try this Python's installation")
    parser.add_argument("--python", action="append", help="a Python; by default all that are here")
    given = parser.parse_args()
    if given.installed:
        try_installed()
        return
    pythons = given.python or list(pythons_here())
    if not (given.archives and pythons):
        parser.error("expected at least one wheel or sdist, and a Python to install it with")
    for python in pythons:
        for archive in given.archives:
            try_archive(archive.resolve(), python)


def pythons_here() -> Iterator[str]:
    """Each Python of :data:`MINORS` that is on the path or one of pyenv's; one of a kind."""
    for minor in MINORS:
        pyenv = map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        for python in (*pyenv, shutil.which(f"python3.{minor}")):
            if python and not subprocess.run([python, "-V"], capture_output=True).returncode:
                yield python
                break
        else:
            print(f"Python 3.{minor} is not here: not tried.")


def try_archive(archive: Path, python: str) -> None:
    """Install a wheel or sdist into a clean environment, and try it there."""
    with tempfile.TemporaryDirectory(prefix="ostinato-smoke-") as folder:
        began = time.monotonic()
        inside = environment(folder, python)
        learns = archive.suffix == ".whl" and _small_torch(inside)
        extras = "[serve,train]" if learns else "[serve]" if archive.suffix == ".whl" else ""
        pip(inside, "install", "--quiet", "-c", str(CONSTRAINTS), f"{archive}{extras}")
        size = sum(p.lstat().st_size for p in Path(folder).rglob("*") if p.is_file())
        version = _said([str(inside), "-V"]).strip()
        print(
            f"{archive.name}{extras}, {version}: installed in {time.monotonic() - began:.0f} s, "
            f"{size / 1e6:.0f} MB",
            flush=True,
        )
        if archive.suffix == ".whl" and not learns:
            print("  no study: PyTorch's build for the CPU cannot be had for this Python here")
        if subprocess.run([inside, "-I", __file__, "--installed"], check=False).returncode:
            sys.exit(f"{archive.name} failed with {version}.")


def environment(folder: str, python: str) -> Path:
    """Make a clean virtual environment, and give its Python."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    return Path(folder, "Scripts" if os.name == "nt" else "bin", "python")


def _small_torch(python: Path) -> bool:
    """Whether pip would install a PyTorch without CUDA."""
    asked = ("install", "--quiet", "--dry-run", "--no-deps", "--report", "-", "torch")
    try:
        report = json.loads(pip(python, *asked, "-c", str(CONSTRAINTS)))
    except SystemExit:  # none for this Python
        return False
    url = report["install"][0]["download_info"]["url"]
    return sys.platform != "linux" or "cpu" in url.rpartition("/")[2]


def pip(python: Path, *arguments: str) -> str:
    return _said([str(python), "-m", "pip", "--disable-pip-version-check", *arguments])


def _said(command: list[str]) -> str:
    """What a command prints; if it fails, all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(
            f"{' '.join(command)}\ngave exit status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def try_installed() -> None:
    """Version, doctor, classify, tag and undo, serve and a study, as the commands of a user."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ostinato-smoke-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.chdir(folder)
        for variable in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
                         "APPDATA", "LOCALAPPDATA", "USERPROFILE"):  # fmt: skip
            os.environ[variable] = str(folder / "home")
        os.environ.pop("PYTHONPATH", None)
        (folder / "home").mkdir()
        make_songs(folder / "music")
        tried = [_version(), _doctor(), _classify(folder / "music" / "song.wav"),
                 _tag(folder / "music")]  # fmt: skip
        if find_spec("fastapi"):
            tried.append(_serve(folder / "music" / "song.wav"))
        if find_spec("torch"):
            tried.append(_study(folder))
        os.chdir(folder.parent)
    print(f"  {', '.join(tried)}: passed in {time.monotonic() - began:.0f} s", flush=True)


def make_songs(folder: Path) -> None:
    """Write a quarter of a minute of made music as WAV, FLAC and MP3, the latter two with tags."""
    import av
    import mutagen
    import numpy as np
    import soundfile

    rate_hz, seconds = 22_050, 14
    random, t = np.random.default_rng(0), np.arange(22_050 // 2) / 22_050
    sound = 1e-3 * random.standard_normal(rate_hz * seconds)
    for start in range(0, rate_hz * (seconds - 1), rate_hz // 4):
        pitch_hz = 110 * 2 ** (random.integers(0, 24) / 12)
        for overtone in range(1, 5):
            note = np.exp(-5 * t) * np.sin(2 * np.pi * overtone * pitch_hz * t)
            sound[start : start + t.size] += 0.1 / overtone * note
    folder.mkdir()
    for name in ("song.wav", "song.flac"):
        soundfile.write(folder / name, sound, rate_hz)
    with av.open(str(folder / "song.mp3"), "w") as mp3:
        stream = mp3.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (sound * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = rate_hz
        mp3.mux([*stream.encode(frame), *stream.encode(None)])
    for name in ("song.flac", "song.mp3"):
        tags = mutagen.File(folder / name, easy=True)
        tags["title"], tags["artist"] = "A made song", "Nobody"
        tags.save()


def _ostinato(*arguments: str | Path) -> str:
    return _said([_command(), *map(str, arguments)])


def _command() -> str:
    """The command that was installed beside this Python, wherever the path leads."""
    scripts = sysconfig.get_path("scripts")
    return shutil.which("ostinato", path=scripts) or sys.exit(f"Expected ostinato in {scripts}.")


def _version() -> str:
    from importlib.metadata import version

    expected = f"ostinato {version('ostinato')}"
    _expect(_ostinato("--version").strip(), expected)
    return expected


def _doctor() -> str:
    found = json.loads(_ostinato("doctor", "--format", "json"))
    _expect(found["hears"]["works"], True)
    return "doctor"


def _classify(song: Path) -> str:
    verdict = json.loads(_ostinato("classify", "--format", "json", song))
    _expect(round(sum(each["probability"] for each in verdict["ranked"]), 3), 1)
    _expect(round(verdict["seconds"]), 14)
    return f"classify ({verdict['genre']} {verdict['probability']:.0%})"


def _tag(music: Path) -> str:
    import mutagen

    songs = (music / "song.flac", music / "song.mp3")
    before = [_sum(song) for song in songs]
    _ostinato("tag", *songs)
    _expect([_sum(song) for song in songs], before)
    _ostinato("tag", *songs, "--write", "--min-probability", "0.05")
    for song in songs:
        tags = mutagen.File(song, easy=True)
        _expect((tags["title"], tags["artist"]), (["A made song"], ["Nobody"]))
        _expect(len(tags.get("genre", [])), 1)
    _ostinato("tag", "--undo")
    _expect([_sum(song) for song in songs], before)
    return "tag and undo"


def _serve(song: Path) -> str:
    command = [_command(), "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stderr.readline()  # type: ignore[union-attr]
            found = re.search(r"(http://\S+) is ready", line)
            if found is None:
                sys.exit(f"Expected the address of the server, got: {line}")
            with urllib.request.urlopen(f"{found[1]}/readyz", timeout=30) as answer:
                _expect(answer.status, 200)
            request = urllib.request.Request(f"{found[1]}/v1/classify", song.read_bytes())
            with urllib.request.urlopen(request, timeout=60) as answer:
                _expect(len(json.load(answer)["ranked"]), 10)
        finally:
            server.terminate()
            server.stderr.read()  # type: ignore[union-attr]
        status = server.wait(30)
    if os.name != "nt":  # there, terminate() leaves it no time to stop well
        _expect(status, 0)
    return "serve"


def _study(folder: Path) -> str:
    (folder / "small.toml").write_text(STUDY, encoding="utf-8")
    _ostinato("study", "small.toml", "--out", "study")
    results = json.loads((folder / "study" / "results.json").read_text(encoding="utf-8"))
    _expect(len(results["models"]), 2)
    _expect((folder / "study" / "report.html").is_file(), True)
    return "study"


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _expect(got: object, expected: object) -> None:
    if got != expected:
        sys.exit(f"Expected {expected!r}, got {got!r}.")


if __name__ == "__main__":
    main()
