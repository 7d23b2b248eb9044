"""A model file: an ONNX graph with its metadata, read, checked and run.

The graph takes windows of frames and gives logits, and, if it measures it, how far each window lies
from what the model learned from. The metadata
(:class:`~ostinato.inference.model_info.ModelInfo`) are in the file as JSON, under the name
``ostinato``. Nothing in the file is trusted: its bytes are checked before it is loaded, only
standard operators run, nothing is unpickled, and metadata that disagree with the graph are refused.

Axes: B batch, T frames, F features of a frame, S samples, G genres.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.inference.model_info import TAKES_FRAMES, ModelInfo
from ostinato.inference.onnx_check import check_onnx_bytes
from ostinato.inference.session import first_line, open_session

METADATA, EAR_METADATA = "ostinato", "ostinato-ear"
"""The metadata's names in the ONNX files of a model and of an ear."""

FRAMES, LOGITS, DISTANCE = "frames", "logits", "distance"
WAVEFORM, PROBABILITIES = "waveform", "probabilities"

MOST_BYTES = 256 << 20
"""A larger file is refused unread."""

SUFFIX = ".onnx"

Described = list[tuple[str, str, tuple[object, ...]]]
"""Names, types and shapes of inputs or outputs."""

_Wanted = list[tuple[str, tuple[int, ...]]]  # names, and sizes behind the batch

_FRAMES_A_RUN = 1024  # or samples: windows together are no faster, and take memory each


@dataclass(frozen=True, kw_only=True)
class ModelGraph:
    """A model, ready to run."""

    source: str  # the file's name
    n_bytes: int  # the file's size
    sha256: str  # of the file's bytes
    info: ModelInfo
    session: Any  # onnxruntime.InferenceSession

    def run(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Run the graph, a few inputs at a time.

        Windows [shape=(B, T, F)] give logits [shape=(B, G)], excerpts of sound [shape=(B, S)]
        probabilities, and both give distances [shape=(B,)], or None if it does not measure them.

        Raises
        ------
        DataError
            If the graph fails, or gives no finite numbers of the right shape.
        """
        some = max(1, _FRAMES_A_RUN // inputs.shape[1])
        parts = [self._run(inputs[i : i + some]) for i in range(0, len(inputs), some)]
        scores, *distances = (np.concatenate(column) for column in zip(*parts, strict=True))
        return scores, distances[0] if distances else None

    def _run(self, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        name = FRAMES if self.info.takes == TAKES_FRAMES else WAVEFORM
        try:
            outputs: list[NDArray[np.float32]] = self.session.run(None, {name: inputs})
        except Exception as error:  # ONNX Runtime's errors share no other class
            raise DataError(
                f"{self.source}: expected a graph that runs on inputs of shape {inputs.shape}, got "
                f"'{first_line(error)}'."
            ) from error
        shapes = [(len(inputs), len(self.info.genres)), (len(inputs),)]
        for got, shape in zip(outputs, shapes, strict=False):
            if got.shape != shape or not np.isfinite(got).all():
                raise DataError(
                    f"{self.source}: expected finite numbers of shape {shape} from the graph, got "
                    f"shape {got.shape}{'' if got.shape != shape else ' with NaN or infinity'}; "
                    "the file is damaged."
                )
        return outputs


def open_graph(path: Path) -> ModelGraph:
    """Load a model from its file."""
    return read_graph(read_bytes(path, what="model"), source=str(path))


def read_bytes(path: Path, *, what: str) -> bytes:
    """Read a file that holds a graph, up to a byte more than is allowed."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        why = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot read the {what} {path}: {why}.") from error


def read_graph(content: bytes, *, source: str) -> ModelGraph:
    """Load a model from the bytes of its file; ``source`` is its name, for the errors.

    Raises
    ------
    DataError
        If the file is larger than :data:`MOST_BYTES`, is no ONNX graph, is damaged, holds what no
        genre model needs (:mod:`ostinato.inference.onnx_check`), lacks Ostinato's metadata or holds
        those of another version, or if graph and metadata disagree.
    DeviceError
        If the device that the user asked for cannot be used (:mod:`ostinato.inference.session`).
    """
    session, metadata, *described = checked_session(content, source=source)
    if METADATA not in metadata:
        got = "an ear, which only hears for a model (--frames)"
        if EAR_METADATA not in metadata:
            got = "an ONNX graph without Ostinato's metadata"
        raise DataError(f"{source}: expected a model that ostinato export wrote, got {got}.")
    info = ModelInfo.from_json(metadata[METADATA], source=source)
    _check_agreement(info, *described, source=source)
    return ModelGraph(
        source=source,
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        info=info,
        session=session,
    )


def checked_session(
    content: bytes, *, source: str
) -> tuple[Any, dict[str, str], Described, Described]:
    """Check the bytes of a graph, and load it: its session, metadata, inputs and outputs."""
    if len(content) > MOST_BYTES:
        raise DataError(f"{source}: expected a graph of at most {MOST_BYTES >> 20} MiB, got more.")
    check_onnx_bytes(content, source=source)
    session = open_session(content, source=source)
    try:
        metadata = dict(session.get_modelmeta().custom_metadata_map)
        inputs, outputs = (
            [(one.name, one.type, tuple(one.shape)) for one in found]
            for found in (session.get_inputs(), session.get_outputs())
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: expected names as text, got other bytes.") from error
    return session, metadata, inputs, outputs


def _check_agreement(
    info: ModelInfo, has_inputs: Described, has_outputs: Described, *, source: str
) -> None:
    """Refuse a graph whose inputs and outputs are not those that its metadata name."""
    spec, n_genres = info.spec, len(info.genres)
    if info.takes == TAKES_FRAMES:
        inputs: _Wanted = [(FRAMES, (info.window_frames, spec.n_features))]
        outputs: _Wanted = [(LOGITS, (n_genres,))]
    else:
        inputs = [(WAVEFORM, (spec.excerpt_samples,))]
        outputs = [(PROBABILITIES, (n_genres,))]
    if info.novelty_threshold is not None or len(has_outputs) > 1:
        outputs.append((DISTANCE, ()))
    for kind, wanted, got in (("input", inputs, has_inputs), ("output", outputs, has_outputs)):
        right = len(got) == len(wanted) and all(
            name == got_name and kind_of == "tensor(float)" and _fits(shape, sizes)
            for (name, sizes), (got_name, kind_of, shape) in zip(wanted, got, strict=True)
        )
        if not right:
            raise DataError(
                f"{source}: expected the {kind} that its metadata name, {_shown(wanted)}, got "
                f"{', '.join(f'{name} {kind_of} {list(shape)}' for name, kind_of, shape in got)}."
            )


def _fits(shape: tuple[object, ...], sizes: tuple[int, ...]) -> bool:
    """Whether a shape is a free batch of these sizes; a size that the graph leaves open fits."""
    if len(shape) != 1 + len(sizes) or isinstance(shape[0], int):
        return False
    return all(not isinstance(n, int) or n == m for n, m in zip(shape[1:], sizes, strict=True))


def _shown(wanted: _Wanted) -> str:
    return ", ".join(f"{name} tensor(float) {['batch', *sizes]}" for name, sizes in wanted)
