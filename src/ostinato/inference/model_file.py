"""The file of a model that listens: an ONNX graph with its :class:`~ostinato.inference.model_info.ModelInfo`.

The graph takes windows of frames and gives logits, and, where it can tell, how far each window lies
from what the model learned from. The metadata are in the file, under the name ``ostinato``, as
JSON. Nothing in the file is trusted: it is looked through before it is loaded, nothing is unpickled
or executed but standard operators, and metadata that disagree with the graph are refused.

Axes: B batch, T frames, F features of a frame, S samples, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_path

from ostinato.errors import DataError, UsageError
from ostinato.inference.model_info import TAKES_FRAMES, ModelInfo
from ostinato.inference.onnx_check import check_onnx_bytes

METADATA = "ostinato"
"""The metadata's name in the ONNX file."""

FRAMES, LOGITS, DISTANCE = "frames", "logits", "distance"
WAVEFORM, PROBABILITIES = "waveform", "probabilities"

MOST_BYTES = 256 << 20
"""A larger file is refused unread."""

WEIGHTS = "weights"
"""The package's folder of shipped models."""

MUSICNN = "musicnn"
"""A model that is fetched (:mod:`ostinato.inference.musicnn`), for it is another's, and does not ship."""

_HEADS = (f"{MUSICNN}-head",)  # ship as well, and listen to no sound
_Wanted = list[tuple[str, tuple[int, ...]]]  # names, and sizes behind the batch

_Described = list[tuple[str, str, tuple[object, ...]]]  # names, types and shapes

_FRAMES_A_RUN = 1024  # or samples: windows together are no faster, and take memory each
_SUFFIX = ".onnx"


@dataclass(frozen=True, kw_only=True)
class ModelGraph:
    """A model, ready to run.

    Attributes
    ----------
    source : str
        The file.
    n_bytes : int
        Its size.
    info : ModelInfo
    session : onnxruntime.InferenceSession
    """

    source: str
    n_bytes: int
    info: ModelInfo
    session: Any

    def run(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Run the graph, some inputs at a time.

        Parameters
        ----------
        inputs : float32 array
            Windows [shape=(B, T, F)], or excerpts of sound [shape=(B, S)], as ``info.takes`` says.

        Returns
        -------
        scores : float32 array [shape=(B, G)]
            Logits of windows, or probabilities of excerpts.
        distances : float32 array [shape=(B,)] or None
            None where the graph does not measure them.

        Raises
        ------
        DataError
            If the graph fails, or gives what are no finite numbers of the right shape.
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
                f"'{_first_line(error)}'."
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


def shipped() -> tuple[str, ...]:
    """Names of the models that come with the package, those that are meant for use first."""
    folder = files("ostinato") / WEIGHTS
    if not folder.is_dir():
        return ()
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
    found = {name.removesuffix(_SUFFIX) for name in names} - set(_HEADS)
    return tuple(sorted(found, key=lambda name: (not name.startswith("default"), name)))


def fetched_path() -> Path:
    """Where the file of the model :data:`MUSICNN` is kept once it was fetched."""
    return user_data_path("ostinato", appauthor=False) / f"{MUSICNN}{_SUFFIX}"


def catalogue() -> list[dict[str, Any]]:
    """What there is to say of the models that come with the package, by their own metadata.

    Returns
    -------
    list of dict
        One a model, in the order of :func:`shipped`, all of the same keys: ``name``, ``version``,
        ``family``, ``parameters``, ``bytes``, ``accuracy``, ``temperature``, ``threshold``,
        ``precision``, ``genres``, ``trained_on`` (``data``, ``split``, ``recordings``) and
        ``licence``, as :class:`~ostinato.inference.model_info.ModelInfo` has them; None where a file does not
        say. Plain values.

    Raises
    ------
    DataError
        As :func:`load_graph`.
    """
    return [_described(name, load_graph(name)) for name in shipped()]


def _described(name: str, graph: ModelGraph) -> dict[str, Any]:
    info, provenance = graph.info, graph.info.provenance
    return {
        "name": name,
        "version": info.version or None,
        "family": info.family,
        "parameters": provenance.get("parameters"),
        "bytes": graph.n_bytes,
        "accuracy": info.accuracy or None,
        "temperature": info.temperature,
        "threshold": info.threshold,
        "precision": info.precision,
        "genres": list(info.genres),
        "trained_on": {
            "data": provenance.get("data"),
            "split": provenance.get("split"),
            "recordings": provenance.get("train"),
        },
        "licence": info.licence or None,
    }


def load_graph(name_or_path: str | Path, *, threads: int = 1) -> ModelGraph:
    """Load a model that comes with the package or was fetched, or an ONNX file.

    Parameters
    ----------
    name_or_path : str or Path
        A name of :func:`shipped`, :data:`MUSICNN`, or a file that ``ostinato export`` wrote.
    threads : int
        Of ONNX Runtime, at least 1.

    Raises
    ------
    UsageError
        If there is no model of that name, it was not fetched, or ``threads`` is below 1.
    DataError
        If the file cannot be read, is larger than :data:`MOST_BYTES`, is no ONNX graph, is damaged,
        holds what a genre model has no use for (:mod:`ostinato.inference.onnx_check`), lacks Ostinato's
        metadata or holds those of another version, or if graph and metadata disagree.
    """
    if threads < 1:
        raise UsageError(f"Threads: expected 1 or more, got {threads}.")
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(_SUFFIX) or "/" in name or "\\" in name:
        return _open(Path(name_or_path), threads)
    if name == MUSICNN:
        if not fetched_path().is_file():
            raise UsageError(
                f"Model '{name}': expected it at {fetched_path()}, got no file there; it does not "
                f"ship with the package, so run ostinato fetch {name} first."
            )
        return _open(fetched_path(), threads)
    if name not in shipped():
        raise UsageError(
            f"Model '{name}': expected {', '.join((*shipped(), MUSICNN))}, or the path of an "
            f"{_SUFFIX} file."
        )
    with as_file(files("ostinato") / WEIGHTS / f"{name}{_SUFFIX}") as path:
        return _open(path, threads)


def _open(path: Path, threads: int) -> ModelGraph:
    source = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise DataError(f"Cannot read the model {source}: {_why(error)}.") from error
    return read_graph(content, source=source, threads=threads)


def read_graph(content: bytes, *, source: str, threads: int = 1) -> ModelGraph:
    """Load a model from the bytes of its file.

    Parameters
    ----------
    content : bytes
    source : str
        The file, for the errors.
    threads : int
        Of ONNX Runtime.

    Raises
    ------
    DataError
        As :func:`load_graph`.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"{source}: expected a model of at most {MOST_BYTES >> 20} MiB, got more.")
    check_onnx_bytes(content, source=source)
    session = _session(content, source, threads)
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA)
        described = [
            [(one.name, one.type, tuple(one.shape)) for one in found]
            for found in (session.get_inputs(), session.get_outputs())
        ]
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: expected names as text, got bytes that are none.") from error
    if text is None:
        raise DataError(
            f"{source}: expected a model that ostinato export wrote, got an ONNX graph without "
            "Ostinato's metadata."
        )
    info = ModelInfo.from_json(text, source=source)
    _check_agreement(info, *described, source=source)
    return ModelGraph(source=source, n_bytes=len(content), info=info, session=session)


def _session(content: bytes, source: str, threads: int) -> Any:
    import onnxruntime  # 0.1 s that nobody need spend who loads no model

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no other class
        raise DataError(
            f"{source}: expected a graph that ONNX Runtime can load, got '{_first_line(error)}'; "
            "it is damaged, or was written for a newer one."
        ) from error


def _check_agreement(
    info: ModelInfo, has_inputs: _Described, has_outputs: _Described, *, source: str
) -> None:
    """Refuse a graph whose inputs and outputs are not those that its metadata speak of."""
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
                f"{source}: expected the {kind} that its metadata speak of, {_shown(wanted)}, got "
                f"{', '.join(f'{name} {kind_of} {list(shape)}' for name, kind_of, shape in got)}."
            )


def _fits(shape: tuple[object, ...], sizes: tuple[int, ...]) -> bool:
    """Whether a shape is a free batch of these sizes; what the graph leaves open may be them."""
    if len(shape) != 1 + len(sizes) or isinstance(shape[0], int):
        return False
    return all(not isinstance(n, int) or n == m for n, m in zip(shape[1:], sizes, strict=True))


def _shown(wanted: _Wanted) -> str:
    return ", ".join(f"{name} tensor(float) {['batch', *sizes]}" for name, sizes in wanted)


def _why(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:300]
