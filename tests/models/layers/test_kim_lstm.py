"""The residual LSTM of Kim et al.: against NumPy and torch.nn.LSTM, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.kim_residual_lstm import KimLSTMClassifier, KimLSTMSettings
from ostinato.models.layers.kim_lstm import KimLSTM
from tests.models.references import kim

B, S = 3, 7

#: Width of the input, the cell and the projection: all alike; the projection narrower than the
#: cell, and as wide as the input or not; wider than the cell.
WIDTHS = [(4, 4, 4), (3, 5, 3), (2, 5, 3), (6, 4, 6)]


def make(*args, seed: int = 0, **options) -> KimLSTM:
    """A layer in float64, its peepholes not at 0 as they begin, but drawn."""
    torch.manual_seed(seed)
    layer = KimLSTM(*args, **options).double()
    for cell in layer.cells:
        for peephole in (cell.to_input_gate, cell.to_forget_gate, cell.to_output_gate):
            if peephole is not None:
                torch.nn.init.normal_(peephole)
    return layer


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize(("n_in", "width", "projection"), WIDTHS)
def test_a_layer_equals_the_papers_equations(n_in, width, projection, peepholes) -> None:
    layer = make(n_in, width, projection, peepholes=peepholes)
    x, h, c = (torch.randn(B, *n).double() for n in ((S, n_in), (projection,), (width,)))
    for state in (None, (h, c)):
        outputs, (last, _) = layer(x, state)
        weights = {name: p.detach().numpy() for name, p in layer.cells[0].named_parameters()}
        wanted = kim(weights, x.numpy(), *(part.numpy() for part in state or ()))
        np.testing.assert_allclose(outputs.detach().numpy(), wanted, atol=1e-12)
        assert torch.equal(last, outputs[:, -1])


def test_the_shortcut_is_learned_where_widths_differ_and_else_the_identity() -> None:
    assert make(4, 5, 4).cells[0].shortcut is None
    assert make(4, 4, shortcut="projection").cells[0].shortcut.weight.shape == (4, 4)
    assert make(4, 4, 3).cells[0].shortcut.weight.shape == (3, 4)
    assert make(4, 5, 2, bidirectional=True).cells[1].shortcut is None
    assert make(4, 5, 4, bidirectional=True).cells[1].shortcut.weight.shape == (4, 4)


def test_with_nothing_projected_the_output_is_the_shortcut_times_the_output_gate() -> None:
    """W_p = 0 and W_h = I leave h = o . x; with gates that see nothing, o = sigmoid(b_o)."""
    layer = make(4, 4, peepholes=False)
    (cell,) = layer.cells
    torch.nn.init.zeros_(cell.project.weight)
    torch.nn.init.zeros_(cell.from_input.weight)
    torch.nn.init.zeros_(cell.from_hidden.weight)
    x = torch.randn(B, S, 4).double()
    assert torch.allclose(layer(x)[0], torch.sigmoid(cell.from_input.bias[-4:]) * x, atol=1e-12)


def test_with_the_cell_passed_on_whole_and_the_shortcut_cut_it_is_torchs_lstm() -> None:
    """W_p = I and W_h = 0 leave h = o . tanh(c): in outputs, states, and all gradients."""
    layer = make(3, 5, peepholes=False, shortcut="projection")
    (cell,) = layer.cells
    reference = torch.nn.LSTM(3, 5, batch_first=True).double()
    pairs = [
        (cell.from_input.weight, reference.weight_ih_l0),
        (cell.from_hidden.weight, reference.weight_hh_l0),
        (cell.from_input.bias, reference.bias_ih_l0),
    ]
    with torch.no_grad():
        cell.project.weight.copy_(torch.eye(5))
        cell.shortcut.weight.zero_()
        reference.bias_hh_l0.zero_()
        for ours, theirs in pairs:
            theirs.copy_(ours)
    x, h, c = (torch.randn(B, *n).double().requires_grad_() for n in ((S, 3), (5,), (5,)))
    a, (a_h, a_c) = layer(x, (h, c))
    b, (b_h, b_c) = reference(x, (h[None], c[None]))
    assert torch.allclose(a, b, atol=1e-12)
    losses = (
        a.square().sum() + a_h.sum() + 3 * a_c.sum(),
        b.square().sum() + b_h.sum() + 3 * b_c.sum(),
    )
    of_ours = torch.autograd.grad(losses[0], [x, h, c, *(p[0] for p in pairs)])
    of_theirs = torch.autograd.grad(losses[1], [x, h, c, *(p[1] for p in pairs)])
    for ours, theirs in zip(of_ours, of_theirs, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize("n_in", [6, 4])
def test_a_layer_that_runs_both_ways_is_two_that_run_one_way(n_in: int) -> None:
    """Where the shortcut is the identity (6 in, 2 x 3 out), each direction passes on its half."""
    both = make(n_in, 5, 3, bidirectional=True)
    x = torch.randn(B, S, n_in).double()
    outputs, (h, c) = both(x)
    for number, steps in enumerate((x, x.flip(1))):
        one = make(n_in, 5, 3, shortcut="projection")
        state = {k.split(".", 2)[2]: v for k, v in both.state_dict().items() if k[6] == str(number)}
        if n_in == 6:
            state["shortcut.weight"] = torch.eye(6)[3 * number : 3 * number + 3]
        one.cells[0].load_state_dict(state)
        wanted, (last_h, last_c) = one(steps)
        side = outputs[..., 3 * number : 3 * number + 3]
        assert torch.allclose(side.flip(1) if number else side, wanted, atol=1e-12)
        assert torch.allclose(h[:, 3 * number : 3 * number + 3], last_h, atol=1e-12)
        assert torch.allclose(c[:, 5 * number : 5 * number + 5], last_c, atol=1e-12)


@pytest.mark.parametrize(("n_in", "width", "projection"), WIDTHS)
def test_a_sequence_in_chunks_that_hand_on_their_state_equals_one_pass(
    n_in, width, projection
) -> None:
    """In outputs, and in gradients through the state as well."""
    layer = make(n_in, width, projection)
    x = torch.randn(B, S, n_in).double()
    weight = torch.randn(B, S, projection).double()
    whole, (_, c) = layer(x)
    parts, state = [], None
    for chunk in x.split([3, 1, 3], dim=1):
        out, state = layer(chunk, state)
        parts.append(out)
    chunked = torch.cat(parts, dim=1)
    assert torch.allclose(chunked, whole, atol=1e-12)
    assert torch.allclose(state[1], c, atol=1e-12)
    parameters = list(layer.parameters())
    of_whole = torch.autograd.grad((whole * weight).sum() + c.sum(), parameters)
    of_chunks = torch.autograd.grad((chunked * weight).sum() + state[1].sum(), parameters)
    for a, b in zip(of_whole, of_chunks, strict=True):
        assert torch.allclose(a, b, atol=1e-11)


def test_a_deep_stack_without_projection_passes_its_input_on_times_the_gates() -> None:
    """Ten layers deep, as in the paper: with W_p = 0 and open gates the input comes out."""
    settings = KimLSTMSettings(depth=10, width=8, projection=8, bidirectional=True)
    model = KimLSTMClassifier(FeatureSpec(n_coefficients=20), 10, settings)
    x = torch.randn(B, S, 8)
    out = x
    for layer in model.layers:
        for cell in layer.cells:
            torch.nn.init.zeros_(cell.project.weight)
            torch.nn.init.constant_(cell.from_input.bias, 20.0)
        out = layer(out)[0]
    assert torch.allclose(out, x, atol=1e-4)


@pytest.mark.parametrize(
    ("make_layer", "sentence"),
    [
        (lambda: KimLSTM(3, 0), "widths of at least 1, got input 3, cell 0, projection 0"),
        (lambda: KimLSTM(3, 4, shortcut="none"), "auto, identity, projection; got 'none'"),
        (lambda: KimLSTM(3, 4, shortcut="identity"), "equal widths, .*, got 3 in and 4 out"),
        (
            lambda: KimLSTM(4, 4, shortcut="identity", bidirectional=True),
            "equal widths, .*, got 4 in and 8 out",
        ),
        (lambda: KimLSTM(3, 4)(torch.zeros(2, 5, 4)), r"of 3 features.*got \(2, 5, 4\)"),
        (lambda: KimLSTM(3, 4)(torch.zeros(2, 0, 3)), r"at least one; got \(2, 0, 3\)"),
        (
            lambda: KimLSTM(3, 4, 2)(torch.zeros(2, 5, 3), (torch.zeros(2, 4), torch.zeros(2, 4))),
            r"shapes \(2, 2\) and \(2, 4\), got \(2, 4\) and \(2, 4\)",
        ),
        (
            lambda: KimLSTM(3, 4, bidirectional=True)(
                torch.zeros(2, 5, 3), (torch.zeros(2, 4), torch.zeros(2, 4))
            ),
            "Expected no state",
        ),
    ],
)
def test_what_cannot_be_is_refused(make_layer, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_layer()
