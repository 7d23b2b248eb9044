"""The fast pass of a ConvLSTM layer is its steps, one after the other: in numbers and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ostinato.models.layers import conv_lstm_gradient as _conv_lstm_fast
from ostinato.models.layers.conv_lstm import ConvLSTM
from tests.helpers.conv_lstms import CASES

GIVEN = ["without", "with"]  # a state to begin with


def make(kind: type[ConvLSTM], n_in, n_out, kernel, padding, space, *, peepholes) -> ConvLSTM:
    """A layer whose peepholes are not at 0, as they begin, but drawn."""
    torch.manual_seed(0)
    layer = kind(n_in, n_out, kernel, padding=padding, peepholes=peepholes, space=space)
    if layer.peepholes is not None:
        torch.nn.init.normal_(layer.peepholes)
    return layer


def draw(layer: ConvLSTM, space: tuple[int, ...], *, B: int = 3, N: int = 5) -> list[torch.Tensor]:
    """An input, and a state."""
    states = (B, layer.n_out, *layer.state_space(space))
    sizes = ((B, N, layer.n_in, *space), states, states)
    dtype = layer.from_input.weight.dtype
    return [torch.randn(size, dtype=dtype).requires_grad_() for size in sizes]


def gradients(layer: ConvLSTM, run, x, h, c, *, state: bool) -> list[torch.Tensor]:
    """Outputs, last h and c, and the gradients of all that can have one, of a loss with each."""
    outputs, (last_h, last_c) = run(x, (h, c) if state else None)
    g = torch.Generator().manual_seed(1)
    parts = [outputs, last_h, last_c]
    loss = sum((torch.randn(p.shape, generator=g).to(p) * p).sum() for p in parts)
    leaves = [x, *((h, c) if state else ()), *layer.parameters()]
    return [*parts, *torch.autograd.grad(loss, leaves)]


@pytest.fixture
def deterministic() -> Iterator[None]:
    """As in training: an operation without a fixed order of sums is an error."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps_of_a_block", [1, 2, 5])
def test_outputs_and_gradients_are_those_of_the_steps(
    case, given, peepholes, steps_of_a_block, monkeypatch, deterministic
) -> None:
    """In single precision, to 1e-5, whether 1, 2 (and a rest of 1) or all 5 steps are a block."""
    layer = make(*case, peepholes=peepholes)
    x, h, c = draw(layer, case[-1])
    monkeypatch.setattr(_conv_lstm_fast, "BLOCK", 4 * h.numel() * steps_of_a_block)
    ours = gradients(layer, layer, x, h, c, state=given == "with")
    wanted = gradients(layer, layer.unrolled, x, h, c, state=given == "with")
    for a, b in zip(ours, wanted, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-5 * max(1, b.abs().max())


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("case", CASES)
def test_a_batch_in_parts_is_the_batch(case, given, monkeypatch) -> None:
    """Of 3 sequences, 2 at once, and 1 at once though even one holds more than a step may."""
    layer = make(*case, peepholes=True)
    x, h, c = draw(layer, case[-1])
    wanted = gradients(layer, layer, x, h, c, state=given == "with")
    places = torch.Size(case[-1]).numel()
    for limit in (2 * 4 * layer.n_out * places, 1):
        monkeypatch.setattr(_conv_lstm_fast, "STEP", limit)
        ours = gradients(layer, layer, x, h, c, state=given == "with")
        for a, b in zip(ours, wanted, strict=True):
            assert a.shape == b.shape
            assert (a - b).abs().max() <= 1e-5 * max(1, b.abs().max())


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_differences_of_the_outputs(case, given, peepholes) -> None:
    """PyTorch's gradcheck, in double precision, of both outputs and every argument."""
    layer = make(*case, peepholes=peepholes).double()
    x, h, c = draw(layer, case[-1], B=2, N=3)

    def run(x, h, c, w, u, v=None):
        state = (h, c) if given == "with" else None
        b = layer.from_input.bias
        return _conv_lstm_fast.conv_lstm(x, state, (w, b), u, v, layer.around)

    by_name = dict(layer.named_parameters())
    weights = [by_name[n] for n in ("from_input.weight", "from_hidden.weight")]
    weights += [layer.peepholes] if peepholes else []
    assert torch.autograd.gradcheck(run, (x, h, c, *weights), fast_mode=True)


@pytest.mark.parametrize("case", [CASES[0], CASES[3]])
def test_one_step_is_a_step(case) -> None:
    layer = make(*case, peepholes=True).double()
    x, h, c = draw(layer, case[-1], N=1)
    outputs, (_, last) = layer(x, (h, c))
    wanted, wanted_c = layer.step(x[:, 0], (h, c))
    assert torch.allclose(outputs[:, 0], wanted, atol=1e-12)
    assert torch.allclose(last, wanted_c, atol=1e-12)


@pytest.mark.parametrize("given", GIVEN)
def test_without_gradients_the_outputs_are_the_same_and_the_state_is_left_alone(given) -> None:
    """Nothing is recorded then, and memory is used again; the caller's must not be."""
    layer = make(*CASES[3], peepholes=True)
    x, h, c = draw(layer, CASES[3][-1])
    state = (h, c) if given == "with" else None
    before = [part.detach().clone() for part in (x, h, c)]
    outputs, (_, last) = layer(x, state)
    with torch.no_grad():
        again, (_, last_again) = layer(x, state)
    assert not again.requires_grad
    assert torch.equal(again, outputs)
    assert torch.equal(last_again, last)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, h, c), strict=True))


def test_a_second_way_back_gives_the_same_gradients() -> None:
    """What the way forth has kept is not overwritten on the way back."""
    layer = make(*CASES[0], peepholes=True)
    x, h, c = draw(layer, CASES[0][-1])
    loss = layer(x, (h, c))[0].square().sum()
    leaves = [x, h, c, *layer.parameters()]
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    second = torch.autograd.grad(loss, leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_outputs_changed_in_place_are_not_differentiated_wrongly() -> None:
    """They are the hidden states that the way back needs: an error, not other gradients."""
    layer = make(*CASES[0], peepholes=False)
    x, _, _ = draw(layer, CASES[0][-1])
    outputs, _ = layer(x)
    with pytest.raises(RuntimeError, match="is being modified inplace"):
        outputs.mul_(2)


@pytest.mark.parametrize("name", ["from_input.weight", "from_hidden.weight", "peepholes"])
def test_weights_that_are_frozen_do_not_disturb_the_others(name: str) -> None:
    layer = make(*CASES[3], peepholes=True).double()
    x, h, c = draw(layer, CASES[3][-1])
    dict(layer.named_parameters())[name].requires_grad_(False)
    x.requires_grad_(False)
    of_parts = []
    for run in (layer, layer.unrolled):
        layer.zero_grad()
        run(x, (h, c))[0].square().sum().backward()
        of_parts.append({n: p.grad for n, p in layer.named_parameters()})
    ours, wanted = of_parts
    assert ours[name] is None
    for other in set(ours) - {name}:
        assert torch.allclose(ours[other], wanted[other], atol=1e-12)


def test_under_autocast_and_the_compiler_the_steps_run_instead() -> None:
    """Autocast's precision, and the compiler's view of operations, are those of plain steps."""
    layer = make(*CASES[0], peepholes=True)
    x, h, c = draw(layer, CASES[0][-1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x, (h, c))[0], layer.unrolled(x, (h, c))[0])
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, (h, c))[0], layer.unrolled(x, (h, c))[0])
