"""Splits that keep artists apart, splits for comparison, and splits in files."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.datasets import Corpus, Recording, gtzan
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import (
    PARTS,
    SPLITS,
    Fold,
    LeakError,
    Split,
    artist_folds,
    artist_free,
    check_fold,
    holdout,
    load_split,
    save_split,
    shared_artists,
    song_folds,
    song_holdout,
    split_corpus,
)
from ostinato.errors import DataError, UsageError
from ostinato.study.report.caveats import caveats
from tests.datasets.splits.test_drawn import (
    DRAWN,
    artists,
    collections,
    corpus_of,
    genres,
    is_clean,
    plain,
    without,
)
from tests.helpers.fake_results import fake_results, typed
from tests.helpers.refused import Tried

FILTERED = gtzan.published_split("fault-filtered")
USABLE = {i for part in PARTS for i in FILTERED[part]} - {"jazz.00054"}


@pytest.fixture(scope="module")
def whole() -> Corpus:
    return load_gtzan(n_coefficients=1)


def by_artists(sizes: dict[str, list[int]]) -> Corpus:
    """A corpus with these numbers of recordings by the artists of each genre."""
    return corpus_of(
        [
            Recording(id=f"{g}/{a}/{i}", genre=g, artist=f"{g} {a}")
            for g, counts in sizes.items()
            for a, n in enumerate(counts)
            for i in range(n)
        ]
    )


def disjoint(sides: list[set]) -> bool:
    return len(set().union(*sides)) == sum(len(side) for side in sides)


class TestStrict:
    def test_the_test_part_but_for_three_and_no_artist_in_two_parts(self, whole: Corpus) -> None:
        split = split_corpus(whole, "strict")
        (fold,) = split.folds
        assert [len(fold.part(part)) for part in PARTS] == [423, 181, 287]
        gone = sorted(set(FILTERED["test"]) - set(fold.test))
        artist = {t.id: t.artist for t in gtzan.tracks()}
        assert [artist[i] for i in gone] == ["Lauryn Hill"] * 2 + ["Lauryn Hill; Bob Marley"]
        assert disjoint([artists(whole, fold.part(part)) for part in PARTS])
        assert is_clean(whole, fold)

    def test_drops_no_more_than_it_must(self, whole: Corpus) -> None:
        """By the table itself, each dropped track has an artist in a later part."""
        (fold,) = split_corpus(whole, "strict").folds
        artist = dict(zip(whole.ids, whole.artists, strict=True))
        examined = {artist[i] for i in fold.test} - {None}
        in_train = {artist[i] for i in fold.train} - {None}
        gone = set(FILTERED["train"]) - set(fold.train) - {"jazz.00054"}
        assert all(artist[i] in examined for i in gone)
        assert len(gone) == 19
        gone = set(FILTERED["valid"]) - set(fold.valid)
        assert Counter(artist[i] in examined for i in gone) == {True: 5, False: 11}
        assert all(artist[i] in examined | in_train for i in gone)

    def test_says_what_it_drops_and_what_it_cannot_know(self, whole: Corpus) -> None:
        notes = split_corpus(whole, "strict").notes
        assert notes[0] == "jazz.00054 cannot be read and is passed over."
        assert "19 tracks of train and 5 of valid by artists of the test part, 11" in notes[1]
        assert "3 of test by artists connected with more tracks of train." in notes[1]
        assert "of unknown artist, each taken for an artist of its own" in notes[2]

    def test_beside_it_the_artist_free_tracks_of_the_published_lists(self, whole: Corpus) -> None:
        """Two ways to be strict: drop learners (above), or leave 30 of the 290 out."""
        (fold,) = split_corpus(whole, "fault-filtered").folds
        free = artist_free(whole, fold)
        assert len(free) == 260
        assert not artists(whole, free) & artists(whole, fold.train + fold.valid)
        counts = genres(whole, free)
        assert (counts["metal"], counts["reggae"]) == (12, 17)

    def test_needs_the_tracks_of_the_lists(self, whole: Corpus) -> None:
        with pytest.raises(DataError, match=r"'strict' needs the GTZAN tracks.*lacks 930"):
            split_corpus(plain({"a": 9, "b": 9}), "strict")
        with pytest.raises(DataError, match=r"'strict' needs .*lacks 1 of them"):
            split_corpus(without(whole, "blues.00029", skipped=False), "strict")


class TestPromise:
    """An artist in two parts raises unless the split was asked for by a name that says so."""

    CORPUS = corpus_of(
        [Recording(id=f"{i}", genre="a", artist=a) for i, a in enumerate("xyxz")]
        + [Recording(id=f"u{i}", genre="a") for i in range(2)]
    )

    @pytest.mark.parametrize(
        ("fold", "sides"),
        [
            (Fold(train=("0",), valid=("2",), test=("1",)), r"'0' \(train\) and '2' \(valid\)"),
            (Fold(train=("0",), valid=("1",), test=("2",)), r"'0' \(train\) and '2' \(test\)"),
            (Fold(train=("1",), valid=("0",), test=("2",)), r"'0' \(valid\) and '2' \(test\)"),
        ],
    )
    def test_an_artist_in_two_parts(self, fold: Fold, sides: str) -> None:
        check_fold(self.CORPUS, fold)  # counted, and told by every report
        with pytest.raises(LeakError, match=sides + r" are both by x: .* by name\.$"):
            check_fold(self.CORPUS, fold, artists="apart")

    def test_unknown_artists_are_nobody(self) -> None:
        check_fold(self.CORPUS, Fold(train=("u0", "0"), valid=("u1",)), artists="apart")

    def test_which_splits_promise_it(self, whole: Corpus) -> None:
        promise = {name: split_corpus(whole, name).artists for name in SPLITS}
        apart = {name for name, artists in promise.items() if artists == "apart"}
        assert apart == {"strict", "holdout", "artist-folds", "artist-folds-all"}


class TestFoldsToCompare:
    def test_song_folds_hold_each_usable_track_out_once(self, whole: Corpus) -> None:
        split = split_corpus(whole, "song-folds")
        assert len(split.folds) == 10
        assert {i for fold in split.folds for i in fold.valid} == USABLE
        assert sum(len(fold.valid) for fold in split.folds) == 929
        of_all = genres(whole, sorted(USABLE))
        for fold in split.folds:
            assert is_clean(whole, fold)
            assert fold.test == ()
            assert all(abs(n - of_all[g] / 10) < 2 for g, n in genres(whole, fold.valid).items())

    def test_song_folds_say_that_artists_overlap(self, whole: Corpus) -> None:
        split = split_corpus(whole, "song-folds")
        assert "comparison with the literature only: artists overlap" in split.notes[0]
        assert sum(shared_artists(whole, fold)["valid"] for fold in split.folds) > 700

    def test_copies_stay_together_in_song_folds(self) -> None:
        corpus = corpus_of(
            [Recording(id=f"{i:02}", genre="a", recording=f"{i % 12}") for i in range(40)]
        )
        assert all(is_clean(corpus, fold) for fold in split_corpus(corpus, "song-folds").folds)

    def test_artist_folds_over_all_usable_tracks(self, whole: Corpus) -> None:
        split = split_corpus(whole, "artist-folds-all")
        assert {i for fold in split.folds for i in fold.valid} == USABLE
        for fold in split.folds:
            assert len(fold.train) + len(fold.valid) == 929
            assert shared_artists(whole, fold) == {"valid": 0, "test": 0}

    def test_the_same_artist_and_title_are_never_in_two_parts(self, whole: Corpus) -> None:
        """79 pairs of GTZAN share both: excerpts of one piece, if not of one recording."""
        key = {r.id: (r.artist, r.title) for r in whole.recordings if r.artist and r.title}
        for name in ("artist-folds", "artist-folds-all", "holdout", "strict"):
            for fold in split_corpus(whole, name).folds:
                assert disjoint([{key[i] for i in fold.part(p) if i in key} for p in PARTS])

    def test_too_few_recordings(self) -> None:
        with pytest.raises(DataError, match=r"'a': expected at least 10 different .*got 9"):
            split_corpus(plain({"a": 9, "b": 30}), "song-folds")

    @pytest.mark.parametrize("name", ["artist-folds", "artist-folds-all"])
    @pytest.mark.parametrize("n_artists", [1, 4])
    def test_fewer_artists_than_folds(self, name: str, n_artists: int) -> None:
        corpus = by_artists({"a": [6] * n_artists, "b": [2] * 9})
        instead = "holdout" if n_artists >= 3 else "song-holdout"
        sentence = (
            rf"'a': expected at least 5 artists .*'{name}', got {n_artists}; "
            rf"use --split {instead}\.$"
        )
        with pytest.raises(DataError, match=sentence):
            split_corpus(corpus, name)

    @pytest.mark.parametrize("folds", [artist_folds, song_folds])
    def test_one_fold_is_no_split(self, folds) -> None:
        with pytest.raises(UsageError, match="expected two folds or more, got 1"):
            folds(plain({"a": 9}), n_folds=1)

    def test_without_artists_it_says_what_it_could_not_guard_against(self) -> None:
        for name in ("artist-folds", "artist-folds-all", "holdout"):
            split = split_corpus(plain({"a": 20, "b": 20}), name)
            assert len(split.notes) == 1
            assert "No artist is known" in split.notes[0]

    def test_all_artists_known_leave_nothing_to_say(self) -> None:
        assert split_corpus(by_artists({"a": [2] * 9}), "artist-folds").notes == ()


class TestHoldout:
    def test_gtzan(self, whole: Corpus) -> None:
        for seed in range(3):
            (fold,) = split_corpus(whole, "holdout", seed=seed).folds
            assert sorted(i for part in PARTS for i in fold.part(part)) == sorted(whole.ids)
            for part, share in zip(PARTS, (60, 20, 20), strict=True):
                counts = genres(whole, fold.part(part))
                assert all(abs(counts[genre] - share) <= 8 for genre in whole.genres)

    @pytest.mark.parametrize("counts", [[5, 5, 1], [50, 1, 1], [9, 9, 9], [1, 1, 1], [30, 20, 2]])
    def test_three_artists_are_enough(self, counts: list[int]) -> None:
        corpus = by_artists({"a": counts, "b": [1] * 10})
        for seed in range(3):
            (fold,) = split_corpus(corpus, "holdout", seed=seed).folds
            assert all(len(artists(corpus, fold.part(p))) >= 1 for p in PARTS)
            assert genres(corpus, fold.train)["a"] == max(counts)

    @pytest.mark.parametrize("n", [1, 2])
    def test_fewer_are_not(self, n: int) -> None:
        corpus = by_artists({"a": [9] * n, "b": [1] * 10})
        sentence = rf"'a': expected at least three artists.*got {n}; .*use --split song-holdout\.$"
        with pytest.raises(DataError, match=sentence):
            split_corpus(corpus, "holdout")
        assert split_corpus(corpus, "song-holdout").name == "song-holdout", "the advice is good"

    def test_without_artists_too_few_recordings_are_not_called_artists(self) -> None:
        with pytest.raises(DataError, match=r"'a': expected at least three different rec.*got 2"):
            split_corpus(plain({"a": 2, "b": 9}), "holdout")
        with pytest.raises(DataError, match=r"'a': expected at least 5 different .*--split song-h"):
            split_corpus(plain({"a": 4, "b": 9}), "artist-folds")

    def test_without_artists_it_puts_everybody_where_song_holdout_does(self) -> None:
        tried = Tried()

        @settings(max_examples=60, deadline=None)
        @given(corpus=collections(known=False), seed=st.integers(0, 99))
        def are_alike(corpus: Corpus, seed: int) -> None:
            by_song = tried.split(lambda: song_holdout(corpus, seed=seed))
            if by_song is None:
                with pytest.raises(DataError):
                    holdout(corpus, seed=seed)
                return
            split = holdout(corpus, seed=seed)
            assert split.folds == by_song.folds
            assert "No artist is known" in split.notes[0]

        are_alike()
        assert tried.made > 5

    def test_another_seed_gives_another_split(self, whole: Corpus) -> None:
        assert len({holdout(whole, seed=s).digest() for s in (0, 1, 2)}) == 3
        assert holdout(whole, seed=1) == holdout(whole, seed=1)

    @settings(max_examples=60, deadline=None)
    @given(
        counts=st.lists(
            st.lists(st.integers(1, 9), min_size=3, max_size=9), min_size=1, max_size=3
        ),
        shares=st.tuples(*[st.integers(1, 9)] * 3),
        seed=st.integers(0, 99),
    )
    def test_artists_of_one_genre_each_can_always_be_split(
        self, counts: list[list[int]], shares: tuple[int, ...], seed: int
    ) -> None:
        corpus = by_artists({"abc"[g]: sizes for g, sizes in enumerate(counts)})
        wanted = {p: n / sum(shares) for p, n in zip(PARTS, shares, strict=True)}
        (fold,) = holdout(corpus, seed=seed, shares=wanted).folds
        check_fold(corpus, fold, artists="apart")
        for part in PARTS:
            assert genres(corpus, fold.part(part)).keys() == set(corpus.genres)


class TestFile:
    @pytest.mark.parametrize("name", SPLITS)
    def test_what_is_saved_is_read_back(self, whole: Corpus, name: str, tmp_path: Path) -> None:
        split = split_corpus(whole, name)
        save_split(split, tmp_path / "x.tsv")
        again = load_split(tmp_path / "x.tsv", whole)
        assert again == split
        assert split_corpus(whole, str(tmp_path / "x.tsv")) == split
        assert [p.name for p in tmp_path.iterdir()] == ["x.tsv"]

    def test_is_plain_text(self, whole: Corpus, tmp_path: Path) -> None:
        save_split(split_corpus(whole, "fault-filtered"), tmp_path / "x.tsv")
        lines = (tmp_path / "x.tsv").read_bytes().decode().split("\n")
        assert lines[:4] == [
            "# name: fault-filtered",
            "# artists: mixed",
            "# note: jazz.00054 cannot be read and is passed over.",
            "recording\tfold\tpart",
        ]
        assert lines[4].split("\t")[1:] == ["0", "train"]
        assert len(lines) == 4 + 929 + 1

    def test_any_split_survives(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        tried = Tried()

        @settings(max_examples=100, deadline=None)
        @given(
            corpus=collections(),
            name=st.sampled_from(DRAWN),
            seed=st.integers(0, 9),
            repeats=st.integers(1, 3),
        )
        def survives(corpus: Corpus, name: str, seed: int, repeats: int) -> None:
            n = repeats if "folds" in name else 1
            split = tried.split(lambda: split_corpus(corpus, name, seed=seed, repeats=n))
            if split is not None:
                path = tmp_path_factory.mktemp("s") / "x.tsv"
                save_split(split, path)
                assert load_split(path, corpus) == split

        survives()
        assert tried.made > 5

    @pytest.mark.parametrize("odd", ["a\tb", 'a "b"', "a\nb", "# a", "Ä é 音", "recording", " a "])
    def test_ids_of_any_kind(self, odd: str, tmp_path: Path) -> None:
        corpus = corpus_of([Recording(id=name, genre="a") for name in (odd, "y", "z")])
        split = Split(name="odd", folds=(Fold(train=(odd,), valid=("y",), test=("z",)),))
        save_split(split, tmp_path / "x.tsv")
        assert load_split(tmp_path / "x.tsv", corpus) == split

    CORPUS = corpus_of(
        [
            Recording(id="a", genre="g", artist="x"),
            Recording(id="b", genre="g", artist="y"),
            Recording(id="c", genre="g", artist="x"),
            Recording(id="d", genre="g", recording="a"),
        ]
    )
    HEAD = "recording\tfold\tpart\n"
    GOOD = HEAD + "a\t0\ttrain\nb\t0\tvalid\n"

    def load(self, folder: Path, text: str | bytes) -> Split:
        path = folder / "mine.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_split(path, self.CORPUS)

    @pytest.mark.parametrize(
        "text",
        [
            GOOD,
            "# by hand\n" + GOOD,
            "# repeats: 1\n" + GOOD,
            GOOD.replace("\n", "\r\n"),
            "\ufeff" + GOOD,
            GOOD + "\n",
        ],
    )
    def test_written_by_hand(self, text: str, tmp_path: Path) -> None:
        split = self.load(tmp_path, text)
        assert split == Split(
            name="mine", folds=(Fold(train=("a",), valid=("b",)),), artists="apart"
        )

    def test_by_hand_artists_in_two_parts_must_be_asked_for(self, tmp_path: Path) -> None:
        text = self.GOOD + "c\t0\ttest\n"
        with pytest.raises(LeakError, match=r"mine\.tsv cannot be used: 'a' .*both by x"):
            self.load(tmp_path, text)
        assert self.load(tmp_path, "# artists: mixed\n" + text).artists == "mixed"

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", r"line 1: expected the columns recording, fold, part.*got nothing"),
            ("# only\n", r"line 2: expected the columns"),
            ("a\t0\ttrain\n", r"line 1: expected the columns .*got a, 0, train"),
            (HEAD, "names no recording"),
            (GOOD + "e\t0\ttest\n", r"line 4: 'mine' has no recording 'e'"),
            ("# name: n\n" + GOOD + "e\t0\ttest\n", "line 5: 'mine' has no recording 'e'"),
            (GOOD + "a\t0\ttest\n", "line 4: 'a' is in fold 0 a second time"),
            (GOOD + "c\t0\texam\n", "line 4: expected a part of train, valid, test; got 'exam'"),
            (GOOD + "c\t2\ttrain\n", r"line 4: expected folds numbered 0, 1, .*got '2'"),
            (GOOD + "c\t-1\ttrain\n", "line 4: expected folds numbered .*got '-1'"),
            (GOOD + "c\tone\ttrain\n", "line 4: expected folds numbered .*got 'one'"),
            (GOOD + "c\t\ttrain\n", "line 4: expected folds numbered .*got ''"),
            (GOOD + "c\t0\n", "line 4: expected recording, fold, part, got 2 fields"),
            (GOOD + "c 0 train\n", "line 4: expected recording, fold, part, got 1 field"),
            (GOOD + '"c\t0\ttest\n', "line 4, is damaged"),
            (GOOD + "c\t1\ttrain\nb\t1\tvalid\nd\t1\ttest\n", "a test part in every fold, or"),
            (GOOD + "d\t0\ttest\n", r"cannot be used: 'a' \(train\) and 'd' \(test\) hold the sa"),
            (HEAD + "a\t0\ttrain\n", "cannot be used: .*1 train and 0 valid"),
            ("# artists: some\n" + GOOD, "'# artists:' to be apart, mixed; got 'some'"),
            ("# repeats: 2\n" + GOOD, "cannot be used: Expected repeats that divide the 1 folds"),
            ("# repeats: twice\n" + GOOD, "'# repeats:' to be a whole number .*got 'twice'"),
            ("# repeats: 0\n" + GOOD, "'# repeats:' to be a whole number .*got '0'"),
            ("# name: ../up\n" + GOOD, r"a name of letters.* got '\.\./up'"),
            (GOOD.encode("utf-16"), "is not text in UTF-8"),
        ],
    )
    def test_what_is_wrong_is_told_by_line(
        self, text: str | bytes, sentence: str, tmp_path: Path
    ) -> None:
        with pytest.raises(DataError, match=sentence) as caught:
            self.load(tmp_path, text)
        assert "mine.tsv" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"there is no file .*none\.tsv"):
            split_corpus(self.CORPUS, str(tmp_path / "none.tsv"))
        with pytest.raises(UsageError, match=r"Cannot read the split .*none\.tsv: No such file"):
            load_split(tmp_path / "none.tsv", self.CORPUS)
        with pytest.raises(UsageError, match="Cannot read the split"):
            load_split(tmp_path, self.CORPUS)


class TestReport:
    def test_the_artist_free_figure_stands_beside_the_count(self) -> None:
        results = fake_results()
        for fold in results["split"]["folds"]:
            fold["shared_artists"]["test"] = 27
        said = {c.question: c.sentences for c in caveats(typed(results))}["Artists overlap"]
        assert len(said) == 1
        for model, mean in zip(results["models"].values(), (0.521, 0.503, 0.487), strict=False):
            figures = {"n": 263, "mean": mean, "low": 0.4, "high": 0.6, "seeds": [mean]}
            model["test_accuracy_artist_free"] = figures
        said = {c.question: c.sentences for c in caveats(typed(results))}["Artists overlap"]
        labels = [m["label"] for m in results["models"].values()]
        assert said[1].startswith("Accuracy on the 263 other test recordings: ")
        assert all(label in said[1] for label in labels)
        assert "52.1" in said[1]


def test_no_corpus_without_its_lists_is_gtzan(whole: Corpus) -> None:
    """Folds over the published tracks are for the collection they were published for."""
    other = replace(whole, name="mine")
    assert {i for fold in split_corpus(other, "song-folds").folds for i in fold.valid} == set(
        other.ids
    )
