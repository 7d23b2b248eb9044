"""Nothing reports home: what verbs open, write, and ask of the network."""

from __future__ import annotations

import os
import re
import shlex
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

#: Verbs of the learning wing share a process: importing what they need takes most of their time.
LEARNING = (
    "study study.toml --data music --out run --log mlflow",
    "study study.toml --data music --out run --log tensorboard",
    "search search.toml --trials 2 --out searched",
    "export run --to model.onnx",
    "audit music",
)
TOGETHER = """
import shlex, sys
from ostinato.cli.main import main
for verb in sys.argv[1:]:
    try:
        main(shlex.split(verb))
    except SystemExit as left:
        if left.code:
            raise
"""
#: Those of the listening wing have one each.
LISTENING = (
    "classify music --model model.onnx --format json --plot pictures",
    "models --use model.onnx",
    "listen --format json < song.wav",
    "tag music --write --model model.onnx --page library.html --playlists lists",
)
PROGRAMS = (
    f"together.py {shlex.join(LEARNING)}",
    *(f"-m ostinato {verb}" for verb in LISTENING),
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


TEMPORARY = (".model.onnx.", ".test-ledger", ".library.html.")


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
    (folder / "together.py").write_text(TOGETHER)
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    seen = ""
    for program in PROGRAMS:
        run_apart(f'exec {" ".join(WATCH)} -o watch.txt "{sys.executable}" {program}', folder)
        seen += (folder / "watch.txt").read_text(errors="replace")
    return folder, seen


def run_apart(command: str, folder: Path) -> str:
    """Run a shell's command without network and home; give what it prints."""
    # Where CI is set, or pytest runs, ONNX Runtime and MLflow report nothing of themselves.
    unset = ("CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", "MLFLOW_DISABLE_TELEMETRY",
             "PYTEST_CURRENT_TEST")  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if k not in unset and not k.startswith("XDG")}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"  # which is Python, not Ostinato
    places = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    ran = subprocess.run(
        ["unshare", "-rn", "sh", "-c", command],
        cwd=folder, env=kept | places, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout


pytestmark = pytest.mark.skipif(not can_watch(), reason="needs strace and a network namespace")


def test_no_verb_asks_the_network_for_anything(watched: tuple[Path, str]) -> None:
    _, seen = watched
    assert "openat(" in seen
    assert NETWORK.findall(seen) == TRIED.findall(seen)
    assert SENT.findall(seen) == []


def test_no_verb_writes_but_where_its_help_says(watched: tuple[Path, str]) -> None:
    folder, seen = watched
    names = ("run", "searched", "mlflow", "pictures", "model.onnx", "test-ledger.csv", "music",
             "library.html", "lists")  # fmt: skip
    named = [folder / name for name in names]
    caches = [folder / "home/.cache/ostinato", folder / "home/.cache/matplotlib"]
    settings = [folder / "home/.config/matplotlib", folder / "home/.config/ostinato"]
    data = folder / "home/.local/share/ostinato"
    allowed = [*named, *caches, *settings, data, folder / "temporary"]
    parents = {folder / "home/.cache", folder / "home/.config", *data.parents}
    written = {
        folder / next(name for name in found if name)
        for found in (m.group("opened", "made", "renamed") for m in WRITES.finditer(seen))
    }
    assert folder / "run" / "results.json" in written
    assert folder / "home/.config/ostinato/settings.json" in written
    assert data / "tags.sqlite" in written
    elsewhere = {
        str(path)
        for path in written - parents
        if not any(path.is_relative_to(place) for place in allowed)
        and not str(path).startswith(("/dev/", "/proc/self/"))
        and not (path.parent == folder and path.name.startswith(TEMPORARY))
    }
    assert elsewhere == set()


def test_the_home_folder_holds_caches_settings_and_the_journal_alone(
    watched: tuple[Path, str],
) -> None:
    """ONNX Runtime would keep an identifier of the machine there, and reports to be sent."""
    home = watched[0] / "home"
    assert {p.name for p in home.iterdir()} <= {".cache", ".config", ".local"}
    assert {p.name for p in (home / ".local/share").iterdir()} <= {"ostinato"}
    held = {
        p.name for d in (".cache", ".config") if (home / d).is_dir() for p in (home / d).iterdir()
    }
    assert held <= {"ostinato", "matplotlib"}


#: Asks the server that strace watches for its page and a verdict, and stops it, whatever comes.
CLIENT = """
import http.client, os, pathlib, signal, sys, time
children = pathlib.Path(f"/proc/{sys.argv[1]}/task/{sys.argv[1]}/children")
def ask(method, path, body=None):
    asked = http.client.HTTPConnection("127.0.0.1", 8000, timeout=120)
    asked.request(method, path, body)
    return asked.getresponse().read()
try:
    for _ in range(600):
        try:
            print(ask("GET", "/"))
            break
        except ConnectionError:
            time.sleep(0.1)
    print(ask("POST", "/v1/classify", pathlib.Path("song.wav").read_bytes()))
finally:
    os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
"""


@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip, for the loopback of a network")
def test_a_server_answers_and_asks_nobody(tmp_path) -> None:
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "song.wav", random.normal(size=5 * 22_050) * 0.1, 22_050)
    (tmp_path / "client.py").write_text(CLIENT)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    command = (
        f'ip link set lo up; {" ".join(WATCH)} -o watch.txt "{sys.executable}" -m ostinato serve '
        f'--workers 1 & "{sys.executable}" client.py $! && wait $!'
    )
    answers = run_apart(command, tmp_path)
    assert "<!doctype html>" in answers
    assert '"ranked"' in answers
    seen = (tmp_path / "watch.txt").read_text(errors="replace")
    assert set(re.findall(r"(?:bind|connect|sendto|sendmsg)\(.*inet_addr\(\"(.*?)\"", seen)) == {
        "127.0.0.1"
    }
    assert [line for line in SENT.findall(seen) if "NETLINK" not in line] == []
    assert "AF_INET6" not in seen
    written = {
        next(filter(None, m.group("opened", "made", "renamed"))) for m in WRITES.finditer(seen)
    }
    temporary = str(tmp_path / "temporary")
    assert any(path.startswith(temporary) for path in written)
    outside = {path for path in written if not path.startswith((temporary, "/dev/", "/proc/self/"))}
    assert outside == set()
    assert [*(tmp_path / "temporary").rglob("*"), *(tmp_path / "home").iterdir()] == []
