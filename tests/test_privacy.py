"""Nothing reports home: what a verdict opens and writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLASSIFY = """
import numpy as np
from ostinato import Classifier
samples = np.sin(np.arange(22050 * 12) / 20.0)
Classifier.load("default").classify(waveform=samples, sample_rate_hz=22050)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ONNX Runtime's reports of Linux")
def test_a_verdict_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """ONNX Runtime would keep an identifier of the machine there, and reports to be sent."""
    # Where one of these is set, it reports nothing of itself.
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", CLASSIFY], env=kept | home, check=True)
    assert list(tmp_path.iterdir()) == []
