"""Finishing: temperature and threshold from held-out verdicts, novelty from held-out tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ostinato import models, training
from ostinato.datasets.splits import Fold
from ostinato.errors import DataError
from ostinato.evaluation import calibration
from ostinato.inference.registry import load_graph
from ostinato.models.export import model_file
from ostinato.training.finish import Confidence, FinishedModel, finish, fit_confidence, write
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
FOLDS = (
    Fold(train=CORPUS.ids[::2], valid=CORPUS.ids[1::2]),
    Fold(train=CORPUS.ids[1::2], valid=CORPUS.ids[::2]),
)
BELIEVED = Confidence(temperature=0.8, threshold=0.6, precision=0.9)


def verdicts(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities: the surer a verdict, the more often it is right."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5, 0.5, 0.5], size=n)
    labels = np.array([random.choice(3, p=p) for p in probabilities])
    return labels, probabilities


@pytest.fixture(scope="module")
def trained() -> training.TrainedModel:
    settings = models.parse_settings("lstm", {"width": 4, "depth": 1, "texture_frames": 4})
    return training.train(CORPUS, FOLDS[0], "lstm", settings=settings, training=QUICK)


def finished(trained: training.TrainedModel, **changes) -> FinishedModel:
    given = {"train": FOLDS[0].train, "held_out": FOLDS, "confidence": BELIEVED} | changes
    return finish(trained.model, trained.info, CORPUS, **given)


def test_temperature_and_threshold_are_those_of_the_verdicts() -> None:
    labels, probabilities = verdicts()
    found = fit_confidence(labels, probabilities, precision=0.7)
    assert found.temperature == calibration.fit_temperature(labels, probabilities)
    assert found.threshold is not None
    assert found.precision == 0.7


def test_a_precision_that_no_threshold_reaches_leaves_none() -> None:
    labels, probabilities = verdicts(8)
    found = fit_confidence((labels + 1) % 3, probabilities, precision=0.99)
    assert (found.threshold, found.precision) == (None, None)


def test_the_novelty_threshold_holds_nearly_all_held_out_tracks(trained) -> None:
    found = finished(trained)
    assert len(found.distances) == len(CORPUS)  # every track is held out once
    assert found.info.novelty_threshold is not None
    assert (found.distances > found.info.novelty_threshold).sum() == 1  # the farthest of thirty
    assert found.info.novelty_threshold > np.sort(found.distances)[-2:].mean()
    assert (found.info.temperature, found.info.threshold) == (0.8, 0.6)
    assert found.info.provenance["parameters"] == models.count_parameters(trained.model)


def test_the_file_holds_the_finished_model(trained, tmp_path: Path) -> None:
    """Also where the novelty is measured on shorter windows than the model's own."""
    for name, window in (("same.onnx", None), ("shorter.onnx", (12, 6))):
        found = finished(trained, novelty_window=window)
        assert write(found, tmp_path / name) <= 1e-4
        assert load_graph(tmp_path / name).info == found.info


class Summed(models.GenreModel):
    """Logits that PyTorch itself gives to 1e-3 only: differences of large numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        big = 1e4 * torch.arange(1, 4, dtype=x.dtype)
        return (x.mean(dim=(1, 2))[:, None] + big) - big


@pytest.mark.parametrize(("error", "is_written"), [(1e-3, True), (0.1, False)])
def test_a_graph_may_differ_by_rounding_and_no_more(
    trained, tmp_path: Path, monkeypatch, error: float, is_written: bool
) -> None:
    windows = torch.randn(64, 24, 4, generator=torch.Generator().manual_seed(0))
    exact = windows.double().mean(dim=(1, 2)).numpy()[:, None]

    class Graph:
        def run(self, windows: np.ndarray) -> tuple[np.ndarray, None]:
            return np.repeat(exact, 3, axis=1) + error, None

    monkeypatch.setattr(model_file, "listening_graph", lambda *_: b"graph")
    monkeypatch.setattr(model_file, "read_graph", lambda *_, **__: Graph())
    path = tmp_path / "summed.onnx"
    if is_written:
        assert (
            model_file.write_listening(Summed(), None, trained.info, path, windows=windows) > 1e-4
        )
    else:
        with pytest.raises(DataError, match=r"within .*, got a difference of 0\.1"):
            model_file.write_listening(Summed(), None, trained.info, path, windows=windows)
    assert path.exists() == is_written
