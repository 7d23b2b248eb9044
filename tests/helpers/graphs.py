"""Small models of known arithmetic, as ONNX files, made without PyTorch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ostinato.features import FeatureSpec
from ostinato.inference.model_info import ModelInfo

SPEC = FeatureSpec(n_coefficients=4)
INFO = ModelInfo(
    family="toy",
    settings={},
    genres=("blues", "jazz", "rock"),
    spec=SPEC,
    window_frames=24,
    window_hop=12,
    temperature=0.7,
)
#: Frames -> logits: the mean over time of each window, times this.
WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) * 3


def toy_graph(
    info: ModelInfo = INFO, *, weight: np.ndarray = WEIGHT, distance: bool = False, **shape: Any
) -> onnx.ModelProto:
    """Mean over time, then a product; the distance is the largest value of the window.

    ``shape`` changes what the graph says of itself: input, output, batch, frames, width, n_genres,
    element.
    """
    element = shape.get("element", TensorProto.FLOAT)
    batch = shape.get("batch", "batch")
    time, width = shape.get("frames", info.window_frames), shape.get("width", len(weight))
    n_genres = shape.get("n_genres", weight.shape[1])
    source, target = shape.get("input", "frames"), shape.get("output", "logits")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    both = numpy_helper.from_array(np.array([1, 2], np.int64), "both")
    dtype = helper.tensor_dtype_to_np_dtype(element)
    nodes = [
        helper.make_node("ReduceMean", [source, "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], [target]),
    ]
    outputs = [helper.make_tensor_value_info(target, element, [batch, n_genres])]
    if distance:
        nodes.append(helper.make_node("ReduceMax", [source, "both"], ["distance"], keepdims=0))
        outputs.append(helper.make_tensor_value_info("distance", element, [batch]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(source, element, [batch, time, width])],
        outputs,
        [axes, both, numpy_helper.from_array(weight.astype(dtype), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return stamp(model, info.to_json())


def stamp(model: onnx.ModelProto, metadata: str | None) -> onnx.ModelProto:
    del model.metadata_props[:]
    if metadata is not None:
        helper.set_model_props(model, {"ostinato": metadata})
    return model


def toy_bytes(info: ModelInfo = INFO, **changes: Any) -> bytes:
    content: bytes = toy_graph(info, **changes).SerializeToString()
    return content


def toy_info(**changes: Any) -> ModelInfo:
    return replace(INFO, **changes)


#: An ear of sound: a vector of 3 numbers every 500 samples, from 1000 of 8 kHz.
EAR = {
    "name": "toy-ear",
    "sample_rate_hz": 8000,
    "hop_samples": 500,
    "heard_samples": 1000,
    "width": 3,
    "licence": "MIT",
    "spec": None,
}
#: An ear of frames: a vector every second frame, from 10 frames.
EARS_SPEC = FeatureSpec(kind="log-mel", sample_rate_hz=8000, n_fft=512, hop_samples=250, n_mels=8)
FRAMES_EAR = EAR | {"heard_samples": 9 * 250 + 512, "spec": EARS_SPEC.to_dict()}


def ear_weight(about: dict[str, Any]) -> np.ndarray:
    """Kernels of a toy ear [shape=(width, places that a vector hears, features)]."""
    places, features = (10, EARS_SPEC.n_features) if about["spec"] else (about["heard_samples"], 1)
    random = np.random.default_rng(3).normal(size=(about["width"], places, features))
    return (random / np.sqrt(places * features)).astype(np.float32)


def ear_graph(about: dict[str, Any] = EAR, **shape: Any) -> onnx.ModelProto:
    """A toy ear: the hyperbolic tangent of a convolution with random kernels.

    ``shape`` changes what the graph says of itself (input, output, batch, time, width, metadata),
    or what it does (factor).
    """
    weight = ear_weight(about).transpose(0, 2, 1) * np.float32(shape.get("factor", 1))
    takes_frames = about["spec"] is not None
    source = shape.get("input", "frames" if takes_frames else "waveform")
    target, batch = shape.get("output", "vectors"), shape.get("batch", "batch")
    time, width = shape.get("time", "time"), shape.get("width", about["width"])
    sizes = [batch, time, EARS_SPEC.n_features] if takes_frames else [batch, time]
    add_channel = [
        helper.make_node("Transpose", [source], ["x"], perm=[0, 2, 1])
        if takes_frames
        else helper.make_node("Unsqueeze", [source, "one"], ["x"])
    ]
    stride = 2 if takes_frames else about["hop_samples"]
    nodes = [
        *add_channel,
        helper.make_node("Conv", ["x", "kernels"], ["y"], strides=[stride]),
        helper.make_node("Tanh", ["y"], ["z"]),
        helper.make_node("Transpose", ["z"], [target], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "ear",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(target, TensorProto.FLOAT, [batch, "steps", width])],
        [
            numpy_helper.from_array(weight, "kernels"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = shape.get("metadata", json.dumps(about))
    if metadata is not None:
        helper.set_model_props(model, {"ostinato-ear": metadata})
    return model


def ear_bytes(about: dict[str, Any] = EAR, **shape: Any) -> bytes:
    content: bytes = ear_graph(about, **shape).SerializeToString()
    return content
