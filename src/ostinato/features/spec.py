"""FeatureSpec: the settings that frames were computed with."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.features import mel

_VERSION = 1
_DIGEST_DIGITS = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # a file may be called so, in any folder
_SHA256 = re.compile(r"([0-9a-f]{64})?")

_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": ("mfcc", "log-mel", "log-mel-from-mfcc", "external"),
    "window": ("hann",),
    "mel_scale": ("slaney", "htk"),
    "mel_norm": ("slaney", "none"),
    "scaling": ("standardise", "none", "log-compress"),
}
_SMALLEST_WHOLE: dict[str, int] = {
    "sample_rate_hz": 1,
    "n_fft": 16,
    "hop_samples": 1,
    "n_mels": 1,
    "n_coefficients": 1,
    "version": 1,
}
_SMALLEST_REAL: dict[str, float] = {
    "fmin_hz": 0.0,
    "fmax_hz": 0.0,
    "top_db": 1.0,
    "excerpt_seconds": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """How frames are computed; a model refuses frames of another spec.

    Attributes
    ----------
    kind : {"mfcc", "log-mel", "log-mel-from-mfcc", "external"}
        ``"log-mel-from-mfcc"`` is the log-mel image smoothed by keeping ``n_coefficients`` MFCC.
        ``"external"`` frames are the vectors of an ear, another network, ``width`` numbers for
        every ``n_fft`` samples: :mod:`ostinato.inference.ear` computes them.
    n_fft : int
        Length of a frame and of its Fourier transform, in samples; even.
    window : {"hann"}
        The periodic one.
    hop_samples : int
        From one frame to the next.
    center : bool
        False: frame i covers samples ``i * hop`` to ``i * hop + n_fft``. True: frame i is centred
        on sample ``i * hop``, the sound being continued with zeros, as librosa does.
    mel_norm : {"slaney", "none"}
        Slaney: every band has the same area, otherwise the same height.
    fmin_hz, fmax_hz : float
        Range of the mel bands; ``fmax_hz=None`` is half the sample rate.
    top_db : float
        Cells are raised to at least this far below the excerpt's loudest cell.
    scaling : {"standardise", "none", "log-compress"}
        Standardise over the excerpt, or keep decibels; or, where ``kind="log-mel"``, have no
        decibels and no floor: ``log10(1 + 10000 x)`` of the mel power x.
    n_coefficients : int
        How many MFCC, from the zeroth on. Without effect where ``kind="log-mel"``.
    version : int
        Version of this arithmetic. It changes when the same settings would give other frames.
    name, width : str, int
        What external frames are called, and how many numbers each has. Other kinds have neither.
    sha256 : str
        The digest of the ear's file, 64 hexadecimal digits; "" where it is not stated, and for
        other kinds.

    Raises
    ------
    UsageError
        If a value has the wrong type or is out of its range.

    Examples
    --------
    >>> from ostinato.features import FeatureSpec
    >>> FeatureSpec().n_features, FeatureSpec(kind="log-mel", n_mels=64).n_features
    (40, 64)
    """

    kind: Literal["mfcc", "log-mel", "log-mel-from-mfcc", "external"] = "mfcc"
    sample_rate_hz: int = 22050
    n_fft: int = 2048
    window: str = "hann"
    hop_samples: int = 1708
    center: bool = False
    n_mels: int = 128
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    fmin_hz: float = 0.0
    fmax_hz: float | None = None
    top_db: float = 80.0
    scaling: Literal["standardise", "none", "log-compress"] = "standardise"
    excerpt_seconds: float = 30.0
    n_coefficients: int = 40
    version: int = _VERSION
    name: str = ""
    width: int = 0
    sha256: str = ""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, " or ".join(map(repr, choices)), getattr(self, name))
        center: object = self.center
        if not isinstance(center, bool):
            _refuse("center", "true or false", center)
        for name, smallest in _SMALLEST_WHOLE.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                _refuse(name, f"a whole number of at least {smallest}", value)
        for name, lowest in _SMALLEST_REAL.items():
            value = getattr(self, name)
            if value is None and name == "fmax_hz":
                continue
            whole_or_real = isinstance(value, int | float) and not isinstance(value, bool)
            # Compared, since a whole number may be too large for isfinite.
            if not whole_or_real or not lowest <= value <= sys.float_info.max:
                _refuse(name, f"a finite number of at least {lowest:g}", value)
            object.__setattr__(self, name, float(value))  # 80 and 80.0 are one spec, one digest
        self._check_together()

    def _check_together(self) -> None:
        if self.version != _VERSION:
            _refuse("version", f"{_VERSION}, the only one this Ostinato computes", self.version)
        self._check_external()
        if self.excerpt_samples < self.n_fft:
            seconds = self.n_fft / self.sample_rate_hz
            _refuse("excerpt_seconds", f"at least {seconds:.4g}, one frame", self.excerpt_seconds)
        if self.kind != "external":
            self._check_mel()

    def _check_mel(self) -> None:
        if self.n_fft % 2:
            _refuse("n_fft", "an even number", self.n_fft)
        nyquist_hz = self.sample_rate_hz / 2
        if self.highest_hz > nyquist_hz:
            _refuse("fmax_hz", f"at most {nyquist_hz:g}, half the sample rate", self.fmax_hz)
        if self.fmin_hz >= self.highest_hz:
            _refuse("fmin_hz", f"less than {self.highest_hz:g}, the top of the range", self.fmin_hz)
        if self.scaling == "log-compress" and self.kind != "log-mel":
            _refuse("scaling", "standardise or none where 'kind' is not log-mel", self.scaling)
        if self.kind != "log-mel" and self.n_coefficients > self.n_mels:
            _refuse("n_coefficients", f"at most {self.n_mels}, 'n_mels'", self.n_coefficients)
        empty = np.count_nonzero(mel.bins_in_bands(self.bins_hz, self.mel_corners_hz) == 0)
        if empty:
            few_enough = f"few enough to hold an FFT bin each ({empty} do not; or raise 'n_fft')"
            _refuse("n_mels", few_enough, self.n_mels)

    def _check_external(self) -> None:
        is_external, width = self.kind == "external", self.width
        if not isinstance(self.name, str) or bool(self.name) != is_external:
            _refuse("name", "a name for external frames, and none for others", self.name)
        if is_external and not _NAME.fullmatch(self.name):
            wanted = "at most 64 letters, digits, dots, hyphens and underlines for external frames"
            _refuse("name", wanted, self.name)
        whole = isinstance(width, int) and not isinstance(width, bool)
        if not whole or width < 0 or (width > 0) != is_external:
            _refuse("width", "1 or more for external frames, and 0 for others", width)
        stated = isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)
        if not stated or (self.sha256 and not is_external):
            _refuse("sha256", "64 hexadecimal digits, or nothing, for external frames", self.sha256)

    @property
    def n_features(self) -> int:
        """Width of a frame."""
        if self.kind == "external":
            return self.width
        return self.n_coefficients if self.kind == "mfcc" else self.n_mels

    @property
    def highest_hz(self) -> float:
        """Top of the highest mel band."""
        return self.sample_rate_hz / 2 if self.fmax_hz is None else self.fmax_hz

    @property
    def bins_hz(self) -> NDArray[np.floating]:
        """Frequencies of the Fourier transform's bins [shape=(1 + n_fft // 2,)]."""
        return np.fft.rfftfreq(self.n_fft, 1 / self.sample_rate_hz)

    @property
    def mel_corners_hz(self) -> NDArray[np.floating]:
        """Band i begins at corner i, peaks at i + 1, ends at i + 2 [shape=(n_mels + 2,)]."""
        return mel.mel_corners(
            n_mels=self.n_mels,
            fmin_hz=self.fmin_hz,
            fmax_hz=self.highest_hz,
            scale=self.mel_scale,
        )

    @property
    def excerpt_samples(self) -> int:
        """Length of an excerpt in samples."""
        return round(self.excerpt_seconds * self.sample_rate_hz)

    @property
    def hop_seconds(self) -> float:
        """From one frame to the next, in seconds."""
        return self.hop_samples / self.sample_rate_hz

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the inverse of :meth:`from_dict`."""
        values = asdict(self)
        if self.kind != "external":
            del values["name"], values["width"]
        if not self.sha256:
            del values["sha256"]
        return values

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> FeatureSpec:
        """Build a spec from plain values, or refuse them with a UsageError."""
        known = [field.name for field in fields(cls)]
        unknown = [key for key in settings if key not in known]
        if unknown:
            raise UsageError(
                f"Feature setting {unknown[0]!r} does not exist; there are {', '.join(known)}."
            )
        return cls(**settings)

    def digest(self) -> str:
        """Sixteen hexadecimal digits that name these settings, the same in every process."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_DIGITS]

    def describe(self) -> str:
        """In words: ``"40 MFCC from 128 mel bands, every 77.5 ms"``."""
        what = {
            "mfcc": f"{self.n_coefficients} MFCC from {self.n_mels} mel bands",
            "log-mel": f"{self.n_mels} mel bands",
            "log-mel-from-mfcc": f"{self.n_mels} mel bands smoothed by {self.n_coefficients} MFCC",
            "external": f"{self.width} {self.name}"
            + (f" (ear {self.sha256[:12]})" if self.sha256 else ""),
        }[self.kind]
        return f"{what}, every {1000 * self.hop_seconds:.1f} ms"


def _refuse(name: str, expected: str, got: object) -> NoReturn:
    raise UsageError(f"Feature setting '{name}': expected {expected}, got {got!r}.")
