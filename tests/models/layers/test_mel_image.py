"""Models that see mel bands: the image, the convolutions' sizes, and the baseline's statistics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.fft import idct
from scipy.signal import periodogram

from ostinato import models
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.baseline import BaselineClassifier, BaselineSettings
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.window_statistics import modulation_edges

SPEC = FeatureSpec(n_coefficients=20)


def normalised(spec: FeatureSpec, x: torch.Tensor) -> FrameNormalisation:
    layer = FrameNormalisation(spec.n_features)
    layer.fit(x.flatten(0, 1))
    return layer


def test_the_image_of_mfcc_is_their_inverse_dct_averaged_in_groups() -> None:
    x = torch.randn(2, 30, 20) * torch.linspace(9, 1, 20) + 4
    layer = normalised(SPEC, x)
    out = MelImage(SPEC, 32)(layer(x), layer).numpy()
    centred = (x - x.flatten(0, 1).mean(dim=0)).numpy()
    bands = idct(np.pad(centred, ((0, 0), (0, 0), (0, 108))), norm="ortho", axis=2)
    np.testing.assert_allclose(out, bands.reshape(2, 30, 32, 4).mean(axis=3), atol=1e-4)


def test_the_image_of_mel_bands_is_those_bands_less_their_means() -> None:
    spec = FeatureSpec(kind="log-mel", n_mels=64)
    x = torch.randn(2, 30, 64) + torch.arange(64.0)
    layer = normalised(spec, x)
    out = MelImage(spec, 64)(layer(x), layer)
    assert torch.allclose(out, x - x.flatten(0, 1).mean(dim=0), atol=1e-4)


def test_the_image_follows_from_the_spec_and_is_not_saved_with_the_weights() -> None:
    assert MelImage(SPEC, 32).state_dict() == {}


@pytest.mark.parametrize("name", ["cnn", "crnn"])
def test_a_window_of_one_step_is_enough_and_a_shorter_one_is_refused(name: str) -> None:
    model = models.build(
        name, spec=SPEC, n_genres=4, settings=models.family(name).settings()
    ).eval()
    shortest = model.front.shortest
    assert model.front(torch.randn(1, shortest, 64)).shape[1] == 1
    assert model(torch.randn(1, shortest, 20)).shape == (1, 4)
    with pytest.raises(UsageError, match=f"at least {shortest} frames.*got {shortest - 1}"):
        model(torch.randn(1, shortest - 1, 20))


@pytest.mark.parametrize(("n_frames", "n_bands"), [(128, 12), (144, 12), (25, 12), (387, 16)])
def test_modulation_bands_share_no_bin_and_leave_none_out(n_frames: int, n_bands: int) -> None:
    edges = modulation_edges(n_frames, n_bands)
    assert (np.diff(edges) > 0).all()
    assert len(edges) == n_bands + 1
    assert (edges[0], edges[-1]) == (1, n_frames // 2 + 1)


def test_a_window_too_short_for_the_modulation_bands_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 24 frames, for 12 modulation bands, got 20"):
        modulation_edges(20, 12)


def test_statistics_of_the_baseline_are_those_of_numpy_and_scipy() -> None:
    settings = BaselineSettings(bands=8, modulation_bands=5)
    model = BaselineClassifier(SPEC, 4, settings).eval()
    x = torch.randn(3, 60, 20) * 2 + 1
    model.normalise.fit(x.flatten(0, 1))
    z = model.normalise(x).numpy().astype(np.float64)
    bands = model.window.image(model.normalise(x), model.normalise).numpy().astype(np.float64)
    taper = np.hanning(60)
    moving = (bands - bands.mean(axis=1, keepdims=True)) * taper[:, None]
    _, density = periodogram(moving, axis=1, detrend=False, window="boxcar")
    power = density * 60  # one-sided: all but the first and the last bin count twice
    power[:, 1:-1] /= 2
    edges = modulation_edges(60, 5)
    of_bands = [power[:, a:b].mean(axis=1) for a, b in itertools.pairwise(edges)]
    wanted = np.concatenate(
        [
            z.mean(axis=1),
            np.log(z.std(axis=1, ddof=1)),
            np.log(np.diff(z, axis=1).std(axis=1, ddof=1)),
            np.log(np.concatenate(of_bands, axis=1) + 1e-4),
        ],
        axis=1,
    )
    np.testing.assert_allclose(model.statistics(x).numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_the_baseline_survives_frames_that_never_change() -> None:
    model = BaselineClassifier(SPEC, 4, BaselineSettings()).eval()
    assert torch.isfinite(model.statistics(torch.zeros(1, 60, 20))).all()
