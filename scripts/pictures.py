"""Draw the pictures of docs/understand: one sound through every stage, and what the pages speak of.

Run from the root of the repository (``make pictures``)::

    python scripts/pictures.py

Nothing is recorded: the sound is made here, of arithmetic, and named by the LSTM that ships. Drawn
from the repository's own results is the leak table alone.

Axes: T frames, S steps of the recurrence, H units, D directions.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.features import FeatureSpec, frames, frames_of_image, mel_image
from ostinato.inference.classifier import Classifier
from ostinato.inference.registry import model_path
from ostinato.plotting import INK, SOFT, place, save, style, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "docs" / "understand" / "figures"
LEAKS = REPOSITORY / "studies" / "results" / "leaks.json"
#: Inches: narrow, so that letters stay legible where a page is 400 pixels wide.
WIDTH = 5.2
#: Okabe and Ito's colours, which all eyes tell apart.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
MODEL = "lstm"
SPEC = FeatureSpec()

Floats = NDArray[np.float64]


# The sound, and what becomes of it.


@functools.cache
def sound() -> NDArray[np.float32]:
    """One window of the LSTM, 11.2 s: a beat of drums and bass, then broken chords alone."""
    rate, n = SPEC.sample_rate_hz, 143 * SPEC.hop_samples + SPEC.n_fft
    half = n // 2
    made, noise = np.zeros(n), np.random.default_rng(0).normal(size=n)

    def add(at_s: float, lasts_s: float, note: Callable[[Floats], Floats], until: int) -> None:
        first = round(at_s * rate)
        t = np.arange(max(min(round(lasts_s * rate), until - first), 0)) / rate
        made[first : first + t.size] += note(t)

    beat_s = 0.47
    for k in range(int(half / rate / beat_s) + 1):
        at = k * beat_s
        add(
            at,
            0.25,
            lambda t: 0.9 * np.exp(-14 * t) * np.sin(2 * np.pi * 55 * t + 6 * np.exp(-40 * t)),
            half,
        )
        add(at + beat_s / 2, 0.08, lambda t: 0.3 * np.exp(-70 * t) * noise[: t.size], half)
        if k % 2:
            add(at, 0.2, lambda t: 0.35 * np.exp(-22 * t) * noise[: t.size], half)
        for part in (0, 0.5):
            pitch = 55 * 2 ** ([0, 0, 3, 5][k // 2 % 4] / 12) * (1 + (part > 0))
            add(at + part * beat_s, 0.22, functools.partial(_string, pitch_hz=pitch, decay=7), half)
    chords = ((0, 4, 7, 12), (-3, 0, 4, 9), (-7, -3, 0, 5), (-5, -1, 2, 7))
    step_s = 0.35
    for k in range(int(half / rate / step_s) + 1):
        pitch = 220 * 2 ** (chords[k // 4 % 4][k % 4] / 12)
        add(half / rate + k * step_s, 1.6, functools.partial(_string, pitch_hz=pitch, decay=2.2), n)
    return np.asarray(0.7 * made / np.abs(made).max(), dtype=np.float32)


def _string(t: Floats, *, pitch_hz: float, decay: float) -> Floats:
    """A plucked note: overtones, of which the higher ones die sooner."""
    tones = (
        np.exp(-decay * h**0.7 * t) * np.sin(2 * np.pi * h * pitch_hz * t) / h for h in range(1, 9)
    )
    return 0.4 * np.minimum(1, t * 200) * sum(tones)


@dataclass(frozen=True)
class Gates:
    """What happens inside an LSTM layer, each [shape=(D, S, H)]."""

    input: Floats
    forget: Floats
    output: Floats
    candidate: Floats
    cell: Floats
    hidden: Floats


def opened(window: NDArray[np.float32]) -> tuple[Gates, Floats]:
    """Gates of the first layer of the LSTM that ships, and that layer's own output [(D, S, H)].

    The graph is asked for what goes into its first LSTM node, and the cell's equations are
    computed here from the node's weights.

    Parameters
    ----------
    window : float32 array [shape=(T, F)]
        Frames of one window.
    """
    import onnx
    import onnxruntime

    model = onnx.load(str(model_path(MODEL)))
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    for name in (node.input[0], node.output[0]):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x, own = session.run([node.input[0], node.output[0]], {"frames": window[None]})
    stored = {array.name: onnx.numpy_helper.to_array(array) for array in model.graph.initializer}
    weights = [np.float64(stored[name]) for name in node.input[1:4]]
    each = [
        _cell(np.float64(x[:, 0])[:: 1 - 2 * d], *(array[d] for array in weights)) for d in range(2)
    ]
    each = [run[:, :: 1 - 2 * d] for d, run in enumerate(each)]  # in the order of time again
    return Gates(*np.stack(each, axis=1)), np.float64(own[:, :, 0]).swapaxes(0, 1)


def _cell(x: Floats, w: Floats, r: Floats, b: Floats) -> Floats:
    """Equations of an LSTM cell over steps (S, H): its gates, cells and outputs (6, S, H).

    Weights stand as ONNX has them: gates in the order i, o, f, g.
    """
    hidden = cell = np.zeros(r.shape[1])
    kept = []
    for step in x:
        sums = w @ step + r @ hidden + b[: len(w)] + b[len(w) :]
        i, o, f = 1 / (1 + np.exp(-sums.reshape(4, -1)[:3]))
        g = np.tanh(sums.reshape(4, -1)[3])
        cell = f * cell + i * g
        hidden = o * np.tanh(cell)
        kept.append((i, f, o, g, cell, hidden))
    return np.stack(kept, axis=1)


# What networks do.


def reach_in_time(steps: int = 60, seeds: int = 5) -> dict[str, Floats]:
    """How much of a gradient is left so many steps back, the last step's taken as 1 [(steps,)].

    Networks are untrained, 32 units wide, and hear noise; the figure is the geometric mean over
    seeds of the norm of the last output's gradient with respect to one step's input.
    """
    import torch
    from torch import nn

    def layer(kind: str) -> nn.Module:
        made: nn.Module = nn.RNN(32, 32) if kind.startswith("plain") else nn.LSTM(32, 32)
        if "open" in kind:
            with torch.no_grad():
                made.bias_ih_l0[32:64] = 3.0  # of the forget gate: sigmoid(3) is 0.95
        return made

    kinds = ("plain recurrence", "LSTM as it begins", "LSTM, forget gates open")
    logs: dict[str, list[Floats]] = {kind: [] for kind in kinds}
    for seed in range(seeds):
        for kind in kinds:
            torch.manual_seed(seed)
            x = torch.randn(steps, 1, 32, dtype=torch.float64, requires_grad=True)
            layer(kind).double()(x)[0][-1].sum().backward()
            assert x.grad is not None
            norms = np.float64(x.grad[:, 0].norm(dim=1))[::-1]
            logs[kind].append(np.log(norms / norms[0]))
    return {kind: np.exp(np.mean(each, axis=0)) for kind, each in logs.items()}


def reach_in_depth(depth: int = 10, seeds: int = 5) -> dict[str, Floats]:
    """Norm of the gradient of each layer's weights, that of the last layer taken as 1 [(depth,)].

    Stacks of ours, untrained, 32 units wide, on 20 steps of noise; geometric mean over seeds.
    """
    import torch

    from ostinato.models.lstm import LSTMStack

    kinds = {
        "bare LSTM": {"layer_norm": False, "residual": False},
        "LSTM (each layer normalised)": {"layer_norm": True, "residual": False},
        "ResLSTM (and a shortcut)": {"layer_norm": True, "residual": True},
    }
    found = {}
    for name, options in kinds.items():
        logs = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            stack = LSTMStack(32, depth, **options)
            out = stack(torch.randn(8, 20, 32))[0]
            (out * torch.randn(out.shape)).sum().backward()
            norms = [
                torch.stack([p.grad.norm() for p in layer.parameters()]).norm()
                for layer in stack.layers
            ]
            logs.append(np.log(np.float64(torch.stack(norms) / norms[-1])))
        found[name] = np.exp(np.mean(logs, axis=0))
    return found


def sight(places: int = 40, steps: int = 6) -> dict[str, Floats]:
    """How much each input counts for one place of the last output [each shape=(steps, places)].

    A ConvLSTM along the coefficients with kernels of three, and an LSTM of as many units, both
    untrained: the root of the mean square of gradients over 20 seeds.
    """
    import torch
    from torch import nn

    from ostinato.models.layers.conv_lstm import ConvLSTM1d

    squares = {"LSTM": np.zeros((steps, places)), "ConvLSTM": np.zeros((steps, places))}
    for seed in range(20):
        torch.manual_seed(seed)
        for name, total in squares.items():
            x = torch.randn(1, steps, 1, places, requires_grad=True)
            if name == "LSTM":
                out = nn.LSTM(places, places, batch_first=True)(x[:, :, 0])[0][0, -1]
            else:
                out = ConvLSTM1d(1, 1, 3)(x)[0][0, -1, 0]
            out[places // 2].backward()
            assert x.grad is not None
            total += np.float64(x.grad[0, :, 0]) ** 2 / 20
    return {name: np.sqrt(total) for name, total in squares.items()}


# What figures are worth.


def leak_rows() -> list[dict[str, Any]]:
    """Rows of the leak table, as its study left them."""
    rows: list[dict[str, Any]] = json.loads(LEAKS.read_text(encoding="utf-8"))["table"]["rows"]
    return rows


def example() -> dict[str, Any]:
    """The names that the example of docs/understand/intervals.md makes."""
    text = (FOLDER.parent / "intervals.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    made: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, made)
    return made


# The pictures.


def draw_waveform() -> Figure:
    samples, rate = sound(), SPEC.sample_rate_hz
    figure, axes = _panel(
        "The waveform", "Each column: the lowest and the highest of some 300 samples.", 1.9
    )
    n = 800
    columns = samples[: samples.size // n * n].reshape(n, -1)
    t = np.arange(n) * columns.shape[1] / rate
    axes.fill_between(t, columns.min(axis=1), columns.max(axis=1), color=BLUE, lw=0.4)
    axes.set(xlim=(0, _seconds()), ylim=(-1, 1), xlabel="time in s", ylabel="amplitude")
    for at, text in ((0.25, "drums and bass"), (0.75, "chords")):
        axes.text(at, 0.9, text, transform=axes.transAxes, ha="center", color=INK)
    return figure


def draw_mel() -> Figure:
    figure, axes = _panel(
        "The log-mel spectrogram",
        "128 bands of frequency, a frame every 77.5 ms; brighter is louder.",
        2.6,
        left=0.9,
        right=0.9,
    )
    image = mel_image(sound(), SPEC)
    drawn = axes.imshow(
        image.T, origin="lower", aspect="auto", cmap="magma", extent=(0, _seconds(), 0, 128)
    )
    corners = SPEC.mel_corners_hz[1:-1]
    ticks = (100, 500, 1000, 2000, 5000, 10000)
    axes.set_yticks(
        [np.interp(hz, corners, np.arange(128) + 0.5) for hz in ticks], [f"{hz:,}" for hz in ticks]
    )
    axes.set(xlabel="time in s", ylabel="frequency in Hz")
    _bar(figure, drawn, 2.6)
    return figure


def draw_mfcc() -> Figure:
    figure, axes = _panel(
        "40 MFCC",
        "Each coefficient is shown less its mean, in its own deviations.",
        2.6,
        left=0.9,
        right=0.9,
    )
    mfcc = frames_of_image(mel_image(sound(), SPEC), SPEC)
    shown = (mfcc - mfcc.mean(axis=0)) / mfcc.std(axis=0)
    drawn = axes.imshow(
        shown.T, origin="lower", aspect="auto", cmap="PuOr", vmin=-3, vmax=3,
        extent=(0, _seconds(), -0.5, 39.5),
    )  # fmt: skip
    axes.set(xlabel="time in s", ylabel="coefficient")
    _bar(figure, drawn, 2.6)
    return figure


def draw_gates() -> Figure:
    gates, _ = opened(frames(sound(), SPEC))
    order = np.argsort(gates.hidden[0, 4:].mean(axis=0) - gates.hidden[0, :4].mean(axis=0))
    height = 4.55
    figure = titled(
        "Inside the LSTM: layer 1, read forwards",
        f"16 units (rows) over 8 steps of 1.4 s. The forget gates are {gates.forget[0].mean():.2f} "
        "open on average.",
        width=WIDTH, height=height,
    )  # fmt: skip
    panels = (
        ("input gate", gates.input), ("forget gate", gates.forget), ("output gate", gates.output),
        ("candidate", gates.candidate), ("cell", gates.cell), ("output", gates.hidden),
    )  # fmt: skip
    for k, (name, values) in enumerate(panels):
        row, column = divmod(k, 3)
        left, bottom = 0.5 + column * 1.4, 2.55 - row * 2.1
        axes = place(figure, left, bottom, left + 1.28, bottom + 1.6)
        options: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 1}
        if row:
            options = {"cmap": "PuOr", "vmin": -1, "vmax": 1}
        drawn = axes.imshow(
            values[0][:, order].T, aspect="auto", extent=(0.5, 8.5, 16.5, 0.5), **options
        )
        axes.set_title(name, size=11)
        axes.axvline(4.5, color="white" if not row else INK, lw=1.2, ls=":")
        axes.set_xticks([2, 4, 6, 8])
        axes.set_yticks([1, 16] if column == 0 else [])
        if row:
            axes.set_xlabel("step")
        if column == 0:
            axes.set_ylabel("unit", labelpad=-6)
        if column == 2:
            bar = place(figure, left + 1.34, bottom, left + 1.42, bottom + 1.6)
            figure.colorbar(drawn, cax=bar, ticks=[0, 1] if not row else [-1, 0, 1])
    return figure


def draw_verdict() -> Figure:
    classifier = Classifier.load(MODEL)
    heard = sound()
    half = heard.size // 2
    parts = {"drums and bass": heard[:half], "chords": heard[half:], "all of it": heard}
    colours = dict(zip(parts, (ORANGE, BLUE, INK), strict=True))
    markers = dict(zip(parts, "sDo", strict=True))
    threshold = classifier.info.threshold
    figure, axes = _panel(
        "The verdict",
        "Probabilities, as the LSTM states them. Left of the dotted line it names no genre.",
        3.7,
        left=0.95,
    )
    for name, samples in parts.items():
        said = classifier.classify(waveform=samples, sample_rate_hz=SPEC.sample_rate_hz)
        shares = dict(said.ranked)
        x = [shares[genre] for genre in classifier.info.genres]
        axes.plot(x, range(len(x)), markers[name], color=colours[name], ms=7, label=name, alpha=0.9)
    assert threshold is not None
    axes.axvline(threshold, color=SOFT, ls=":")
    axes.set_yticks(range(len(classifier.info.genres)), classifier.info.genres)
    axes.set(ylim=(len(classifier.info.genres) - 0.5, -0.5), xlim=(0, 1), xlabel="probability")
    axes.grid(visible=True)
    axes.legend(loc="upper right", frameon=True, framealpha=1, edgecolor="none")
    return figure


def draw_reach() -> Figure:
    height = 5.9
    figure = titled(
        "How far a gradient reaches",
        "Before any training. 1 is the gradient at the last step, or layer.",
        width=WIDTH, height=height,
    )  # fmt: skip
    panels = (
        (reach_in_time(), "steps back in time", 3.5, 1e-16),
        (reach_in_depth(), "layer (1 is nearest to the frames)", 0.55, 3e-8),
    )
    for found, label, bottom, lowest in panels:
        axes = place(figure, 0.95, bottom, WIDTH - 0.2, bottom + 2.1)
        in_time = "time" in label
        for (name, norms), colour, dash in zip(
            found.items(), (INK, ORANGE, BLUE), (":", "--", "-"), strict=True
        ):
            axes.plot(
                np.arange(len(norms)) + (not in_time), norms, dash, color=colour, lw=2, label=name
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e-"))
        axes.set(xlabel=label, ylabel="gradient", ylim=(lowest, None))
        axes.grid(visible=True)
        axes.legend(loc="lower left" if in_time else "lower right", fontsize=10, handlelength=2.5)
    return figure


def draw_sight() -> Figure:
    height = 2.75
    figure = titled(
        "What one output depends on",
        "Output 20 at step 6: how much each input counts. White: not at all.",
        width=WIDTH, height=height,
    )  # fmt: skip
    for k, (name, values) in enumerate(sight().items()):
        left = 0.6 + k * 1.95
        axes = place(figure, left, 0.55, left + 1.8, height - 0.3)
        with np.errstate(divide="ignore"):
            logs = np.where(values > 0, np.log10(values / values.max()), np.nan)
        drawn = axes.imshow(
            logs.T, origin="lower", aspect="auto", cmap="viridis", vmin=-4, vmax=0,
            extent=(0.5, len(values) + 0.5, -0.5, values.shape[1] - 0.5),
        )  # fmt: skip
        axes.set(title=name, xlabel="step")
        axes.set_xticks(range(1, len(values) + 1))
        if k:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("coefficient")
    bar = place(figure, left + 1.86, 0.55, left + 1.94, height - 0.3)
    figure.colorbar(drawn, cax=bar, ticks=[-4, -2, 0]).ax.set_yticklabels(["1e-4", "0.01", "1"])
    return figure


def draw_leaks() -> Figure:
    height = 3.5
    figure = titled(
        "The same pieces, the same models",
        "Accuracy on 3-second pieces; what differs is what the models had met. Lines: 95% "
        "intervals by artist and seed.",
        width=WIDTH, height=height,
    )  # fmt: skip
    axes = place(figure, 1.5, 0.55, WIDTH - 0.25, height - 0.05)
    met = {
        "same-tracks": "the same songs", "same-artists": "the same artists",
        "new-artists": "neither", "new-artists-twice": "neither, from\ntwice the songs",
    }  # fmt: skip
    looks = {"LSTM": (INK, "s"), "ResLSTM": (ORANGE, "D"), "ConvLSTM": (BLUE, "o")}
    for row in leak_rows():
        colour, marker = looks[row["label"]]
        y = list(met).index(row["variant"]) + 0.22 * (list(looks).index(row["label"]) - 1)
        found = row["accuracy"]
        axes.plot([found["low"], found["high"]], [y, y], color=colour, lw=2)
        axes.plot(
            found["mean"], y, marker, color=colour, ms=6, label=row["label"] if y < 0.5 else None
        )
    axes.set_yticks(range(len(met)), met.values())
    axes.set_ylim(len(met) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    axes.set_xlabel("pieces named correctly")
    axes.grid(visible=True, axis="x")
    axes.legend(loc="lower right")
    return figure


def draw_intervals() -> Figure:
    made = example()
    correct, clusters = made["correct"], made["clusters"]
    height = 4.3
    figure = titled(
        "Tracks of one artist are alike",
        "Upper part: each row is an artist, each square a track by one of three trainings; filled: "
        "named correctly. Lower part: 95% intervals of the same accuracy.",
        width=WIDTH, height=height,
    )  # fmt: skip
    upper = place(figure, 1.75, 1.75, WIDTH - 0.25, height - 0.05)
    for row in range(len(made["artists_in_order"])):
        for seed, right in enumerate(correct[:, clusters.of == row]):
            x = np.arange(right.size) + seed * (right.size + 1.0)
            upper.scatter(x, np.full(right.size, row), marker="s", s=62, lw=1.2, edgecolors=BLUE,
                          facecolors=[BLUE if r else "white" for r in right])  # fmt: skip
    genres = [genre for genre, names in made["genres"].items() for _ in names]
    names = [f"{a}, {g}" for a, g in zip(made["artists_in_order"], genres, strict=True)]
    upper.set_yticks(range(len(names)), names)
    upper.set_ylim(len(names) - 0.4, -0.6)
    n = right.size
    upper.set_xticks(
        [n / 2 - 0.5 + k * (n + 1) for k in range(len(correct))],
        [f"seed {k}" for k in range(len(correct))],
    )
    upper.tick_params(length=0)
    upper.spines[:].set_visible(False)
    lower = place(figure, 1.75, 0.5, WIDTH - 0.25, 1.35)
    shown = {"by artist and seed": made["found"], "by track (Wilson)": made["beside"]}
    for y, (bounds, colour) in enumerate(zip(shown.values(), (BLUE, ORANGE), strict=True)):
        lower.plot([bounds.low, bounds.high], [y, y], color=colour, lw=2.5)
        lower.plot(bounds.mean, y, "o", color=colour, ms=7)
    lower.set_yticks(range(len(shown)), shown)
    lower.set(ylim=(1.6, -0.6), xlim=(0, 1))
    lower.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    lower.grid(visible=True, axis="x")
    return figure


def _panel(
    title: str, subtitle: str, height: float, *, left: float = 0.75, right: float = 0.25
) -> tuple[Figure, Axes]:
    """A figure of one panel."""
    figure = titled(title, subtitle, width=WIDTH, height=height)
    return figure, place(figure, left, 0.55, WIDTH - right, height - 0.05)


def _bar(figure: Figure, drawn: Any, height: float) -> None:
    """A key of colours right of a panel of this height."""
    beside = place(figure, WIDTH - 0.8, 0.55, WIDTH - 0.7, height - 0.05)
    figure.colorbar(drawn, cax=beside, label="deviations")


def _seconds() -> float:
    return sound().size / SPEC.sample_rate_hz


PICTURES = {
    function.__name__.removeprefix("draw_"): function
    for function in (
        draw_waveform, draw_mel, draw_mfcc, draw_gates, draw_verdict,
        draw_reach, draw_sight, draw_leaks, draw_intervals,
    )
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Draw all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.names) - set(PICTURES)):
        parser.error(f"expected {', '.join(PICTURES)}; got {', '.join(unknown)}")
    asked.to.mkdir(parents=True, exist_ok=True)
    for name in asked.names or PICTURES:
        with style("pictures"):
            print(save(PICTURES[name](), asked.to / f"{name}.png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
