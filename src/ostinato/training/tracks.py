"""Tracks: crops for training, windows for evaluation.

Batches are gathered from the corpus's own frames, in memory or in mapped shards
(:mod:`ostinato.datasets.shards`); nothing is copied ahead, and worker processes would only copy.
Axes: N tracks, B batch, T frames, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.datasets import Corpus
from ostinato.datasets.augment_audio import NO_COPIES
from ostinato.datasets.shards import chosen
from ostinato.errors import DataError, UsageError
from ostinato.evaluation import pool_windows
from ostinato.features import FeatureSpec, Frames, window_starts
from ostinato.models import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.training.settings import LEAST_WINDOW, TrainingSettings

_AT_ONCE = 2**27
"""Values whose mean and deviation are those of one tensor: half a gigabyte."""


@dataclass(frozen=True)
class Tracks:
    """Frames of several tracks.

    Attributes
    ----------
    frames : sequence of float32 array [shape=(n_frames, F)]
        One a track.
    lengths : int64 tensor [shape=(N,)]
        How many frames each track has.
    labels : int64 tensor [shape=(N,)]
        Index of each track's genre, the first one of several.
    copies : tuple of Tracks
        Augmented copies of the same tracks: used by :meth:`random_crops` and by nothing else.
    targets : float32 tensor [shape=(N, G)] or None
        1 for each genre of a track; None where each has one.
    """

    frames: Sequence[Frames]
    lengths: Tensor
    labels: Tensor
    spec: FeatureSpec
    copies: tuple[Tracks, ...] = ()
    targets: Tensor | None = None

    @classmethod
    def of(cls, corpus: Corpus, ids: tuple[str, ...]) -> Tracks:
        """The tracks of a corpus with these ids, in this order.

        Raises
        ------
        DataError
            If a frame holds a value that is no finite number: which recording, and which frame.
        """
        positions = corpus.positions(ids)
        frames = chosen(corpus.frames, positions)
        for name, array in zip(ids, frames, strict=True):
            check_finite(name, array)
        return cls(
            frames=frames,
            lengths=torch.tensor([len(a) for a in frames]),
            labels=torch.from_numpy(corpus.labels[positions]),
            spec=corpus.spec,
            targets=torch.from_numpy(corpus.targets[positions]) if corpus.is_multi_label else None,
        )

    @classmethod
    def with_copies(cls, corpus: Corpus, ids: tuple[str, ...]) -> Tracks:
        """The tracks with these ids and all copies of them: to learn from, not to judge on."""
        copies = (
            replace(corpus, frames=f, augmentation=NO_COPIES, copies=()) for f in corpus.copies
        )
        return replace(cls.of(corpus, ids), copies=tuple(cls.of(copy, ids) for copy in copies))

    def __len__(self) -> int:
        return len(self.lengths)

    def balance(self) -> Tensor:
        """Weights with which every genre that occurs weighs the same; mean 1 [shape=(N,)].

        A track of several genres has the mean of their weights.
        """
        if self.targets is None:
            sizes = torch.bincount(self.labels)
            return len(self) / ((sizes > 0).sum() * sizes[self.labels])
        own = self.targets / self.targets.sum(dim=1, keepdim=True)  # (N, G), a share of each
        weights = own @ (1 / self.targets.sum(dim=0).clamp_min(1))
        return weights / weights.mean()

    def gather(self, tracks: Tensor, starts: Tensor, length: int) -> Tensor:
        """Windows of these tracks from these frames on [shape=(B, T, F)].

        A track shorter than the window is repeated from its beginning.
        """
        crops = self._empty(len(tracks), length)
        places = zip(crops.numpy(), tracks.tolist(), starts.tolist(), strict=True)
        for crop, track, start in places:
            frames = self.frames[track]
            piece = frames[start : start + length]
            if len(piece) < length:
                piece = frames.take(np.arange(start, start + length), axis=0, mode="wrap")
            crop[...] = piece
        return crops

    def _empty(self, n_crops: int, length: int) -> Tensor:
        return torch.empty(n_crops, length, self.spec.n_features)  # (B, T, F)

    def standardise(self, layer: FrameNormalisation) -> None:
        """Fit a normalisation on all frames: at once, or where they are many, track by track."""
        if int(self.lengths.sum()) * self.spec.n_features <= _AT_ONCE:
            layer.fit(
                torch.from_numpy(np.concatenate(list(self.frames)).astype(np.float32, copy=False))
            )
        else:
            layer.fit_in_pieces(self.frames)

    def random_crops(self, tracks: Tensor, length: int) -> Tensor:
        """A window at a random place of each of these tracks [shape=(B, T, F)].

        Where there are copies, the crop is of the track or of one of them, each equally likely.
        """
        if self.copies:
            versions = (replace(self, copies=()), *self.copies)
            which = torch.randint(len(versions), (len(tracks),))  # (B,)
            crops = self._empty(len(tracks), length)
            for i, version in enumerate(versions):
                crops[which == i] = version.random_crops(tracks[which == i], length)
            return crops
        room = (self.lengths[tracks] - length + 1).clamp_min(1)
        starts = (torch.rand(len(tracks)) * room).long()
        return self.gather(tracks, starts, length)

    def batches(self, *, length: int, hop: int, size: int = 256) -> Iterator[Tensor]:
        """All windows of all tracks in order, some at a time [each shape=(<= size, T, F)]."""
        tracks, starts = [], []
        for i, n_frames in enumerate(self.lengths.tolist()):
            of_track = torch.from_numpy(window_starts(n_frames, length=length, hop=hop))
            tracks.append(torch.full_like(of_track, i))
            starts.append(of_track)
        all_tracks, all_starts = torch.cat(tracks), torch.cat(starts)
        for first in range(0, len(all_tracks), size):
            some = slice(first, first + size)
            yield self.gather(all_tracks[some], all_starts[some], length)

    def counts(self, *, length: int, hop: int) -> NDArray[np.int64]:
        """How many windows each track has [shape=(N,)]."""
        return np.array(
            [window_starts(n, length=length, hop=hop).size for n in self.lengths.tolist()],
            dtype=np.int64,
        )


def epoch_batches(n_tracks: int, batch_size: int, weights: Tensor | None = None) -> list[Tensor]:
    """An epoch's tracks in a random order and in batches of nearly equal size.

    Without weights every track comes once. With weights (n_tracks,) as many tracks are drawn, each
    as often as its weight says: one or two of a track whose share of all weights is worth 1.4
    tracks (systematic sampling, Madow and Madow 1944).
    """
    order = torch.randperm(n_tracks)
    if weights is not None:
        ends = weights[order].double().cumsum(0)
        ticks = (torch.arange(n_tracks) + torch.rand(1).double()) * (ends[-1] / n_tracks)
        order = order[torch.searchsorted(ends, ticks).clamp_max(n_tracks - 1)]
        order = order[torch.randperm(n_tracks)]  # a track's copies need not share a batch
    return list(order.tensor_split(-(-n_tracks // batch_size)))


def check_finite(name: str, frames: Frames) -> None:
    """Refuse a recording's frames if a value is not finite: one of them makes every weight NaN."""
    if np.isfinite(frames).all():
        return
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    value = next(v for v in frames[bad[0]].tolist() if not np.isfinite(v))
    raise DataError(
        f"Recording '{name}': expected frames of finite numbers, got {value} in frame "
        f"{bad[0] + 1} of {len(frames)} ({len(bad)} such): compute its frames anew, or leave it "
        "out."
    )


def check_window(longest: int, settings: TrainingSettings, spec: FeatureSpec) -> None:
    """Refuse windows longer than the longest training track: each would repeat its track."""
    if settings.window_frames > max(longest, LEAST_WINDOW):
        raise UsageError(
            f"training.window_frames: expected at most {longest} frames, the longest training "
            f"track ({longest * spec.hop_seconds:.1f} s), got {settings.window_frames} "
            f"({settings.window_frames * spec.hop_seconds:.1f} s)."
        )


@torch.no_grad()
def predict(model: GenreModel, tracks: Tracks, *, length: int, hop: int) -> NDArray[np.float64]:
    """One verdict a track: the mean of its windows' probabilities [shape=(N, n_genres)].

    The model is in evaluation mode for the call; frames are not augmented. Windows are of
    ``length`` frames, ``hop`` apart.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    windows = tracks.batches(length=length, hop=hop)
    logits = torch.cat([model(batch.to(device)).float().cpu() for batch in windows]).numpy()
    model.train(was_training)
    counts = tracks.counts(length=length, hop=hop)
    return pool_windows(logits, counts, multi_label=model.multi_label)
