"""Build the sdist and the wheel into dist/, and check what is in them (`make dist`).

The wheel is built from the sdist, as pip does for whoever takes the sdist, and once more from the
checkout: both must hold the same bytes. It must hold each file of ``src/`` that git tracks, and
nothing else; the sdist must hold no sound and no file that git does not track.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).parents[1]
DIST = REPOSITORY / "dist"

#: Suffixes of sound, which is never shipped, and of what teaches or tests.
NEVER_IN_WHEEL = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".ipynb", ".pt", ".ckpt")

#: What the package cannot do without, or may not be passed on without.
ALWAYS_IN_WHEEL = (
    "ostinato/py.typed",
    "ostinato/weights/README.md",
    "ostinato/weights/default.onnx",
    "ostinato/datasets/data/README.md",
    "ostinato/server/page/index.html",
    "ostinato/study/report/report.html.j2",
    "beetsplug/ostinato.py",
)
MOST_MB = 18


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    _build("--outdir", str(DIST))
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        _build("--wheel", "--outdir", folder)
        (again,) = Path(folder).glob("*.whl")
        if again.name != wheel.name or _members(again) != _members(wheel):
            sys.exit(
                "Expected the same wheel from the sdist and from the checkout, got two: "
                "did a file change meanwhile?"
            )
    tracked = _tracked()
    faults = [
        *wheel_faults(_members(wheel), tracked),
        *sdist_faults(_members(sdist), tracked),
    ]
    for path in (sdist, wheel):
        print(_described(path))
        if path.stat().st_size > 1e6 * MOST_MB:
            faults += [f"{path.name}: expected {MOST_MB} MB at most"]
    if faults:
        sys.exit("\n".join(faults))
    print("The wheel holds the files of src/ and the licence, and is the same from the sdist.")


def wheel_faults(members: Iterable[str], tracked: Iterable[str]) -> list[str]:
    """What is wrong with the names in a wheel, against the files that git tracks."""
    there = {name for name in members if ".dist-info/" not in name}
    records = {name.partition(".dist-info/")[2] for name in members} - {""}
    expected = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
    return [
        *(f"{name}: tracked, but not in the wheel" for name in sorted(expected - there)),
        *(f"{name}: in the wheel, but not tracked" for name in sorted(there - expected)),
        *(f"{name}: may not be in a wheel" for name in sorted(there) if _unwanted(name)),
        *(f"{name}: missing from the wheel" for name in ALWAYS_IN_WHEEL if name not in there),
        *(["licenses/LICENSE: missing"] if "licenses/LICENSE" not in records else []),
    ]


def sdist_faults(members: Iterable[str], tracked: Iterable[str]) -> list[str]:
    """What is wrong with the names in an sdist, without its folder."""
    allowed = {*tracked, "PKG-INFO", ".gitignore"}
    return [
        *(f"{name}: in the sdist, but not tracked" for name in sorted(set(members) - allowed)),
        *(f"{name}: sound in the sdist" for name in sorted(members) if _is_sound(name)),
    ]


def _is_sound(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in NEVER_IN_WHEEL[:6]


def _unwanted(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in NEVER_IN_WHEEL or "tests" in path.parts


def _members(archive: Path) -> dict[str, bytes]:
    """Files of a wheel or an sdist, by name; those of an sdist without its folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(archive) as opened:
        files = [member for member in opened if member.isfile()]
        return {f.name.partition("/")[2]: opened.extractfile(f).read() for f in files}  # type: ignore[union-attr]


def _described(archive: Path) -> str:
    members = _members(archive)
    kinds = Counter(PurePosixPath(name).suffix or "no suffix" for name in members)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB, {len(members)} files ({listed})"


def _build(*arguments: str) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "build", *arguments, str(REPOSITORY)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode:
        sys.exit(f"The build failed:\n{built.stdout}{built.stderr}")


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        sys.exit(f"Expected a checkout, whose files git lists; got: {listed.stderr.strip()}")
    return listed.stdout.splitlines()


if __name__ == "__main__":
    main()
