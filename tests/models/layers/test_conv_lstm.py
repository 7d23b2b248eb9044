"""ConvLSTM layers: their numbers against NumPy, PyTorch and Keras, and what they promise."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is imported

import keras

from ostinato.errors import UsageError
from ostinato.models.layers.conv_lstm import ConvLSTM, ConvLSTM1d, ConvLSTM2d
from tests.models.references import conv_lstm

#: Layer, channels in and out, kernel, padding, space.
CASES = [
    (ConvLSTM1d, 2, 3, 3, "same", (7,)),
    (ConvLSTM1d, 1, 4, 5, "valid", (9,)),
    (ConvLSTM1d, 3, 2, 1, "same", (1,)),
    (ConvLSTM2d, 2, 3, 3, "same", (4, 5)),
    (ConvLSTM2d, 1, 2, (1, 3), "same", (3, 6)),
    (ConvLSTM2d, 3, 2, (3, 5), "valid", (5, 7)),
]


def make(kind: type[ConvLSTM], *args, seed: int = 0, **options) -> ConvLSTM:
    """A layer in float64, its peepholes not at 0 as they begin, but drawn."""
    torch.manual_seed(seed)
    layer = kind(*args, **options).double()
    if layer.peepholes is not None:
        torch.nn.init.normal_(layer.peepholes)
    return layer


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize(("kind", "n_in", "n_out", "kernel", "padding", "space"), CASES)
def test_a_layer_equals_the_papers_equations(
    kind, n_in, n_out, kernel, padding, space, peepholes
) -> None:
    layer = make(kind, n_in, n_out, kernel, padding=padding, peepholes=peepholes, space=space)
    x = torch.randn(2, 4, n_in, *space).double()
    h, c = torch.randn(2, 2, n_out, *layer.state_space(space)).double()
    for state in (None, (h, c)):
        outputs, (last_h, last_c) = layer(x, state)
        weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
        start = [part.numpy() for part in state or ()]
        wanted, wanted_c = conv_lstm(weights, x.numpy(), *start, padding=padding)
        np.testing.assert_allclose(outputs.detach().numpy(), wanted, atol=1e-12)
        np.testing.assert_allclose(last_c.detach().numpy(), wanted_c, atol=1e-12)
        assert torch.equal(last_h, outputs[:, -1])


@pytest.mark.parametrize("kind", [ConvLSTM1d, ConvLSTM2d])
def test_kernels_of_one_on_a_space_of_one_place_are_torchs_lstm(kind) -> None:
    """Matrix products, in outputs, last state and all gradients; PyTorch's gates are i, f, g, o."""
    layer = make(kind, 3, 5, 1)
    reference = torch.nn.LSTM(3, 5, batch_first=True).double()
    with torch.no_grad():
        reference.weight_ih_l0.copy_(layer.from_input.weight.flatten(1))
        reference.weight_hh_l0.copy_(layer.from_hidden.weight.flatten(1))
        reference.bias_ih_l0.copy_(layer.from_input.bias)
        reference.bias_hh_l0.zero_()
    one = (1,) * layer.axes
    x, h, c = (torch.randn(2, n).double() for n in (7 * 3, 5, 5))
    leaves = [part.requires_grad_() for part in (x.view(2, 7, 3), h, c)]
    x, h, c = leaves
    ours, (ours_h, ours_c) = layer(x.view(2, 7, 3, *one), (h.view(2, 5, *one), c.view(2, 5, *one)))
    theirs, (theirs_h, theirs_c) = reference(x, (h[None], c[None]))
    assert torch.allclose(ours.flatten(2), theirs, atol=1e-12)
    assert torch.allclose(ours_c.flatten(1), theirs_c[0], atol=1e-12)
    losses = (
        ours.square().sum() + ours_h.sum() + 3 * ours_c.sum(),
        theirs.square().sum() + theirs_h.sum() + 3 * theirs_c.sum(),
    )
    of_ours = torch.autograd.grad(
        losses[0],
        [*leaves, layer.from_input.weight, layer.from_hidden.weight, layer.from_input.bias],
    )
    of_theirs = torch.autograd.grad(
        losses[1],
        [*leaves, reference.weight_ih_l0, reference.weight_hh_l0, reference.bias_ih_l0],
    )
    for a, b in zip(of_ours, of_theirs, strict=True):
        assert torch.allclose(a.reshape(b.shape), b, atol=1e-11)


#: Keras calls NumPy in a way that NumPy 2 warns of.
keras_talks_to_numpy = pytest.mark.filterwarnings("ignore:__array__ implementation")


def of_keras(space: tuple[int, ...], n_in: int, n_out: int, kernel, padding: str, **options):
    """A Keras layer in float64, built for a space, with a drawn bias."""
    rank = len(space)
    kind = keras.layers.ConvLSTM1D if rank == 1 else keras.layers.ConvLSTM2D
    keras.utils.set_random_seed(rank)
    layer = kind(
        n_out, kernel, padding=padding, return_sequences=True, bias_initializer="normal",
        unit_forget_bias=False, dtype="float64", data_format="channels_last", **options,
    )  # fmt: skip
    layer.build((None, None, *space, n_in))
    return layer


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(2, -1)


@keras_talks_to_numpy
@pytest.mark.parametrize(("kind", "n_in", "n_out", "kernel", "padding", "space"), CASES)
def test_a_layer_with_the_weights_of_keras_gives_its_outputs_and_gradients(
    kind, n_in, n_out, kernel, padding, space
) -> None:
    theirs = of_keras(space, n_in, n_out, kernel, padding)
    ours = kind.from_keras(*theirs.get_weights(), padding=padding)
    x = torch.randn(2, 5, n_in, *space).double().requires_grad_()
    a, b = ours(x)[0], theirs(channels_last(x))
    assert torch.allclose(channels_last(a), b, atol=1e-10)
    weight = torch.randn_like(a)
    (a * weight).sum().backward()
    grad_x, x.grad = x.grad, None
    (b * channels_last(weight)).sum().backward()
    assert torch.allclose(grad_x, x.grad, atol=1e-10)
    kernels = [v.value.grad.movedim((-1, -2), (0, 1)) for v in theirs.trainable_weights[:2]]
    wanted = [*kernels, theirs.trainable_weights[2].value.grad]
    of_ours = (ours.from_input.weight, ours.from_hidden.weight, ours.from_input.bias)
    for parameter, gradient in zip(of_ours, wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-10)


def test_keras_published_case_along_a_line() -> None:
    """Keras's own test of ConvLSTM1D: it holds with a forget bias of 1."""
    x = np.arange(120).reshape(2, 3, 4, 5) / 10
    bias = np.full(8, 0.03)
    bias[2:4] = 1.0
    layer = ConvLSTM1d.from_keras(
        np.full((3, 5, 8), 0.01), np.full((3, 2, 8), 0.02), bias, padding="valid"
    )
    last = layer(torch.from_numpy(x).movedim(-1, 2))[0][:, -1]  # (2, 2, 2)
    wanted = np.array([[[0.40807986], [0.46421072]], [[0.80933154], [0.8233646]]])
    np.testing.assert_allclose(last.movedim(1, -1).detach(), np.repeat(wanted, 2, 2), atol=1e-5)


def test_keras_published_case_over_a_plane_from_a_state() -> None:
    """Keras's own test of its ConvLSTM, from a state that is not zero: the sum over the outputs."""
    x = np.arange(450).reshape(2, 3, 5, 5, 3) / 100
    state = torch.from_numpy(np.arange(200).reshape(2, 5, 5, 4) / 100).movedim(-1, 1)
    bias = np.zeros(16)
    bias[4:8] = 1.0
    layer = ConvLSTM2d.from_keras(np.full((3, 3, 3, 16), 0.01), np.full((3, 3, 4, 16), 0.02), bias)
    outputs, _ = layer(torch.from_numpy(x).movedim(-1, 2), (state, state))
    assert outputs[:, -1].sum().item() == pytest.approx(119.812454, abs=1e-4)


@keras_talks_to_numpy
def test_keras_weights_without_a_bias_have_a_bias_of_zero() -> None:
    theirs = of_keras((6,), 2, 3, 3, "same", use_bias=False)
    ours = ConvLSTM1d.from_keras(*theirs.get_weights())
    x = torch.randn(2, 4, 2, 6).double()
    assert torch.allclose(channels_last(ours(x)[0]), theirs(channels_last(x)), atol=1e-10)


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize(("kind", "space"), [(ConvLSTM1d, (6,)), (ConvLSTM2d, (3, 4))])
def test_a_sequence_in_chunks_that_hand_on_their_state_equals_one_pass(
    kind, space, peepholes
) -> None:
    """In outputs, and in gradients through the state as well."""
    layer = make(kind, 2, 3, 3, peepholes=peepholes, space=space)
    x = torch.randn(2, 9, 2, *space).double()
    weight = torch.randn(2, 9, 3, *space).double()
    whole, (h, c) = layer(x)
    parts, state = [], None
    for chunk in x.split([4, 1, 4], dim=1):
        out, state = layer(chunk, state)
        parts.append(out)
    chunked = torch.cat(parts, dim=1)
    assert torch.allclose(chunked, whole, atol=1e-12)
    assert torch.allclose(state[0], h, atol=1e-12)
    assert torch.allclose(state[1], c, atol=1e-12)
    parameters = list(layer.parameters())
    of_whole = torch.autograd.grad((whole * weight).sum() + c.sum(), parameters)
    of_chunks = torch.autograd.grad((chunked * weight).sum() + state[1].sum(), parameters)
    for a, b in zip(of_whole, of_chunks, strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_forget_gates_begin_open() -> None:
    layer = ConvLSTM2d(1, 4, kernel=3)
    assert torch.equal(layer.from_input.bias[4:8], torch.ones(4))


def test_peepholes_begin_shut() -> None:
    """At 0 a layer with peepholes is the one without, but for the last bit of a sigmoid."""
    torch.manual_seed(0)
    plain = ConvLSTM1d(2, 3, 3)
    torch.manual_seed(0)
    other = ConvLSTM1d(2, 3, 3, peepholes=True, space=(5,))
    x = torch.randn(2, 4, 2, 5)
    assert torch.allclose(plain(x)[0], other(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make_layer", "sentence"),
    [
        (lambda: ConvLSTM1d(1, 2, 4), "Expected an odd kernel, or 1 odd numbers, got 4."),
        (lambda: ConvLSTM2d(1, 2, (3, 2)), r"Expected an odd kernel.*got \(3, 2\)"),
        (lambda: ConvLSTM2d(1, 2, (3,)), r"Expected an odd kernel.*got \(3,\)"),
        (lambda: ConvLSTM1d(1, 2, 3, padding="full"), "padding of same, valid; got 'full'"),
        (lambda: ConvLSTM1d(1, 2, 3, peepholes=True), "space of 1 sizes, .*, got None"),
        (lambda: ConvLSTM2d(1, 2, 3, peepholes=True, space=(3,)), r"2 sizes, .*, got \(3,\)"),
        (
            lambda: ConvLSTM1d(1, 2, 5, padding="valid", peepholes=True, space=(4,)),
            r"no wider than the space \(4,\) where padding is valid, got \(5,\)",
        ),
        (
            lambda: ConvLSTM1d.from_keras(np.zeros((3, 1, 8)), np.zeros((3, 2, 12))),
            "as Keras's ConvLSTM1D has them",
        ),
        (
            lambda: ConvLSTM2d.from_keras(np.zeros((3, 1, 8)), np.zeros((3, 2, 8))),
            "as Keras's ConvLSTM2D has them",
        ),
    ],
)
def test_what_makes_no_layer_is_refused(make_layer, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_layer()


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 4, 3, 5), r"\(batch, step, channel, place\) of 2 channels.*got \(2, 4, 3, 5\)"),
        ((2, 0, 2, 5), "at least one; got"),
        ((2, 4, 2, 5, 5), "of 2 channels"),
        ((2, 4, 2, 6), r"states over \(5,\) places, of which there are peepholes, got \(6,\)"),
    ],
)
def test_an_input_of_a_wrong_shape_is_refused(shape: tuple[int, ...], sentence: str) -> None:
    layer = ConvLSTM1d(2, 3, 3, peepholes=True, space=(5,))
    with pytest.raises(UsageError, match=sentence):
        layer(torch.zeros(shape))


def test_a_kernel_wider_than_a_space_without_borders_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no wider than the space \(3, 2\)"):
        ConvLSTM2d(1, 2, 3, padding="valid")(torch.zeros(1, 1, 1, 3, 2))


def test_a_state_of_a_wrong_shape_is_refused() -> None:
    """A state of another batch size: broadcasting would take it silently."""
    layer = ConvLSTM1d(2, 3, 3)
    good, bad = torch.zeros(2, 3, 5), torch.zeros(1, 3, 5)
    sentence = r"Expected a state of shapes \(2, 3, 5\) and \(2, 3, 5\), got \(2, 3, 5\) and \(1,"
    with pytest.raises(UsageError, match=sentence):
        layer(torch.zeros(2, 4, 2, 5), (good, bad))
