"""docs/guide/scikit-learn.md: its code runs as it stands, from music to a verdict."""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from ostinato.training import GenreClassifier
from tests.helpers.sounds import RATE_HZ, music

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "scikit-learn.md"


def test_the_code_runs_as_it_stands(tmp_path, monkeypatch, capsys) -> None:
    """Two genres of four artists: low notes, and the same two octaves higher.

    Their logits are in the hundreds, and the model file is written all the same.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    monkeypatch.setattr("ostinato.parallel.cpu_count", lambda: 1)  # processes are slow to start
    for i in range(16):
        genre, artist = ("low", "high")[i % 2], f"artist {i % 8}"
        path = tmp_path / "music" / genre / artist / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, music(i, 12.0 if i % 2 else 3.0), RATE_HZ * (4 if i % 2 else 1))
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S):
        exec(block, names)
    scores, best, accuracy, genre = capsys.readouterr().out.splitlines()
    assert int(scores.split("%")[0]) >= 75
    assert "settings" in best
    assert 0.5 < float(accuracy.split()[0]) <= 1
    assert genre in ("low", "high", "None")
    assert (tmp_path / "mine.onnx").exists()


def test_the_parameters_are_all_named() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", PAGE.read_text("utf-8"), re.M)
    named = {name.strip("`") for row in rows for name in row.split(", ")}
    assert named == set(GenreClassifier().get_params(deep=False))
