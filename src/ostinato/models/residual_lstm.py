"""Residual LSTM, stacked: x(l+1) = x(l) + LSTM_l(x(l)).

Prakash et al. 2016 ("Neural Paraphrase Generation with Stacked Residual LSTM Networks"); Wu et al.
2016 (GNMT, section 3.1). It is the LSTM of :mod:`ostinato.models.lstm` in everything, number of
parameters and initial weights included, but the shortcut around each layer.
"""

from __future__ import annotations

from ostinato.models.lstm import LSTMClassifier


class ResidualLSTMClassifier(LSTMClassifier):
    """Frames (B, T, F) -> logits (B, G), with a shortcut around every LSTM layer."""

    residual = True
