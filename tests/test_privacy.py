"""Nothing reports home: what verbs open, write, and ask of the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

STUDY = (
    'models = ["lstm"]\nseeds = 1\n[training]\nepochs = 1\nwindow_frames = 24\nwindow_hop = 24\n'
)

SEARCH = 'data = "music"\nsplit = "holdout"\n' + STUDY + "[search]\ntraining.mixup = [0.0, 0.2]\n"

#: Each verb in a process of its own, in this order: export needs a study.
VERBS = (
    "study study.toml --data music --out run --log mlflow",
    "study study.toml --data music --out run --log tensorboard",
    "search search.toml --trials 2 --out searched",
    "export run --to model.onnx",
    "audit music",
    "classify music --model model.onnx --format json --plot pictures",
    "models --use model.onnx",
    "listen --format json < song.wav",
)

WATCHED = (
    "socket,bind,connect,sendto,sendmsg,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2"
)
#: Sockets of families that leave the machine, or ask who could: glibc asks netlink before a name.
NETWORK = re.compile(r"socket\(AF_(?!UNIX|LOCAL)(\w+)")
SENT = re.compile(r"(?:connect|sendto|sendmsg)\(.*sa_family=AF_(?!UNIX|LOCAL)\w+")
#: PyTorch Lightning imports urllib3, which tries once whether the machine has IPv6: it binds a
#: socket to the machine itself, and sends nothing.
TRIED = re.compile(r"bind\(\d+, \{sa_family=AF_(INET6), .*\"::1\"")
WRITES = re.compile(
    r"(?:(?:open|openat)\((?P<at>[^\"]*)\"(?P<opened>[^\"]*)\", [^)\n]*O_(?:WRONLY|RDWR|CREAT)"
    r"|(?:creat|mkdir|mkdirat)\([^\"]*\"(?P<made>[^\"]*)\""
    r"|rename\w*\([^\"]*\"[^\"]*\", [^\"]*\"(?P<renamed>[^\"]*)\").* = (?!-1)\d"
)
WATCH = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "300", "-e", f"trace={WATCHED}"]


def can_watch() -> bool:
    """Whether a process can be cut off from the network and watched here."""
    if not (shutil.which("strace") and shutil.which("unshare")):
        return False
    tried = ["unshare", "-rn", *WATCH, "-o", os.devnull, "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> tuple[Path, str]:
    """A folder in which every verb ran without network and home, and what strace saw of them."""
    folder = tmp_path_factory.mktemp("watched")
    random = np.random.default_rng(0)
    for name in ("rock", "drone"):
        (folder / "music" / name).mkdir(parents=True)
        for i in range(3):
            noise = random.normal(size=5 * 22_050) * 0.1
            sound = np.cumsum(noise) * 0.01 if name == "drone" else noise
            soundfile.write(folder / "music" / name / f"{i}.wav", sound, 22_050)
    shutil.copy(folder / "music" / "rock" / "0.wav", folder / "song.wav")
    (folder / "study.toml").write_text(STUDY)
    (folder / "search.toml").write_text(SEARCH)
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    # Where CI is set, or pytest runs, ONNX Runtime and MLflow report nothing of themselves.
    unset = ("CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", "MLFLOW_DISABLE_TELEMETRY",
             "PYTEST_CURRENT_TEST")  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if k not in unset and not k.startswith("XDG")}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"  # which is Python, not Ostinato
    places = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    seen = ""
    for verb in VERBS:
        command = f'exec {" ".join(WATCH)} -o watch.txt "{sys.executable}" -m ostinato {verb}'
        ran = subprocess.run(
            ["unshare", "-rn", "sh", "-c", command],
            cwd=folder, env=kept | places, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{verb}: {ran.stdout}{ran.stderr}"
        seen += (folder / "watch.txt").read_text(errors="replace")
    return folder, seen


pytestmark = pytest.mark.skipif(not can_watch(), reason="needs strace and a network namespace")


def test_no_verb_asks_the_network_for_anything(watched: tuple[Path, str]) -> None:
    _, seen = watched
    assert "openat(" in seen
    assert NETWORK.findall(seen) == TRIED.findall(seen)
    assert SENT.findall(seen) == []


def test_no_verb_writes_but_where_its_help_says(watched: tuple[Path, str]) -> None:
    folder, seen = watched
    names = ("run", "searched", "mlflow", "pictures", "model.onnx", "test-ledger.csv")
    named = [folder / name for name in names]
    caches = [folder / "home/.cache/ostinato", folder / "home/.cache/matplotlib"]
    settings = [folder / "home/.config/matplotlib", folder / "home/.config/ostinato"]
    allowed = [*named, *caches, *settings, folder / "temporary"]
    parents = {folder / "home/.cache", folder / "home/.config"}
    written = {
        folder / next(name for name in found if name)
        for found in (m.group("opened", "made", "renamed") for m in WRITES.finditer(seen))
    }
    assert folder / "run" / "results.json" in written
    assert folder / "home/.config/ostinato/settings.json" in written
    elsewhere = {
        str(path)
        for path in written - parents
        if not any(path.is_relative_to(place) for place in allowed)
        and not str(path).startswith(("/dev/", "/proc/self/"))
        and not (path.parent == folder and path.name.startswith((".model.onnx.", ".test-ledger")))
    }
    assert elsewhere == set()


def test_the_home_folder_holds_caches_and_settings_alone(watched: tuple[Path, str]) -> None:
    """ONNX Runtime would keep an identifier of the machine there, and reports to be sent."""
    home = watched[0] / "home"
    assert {p.name for p in home.iterdir()} <= {".cache", ".config"}
    held = {
        p.name for d in (".cache", ".config") if (home / d).is_dir() for p in (home / d).iterdir()
    }
    assert held <= {"ostinato", "matplotlib"}
