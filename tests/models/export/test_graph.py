"""ONNX graphs of every family: another engine's logits are the same, and recurrences stay loops."""

from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from ostinato import models
from ostinato.errors import MissingExtraError, UsageError
from ostinato.features import FeatureSpec
from ostinato.models import GenreModel
from ostinato.models.export import graph as export
from ostinato.models.export.graph import to_onnx
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm

N_FEATURES, N_GENRES = 12, 5
SHORT, LONG = 128, 256
#: Settings that make a model small, where its family has them. At 4 frames a texture window, SHORT
#: is 32 steps, or 16 of a ConvLSTM's patches: written out, they would be hundreds of nodes.
SMALL: dict[str, object] = {"width": 6, "projection": 6, "depth": 1, "texture_frames": 4}
FEW_NODES = 200
OPTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("lstm", {"bidirectional": False, "layer_norm": False, "pooling": "last"}),
    ("lstm", {"depth": 2, "pooling": "last"}),
    ("residual-lstm", {"pooling": "attention", "bidirectional": False}),
    ("residual-lstm-kim", {"width": 8, "projection": 4, "bidirectional": False, "pooling": "mean"}),
    ("residual-lstm-kim", {"peepholes": False, "pooling": "last"}),
    ("conv-lstm", {"peepholes": True, "channels": (4,), "pooling": "attention"}),
    ("conv-lstm", {"patch": 64}),  # one step, and so no scan
    ("conv-lstm-1d", {"texture_frames": 1, "peepholes": True, "pooling": "last"}),
    ("conv-lstm-residual", {"channels": (3,), "norm_steps": 3, "shortcut": "identity"}),
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """So small are the models that more threads wait for each other for most of the time."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def trained(name: str, **settings: object) -> GenreModel:
    """A small model with weights and statistics as training leaves them: none is 0 or 1."""
    torch.manual_seed(0)
    kind = models.family(name).settings
    known = {field.name for field in fields(kind)}
    chosen = {key: value for key, value in SMALL.items() if key in known} | settings
    spec = FeatureSpec(n_coefficients=N_FEATURES)
    model = models.build(name, spec=spec, n_genres=N_GENRES, settings=kind(**chosen))
    for parameter in model.parameters():
        fan_in = parameter[0].numel()
        parameter.data += torch.randn_like(parameter) * 0.3 / fan_in**0.5
    for key, buffer in model.named_buffers():
        if key.endswith("batches"):
            buffer[: max(1, 2 * len(buffer) // 3)] = 7  # the sequences of training were shorter
        elif "var" in key or "deviation" in key:
            buffer.uniform_(0.5, 2)
        elif buffer.is_floating_point():
            buffer.normal_()
    return model.eval()


@functools.cache
def exported(name: str, window: int) -> onnx.ModelProto:
    return to_onnx(trained(name), window_frames=window)


def difference(graph: onnx.ModelProto, model: GenreModel, batch: int) -> float:
    """Between the logits of ONNX Runtime and PyTorch, of windows as long as the graph takes."""
    (frames,) = graph.graph.input
    window = frames.type.tensor_type.shape.dim[1].dim_value
    x = torch.randn(batch, window, N_FEATURES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(["logits"], {"frames": x.numpy()})
    with torch.no_grad():
        wanted = model(x).numpy()
    assert got.shape == wanted.shape == (batch, N_GENRES)
    assert np.ptp(wanted) > 0.1  # logits that say something
    return float(np.abs(got - wanted).max())


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of the bodies of scans included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def kinds(graph: onnx.ModelProto) -> Counter[str]:
    assert not graph.functions  # in which nodes could hide
    return Counter(node.op_type for node in nodes(graph.graph))


class Averaging(GenreModel):
    """The smallest model there is."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(N_FEATURES)
        self.head = nn.Linear(N_FEATURES, N_GENRES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.normalise(x).mean(1))


@pytest.mark.parametrize("name", models.FAMILIES)
class TestEveryFamily:
    @pytest.mark.parametrize("window", [SHORT, LONG])
    def test_logits_are_pytorchs_at_any_batch_size(self, name: str, window: int) -> None:
        """One graph serves one window and many; it was traced with two."""
        graph, model = exported(name, window), trained(name)
        assert max(difference(graph, model, batch) for batch in (1, 3, 7)) <= 1e-4

    def test_nodes_do_not_multiply_with_the_steps(self, name: str) -> None:
        """Recurrences are loops of the graph, not copies of a step."""
        short, long = (kinds(exported(name, window)) for window in (SHORT, LONG))
        assert short == long
        assert 0 < short.total() < FEW_NODES

    def test_the_graph_is_valid_and_names_what_goes_in_and_out(self, name: str) -> None:
        graph = exported(name, SHORT)
        onnx.checker.check_model(graph, full_check=True)
        (frames,), (logits,) = graph.graph.input, graph.graph.output
        assert (frames.name, logits.name) == ("frames", "logits")
        for value, sizes in ((frames, [SHORT, N_FEATURES]), (logits, [N_GENRES])):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            batch, *rest = value.type.tensor_type.shape.dim
            assert batch.dim_param
            assert not batch.HasField("dim_value")
            assert [dim.dim_value for dim in rest] == sizes

    def test_no_source_or_path_of_this_machine_travels_with_it(self, name: str) -> None:
        """The exporter notes for every node the lines of Python that it came from."""
        content = exported(name, SHORT).SerializeToString()
        assert b".py" not in content
        assert str(Path(models.__file__).parents[2]).encode() not in content


class TestOptions:
    @pytest.mark.parametrize(("name", "settings"), OPTIONS, ids=lambda value: str(value))
    def test_logits_are_pytorchs(self, name: str, settings: dict[str, object]) -> None:
        model = trained(name, **settings)
        graph = to_onnx(model, window_frames=SHORT)
        assert max(difference(graph, model, batch) for batch in (1, 3)) <= 1e-4

    def test_each_family_with_a_recurrence_has_the_operator_that_it_should(self) -> None:
        """torch.nn.LSTM is ONNX's LSTM, which runtimes run fast; other layers are scans."""
        assert kinds(exported("lstm", SHORT))["LSTM"] == 1
        assert kinds(exported("residual-lstm", SHORT))["LSTM"] == 1
        assert kinds(exported("residual-lstm-kim", SHORT))["Scan"] == 2  # one each way
        for name in ("conv-lstm", "conv-lstm-1d", "conv-lstm-residual"):
            assert kinds(exported(name, SHORT))["Scan"] == 2  # one a layer


class TestStepNorm:
    @pytest.mark.parametrize("n_trained", [0, 1, 3, 4])
    def test_it_is_the_recurrent_batch_norm_at_every_step(self, n_trained: int) -> None:
        """Also beyond the steps that it was trained on, and beyond those it has statistics of."""
        norm = RecurrentBatchNorm(3, 4).eval()
        norm.means.normal_()
        norm.variances.uniform_(0.5, 2)
        norm.batches[:n_trained] = 5
        by_tensor = export._StepNorm(norm)
        x = torch.randn(2, 3, 4, 5)
        for step in range(7):
            assert torch.allclose(by_tensor(x, torch.tensor([step])), norm(x, step), atol=1e-6)


class TestToOnnx:
    def test_the_model_is_left_as_it_is(self) -> None:
        """In training, say, when its present state is written."""
        model = trained("conv-lstm-residual", channels=(4,)).train()
        before = copy.deepcopy(model)
        to_onnx(model, window_frames=SHORT)
        assert str(model) == str(before)  # every layer's class among it
        assert all(module.training for module in model.modules())
        after = model.state_dict()
        assert all(torch.equal(after[key], value) for key, value in before.state_dict().items())

    def test_the_same_model_gives_the_same_bytes(self) -> None:
        """So that a file can be known by its digest."""
        again = to_onnx(trained("lstm"), window_frames=SHORT)
        assert again.SerializeToString() == exported("lstm", SHORT).SerializeToString()

    def test_it_says_nothing_and_is_imported_only_when_asked_for(self) -> None:
        """In a process of its own: some of the exporter's warnings are given once a process."""
        program = f"""
import sys
from ostinato import models
from ostinato.features import FeatureSpec
assert not [name for name in sys.modules if name.startswith(("onnx", "torch.onnx"))]
from ostinato.models.export.graph import to_onnx
import onnxruntime
for name, settings in (("lstm", {{"depth": 1}}), ("conv-lstm-1d", {{"channels": (4,)}})):
    model = models.build(name, spec=FeatureSpec(n_coefficients=6), n_genres=3,
                         settings=models.family(name).settings(**settings))
    graph = to_onnx(model, window_frames={SHORT})
    onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
"""
        result = subprocess.run(
            [sys.executable, "-W", "default", "-c", program],
            env=os.environ | {"PYTHONPATH": str(Path(models.__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "settings", "window"),
        [
            ("lstm", {}, 0),
            ("lstm", {}, -5),
            ("lstm", {}, 3),
            ("residual-lstm-kim", {}, 3),
            ("conv-lstm", {}, 3),
            ("conv-lstm", {"peepholes": True}, 4),  # they want a whole patch of two windows
            ("conv-lstm-1d", {}, 3),
            ("conv-lstm-residual", {}, 3),
        ],
    )
    def test_a_window_that_is_too_short(
        self, name: str, settings: dict[str, object], window: int
    ) -> None:
        sentence = (
            "Expected windows of as many frames as the model reads at a time, or more, got "
            rf"{window}\.$"
        )
        with pytest.raises(UsageError, match=sentence):
            to_onnx(trained(name, **settings), window_frames=window)

    def test_an_operation_that_onnx_does_not_have(self) -> None:
        class Bessel(Averaging):
            def forward(self, x: Tensor) -> Tensor:
                return torch.special.bessel_j0(super().forward(x))

        with pytest.raises(UsageError, match=r"ONNX has, got one .*\(Bessel\): .*bessel_j0"):
            to_onnx(Bessel(), window_frames=SHORT)

    @pytest.mark.parametrize("package", ["onnx", "onnxscript"])
    def test_a_package_that_is_not_installed(
        self, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=rf"'{package}'.*ostinato\[train\]"):
            to_onnx(Averaging(), window_frames=SHORT)
