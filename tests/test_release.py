"""What is released: the version, and what may be in the wheel and in the sdist."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest

import ostinato

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from build_dist import ALWAYS_IN_WHEEL, sdist_faults, wheel_faults  # noqa: E402
from sbom import audited  # noqa: E402

TRACKED = (*(f"src/{name}" for name in ALWAYS_IN_WHEEL), "tests/test_a.py", "README.md")
INFO = "ostinato-1.0.dist-info/"
GOOD = (*ALWAYS_IN_WHEEL, f"{INFO}RECORD", f"{INFO}licenses/LICENSE")


class TestVersion:
    def test_is_that_of_the_installation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metadata, "version", lambda name: f"{name} 3.1.0.dev12+gabc")
        assert ostinato.__version__ == "ostinato 3.1.0.dev12+gabc"

    def test_is_unknown_where_nothing_is_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> str:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "version", missing)
        assert ostinato.__version__ == "0+unknown"


class TestWheel:
    def test_that_holds_the_tracked_files_has_no_fault(self) -> None:
        assert wheel_faults(GOOD, TRACKED) == []

    @pytest.mark.parametrize(
        "name",
        ["tests/test_a.py", "ostinato/tests/a.py", "ostinato/song.mp3", "ostinato/study.ipynb"],
    )
    def test_holds_no_tests_sound_or_notebooks_though_they_be_tracked(self, name: str) -> None:
        faults = wheel_faults((*GOOD, name), (*TRACKED, f"src/{name}"))
        assert faults == [f"{name}: may not be in a wheel"]

    def test_holds_nothing_that_is_not_tracked(self) -> None:
        faults = wheel_faults((*GOOD, "ostinato/mine.py"), TRACKED)
        assert faults == ["ostinato/mine.py: in the wheel, but not tracked"]

    @pytest.mark.parametrize("name", [*ALWAYS_IN_WHEEL, f"{INFO}licenses/LICENSE"])
    def test_lacks_nothing_that_is_needed(self, name: str) -> None:
        assert wheel_faults([n for n in GOOD if n != name], TRACKED)

    def test_needs_files_that_are_in_this_repository(self) -> None:
        assert all((REPOSITORY / "src" / name).is_file() for name in ALWAYS_IN_WHEEL)


class TestSdist:
    def test_holds_tracked_files_alone(self) -> None:
        assert sdist_faults(("README.md", "PKG-INFO"), TRACKED) == []
        assert sdist_faults(("keys.txt",), TRACKED) == ["keys.txt: in the sdist, but not tracked"]

    def test_holds_no_sound(self) -> None:
        assert sdist_faults(("tests/a.WAV",), ("tests/a.WAV",)) == [
            "tests/a.WAV: sound in the sdist"
        ]


class TestAudit:
    SOUND: ClassVar = {"name": "numpy", "version": "2.0", "vulns": []}

    def test_that_finds_nothing_says_of_how_many(self) -> None:
        assert audited([self.SOUND, self.SOUND]) == "No vulnerability is known of 2 packages."

    def test_that_was_not_answered_does_not_pass(self) -> None:
        with pytest.raises(SystemExit, match=r"does not answer for 1 of 2 packages \(av \.\.\.\)"):
            audited([self.SOUND, {"name": "av", "skip_reason": "not found"}])
        with pytest.raises(SystemExit, match="The audit was not made"):
            audited([])

    def test_that_finds_something_says_what_mends_it(self) -> None:
        fault = {"id": "CVE-1", "fix_versions": ["2.1", "3.0"]}
        with pytest.raises(SystemExit, match=r"numpy 2\.0: CVE-1, mended in 2\.1 or 3\.0"):
            audited([self.SOUND | {"vulns": [fault]}])


def test_an_archive_of_the_checkout_carries_its_tag() -> None:
    """``git archive`` writes the tag into the file that a build without git reads."""
    attributes = (REPOSITORY / ".gitattributes").read_text(encoding="utf-8")
    assert ".git_archival.txt export-subst" in attributes
    archive = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", "--format=tar", "HEAD", ".git_archival.txt"],
        capture_output=True, check=False,
    )  # fmt: skip
    if archive.returncode:
        pytest.skip("not a checkout that git may read")
    assert b"describe-name: " in archive.stdout
    assert b"$Format" not in archive.stdout
