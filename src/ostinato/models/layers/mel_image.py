"""Frames as an image of mel bands, for models whose convolutions need neighbours that are alike.

The inverse DCT turns MFCC back into the bands they were made from (Davis and Mermelstein 1980): a
smoothed image, since some coefficients were left out. Frames of mel bands are used directly. Then
several bands are averaged into one.

Axes: B batch, T frames, F features of a frame, M bands of the image.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec, log_mel_from_mfcc
from ostinato.models.layers.normalisation import FrameNormalisation


class MelImage(nn.Module):
    """Normalised frames -> mel bands, each less its mean: (B, T, F) -> (B, T, M).

    Coefficients that were each divided by their own deviation are no spectrum any more, so that is
    undone first; the bands are in the units of log-mel frames, deviations of an excerpt.

    Raises
    ------
    UsageError
        If M does not divide the number of mel bands of the frames, or they have none.
    """

    matrix: Tensor

    def __init__(self, spec: FeatureSpec, n_bands: int) -> None:
        super().__init__()
        if spec.kind == "external":
            raise UsageError(
                f"Expected frames of MFCC or mel bands, which this model makes an image of, got "
                f"{spec.describe()}; baseline, lstm, residual-lstm and residual-lstm-kim learn "
                "from them."
            )
        if n_bands < 1 or spec.n_mels % n_bands:
            raise UsageError(
                f"Expected a number of bands that divides the {spec.n_mels} of the frames, got "
                f"{n_bands}."
            )
        read = np.eye(spec.n_mels, dtype=np.float32)  # (F, mel band)
        if spec.kind == "mfcc":
            read = log_mel_from_mfcc(np.eye(spec.n_coefficients, dtype=np.float32), spec.n_mels)
        joined = read.reshape(len(read), n_bands, -1).mean(axis=2)  # (F, M)
        # Not saved with the weights: it follows from the spec, which is.
        self.register_buffer("matrix", torch.from_numpy(joined), persistent=False)

    def forward(self, x: Tensor, normalise: FrameNormalisation) -> Tensor:
        """Bands of frames (B, T, F) that ``normalise`` has normalised."""
        return (x * normalise.deviation) @ self.matrix  # (B, T, M)
