"""What a training was made with: the versions that decide its last digits."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from ostinato import __version__

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "lightning")


def versions() -> dict[str, str]:
    """Version of Ostinato, Python and each package of :data:`PACKAGES`, and the machine's kind."""
    found = {"ostinato": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # installed in a way that leaves no record
            found[name] = "unknown"
    return found | {"machine": f"{platform.system()} {platform.machine()}"}
