"""A trained model as one ONNX file for listening: logits and distance, with its metadata.

Separate graphs are joined: the model's own (:mod:`ostinato.models.export.graph`), that of
:class:`~ostinato.training.novelty.Novelty`, which takes the same frames, and, for programs that
have ONNX Runtime alone, the front end before them and the average of the windows behind
(:mod:`ostinato.models.export.front_end`). Before a file is written, its graph is loaded as
listeners load it, and compared with PyTorch.

Axes: B batch, T frames, F features, G genres.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.errors import DataError, UsageError, require
from ostinato.evaluation import apply_temperature, pool_windows
from ostinato.features import FeatureSpec, cut, frames, window_starts
from ostinato.inference.model_file import (
    DISTANCE,
    FRAMES,
    LOGITS,
    METADATA,
    PROBABILITIES,
    read_graph,
)
from ostinato.inference.model_info import TAKES_WAVEFORM, ModelInfo
from ostinato.models.export.front_end import WINDOWS, frames_of_excerpt, front_end_graph
from ostinato.models.export.graph import to_onnx
from ostinato.models.genre_model import GenreModel
from ostinato.storage import replacing

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
"""Largest difference of a logit between PyTorch and ONNX Runtime that is put down to rounding."""

_AS_EXACT = 4
"""How many times PyTorch's own rounding ONNX Runtime may differ, where that is more than the
tolerance: a discriminant adds large numbers up."""

DISTANCE_TOLERANCE = 1e-3
"""Largest difference of a distance: its statistics are divided by the least that they varied."""

FRONT_END_TOLERANCE = 1e-3
"""Largest difference of a probability between the front end in the graph and in NumPy."""

_PREFIX = "novelty/"


def write_listening(
    model: GenreModel, novelty: GenreModel | None, info: ModelInfo, path: Path, *, windows: Tensor
) -> float:
    """Write the file that :class:`ostinato.Classifier` loads.

    Parameters
    ----------
    novelty : GenreModel or None
        Gives distances (B,), as :class:`~ostinato.training.novelty.Novelty` does. None: the model
        does not say when a sound is unlike what it learned from.
    info : ModelInfo
        With ``novelty_threshold`` where there is a novelty, and without where there is none.
    windows : float32 tensor [shape=(B, T, F)]
        Real frames, on which PyTorch and ONNX Runtime are compared.

    Returns
    -------
    float
        The largest difference of a logit, relative to the largest logit if that is above 1.

    Raises
    ------
    UsageError, MissingExtraError
        As :func:`ostinato.models.export.graph.to_onnx`.
    DataError
        If a logit differs by more than 1e-4, and not for rounding, or a distance by more than
        1e-3; nothing is written.
    WriteError
        If the file cannot be written.
    """
    content = listening_graph(model, novelty, info)
    logits, distances = read_graph(content, source=str(path)).run(windows.numpy())
    difference = _largest_difference(model, windows, logits)
    most = TOLERANCE
    if difference > most:
        most = max(most, _AS_EXACT * _rounding(model, windows))
    _check(path, difference, most=most, of="the model's logits")
    if novelty is not None:
        assert distances is not None
        apart = _largest_difference(novelty, windows, distances)
        _check(path, apart, most=DISTANCE_TOLERANCE, of="the model's distances")
    _write(path, content)
    return difference


def listening_graph(model: GenreModel, novelty: GenreModel | None, info: ModelInfo) -> bytes:
    """The bytes of that file, not yet compared with PyTorch."""
    graph = to_onnx(model, window_frames=info.window_frames)
    if novelty is not None:
        graph = _with_distance(graph, to_onnx(novelty, window_frames=info.window_frames))
    return stamped(graph, info)


def write_with_front_end(
    model: GenreModel, novelty: GenreModel | None, info: ModelInfo, path: Path
) -> float:
    """Write the file for programs without Ostinato: sound in, probabilities out.

    The graph takes excerpts ``waveform`` [float32, shape=(B, S)] of ``info.spec.excerpt_samples``
    at its sample rate, and gives ``probabilities`` [shape=(B, G)], after the temperature, and
    ``distance`` [shape=(B,)] where there is a novelty. Parameters and errors are those of
    :func:`write_listening`, but a probability may differ by 1e-3 from Ostinato's own, on noise;
    returned is the largest difference.
    """
    content = with_front_end(listening_graph(model, novelty, info), info)
    sounds = _noises(info.spec)
    probabilities, distances = read_graph(content, source=str(path)).run(np.stack(sounds))
    expected = [_expected_verdict(model, novelty, info, sound) for sound in sounds]
    difference = max(
        float(np.abs(row - wanted).max())
        for row, (wanted, _) in zip(probabilities, expected, strict=True)
    )
    if distances is not None:
        apart = [abs(d / wanted - 1) for d, (_, wanted) in zip(distances, expected, strict=True)]
        difference = max(difference, *apart)
    _check(path, difference, most=FRONT_END_TOLERANCE, of="Ostinato's probabilities")
    _write(path, content)
    return difference


def with_front_end(content: bytes, info: ModelInfo) -> bytes:
    """Make a model's file that takes frames one that takes sound, not yet compared with anything.

    UsageError if its frames are not computed from sound alone, as those of an ear.
    """
    if info.spec.kind == "external":
        raise UsageError(
            f"Expected a model that hears sound itself, got one of {info.spec.describe()}."
        )
    info = replace(info, takes=TAKES_WAVEFORM)
    return stamped(_between(front_end_graph(info), content, info), info)


def _check(path: Path, difference: float, *, most: float, of: str) -> None:
    """Refuse a graph if ONNX Runtime's figures are too far from the expected ones."""
    if not difference <= most:  # NaN is refused as well
        raise DataError(
            f"{path}: expected {of} within {most:g}, got a difference of {difference:.3g} between "
            "PyTorch and ONNX Runtime; nothing was written."
        )


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def stamped(graph: ModelProto, info: ModelInfo) -> bytes:
    """A graph with its metadata, as the bytes of a file."""
    onnx = require("onnx", extra="train", needed_for="Export to ONNX")
    onnx.helper.set_model_props(graph, {METADATA: info.to_json()})
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString()
    return content


def _with_distance(graph: ModelProto, novelty: ModelProto) -> ModelProto:
    """A model's graph with the distance as its second output; both take the same frames."""
    onnx = require("onnx", extra="train", needed_for="Export to ONNX")
    other = onnx.compose.add_prefix(novelty, _PREFIX, rename_inputs=False).graph
    for node in other.node:
        node.input[:] = [name.removeprefix(_PREFIX + FRAMES) or FRAMES for name in node.input]
        node.output[:] = [DISTANCE if n == _PREFIX + LOGITS else n for n in node.output]
    (output,) = other.output
    output.name = DISTANCE
    graph.graph.node.extend(other.node)
    graph.graph.initializer.extend(other.initializer)
    graph.graph.output.append(output)
    return graph


def _between(front: ModelProto, frames: bytes, info: ModelInfo) -> ModelProto:
    """Join the front end, a graph of frames, and the mean over an excerpt's windows."""
    onnx = require("onnx", extra="train", needed_for="Export to ONNX")
    graph = onnx.load_from_string(frames)
    has_distance = len(graph.graph.output) > 1
    graph.ir_version = front.ir_version
    front = onnx.compose.add_prefix(front, "front/", rename_inputs=False, rename_outputs=False)
    graph = onnx.compose.add_prefix(graph, "model/", rename_inputs=False, rename_outputs=False)
    joined: ModelProto = onnx.compose.merge_models(front, graph, io_map=[(WINDOWS, FRAMES)])
    n_windows = window_starts(
        frames_of_excerpt(info), length=info.window_frames, hop=info.window_hop
    ).size
    numbers = {
        "by excerpt": np.array([-1, n_windows, len(info.genres)]),
        "distances by excerpt": np.array([-1, n_windows]),
        "windows' axis": np.array([1]),
        "least": np.array(1e-12, np.float32),
        "temperature": np.array(info.temperature, np.float32),
    }
    # mean over windows of the softmax, then the temperature: pool_windows and apply_temperature
    many = info.multi_label
    steps: list[tuple[str, list[str], str, dict[str, int]]] = [
        ("Sigmoid", [LOGITS], "sure", {}) if many else ("Softmax", [LOGITS], "sure", {"axis": 1}),
        ("Reshape", ["sure", "by excerpt"], "of windows", {}),
        ("ReduceMean", ["of windows", "windows' axis"], "mean", {"keepdims": 0}),
    ]
    if many:  # without a temperature
        steps.append(("Identity", ["mean"], PROBABILITIES, {}))
    else:
        steps += [
            ("Max", ["mean", "least"], "kept", {}),
            ("Log", ["kept"], "logarithm", {}),
            ("Div", ["logarithm", "temperature"], "scaled", {}),
            ("Softmax", ["scaled"], PROBABILITIES, {"axis": 1}),
        ]
    outputs = [(PROBABILITIES, ["batch", len(info.genres)])]
    if has_distance:
        far = f"{DISTANCE} of windows"
        for node in joined.graph.node:
            node.output[:] = [far if name == DISTANCE else name for name in node.output]
        steps += [
            ("Reshape", [far, "distances by excerpt"], "distances", {}),
            ("ReduceMean", ["distances", "windows' axis"], DISTANCE, {"keepdims": 0}),
        ]
        outputs.append((DISTANCE, ["batch"]))
    helper = onnx.helper
    joined.graph.node.extend(helper.make_node(op, i, [o], **more) for op, i, o, more in steps)
    joined.graph.initializer.extend(onnx.numpy_helper.from_array(n, k) for k, n in numbers.items())
    del joined.graph.output[:]
    joined.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in outputs
    )
    return joined


def _noises(spec: FeatureSpec) -> list[NDArray[np.float32]]:
    """Two excerpts of noise with all frequencies, one of them with beats."""
    random = np.random.default_rng(0)
    n = spec.excerpt_samples
    hiss = random.normal(size=(2, n)) * 0.05
    rumble = np.cumsum(hiss[1]) * np.square(np.sin(np.arange(n) * 8 / spec.sample_rate_hz))
    sounds = (hiss[0], hiss[1] + rumble / np.abs(rumble).max())
    return [(0.5 * sound / np.abs(sound).max()).astype(np.float32) for sound in sounds]


@torch.no_grad()
def _expected_verdict(
    model: GenreModel, novelty: GenreModel | None, info: ModelInfo, sound: NDArray[np.float32]
) -> tuple[NDArray[np.float64], float]:
    """Probabilities and mean distance of an excerpt, by the package's own functions."""
    windows = cut(frames(sound, info.spec), length=info.window_frames, hop=info.window_hop)
    x = torch.from_numpy(windows)
    logits = model.cpu().float().eval()(x).numpy()
    (mean,) = pool_windows(logits, np.array([len(windows)]), multi_label=info.multi_label)
    distance = 1.0 if novelty is None else float(novelty(x).mean())
    return mean if info.multi_label else apply_temperature(mean, info.temperature), distance


@torch.no_grad()
def _largest_difference(model: GenreModel, windows: Tensor, got: NDArray[np.floating]) -> float:
    """Relative to the largest figure, where that is above 1."""
    wanted = model.cpu().float().eval()(windows).numpy()
    scale = float(np.abs(wanted).max(initial=1))
    return float(np.abs(got - wanted).max(initial=0)) / scale


@torch.no_grad()
def _rounding(model: GenreModel, windows: Tensor) -> float:
    """The largest difference of PyTorch's figures from those with twice as many digits."""
    exact = copy.deepcopy(model).double()(windows.double()).numpy()
    return _largest_difference(model, windows, exact)
