"""Small models of known arithmetic, as ONNX files, made without PyTorch."""

from __future__ import annotations

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
