"""How fast the recurrent layers are: against PyTorch's, Keras's, and the core itself.

Run from the root of the repository, with the package and Keras installed (``.[dev]``)::

    python benchmarks/models.py            # some six minutes on two cores
    python benchmarks/models.py --quick    # a smoke run, its figures not to be quoted

Every case is a pass forwards and backwards, the gradients of all weights included, over a batch of
64 sequences, on one thread and on two:

torch.nn.LSTM
    Two layers of width 128 over 130 steps of 20 features, one alone, and six of width 128.
residual LSTM
    ``LSTMStack`` of six layers with shortcuts and layer normalisation, as models have it.
Kim's cell
    A ``KimLSTM`` of width 128, with peepholes, against a ``torch.nn.LSTM`` of one layer.
ConvLSTM1d, ConvLSTM2d
    32 channels along 20 places, 130 steps; 16 channels over patches of 16 x 20 places, 24 steps;
    one channel in, kernels of 3. Against them Keras's layers on its PyTorch backend, with the same
    weights.

The cases of a table take turns within a round, so that other work on the machine disturbs all of
them alike; a ratio is the median over rounds of the ratio within a round, a time the median. On
one thread it is the processor's time, which does not run while another program has the core; on
two, whose work overlaps, it is that of the clock on the wall, and needs a machine with nothing else
to do: where two threads do not multiply matrices half as fast again as one, they are left out.

The share is that of the rate of matrix products (``torch.mm`` of 1024 x 1024, single precision,
timed in the same round): the operations of all products and convolutions of a case, forwards once
and backwards twice, by its time. Additions and activations are left out, so that a layer that did
nothing else would have 100 %. PyTorch's convolutions are not its matrix products: where those of
oneDNN use wider instructions than the library behind ``torch.mm``, a share can be above 100 %, and
the rate of a convolution is given too.

The exit status is 0 whether targets are met or not.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ostinato.models.layers.conv_lstm import ConvLSTM, ConvLSTM1d, ConvLSTM2d
from ostinato.models.layers.kim_lstm import KimLSTM
from ostinato.models.lstm import LSTMStack

BATCH = 64
PRODUCT = "matrix product"
FACTORS = (1, 2, 4)
PATIENCE = 40.0
"""Seconds after which a table begins no further round."""
Pass = Callable[[], object]
Times = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Case:
    """Something timed, and how many operations its products and convolutions are."""

    run: Pass
    operations: float


def there_and_back(layer: nn.Module, x: Tensor) -> Pass:
    """A pass in training: outputs, then gradients from one that is drawn."""
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = layer(x)
        upstream = torch.randn_like(outputs[0] if isinstance(outputs, tuple) else outputs)

    def once() -> None:
        layer.zero_grad()
        outputs = layer(x)
        (outputs[0] if isinstance(outputs, tuple) else outputs).backward(upstream)

    return once


def product(side: int = 1024) -> Case:
    a, b = torch.randn(side, side), torch.randn(side, side)
    return Case(lambda: a @ b, 2 * side**3)


def product_rate() -> float:
    """Operations a second, on as many threads as are set."""
    case = product()
    times = take_turns({PRODUCT: case}, 15)[PRODUCT]
    return case.operations / float(np.median(times))


def convolution() -> Case:
    """One that a ConvLSTM2d does in a step, its channels last in memory."""
    x, weight = torch.randn(BATCH, 16, 16, 20), torch.randn(64, 16, 3, 3)
    x, weight = (a.contiguous(memory_format=torch.channels_last) for a in (x, weight))

    def run() -> None:
        with torch.no_grad():
            torch.conv2d(x, weight, padding=1)

    return Case(run, 2 * x.numel() * weight[:, 0].numel())


def lstm(width: int, depth: int, *, n_in: int | None = None, steps: int = 130) -> Case:
    n_in = width if n_in is None else n_in
    layer = nn.LSTM(n_in, width, num_layers=depth, batch_first=True)
    weights = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
    x = torch.randn(BATCH, steps, n_in)
    return Case(there_and_back(layer, x), 6 * BATCH * steps * weights)


def residual_lstm(width: int, depth: int, *, steps: int = 130) -> Case:
    layer = LSTMStack(width, depth, residual=True)
    weights = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
    x = torch.randn(BATCH, steps, width)
    return Case(there_and_back(layer, x), 6 * BATCH * steps * weights)


def kim_lstm(width: int, *, steps: int = 130) -> Case:
    layer = KimLSTM(width, width)
    weights = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
    x = torch.randn(BATCH, steps, width)
    return Case(there_and_back(layer, x), 6 * BATCH * steps * weights)


def conv_lstm(
    kind: type[ConvLSTM], channels: int, space: tuple[int, ...], steps: int
) -> dict[str, Case]:
    """Our layer, and Keras's layer with the weights of ours."""
    layer = kind(1, channels, 3)
    x = torch.randn(BATCH, steps, 1, *space)
    weights = sum(p.numel() for p in layer.parameters() if p.ndim > 1)
    operations = 6 * BATCH * steps * int(np.prod(space)) * weights
    make = keras.layers.ConvLSTM1D if layer.axes == 1 else keras.layers.ConvLSTM2D
    theirs = make(
        channels, 3, padding="same", return_sequences=True, data_format="channels_last"
    )  # fmt: skip
    theirs.build((None, None, *space, 1))
    theirs.set_weights(
        [
            layer.from_input.weight.detach().movedim((0, 1), (-1, -2)).numpy(),
            layer.from_hidden.weight.detach().movedim((0, 1), (-1, -2)).numpy(),
            layer.from_input.bias.detach().numpy(),
        ]
    )
    last = x.movedim(2, -1).contiguous()
    with torch.no_grad():
        apart = (layer(x)[0].movedim(2, -1) - theirs(last)).abs().max()
    if apart > 1e-4:
        raise AssertionError(f"Keras's outputs differ by {apart:.1e}: not the same layer")
    return {
        "ours": Case(there_and_back(layer, x), operations),
        "Keras": Case(there_and_back(theirs, last), operations),
    }


def take_turns(cases: dict[str, Case], rounds: int) -> Times:
    """Seconds of every case in every round; the first round warms up and is not counted.

    Within a round each case runs once before it is timed, so that it finds the caches and the
    memory as it left them, as a step of training does, and not as the case before it did. After
    :data:`PATIENCE` seconds no further round begins: two threads on a machine whose cores are taken
    can be tens of times slower than on an idle one.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in cases}
    latest = time.perf_counter() + PATIENCE
    for number in range(rounds + 1):
        if number > 1 and time.perf_counter() > latest:
            break
        for name, case in cases.items():
            if rounds > 1:
                case.run()
            begin = clock()
            case.run()
            taken[name].append(clock() - begin)
    return {name: np.array(times[1:]) for name, times in taken.items()}


def shares(cases: dict[str, Case], times: Times) -> dict[str, float]:
    """Give each case its rate over that of matrix products in the same round: the median."""
    limit = cases[PRODUCT].operations / times[PRODUCT]
    return {
        name: float(np.median(case.operations / times[name] / limit))
        for name, case in cases.items()
    }


def print_table(title: str, cases: dict[str, Case], times: Times) -> None:
    """Print times, rates and shares."""
    of_limit = shares(cases, times)
    title = f"{title} ({len(times[PRODUCT])} rounds)"
    print(f"\n{title:<46}{'median':>12}{'rate':>17}{'share':>10}")
    for name, case in cases.items():
        seconds = float(np.median(times[name]))
        rate = case.operations / seconds / 1e9
        print(f"  {name:<44}{1e3 * seconds:>9.1f} ms{rate:>9.1f} GFLOP/s{of_limit[name]:>10.0%}")


def print_ratio(what: str, value: float, *, at_most: float | None = None) -> None:
    bound, verdict = "", ""
    if at_most is not None:
        bound, verdict = f"at most {at_most:g}", "met" if value <= at_most else "MISSED"
    print(f"    {what:<42}{value:>9.2f}{bound:>18}   {verdict}".rstrip())


def print_lstms(rounds: int) -> None:
    one, six = "torch.nn.LSTM, 1 layer", "torch.nn.LSTM, 6 layers"
    residual = "residual LSTM, 6 layers"
    cases = {
        PRODUCT: product(),
        "torch.nn.LSTM, 2 layers on 20 features": lstm(128, 2, n_in=20),
        six: lstm(128, 6),
        residual: residual_lstm(128, 6),
        one: lstm(128, 1),
        "Kim's cell": kim_lstm(128),
    }
    times = take_turns(cases, rounds)
    print_table(f"Width 128, {BATCH} x 130 steps", cases, times)
    print_ratio(f"{residual} / torch.nn.LSTM", ratio(times, residual, six), at_most=1.3)
    print_ratio("Kim's cell / torch.nn.LSTM", ratio(times, "Kim's cell", one), at_most=3)


def print_conv_lstms(rounds: int) -> None:
    for title, kind, channels, space, steps in (
        ("ConvLSTM1d of 32, {} x 130 x 20", ConvLSTM1d, 32, (20,), 130),
        ("ConvLSTM2d of 16, {} x 24 x (16 x 20)", ConvLSTM2d, 16, (16, 20), 24),
    ):
        cases = {PRODUCT: product(), "one convolution, forwards": convolution()}
        cases |= conv_lstm(kind, channels, space, steps)
        times = take_turns(cases, rounds)
        print_table(title.format(BATCH), cases, times)
        print_ratio("Keras / ours", ratio(times, "Keras", "ours"))


def ratio(times: Times, above: str, below: str) -> float:
    return float(np.median(times[above] / times[below]))


def print_growth(rounds: int) -> None:
    """Time against the number of steps, then against the width or the channels; one thread."""

    def conv_1d(channels: int, steps: int) -> Case:
        return conv_lstm(ConvLSTM1d, channels, (20,), steps)["ours"]

    def conv_2d(channels: int, steps: int) -> Case:
        return conv_lstm(ConvLSTM2d, channels, (16, 20), steps)["ours"]

    layers: dict[str, tuple[Callable[[int, int], Case], int, int]] = {
        "residual LSTM, 2 layers": (lambda w, n: residual_lstm(w, 2, steps=n), 64, 64),
        "Kim's cell": (lambda w, n: kim_lstm(w, steps=n), 64, 64),
        "ConvLSTM1d": (conv_1d, 16, 64),
        "ConvLSTM2d": (conv_2d, 8, 8),
    }
    head = f"{'x 1':>10}{'x 2':>10}{'x 4':>10}{'x 4 / x 1':>12}"
    print(f"\n{'Time of a pass in ms, one thread':<46}{head}")
    for name, (make, width, steps) in layers.items():
        of_steps = {k: make(width, k * steps) for k in FACTORS}
        of_width = {k: make(k * width, steps) for k in FACTORS}
        for what, by_factor in (("steps", of_steps), ("width", of_width)):
            times = take_turns({f"x {k}": case for k, case in by_factor.items()}, rounds)
            numbers = "".join(f"{1e3 * np.median(seconds):>10.1f}" for seconds in times.values())
            title = f"{name} of {width}, {steps} steps: {what}"
            print(f"  {title:<44}{numbers}{ratio(times, 'x 4', 'x 1'):>12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help="of every table (11)")
    parser.add_argument("--quick", action="store_true", help="a single round: a smoke run")
    parser.add_argument("--busy", action="store_true", help="two threads though cores are taken")
    choices = parser.parse_args()
    rounds = 1 if choices.quick else choices.rounds
    warnings.filterwarnings("ignore", message="__array__ implementation")  # Keras and NumPy 2
    print(f"PyTorch {torch.__version__}, Keras {keras.__version__} on it; {rounds} rounds")
    rates: list[float] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        print(f"\n=== {threads} thread{'s' if threads > 1 else ''}, forwards and backwards ===")
        rates.append(product_rate())
        if rates[-1] < 0.75 * threads * rates[0]:
            print(f"Matrix products are {rates[-1] / rates[0]:.1f} times as fast as on one thread:")
            if not choices.busy:
                print("the cores are not free, so nothing is measured (--busy does all the same).")
                continue
            print("the cores are not free, so one round of what follows says little.")
            rounds = 1
        print_lstms(rounds)
        print_conv_lstms(rounds)
    torch.set_num_threads(1)
    print_growth(1 if choices.quick else max(1, choices.rounds // 2))


if __name__ == "__main__":
    main()
