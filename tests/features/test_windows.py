"""Windows hold every frame of a track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import DataError
from ostinato.features import cut, window_starts

sizes = st.integers(1, 60)


class TestStarts:
    @pytest.mark.parametrize(
        ("n_frames", "length", "hop", "starts"),
        [
            (10, 4, 2, [0, 2, 4, 6]),  # windows meet the end by themselves
            (11, 4, 2, [0, 2, 4, 6, 7]),  # the last one is moved to end with the track
            (4, 4, 2, [0]),
            (3, 4, 2, [0]),  # shorter than a window: one, which is filled by repeating
            (1, 4, 2, [0]),
            (5, 4, 9, [0, 1]),
            (387, 128, 64, [0, 64, 128, 192, 256, 259]),  # GTZAN, 30 s
        ],
    )
    def test_places(self, n_frames: int, length: int, hop: int, starts: list[int]) -> None:
        assert window_starts(n_frames, length=length, hop=hop).tolist() == starts

    @given(n_frames=sizes, length=sizes, hop=sizes)
    def test_first_and_last_frame_are_heard_and_nothing_beyond(
        self, n_frames: int, length: int, hop: int
    ) -> None:
        starts = window_starts(n_frames, length=length, hop=hop)
        assert starts[0] == 0
        assert starts[-1] == max(n_frames - length, 0)
        assert (np.diff(starts) > 0).all()  # no window is counted twice
        assert (np.diff(starts) <= hop).all()

    @given(n_frames=sizes, length=sizes, hop=sizes)
    def test_every_frame_is_heard_unless_the_hop_leaves_gaps(
        self, n_frames: int, length: int, hop: int
    ) -> None:
        starts = window_starts(n_frames, length=length, hop=min(hop, length))
        heard = {frame for start in starts for frame in range(start, start + length)}
        assert heard >= set(range(n_frames))

    @pytest.mark.parametrize(("n_frames", "length", "hop"), [(0, 4, 2), (9, 0, 2), (9, 4, 0)])
    def test_nothing_to_cut(self, n_frames: int, length: int, hop: int) -> None:
        with pytest.raises(DataError, match=f"{n_frames} frames, length {length}, hop {hop}"):
            window_starts(n_frames, length=length, hop=hop)


class TestCut:
    @given(n_frames=sizes, length=sizes, hop=sizes)
    def test_windows_are_slices_of_the_track(self, n_frames: int, length: int, hop: int) -> None:
        """A short track is repeated from its beginning: no frame is one that it does not hold."""
        frames = np.arange(n_frames * 2, dtype=np.float32).reshape(n_frames, 2)
        windows = cut(frames, length=length, hop=hop)
        repeated = np.concatenate([frames] * (length // n_frames + 1))
        starts = window_starts(n_frames, length=length, hop=hop)
        assert windows.dtype == np.float32
        assert windows.shape == (starts.size, length, 2)
        for window, start in zip(windows, starts, strict=True):
            np.testing.assert_array_equal(window, repeated[start : start + length])

    def test_a_window_is_a_copy(self) -> None:
        """Augmenting a window must not change the corpus."""
        frames = np.zeros((5, 2), np.float32)
        cut(frames, length=3, hop=1)[:] = 7
        assert not frames.any()

    def test_no_frames(self) -> None:
        with pytest.raises(DataError, match="got 0 frames"):
            cut(np.zeros((0, 3), np.float32), length=4, hop=2)
