"""Models as ONNX graphs, which other languages and small machines run without PyTorch.

:func:`to_onnx` traces a model with ``torch.onnx.export``. The graph takes windows of one length, in
batches of any size, and is the model in evaluation mode, normalisation of the frames included.

A recurrence stays a loop: ``torch.nn.LSTM`` becomes ONNX's operator of that name, and a layer that
runs its own steps (ConvLSTM, the residual LSTM of Kim et al.) a ``Scan`` whose body is one step. A
trace of the loop itself would write every step out, thousands of nodes for a window of seconds. So
a copy of the model is taken, in which such layers are replaced by ones that pass their ``step`` to
``torch``'s own scan; the model itself is left unchanged.

The packages ``onnx`` and ``onnxscript`` are imported only when they are needed.

Axes: B batch, T frames, F features of a frame, N steps, C channels, G genres; "space" stands for
any axes.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError, require
from ostinato.inference.model_file import FRAMES, LOGITS
from ostinato.models.conv_lstm_residual import BNConvLSTM2d
from ostinato.models.genre_model import GenreModel
from ostinato.models.layers.conv_lstm import ConvLSTM
from ostinato.models.layers.kim_lstm import KimCell, KimLSTM
from ostinato.models.layers.recurrent_norm import RecurrentBatchNorm
from ostinato.models.layers.state import State

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Version of ONNX's operators: the oldest that PyTorch exports to, for the sake of old runtimes."""


def to_onnx(model: GenreModel, *, window_frames: int) -> ModelProto:
    """A model as an ONNX graph: ``frames`` [float32, shape=(B, T, F)] -> ``logits`` [shape=(B, G)].

    B stays free, T is ``window_frames``; the model itself is left unchanged.

    Raises
    ------
    UsageError
        If the model cannot take windows of this length, or does what ONNX cannot express.
    MissingExtraError
        If ``onnx`` or ``onnxscript`` is not installed.
    """
    model = _for_evaluation(model)
    _check_window(model, window_frames)
    frames = _plausible_frames(model, 2, window_frames)
    return trace(_with_scans(model), frames, input_name=FRAMES, output_name=LOGITS)


def trace(module: nn.Module, example: Tensor, *, input_name: str, output_name: str) -> ModelProto:
    """A module of one input and one output as an ONNX graph; the first axis of both stays free.

    Raises as :func:`to_onnx` does.
    """
    for package in ("onnx", "onnxscript"):
        require(package, extra="train", needed_for="Export to ONNX")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                input_names=[input_name],
                output_names=[output_name],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except torch.onnx.OnnxExporterError as error:
        first_line, *_ = str(error.__cause__ or error).strip().partition("\n")
        cause = first_line.partition(". See ")[0].rstrip(".")
        raise UsageError(
            "Expected a model of operations that ONNX has, got one of another kind "
            f"({type(module).__name__}): {cause}."
        ) from error
    assert program is not None
    _tidy(program.model)
    return program.model_proto


class _StepNorm(nn.Module):
    """A :class:`RecurrentBatchNorm` in evaluation mode whose step's number is a tensor.

    So the step's statistics are picked from a table when the graph runs; a number known beforehand
    would freeze those of one step into the body of the scan.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, norm: RecurrentBatchNorm) -> None:
        super().__init__()
        self.last = norm.slot(len(norm.batches) - 1)  # later steps share its statistics
        means, variances = norm.means[: self.last + 1], norm.variances[: self.last + 1]
        scale = norm.weight.detach() / (variances + norm.eps).sqrt()
        self.register_buffer("scale", scale)  # (slots, C)
        self.register_buffer("offset", -means * scale)  # (slots, C)

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        """Normalise (B, C, *space) of step ``number`` [shape=(1,)]."""
        slot = number.clamp(max=self.last)
        a_channel = (1, -1, *(1,) * (x.ndim - 2))
        scale, offset = (
            table.index_select(0, slot).reshape(a_channel) for table in (self.scale, self.offset)
        )  # each (1, C, *ones)
        return x * scale + offset


class _ScannedConvLSTM(nn.Module):
    """A :class:`ConvLSTM`, batch-normalised or not, that scans its steps."""

    def __init__(self, layer: ConvLSTM) -> None:
        super().__init__()
        self.step = _ConvLSTMStep(layer)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Run over all steps: (B, N, K_in, *space) -> (B, N, K, *space)."""
        return _scan(self.step, self.step.layer.input_to_gates(x)), None


class _ConvLSTMStep(nn.Module):
    def __init__(self, layer: ConvLSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, gates: Tensor, number: Tensor, *state: Tensor) -> State:
        """Gates of a step, its number [shape=(1,)], and h and c, if any -> the new h and c."""
        before = cast(State, state) if state else None
        if not isinstance(self.layer, BNConvLSTM2d):
            return self.layer.step(gates, before)
        # Its normalisations are _StepNorms, for which the number may be a tensor.
        return self.layer.step(gates, before, cast(int, number))


class _ScannedKimLSTM(nn.Module):
    """A :class:`KimLSTM` that scans its steps, in both directions where it has them."""

    def __init__(self, layer: KimLSTM) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_KimStep(cast(KimCell, cell)) for cell in layer.cells)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Run over all steps: (B, N, K_in) -> (B, N, P), or (B, N, 2 P)."""
        sides = [
            _scan(step, x.flip(1)).flip(1) if backwards else _scan(step, x)
            for step, backwards in zip(self.steps, (False, True), strict=False)
        ]  # each (B, N, P)
        return torch.cat(sides, dim=2), None


class _KimStep(nn.Module):
    def __init__(self, cell: KimCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, number: Tensor, *state: Tensor) -> State:
        """As :class:`_ConvLSTMStep`; the step's number is not used here."""
        return self.cell.step(x, cast(State, state) if state else None)


def _scan(step: nn.Module, x: Tensor) -> Tensor:
    """Run a step over the steps of (B, N, *in) -> the hidden states (B, N, *out).

    The first step is run alone: no state before it, which not every layer treats as one of zeros.
    """
    # Not public in PyTorch yet; its caller ``scan`` compiles the step first, which takes seconds.
    from torch._higher_order_ops.scan import scan_op

    x = x.transpose(0, 1)  # (N, B, *in)
    numbers = torch.arange(len(x))[:, None]  # (N, 1)
    h, c = step(x[0], numbers[0])
    outputs: Tensor = h[None]  # (1, B, *out)
    if len(x) > 1:
        weights = dict(step.named_parameters()) | dict(step.named_buffers())

        def body(*values: Tensor) -> tuple[Tensor, ...]:
            """State, a step's input and number, weights -> state, output."""
            h, c, now, number, *given = values
            own = dict(zip(weights, given, strict=True))
            h, c = torch.func.functional_call(step, own, (now, number, h, c))
            return h, c, h.clone()  # a scan's outputs must not be one tensor

        rest: Tensor
        *_, rest = scan_op(body, [h, c], [x[1:], numbers[1:]], tuple(weights.values()))
        outputs = torch.cat([outputs, rest])  # (N, B, *out)
    return outputs.transpose(0, 1)


_SCANNED: tuple[tuple[type[nn.Module], Callable[[Any], nn.Module]], ...] = (
    (RecurrentBatchNorm, _StepNorm),
    (ConvLSTM, _ScannedConvLSTM),
    (KimLSTM, _ScannedKimLSTM),
)


def _with_scans(model: nn.Module) -> nn.Module:
    """The model, its own recurrences replaced, wherever in it, by ones that scan."""
    for name, child in list(model.named_children()):
        _with_scans(child)
        for kind, scanned in _SCANNED:
            if isinstance(child, kind):
                setattr(model, name, scanned(child))
    return model


def _for_evaluation(model: GenreModel) -> GenreModel:
    """A copy in evaluation mode, in float32 and on the processor."""
    return copy.deepcopy(model).cpu().float().eval()


def _plausible_frames(model: GenreModel, n_windows: int, window_frames: int) -> Tensor:
    """Noise of the scale of the model's training frames [shape=(n_windows, T, F)]."""
    mean, deviation = (
        part.detach().cpu().float() for part in (model.normalise.mean, model.normalise.deviation)
    )
    own = torch.Generator().manual_seed(0)
    return mean + deviation * torch.randn(n_windows, window_frames, len(mean), generator=own)


def _check_window(model: GenreModel, window_frames: int) -> None:
    """Refuse a length of windows that the model itself refuses."""
    sentence = (
        "Expected windows of as many frames as the model reads at a time, or more, got "
        f"{window_frames}."
    )
    if window_frames < 1:
        raise UsageError(sentence)
    try:
        with torch.no_grad():
            model(_plausible_frames(model, 1, window_frames))
    except (RuntimeError, ValueError, ArithmeticError, IndexError, UsageError) as error:
        raise UsageError(sentence) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyTorch's exporter says about itself."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    with warnings.catch_warnings():
        for message in (
            r"`isinstance\(treespec, LeafSpec\)` is deprecated",
            "_check_is_size will be removed",
            "The tensor attributes? .*_flat_weights.* assigned during export",  # of nn.LSTM
        ):
            warnings.filterwarnings("ignore", message)
        registry.setLevel(logging.ERROR)  # it warns that torchvision is not installed
        try:
            yield
        finally:
            registry.setLevel(level)


def _tidy(model: Any) -> None:
    """Remove what is not the graph: source lines with their paths, and unused constants."""
    from onnx_ir.passes import common

    common.LiftSubgraphInitializersToMainGraphPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.ClearMetadataAndDocStringPass()(model)
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.metadata_props.clear()
