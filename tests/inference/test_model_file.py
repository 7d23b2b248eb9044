"""Model files of strangers: loaded if they are what they say, else refused in one sentence."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ostinato.errors import DataError, UsageError
from ostinato.inference import model_file
from ostinato.inference.model_file import read_graph
from ostinato.inference.registry import load_graph, shipped
from tests.helpers.graphs import INFO, WEIGHT, stamp, toy_bytes, toy_graph, toy_info


def refused(content: bytes) -> str:
    """The sentence with which a file of these bytes is refused; it names the file."""
    with pytest.raises(DataError) as caught:
        read_graph(content, source="some.onnx")
    text = str(caught.value)
    assert text.startswith("some.onnx: ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


class TestGood:
    def test_metadata_and_figures_come_back(self) -> None:
        info = toy_info(novelty_threshold=2.0, threshold=0.4, licence="CC0", name="toy")
        graph = read_graph(toy_bytes(info, distance=True), source="x")
        assert graph.info == info
        windows = np.random.default_rng(1).normal(size=(150, 24, 4)).astype(np.float32)
        logits, distances = graph.run(windows)  # more than one run of the network
        assert distances is not None
        np.testing.assert_allclose(logits, windows.mean(axis=1) @ WEIGHT, atol=1e-5)
        np.testing.assert_allclose(distances, windows.max(axis=(1, 2)), atol=1e-6)

    def test_a_model_need_not_measure_the_distance(self) -> None:
        _, distances = read_graph(toy_bytes(), source="x").run(np.zeros((1, 24, 4), np.float32))
        assert distances is None

    def test_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(toy_bytes())
        assert load_graph(path).info == load_graph(str(path)).info == INFO

    def test_what_ships_loads_and_says_how_it_was_measured(self) -> None:
        teaching = {"lstm", "residual-lstm", "conv-lstm"}
        assert set(shipped()) == {"default", "default-filtered"} | teaching
        for name in shipped():
            info = load_graph(name).info
            assert info.name == name
            assert len(info.genres) == 10
            assert info.accuracy["low"] < info.accuracy["mean"] < info.accuracy["high"]
            # All but one have been examined on the test part, which that one has learned.
            assert ("test part" in info.accuracy["protocol"]) == (name != "default")
            assert info.threshold is not None
            assert info.novelty_threshold is not None
            assert info.licence


class TestNoModel:
    @pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"RIFF....WAVE", b"{}", b"x" * 1000])
    def test_foreign(self, content: bytes) -> None:
        assert "expected a model as an ONNX file" in refused(content)

    def test_a_pickle_is_not_opened(self, tmp_path: Path) -> None:
        """Whatever it would do when unpickled, it is not done."""
        mark = tmp_path / "unpickled"

        class Trap:
            def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
                return Path.touch, (mark,)

        refused(pickle.dumps(Trap()))
        assert not mark.exists()

    def test_every_truncation_is_refused(self) -> None:
        """A file that was cut short never passes for the whole."""
        content = toy_bytes()
        for n in range(len(content)):
            refused(content[:n])

    def test_flipped_bits_never_make_another_kind_of_error(self) -> None:
        content = toy_bytes(distance=True)
        random = np.random.default_rng(0)
        outcomes, said = {True: 0, False: 0}, []
        for _ in range(300):
            damaged = bytearray(content)
            damaged[random.integers(len(content))] ^= 1 << int(random.integers(8))
            try:
                graph = read_graph(bytes(damaged), source="x")
                graph.run(np.zeros((1, 24, 4), np.float32))
                outcomes[True] += 1
            except DataError as error:
                said.append(str(error))
                outcomes[False] += 1
        assert min(outcomes.values()) > 20  # the test saw both
        assert not any("\n" in sentence for sentence in said)

    def test_missing_or_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"Cannot read the model .*No such file"):
            load_graph(tmp_path / "none.onnx")
        with pytest.raises(DataError, match="Cannot read the model"):
            load_graph(tmp_path)

    def test_unknown_name_lists_what_ships(self) -> None:
        with pytest.raises(UsageError, match=r"of default, default-filtered, .*got 'jazzy'"):
            load_graph("jazzy")

    def test_too_large(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(model_file, "MOST_BYTES", 100)
        (tmp_path / "large.onnx").write_bytes(toy_bytes())
        with pytest.raises(DataError, match="at most 0 MiB"):
            load_graph(tmp_path / "large.onnx")


class TestMetadata:
    def test_an_onnx_graph_of_somebody_else(self) -> None:
        text = refused(stamp(toy_graph(), None).SerializeToString())
        assert "without Ostinato's metadata" in text

    @pytest.mark.parametrize(
        ("metadata", "said"),
        [
            ("not json", "not JSON"),
            ("[" * 100_000, "not JSON"),
            (json.dumps(INFO.to_dict() | {"schema": 2}), "another version of Ostinato"),
            (json.dumps(INFO.to_dict() | {"schema": True}), "another version"),
            (json.dumps(INFO.to_dict() | {"run": "rm"}), "unknown field 'run'"),
            (json.dumps(INFO.to_dict() | {"threshold": 2}), "'threshold': expected a number"),
            (json.dumps(INFO.to_dict() | {"accuracy": {"mean": 1}}), "'accuracy': expected"),
            (json.dumps(INFO.to_dict() | {"takes": "video"}), "'takes': expected"),
        ],
    )
    def test_damaged_or_too_new(self, metadata: str, said: str) -> None:
        assert said in refused(stamp(toy_graph(), metadata).SerializeToString())

    @pytest.mark.parametrize("name", ["n_mels", "n_fft", "hop_samples", "excerpt_seconds"])
    def test_settings_that_would_fill_the_memory(self, name: str) -> None:
        values = INFO.to_dict()
        values["spec"][name] = 10**12
        text = refused(stamp(toy_graph(), json.dumps(values)).SerializeToString())
        assert f"'{name}': expected at most" in text

    @pytest.mark.parametrize(
        "changes",
        [
            {"input": "sound"},
            {"output": "scores"},
            {"frames": 25},
            {"batch": 1},
            {"element": TensorProto.DOUBLE},
            {"weight": np.ones((5, 3), np.float32)},
            {"weight": np.ones((4, 10), np.float32)},
        ],
        ids=str,
    )
    def test_that_disagree_with_the_graph(self, changes: dict[str, Any]) -> None:
        assert "that its metadata name" in refused(toy_bytes(**changes))

    def test_a_distance_that_is_not_there(self) -> None:
        assert "distance" in refused(toy_bytes(toy_info(novelty_threshold=1.0)))

    def test_a_graph_of_nan(self) -> None:
        graph = read_graph(toy_bytes(weight=WEIGHT * np.nan), source="some.onnx")
        with pytest.raises(DataError, match=r"finite numbers .* with NaN"):
            graph.run(np.ones((1, 24, 4), np.float32))


def external(tensor: TensorProto) -> TensorProto:
    """The tensor, to be read from a file that every Linux has."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def in_an_initializer(model: onnx.ModelProto) -> None:
    external(next(t for t in model.graph.initializer if t.name == "weight"))


def in_a_constant(model: onnx.ModelProto) -> None:
    value = external(numpy_helper.from_array(np.ones(48, np.float32)))
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))


def in_a_branch(model: onnx.ModelProto) -> None:
    inner = onnx.ModelProto()
    in_a_constant(inner)
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner.graph, else_branch=inner.graph)
    model.graph.node.append(node)


def location_alone(model: onnx.ModelProto) -> None:
    in_an_initializer(model)
    for tensor in model.graph.initializer:
        del tensor.external_data[:]


class TestHostile:
    @pytest.mark.parametrize(
        "hide", [in_an_initializer, in_a_constant, in_a_branch, location_alone]
    )
    def test_tensors_read_from_another_file(self, hide: Callable[[Any], None]) -> None:
        """A model must not make its listener read files of this machine."""
        model = toy_graph()
        hide(model)
        assert "a tensor that is read from another file" in refused(model.SerializeToString())

    def test_operators_from_outside_the_standard(self) -> None:
        model = toy_graph()
        model.graph.node[0].domain = "com.evil"
        assert "operators of 'com.evil'" in refused(model.SerializeToString())
        model = toy_graph()
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        assert "operators of 'com.microsoft'" in refused(model.SerializeToString())

    def test_a_loop_that_need_not_end(self) -> None:
        model = toy_graph()
        body = helper.make_graph([], "body", [], [])
        model.graph.node.append(helper.make_node("Loop", ["", "t"], [], body=body))
        assert "got a Loop" in refused(model.SerializeToString())

    def test_functions_and_training_code(self) -> None:
        model = toy_graph()
        model.functions.add().name = "f"
        assert "functions of its own" in refused(model.SerializeToString())
        model = toy_graph()
        model.training_info.add()
        model.training_info[0].initialization.name = "t"
        assert "training code" in refused(model.SerializeToString())

    def test_more_fields_than_any_model_has(self) -> None:
        """Each field costs a step of the walk: an unending file would never be refused."""
        assert "more than 1,000,000 fields" in refused(b"\x08\x09" * 1_000_001)
