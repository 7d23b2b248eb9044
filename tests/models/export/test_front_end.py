"""The front end as a graph, against the one of NumPy that models were trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

from ostinato import Classifier
from ostinato.features import FeatureSpec, cut, frames
from ostinato.inference.model_info import ModelInfo
from ostinato.models.export.front_end import FrontEnd, frames_of_excerpt, front_end_graph
from tests.helpers.code_of_pages import ran
from tests.helpers.graphs import INFO
from tests.helpers.sounds import RATE_HZ, tune

DOCS = Path(__file__).parents[3] / "docs"

SMALL: dict[str, Any] = {"excerpt_seconds": 1.5, "n_mels": 32, "n_coefficients": 10}


def info(**settings: Any) -> ModelInfo:
    return replace(INFO, spec=FeatureSpec(**(SMALL | settings)), window_frames=8, window_hop=5)


def sounds(spec: FeatureSpec) -> np.ndarray:
    """Noise, notes, and a sound of which half is silent."""
    random = np.random.default_rng(0)
    t = np.arange(spec.excerpt_samples) / spec.sample_rate_hz
    noise = random.normal(size=t.size) * 0.1
    notes = np.sin(2 * np.pi * 300 * t * (1 + np.floor(4 * t) / 7))
    made = np.stack([noise, notes, notes * (t > 0.7) + 1e-3 * noise])
    return made.astype(np.float32)


def by_numpy(of: ModelInfo, batch: np.ndarray) -> np.ndarray:
    window = {"length": of.window_frames, "hop": of.window_hop}
    return np.concatenate([cut(frames(y, of.spec), **window) for y in batch])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kind": "log-mel"},
        {"kind": "log-mel-from-mfcc"},
        {"scaling": "none"},
        {"scaling": "log-compress", "kind": "log-mel"},
        {"center": True, "hop_samples": 512},
        {"mel_scale": "htk", "mel_norm": "none", "fmax_hz": 8000.0, "top_db": 40.0},
        {"excerpt_seconds": 0.6},  # fewer frames than a window: it is repeated
    ],
    ids=str,
)
def test_frames_are_those_of_numpy(settings: dict[str, Any]) -> None:
    of = info(**settings)
    batch = sounds(of.spec)
    assert frames_of_excerpt(of) == len(frames(batch[0], of.spec))
    with torch.no_grad():
        got = FrontEnd(of)(torch.from_numpy(batch)).numpy()
    wanted = by_numpy(of, batch)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=2e-3 * max(1, np.abs(wanted).max()))


def test_the_graph_is_the_module() -> None:
    of = info()
    graph = front_end_graph(of)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    batch = sounds(of.spec)
    for some in (batch, batch[:1]):  # the batch is free
        (got,) = session.run(None, {"waveform": some})
        np.testing.assert_allclose(got, by_numpy(of, some), atol=5e-3)


def test_silence_gives_numbers() -> None:
    """A program that hands over silence gets a distance, not NaN."""
    of = info()
    with torch.no_grad():
        assert torch.isfinite(FrontEnd(of)(torch.zeros(1, of.spec.excerpt_samples))).all()


def test_the_page_on_export_says_what_a_classifier_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a smaller model than the page's: its graph is made in a fifth of the time."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", sound := tune(1, 0, seconds=40.0), RATE_HZ, subtype="PCM_16")
    page = (DOCS / "guide" / "export.md").read_text("utf-8")
    made, printed = ran(page.replace('model_path("default")', 'model_path("lstm")'))
    first = (sound.size - 30 * RATE_HZ) // 2
    heard = soundfile.read("song.wav", dtype="float32")[0][first : first + 30 * RATE_HZ]
    verdict = Classifier.load("lstm").classify(waveform=heard, sample_rate_hz=RATE_HZ)
    said = dict(zip(made["about"]["genres"], made["probabilities"][0].tolist(), strict=True))
    assert said == pytest.approx(dict(verdict.ranked), abs=1e-3)
    assert printed == f"{verdict.genre or '?'} {verdict.probability:.0%}\n"
