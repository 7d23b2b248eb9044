"""Every family that ships, by the suite that any family passes."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

from ostinato import models
from ostinato.models.export.graph import to_onnx
from tests.models import references
from tests.models.family_suite import WINDOW, FamilySuite, exported, trained

_NO_DROPOUT = ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1.0")


class TestLSTM(FamilySuite):
    name = "lstm"
    parameters = 23_978
    reference = staticmethod(references.stacked)
    options = (
        {"bidirectional": False, "layer_norm": False, "pooling": "last", "texture_frames": 16},
        {"depth": 2, "pooling": "last", "texture_frames": 16},
    )
    wrong = (
        ({"width": 33}, "even width"),
        ({"depth": 0}, "depth 0"),
        _NO_DROPOUT,
        ({"pooling": "median"}, "pooling of last, mean, .*; got 'median'"),
        ({"texture_frames": 2}, "at least 3 frames, or of 1"),
    )
    operators = (("LSTM", 1),)


class TestResidualLSTM(FamilySuite):
    name = "residual-lstm"
    parameters = 23_978
    reference = staticmethod(partial(references.stacked, residual=True))
    options = ({"depth": 2, "pooling": "attention", "bidirectional": False, "texture_frames": 16},)
    wrong = TestLSTM.wrong
    operators = (("LSTM", 1),)


class TestKimLSTM(FamilySuite):
    name = "residual-lstm-kim"
    parameters = 25_226
    reference = staticmethod(references.kim_stacked)
    options = (
        {"width": 8, "projection": 4, "bidirectional": False, "pooling": "mean"},
        {"peepholes": False, "pooling": "last"},
    )
    wrong = (
        ({"projection": 31}, "even widths"),
        ({"width": 0, "bidirectional": False}, "got width 0"),
        ({"depth": 0}, "depth 0"),
        ({"dropout": -1}, "dropout"),
        ({"pooling": "max"}, "got 'max'"),
        ({"texture_frames": 0}, "at least 3 frames"),
    )
    operators = (("Scan", 2),)  # one each way


class TestConvLSTM(FamilySuite):
    name = "conv-lstm"
    parameters = 23_546
    reference = staticmethod(references.conv_lstms)
    options = (
        {"peepholes": True, "channels": (4,), "pooling": "attention"},
        {"patch": 64},  # one step, and so no scan
    )
    wrong = (
        ({"kernel": 4}, "odd kernel"),
        ({"kernel": 5}, "at most 3, the most that 2 texture windows of a patch can"),
        ({"kernel": 13, "patch": 11}, "at most 11, the most that 6 coefficients"),
        ({"channels": ()}, "at least one layer"),
        ({"patch": 0}, "patches"),
        ({"channel_dropout": -0.1}, "channel_dropout"),
    )
    operators = (("Scan", 2),)  # one a layer


class TestConvLSTM1d(FamilySuite):
    name = "conv-lstm-1d"
    parameters = 22_354
    reference = staticmethod(references.conv_lstms)
    options = ({"texture_frames": 1, "peepholes": True, "pooling": "last"},)
    wrong = (
        ({"kernel": 4}, "odd kernel"),
        ({"kernel": 13}, "at most 11, the most that 6 coefficients of the last"),
        ({"channels": (3, 0)}, "at least one channel"),
        ({"dropout": 1}, "dropout"),
        ({"texture_frames": 2}, "at least 3 frames"),
    )
    operators = (("Scan", 2),)


class TestConvLSTMResidual(FamilySuite):
    name = "conv-lstm-residual"
    parameters = 23_898
    reference = staticmethod(references.conv_lstms)
    options = ({"channels": (3,), "norm_steps": 3, "shortcut": "identity"},)
    wrong = (
        (
            {"shortcut": "identity"},
            "equal widths, which a shortcut without projection needs, got 3 in and 8 out",
        ),
        ({"shortcut": "gate"}, "shortcut of auto, identity, proj"),
        ({"kernel": 2}, "odd kernel, got 2"),
        ({"kernel": 5}, "at most 3, .*, got 5"),
        ({"norm_steps": 0}, "norm_steps 0"),
        ({"channels": ()}, "at least one layer"),
    )
    operators = (("Scan", 2),)


class TestCNN(FamilySuite):
    name = "cnn"
    parameters = 61_690
    reference = staticmethod(references.cnn)
    sees_bands = True
    wrong = (
        ({"bands": 48}, "divides the 128 of the frames, got 48"),
        ({"channels": ()}, "at least one block"),
        ({"pool_time": (2, 2)}, "each of 4 blocks, got"),
        ({"bands": 8}, "at most 3 blocks"),
        _NO_DROPOUT,
    )


class TestCRNN(FamilySuite):
    name = "crnn"
    parameters = 128_698
    reference = staticmethod(references.crnn)
    sees_bands = True
    wrong = (
        ({"bands": 0}, "blocks"),
        ({"width": 33}, "even width"),
        ({"channel_dropout": 1.0}, "channel_dropout"),
    )
    operators = (("LSTM", 1),)


class TestFusion(FamilySuite):
    name = "fusion"
    parameters = 131_828
    reference = staticmethod(references.fusion)
    sees_bands = True
    wrong = (
        ({"regularisation": 0.0}, "positive regularisation"),
        ({"share": 1.5}, r"share in \[0, 1\], got 1.5"),
    )
    solved = ("baseline.head.weight", "baseline.head.bias")


class TestBaseline(FamilySuite):
    name = "baseline"
    parameters = 3_130
    reference = staticmethod(references.statistical)
    sees_bands = True
    wrong = (
        ({"bands": 0}, "at least one band"),
        ({"bands": 7}, "divides the 128 of the frames, got 7"),
        ({"regularisation": 0.0}, "positive regularisation"),
    )


class TestDiscriminant(FamilySuite):
    name = "discriminant"
    parameters = 3_130
    reference = staticmethod(references.statistical)
    sees_bands = True
    wrong = (({"shrinkage": 0.0}, "shrinkage above 0 up to 1"),)


def test_every_family_passes_the_suite() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    tested = {suite.name for suite in FamilySuite.__subclasses__()}
    assert set(models.FAMILIES) <= tested, (
        "A family is tested by tests/models/family_suite.py: docs/contribute/a-model-family.md."
    )


def test_the_recurrent_families_have_as_many_parameters_as_the_lstm_within_a_tenth() -> None:
    """So that none wins by its size."""
    assert TestResidualLSTM.parameters == TestLSTM.parameters
    for suite in (TestKimLSTM, TestConvLSTM, TestConvLSTM1d, TestConvLSTMResidual):
        assert abs(suite.parameters / TestLSTM.parameters - 1) <= 0.1


def test_the_same_model_gives_the_same_bytes() -> None:
    """So that a file can be known by its digest."""
    graph = to_onnx(trained("lstm"), window_frames=WINDOW)
    assert graph.SerializeToString() == exported("lstm")
