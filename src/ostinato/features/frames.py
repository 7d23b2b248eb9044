"""Compute frames from a waveform.

A waveform is cut into excerpts, each excerpt becomes a log-mel image, the image becomes frames::

    power STFT -> mel bands -> dB -> floor -> standardise over the excerpt -> DCT-II (MFCC)

Standardising over the excerpt (mean 0, deviation 1 over all cells of the log-mel image) makes
frames independent of the recording's level, so that data known only up to scale and offset can be
compared with real audio. Before that step the figures are those of librosa 0.11 (tested to
1e-3 dB). The scaling ``"log-compress"`` has neither dB nor floor nor standardising: pretrained
networks expect it.

Conventions
-----------
waveform : float32 array [shape=(n_samples,)], mono, full scale 1.0, at the rate of the spec.
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

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.features import mel
from ostinato.features.arrays import FeatureError, Frames, Waveform, check_form
from ostinato.features.mfcc import log_mel_from_mfcc, mfcc_from_log_mel, standardise
from ostinato.features.spec import FeatureSpec

COMPRESSION = 10_000
"""The factor of the scaling ``"log-compress"``: ``log10(1 + COMPRESSION * power)``."""

_AMIN = 1e-10  # power below this is taken as this, as librosa.power_to_db does
_HEAD_SAMPLES = 4096


def frames(waveform: Waveform, spec: FeatureSpec) -> Frames:
    """Compute the frames of one excerpt [shape=(n_frames, spec.n_features)].

    ``n_frames`` is ``1 + (n_samples - n_fft) // hop_samples``, or, if the frames are centred,
    ``1 + n_samples // hop_samples``.

    Raises
    ------
    FeatureError
        If the waveform is not one-dimensional float32, is not finite, is constant, or is shorter
        than a frame (when frames are not centred).
    UsageError
        If ``spec`` is of frames that are not computed here (``kind="external"``).

    Examples
    --------
    >>> from ostinato.audio import load_audio
    >>> from ostinato.features import FeatureSpec, frames
    >>> frames(load_audio("mix.flac"), FeatureSpec()).shape
    (180, 40)
    """
    return frames_of_image(mel_image(waveform, spec), spec)


def mel_image(waveform: Waveform, spec: FeatureSpec) -> Frames:
    """Compute the log-mel image of one excerpt, scaled as the spec says [shape=(n_frames, n_mels)].

    Errors are those of :func:`frames`.
    """
    if spec.kind == "external":
        raise UsageError(
            "Features: expected frames that Ostinato computes itself, got "
            f"'{spec.name}', which an ear gives (ostinato.inference.ear)."
        )
    check_sound(waveform)
    if spec.center:
        waveform = np.pad(waveform, spec.n_fft // 2)
    elif waveform.size < spec.n_fft:
        raise FeatureError(
            f"Sound too short for features: expected at least {spec.n_fft} samples "
            f"({spec.n_fft / spec.sample_rate_hz:.2g} s), got {waveform.size}."
        )
    framed = sliding_window_view(waveform, spec.n_fft)[:: spec.hop_samples]
    log_mel = _log_mel(framed, spec)
    return standardise(log_mel) if spec.scaling == "standardise" else log_mel


def frames_of_image(image: Frames, spec: FeatureSpec) -> Frames:
    """Frames [shape=(n_frames, spec.n_features)] of a :func:`mel_image`."""
    if spec.kind == "log-mel":
        return image
    mfcc = mfcc_from_log_mel(image, spec.n_coefficients)
    return mfcc if spec.kind == "mfcc" else log_mel_from_mfcc(mfcc, spec.n_mels)


@lru_cache(maxsize=16)
def mel_filterbank(spec: FeatureSpec) -> NDArray[np.float32]:
    """Triangular mel bands, low to high [shape=(n_mels, 1 + n_fft // 2)]; read-only."""
    triangles = mel.mel_triangles(spec.bins_hz, spec.mel_corners_hz, norm=spec.mel_norm)
    bank = triangles.astype(np.float32)
    bank.flags.writeable = False
    return bank


@lru_cache(maxsize=16)
def _bands(spec: FeatureSpec) -> tuple[mel.Bands, ...]:
    return mel.grouped(mel_filterbank(spec))


def check_sound(waveform: Waveform) -> None:
    """Refuse, with a FeatureError, what has no frames: see :func:`frames`."""
    check_form(waveform)
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


def _log_mel(framed: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """Log-mel image, in dB and floored or compressed, of frames [shape=(n_frames, n_fft)]."""
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
