"""Pictures of docs/understand: what they show is computed, and they are what the script draws."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ostinato import Classifier
from ostinato.features import frames
from ostinato.plotting import DPI, style
from tests.helpers.code_of_pages import ran

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import pictures  # noqa: E402

PAGES = REPOSITORY / "docs" / "understand"


def small(image: Image.Image) -> np.ndarray:
    """Mean colours of blocks of 16 pixels: what remains where letters are drawn otherwise."""
    size = (image.width // 16, image.height // 16)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), float)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_what_the_script_draws(name: str) -> None:
    raw = io.BytesIO()
    with style("pictures"):
        pictures.PICTURES[name]().savefig(raw, dpi=DPI)
    kept, new = small(Image.open(pictures.FOLDER / f"{name}.png")), small(Image.open(raw))
    assert kept.shape == new.shape
    assert np.abs(kept - new).max() < 48, "make pictures draws it anew"


def test_those_that_are_named_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pictures.main(["sight", "--to", str(tmp_path / "new")]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sight.png"]
    assert capsys.readouterr().out.endswith("sight.png\n")


def test_every_picture_is_shown_with_words_for_who_cannot_see_it_and_is_small() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES.glob("*.md"))
    shown = re.findall(r"!\[([^\]]*)\]\(figures/(\w+)\.png\)", text)
    assert sorted(name for _, name in shown) == sorted(pictures.PICTURES)
    assert min(len(words) for words, _ in shown) > 40
    kept = list(pictures.FOLDER.iterdir())
    assert {path.stem for path in kept} == set(pictures.PICTURES)
    assert max(path.stat().st_size for path in kept) < 100_000


def test_the_gates_shown_are_those_of_the_network_that_ships() -> None:
    """The layer's outputs, computed from these gates, are what ONNX Runtime gives."""
    gates, own = pictures.opened(frames(pictures.sound(), pictures.SPEC))
    assert gates.forget.shape == own.shape == (2, 8, 16)
    np.testing.assert_allclose(gates.hidden, own, atol=1e-6)
    np.testing.assert_allclose(gates.hidden, gates.output * np.tanh(gates.cell))
    assert np.abs(own).max() > 0.5


def test_the_verdicts_are_those_that_the_page_tells() -> None:
    classifier, sound = Classifier.load(pictures.MODEL), pictures.sound()
    half = sound.size // 2
    heard = [
        classifier.classify(waveform=part, sample_rate_hz=pictures.SPEC.sample_rate_hz)
        for part in (sound[:half], sound[half:], sound)
    ]
    assert [verdict.genre for verdict in heard] == ["reggae", None, None]
    assert heard[1].guess == "classical"
    assert f"{sound.size // 1000},000 numbers" in (PAGES / "from-sound-to-verdict.md").read_text(
        "utf-8"
    )


def test_a_cone_is_all_that_a_convlstm_depends_on() -> None:
    """A kernel of three widens it by a place on each side with each step back."""
    seen = pictures.sight(places=20, steps=4)
    widths = (seen["ConvLSTM"] > 0).sum(axis=1).tolist()
    assert widths == [9, 7, 5, 3]
    assert (seen["LSTM"] > 0).all()


def test_gradients_are_lost_where_the_page_says_so() -> None:
    time, depth = pictures.reach_in_time(seeds=2), pictures.reach_in_depth(seeds=2)
    left = {name: norms[-1] for name, norms in time.items()}
    assert left["plain recurrence"] < left["LSTM as it begins"] < 1e-9
    assert left["LSTM, forget gates open"] > 0.05
    assert depth["bare LSTM"][0] < 1e-4
    assert 0.5 < depth["ResLSTM (and a shortcut)"][0] < 2


def test_the_example_of_intervals_prints_what_the_page_says() -> None:
    text = (PAGES / "intervals.md").read_text("utf-8")
    said = re.search(r"```python\n.*?```\n\n```\n(.*?)```", text, re.S)
    assert said
    assert ran(text)[1] == said[1]


def test_an_unknown_picture_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        pictures.main(["sunset"])
    assert "expected waveform, mel" in capsys.readouterr().err
