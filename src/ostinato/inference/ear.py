"""An ear: an ONNX file that hears for a model, from sound to a sequence of vectors.

A network that learned elsewhere (musicnn is one) gives a vector every so often, and a model learns
genres from these vectors as from any other frames. The graph takes ``frames`` of a FeatureSpec
(batch, time, features), or ``waveform`` (batch, samples), mono, and gives ``vectors`` (batch,
steps, width); batch and time are free. JSON under the metadata's name ``ostinato-ear`` says the
rest::

    {"name": "yamnet", "sample_rate_hz": 16000, "hop_samples": 7680, "heard_samples": 15600,
     "width": 1024, "licence": "Apache-2.0", "spec": null}

``spec`` is the FeatureSpec of the frames that it takes, null if it takes sound. Nothing in the file
is trusted, as of a model's (:mod:`ostinato.inference.model_file`). docs/guide/ears.md says how one
is made.

Axes: T frames or samples, F features of a frame, S steps, W width of a vector.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato import features
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureError, FeatureSpec, Frames, Waveform, check_sound
from ostinato.inference.model_file import (
    EAR_METADATA,
    FRAMES,
    METADATA,
    WAVEFORM,
    Described,
    checked_session,
    read_bytes,
)
from ostinato.inference.model_info import strangers_spec
from ostinato.inference.session import first_line

VECTORS = "vectors"
"""The output of an ear."""


@dataclass(frozen=True, kw_only=True)
class EarInfo:
    """What an ear says of itself.

    Attributes
    ----------
    name : str
        What its vectors are called; models name it.
    sample_rate_hz, hop_samples, heard_samples, width : int
        Rate of the sound; samples from one vector to the next, and that one vector hears; numbers
        of a vector.
    licence : str
    spec : FeatureSpec or None
        Describes the frames that it takes; None if it takes sound.

    Raises
    ------
    DataError
        If a value has the wrong type or is out of its range.
    """

    name: str
    sample_rate_hz: int
    hop_samples: int
    heard_samples: int
    width: int
    licence: str
    spec: FeatureSpec | None

    def __post_init__(self) -> None:
        if not isinstance(self.licence, str):  # values from a file come in unchecked
            raise DataError(f"'licence': expected a licence, as text, got {self.licence!r}.")
        if self.spec is not None and not isinstance(self.spec, FeatureSpec):
            raise DataError(f"'spec': expected feature settings, or null, got {self.spec!r}.")
        if self.spec is not None and self.spec.kind == "external":
            raise DataError(
                "'spec': expected frames that Ostinato computes, got those of another ear."
            )
        if self.spec is not None and self.spec.sample_rate_hz != self.sample_rate_hz:
            raise DataError(
                f"'sample_rate_hz': expected {self.spec.sample_rate_hz}, that of the frames in "
                f"'spec', got {self.sample_rate_hz!r}."
            )
        self.vectors_spec()

    @classmethod
    def from_json(cls, text: str) -> EarInfo:
        """Read the metadata in an ear's file; DataError if they are not those of one."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"expected JSON, got other text ({error}).") from error
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            got = ", ".join(map(str, values)) if isinstance(values, dict) else repr(values)
            raise DataError(f"expected the keys {', '.join(sorted(names))}, got {got[:300]}.")
        if isinstance(values["spec"], dict):
            values["spec"] = strangers_spec(values["spec"])
        return cls(**values)

    @property
    def least(self) -> int:
        """Frames, or samples, that one vector hears."""
        if self.spec is None:
            return self.heard_samples
        if self.spec.center:
            return math.ceil(self.heard_samples / self.spec.hop_samples)
        return 1 + max(0, self.heard_samples - self.spec.n_fft) // self.spec.hop_samples

    def vectors_spec(self, sha256: str = "") -> FeatureSpec:
        """The spec of the vectors, with the SHA-256 of the ear's file."""
        return strangers_spec(
            {
                "kind": "external",
                "name": self.name,
                "width": self.width,
                "sample_rate_hz": self.sample_rate_hz,
                "n_fft": self.heard_samples,
                "hop_samples": self.hop_samples,
                "sha256": sha256,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Ear:
    """An ear, ready to hear. Safe to use from several threads.

    Attributes
    ----------
    path : Path
        Its file.
    info : EarInfo
        What it says of itself.
    spec : FeatureSpec
        Describes the vectors, which are a model's frames: its kind is external, and it holds the
        SHA-256 of the file.
    """

    path: Path
    info: EarInfo
    spec: FeatureSpec
    session: Any  # onnxruntime.InferenceSession

    def frames(self, waveform: Waveform) -> Frames:
        """Hear an excerpt [shape=(n_samples,)], at the rate of the spec: vectors [shape=(S, W)].

        What is shorter than one vector hears is repeated from its beginning until it fills one, as
        :func:`ostinato.features.cut` repeats the frames of a short track.

        Raises
        ------
        FeatureError
            As :func:`ostinato.features.frames`, or if the graph fails on this sound, or gives no
            finite numbers of the right shape.
        """
        heard, hop, takes = self.info.heard_samples, self.info.hop_samples, self.info.spec
        if takes is None:
            check_sound(waveform)
            x: NDArray[np.float32] = waveform
        else:
            x = features.frames(waveform, takes)  # (T, F)
        least = self.info.least
        if len(x) < least:
            x = x[np.arange(least) % len(x)]
        vectors = self._run(WAVEFORM if takes is None else FRAMES, x[None])
        most = 2 + max(waveform.size, heard) // hop  # a network may pad the sound at both ends
        fewest = max(1, (waveform.size - heard) // hop)
        _, steps, width = vectors.shape
        if not fewest <= steps <= most or width != self.spec.width:
            raise FeatureError(
                f"The ear {self.path}: expected about {fewest} vectors of {self.spec.width} "
                f"numbers for {waveform.size} samples, got {steps} of {width}: its metadata are "
                "wrong."
            )
        if not np.isfinite(vectors).all():
            raise FeatureError(
                f"The ear {self.path}: expected finite numbers, got NaN or infinity."
            )
        found: Frames = vectors[0]
        return found

    def _run(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (vectors,) = self.session.run([VECTORS], {name: x})
        except Exception as error:  # ONNX Runtime's errors share no other class
            raise FeatureError(
                f"The ear {self.path}: expected a graph that runs on {name} of shape {x.shape}, "
                f"got '{first_line(error)}'."
            ) from error
        found: NDArray[np.float32] = np.asarray(vectors)
        if found.ndim != 3 or len(found) != 1 or found.dtype != np.float32:
            raise FeatureError(
                f"The ear {self.path}: expected vectors of float32 and shape (1, steps, "
                f"{self.spec.width}), got {found.dtype} of shape {found.shape}."
            )
        return found


def open_ear(path: Path) -> Ear:
    """Open an ear's file.

    Raises
    ------
    DataError
        If the file cannot be read, is no ear, is damaged, or its metadata disagree with its graph.
    DeviceError
        As :func:`ostinato.inference.session.open_session`.
    """
    return read_ear(read_bytes(path, what="ear"), path=path)


def read_ear(content: bytes, *, path: Path) -> Ear:
    """Open an ear from the bytes of its file; errors as in :func:`open_ear`."""
    source = str(path)
    session, metadata, inputs, outputs = checked_session(content, source=source)
    if EAR_METADATA not in metadata:
        got = "a model, which takes what an ear gives (--model)"
        if METADATA not in metadata:
            got = f"an ONNX graph without the metadata '{EAR_METADATA}'"
        raise DataError(f"{source}: expected an ear (docs/guide/ears.md), got {got}.")
    try:
        info = EarInfo.from_json(metadata[EAR_METADATA])
        spec = info.vectors_spec(hashlib.sha256(content).hexdigest())
    except (DataError, UsageError) as error:
        raise DataError(f"{source}: the metadata of this ear: {error}") from error
    _check_agreement(info, inputs, outputs, source=source)
    return Ear(path=path, info=info, spec=spec, session=session)


def _check_agreement(info: EarInfo, inputs: Described, outputs: Described, *, source: str) -> None:
    """Refuse a graph whose inputs and outputs are not those of an ear with these metadata."""
    takes: tuple[str, tuple[int, ...]] = (WAVEFORM, ())
    if info.spec is not None:
        takes = FRAMES, (info.spec.n_features,)
    gives = VECTORS, (info.width,)
    others = [one for one in outputs if one[0] == VECTORS] or outputs  # more outputs do no harm
    for kind, (name, sizes), got in (("input", takes, inputs), ("output", gives, others)):
        if len(got) == 1 and got[0][:2] == (name, "tensor(float)") and _fits(got[0][2], sizes):
            continue
        shown = ", ".join(f"{n} {of} {list(shape)}" for n, of, shape in got)
        wanted = ["batch", "time", *sizes]
        raise DataError(
            f"{source}: expected the {kind} of an ear, {name} tensor(float) {wanted} with the "
            f"first two free, got {shown or 'none'}."
        )


def _fits(shape: tuple[object, ...], sizes: tuple[int, ...]) -> bool:
    """Whether a shape is a free batch, a free time and these sizes, which may be left open."""
    if len(shape) != 2 + len(sizes) or any(isinstance(n, int) for n in shape[:2]):
        return False
    return all(not isinstance(n, int) or n == m for n, m in zip(shape[2:], sizes, strict=True))
