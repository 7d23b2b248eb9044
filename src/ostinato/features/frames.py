"""Features: waveform -> frames, and :class:`FeatureSpec`, the contract every model file carries.

A waveform is cut into excerpts, each excerpt becomes a log-mel image, the image becomes frames::

    power STFT -> mel bands -> dB -> floor -> standardise over the excerpt -> DCT-II (MFCC)

Standardising over the excerpt (mean 0, deviation 1 over all cells of the log-mel image) makes
frames independent of the recording's level, so that data known only up to scale and offset can be
compared with real audio. Before that step the figures are those of librosa 0.11 (tested to
1e-3 dB). The scaling ``"log-compress"`` has neither dB nor floor nor standardising: pretrained
networks expect it.

Conventions
-----------
waveform : float32 array [shape=(n_samples,)], mono, in [-1, 1], at ``FeatureSpec.sample_rate_hz``.
frames : float32 array [shape=(n_frames, n_features)]; time first.

References
----------
.. [1] S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word
       recognition in continuously spoken sentences", IEEE Trans. ASSP 28(4), 1980 (MFCC).
.. [2] M. Slaney, "Auditory Toolbox", Interval Technical Report 1998-010 (mel scale and norm).
.. [3] B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ostinato.errors import OstinatoError, UsageError
from ostinato.features import mel
from ostinato.features.spec import FeatureSpec

__all__ = [
    "COMPRESSION",
    "FeatureError",
    "FeatureSpec",
    "Frames",
    "Waveform",
    "excerpts",
    "frames",
    "frames_at",
    "log_mel_from_mfcc",
    "mel_filterbank",
    "mfcc_from_log_mel",
    "standardise",
]

Waveform: TypeAlias = NDArray[np.float32]
Frames: TypeAlias = NDArray[np.float32]

COMPRESSION = 10_000
"""Of the scaling ``"log-compress"``: ``log10(1 + COMPRESSION * power)``."""

_AMIN = 1e-10  # power below this is taken as this, as librosa.power_to_db does
_HEAD_SAMPLES = 4096

EXCERPT_TOLERANCE = 0.05
"""A piece of a sound by this share longer than an excerpt is kept whole."""


class FeatureError(OstinatoError):
    """A sound has no frames: it is too short, constant, not finite, or of the wrong form."""


def excerpts(waveform: Waveform, spec: FeatureSpec) -> list[Waveform]:
    """Cut a waveform into excerpts of ``spec.excerpt_seconds``.

    A shorter waveform is one excerpt. Of a longer one, the last excerpt ends with the sound and may
    overlap the one before it; a last piece of up to 5 % more than an excerpt is kept whole (GTZAN's
    tracks of "30 s" last 29.9 to 30.7 s, and are one excerpt each). Every sample is in an excerpt.

    Parameters
    ----------
    waveform : float32 array [shape=(n_samples,)]
    spec : FeatureSpec

    Returns
    -------
    list of float32 array
        Views of ``waveform``, in order of time; at least one.

    Raises
    ------
    FeatureError
        If ``waveform`` is not one-dimensional float32.
    """
    _check_form(waveform)
    length = spec.excerpt_samples
    longest = length + int(EXCERPT_TOLERANCE * length)
    pieces: list[Waveform] = []
    first = 0
    while waveform.size - first > longest:
        pieces.append(waveform[first : first + length])
        first += length
    if pieces and waveform.size - first < length:
        first = waveform.size - length
    return [*pieces, waveform[first:]]


def frames(waveform: Waveform, spec: FeatureSpec) -> Frames:
    """Compute the frames of one excerpt.

    Parameters
    ----------
    waveform : float32 array [shape=(n_samples,)]
        One excerpt, at ``spec.sample_rate_hz``.
    spec : FeatureSpec

    Returns
    -------
    float32 array [shape=(n_frames, spec.n_features)]
        ``n_frames`` is ``1 + (n_samples - n_fft) // hop_samples``, or, if the frames are centred,
        ``1 + n_samples // hop_samples``.

    Raises
    ------
    FeatureError
        If the waveform is not one-dimensional float32, is not finite, is constant, or is shorter
        than a frame (when frames are not centred).
    UsageError
        If ``spec`` is of frames that are not computed here (``kind="external"``).
    """
    _check_computed(spec)
    _check_sound(waveform)
    if spec.center:
        waveform = _padded(waveform, spec)
    elif waveform.size < spec.n_fft:
        raise FeatureError(
            f"Sound too short for features: expected at least {spec.n_fft} samples "
            f"({spec.n_fft / spec.sample_rate_hz:.2g} s), got {waveform.size}."
        )
    framed = sliding_window_view(waveform, spec.n_fft)[:: spec.hop_samples]
    return _finish(_log_mel(framed, spec), spec)


def frames_at(waveform: Waveform, centres: NDArray[np.integer[Any]], spec: FeatureSpec) -> Frames:
    """Compute frames at given places, in place of every ``spec.hop_samples``.

    ``spec.hop_samples`` and ``spec.center`` have no effect. The floor and the standardising refer
    to the frames asked for.

    Parameters
    ----------
    waveform : float32 array [shape=(n_samples,)]
        One excerpt, at ``spec.sample_rate_hz``; continued with zeros on both sides.
    centres : integer array [shape=(n_frames,)]
        The sample on which each frame is centred, from 0 to ``n_samples``, in any order.
    spec : FeatureSpec

    Returns
    -------
    float32 array [shape=(n_frames, spec.n_features)]

    Raises
    ------
    FeatureError
        If the waveform is not one-dimensional float32, is not finite or is constant.
    UsageError
        If ``centres`` is empty, not of whole numbers, or outside the sound; or as :func:`frames`.
    """
    _check_computed(spec)
    _check_sound(waveform)
    centres = np.asarray(centres)
    if centres.ndim != 1 or centres.size == 0 or not np.issubdtype(centres.dtype, np.integer):
        raise UsageError(
            "Frame centres: expected a one-dimensional array of whole numbers, at least one, "
            f"got {centres.dtype} of shape {centres.shape}."
        )
    if centres.min() < 0 or centres.max() > waveform.size:
        raise UsageError(
            f"Frame centres: expected samples 0 to {waveform.size}, the length of the sound, "
            f"got {centres.min()} to {centres.max()}."
        )
    # what is centred on sample i of the sound begins at sample i of the padded sound
    framed = sliding_window_view(_padded(waveform, spec), spec.n_fft)[centres]
    return _finish(_log_mel(framed, spec), spec)


def standardise(log_mel: Frames) -> Frames:
    """Scale a log-mel image to mean 0 and deviation 1 over all its cells.

    Parameters
    ----------
    log_mel : float32 array [shape=(n_frames, n_mels)]
        In dB, or anything that differs from dB by a factor and an offset.

    Returns
    -------
    float32 array [shape=(n_frames, n_mels)]

    Raises
    ------
    FeatureError
        If all cells are equal.
    """
    centred: Frames = np.asarray(log_mel, dtype=np.float32)
    if not float(np.ptp(centred)) > 0:  # a NaN is refused with the constant image
        raise FeatureError(
            "Sound without content: expected a log-mel image with cells of different level, "
            "got a constant one (silence, or far too quiet)."
        )
    centred = centred - centred.mean()
    deviation = math.sqrt(float(np.vdot(centred, centred)) / centred.size)
    centred *= np.float32(1 / deviation)
    return centred


def mfcc_from_log_mel(log_mel: Frames, n_coefficients: int) -> Frames:
    """Orthonormal DCT-II of each frame, its first ``n_coefficients``.

    Parameters
    ----------
    log_mel : float32 array [shape=(n_frames, n_mels)]
    n_coefficients : int
        From 1 to ``n_mels``.

    Returns
    -------
    float32 array [shape=(n_frames, n_coefficients)]

    Raises
    ------
    UsageError
        If ``n_coefficients`` is out of its range.
    """
    mfcc: Frames = log_mel @ _dct(log_mel.shape[1], n_coefficients)
    return mfcc


def log_mel_from_mfcc(mfcc: Frames, n_mels: int) -> Frames:
    """Log-mel image that has these MFCC and no finer detail: the inverse DCT.

    Parameters
    ----------
    mfcc : float32 array [shape=(n_frames, n_coefficients)]
    n_mels : int
        At least ``n_coefficients``.

    Returns
    -------
    float32 array [shape=(n_frames, n_mels)]

    Raises
    ------
    UsageError
        If ``n_mels`` is smaller than ``n_coefficients``.
    """
    log_mel: Frames = mfcc @ _dct(n_mels, mfcc.shape[1]).T
    return log_mel


@lru_cache(maxsize=16)
def mel_filterbank(spec: FeatureSpec) -> NDArray[np.float32]:
    """Triangular mel bands over the bins of the Fourier transform.

    Parameters
    ----------
    spec : FeatureSpec

    Returns
    -------
    float32 array [shape=(n_mels, 1 + n_fft // 2)]
        Read-only; computed once for a spec. Row i is band i, low to high.
    """
    triangles = mel.mel_triangles(spec.bins_hz, spec.mel_corners_hz, norm=spec.mel_norm)
    bank = triangles.astype(np.float32)
    bank.flags.writeable = False
    return bank


@lru_cache(maxsize=16)
def _bands(spec: FeatureSpec) -> tuple[mel.Bands, ...]:
    return mel.grouped(mel_filterbank(spec))


@lru_cache(maxsize=16)
def _dct(n_mels: int, n_coefficients: int) -> NDArray[np.float32]:
    """Orthonormal DCT-II as a matrix [shape=(n_mels, n_coefficients)]."""
    if not 1 <= n_coefficients <= n_mels:
        raise UsageError(
            f"MFCC: expected 1 to {n_mels} coefficients, one a mel band at most, "
            f"got {n_coefficients}."
        )
    angle = np.pi / n_mels * (np.arange(n_mels)[:, None] + 0.5) * np.arange(n_coefficients)
    matrix = np.cos(angle) * math.sqrt(2 / n_mels)
    matrix[:, 0] = math.sqrt(1 / n_mels)
    return np.asarray(matrix, dtype=np.float32)


def _check_computed(spec: FeatureSpec) -> None:
    if spec.kind == "external":
        raise UsageError(
            "Features: expected frames that Ostinato computes from sound, got "
            f"'{spec.name}', which another network gives; they come from a file (--data FILE.npz)."
        )


def _check_form(waveform: Waveform) -> None:
    if waveform.ndim != 1 or waveform.dtype != np.float32:
        raise FeatureError(
            "Waveform: expected a one-dimensional array of float32 (mono), "
            f"got {waveform.dtype} of shape {waveform.shape}."
        )


def _check_sound(waveform: Waveform) -> None:
    _check_form(waveform)
    if waveform.size == 0:
        raise FeatureError("Sound too short for features: expected samples, got none.")
    # One pass tells all: a NaN, an infinity, a huge sample leave no finite sum of squares.
    if not math.isfinite(np.vdot(waveform, waveform)):
        raise FeatureError(
            "Sound not finite: expected samples in [-1, 1], got NaN, infinity or the like."
        )
    first = waveform[0]
    # Almost every sound varies within its first samples; only a constant one is read to its end.
    if (waveform[:_HEAD_SAMPLES] == first).all() and (waveform == first).all():
        raise FeatureError(
            "Sound without content: expected samples that vary, "
            f"got {waveform.size} samples of {first:g}."
        )


def _padded(waveform: Waveform, spec: FeatureSpec) -> Waveform:
    """Half a frame of zeros on both sides."""
    half = spec.n_fft // 2
    padded = np.zeros(waveform.size + 2 * half, dtype=np.float32)
    padded[half : half + waveform.size] = waveform
    return padded


def _log_mel(framed: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """Log-mel image in dB, floored, of samples in frames [shape=(n_frames, n_fft)].

    Where the spec asks for it, compressed in place of that.
    """
    image = mel.mel_power(framed, _bands(spec))
    if spec.scaling == "log-compress":
        image *= np.float32(COMPRESSION)
        image += np.float32(1)
        np.log10(image, out=image)
        return image
    np.maximum(image, np.float32(_AMIN), out=image)
    np.log10(image, out=image)
    image *= np.float32(10)
    np.maximum(image, image.max() - np.float32(spec.top_db), out=image)
    return image


def _finish(log_mel: Frames, spec: FeatureSpec) -> Frames:
    """From the log-mel image to the frames that ``spec`` asks for."""
    if spec.scaling == "standardise":
        log_mel = standardise(log_mel)
    if spec.kind == "log-mel":
        return log_mel
    mfcc = mfcc_from_log_mel(log_mel, spec.n_coefficients)
    return mfcc if spec.kind == "mfcc" else log_mel_from_mfcc(mfcc, spec.n_mels)
