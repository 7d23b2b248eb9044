"""The ear of docs/guide/ears.md: built as the page says, it hears."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile

from ostinato.inference.ear import EarInfo, open_ear
from tests.helpers.sounds import music

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "ears.md"


def test_the_code_runs_as_it_stands(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", music(0, 5.0), 22050)
    make, look = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    exec(make, {})
    exec(look, {})
    assert re.fullmatch(
        r"\(8, 32\) 32 random-ear \(ear [0-9a-f]{12}\), every 500\.0 ms\n", capsys.readouterr().out
    )
    ear = open_ear(Path("random-ear.onnx"))
    a, b = (
        ear.frames(np.random.default_rng(i).normal(size=480_000).astype(np.float32)) for i in (0, 1)
    )
    assert a.shape == b.shape == (58, 32)
    assert np.abs(a - b).max() > 0


def test_the_keys_are_all_named() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.M)
    assert rows == list(EarInfo.__annotations__)
