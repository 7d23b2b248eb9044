"""The three models: their numbers against independent implementations, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import models
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from ostinato.modelfile import ModelInfo
from ostinato.models.conv_lstm import ConvLSTM2d, ConvLSTMSettings
from ostinato.models.layers import FrameNormalisation, TextureWindows
from ostinato.models.lstm import LSTMSettings

N_FEATURES, N_GENRES = 20, 10
NAMES = tuple(models.FAMILIES)


def make(name: str, **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build(
        name,
        n_features=N_FEATURES,
        n_genres=N_GENRES,
        settings=models.family(name).settings(**settings),
    )


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_there_are_families_to_test() -> None:
    assert NAMES == ("lstm", "residual-lstm", "conv-lstm")


@pytest.mark.parametrize("name", NAMES)
def test_every_family_maps_frames_to_logits(name: str) -> None:
    model = make(name).eval()
    assert model(torch.randn(3, 128, N_FEATURES)).shape == (3, N_GENRES)


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_does_not_depend_on_the_other_windows_of_the_batch(name: str) -> None:
    """In evaluation mode every window is judged alone."""
    model = make(name).eval()
    x = torch.randn(4, 128, N_FEATURES)
    together = model(x)
    alone = torch.cat([model(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_takes_part_in_training(name: str) -> None:
    model = make(name)
    model(torch.randn(8, 128, N_FEATURES)).square().sum().backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", NAMES)
def test_scale_and_offset_of_a_feature_are_taken_away_by_the_first_layer(name: str) -> None:
    """Normalisation is inside the model: fitted on other units, it gives the same logits."""
    x = torch.randn(6, 128, N_FEATURES)
    scale, offset = torch.rand(N_FEATURES) * 9 + 1, torch.randn(N_FEATURES) * 50
    plain, other = make(name).eval(), make(name).eval()
    plain.normalise.fit(x.flatten(0, 1))
    other.normalise.fit((x * scale + offset).flatten(0, 1))
    assert torch.allclose(plain(x), other(x * scale + offset), atol=1e-3)


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
        for parameter in model.layers.parameters():
            torch.nn.init.zeros_(parameter)
    x = torch.randn(2, 128, N_FEATURES)
    assert torch.allclose(deep.eval()(x), shallow.eval()(x), atol=1e-6)


def test_conv_lstm_has_as_many_parameters_as_the_lstm_within_a_tenth() -> None:
    """At the study's own number of coefficients."""
    n_features = FeatureSpec().n_features
    counts = [
        models.count_parameters(
            models.build(
                name, n_features=n_features, n_genres=10, settings=models.family(name).settings()
            )
        )
        for name in NAMES
    ]
    assert counts[0] == counts[1]
    assert abs(counts[2] - counts[0]) <= 0.1 * counts[0]


def test_conv_lstm_on_one_cell_is_torchs_lstm() -> None:
    """1x1 kernels on a 1x1 space: matrix products. PyTorch's gate order is i, f, g, o."""
    torch.manual_seed(1)
    layer = ConvLSTM2d(3, 5, kernel=1)
    reference = torch.nn.LSTM(3, 5, batch_first=True)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(layer.from_input.weight[:, :, 0, 0])
        reference.weight_hh_l0.copy_(layer.from_hidden.weight[:, :, 0, 0])
        reference.bias_ih_l0.copy_(layer.from_input.bias)
        reference.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 3, requires_grad=True)
    ours = layer(x[..., None, None])[..., 0, 0]
    theirs = reference(x)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)
    (grad_ours,) = torch.autograd.grad(ours.square().sum(), x)
    (grad_theirs,) = torch.autograd.grad(theirs.square().sum(), x)
    assert torch.allclose(grad_ours, grad_theirs, atol=1e-5)


def test_conv_lstm_equals_a_cell_written_with_loops() -> None:
    """Equations (3) of Shi et al. 2015 without peepholes, in NumPy."""
    torch.manual_seed(2)
    K_in, K, N, P, F = 2, 3, 4, 3, 5
    layer = ConvLSTM2d(K_in, K, kernel=3)
    x = torch.randn(1, N, K_in, P, F)
    w = layer.from_input.weight.detach().double().numpy()
    u = layer.from_hidden.weight.detach().double().numpy()
    b = layer.from_input.bias.detach().double().numpy()

    def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        out = np.zeros((kernel.shape[0], P, F))
        for k, p, f in np.ndindex(out.shape):
            out[k, p, f] = (kernel[k] * padded[:, p : p + 3, f : f + 3]).sum()
        return out

    h = c = np.zeros((K, P, F))
    for t in range(N):
        gates = convolve(x[0, t].double().numpy(), w) + convolve(h, u) + b[:, None, None]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(layer(x)[0, -1].detach().numpy(), h, atol=1e-5)


def test_conv_lstm_forget_gates_begin_open() -> None:
    layer = ConvLSTM2d(1, 4, kernel=3)
    assert torch.equal(layer.from_input.bias[4:8], torch.ones(4))


def test_conv_lstm_takes_a_window_shorter_than_a_patch() -> None:
    model = make("conv-lstm", patch=8, texture_frames=4).eval()
    assert model(torch.randn(1, 20, N_FEATURES)).shape == (1, N_GENRES)


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("lstm", {"width": 33}, "even width"),
        ("lstm", {"depth": 0}, "depth"),
        ("lstm", {"dropout": 1.0}, "dropout"),
        ("lstm", {"texture_frames": 2}, "at least 3 frames"),
        ("conv-lstm", {"kernel": 4}, "odd kernel"),
        ("conv-lstm", {"channels": ()}, "at least one layer"),
        ("conv-lstm", {"patch": 0}, "patches"),
        ("conv-lstm", {"channel_dropout": -0.1}, "channel_dropout"),
    ],
)
def test_settings_that_make_no_model_are_refused(
    name: str, settings: dict[str, object], word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        make(name, **settings)


def test_an_unknown_family_and_settings_of_another_one_are_refused() -> None:
    with pytest.raises(UsageError, match="lstm, residual-lstm, conv-lstm; got 'transformer'"):
        models.family("transformer")
    with pytest.raises(UsageError, match="expected settings of LSTMSettings"):
        models.build("lstm", n_features=20, n_genres=10, settings=ConvLSTMSettings())


def info(name: str, **settings: object) -> ModelInfo:
    return ModelInfo(
        family=name,
        settings=settings,
        genres=tuple("abcdefghij"),
        spec=FeatureSpec(n_coefficients=N_FEATURES),
        window_frames=128,
        window_hop=64,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_rebuilds_itself(name: str, tmp_path) -> None:
    model = make(name, dropout=0.1)
    model.normalise.fit(torch.randn(100, N_FEATURES) * 3 + 1)
    models.save(model, info(name, dropout=0.1), tmp_path)
    loaded, found = models.load(tmp_path)
    x = torch.randn(2, 128, N_FEATURES)
    assert torch.equal(loaded(x), model.eval()(x))
    assert found == info(name, dropout=0.1)


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


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        LSTMSettings().width = 3  # type: ignore[misc]
