"""Pieces of recordings, and the split that leaks because of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import (
    SPLITS,
    Fold,
    LeakError,
    Split,
    check_split,
    segment_random,
    segmented,
    segmented_split,
    shared_recordings,
    split_corpus,
    thinned,
)
from ostinato.errors import DataError, UsageError
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from tests.helpers.refused import Tried
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()


def test_pieces_are_the_recording_end_to_end() -> None:
    pieces = segmented(CORPUS, 3)
    assert len(pieces) == 3 * len(CORPUS)
    for k, whole in enumerate(CORPUS.frames):
        own = pieces.frames[3 * k : 3 * k + 3]
        assert {len(piece) for piece in own} == {len(whole) // 3}
        np.testing.assert_array_equal(np.concatenate(own), whole[: 3 * (len(whole) // 3)])
        for piece in pieces.recordings[3 * k : 3 * k + 3]:
            assert piece.recording == CORPUS.recordings[k].recording
            assert piece.artist == CORPUS.recordings[k].artist


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(UsageError, match="2 pieces of a recording or more, got 1"):
        segmented(CORPUS, 1)
    with pytest.raises(DataError, match=r"'g0\.000': expected at least 99 frames"):
        segmented(CORPUS, 99)


def test_an_honest_split_keeps_the_pieces_of_a_recording_together() -> None:
    split = segmented_split(split_corpus(CORPUS, "artist-folds"), 4)
    pieces = segmented(CORPUS, 4)
    assert check_split(pieces, split) is split  # recordings and artists are apart, and checked
    assert all(set(shared_recordings(pieces, fold).values()) == {0} for fold in split.folds)


def test_segment_random_is_refused_wherever_it_is_asked_for() -> None:
    """The sentence explains, and names the flag that allows it."""
    with pytest.raises(
        LeakError, match=r"tested on recordings of their training part.*--allow-leak"
    ):
        split_corpus(CORPUS, "segment-random")
    with pytest.raises(LeakError, match="--allow-leak"):
        StudyConfig(split="segment-random")
    assert StudyConfig(split="segment-random", allow_leak=True).allow_leak
    assert "segment-random" not in SPLITS


def test_segment_random_leaks_and_says_so() -> None:
    split, pieces = segment_random(CORPUS, 4, seed=1), segmented(CORPUS, 4)
    assert split.leaks
    assert "LEAKING" in split.notes[0]
    assert check_split(pieces, split) is split
    met = sum(shared_recordings(pieces, fold)["valid"] for fold in split.folds)
    assert met > 0.9 * len(pieces)
    judged = [name for fold in split.folds for name in fold.valid]
    assert sorted(judged) == sorted(pieces.ids)
    with pytest.raises(LeakError, match="hold the same recording"):
        check_split(pieces, Split(name="honest", folds=split.folds))


def test_even_a_demonstration_does_not_judge_a_training_row() -> None:
    pieces = segmented(CORPUS, 2)
    fold = Fold(train=pieces.ids, valid=pieces.ids[:1])
    with pytest.raises(LeakError):
        check_split(pieces, Split(name="worse", folds=(fold,), leaks=True))


def test_no_honest_split_of_pieces_leaks() -> None:
    tried = Tried()

    @settings(max_examples=30, deadline=None)
    @given(
        n=st.integers(2, 6),
        name=st.sampled_from([s for s in SPLITS if s not in ("auto", "fault-filtered", "strict")]),
        seed=st.integers(0, 9),
        per_genre=st.integers(10, 20),
    )
    def leaks_nothing(n: int, name: str, seed: int, per_genre: int) -> None:
        corpus = toy_corpus(per_genre=per_genre, seed=seed)
        split = tried.split(lambda: segmented_split(split_corpus(corpus, name, seed=seed), n))
        if split is None:
            return  # too few artists for it
        pieces = segmented(corpus, n)
        check_split(pieces, split)
        recording = {r.id: r.recording for r in pieces.recordings}
        for fold in split.folds:
            sides = [{recording[i] for i in fold.part(part)} for part in ("train", "valid", "test")]
            assert not (sides[0] & sides[1])
            assert not (sides[0] & sides[2])
            assert not (sides[1] & sides[2])

    leaks_nothing()
    assert tried.made > 20


def test_thinning_keeps_each_genres_share_and_nothing_else_moves() -> None:
    split = split_corpus(CORPUS, "song-folds")
    thin = thinned(CORPUS, split, 10)
    for before, after in zip(split.folds, thin.folds, strict=True):
        assert len(after.train) == 10
        assert set(after.train) <= set(before.train)
        assert after.valid == before.valid
        counts = [sum(name.startswith(f"g{g}") for name in after.train) for g in range(3)]
        assert max(counts) - min(counts) <= 1  # genres are even in the toy
    assert thinned(CORPUS, split, 10).digest() == thin.digest()
    assert thinned(CORPUS, split, 10, seed=1).digest() != thin.digest()


def test_thinning_beyond_what_there_is_is_refused() -> None:
    split = split_corpus(CORPUS, "song-folds")
    with pytest.raises(DataError, match=r"at most the 27 recordings .* got 28"):
        thinned(CORPUS, split, 28)
    with pytest.raises(DataError, match="leave a genre with none"):
        thinned(CORPUS, split, 2)


@pytest.mark.parametrize(
    ("name", "n_train"),
    [("segment-random", 4420), ("song-folds", 4420), ("artist-folds-all", 4420), ("strict", 4230)],
)
def test_all_splits_of_the_leak_table_learn_from_as_much(name: str, n_train: int) -> None:
    """On GTZAN, models of equal training size are judged on pieces of the same 929 tracks."""
    config = StudyConfig(
        split=name,
        allow_leak=True,
        segments=10,
        train_size=None if name == "strict" else 442,
        coefficients=1,
    )
    plan = plan_study(config, load_gtzan(n_coefficients=1))
    assert {len(fold.train) for fold in plan.split.folds} == {n_train}
    judged = {i for fold in plan.split.folds for i in fold.valid}
    assert len(judged) == (1870 if name == "strict" else 9290)
    assert plan.config.training.window_frames == 38


def test_a_piece_is_a_window_where_no_window_was_asked_for() -> None:
    config = StudyConfig(split="segment-random", allow_leak=True, training=QUICK, coefficients=4)
    plan = plan_study(config, CORPUS)
    assert plan.config.segments == 10
    assert plan.config.training.window_frames == max(len(f) for f in plan.corpus.frames)
