"""LSTM: the baseline.

Texture windows of frames go through a stack of LSTM layers (Hochreiter and Schmidhuber 1997; cells
are ``torch.nn.LSTM``'s), each preceded by layer normalisation (Ba, Kiros and Hinton 2016) and
followed by dropout; the last layer's outputs are pooled over time.

Axes: B batch, T frames, F features, S steps, H width, G genres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.genre_model import Network
from ostinato.models.layers.state import State, check_state
from ostinato.models.layers.texture import make_texture
from ostinato.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class LSTMSettings(NetworkSettings):
    """Settings of the LSTM and, word for word, of the residual LSTM.

    Attributes
    ----------
    width : int
        Outputs of every layer; with ``bidirectional``, half of them run each way.
    depth : int
        Layers, at least 1.
    bidirectional : bool
        Read each window forwards and backwards.
    layer_norm : bool
        Normalise the input of every layer, and the last one's output.
    texture_frames : int
        Length of a texture window, in frames; 1 for the frames themselves.
    """

    width: int = 32
    depth: int = 3
    bidirectional: bool = True
    layer_norm: bool = True
    texture_frames: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stack(self.width, self.depth, bidirectional=self.bidirectional)


def check_stack(width: int, depth: int, *, bidirectional: bool) -> None:
    """Refuse sizes that make no :class:`LSTMStack`."""
    if width < 1 or depth < 1 or (bidirectional and width % 2):
        raise UsageError(
            "Expected a width and depth of at least 1, and an even width where layers run both "
            f"ways; got width {width}, depth {depth}."
        )


class LSTMStack(nn.Module):
    """LSTM layers one on the other, of one width: (B, S, H) -> (B, S, H).

    Parameters
    ----------
    width, depth, bidirectional, layer_norm
        As in :class:`LSTMSettings`; width is H.
    residual : bool
        Whether each layer's output is added to its input, or takes its place.
    dropout : float
        After each layer.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        bidirectional: bool = False,
        layer_norm: bool = True,
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.bidirectional = bidirectional
        self.residual = residual

        def norm() -> nn.Module:
            return nn.LayerNorm(width) if layer_norm else nn.Identity()

        self.norms = nn.ModuleList(norm() for _ in range(depth))
        self.layers = nn.ModuleList(
            nn.LSTM(
                width,
                width // 2 if bidirectional else width,
                batch_first=True,
                bidirectional=bidirectional,
            )
            for _ in range(depth)
        )
        self.final_norm = norm()
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Run over all steps of (B, S, H).

        Parameters
        ----------
        state : sequence of pairs of tensors [each shape=(1, B, H)], optional
            h and c of every layer to continue from, as an earlier call gave them; else 0.

        Returns
        -------
        outputs : tensor [shape=(B, S, H)]
        state : list of pairs of tensors
            The last h and c of every layer; where layers run both ways, those of each direction.
        """
        states = self._checked(x, state)
        ends: list[State] = []
        for norm, layer, start in zip(self.norms, self.layers, states, strict=True):
            y, end = layer(norm(x), start)
            y = self.dropout(y)  # (B, S, H)
            x = x + y if self.residual else y
            ends.append(end)
        return self.final_norm(x), ends

    def _checked(self, x: Tensor, state: Sequence[State] | None) -> Sequence[State | None]:
        if state is None:
            return [None] * len(self.layers)
        if self.bidirectional:
            raise UsageError(
                "Expected no state, since layers that run both ways need the whole sequence at "
                f"once, got one of {len(state)} layers."
            )
        if len(state) != len(self.layers):
            raise UsageError(
                f"Expected a state of {len(self.layers)} layers, got one of {len(state)}."
            )
        for part in state:
            check_state(part, (1, len(x), x.shape[2]))
        return state


class LSTMClassifier(Network):
    """Frames (B, T, F) -> logits (B, G)."""

    residual = False

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: LSTMSettings) -> None:
        super().__init__(spec)
        width, bidirectional = settings.width, settings.bidirectional
        self.texture = make_texture(spec.n_features, settings.texture_frames)
        self.project = nn.Linear(self.texture.n_features, width)
        self.stack = LSTMStack(
            width,
            settings.depth,
            bidirectional=bidirectional,
            layer_norm=settings.layer_norm,
            residual=self.residual,
            dropout=settings.dropout,
        )
        self.add_head(width, n_genres, settings, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.dropout(self.project(self.texture(self.normalise(x))))  # (B, S, H)
        x, _ = self.stack(x)  # (B, S, H)
        return self.classify(x)
