"""Artists as sets of people: who is meant, who is connected, and that no split parts them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.datasets import Corpus, Recording
from ostinato.datasets.groups import artist_groups, people
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import (
    PARTS,
    Fold,
    LeakError,
    Split,
    check_fold,
    shared_artists,
    split_corpus,
)
from ostinato.errors import DataError
from ostinato.study.results.pool import Pool
from ostinato.study.results.predictions import predictions_csv
from tests.datasets.splits.test_drawn import corpus_of


def together(a: str, b: str, *others: str) -> bool:
    first, second, *_ = artist_groups([a, b, *others])
    return first == second


class TestWhoIsMeant:
    @pytest.mark.parametrize(
        "name",
        [
            "Lauryn Hill; Bob Marley",
            "Lauryn Hill;Bob Marley",
            "Lauryn Hill feat. Bob Marley",
            "Lauryn Hill (Feat. Bob Marley)",
            "Lauryn Hill ft Bob Marley",
            "LAURYN HILL featuring bob marley",
        ],
    )
    def test_several_are_divided(self, name: str) -> None:
        assert people(name) == people("Bob Marley") | people("Lauryn Hill")
        assert len(people(name)) == 2

    @pytest.mark.parametrize(
        "name",
        [
            "Simon & Garfunkel",
            "Earth, Wind & Fire",
            "Kool & the Gang",
            "AC/DC",
            "Florence + the Machine",
            "KC and the Sunshine Band",
            "Little Feat",
            "Crosby, Stills, Nash & Young",
            "Malcolm X",
        ],
    )
    def test_a_band_is_one(self, name: str) -> None:
        assert len(people(name)) == 1
        assert not together(name, "Somebody Else")

    @pytest.mark.parametrize(
        ("name", "own"),
        [
            ("Diana Ross & The Supremes", "The Supremes"),
            ("Bob Marley and the Wailers", "Bob Marley"),
            ("Bob Marley, Peter Tosh", "Peter Tosh"),
            ("Peter Tosh with Mick Jagger", "Mick Jagger"),
            ("Simon & Garfunkel; Someone", "Garfunkel"),
        ],
    )
    def test_a_band_is_divided_where_a_part_is_an_artist_of_its_own(
        self, name: str, own: str
    ) -> None:
        assert together(name, own)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("De La Soul", "DE-LA  SOUL"),
            ("Motörhead", "Motorhead"),
            ("Beyonce\u0301", "Beyoncé"),
            ("The Beatles", "Beatles"),
            ("RUN-DMC", "Run DMC"),
            ("Earth, Wind & Fire", "Earth Wind and Fire"),
            ("Destiny's Child", "Destiny\u2019s Child"),
            ("M.I.A.", "MIA"),
        ],
    )
    def test_spellings(self, one: str, other: str) -> None:
        assert people(one) == people(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [("!!!", "???"), ("The The", "The Who"), ("राम", "रोम"), ("Prince", "Prince Buster")],
    )
    def test_other_names_stay_others(self, one: str, other: str) -> None:
        assert not people(one) & people(other)


class TestGroups:
    def test_a_chain_connects(self) -> None:
        assert len(set(artist_groups(["A", "A; B", "b; C", "c", "D"]))) == 2

    def test_the_unknown_are_in_none(self) -> None:
        assert artist_groups([None, "", "  ", "A", None]) == (None, None, None, "A", None)
        assert artist_groups([]) == ()

    def test_separators_alone_are_a_name(self) -> None:
        assert artist_groups([";", " ; ", "feat.", "A"])[3] == "A"
        assert None not in artist_groups([";", " ; ", "feat."])

    def test_a_group_has_its_most_frequent_name_whatever_the_order(self) -> None:
        names = ["Lauryn Hill; Bob Marley", "Bob Marley", "Bob Marley", "Lauryn Hill", "Queen"]
        assert artist_groups(names) == ("Bob Marley",) * 4 + ("Queen",)
        assert artist_groups(names[::-1]) == ("Queen",) + ("Bob Marley",) * 4


@pytest.fixture(scope="module")
def gtzan() -> Corpus:
    return load_gtzan(n_coefficients=1)


class TestGtzan:
    @pytest.mark.parametrize(
        "names",
        [
            ("Bob Marley", "Lauryn Hill", "Lauryn Hill; Bob Marley"),
            ("Peter Tosh", "Peter Tosh; Mick Jagger"),
            ("De La Soul", "De La Soul; Jungle Brothers; Q-Tip; Queen Latifah; Monie Love"),
            ("Donna Summer", "Barbra Streisand; Donna Summer"),
            ("Jennifer Lopez", "Jennifer Lopez; Ja Rule"),
            ("Ozzy Osbourne", "Ozzy Osbourne; Dweezil Zappa"),
            ("Celine Dion", "Mariah Carey", "Shania Twain"),
        ],
    )
    def test_connected_artists(self, gtzan: Corpus, names: Sequence[str]) -> None:
        group = {r.artist: a for r, a in zip(gtzan.recordings, gtzan.artists, strict=True)}
        assert len({group[name] for name in names}) == 1
        assert group[names[0]] == names[0]

    def test_no_other_artists_are_connected(self, gtzan: Corpus) -> None:
        """Bands with "&" and "and" stay whole: 7 groups are of several names, 17 names in all."""
        group = {r.artist: a for r, a in zip(gtzan.recordings, gtzan.artists, strict=True)}
        several = [a for a in set(group.values()) if list(group.values()).count(a) > 1]
        assert len(several) == 7
        assert sum(a in several for a in group.values()) == 17

    @pytest.mark.parametrize("name", ["strict", "artist-folds", "artist-folds-all", "holdout"])
    def test_they_are_apart(self, gtzan: Corpus, name: str) -> None:
        for fold in split_corpus(gtzan, name).folds:
            assert shared_artists(gtzan, fold) == {"valid": 0, "test": 0}

    def test_folds_are_as_published_but_for_six_tracks(self, gtzan: Corpus) -> None:
        """Fold 3 is whole; Celine Dion, Streisand with Summer, and De La Soul's guests moved."""
        held = [set(fold.valid) for fold in split_corpus(gtzan, "artist-folds").folds]
        artist = {r.id: r.artist for r in gtzan.recordings}
        of = {name: {i for i in artist if artist[i] == name} for name in artist.values()}
        moved = {
            ("Celine Dion", 0, 1, 4),
            ("Barbra Streisand; Donna Summer", 0, 4, 1),
            ("De La Soul; Jungle Brothers; Q-Tip; Queen Latifah; Monie Love", 2, 0, 1),
        }
        before = [set(fold) for fold in held]
        for name, was, now, n in moved:
            tracks = of[name] & held[now]
            assert len(tracks) == n
            before[now] -= tracks
            before[was] |= tracks
        split = Split(
            name="artist-folds",
            folds=tuple(
                Fold(train=tuple(set().union(*before) - fold), valid=tuple(fold)) for fold in before
            ),
        )
        assert split.digest() == "61c039d42b64"  # as drawn before artists were connected


class TestPromise:
    def test_connected_artists_in_two_parts(self) -> None:
        names = ["Bob Marley", "Lauryn Hill; Bob Marley", "Lauryn Hill", "Queen"]
        corpus = corpus_of(
            [Recording(id=f"{i}", genre="a", artist=name) for i, name in enumerate(names)]
        )
        check_fold(corpus, Fold(train=("0", "1", "2"), valid=("3",)), artists="apart")
        fold = Fold(train=("0", "3"), valid=("2",))
        assert shared_artists(corpus, fold) == {"valid": 1, "test": 0}
        said = r"'0' \(train\) and '2' \(valid\) are by Bob Marley and by Lauryn Hill, who are conn"
        with pytest.raises(LeakError, match=said):
            check_fold(corpus, fold, artists="apart")


class TestStatistics:
    CORPUS = corpus_of(
        [
            Recording(id=f"{genre}{i}", genre=genre, artist=name)
            for genre in "ab"
            for i, name in enumerate(("Ada", "Ada; Bea", "BEA", "Cy", None, None))
        ]
    )
    SPLIT = Split(name="x", folds=(Fold(train=("a0", "b0"), valid=CORPUS.ids[1:6]),))

    def test_connected_artists_are_one_cluster(self) -> None:
        clusters = Pool(self.CORPUS, self.SPLIT, "valid").clusters
        assert clusters.of.tolist() == [0, 0, 1, 2, 3]

    def test_predictions_name_the_group(self) -> None:
        """``ostinato compare`` makes its clusters of this column."""
        said = {"lstm": [[{"valid": np.full((5, 2), 0.5)}]]}
        rows = list(csv.DictReader(io.StringIO(predictions_csv(self.CORPUS, self.SPLIT, said))))
        assert [row["artist"] for row in rows] == ["Ada", "Ada", "Cy", "", ""]


def reachable(rows: Sequence[frozenset[int]], start: int) -> set[int]:
    """Rows connected with one by shared people: the definition, step by step."""
    found, people_of = {start}, set(rows[start])
    while True:
        more = {i for i, own in enumerate(rows) if own & people_of} - found
        if not more:
            return found
        found |= more
        people_of = people_of.union(*(rows[i] for i in more))


@st.composite
def duets(draw: st.DrawFn) -> tuple[Corpus, list[frozenset[int]]]:
    """Recordings of two genres by one person or two, in changing spellings; and who they are."""
    n, n_people = draw(st.integers(40, 90)), draw(st.integers(12, 30))
    share = draw(st.sampled_from([0.0, 0.05, 0.2]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, artists = [], []
    for i in range(n):
        home = i % 2
        own = [int(2 * random.integers(n_people) + home)]
        if random.random() < share:
            own.append(int(2 * random.integers(n_people) + home))
        names = [str(random.choice([f"Né {p}", f"NE-{p}", f"The ne{p}"])) for p in own]
        artists.append(str(random.choice(["; ", " feat. ", " ft "])).join(names))
        rows.append(frozenset(own))
    recordings = [
        Recording(id=f"{i:02}", genre="ab"[i % 2], artist=name) for i, name in enumerate(artists)
    ]
    return corpus_of(recordings), rows


def test_no_split_parts_connected_artists() -> None:
    """Drawn splits are made for most collections, and in none are connected artists in two parts.

    Groups are as the definition has them: no row too few, none too many.
    """
    made = refused = 0

    @settings(max_examples=120, deadline=None)
    @given(
        collection=duets(),
        name=st.sampled_from(["holdout", "artist-folds"]),
        seed=st.integers(0, 99),
    )
    def check(collection: tuple[Corpus, list[frozenset[int]]], name: str, seed: int) -> None:
        nonlocal made, refused
        corpus, rows = collection
        for i in range(len(rows)):
            alike = {k for k, group in enumerate(corpus.artists) if group == corpus.artists[i]}
            assert alike == reachable(rows, i)
        try:
            split = split_corpus(corpus, name, seed=seed)
        except LeakError:
            raise  # a split was drawn wrongly
        except DataError:
            refused += 1  # too few artists
            return
        made += 1
        for fold in split.folds:
            sides = [set(corpus.positions(fold.part(part)).tolist()) for part in PARTS]
            for side in sides:
                assert all(reachable(rows, i) <= side for i in side)

    check()
    assert made > 4 * refused
