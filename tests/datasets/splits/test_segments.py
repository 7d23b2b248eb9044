"""Pieces of recordings, and the split that leaks because of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.datasets import Corpus
from ostinato.datasets.gtzan import load_gtzan, published_split
from ostinato.datasets.splits import (
    ARMS,
    SPLITS,
    Fold,
    LeakError,
    Split,
    check_split,
    leak_arm,
    segment_random,
    segmented,
    segmented_split,
    shared_artists,
    shared_recordings,
    split_corpus,
)
from ostinato.errors import DataError, UsageError
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.results.pool import Pool
from tests.helpers.refused import Tried
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
#: Its pieces have four frames: no texture windows fit in.
OF_SHORT_PIECES = StudyConfig(
    models=("lstm",), settings={"lstm": {"texture_frames": 1}}, training=QUICK, coefficients=4
)


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


@pytest.fixture(scope="module")
def gtzan() -> Corpus:
    return load_gtzan(n_coefficients=1)


@pytest.fixture(scope="module")
def arms(gtzan: Corpus) -> dict[str, Split]:
    pieces = segmented(gtzan, 10)
    return {arm: check_split(pieces, leak_arm(gtzan, arm)) for arm in ARMS}


def wholes(names: Iterable[str]) -> set[str]:
    return {name.partition("#")[0] for name in names}


class TestLeakArms:
    """The arms differ in what the models have met of the judged pieces, and in nothing else."""

    def test_all_judge_the_same_pieces(self, arms: dict[str, Split]) -> None:
        judged = [[set(fold.valid) for fold in split.folds] for split in arms.values()]
        assert all(one == judged[0] for one in judged)
        assert [len(one) for one in judged[0]] == [316, 320]

    def test_the_test_part_is_not_looked_at(self, arms: dict[str, Split]) -> None:
        lists = published_split("fault-filtered")
        used = wholes(i for s in arms.values() for f in s.folds for i in f.train + f.valid + f.test)
        assert used < {*lists["train"], *lists["valid"]}

    def test_all_learn_from_as_many_pieces(self, arms: dict[str, Split]) -> None:
        sizes = {arm: sum(len(f.train) for f in split.folds) for arm, split in arms.items()}
        assert set(sizes.values()) == {2544}
        tracks = {arm: sum(len(wholes(f.train)) for f in s.folds) for arm, s in arms.items()}
        assert tracks == {
            "same-tracks": 318, "same-artists": 318, "new-artists": 318, "new-artists-twice": 636,
        }  # fmt: skip

    def test_a_leak_and_new_artists_learn_from_the_very_same_pieces(
        self, arms: dict[str, Split]
    ) -> None:
        here, there = (
            [set(fold.train) for fold in arms[arm].folds] for arm in ("same-tracks", "new-artists")
        )
        assert here == there[::-1]

    def test_what_is_met(self, gtzan: Corpus, arms: dict[str, Split]) -> None:
        pieces = segmented(gtzan, 10)
        met = {
            arm: [
                sum(of(pieces, fold)["valid"] for fold in split.folds) / 636
                for of in (shared_recordings, shared_artists)
            ]
            for arm, split in arms.items()
        }
        assert [own for own, _ in met.values()] == [1, 0, 0, 0]
        assert [artist for _, artist in met.values()] == [
            pytest.approx(0.987, abs=1e-3),  # the others are of unknown artist
            pytest.approx(0.852, abs=1e-3),  # the others have one track
            0,
            0,
        ]

    def test_which_is_refused(self, arms: dict[str, Split]) -> None:
        for arm, split in arms.items():
            assert split.leaks == ("LEAKING" in split.notes[0]) == (arm == "same-tracks")
            if split.leaks:
                assert split.notes[0].startswith("LEAKING, a demonstration: each recording is cut")
                with pytest.raises(LeakError, match=f"'{arm}' leaks.*--allow-leak"):
                    StudyConfig(split=arm)
            else:
                assert StudyConfig(split=arm).split == arm
            with pytest.raises((LeakError, UsageError), match=f"'{arm}'"):
                split_corpus(CORPUS, arm)

    def test_bad_input(self) -> None:
        with pytest.raises(UsageError, match=r"Expected an arm of same-tracks.*; got 'x'"):
            leak_arm(CORPUS, "x")
        with pytest.raises(UsageError, match="needs 3 pieces of a recording or more, got 2"):
            leak_arm(CORPUS, "same-tracks", 2)
        one = replace(CORPUS, recordings=[replace(r, artist="A") for r in CORPUS.recordings])
        with pytest.raises(DataError, match="expected at least 2 artists"):
            leak_arm(one, "new-artists")

    def test_copies_of_a_recording_are_taken_once(self) -> None:
        twins = [replace(r, recording=CORPUS.recordings[i // 2 * 2].id)
                 for i, r in enumerate(CORPUS.recordings)]  # fmt: skip
        corpus = replace(CORPUS, recordings=twins)
        split = check_split(segmented(corpus, 5), leak_arm(corpus, "same-artists", 5))
        used = [i for f in split.folds for i in wholes(f.train + f.valid)]
        group = {r.id: r.recording for r in twins}
        assert len({group[i] for i in used}) == len(set(used)) > 4

    def test_the_study_cuts_into_ten(self) -> None:
        config = replace(OF_SHORT_PIECES, split="new-artists")
        plan = plan_study(config, CORPUS)
        assert plan.config.segments == 10
        assert set(plan.split.folds[0].train) <= set(plan.corpus.ids)


def test_a_piece_is_a_window_where_no_window_was_asked_for() -> None:
    config = replace(OF_SHORT_PIECES, split="segment-random", allow_leak=True)
    plan = plan_study(config, CORPUS)
    assert plan.config.segments == 10
    assert plan.config.training.window_frames == max(len(f) for f in plan.corpus.frames)


def test_pieces_of_a_recording_by_nobody_known_are_one_cluster() -> None:
    """They succeed and fail together: taken as independent, they would narrow every interval."""
    unknown = replace(CORPUS, recordings=[replace(r, artist=None) for r in CORPUS.recordings])
    split = segmented_split(split_corpus(unknown, "holdout"), 4)
    pool = Pool(segmented(unknown, 4), split, "test")
    assert len(pool.labels) == 4 * len(wholes(split.folds[0].test))
    assert np.unique(pool.clusters.of).size == len(wholes(split.folds[0].test))
