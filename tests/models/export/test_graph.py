"""How a graph is made; that it is the model, of every family: ``tests/models/family_suite.py``."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ostinato import models
from ostinato.errors import MissingExtraError, UsageError
from ostinato.models import GenreModel
from ostinato.models.export import graph as export
from ostinato.models.export.graph import to_onnx
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm
from tests.models.family_suite import N_FEATURES, N_GENRES, trained

WINDOW = 128


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """So small are the models that more threads wait for each other for most of the time."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


class Averaging(GenreModel):
    """The smallest model there is."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(N_FEATURES)
        self.head = nn.Linear(N_FEATURES, N_GENRES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.normalise(x).mean(1))


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
        to_onnx(model, window_frames=WINDOW)
        assert str(model) == str(before)  # every layer's class among it
        assert all(module.training for module in model.modules())
        after = model.state_dict()
        assert all(torch.equal(after[key], value) for key, value in before.state_dict().items())

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
    graph = to_onnx(model, window_frames={WINDOW})
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
            to_onnx(Bessel(), window_frames=WINDOW)

    @pytest.mark.parametrize("package", ["onnx", "onnxscript"])
    def test_a_package_that_is_not_installed(
        self, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=rf"'{package}'.*ostinato\[train\]"):
            to_onnx(Averaging(), window_frames=WINDOW)
