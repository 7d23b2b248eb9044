"""Batch normalisation inside a recurrence, and the residual ConvLSTM: numbers and promises."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ostinato import models
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.conv_lstm_residual import (
    BNConvLSTM2d,
    ConvLSTMResidualClassifier,
    ConvLSTMResidualSettings,
)
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm
from tests.models.references import batch_norm, conv_lstm

B, K_IN, K, P, F = 4, 2, 3, 2, 5
MOMENTUM = 0.1


class Naive:
    """Equations 6 to 8 of Cooijmans et al. 2016 with convolutions, in NumPy.

    Its running statistics are lists that grow with every step that is trained on.
    """

    def __init__(self, layer: BNConvLSTM2d) -> None:
        self.weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
        self.running: dict[tuple[str, int], list[np.ndarray]] = {}

    def norm(self, name: str, x: np.ndarray, step: int) -> np.ndarray:
        if self.training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            unbiased = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1).var(1, ddof=1)
            old = self.running.get((name, step), [np.zeros_like(mean), np.ones_like(var)])
            self.running[name, step] = [
                (1 - MOMENTUM) * a + MOMENTUM * b
                for a, b in zip(old, (mean, unbiased), strict=True)
            ]
        else:
            last = max(number for other, number in self.running if other == name)
            mean, var = self.running[name, min(step, last)]
        gain = self.weights[f"{name}_norm.weight"]
        return batch_norm({"running_mean": mean, "running_var": var, "weight": gain}, x)

    def __call__(self, x: np.ndarray, *, training: bool) -> np.ndarray:
        self.training = training
        return conv_lstm(self.weights, x, norm=self.norm)[0]


def make(n_steps: int = 6, **options) -> BNConvLSTM2d:
    torch.manual_seed(0)
    return BNConvLSTM2d(K_IN, K, 3, n_steps=n_steps, **options).double()


def steps(n: int, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(B, n, K_IN, P, F).double() * 3 + 1


def test_in_training_a_layer_equals_the_papers_equations_and_keeps_statistics_of_every_step() -> (
    None
):
    layer = make(gain=0.7)
    naive = Naive(layer)
    for seed in range(3):  # the running statistics follow all batches
        x = steps(4, seed)
        np.testing.assert_allclose(
            layer(x)[0].detach().numpy(), naive(x.numpy(), training=True), atol=1e-10
        )
    norms = dict(layer.named_children())
    assert len(naive.running) == 4 + 3 + 4
    for (name, step), (mean, variance) in naive.running.items():
        np.testing.assert_allclose(norms[f"{name}_norm"].means[step].numpy(), mean, atol=1e-10)
        np.testing.assert_allclose(
            norms[f"{name}_norm"].variances[step].numpy(), variance, atol=1e-10
        )


def test_in_evaluation_steps_beyond_the_longest_trained_on_use_its_last_statistics() -> None:
    """Trained on 4 steps, with room for 6, and judged on 9."""
    layer = make(gain=0.7)
    naive = Naive(layer)
    for seed in range(3):
        layer(steps(4, seed))
        naive(steps(4, seed).numpy(), training=True)
    layer.eval()
    for n in (2, 4, 9):
        x = steps(n, seed=9)
        wanted = naive(x.numpy(), training=False)
        np.testing.assert_allclose(layer(x)[0].detach().numpy(), wanted, atol=1e-10)


def test_steps_beyond_the_room_there_is_share_the_last_statistics_in_training() -> None:
    norm = RecurrentBatchNorm(3, 2)
    x = torch.randn(5, 3, 4)
    for step in (0, 1, 2, 3):
        norm(x, step)
    assert norm.batches.tolist() == [1, 3]
    once, thrice = (1 - 0.9**n for n in (1, 3))  # how far they went from 0 to the batch's mean
    assert torch.allclose(norm.means, torch.stack([once * x.mean((0, 2)), thrice * x.mean((0, 2))]))


def test_one_step_is_torchs_batch_norm() -> None:
    """In outputs, gradients and running statistics."""
    torch.manual_seed(0)
    ours, theirs = RecurrentBatchNorm(3, 4, gain=0.3).double(), torch.nn.BatchNorm2d(3).double()
    torch.nn.init.constant_(theirs.weight, 0.3)
    x = torch.randn(5, 3, 2, 4).double().requires_grad_()
    weight = torch.randn_like(x)
    of_ours = torch.autograd.grad((ours(x, 2) * weight).sum(), [x, ours.weight])
    of_theirs = torch.autograd.grad((theirs(x) * weight).sum(), [x, theirs.weight])
    for a, b in zip(of_ours, of_theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    assert torch.allclose(ours.means[2], theirs.running_mean)
    assert torch.allclose(ours.eval()(x, 2), theirs.eval()(x))


def test_an_untrained_norm_leaves_all_but_the_gain_alone() -> None:
    x = torch.randn(5, 3, 4)
    assert torch.allclose(RecurrentBatchNorm(3, 2).eval()(x, 7), 0.1 * x, rtol=1e-4)


def test_averaging_weights_and_buffers_does_not_forget_how_long_the_sequences_were() -> None:
    """An average of whole numbers is cut to one below; the count of batches must not be one."""
    norm = RecurrentBatchNorm(3, 4)
    average = AveragedModel(norm, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    for _ in range(5):
        for step in range(3):
            norm(torch.randn(5, 3), step)
        average.update_parameters(norm)
    assert average.module.eval().slot(9) == 2


@pytest.mark.parametrize("training", [False, True])
def test_a_sequence_in_chunks_that_hand_on_their_state_equals_one_pass(training: bool) -> None:
    """In training too: a step's statistics are the batch's at that step, wherever it is cut."""
    layer = make()
    layer(steps(6))
    layer.train(training)
    x = steps(9, seed=3)
    whole, (h, c) = layer(x)
    parts, state, done = [], None, 0
    for chunk in x.split([2, 1, 6], dim=1):
        out, state = layer(chunk, state, first_step=done)
        done += chunk.shape[1]
        parts.append(out)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-12)
    assert torch.allclose(state[0], h, atol=1e-12)
    assert torch.allclose(state[1], c, atol=1e-12)


def test_gains_begin_at_a_tenth_and_forget_gates_open() -> None:
    layer = make()
    for norm in (layer.input_norm, layer.hidden_norm, layer.cell_norm):
        assert torch.allclose(norm.weight.float(), torch.tensor(0.1))
    assert layer.bias.tolist() == [0] * K + [1] * K + [0] * 2 * K
    assert layer.from_input.bias is None


def test_statistics_travel_with_the_weights() -> None:
    layer = make()
    layer(steps(5))
    other = make()
    other.load_state_dict(deepcopy(layer.state_dict()))
    x = steps(8, seed=5)
    assert torch.equal(layer.eval()(x)[0], other.eval()(x)[0])


def test_layers_that_say_nothing_pass_their_input_on() -> None:
    """With a cell's gain at 0 its h is 0, and only the shortcuts are left: here, the identity."""
    settings = ConvLSTMResidualSettings(channels=(3, 3, 3), shortcut="identity")
    model = ConvLSTMResidualClassifier(FeatureSpec(n_coefficients=20), 10, settings).eval()
    for layer in model.layers:
        torch.nn.init.zeros_(layer.cell_norm.weight)
    x = torch.randn(2, 128, 20)
    patches = model.steps(model.texture(model.normalise(x))).flatten(0, 1)
    pooled = model.final_norm(torch.nn.functional.max_pool2d(patches, (1, 2)))  # (B N, 3, P, F / 2)
    time_first = pooled.view(2, -1, 3, 2, 10).transpose(2, 3).flatten(1, 2).flatten(2)
    assert torch.allclose(model(x), model.head(model.pool(time_first)), atol=1e-6)


def test_the_shortcut_is_a_convolution_where_channels_differ() -> None:
    made = models.build(
        "conv-lstm-residual",
        spec=FeatureSpec(n_coefficients=20),
        n_genres=10,
        settings=ConvLSTMResidualSettings(channels=(3, 8, 8)),
    )
    kinds = [type(shortcut).__name__ for shortcut in made.shortcuts]
    assert kinds == ["Identity", "Conv2d", "Identity"]


@pytest.mark.parametrize(
    ("make_it", "sentence"),
    [
        (lambda: RecurrentBatchNorm(3, 0), "at least 1 step, got 0"),
        (
            lambda: RecurrentBatchNorm(3, 1)(torch.zeros(1, 3), 0),
            r"more than one value a channel to normalise in training, got .* \(1, 3\)",
        ),
        (lambda: make()(torch.zeros(B, 2, K_IN + 1, P, F).double()), "of 2 channels"),
        (
            lambda: make()(steps(2), (torch.zeros(B, K, P, F + 1),) * 2, first_step=1),
            r"Expected a state of shapes \(4, 3, 2, 5\)",
        ),
        (
            lambda: make()(steps(2), (torch.zeros(B, K, P, F),) * 2),
            "number of steps before it, got a state and first_step 0",
        ),
        (lambda: make()(steps(2), first_step=2), "got no state and first_step 2"),
    ],
)
def test_what_cannot_be_is_refused(make_it, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_it()
