"""musicnn as an ONNX graph: a convolutional network that tags music.

Pons and Serra (2019) trained it on the Million Song Dataset; its weights do not ship. This module
makes an ear of them: an ONNX graph from frames to the square roots of the likelihoods of 50 tags,
about once a second, which a recurrent head that does ship reads.
:mod:`ostinato.inference.musicnn_wheel` fetches the weights and writes the file. TensorFlow and
PyTorch are not needed; ``onnx`` is, to make the file.

The arithmetic is that of the original, patch by patch, but for three shortcuts that change only the
last bits. Weight decay has left most kernels of the front end (497 of 561) at zero: their channels
are constant, and are not computed (:func:`live_arrays`). A patch is 187 frames long and begins 61
frames after the one before, so most frames are in three patches: the convolutions of the front end
are computed once for all patches, and separately for the frames near the ends of a patch, where it
is padded with zeros. And the maximum over frequency is taken before rectification and
normalisation; where the normalisation's factor is negative, of the negated convolution.

Axes: B excerpts, T frames of an excerpt, M mel bands, S patches of an excerpt, P frames of a patch,
C channels.

References
----------
J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
late-breaking/demo session, ISMIR 2019.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ostinato.errors import require
from ostinato.features import FeatureSpec
from ostinato.inference.ear import VECTORS
from ostinato.inference.model_file import EAR_METADATA, FRAMES
from ostinato.inference.registry import VECTORS_OF

if TYPE_CHECKING:
    from onnx import ModelProto

PATCH_FRAMES, PATCH_HOP = 187, 61
"""Length of a patch, the network's input, and from one to the next, in frames: 3 s and 1 s."""

SPEC = FeatureSpec(
    kind="log-mel", sample_rate_hz=16000, n_fft=512, hop_samples=256, center=True, n_mels=96,
    scaling="log-compress",
)  # fmt: skip
"""The frames that the network was trained on."""

NAME = "musicnn"
"""The ear's name, for ``--frames``, and the model's, for ``--model``."""

TAGS_SPEC = FeatureSpec(
    kind="external", name=VECTORS_OF[NAME], width=50, sample_rate_hz=SPEC.sample_rate_hz,
    n_fft=PATCH_FRAMES * SPEC.hop_samples, hop_samples=PATCH_HOP * SPEC.hop_samples,
)  # fmt: skip
"""The frames that the network gives, one a patch: square roots of the tags' likelihoods."""

LICENCE = "ISC, J. Pons"

Arrays = dict[str, NDArray[np.float32]]
"""The network's variables, under TensorFlow's names and in its order of axes."""

_OPSET = 18
_NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")
_FRONT = 5  # convolutions side by side
_LANES = 8  # numbers that a processor computes at once
_DEAD = 1e-6  # no number of a kernel is larger where weight decay has extinguished a channel
_EPSILON = 1e-3  # of every batch normalisation, TensorFlow's default
EXTRA: dict[str, str] = {"extra": "musicnn", "needed_for": "Making musicnn's file"}
"""What :func:`~ostinato.errors.require` says if ``onnx`` is missing."""


def ear_graph(arrays: Arrays) -> ModelProto:
    """Make the network's graph: frames (B, T, M) -> vectors (B, S, n_tags).

    Vectors are the square roots of the tags' likelihoods, of a patch every :data:`PATCH_HOP` frames
    while a whole one fits. T is any number from :data:`PATCH_FRAMES` on.
    """
    onnx = require("onnx", **EXTRA)
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    body = _Graph(onnx)
    roots = _of_one_excerpt(body, live_arrays(arrays))
    excerpt = helper.make_tensor_value_info("excerpt", number, ["frames", SPEC.n_mels])
    tagged = helper.make_tensor_value_info(roots, number, ["steps", TAGS_SPEC.width])
    # One excerpt after the other: one takes more memory than any other model.
    scan = helper.make_node(
        "Scan", [FRAMES], [VECTORS], num_scan_inputs=1,
        body=helper.make_graph(body.nodes, "excerpt", [excerpt], [tagged]),
    )  # fmt: skip
    frames, vectors = (
        helper.make_tensor_value_info(name, number, ["batch", length, width])
        for name, length, width in (
            (FRAMES, "frames", SPEC.n_mels), (VECTORS, "steps", TAGS_SPEC.width),
        )
    )  # fmt: skip
    graph = helper.make_graph([scan], NAME, [frames], [vectors], body.initializers)
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9
    )
    about = {
        "name": TAGS_SPEC.name,
        "sample_rate_hz": TAGS_SPEC.sample_rate_hz,
        "hop_samples": TAGS_SPEC.hop_samples,
        "heard_samples": TAGS_SPEC.n_fft,
        "width": TAGS_SPEC.width,
        "licence": LICENCE,
        "spec": SPEC.to_dict(),
    }
    helper.set_model_props(model, {EAR_METADATA: json.dumps(about)})
    return model


def live_arrays(arrays: Arrays) -> Arrays:
    """Leave out the channels of the front end whose kernel is zero; the graph stays the same.

    Such a channel is constant, so what the layers behind it make of it is added to their biases;
    that of the first, at whose ends a patch is padded with zeros, becomes one of shape (P, C).
    """
    small = dict(arrays)
    constants, lives = [], []
    for i in range(_FRONT):
        name = numbered("conv2d", i)
        largest = np.abs(arrays[f"{name}/kernel"]).max(axis=(0, 1, 2))  # (C,)
        n_live = int((largest > _DEAD).sum())
        if not _is_temporal(arrays, i):
            n_live += -n_live % _LANES  # a few dead ones take no more time
        live = np.isin(np.arange(largest.size), np.argsort(largest)[-n_live:])
        factor, offset = _norm(arrays, i + 1)
        constant = np.maximum(arrays[f"{name}/bias"], 0) * factor + offset
        constants.append(np.where(live, 0, constant))
        lives.append(live)
        norm = numbered("batch_normalization", i + 1)
        for part in (f"{name}/kernel", f"{name}/bias", *(f"{norm}/{part}" for part in _NORM_PARTS)):
            small[part] = arrays[part][..., live]
    constant, live = np.concatenate(constants), np.concatenate(lives)  # (C,)
    name = numbered("conv2d", _FRONT)
    kernel = arrays[f"{name}/kernel"]  # (time, C, 1, C')
    taps = np.einsum("c,tcuo->to", constant, kernel)
    inside = np.pad(np.ones(PATCH_FRAMES, np.float32), len(taps) // 2)
    small[f"{name}/kernel"] = kernel[:, live]
    small[f"{name}/bias"] = arrays[f"{name}/bias"] + sliding_window_view(inside, len(taps)) @ taps

    norm = numbered("batch_normalization", 9)
    factor, offset = _norm(arrays, 9)
    n_behind = factor.size // 2 - live.size
    live = np.pad(live, (0, n_behind), constant_values=True).repeat(2)  # maximum and mean of each
    pooled: NDArray[np.float32] = np.pad(constant, (0, n_behind)).repeat(2) * factor + offset
    kernel = arrays["dense/kernel"]
    small["dense/bias"] = arrays["dense/bias"] + pooled[~live] @ kernel[~live]
    small["dense/kernel"] = kernel[live]
    return small | {f"{norm}/{part}": arrays[f"{norm}/{part}"][live] for part in _NORM_PARTS}


def numbered(layer: str, i: int) -> str:
    """As TensorFlow names the i-th layer of a kind: ``conv2d``, ``conv2d_1``, ..."""
    return f"{layer}_{i}" if i else layer


class _Graph:
    """Nodes and numbers of a graph that is being built; each value has its own name."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; gives the name of its output."""
        name = f"{operator} {len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def number(self, values: Any, dtype: Any = np.float32) -> str:
        """Add numbers, each array once; gives their name."""
        array = np.asarray(values, dtype=dtype, order="C")
        name = f"number {len(self.initializers)}"
        key = (array.dtype.str, array.shape, array.tobytes())
        if self.names.setdefault(key, name) == name:
            self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return self.names[key]

    def whole(self, *values: int) -> str:
        """Add whole numbers: axes, shapes, places."""
        return self.number(np.array(values), np.int64)

    def scaled(self, x: str, factor: NDArray[np.float32], offset: NDArray[np.float32]) -> str:
        """Multiply by a factor, and add an offset."""
        return self("Add", self("Mul", x, self.number(factor)), self.number(offset))


def _norm(arrays: Arrays, i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and offset of a batch normalisation [each shape=(C,)]."""
    gamma, beta, mean, variance = (
        arrays[f"{numbered('batch_normalization', i)}/{part}"].astype(np.float64)
        for part in _NORM_PARTS
    )
    factor = gamma / np.sqrt(variance + _EPSILON)
    return factor.astype(np.float32), (beta - mean * factor).astype(np.float32)


def _of_one_excerpt(add: _Graph, arrays: Arrays) -> str:
    """Compute roots of the tags of an excerpt's patches (S, n_tags) from its frames (T, M)."""
    x = add.scaled("excerpt", *_norm(arrays, 0))
    n_frames = add("Squeeze", add("Shape", "excerpt", start=0, end=1))
    end = add("Sub", n_frames, add.number(PATCH_FRAMES - 1, np.int64))
    starts = add("Range", add.number(0, np.int64), end, add.number(PATCH_HOP, np.int64))
    starts = add("Unsqueeze", starts, add.whole(1))  # (S, 1)
    front = [_convolved(add, x, arrays, i, starts) for i in range(_FRONT)]
    x = add("Transpose", add("Concat", *front, axis=2), perm=[0, 2, 1])  # (S, C, P)
    layers, y = [x], ""
    for i in (5, 6, 7):
        x = _dense_in_time(add, y or x, arrays, i)
        y = add("Add", x, y) if y else x  # a shortcut around the second and the third
        layers.append(y)
    x = add("Concat", *layers, axis=1)  # (S, C, P)
    pools = [
        add("ReduceMax", x, add.whole(2), keepdims=1),
        add("ReduceMean", x, add.whole(2), keepdims=1),
    ]
    x = add("Flatten", add("Concat", *pools, axis=2))  # (S, 2 C): maximum, mean, maximum, ...
    x = add("Relu", _dense(add, add.scaled(x, *_norm(arrays, 9)), arrays, 0))
    tags = add("Sigmoid", _dense(add, add.scaled(x, *_norm(arrays, 10)), arrays, 1))
    return add("Sqrt", tags)


def _convolved(add: _Graph, x: str, arrays: Arrays, i: int, starts: str) -> str:
    """Compute a layer of the front end: frames (T, M) -> patches (S, P, C).

    It is computed once for all patches, but for the frames near the ends of each, where the
    convolution is padded with zeros.
    """
    length = arrays[f"{numbered('conv2d', i)}/kernel"].shape[0]
    end, before = length // 2, (length - 1) // 2  # TensorFlow pads less before than behind
    inside = _pooled(add, add("Unsqueeze", x, add.whole(0, 1)), arrays, i)  # (1, T', C)
    within = add("Add", starts, add.whole(*range(end - before, PATCH_FRAMES - before - end)))
    inside = add("Gather", add("Squeeze", inside, add.whole(0)), within)  # (S, P - 2 end, C)

    frames = np.array([[-before], [PATCH_FRAMES - end - before]]) + np.arange(end + length - 1)
    is_there = (frames >= 0) & (frames < PATCH_FRAMES)  # (2, end + length - 1)
    where = add("Add", add("Unsqueeze", starts, add.whole(2)), add.number(frames, np.int64))
    where = add("Where", add.number(is_there, np.bool_), where, add.whole(-1))  # -1: the zeros
    zeros = add("Pad", x, add.whole(0, 0, 1, 0))
    ends = add(
        "Reshape", add("Gather", zeros, where), add.whole(-1, 1, frames.shape[1], SPEC.n_mels)
    )
    ends = _pooled(add, ends, arrays, i)  # (2 S, end, C)
    ends = add("Reshape", ends, add.whole(-1, 2, end, arrays[f"{numbered('conv2d', i)}/bias"].size))
    first, last = (add("Gather", ends, add.number(which, np.int64), axis=1) for which in (0, 1))
    return add("Concat", first, inside, last, axis=1)


def _is_temporal(arrays: Arrays, i: int) -> bool:
    """Whether a layer of the front end convolves each band alone; few of its channels live."""
    return bool(arrays[f"{numbered('conv2d', i)}/kernel"].shape[1] == 1)


def _pooled(add: _Graph, x: str, arrays: Arrays, i: int) -> str:
    """Convolve, rectify, normalise, take the maximum over frequency: (N, 1, T, M) -> (N, T', C).

    The maximum comes first: rectifying and normalising keep the order, or reverse it where the
    factor is negative. There the kernel is negated, and so is the maximum. Layers of few channels
    compute 8 frames at a time, as channels of their own: that fills the processor's lanes. T' is a
    multiple of it then, so there may be frames too many at the end.
    """
    name = numbered("conv2d", i)
    factor, offset = _norm(arrays, i + 1)
    sign = np.where(factor < 0, -1, 1).astype(np.float32)
    kernel = (arrays[f"{name}/kernel"] * sign).transpose(3, 2, 0, 1)  # (C, 1, time, frequency)
    few = _LANES if _is_temporal(arrays, i) else 1
    n, _, length, width = kernel.shape
    shifted = np.zeros((few, n, 1, length + few - 1, width), np.float32)
    for j in range(few):
        shifted[j, :, :, j : j + length] = kernel
    bias = add.number(np.tile(arrays[f"{name}/bias"] * sign, few))
    kernels = add.number(shifted.reshape(few * n, *shifted.shape[2:]))
    x = add("Conv", x, kernels, bias, strides=[few, 1], pads=[0, 0, few - 1, 0])
    x = add("ReduceMax", x, add.whole(3), keepdims=0)  # (N, few C, T' / few)
    x = add("Reshape", add("Transpose", x, perm=[0, 2, 1]), add.whole(0, -1, n))  # (N, T', C)
    return add.scaled(add("Relu", add("Mul", x, add.number(sign))), factor, offset)


def _dense_in_time(add: _Graph, x: str, arrays: Arrays, i: int) -> str:
    """Convolve over 7 frames and all channels: (S, C, P) -> (S, C', P)."""
    name = numbered("conv2d", i)
    kernel = arrays[f"{name}/kernel"][:, :, 0].transpose(2, 1, 0)  # (C', C, time)
    margin = kernel.shape[2] // 2
    bias = np.atleast_2d(arrays[f"{name}/bias"]).T  # (C', P or 1)
    x = add("Conv", x, add.number(kernel), pads=[margin, margin])
    x = add("Relu", add("Add", x, add.number(bias)))
    factor, offset = _norm(arrays, i + 1)
    return add.scaled(x, factor[:, None], offset[:, None])


def _dense(add: _Graph, x: str, arrays: Arrays, i: int) -> str:
    name = numbered("dense", i)
    return add("Gemm", x, *(add.number(arrays[f"{name}/{part}"]) for part in ("kernel", "bias")))
