"""Corpus: one row a recording, one class order everywhere, and no row that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ostinato.datasets import Corpus, Recording
from ostinato.errors import DataError
from ostinato.features import FeatureSpec
from ostinato.study.training_run import corpus_digest

SPEC = FeatureSpec(kind="mfcc", n_coefficients=4)
RECORDINGS = (
    Recording(id="rock/a.wav", genre="rock", artist="Ada", title="One"),
    Recording(id="blues/b.wav", genre="blues", recording="rock/a.wav"),
    Recording(id="rock/c.wav", genre="rock"),
    Recording(id="jazz/d.wav", genre="jazz", artist="Ada"),
)


def corpus(**changes: Any) -> Corpus:
    recordings = changes.get("recordings", RECORDINGS)
    lengths = range(1, len(recordings) + 1)
    made: dict[str, Any] = {
        "name": "mine",
        "source": "a folder",
        "recordings": recordings,
        "frames": tuple(np.zeros((n, 4), np.float32) for n in lengths),
        "spec": SPEC,
    }
    return Corpus(**made | changes)


class TestRecording:
    def test_is_its_own_recording_unless_it_is_a_replica(self) -> None:
        assert [r.recording for r in RECORDINGS] == [
            "rock/a.wav", "rock/a.wav", "rock/c.wav", "jazz/d.wav",
        ]  # fmt: skip

    def test_equal_rows_are_equal(self) -> None:
        assert Recording(id="a", genre="b") == Recording(id="a", genre="b", recording="a")


class TestColumns:
    def test_rows_keep_their_order(self) -> None:
        assert len(corpus()) == 4
        assert corpus().ids == ("rock/a.wav", "blues/b.wav", "rock/c.wav", "jazz/d.wav")
        assert corpus().artists == ("Ada", None, None, "Ada")

    def test_genres_are_sorted_whatever_the_order_of_rows(self) -> None:
        """The class order of every model and table must not depend on how a folder was listed."""
        turned = corpus(recordings=RECORDINGS[::-1])
        assert corpus().genres == turned.genres == ("blues", "jazz", "rock")

    def test_labels_are_places_in_genres(self) -> None:
        labels = corpus().labels
        assert labels.dtype == np.int64
        assert labels.tolist() == [2, 0, 2, 1]
        assert [corpus().genres[i] for i in labels] == [r.genre for r in RECORDINGS]


class TestSeveralGenres:
    MANY = (*RECORDINGS[:3], Recording(id="jazz/d.wav", genre="jazz", also=("folk", "blues")))

    def test_genres_are_all_that_a_recording_has(self) -> None:
        made = corpus(recordings=self.MANY)
        assert made.genres == ("blues", "folk", "jazz", "rock")
        assert made.is_multi_label
        assert not corpus().is_multi_label
        assert [made.genres[i] for i in made.labels] == [r.genre for r in self.MANY]

    def test_targets_have_a_column_for_each(self) -> None:
        assert corpus(recordings=self.MANY).targets.tolist() == [
            [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0],
        ]  # fmt: skip
        one = corpus()
        np.testing.assert_array_equal(one.targets.argmax(axis=1), one.labels)

    def test_a_genre_twice_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"'a': expected each genre once, got jazz, jazz\."):
            Recording(id="a", genre="jazz", also=("jazz",))

    def test_they_change_the_digest_of_the_data(self) -> None:
        """A model of one genre a recording is another than one of several."""
        one = (*RECORDINGS[:3], Recording(id="jazz/d.wav", genre="jazz"))
        assert corpus_digest(corpus(recordings=one)) != corpus_digest(corpus(recordings=self.MANY))


class TestPositions:
    def test_undo_ids(self) -> None:
        made = corpus()
        assert made.positions(made.ids).tolist() == [0, 1, 2, 3]
        assert made.positions(["jazz/d.wav", "rock/a.wav"]).tolist() == [3, 0]

    def test_of_nothing(self) -> None:
        """A split without a test part asks for it: an index that can be used, though empty."""
        nothing = corpus().positions([])
        assert nothing.dtype == np.int64
        assert nothing.shape == (0,)

    def test_of_what_is_not_there(self) -> None:
        with pytest.raises(DataError, match=r"Corpus 'mine' has no recording 'pop/x\.wav'"):
            corpus().positions(["rock/a.wav", "pop/x.wav"])


class TestBadInput:
    def test_no_recordings(self) -> None:
        with pytest.raises(DataError, match="'mine': expected at least one recording"):
            corpus(recordings=(), frames=())

    def test_frames_that_are_not_one_a_recording(self) -> None:
        with pytest.raises(DataError, match="each of 4 recordings, got 3"):
            corpus(frames=tuple(np.zeros((2, 4), np.float32) for _ in range(3)))

    def test_an_id_twice(self) -> None:
        """Splits and predictions are tables of ids."""
        twice = (*RECORDINGS, Recording(id="rock/c.wav", genre="jazz"))
        with pytest.raises(DataError, match=r"id 'rock/c\.wav' occurs more than once"):
            corpus(recordings=twice)

    @pytest.mark.parametrize("shape", [(3, 5), (4, 3), (0, 4), (4,), (1, 2, 4)])
    def test_frames_of_another_shape_than_the_spec_s(self, shape: tuple[int, ...]) -> None:
        frames = [np.zeros((2, 4), np.float32) for _ in RECORDINGS]
        frames[2] = np.zeros(shape, np.float32)
        with pytest.raises(DataError) as caught:
            corpus(frames=frames)
        assert "recording 'rock/c.wav'" in str(caught.value)
        assert "(n_frames, 4)" in str(caught.value)
        assert str(shape) in str(caught.value)
