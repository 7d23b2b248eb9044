"""What every model family keeps, as tests that a family inherits.

A family's own test names it, says how many parameters it has, and gives its forward pass once more
in NumPy::

    class TestLSTM(FamilySuite):
        name = "lstm"
        parameters = 23_978
        reference = staticmethod(by_the_equations)

``docs/contribute/a-model-family.md`` does so from beginning to end.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ostinato import models, training
from ostinato.datasets.splits import Fold
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.inference.model_info import ModelInfo
from ostinato.models import GenreModel
from ostinato.models.export.graph import to_onnx
from ostinato.training.settings import TrainingSettings
from tests.helpers.toy import toy_corpus

N_FEATURES, N_GENRES = 12, 5
SPEC = FeatureSpec(n_coefficients=N_FEATURES)
#: Settings that make a model small, where its family has them.
SMALL: dict[str, object] = {"width": 6, "projection": 6, "depth": 1, "texture_frames": 4}
#: Frames of a window that is exported: 32 steps, or 16 of a ConvLSTM's patches. If a recurrence
#: were written out step by step, and not as a loop, there would be more than FEW_NODES.
WINDOW, FEW_NODES = 128, 200
#: Training that learns a toy problem in a second, without what keeps from learning by heart.
EASY = TrainingSettings(
    epochs=20, batch_size=8, learning_rate=0.02, noise=0.0, mixup=0.0, averaging=0.5,
    window_frames=24, window_hop=12, curve_every=20,
)  # fmt: skip


def build(name: str, **settings: Any) -> GenreModel:
    """An untrained model, its weights drawn with seed 0."""
    torch.manual_seed(0)
    chosen = models.family(name).settings(**settings)
    return models.build(name, spec=SPEC, n_genres=N_GENRES, settings=chosen)


def small_settings(name: str, **settings: Any) -> dict[str, Any]:
    """Those of a small model of a family, and others."""
    known = {field.name for field in fields(models.family(name).settings)}
    return {key: value for key, value in SMALL.items() if key in known} | settings


def trained(name: str, **settings: Any) -> GenreModel:
    """A small model with weights and statistics as training leaves them: none is 0 or 1."""
    model = build(name, **small_settings(name, **settings))
    for parameter in model.parameters():
        fan_in = parameter[0].numel()
        parameter.data += torch.randn_like(parameter) * 0.3 / fan_in**0.5
    for key, buffer in model.named_buffers():
        if key.endswith("batches"):
            buffer[: max(1, 2 * len(buffer) // 3)] = 7  # the sequences of training were shorter
        elif "var" in key or "deviation" in key:
            buffer.uniform_(0.5, 2)
        elif buffer.is_floating_point() and key in model.state_dict():
            buffer.normal_()
    return model.eval()


@functools.cache
def exported(name: str) -> bytes:
    """The ONNX graph of a small model."""
    return to_onnx(trained(name), window_frames=WINDOW).SerializeToString()


def frames(n_windows: int, n_frames: int, *, seed: int = 1) -> torch.Tensor:
    return torch.randn(n_windows, n_frames, N_FEATURES, generator=torch.manual_seed(seed))


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of the bodies of scans included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def operators_of(graph: onnx.ModelProto) -> Counter[str]:
    assert not graph.functions  # in which nodes could hide
    return Counter(node.op_type for node in nodes(graph.graph))


class FamilySuite:
    """Tests of one family, of small models of it.

    Attributes
    ----------
    name : str
        The family's, as in ``models.FAMILIES``.
    parameters : int
        Trainable ones, with default settings, of 40 MFCC and 10 genres.
    reference : callable
        The forward pass in evaluation mode, by another library or plain loops: weights by their
        names in the state dict, frames (B, T, F), settings -> logits (B, G), all in float64.
    options : tuple of dict
        Settings that take other paths through the code: each is compared and exported.
    wrong : tuple of (dict, str)
        Settings that make no model, and words of the sentence that says so, a regular expression.
    operators : tuple of (str, int)
        How many of an operator the ONNX graph has: a recurrence's ``LSTM``, ``GRU`` or ``Scan``.
    solved : tuple of str
        Parameters that gradients do not reach, for they are solved for.
    sees_bands : bool
        Whether it makes mel bands of the features, for which their units must be alike.
    """

    name: str
    parameters: int
    options: tuple[dict[str, Any], ...] = ()
    wrong: tuple[tuple[dict[str, Any], str], ...] = ()
    operators: tuple[tuple[str, int], ...] = ()
    solved: tuple[str, ...] = ()
    sees_bands: bool = False

    @staticmethod
    def reference(weights: dict[str, np.ndarray], x: np.ndarray, settings: Any) -> np.ndarray:
        pytest.fail(
            "A family needs a reference: its forward pass in NumPy, written from the paper; see "
            "docs/contribute/a-model-family.md."
        )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "chosen" in metafunc.fixturenames:
            metafunc.parametrize("chosen", ({}, *self.options), ids=str)
        if "refused" in metafunc.fixturenames:
            metafunc.parametrize(("refused", "words"), self.wrong, ids=str)

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """So small are the models that more threads wait for each other for most of the time."""
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(n_threads)

    @pytest.mark.parametrize("n_frames", [40, 97])
    def test_logits_are_those_of_the_reference(self, chosen: dict[str, Any], n_frames: int) -> None:
        """In double precision, for windows of any length."""
        model, x = trained(self.name, **chosen).double(), frames(3, n_frames).double()
        settings = models.family(self.name).settings(**small_settings(self.name, **chosen))
        weights = {key: value.numpy() for key, value in model.state_dict().items()}
        wanted = self.reference(weights, x.numpy(), settings)
        assert wanted.shape == (3, N_GENRES)
        np.testing.assert_allclose(model(x).detach().numpy(), wanted, rtol=1e-6, atol=1e-6)

    def test_windows_are_judged_alone_and_in_any_order(self) -> None:
        model, x = trained(self.name), frames(4, 128)
        logits = model(x)
        assert (logits.shape, logits.dtype) == ((4, N_GENRES), torch.float32)
        turned = torch.cat([model(row[None]) for row in x.flip(0)]).flip(0)
        assert torch.allclose(logits, turned, atol=1e-5)

    def test_scale_and_offset_of_a_feature_are_taken_away_by_the_first_layer(self) -> None:
        """Normalisation is inside the model: fitted on other units, it gives the same logits."""
        x = frames(6, 128)
        scale, offset = torch.rand(N_FEATURES) * 9 + 1, torch.randn(N_FEATURES) * 50
        plain, other = build(self.name).eval(), build(self.name).eval()
        plain.normalise.fit(x.flatten(0, 1))
        other.normalise.fit((x * scale + offset).flatten(0, 1))
        is_same = torch.allclose(plain(x), other(x * scale + offset), atol=1e-3)
        assert is_same != self.sees_bands

    def test_evaluation_is_repeatable_and_changes_nothing(self) -> None:
        model, x = trained(self.name), frames(2, 128)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        assert torch.equal(model(x), model(x))
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())

    def test_a_seed_decides_first_weights_and_what_is_dropped(self) -> None:
        one, two = build(self.name), build(self.name)
        x, logits = frames(8, 128), []
        for model in (one, two):
            torch.manual_seed(7)
            logits.append(model.train()(x))
        assert torch.equal(*logits)
        torch.manual_seed(1)
        other = models.build(
            self.name, spec=SPEC, n_genres=N_GENRES, settings=models.family(self.name).settings()
        )
        assert not torch.equal(other.eval()(x), one.eval()(x))

    def test_every_parameter_takes_part_in_training(self) -> None:
        model = build(self.name, **small_settings(self.name))
        model(frames(8, 128)).square().sum().backward()
        idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert tuple(idle) == self.solved

    def test_it_has_as_many_parameters_as_it_says(self) -> None:
        model = models.build(
            self.name, spec=FeatureSpec(), n_genres=10, settings=models.family(self.name).settings()
        )
        assert models.count_parameters(model) == self.parameters

    def test_it_learns_what_a_toy_can_teach(self) -> None:
        """Three genres of the toy corpus, each with a mean of its own, from five tracks each."""
        corpus = toy_corpus()
        found = training.train(
            corpus,
            Fold(train=corpus.ids[::2], valid=corpus.ids[1::2]),
            self.name,
            settings=models.family(self.name).settings(**small_settings(self.name)),
            training=EASY,
        )
        assert found.metrics["valid"].accuracy >= 0.8

    def test_a_saved_model_rebuilds_itself(self, tmp_path: Path, chosen: dict[str, Any]) -> None:
        settings = small_settings(self.name, **chosen)
        model, x = trained(self.name, **chosen), frames(2, 128)
        info = ModelInfo(
            family=self.name,
            settings=asdict(models.family(self.name).settings(**settings)),
            genres=tuple("abcde"),
            spec=SPEC,
            window_frames=128,
            window_hop=64,
        )
        models.save(model, info, tmp_path)
        loaded, found = models.load(tmp_path)
        assert not loaded.training
        assert torch.equal(loaded(x), model(x))
        assert models.parse_settings(self.name, found.settings) == models.parse_settings(
            self.name, settings
        )

    def test_its_onnx_graph_gives_pytorchs_logits_at_any_batch_size(
        self, chosen: dict[str, Any]
    ) -> None:
        """Traced with two windows, recurrences loops, and nothing of this machine in it."""
        model = trained(self.name, **chosen)
        graph = (
            to_onnx(model, window_frames=WINDOW)
            if chosen
            else onnx.load_from_string(exported(self.name))
        )
        onnx.checker.check_model(graph, full_check=True)
        assert [part.name for part in (*graph.graph.input, *graph.graph.output)] == [
            "frames",
            "logits",
        ]
        assert operators_of(graph).total() < FEW_NODES
        if not chosen:
            assert set(self.operators) <= set(operators_of(graph).items())
        content = graph.SerializeToString()
        assert b".py" not in content
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for n_windows in (1, 3, 7):
            x = frames(n_windows, WINDOW)
            (got,) = session.run(["logits"], {"frames": x.numpy()})
            wanted = model(x).detach().numpy()
            assert got.shape == (n_windows, N_GENRES)
            assert np.ptp(wanted) > 0.1  # logits that say something
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)

    def test_wrong_settings_are_refused_in_one_sentence(
        self, refused: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(UsageError, match=words) as error:
            build(self.name, **refused)
        assert "\n" not in str(error.value)

    def test_settings_are_frozen_and_no_others_are_known(self) -> None:
        settings = models.parse_settings(self.name, {})
        name = fields(settings)[0].name
        with pytest.raises(FrozenInstanceError):
            setattr(settings, name, None)
        with pytest.raises(UsageError, match=f"There is no setting '{name}x'; did you mean"):
            models.parse_settings(self.name, {f"{name}x": 1})
