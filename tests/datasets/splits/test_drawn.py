"""Splits: the published lists, seeded ones, and that no recording can be in two parts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato.datasets import Corpus, Recording, Skipped, gtzan
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import (
    PARTS,
    SPLITS,
    Fold,
    LeakError,
    Split,
    artist_folds,
    check_fold,
    shared_artists,
    song_holdout,
    split_corpus,
)
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from tests.helpers.refused import Tried

FILTERED = gtzan.published_split("fault-filtered")
LEARNERS = {*FILTERED["train"], *FILTERED["valid"]}
DRAWN = [name for name in SPLITS if name not in ("fault-filtered", "strict")]


def corpus_of(
    recordings: Sequence[Recording], name: str = "mine", skipped: tuple[Skipped, ...] = ()
) -> Corpus:
    frame = np.zeros((1, 1), np.float32)
    return Corpus(
        name=name,
        source="made up",
        recordings=tuple(recordings),
        frames=(frame,) * len(recordings),
        spec=FeatureSpec(kind="mfcc", n_coefficients=1),
        skipped=skipped,
    )


def plain(sizes: dict[str, int]) -> Corpus:
    """So many recordings of each genre, of unknown artists."""
    return corpus_of(
        [Recording(id=f"{g}/{i:03}", genre=g) for g, n in sizes.items() for i in range(n)]
    )


def genres(corpus: Corpus, ids: Sequence[str]) -> Counter[str]:
    return Counter(corpus.recordings[i].genre for i in corpus.positions(ids))


def recordings(corpus: Corpus, ids: Sequence[str]) -> set[str]:
    return {corpus.recordings[i].recording for i in corpus.positions(ids)}


def artists(corpus: Corpus, ids: Sequence[str]) -> set[str]:
    found = {corpus.artists[i] for i in corpus.positions(ids)}
    return {artist for artist in found if artist is not None}


def is_clean(corpus: Corpus, fold: Fold) -> bool:
    """No recording in two parts: the definition, pair by pair."""
    sides = [recordings(corpus, fold.part(part)) for part in PARTS]
    return not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@pytest.fixture(scope="module")
def whole() -> Corpus:
    """GTZAN as it ships: 999 tracks, jazz.00054 in ``skipped``."""
    return load_gtzan(n_coefficients=1)


def without(corpus: Corpus, *ids: str, skipped: bool) -> Corpus:
    kept = [r for r in corpus.recordings if r.id not in ids]
    more = tuple(Skipped(name, "It is cut short.") for name in ids) if skipped else ()
    return corpus_of(kept, corpus.name, corpus.skipped + more)


class TestFaultFiltered:
    def test_the_published_lists_but_for_the_corrupt_track(self, whole: Corpus) -> None:
        (fold,) = split_corpus(whole, "fault-filtered").folds
        assert [len(fold.part(part)) for part in PARTS] == [442, 197, 290]
        for part in PARTS:
            assert set(FILTERED[part]) - set(fold.part(part)) <= {"jazz.00054"}
            assert set(fold.part(part)) <= set(FILTERED[part])

    def test_says_what_it_passes_over(self, whole: Corpus) -> None:
        split = split_corpus(whole, "fault-filtered")
        assert split.notes == ("jazz.00054 cannot be read and is passed over.",)

    def test_no_recording_leaks(self, whole: Corpus) -> None:
        """GTZAN has 14 pairs of exact replicas; the lists keep each pair in one part."""
        assert is_clean(whole, split_corpus(whole, "fault-filtered").folds[0])

    def test_artists_do(self, whole: Corpus) -> None:
        """What a reader of the figures must know: 30 of the 290 share an artist with a learner."""
        (fold,) = split_corpus(whole, "fault-filtered").folds
        assert shared_artists(whole, fold) == {"valid": 12, "test": 30}
        earlier = artists(whole, fold.train) | artists(whole, fold.valid)
        known = [i for i in fold.test if artists(whole, [i]) & earlier]
        assert genres(whole, known) == {"metal": 15, "reggae": 9, "disco": 4, "hiphop": 2}
        trained_on = Fold(train=fold.train, valid=(), test=fold.test)
        assert shared_artists(whole, trained_on)["test"] == 17

    def test_more_unreadable_tracks_are_passed_over_by_name(self, whole: Corpus) -> None:
        split = split_corpus(without(whole, "pop.00010", skipped=True), "fault-filtered")
        assert split.notes == ("jazz.00054, pop.00010 cannot be read and are passed over.",)
        assert "pop.00010" not in [name for part in PARTS for name in split.folds[0].part(part)]

    def test_needs_the_tracks_of_its_lists(self, whole: Corpus) -> None:
        part = without(whole, "blues.00029", "pop.00010", skipped=False)
        with pytest.raises(DataError, match=r"'gtzan' lacks 2 of them.*'blues\.00029'.*holdout"):
            split_corpus(part, "fault-filtered")

    def test_is_of_no_use_for_another_collection(self) -> None:
        with pytest.raises(DataError, match=r"needs the GTZAN tracks.*'mine' lacks 930"):
            split_corpus(plain({"blues": 9, "rock": 9}), "fault-filtered")


class TestStratified:
    """The published 500/250/250 lists are facts, but no split that can be asked for."""

    def test_cannot_be_asked_for(self, whole: Corpus) -> None:
        assert "stratified" not in SPLITS
        with pytest.raises(UsageError, match="got 'stratified'"):
            split_corpus(whole, "stratified")

    def test_because_its_sides_share_exact_replicas(self, whole: Corpus) -> None:
        lists = gtzan.published_split("stratified")
        have = set(whole.ids)
        fold = Fold(**{part: tuple(i for i in lists[part] if i in have) for part in PARTS})
        assert not is_clean(whole, fold)
        with pytest.raises(LeakError, match=r"'hiphop\.00045' \(train\).*'hiphop\.00039' \(valid"):
            check_fold(whole, fold)
        judged = recordings(whole, fold.train) & recordings(whole, fold.test)
        assert "disco.00098" in judged  # and its replica disco.00099


class TestAuto:
    def test_gtzan_as_it_ships(self, whole: Corpus) -> None:
        assert split_corpus(whole).name == "fault-filtered"

    def test_gtzan_from_which_the_corrupt_file_was_removed(self, whole: Corpus) -> None:
        """Many copies lack it: they lack nothing that a model could use."""
        corpus = replace(whole, skipped=())
        split = split_corpus(corpus)
        assert split.name == "fault-filtered"
        assert split.digest() == split_corpus(whole).digest()

    def test_gtzan_with_an_unreadable_file(self, whole: Corpus) -> None:
        corpus = without(whole, "pop.00010", skipped=True)
        assert split_corpus(corpus).name == "fault-filtered"

    def test_a_part_of_gtzan(self, whole: Corpus) -> None:
        """Figures on a piece of the published test part would look like figures on all of it."""
        corpus = without(whole, "blues.00029", skipped=False)
        assert "blues.00029" in {*LEARNERS, *FILTERED["test"]}
        assert split_corpus(corpus).name == "holdout"

    def test_a_track_that_is_on_no_list_is_not_missed(self, whole: Corpus) -> None:
        listed = {*LEARNERS, *FILTERED["test"]}
        spare = next(r.id for r in whole.recordings if r.id not in listed)
        corpus = without(whole, spare, skipped=False)
        assert split_corpus(corpus).name == "fault-filtered"

    def test_another_collection(self) -> None:
        assert split_corpus(plain({"blues": 9, "rock": 9})).name == "holdout"


class TestSongHoldout:
    """Recordings kept together; artists overlap, as the name says."""

    @pytest.mark.parametrize(
        ("n", "shares"),
        [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (7, (5, 1, 1)), (8, (4, 2, 2)),
         (10, (6, 2, 2)), (100, (60, 20, 20))],
    )  # fmt: skip
    def test_shares_of_each_genre(self, n: int, shares: tuple[int, ...]) -> None:
        corpus = plain({"blues": n, "rock": 50})
        (fold,) = split_corpus(corpus, "song-holdout").folds
        by_part = [genres(corpus, fold.part(part)) for part in PARTS]
        assert tuple(count["blues"] for count in by_part) == shares
        assert tuple(count["rock"] for count in by_part) == (30, 10, 10)

    def test_gtzan(self, whole: Corpus) -> None:
        """Replicas count once, so a part may hold a track more than its share."""
        (fold,) = split_corpus(whole, "song-holdout").folds
        assert sorted(i for part in PARTS for i in fold.part(part)) == sorted(whole.ids)
        for part, share in zip(PARTS, (60, 20, 20), strict=True):
            assert all(abs(n - share) <= 3 for n in genres(whole, fold.part(part)).values())

    def test_replicas_stay_together(self, whole: Corpus) -> None:
        for seed in range(3):
            assert is_clean(whole, song_holdout(whole, seed=seed).folds[0])

    def test_copies_go_to_train_rather_than_count_many_times(self) -> None:
        """An exam in which one sound stands fifty times would examine that sound."""
        copies = [Recording(id=f"a/{i}", genre="a", recording="hit") for i in range(50)]
        others = plain({"a": 9, "b": 10}).recordings
        corpus = corpus_of([*copies, *others])
        for seed in range(5):
            (fold,) = split_corpus(corpus, "song-holdout", seed=seed).folds
            assert {r.id for r in copies} <= set(fold.train)
            assert genres(corpus, fold.valid) == genres(corpus, fold.test) == {"a": 2, "b": 2}
            assert genres(corpus, fold.train)["a"] == 50 + 5

    def test_a_genre_of_three_recordings_with_copies_is_in_each_part(self) -> None:
        copies = [Recording(id=f"a/{i}", genre="a", recording="xxxyyyz"[i]) for i in range(7)]
        corpus = corpus_of([*copies, *plain({"b": 10}).recordings])
        for seed in range(5):
            (fold,) = split_corpus(corpus, "song-holdout", seed=seed).folds
            assert all(genres(corpus, fold.part(part))["a"] > 0 for part in PARTS)

    def test_the_same_seed_gives_the_same_split(self, whole: Corpus) -> None:
        assert song_holdout(whole, seed=3) == song_holdout(whole, seed=3)

    def test_another_seed_gives_another_split(self, whole: Corpus) -> None:
        splits = [split_corpus(whole, "song-holdout", seed=seed) for seed in range(4)]
        assert len({split.digest() for split in splits}) == 4
        chance = len(set(splits[0].folds[0].test) & set(splits[1].folds[0].test)) / 200
        assert 0.1 < chance < 0.35  # about one in five stands in both by chance

    def test_too_few_recordings(self) -> None:
        with pytest.raises(DataError, match=r"'jazz': expected at least three.*got 2"):
            split_corpus(plain({"blues": 5, "jazz": 2}), "song-holdout")

    def test_too_few_that_are_different(self) -> None:
        copies = [Recording(id=f"a/{i}", genre="a", recording="xy"[i % 2]) for i in range(8)]
        with pytest.raises(DataError, match=r"'a': expected at least three different.*got 2"):
            split_corpus(corpus_of([*copies, *plain({"b": 5}).recordings]), "song-holdout")

    def test_recordings_of_several_genres_find_a_part_for_each(self) -> None:
        """Three recordings, each filed under a and under b: one for every part."""
        both = [Recording(id=f"{g}/{i}", genre=g, recording=i) for g in "ab" for i in "xyz"]
        corpus = corpus_of([*both, *plain({"c": 30}).recordings])
        (fold,) = split_corpus(corpus, "song-holdout").folds
        assert all(genres(corpus, fold.part(p)).keys() == {"a", "b", "c"} for p in PARTS)

    def test_where_no_split_exists_it_says_so(self) -> None:
        """Four recordings, and a genre for each three of them: any two need different parts."""
        kinds = {"a": "xyz", "b": "xyw", "c": "xzw", "d": "yzw"}
        knot = [Recording(id=f"{g}/{i}", genre=g, recording=i) for g, n in kinds.items() for i in n]
        with pytest.raises(DataError, match="are in other genres as well"):
            split_corpus(corpus_of(knot), "song-holdout")


@pytest.fixture(scope="module")
def split(whole: Corpus) -> Split:
    return split_corpus(whole, "artist-folds")


class TestArtistFolds:
    def test_five_folds_without_a_test_part(self, split: Split) -> None:
        assert len(split.folds) == 5
        assert all(fold.test == () for fold in split.folds)

    def test_every_learner_of_the_published_lists_is_held_out_once(self, split: Split) -> None:
        held_out = sorted(name for fold in split.folds for name in fold.valid)
        assert held_out == sorted(LEARNERS - {"jazz.00054"})
        assert len(held_out) == 639
        for fold in split.folds:
            assert sorted(fold.train + fold.valid) == held_out

    def test_no_track_of_the_published_test_part_is_used(self, split: Split) -> None:
        """One chooses with these folds, and examines with that part."""
        used = {name for fold in split.folds for name in fold.train + fold.valid}
        assert not used & set(FILTERED["test"])

    def test_no_artist_and_no_recording_on_two_sides(self, whole: Corpus, split: Split) -> None:
        for fold in split.folds:
            assert not artists(whole, fold.train) & artists(whole, fold.valid)
            assert is_clean(whole, fold)
            assert shared_artists(whole, fold) == {"valid": 0, "test": 0}

    def test_genres_are_balanced_as_far_as_artists_allow(self, whole: Corpus) -> None:
        """Half of the usable reggae is Bob Marley, who must stand in one fold."""
        for seed in range(3):
            split = artist_folds(whole, seed=seed)
            of_all = Counter(r.genre for r in whole.recordings if r.id in LEARNERS)
            for fold in split.folds:
                assert 0.85 * 639 / 5 < len(fold.valid) < 1.15 * 639 / 5
                counts = genres(whole, fold.valid)
                assert all(counts[genre] > 0.45 * n / 5 for genre, n in of_all.items())

    def test_seeds(self, whole: Corpus, split: Split) -> None:
        """Regroupings: five of them make a corrected resampled t-test."""
        assert split_corpus(whole, "artist-folds", seed=0).digest() == split.digest()
        assert split_corpus(whole, "artist-folds", seed=1).digest() != split.digest()

    def test_another_collection_is_used_whole(self) -> None:
        corpus = corpus_of(
            [
                Recording(id=f"{g}/{i}", genre=g, artist=f"{g} {i // 3}" if i < 18 else None)
                for g in ("a", "b")
                for i in range(21)
            ]
        )
        split = split_corpus(corpus, "artist-folds")
        assert sorted(i for fold in split.folds for i in fold.valid) == sorted(corpus.ids)
        for fold in split.folds:
            assert not artists(corpus, fold.train) & artists(corpus, fold.valid)

    def test_an_artist_is_followed_through_replicas(self) -> None:
        """x and y share a recording, y and z another: all three artists go together."""
        chain = [
            Recording(id="1", genre="a", artist="x", recording="r"),
            Recording(id="2", genre="a", artist="y", recording="r"),
            Recording(id="3", genre="a", artist="y", recording="s"),
            Recording(id="4", genre="b", artist="z", recording="s"),
            Recording(id="5", genre="b", artist="z", recording="t"),
        ]
        corpus = corpus_of([*chain, *plain({"a": 20, "b": 20}).recordings])
        for seed in range(4):
            for fold in split_corpus(corpus, "artist-folds", seed=seed).folds:
                assert {r.id in fold.valid for r in chain} in ({True}, {False})

    def test_too_few_artists(self) -> None:
        known = [Recording(id=f"a/{i}", genre="a", artist=f"{i % 4}") for i in range(40)]
        with pytest.raises(DataError, match=r"'a': expected at least 5 artists.*got 4.*holdout"):
            split_corpus(corpus_of([*known, *plain({"b": 40}).recordings]), "artist-folds")


class TestCheckFold:
    CORPUS = corpus_of(
        [
            Recording(id="a1", genre="a", artist="x"),
            Recording(id="a2", genre="a", artist="x", recording="a1"),
            Recording(id="a3", genre="a", artist="x"),
            Recording(id="b1", genre="b"),
            Recording(id="b2", genre="b"),
            Recording(id="b3", genre="b"),
        ]
    )

    def test_a_clean_fold(self) -> None:
        """Replicas on one side are no leak, nor is an artist on two: that is counted instead."""
        fold = Fold(train=("a1", "a2", "b1"), valid=("b2",), test=("a3", "b3"))
        check_fold(self.CORPUS, fold)
        assert shared_artists(self.CORPUS, fold) == {"valid": 0, "test": 1}

    @pytest.mark.parametrize("part", ["valid", "test"])
    def test_a_replica_of_a_learner(self, part: str) -> None:
        sides = {"valid": ("b2",), "test": ("b3",)}
        sides[part] += ("a2",)
        with pytest.raises(LeakError) as caught:
            check_fold(self.CORPUS, Fold(train=("a1", "b1"), **sides))
        assert f"'a1' (train) and 'a2' ({part}) hold the same recording" in str(caught.value)

    def test_a_replica_of_what_was_chosen_by(self) -> None:
        """Validation chooses: it has seen what it was given as the test part has not."""
        fold = Fold(train=("a3", "b1"), valid=("a1",), test=("a2",))
        with pytest.raises(LeakError, match=r"'a1' \(valid\) and 'a2' \(test\)"):
            check_fold(self.CORPUS, fold)

    def test_one_id_on_two_sides(self) -> None:
        with pytest.raises(LeakError, match=r"'b1' \(train\) and 'b1' \(test\)"):
            check_fold(self.CORPUS, Fold(train=("a1", "b1"), valid=("b2",), test=("b1",)))

    @pytest.mark.parametrize(("train", "valid"), [((), ("a1",)), (("a1", "b1"), ())])
    def test_an_empty_part(self, train: tuple[str, ...], valid: tuple[str, ...]) -> None:
        with pytest.raises(DataError, match=f"{len(train)} train and {len(valid)} valid"):
            check_fold(self.CORPUS, Fold(train=train, valid=valid))

    def test_a_genre_that_nobody_can_learn(self) -> None:
        with pytest.raises(DataError, match="none of 'b' in train"):
            check_fold(self.CORPUS, Fold(train=("a1",), valid=("b2",)))

    def test_an_id_that_is_not_in_the_corpus(self) -> None:
        with pytest.raises(DataError, match="no recording 'c9'"):
            check_fold(self.CORPUS, Fold(train=("a1", "c9"), valid=("b2",)))


@st.composite
def collections(draw: st.DrawFn, *, known: bool = True) -> Corpus:
    """Few genres, artists and recordings for the ids there are, so that they meet often."""
    n_genres, n_artists = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    n_recordings = draw(st.integers(1, 80))
    n = draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = zip(
        random.integers(n_genres, size=n).tolist(),
        random.integers(-1, n_artists, size=n).tolist(),
        random.integers(n_recordings, size=n).tolist(),
        strict=True,
    )
    return corpus_of(
        [
            Recording(
                id=f"{i:02}",
                genre="abcd"[genre],
                artist=f"artist {artist}" if known and artist >= 0 else None,
                recording=f"recording {recording}",
            )
            for i, (genre, artist, recording) in enumerate(rows)
        ]
    )


def hold_clean(corpus: Corpus, split: Split) -> None:
    """Each fold of a drawn split: all recordings, none in two parts, artists as promised."""
    for fold in split.folds:
        assert is_clean(corpus, fold)
        assert sorted(fold.train + fold.valid + fold.test) == sorted(corpus.ids)
        if split.artists == "apart":
            sides = [artists(corpus, fold.part(part)) for part in PARTS]
            assert len(set.union(*sides)) == sum(len(side) for side in sides)
            assert shared_artists(corpus, fold) == {"valid": 0, "test": 0}


class TestNoCollectionCanLeak:
    def test_a_split_is_clean_or_refused(self) -> None:
        """And refused before it leaks."""
        tried = Tried()

        @settings(max_examples=200, deadline=None)
        @given(
            corpus=collections(),
            name=st.sampled_from(DRAWN),
            seed=st.integers(0, 99),
            repeats=st.integers(1, 3),
        )
        def is_clean_or_refused(corpus: Corpus, name: str, seed: int, repeats: int) -> None:
            repeats = repeats if "folds" in name else 1
            split = tried.split(lambda: split_corpus(corpus, name, seed=seed, repeats=repeats))
            if split is None:
                return
            hold_clean(corpus, split)
            assert split.repeats == len(split.drawings()) == repeats
            if "folds" in name:
                for folds in split.drawings():
                    assert sorted(i for f in folds for i in f.valid) == sorted(corpus.ids)
            else:
                parts = [genres(corpus, split.folds[0].part(part)).keys() for part in PARTS]
                assert all(part == set(corpus.genres) for part in parts)

        is_clean_or_refused()
        assert tried.made > 30

    @settings(max_examples=60, deadline=None)
    @given(
        sizes=st.lists(
            st.lists(st.integers(1, 6), min_size=3, max_size=12), min_size=1, max_size=4
        ),
        seed=st.integers(0, 99),
    )
    def test_three_recordings_a_genre_are_enough(self, sizes: list[list[int]], seed: int) -> None:
        """However many copies there are of each: such a collection must not be refused."""
        corpus = corpus_of(
            [
                Recording(id=f"{g}/{r}/{i}", genre=f"genre {g}", recording=f"{g}/{r}")
                for g, copies in enumerate(sizes)
                for r, n in enumerate(copies)
                for i in range(n)
            ]
        )
        (fold,) = split_corpus(corpus, "song-holdout", seed=seed).folds
        for g, copies in enumerate(sizes):
            counts = [
                sum(name.startswith(f"{g}/") for name in recordings(corpus, fold.part(part)))
                for part in PARTS
            ]
            held = max(1, round(0.2 * len(copies)))
            assert counts == [len(copies) - 2 * held, held, held]


class TestNames:
    def test_an_unknown_split_is_a_wrong_call(self) -> None:
        with pytest.raises(
            UsageError, match=r"auto, fault-filtered, strict, holdout.*got 'random'"
        ):
            split_corpus(plain({"a": 5, "b": 5}), "random")

    def test_every_name_makes_a_split_of_that_name(self, whole: Corpus) -> None:
        names = [name for name in SPLITS if name != "auto"]
        assert [split_corpus(whole, name).name for name in names] == names


class TestDigest:
    FOLD = Fold(train=("a", "b"), valid=("c",), test=("d",))

    def test_names_who_stands_where_in_whatever_order(self) -> None:
        turned = replace(self.FOLD, train=("b", "a"))
        assert Split(name="x", folds=(self.FOLD,)).digest() == (
            Split(name="x", folds=(turned,)).digest()
        )

    def test_differs_when_one_recording_changes_sides(self) -> None:
        """A run that was trained on another split must not be read back as this one's."""
        moved = Fold(train=("a",), valid=("b", "c"), test=("d",))
        swapped = Fold(train=("a", "b"), valid=("d",), test=("c",))
        digests = {Split(name="x", folds=(f,)).digest() for f in (self.FOLD, moved, swapped)}
        assert len(digests) == 3

    def test_holdouts_of_gtzan_are_drawn_as_they_ever_were(self, whole: Corpus) -> None:
        """Figures on them are quoted (docs/guide/audit.md): by whatever name, the same tracks."""
        drawn = {name: split_corpus(whole, name).digest() for name in ("holdout", "song-holdout")}
        assert drawn == {"holdout": "019616a70c04", "song-holdout": "737e786b4284"}

    def test_is_the_same_in_every_process(self, whole: Corpus) -> None:
        """Sets of text have another order in each; no split may hang on it."""
        names = tuple(name for name in SPLITS if name != "auto")
        program = (
            "from ostinato.datasets.gtzan import load_gtzan\n"
            "from ostinato.datasets.splits import split_corpus\n"
            "corpus = load_gtzan(n_coefficients=1)\n"
            f"print(*(split_corpus(corpus, name).digest() for name in {names}))"
        )
        source = str(Path(ostinato.__file__).parents[1])
        result = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": "1234", "PYTHONPATH": source},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.split() == [split_corpus(whole, name).digest() for name in names]

    def test_parts_by_name(self) -> None:
        assert [self.FOLD.part(part) for part in PARTS] == [("a", "b"), ("c",), ("d",)]
