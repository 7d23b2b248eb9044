"""Every family's forward pass in evaluation mode, in NumPy, from the names and values of weights.

Axes: B batch, T frames, F features, S steps, C statistics, H width, K channels, P texture windows
of a patch, M bands, G genres; "space" stands for any axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import idct
from scipy.special import expit as sigmoid
from scipy.special import softmax

from ostinato.models.layers.window_statistics import modulation_edges

Array = np.ndarray
Weights = dict[str, Array]
EPS = 1e-5  # of every normalisation of PyTorch's
N_MELS = 128


def under(w: Weights, name: str) -> Weights:
    """The weights of a part, by their names in it."""
    return {key.removeprefix(f"{name}."): w[key] for key in w if key.startswith(f"{name}.")}


def linear(w: Weights, x: Array) -> Array:
    return x @ w["weight"].T + w.get("bias", 0)


def layer_norm(w: Weights, x: Array) -> Array:
    if not w:
        return x
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS)
    return x * w["weight"] + w["bias"]


def batch_norm(w: Weights, x: Array, axis: int = 1) -> Array:
    x = np.moveaxis(x, axis, -1)
    x = (x - w["running_mean"]) / np.sqrt(w["running_var"] + EPS)
    return np.moveaxis(x * w.get("weight", 1) + w.get("bias", 0), -1, axis)


def standardise(w: Weights, x: Array) -> Array:
    return (x - w["mean"]) / w["deviation"]


def convolve(images: Array, kernel: Array, padding: str = "same") -> Array:
    """(B, C, *space) with (K, C, *sides): the sum over each window, borders of zeros."""
    sides = kernel.shape[2:]
    if padding == "same":
        images = np.pad(images, [(0, 0), (0, 0)] + [(k // 2, k // 2) for k in sides])
    axes = tuple(range(2, images.ndim))
    windows = sliding_window_view(images, sides, axes)  # (B, C, *space, *sides)
    over = (1, *range(-len(sides), 0)), (1, *axes)
    return np.moveaxis(np.tensordot(windows, kernel, over), -1, 1)  # (B, K, *space)


def maximum(x: Array, *sizes: int) -> Array:
    """The maximum over blocks of the last axes; what is left over at their ends is left out."""
    for axis, size in enumerate(sizes, start=-len(sizes)):
        n = x.shape[axis] // size
        x = np.moveaxis(x, axis, -1)[..., : n * size]
        x = np.moveaxis(x.reshape(*x.shape[:-1], n, size).max(-1), -1, axis)
    return x


def texture(w: Weights, x: Array, length: int) -> Array:
    """Mean, deviation, deviation of the change: (B, T, F) -> (B, S, 3 F); of 1 frame, itself."""
    if length == 1:
        return x
    windows = x[:, : x.shape[1] // length * length].reshape(len(x), -1, length, x.shape[2])
    parts = [windows.mean(2), windows.std(2, ddof=1), np.diff(windows, axis=2).std(2, ddof=1)]
    return batch_norm(under(w, "scale"), np.concatenate(parts, 2), 2)


def classify(w: Weights, x: Array, pooling: str, *, bidirectional: bool = False) -> Array:
    """Pool steps (B, S, H) and read the genres (B, G)."""
    half = x.shape[2] // 2 if bidirectional else x.shape[2]
    if pooling == "last":
        x = np.concatenate([x[:, -1, :half], x[:, 0, half:]], 1)
    elif pooling == "attention":
        scores = linear(under(w, "pool.score"), np.tanh(linear(under(w, "pool.hidden"), x)))
        x = (softmax(scores, 1) * x).sum(1)
    else:
        x = np.concatenate([x.mean(1), x.max(1)][: 1 + (pooling == "mean-max")], 1)
    return linear(under(w, "head"), x)


def lstm(w: Weights, x: Array) -> Array:
    """One layer of torch.nn.LSTM, both ways where it has weights for it: (B, S, H_in) -> (B, S, H).

    Gates stand in the order i, f, g, o (Hochreiter and Schmidhuber 1997; Gers et al. 2000).
    """
    sides = []
    for way in ("", "_reverse"):
        if f"weight_hh_l0{way}" not in w:
            continue
        of_input, of_hidden = w[f"weight_ih_l0{way}"], w[f"weight_hh_l0{way}"]
        bias = w[f"bias_ih_l0{way}"] + w[f"bias_hh_l0{way}"]
        h = c = np.zeros((len(x), of_hidden.shape[1]))
        outputs = []
        for now in np.moveaxis(x[:, ::-1] if way else x, 1, 0):
            i, f, g, o = np.split(now @ of_input.T + h @ of_hidden.T + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        sides.append(np.stack(outputs[::-1] if way else outputs, axis=1))
    return np.concatenate(sides, axis=2)


def stack(w: Weights, x: Array, depth: int, *, residual: bool) -> Array:
    """Layers of LSTM, each after its layer normalisation, with shortcuts or without."""
    for i in range(depth):
        y = lstm(under(w, f"layers.{i}"), layer_norm(under(w, f"norms.{i}"), x))
        x = x + y if residual else y
    return layer_norm(under(w, "final_norm"), x)


def stacked(w: Weights, frames: Array, s: Any, *, residual: bool = False) -> Array:
    """The LSTM, and the residual one."""
    x = standardise(under(w, "normalise"), frames)
    x = linear(under(w, "project"), texture(under(w, "texture"), x, s.texture_frames))
    x = stack(under(w, "stack"), x, s.depth, residual=residual)
    return classify(w, x, s.pooling, bidirectional=s.bidirectional)


def kim(w: Weights, x: Array, h: Array | None = None, c: Array | None = None) -> Array:
    """Section 3 of Kim et al. 2017, a gate at a time: h of every step (B, S, P).

    Without weights of its own the shortcut is the identity.
    """
    P, W = w["project.weight"].shape
    rows = {"i": slice(W), "f": slice(W, 2 * W), "g": slice(2 * W, 3 * W), "o": slice(3 * W, None)}
    h = np.zeros((len(x), P)) if h is None else h
    c = np.zeros((len(x), W)) if c is None else c

    def affine(gate: str, x: Array, h: Array) -> Array:
        of_input, of_hidden = (
            w["from_input.weight"][rows[gate]],
            w["from_hidden.weight"][rows[gate]],
        )
        return x @ of_input.T + h @ of_hidden.T + w["from_input.bias"][rows[gate]]

    v_i, v_f = (w.get(f"to_{gate}_gate", np.zeros(W)) for gate in ("input", "forget"))
    v_o = w.get("to_output_gate", np.zeros((P, W)))
    v_o = np.diag(v_o) if v_o.ndim == 1 else v_o
    outputs = []
    for now in np.moveaxis(x, 1, 0):
        way = (
            now @ w["shortcut.weight"].T
            if "shortcut.weight" in w
            else now[:, w.get("half", slice(None))]
        )
        i = sigmoid(affine("i", now, h) + v_i * c)
        f = sigmoid(affine("f", now, h) + v_f * c)
        c = f * c + i * np.tanh(affine("g", now, h))
        o = sigmoid(affine("o", now, h) + c @ v_o.T)
        h = o * (np.tanh(c) @ w["project.weight"].T + way)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def kim_stacked(w: Weights, frames: Array, s: Any) -> Array:
    """The residual LSTM of Kim et al.; of two directions each passes on its half of the input."""
    x = standardise(under(w, "normalise"), frames)
    x = linear(under(w, "project"), texture(under(w, "texture"), x, s.texture_frames))
    ways = 2 if s.bidirectional else 1
    halves = np.split(np.arange(s.projection), ways)
    for i in range(s.depth):
        cells = [under(w, f"layers.{i}.cells.{k}") | {"half": halves[k]} for k in range(ways)]
        turned = (slice(None), slice(None, None, -1))[:ways]
        sides = [kim(cell, x[:, way])[:, way] for cell, way in zip(cells, turned, strict=True)]
        x = np.concatenate(sides, axis=2)
    x = layer_norm(under(w, "final_norm"), x)
    return classify(w, x, s.pooling, bidirectional=s.bidirectional)


def conv_lstm(
    w: Weights,
    x: Array,
    h: Array | None = None,
    c: Array | None = None,
    *,
    padding: str = "same",
    norm: Callable[[str, Array, int], Array] = lambda part, x, step: x,
) -> tuple[Array, Array]:
    """h of every step (B, N, K, *space), and the last c.

    Equations (3) of Shi et al. 2015; with ``norm``, of a part of a step, (6) to (8) of Cooijmans et
    al. 2016 with convolutions.
    """
    bias = w["bias"] if "bias" in w else w["from_input.bias"]
    bias = bias.reshape(-1, *(1,) * (x.ndim - 3))
    v = w.get("peepholes", np.zeros(3))
    outputs = []
    for t, now in enumerate(np.moveaxis(x, 1, 0)):
        gates = norm("input", convolve(now, w["from_input.weight"], padding), t) + bias
        if h is not None:
            gates = gates + norm("hidden", convolve(h, w["from_hidden.weight"]), t)
        i, f, g, o = np.split(gates, 4, axis=1)
        kept = 0 if c is None else c
        c = sigmoid(f + v[1] * kept) * kept + sigmoid(i + v[0] * kept) * np.tanh(g)
        h = sigmoid(o + v[2] * c) * np.tanh(norm("cell", c, t))
        outputs.append(h)
    return np.stack(outputs, axis=1), c


def step_norm(w: Weights) -> Callable[[str, Array, int], Array]:
    """Normalisation by the statistics of a step; later steps use the last one trained."""

    def norm(part: str, x: Array, step: int) -> Array:
        own = under(w, f"{part}_norm")
        slot = min(step, int(own["batches"].nonzero()[0].max()))
        running = {"running_mean": own["means"][slot], "running_var": own["variances"][slot]}
        return batch_norm({"weight": own["weight"]} | running, x)

    return norm


def conv_lstms(w: Weights, frames: Array, s: Any) -> Array:
    """The ConvLSTMs: over patches, along the coefficients, and over patches with shortcuts."""
    B, _, F = frames.shape
    x = texture(under(w, "texture"), standardise(under(w, "normalise"), frames), s.texture_frames)
    patch = min(getattr(s, "patch", 1), x.shape[1])
    n_steps = x.shape[1] // patch
    x = x[:, : n_steps * patch].reshape(B, n_steps, patch, -1, F).swapaxes(2, 3)  # (B, N, C, P, F)
    if not hasattr(s, "patch"):
        x = x[:, :, :, 0]  # (B, N, C, F)
    last = len(s.channels) - 1
    for i in range(last + 1):
        own = under(w, f"layers.{i}")
        y, _ = conv_lstm(own, x, **({"norm": step_norm(own)} if hasattr(s, "shortcut") else {}))
        if hasattr(s, "shortcut"):
            way = w.get(f"shortcuts.{i}.weight")
            y = y + (x if way is None else np.einsum("bncpf,kc->bnkpf", x, way[:, :, 0, 0]))
        norm = under(w, "final_norm" if i == last else "") or under(w, f"norms.{i}")
        y = batch_norm(norm, y, 2) if norm else y
        x = maximum(y, 2) if i == 0 < last else y
    if hasattr(s, "patch"):
        x = x.swapaxes(2, 3).reshape(B, -1, *x.shape[2:3], F if not last else F // 2)
    return classify(w, x.reshape(*x.shape[:2], -1), s.pooling)


def image(w: Weights, normalised: Array, n_bands: int) -> Array:
    """Mel bands of normalised MFCC, by SciPy's inverse DCT, less their means: (B, T, M)."""
    mfcc = normalised * w["normalise.deviation"]
    bands = idct(np.pad(mfcc, ((0, 0), (0, 0), (0, N_MELS - mfcc.shape[2]))), norm="ortho", axis=2)
    return bands.reshape(*bands.shape[:2], n_bands, -1).mean(3)


def front(w: Weights, bands: Array, s: Any) -> Array:
    """Blocks of convolution, maximum, normalisation, rectifier: (B, T, M) -> (B, K, T', M')."""
    x = batch_norm(under(w, "scale"), bands, 2)[:, None]
    for i, frames in enumerate(s.pool_time):
        x = maximum(convolve(x, w[f"convolutions.{i}.weight"]), frames, 2)
        x = np.maximum(batch_norm(under(w, f"norms.{i}"), x), 0)
    return x


def cnn(w: Weights, frames: Array, s: Any) -> Array:
    x = image(w, standardise(under(w, "normalise"), frames), s.bands)
    return classify(w, front(under(w, "front"), x, s).mean(3).swapaxes(1, 2), s.pooling)


def crnn(w: Weights, frames: Array, s: Any) -> Array:
    x = image(w, standardise(under(w, "normalise"), frames), s.bands)
    x = front(under(w, "front"), x, s).swapaxes(1, 2)
    x = linear(under(w, "project"), x.reshape(*x.shape[:2], -1))
    x = stack(under(w, "stack"), x, s.depth, residual=True)
    return classify(w, x, s.pooling, bidirectional=s.bidirectional)


def window_statistics(w: Weights, x: Array, n_bands: int, n_modulation_bands: int) -> Array:
    """Means, log deviations, those of the change, log power of movement, of normalised frames."""
    bands = image(w, x, n_bands)
    moving = (bands - bands.mean(1, keepdims=True)) * np.hanning(x.shape[1])[:, None]
    power = np.abs(np.fft.rfft(moving, axis=1)) ** 2
    edges = modulation_edges(x.shape[1], n_modulation_bands)
    speeds = [power[:, a:b].mean(1) for a, b in itertools.pairwise(edges)]
    deviations = [np.log(part.std(1, ddof=1)) for part in (x, np.diff(x, axis=1))]
    return np.concatenate([x.mean(1), *deviations, np.log(np.concatenate(speeds, 1) + 1e-4)], 1)


def statistical(w: Weights, frames: Array, s: Any) -> Array:
    """The baseline and the discriminant, which differ in how they are solved for alone."""
    x = standardise(under(w, "normalise"), frames)
    x = window_statistics(w, x, s.bands, s.modulation_bands)
    return linear(under(w, "head"), standardise(under(w, "scale"), x))


def fusion(w: Weights, frames: Array, s: Any) -> Array:
    ours = softmax(crnn(under(w, "network"), frames, s.network), 1)
    theirs = softmax(statistical(under(w, "baseline"), frames, s.baseline), 1)
    return np.log(s.share * ours + (1 - s.share) * theirs)
