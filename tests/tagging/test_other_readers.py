"""What is written is what exiftool and kid3 read, each started once for all files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ostinato.tagging.tags import write_genres
from tests.helpers.tagged import TAGGED
from tests.tagging.test_id3 import NAMES, frame, tag

GENRES = ("Rock", "Zydeco ♪")


@pytest.fixture(scope="module")
def written(encoded, tmp_path_factory) -> dict[Path, str]:
    """A genre by file: every format, and MP3 with every version of ID3."""
    folder = tmp_path_factory.mktemp("written")
    files = {}
    for i, genre in enumerate(GENRES):
        for suffix in TAGGED:
            path = folder / f"{i}{suffix}"
            path.write_bytes((encoded / f"bare{suffix}").read_bytes())
            files[path] = genre
        for version in (2, 3, 4):
            path = folder / f"{i}-version-{version}.mp3"
            old = tag(version, frame(version, NAMES[version][1], b"\0T"))
            path.write_bytes(old + (encoded / "bare.mp3").read_bytes())
            files[path] = genre
    for path, genre in files.items():
        write_genres(path, [genre])
    return files


def output_of(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


def test_exiftool(written):
    known = [p for p in written if p.suffix not in (".wv", ".tta", ".dsf")]  # as of 12.57
    found = json.loads(output_of("exiftool", "-j", "-Genre", *map(str, known)))
    assert [f.get("Genre") for f in found] == [written[path] for path in known]


def test_kid3(written):
    known = [path for path in written if path.suffix != ".aac"]
    asked = [word for path in known for word in ("select none", f"select {path}", "get genre")]
    found = output_of("kid3-cli", *(word for command in asked for word in ("-c", command)))
    assert found.split("\n")[:-1] == [written[path] for path in known]
