"""ConvLSTM layers of all kinds, for the tests of what they compute and how fast."""

from __future__ import annotations

from ostinato.models.layers.conv_lstm import ConvLSTM1d, ConvLSTM2d

#: Layer, channels in and out, kernel, padding, space.
CASES = [
    (ConvLSTM1d, 2, 3, 3, "same", (7,)),
    (ConvLSTM1d, 1, 4, 5, "valid", (9,)),
    (ConvLSTM1d, 3, 2, 1, "same", (1,)),
    (ConvLSTM2d, 2, 3, 3, "same", (4, 5)),
    (ConvLSTM2d, 1, 2, (1, 3), "same", (3, 6)),
    (ConvLSTM2d, 3, 2, (3, 5), "valid", (5, 7)),
]
