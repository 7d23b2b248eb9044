"""Settings of splits: shares, and folds that are drawn repeatedly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ostinato.datasets import Corpus, Recording
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import (
    PARTS,
    SPLITS,
    Fold,
    Split,
    artist_folds,
    check_split,
    holdout,
    load_split,
    save_split,
    song_folds,
    song_holdout,
    split_corpus,
)
from ostinato.errors import DataError, UsageError
from tests.datasets.splits.test_drawn import corpus_of, plain
from tests.datasets.splits.test_strict import by_artists

OTHER = {"train": 0.8, "valid": 0.1, "test": 0.1}


@pytest.fixture(scope="module")
def whole() -> Corpus:
    return load_gtzan(n_coefficients=1)


class TestShares:
    @pytest.mark.parametrize("make", [song_holdout, holdout])
    def test_are_kept(self, make) -> None:
        (fold,) = make(plain({"a": 50, "b": 20}), shares=OTHER).folds
        assert [len(fold.part(part)) for part in PARTS] == [56, 7, 7]

    @pytest.mark.parametrize("make", [song_holdout, holdout])
    @pytest.mark.parametrize(
        "shares",
        [
            {"train": 0.8, "valid": 0.2},
            {"train": 1.0, "valid": 0.0, "test": 0.0},
            {"train": 0.6, "valid": 0.2, "test": 0.3},
            {"train": 60, "valid": 20, "test": 20},
            {"train": float("nan"), "valid": 0.2, "test": 0.2},
            {"train": 0.5, "valid": 0.2, "test": 0.2, "rest": 0.1},
        ],
    )
    def test_that_are_none_are_refused(self, make, shares: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="positive shares of train, valid, test with sum 1"):
            make(plain({"a": 50}), shares=shares)


class TestRequests:
    """Sizes and repeats: reach the splits they are for, and are refused for all others."""

    @pytest.mark.parametrize("name", ["holdout", "song-holdout", "auto"])
    def test_sizes_are_for_holdouts(self, name: str) -> None:
        (fold,) = split_corpus(plain({"a": 50, "b": 20}), name, shares=OTHER).folds
        assert [len(fold.part(part)) for part in PARTS] == [56, 7, 7]

    @pytest.mark.parametrize("name", [n for n in SPLITS if "holdout" not in n])
    def test_and_for_nothing_else(self, whole: Corpus, name: str) -> None:
        """On GTZAN ``auto`` is the published lists, whose sizes are facts."""
        with pytest.raises(UsageError, match=r"shares: only holdout and song-holdout .*split is '"):
            split_corpus(whole, name, shares=OTHER)

    @pytest.mark.parametrize("name", [n for n in SPLITS if "folds" not in n])
    def test_repeats_are_for_folds_that_are_drawn(self, whole: Corpus, name: str) -> None:
        with pytest.raises(UsageError, match=f"repeats: only folds .* 2 times, but .* '{name}'"):
            split_corpus(whole, name, repeats=2)

    def test_neither_is_for_a_file(self, tmp_path: Path) -> None:
        corpus = plain({"a": 9})
        path = tmp_path / "x.tsv"
        save_split(split_corpus(corpus), path)
        with pytest.raises(UsageError, match="repeats: only folds"):
            split_corpus(corpus, str(path), repeats=2)
        with pytest.raises(UsageError, match="shares: only"):
            split_corpus(corpus, str(path), shares=OTHER)

    def test_no_repeats_are_a_wrong_call(self, whole: Corpus) -> None:
        with pytest.raises(UsageError, match="repeats: expected 1 or more, got 0"):
            split_corpus(whole, "artist-folds", repeats=0)
        for folds in (artist_folds, song_folds):
            with pytest.raises(UsageError, match="expected 1 repeat or more, got 0"):
                folds(whole, repeats=0)


class TestRepeats:
    @pytest.mark.parametrize("name", ["artist-folds", "artist-folds-all", "song-folds"])
    def test_are_the_folds_of_each_seed_in_order(self, whole: Corpus, name: str) -> None:
        single = [split_corpus(whole, name, seed=seed) for seed in (4, 5, 6)]
        split = split_corpus(whole, name, seed=4, repeats=3)
        assert split.folds == sum((s.folds for s in single), ())
        assert split.drawings() == tuple(s.folds for s in single)
        assert (split.repeats, split.artists, split.name) == (3, single[0].artists, name)
        assert "drawn 3 times, with seeds 4 to 6: each recording is held out 3" in split.notes[-1]
        assert split.notes[:-1] == single[0].notes
        assert len({split.digest(), *(s.digest() for s in single)}) == 4

    def test_once_is_what_it_was(self, whole: Corpus) -> None:
        assert artist_folds(whole, repeats=1) == artist_folds(whole)
        assert artist_folds(whole).repeats == 1

    def test_drawings_that_are_the_same_are_told(self) -> None:
        """Five artists make five folds in one way: the figures of a second drawing add nothing."""
        split = artist_folds(by_artists({"a": [3] * 5}), repeats=4)
        assert "Only 1 of the 4 drawings differ" in split.notes[-1]

    FOLDS = tuple(
        Fold(train=tuple(i for i in "abcd" if i not in out), valid=tuple(out))
        for out in ("ab", "cd", "ac", "bd")
    )
    CORPUS = corpus_of([Recording(id=i, genre="g") for i in "abcd"])

    def test_are_kept_in_the_file(self, whole: Corpus, tmp_path: Path) -> None:
        split = artist_folds(whole, repeats=2)
        save_split(split, tmp_path / "x.tsv")
        assert load_split(tmp_path / "x.tsv", whole) == split
        assert (tmp_path / "x.tsv").read_text().splitlines()[2] == "# repeats: 2"

    def test_must_divide_the_folds(self) -> None:
        check_split(self.CORPUS, Split(name="x", folds=self.FOLDS, repeats=2))
        for repeats in (0, -1, 3, 8):
            with pytest.raises(DataError, match=f"divide the 4 folds, got {repeats}"):
                check_split(self.CORPUS, Split(name="x", folds=self.FOLDS, repeats=repeats))

    @pytest.mark.parametrize(
        ("order", "told"), [((0, 2, 1, 3), "folds 0 to 1"), ((0, 1, 2, 2), "folds 2 to 3")]
    )
    def test_each_drawing_holds_everybody_out_once(self, order: tuple[int, ...], told: str) -> None:
        """Else some recordings would count more than others in a drawing's mean."""
        split = Split(name="x", folds=tuple(self.FOLDS[i] for i in order), repeats=2)
        with pytest.raises(DataError, match=rf"drawings of 2 folds .*: {told} do not"):
            check_split(self.CORPUS, split)
        check_split(self.CORPUS, replace(split, repeats=1))

    def test_a_drawing_that_passes_over_a_recording(self) -> None:
        less = Fold(train=("c", "d"), valid=("a",))
        split = Split(name="x", folds=(*self.FOLDS[:2], less, self.FOLDS[1]), repeats=2)
        with pytest.raises(DataError, match="folds 2 to 3 do not"):
            check_split(self.CORPUS, split)
