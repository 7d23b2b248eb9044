"""List what a release brings with it, and ask for advisories about it (`make sbom`).

    python scripts/sbom.py dist/ostinato-*.whl

The wheel is installed with all extras of users at the versions of ``constraints.txt``, without
PyTorch's CUDA where its build for the CPU can be had. The list is CycloneDX, beside the wheel.
pip-audit then asks the package index for advisories. It passes over packages that the index does
not answer for; here that is an error, so that no audit passes that was not made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from smoke import CONSTRAINTS, environment, pip

REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel.resolve()
    with tempfile.TemporaryDirectory(prefix="ostinato-sbom-") as folder:
        inside = environment(folder, sys.executable)
        pip(inside, "install", "--quiet", "-c", str(CONSTRAINTS), f"{wheel}[all]")
        listed = pip(inside, "list", "--format=freeze", "--exclude=pip", "--exclude=ostinato")
        pip(inside, "uninstall", "--quiet", "--yes", "pip")
        bill = wheel.parent / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
        _run("cyclonedx_py", "environment", str(inside), "--of", "JSON", "--output-reproducible",
             "--pyproject", str(REPOSITORY / "pyproject.toml"), "-o", str(bill))  # fmt: skip
        components = json.loads(bill.read_text(encoding="utf-8"))["components"]
        print(f"{bill.name}: {len(components)} components, with their licences")
        print(audited(_advisories(listed, Path(folder))))


def _advisories(listed: str, folder: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each package; a build for one device counts as its release."""
    asked, answered = folder / "asked.txt", folder / "answered.json"
    releases = [line.partition("+")[0] for line in listed.split()]
    asked.write_text("\n".join(releases), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "-r", asked, "--no-deps", "--disable-pip",
         "--progress-spinner", "off", "-f", "json", "-o", answered],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not answered.is_file():
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.exit(f"The audit was not made: the advisories cannot be asked ({why}).")
    found: list[dict[str, Any]] = json.loads(answered.read_text(encoding="utf-8"))["dependencies"]
    return found


def audited(found: list[dict[str, Any]]) -> str:
    """One sentence on an audit in which all was answered, and nothing was found; else exit."""
    unanswered = [each["name"] for each in found if "skip_reason" in each]
    if unanswered or not found:
        sys.exit(
            "The audit was not made: the index was asked for advisories, and does not answer for "
            f"{len(unanswered)} of {len(found)} packages ({', '.join(unanswered[:3])} ...)."
        )
    known = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in "
        f"{' or '.join(fault['fix_versions']) or 'no version yet'}"
        for each in found for fault in each["vulns"]
    ]  # fmt: skip
    if known:
        sys.exit("\n".join(("Known to be vulnerable:", *known)))
    return f"No vulnerability is known of {len(found)} packages."


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
