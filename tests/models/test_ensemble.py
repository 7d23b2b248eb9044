"""Means of models and of pieces say what the same averages say that are taken outside."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from ostinato import models
from ostinato.evaluation import pool_windows
from ostinato.features import FeatureSpec, cut
from ostinato.models.ensemble import MeanDistanceOfPieces, MeanOfModels, MeanOfPieces
from ostinato.models.export.graph import to_onnx
from ostinato.training.novelty import Novelty

SPEC = FeatureSpec(n_coefficients=8)


def small(seed: int) -> models.GenreModel:
    torch.manual_seed(seed)
    kind = models.family("lstm").settings
    settings = kind(width=8, depth=1, texture_frames=4)
    return models.build("lstm", spec=SPEC, n_genres=3, settings=settings).eval()


@torch.no_grad()
def test_the_mean_of_models_is_that_of_their_probabilities() -> None:
    members = [small(0), small(1)]
    x = torch.randn(5, 24, 8)
    wanted = sum(member(x).softmax(dim=1) for member in members) / 2
    torch.testing.assert_close(MeanOfModels(members)(x).softmax(dim=1), wanted)


@torch.no_grad()
@pytest.mark.parametrize("n_frames", [24, 50, 60])
def test_a_window_in_pieces_gets_the_verdict_of_a_track(n_frames: int) -> None:
    """Its pieces lie where a track's windows would, the last one at its end."""
    model, frames = small(0), torch.randn(n_frames, 8)
    windows = cut(frames.numpy(), length=24, hop=12)
    wanted = pool_windows(model(torch.from_numpy(windows)).numpy(), np.array([len(windows)]))
    whole = MeanOfPieces(model, window_frames=n_frames, length=24, hop=12)
    np.testing.assert_allclose(whole(frames[None]).softmax(dim=1).numpy(), wanted, atol=1e-6)


@torch.no_grad()
def test_the_distance_of_pieces_is_their_mean() -> None:
    novelty = Novelty(8)
    x = torch.randn(40, 24, 8)
    novelty.normalise.fit(x.flatten(0, 1))
    novelty.fit([x])
    whole = MeanDistanceOfPieces(novelty, window_frames=36, length=24, hop=12)
    longer = torch.randn(2, 36, 8)
    wanted = (novelty(longer[:, :24]) + novelty(longer[:, 12:])) / 2
    torch.testing.assert_close(whole(longer), wanted)


@torch.no_grad()
def test_both_become_an_onnx_graph() -> None:
    model = MeanOfPieces(
        MeanOfModels([small(0), small(1)]).eval(), window_frames=50, length=24, hop=12
    ).eval()
    graph = to_onnx(model, window_frames=50).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    x = torch.randn(3, 50, 8)
    (got,) = session.run(["logits"], {"frames": x.numpy()})
    np.testing.assert_allclose(got, model(x).numpy(), atol=1e-4)
