"""Windows hear every frame of a track; a verdict is the mean of its windows' probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import DataError
from ostinato.features.windows import cut, track_verdicts, window_starts

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


class TestVerdicts:
    @given(
        counts=st.lists(st.integers(1, 6), min_size=1, max_size=8),
        temperature=st.floats(0.1, 10),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_mean_of_the_windows_softmax(
        self, counts: list[int], temperature: float, seed: int
    ) -> None:
        """Held against SciPy's softmax, track by track."""
        logits = np.random.default_rng(seed).normal(0, 5, (sum(counts), 4)).astype(np.float32)
        verdicts = track_verdicts(logits, np.array(counts), temperature=temperature)
        probabilities = scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1)
        tracks = np.split(probabilities, np.cumsum(counts)[:-1])
        assert verdicts.shape == (len(counts), 4)
        np.testing.assert_allclose(verdicts, [t.mean(axis=0) for t in tracks], atol=1e-12)
        np.testing.assert_allclose(verdicts.sum(axis=1), 1, atol=1e-12)

    def test_probabilities_are_averaged_not_logits(self) -> None:
        """One window that is very sure must not outvote all the others."""
        logits = np.array([[100.0, 0.0], [0.0, 2.0], [0.0, 2.0]], np.float32)
        assert track_verdicts(logits, np.array([3])).argmax() == 1
        assert logits.mean(axis=0).argmax() == 0

    def test_large_logits_do_not_overflow(self) -> None:
        with np.errstate(over="raise", invalid="raise"):
            verdicts = track_verdicts(np.array([[3e38, 0.0]], np.float32), np.array([1]))
        np.testing.assert_array_equal(verdicts, [[1.0, 0.0]])

    def test_the_logits_of_the_caller_stay_as_they_are(self) -> None:
        logits = np.array([[3.0, 1.0]], np.float64)
        track_verdicts(logits, np.array([1]), temperature=2.0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(logits, [[3.0, 1.0]])

    def test_temperature_changes_how_sure_a_window_is_not_what_it_says(self) -> None:
        logits = np.array([[2.0, 1.0, 0.0]], np.float32)
        cold, plain, hot = (
            track_verdicts(logits, np.array([1]), temperature=t)[0] for t in (0.5, 1.0, 4.0)
        )
        assert cold.argmax() == plain.argmax() == hot.argmax() == 0
        assert cold[0] > plain[0] > hot[0]

    @pytest.mark.parametrize("counts", [[], [1, 1], [2, 2], [3, 0]])
    def test_counts_must_fit_the_windows(self, counts: list[int]) -> None:
        with pytest.raises(DataError, match=r"add up to 3 windows, got \d+ in \d tracks"):
            track_verdicts(np.zeros((3, 2), np.float32), np.array(counts, np.int64))

    def test_no_tracks_at_all(self) -> None:
        with pytest.raises(DataError, match="0 in 0 tracks"):
            track_verdicts(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))

    @pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
    def test_temperature_must_be_positive(self, temperature: float) -> None:
        """A negative one would turn every verdict upside down."""
        with pytest.raises(DataError, match="positive temperature"):
            track_verdicts(np.zeros((1, 2), np.float32), np.array([1]), temperature=temperature)
