"""The LSTM stack: against one torch.nn.LSTM of all layers, and carrying its state."""

from __future__ import annotations

import pytest
import torch

from ostinato import models
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.lstm import LSTMSettings, LSTMStack

B, S, H = 3, 9, 6


@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_norms_and_shortcuts_a_stack_is_torchs_lstm_of_as_many_layers(
    bidirectional: bool,
) -> None:
    """In outputs, last states, and gradients of all weights."""
    torch.manual_seed(0)
    stack = LSTMStack(H, 3, bidirectional=bidirectional, layer_norm=False).double()
    size = H // 2 if bidirectional else H
    whole = torch.nn.LSTM(H, size, 3, batch_first=True, bidirectional=bidirectional).double()
    ours = [dict(layer.named_parameters()) for layer in stack.layers]
    pairs = []
    for name, parameter in whole.named_parameters():  # weight_ih_l2_reverse, say
        number = name.split("_l")[1].split("_")[0]
        pairs.append((parameter, ours[int(number)][name.replace(f"_l{number}", "_l0")]))
    with torch.no_grad():
        for theirs, own in pairs:
            theirs.copy_(own)
    x = torch.randn(B, S, H).double()
    (a, ends), (b, (h, c)) = stack(x), whole(x)
    assert torch.allclose(a, b, atol=1e-12)
    assert torch.allclose(torch.cat([end[0] for end in ends]), h, atol=1e-12)
    assert torch.allclose(torch.cat([end[1] for end in ends]), c, atol=1e-12)
    a.square().sum().backward()
    b.square().sum().backward()
    assert pairs
    for theirs, own in pairs:
        assert torch.allclose(theirs.grad, own.grad, atol=1e-10)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_sequence_in_chunks_that_hand_on_their_state_equals_one_pass(
    residual: bool, layer_norm: bool
) -> None:
    """Layer normalisation looks at one step at a time, so it does not hinder."""
    torch.manual_seed(1)
    stack = LSTMStack(H, 3, residual=residual, layer_norm=layer_norm).double()
    x = torch.randn(B, S, H).double()
    whole, ends = stack(x)
    parts, state = [], None
    for chunk in x.split([2, 1, 6], dim=1):
        out, state = stack(chunk, state)
        parts.append(out)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-12)
    for a, b in zip(state, ends, strict=True):
        assert torch.allclose(a[0], b[0], atol=1e-12)
        assert torch.allclose(a[1], b[1], atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "residual-lstm"])
def test_without_layer_norm_nothing_is_normalised_but_the_rest_begins_alike(name: str) -> None:
    made = []
    for layer_norm in (True, False):
        torch.manual_seed(0)
        settings = LSTMSettings(layer_norm=layer_norm)
        made.append(
            models.build(name, spec=FeatureSpec(n_coefficients=20), n_genres=10, settings=settings)
        )
    with_norm, without = made
    rest = {k: v for k, v in with_norm.state_dict().items() if "norm" not in k or "normalise" in k}
    found = without.state_dict()
    assert list(rest) == list(found)
    assert all(torch.equal(rest[k], found[k]) for k in rest)
    assert not any(isinstance(m, torch.nn.LayerNorm) for m in without.modules())


def test_a_state_that_does_not_fit_is_refused() -> None:
    x = torch.zeros(B, S, H)
    state = [(torch.zeros(1, B, H), torch.zeros(1, B, H))] * 2
    with pytest.raises(
        UsageError, match=r"both ways need the whole sequence at once, got one of 2"
    ):
        LSTMStack(H, 2, bidirectional=True)(x, state)
    with pytest.raises(UsageError, match="state of 3 layers, got one of 2"):
        LSTMStack(H, 3)(x, state)
    with pytest.raises(UsageError, match=r"shapes \(1, 2, 6\) and \(1, 2, 6\), got \(1, 3, 6\)"):
        LSTMStack(H, 2)(x[:2], state)
