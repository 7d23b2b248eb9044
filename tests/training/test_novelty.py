"""The distance from what was learned: against scikit-learn, and on what was never learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from ostinato.training.novelty import INSIDE, Novelty

B, T, F = 400, 48, 5


def wandering(seed: int, n: int = B) -> Tensor:
    """Windows whose features move slowly, each window around a mean of its own."""
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.normal(size=(n, T, F)), axis=1) * 0.2
    scale = np.exp(random.normal(size=(n, 1, F)) * 0.2)
    return torch.from_numpy((steps * scale + random.normal(size=(n, 1, F))).astype(np.float32))


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    fitted = Novelty(F)
    x = wandering(0)
    fitted.normalise.fit(x.reshape(-1, F))
    fitted.fit([x[:150], x[150:]])
    return fitted.eval()


def test_it_is_the_larger_of_two_distances(novelty: Novelty) -> None:
    """Mahalanobis as scikit-learn has it, and persistence as numpy.corrcoef nearly has it."""

    def parts(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        flat = wandering(0).reshape(-1, F)
        v = ((x - flat.mean(dim=0)) / flat.std(dim=0)).double().numpy()
        moves = np.diff(v, axis=1)
        deviation, change = v.std(axis=1), np.sqrt((moves**2).mean(axis=1))
        columns = [v.mean(axis=1), np.log(deviation), np.log(change)]
        return np.concatenate(columns, axis=1), (1 - change**2 / deviation**2 / 2).mean(axis=1)

    learned, persistence = parts(wandering(0))
    scale = learned.std(axis=0, ddof=1)
    shrunk = LedoitWolf().fit((learned - learned.mean(axis=0)) / scale)

    def mahalanobis(x: np.ndarray) -> np.ndarray:
        return np.sqrt(shrunk.mahalanobis((x - learned.mean(axis=0)) / scale) / x.shape[1])

    reach = np.quantile(mahalanobis(learned), INSIDE)
    least = np.quantile(persistence, 1 - INSIDE)
    x = wandering(1)
    statistics, restless = parts(x)
    wanted = np.maximum(mahalanobis(statistics) / reach, least / np.maximum(restless, 1e-2))
    with torch.no_grad():
        np.testing.assert_allclose(novelty(x).numpy(), wanted, rtol=2e-3)


@torch.no_grad()
def test_training_windows_lie_within_one(novelty: Novelty) -> None:
    share = (novelty(wandering(0)) <= 1).float().mean()
    assert 2 * INSIDE - 1 <= share <= INSIDE + 0.01


@torch.no_grad()
def test_what_was_never_learned_lies_beyond(novelty: Novelty) -> None:
    familiar = novelty(wandering(2)).quantile(0.9)
    x = wandering(3, 20)
    order = torch.randperm(T, generator=torch.Generator().manual_seed(0))
    still = x[:, :1].expand(-1, T, -1) + 1e-4 * torch.randn(20, T, F)
    for strange in (x[:, order], still, x + 8, x * 10):
        assert (novelty(strange) > familiar).float().mean() > 0.9


def test_it_comes_back_from_its_weights(novelty: Novelty) -> None:
    other = Novelty(F)
    other.load_state_dict(novelty.state_dict())
    x = wandering(4, 10)
    with torch.no_grad():
        torch.testing.assert_close(other(x), novelty(x))
