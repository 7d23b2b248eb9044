"""The front end as a graph: sound in, windows of frames out, as Ostinato computes them.

For programs in any language that have ONNX Runtime and nothing else: they pass an excerpt of sound
and compute no frames. The graph takes excerpts of the length in the spec, and cuts the windows as
:mod:`ostinato.features.windows` does.

Axes: B batch, S samples, N frames of an excerpt, F features, W windows of an excerpt, T frames of a
window.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.features import (
    COMPRESSION,
    log_mel_from_mfcc,
    mel_filterbank,
    mfcc_from_log_mel,
    window_starts,
)
from ostinato.inference.model_file import WAVEFORM
from ostinato.inference.model_info import ModelInfo
from ostinato.models.export.graph import trace

if TYPE_CHECKING:
    from onnx import ModelProto

WINDOWS = "windows"
"""The output of the graph."""

_AMIN = 1e-10  # as features takes the power
_SMALLEST_DEVIATION = 1e-6  # of a silent excerpt, which has no frames: some numbers, no NaN


class FrontEnd(nn.Module):
    """Excerpts of sound (B, S) -> windows of frames (B W, T, F)."""

    taper: Tensor
    bank: Tensor
    finish: Tensor
    where: Tensor

    def __init__(self, info: ModelInfo) -> None:
        super().__init__()
        self.spec = spec = info.spec
        self.n_frames = frames_of_excerpt(info)
        time = np.arange(spec.n_fft)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * time / spec.n_fft)
        finish = np.eye(spec.n_mels, dtype=np.float32)
        if spec.kind != "log-mel":
            finish = mfcc_from_log_mel(finish, spec.n_coefficients)
        if spec.kind == "log-mel-from-mfcc":
            finish = log_mel_from_mfcc(finish, spec.n_mels)
        starts = window_starts(self.n_frames, length=info.window_frames, hop=info.window_hop)
        where = (starts[:, None] + np.arange(info.window_frames)) % self.n_frames  # (W, T)
        self.register_buffer("taper", torch.from_numpy(taper.astype(np.float32)))
        self.register_buffer("bank", torch.from_numpy(mel_filterbank(spec).T.copy()))
        self.register_buffer("finish", torch.from_numpy(finish.copy()))
        self.register_buffer("where", torch.from_numpy(where))

    def forward(self, x: Tensor) -> Tensor:
        """Frames of each excerpt, in windows."""
        B, (W, T) = x.shape[0], self.where.shape
        x = self.log_mel(x)
        if self.spec.scaling == "standardise":
            x = x - x.mean(dim=(1, 2), keepdim=True)
            variance = x.square().mean(dim=(1, 2), keepdim=True)
            x = x / variance.sqrt().clamp_min(_SMALLEST_DEVIATION)
        x = x @ self.finish  # (B, N, F)
        return x[:, self.where.flatten()].reshape(B * W, T, x.shape[2])

    def log_mel(self, x: Tensor) -> Tensor:
        """Log-mel images, in dB and floored, or compressed: (B, S) -> (B, N, mel band)."""
        n_fft, hop = self.spec.n_fft, self.spec.hop_samples
        if self.spec.center:
            x = nn.functional.pad(x, (n_fft // 2, n_fft // 2))
        firsts = torch.arange(self.n_frames)[:, None] * hop  # (N, 1)
        framed = x[:, firsts + torch.arange(n_fft)]  # (B, N, n_fft)
        spectrum = torch.view_as_real(torch.fft.rfft(framed * self.taper))  # (B, N, bin, 2)
        power = spectrum.square().sum(dim=3) @ self.bank  # (B, N, mel band)
        if self.spec.scaling == "log-compress":
            return (power * COMPRESSION + 1).log() / math.log(10)
        level = power.clamp_min(_AMIN).log() * (10 / math.log(10))
        return torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - self.spec.top_db)


def frames_of_excerpt(info: ModelInfo) -> int:
    """Number of frames of an excerpt of full length."""
    spec = info.spec
    if spec.center:
        return 1 + spec.excerpt_samples // spec.hop_samples
    return 1 + (spec.excerpt_samples - spec.n_fft) // spec.hop_samples


def front_end_graph(info: ModelInfo) -> ModelProto:
    """The front end as an ONNX graph: ``waveform`` (B, S), B free -> ``windows`` (B W, T, F)."""
    silence = torch.zeros(2, info.spec.excerpt_samples)
    return trace(FrontEnd(info).eval(), silence, input_name=WAVEFORM, output_name=WINDOWS)
