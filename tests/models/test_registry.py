"""Families by name, and what some of them promise beyond what all do (``family_suite.py``)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import models
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.inference.model_info import ModelInfo
from ostinato.models.conv_lstm import ConvLSTMSettings
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.texture import TextureWindows

N_FEATURES, N_GENRES = 20, 10
SPEC = FeatureSpec(n_coefficients=N_FEATURES)


def make(name: str, **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build(
        name,
        spec=SPEC,
        n_genres=N_GENRES,
        settings=models.family(name).settings(**settings),
    )


def test_normalisation_gives_mean_0_and_deviation_1_and_survives_a_constant_feature() -> None:
    frames = torch.randn(1000, 3) * torch.tensor([1.0, 5.0, 0.0]) + 7
    layer = FrameNormalisation(3)
    layer.fit(frames)
    out = layer(frames[None])[0]
    assert torch.allclose(out.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(out.std(0)[:2], torch.ones(2), atol=1e-4)
    assert torch.isfinite(out).all()


def test_texture_windows_are_mean_deviation_and_deviation_of_the_change() -> None:
    layer = TextureWindows(2, length=5).eval()  # fresh statistics: mean 0, variance 1
    x = torch.randn(1, 13, 2)  # two whole windows, three frames left out
    out = layer(x)[0].numpy()
    first = x[0, :5].numpy()
    wanted = np.concatenate(
        [first.mean(0), first.std(0, ddof=1), np.diff(first, axis=0).std(0, ddof=1)]
    )
    assert out.shape == (2, 6)
    np.testing.assert_allclose(out[0], wanted, rtol=1e-3, atol=1e-5)


def test_lstm_and_residual_lstm_differ_in_the_shortcut_alone() -> None:
    """The same names, shapes and initial values of all weights; other outputs."""
    plain, residual = make("lstm"), make("residual-lstm")
    a, b = plain.state_dict(), residual.state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in a)
    x = torch.randn(2, 128, N_FEATURES)
    assert not torch.allclose(plain.eval()(x), residual.eval()(x))


def test_a_residual_lstm_whose_layers_say_nothing_passes_its_input_on() -> None:
    """With all LSTM weights zero, h = 0 and x(l+1) = x(l): depth does not matter."""
    deep, shallow = make("residual-lstm", depth=6), make("residual-lstm", depth=1)
    shared = {k: v for k, v in deep.state_dict().items() if k in shallow.state_dict()}
    shallow.load_state_dict(shared)
    for model in (deep, shallow):
        for parameter in model.stack.layers.parameters():
            torch.nn.init.zeros_(parameter)
    x = torch.randn(2, 128, N_FEATURES)
    assert torch.allclose(deep.eval()(x), shallow.eval()(x), atol=1e-6)


def test_conv_lstm_takes_a_window_shorter_than_a_patch() -> None:
    model = make("conv-lstm", patch=8, texture_frames=4).eval()
    assert model(torch.randn(1, 20, N_FEATURES)).shape == (1, N_GENRES)


@pytest.mark.parametrize("name", ["conv-lstm", "conv-lstm-1d"])
def test_peepholes_are_an_option_that_training_uses(name: str) -> None:
    model = make(name, peepholes=True)
    model(torch.randn(8, 128, N_FEATURES)).square().sum().backward()
    assert all(layer.peepholes.grad.any() for layer in model.layers)


def test_peepholes_refuse_a_window_shorter_than_the_patch_they_were_made_for() -> None:
    model = make("conv-lstm", patch=8, texture_frames=4, peepholes=True).eval()
    with pytest.raises(UsageError, match=r"states over \(8, 20\) places.*got \(5, 20\)"):
        model(torch.randn(1, 20, N_FEATURES))


def test_conv_lstm_1d_takes_frames_or_texture_windows_as_steps() -> None:
    """A texture window of one frame is the frame itself: one channel, and a step a frame."""
    x = torch.randn(2, 36, N_FEATURES)
    frames, texture = make("conv-lstm-1d", texture_frames=1), make("conv-lstm-1d", texture_frames=6)
    assert torch.equal(frames.steps(x), x[:, :, None])
    assert torch.equal(texture.steps(texture.eval().texture(x)).flatten(2), texture.texture(x))
    assert frames.eval()(x).shape == (2, N_GENRES)


@pytest.mark.parametrize("name", ["lstm", "residual-lstm", "residual-lstm-kim"])
def test_lstms_take_frames_or_texture_windows_as_steps(name: str) -> None:
    """A texture window of one frame is the frame itself, so that two frames are enough."""
    x = torch.randn(3, 2, N_FEATURES)
    model = make(name, texture_frames=1)
    assert torch.equal(model.texture(x), x)
    assert model.eval()(x).shape == (3, N_GENRES)


def test_an_unknown_family_and_settings_of_another_one_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lstm, residual-lstm, conv-lstm.*; got 'transformer'"):
        models.family("transformer")
    with pytest.raises(UsageError, match="expected settings of LSTMSettings"):
        models.build("lstm", spec=SPEC, n_genres=10, settings=ConvLSTMSettings())


def info(name: str, **settings: object) -> ModelInfo:
    return ModelInfo(
        family=name,
        settings=settings,
        genres=tuple("abcdefghij"),
        spec=SPEC,
        window_frames=128,
        window_hop=64,
    )


def test_weights_of_another_model_and_damaged_ones_are_refused(tmp_path) -> None:
    models.save(make("lstm"), info("lstm", width=48), tmp_path)
    with pytest.raises(DataError, match="Cannot rebuild the model"):
        models.load(tmp_path)
    models.save(make("lstm"), info("lstm"), tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(DataError, match="Cannot rebuild the model"):
        models.load(tmp_path)
    with pytest.raises(DataError, match="Cannot read the model's metadata"):
        models.load(tmp_path / "nowhere")
