"""CRNN: convolutions over an image of mel bands, then a residual LSTM (Choi et al. 2017).

"Convolutional recurrent neural networks for music classification": the convolutions join many
frames into one step and know what is near, the recurrence knows what came before. Its layers are
those of the residual LSTM (:class:`ostinato.models.lstm.LSTMStack`), in place of the paper's two
GRU.

Axes: B batch, T frames, F features, M mel bands, K channels, H width, G genres; T', M' after the
blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ostinato.features import FeatureSpec
from ostinato.models.cnn import CNNSettings
from ostinato.models.genre_model import Network
from ostinato.models.layers.conv_blocks import ConvFront
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.lstm import LSTMStack, check_stack


@dataclass(frozen=True, kw_only=True)
class CRNNSettings(CNNSettings):
    """Settings of the CRNN: those of its convolutions, and these.

    Attributes
    ----------
    width, depth : int
        Width and depth of the residual LSTM; where it is bidirectional, half of the width runs each
        way.
    bidirectional : bool
        Read each window forwards and backwards.
    """

    pool_time: tuple[int, ...] = (2, 2, 2, 1)
    dropout: float = 0.3
    width: int = 64
    depth: int = 2
    bidirectional: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stack(self.width, self.depth, bidirectional=self.bidirectional)


class CRNNClassifier(Network):
    """Frames (B, T, F) -> logits (B, G)."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: CRNNSettings) -> None:
        super().__init__(spec)
        width, bidirectional = settings.width, settings.bidirectional
        self.image = MelImage(spec, settings.bands)
        self.front = ConvFront(
            settings.bands, settings.channels, settings.pool_time, settings.channel_dropout
        )
        self.project = nn.Linear(self.front.width, width)
        self.stack = LSTMStack(
            width,
            settings.depth,
            bidirectional=bidirectional,
            residual=True,
            dropout=settings.dropout,
        )
        self.add_head(width, n_genres, settings, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.front(self.image(self.normalise(x), self.normalise))  # (B, T', K M')
        x, _ = self.stack(self.dropout(self.project(x)))  # (B, T', H)
        return self.classify(x)
