"""Which genres a file gets, by its policy, the genre map and the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.errors import UsageError
from ostinato.inference.verdict import OTHER, UNLIKE, UNSURE, Verdict, mean_of
from ostinato.tagging.genre_map import load_map
from ostinato.tagging.policy import Policy, is_missing
from ostinato.tagging.tags import FileTags

PLAYERS = load_map()
GENRES = ("hiphop", "jazz", "rock")


def verdict(*shares: float, threshold: float | None = 0.4, **other) -> Verdict:
    """A verdict with these probabilities of hip-hop, jazz and rock."""
    ranked = tuple(sorted(zip(GENRES, shares, strict=True), key=lambda pair: -pair[1]))
    sure = ranked[0][1] >= (threshold or 0)
    values = {
        "model": "toy",
        "genre": ranked[0][0] if sure else None,
        "named": ranked[0][:1] if sure else (),
        "abstained": None if sure else UNSURE,
        "probability": ranked[0][1],
        "ranked": ranked,
        "seconds": 30.0,
        "genres": GENRES,
        "threshold": threshold,
    }
    return Verdict(**(values | other))


SURE, UNSURE_ = verdict(0.6, 0.3, 0.1), verdict(0.35, 0.33, 0.32)


def decided(old: tuple[str, ...], said: Verdict | None = SURE, **policy):
    row = Policy(**policy).decide(Path("x.mp3"), FileTags(genres=old), said, PLAYERS)
    return row.action, row.new


@pytest.mark.parametrize(
    ("policy", "old", "expected"),
    [
        ("only-missing", (), ("write", ("Hip-Hop",))),
        ("only-missing", ("Unknown",), ("write", ("Hip-Hop",))),
        ("only-missing", ("Rock",), ("keep", ("Rock",))),
        ("replace", ("Rock",), ("write", ("Hip-Hop",))),
        ("replace", ("hip-hop",), ("keep", ("hip-hop",))),
        ("replace", ("Hip-Hop", "Rock"), ("write", ("Hip-Hop",))),
        ("add", ("Rock",), ("write", ("Rock", "Hip-Hop"))),
        ("add", ("Rock", "HIP-HOP"), ("keep", ("Rock", "HIP-HOP"))),
        ("add", ("Unknown",), ("write", ("Hip-Hop",))),
    ],
)
def test_each_policy(policy, old, expected):
    assert decided(old, what=policy) == expected


def test_a_file_that_cannot_change_needs_no_verdict():
    assert decided(("Rock",), None) == ("keep", ("Rock",))


def test_a_file_that_cannot_hold_tags_stays_as_it_is():
    row = Policy(what="add").decide(Path("x"), FileTags(is_writable=False), SURE, PLAYERS)
    assert (row.action, row.why) == ("keep", "its format cannot hold tags here")
    assert not Policy().may_change(FileTags(is_writable=False))


@pytest.mark.parametrize("policy", ["only-missing", "replace", "add"])
def test_an_abstention_is_never_written(policy):
    old = () if policy == "only-missing" else ("Rock",)
    for said in (UNSURE_, verdict(0.9, 0.1, 0.0, genre=None, named=(), abstained=UNLIKE)):
        assert decided(old, said, what=policy, min_probability=0.1) == ("abstain", old)


def test_a_probability_may_be_asked_for_but_not_below_the_models_own():
    assert decided((), min_probability=0.61)[0] == "abstain"
    assert decided((), min_probability=0.6) == ("write", ("Hip-Hop",))
    assert decided((), min_probability=0.05, top=3) == ("write", ("Hip-Hop",))
    row = Policy(min_probability=0.61).decide(Path("x"), FileTags(), SURE, PLAYERS)
    assert "hiphop is 60% likely" in row.why


def test_several_genres_are_written_where_they_are_asked_for():
    even = verdict(0.45, 0.42, 0.13)
    assert decided((), even) == ("write", ("Hip-Hop",))
    assert decided((), even, top=3) == ("write", ("Hip-Hop", "Jazz"))


def test_a_multi_label_model_names_its_own():
    many = verdict(
        0.6, 0.3, 0.5, threshold=None, thresholds=(0.5, 0.5, 0.5), named=("hiphop", "rock")
    )
    assert decided((), many) == ("write", ("Hip-Hop", "Rock"))
    assert decided((), many, top=1) == ("write", ("Hip-Hop",))


@pytest.mark.parametrize(
    ("where", "genres", "is_so"),
    [
        (None, ("Rock",), True),
        ("empty", (), True),
        ("empty", ("Rock",), False),
        ("unknown", ("Unknown",), True),
        ("*ROCK*", ("Jazz", "Hard rock"), True),
        ("rock", ("Hard Rock",), False),
        ("*", (), False),
    ],
)
def test_where(where, genres, is_so):
    assert Policy(where=where).is_about(FileTags(genres=genres)) is is_so


def test_what_programs_write_for_no_genre_is_none():
    assert is_missing(())
    assert is_missing(("unknown", " "))
    assert not is_missing(("Unknown", "Rock"))
    assert not is_missing(("Other",))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"what": "ad"}, "did you mean 'add'"),
        ({"min_probability": 62}, "from 0 to 1, got 62"),
        ({"top": 0}, "at least 1 genre"),
    ],
)
def test_a_wrong_policy_is_refused(policy, said):
    with pytest.raises(UsageError, match=said):
        Policy(**policy)


# --- the genre map ------------------------------------------------------------------------------


def a_map(folder: Path, text: str) -> Path:
    path = folder / "map.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_map_that_ships_names_genres_as_players_do():
    assert PLAYERS.names(["hiphop", "Jazz", "my own"]) == ("Hip-Hop", "Jazz", "my own")


def test_a_map_renames_merges_and_leaves_out(tmp_path):
    path = a_map(tmp_path, '[genres]\nJazz = "Old  Jazz"\nrock = "Loud"\nhiphop = ""\n')
    names = load_map(path, genres=GENRES)
    assert names.names(["rock", "jazz", "hiphop", "metal"]) == ("Loud", "Old Jazz", "metal")
    left_out = Policy().decide(Path("x"), FileTags(), SURE, names)
    assert (left_out.action, left_out.why) == ("abstain", "the genre map leaves out hiphop")


def test_without_a_map_names_are_the_models():
    assert load_map("none").names(["hiphop"]) == ("hiphop",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[genres]\njaz = "Jazz"\n', "got 'jaz'; did you mean 'jazz'"),
        ("[genres\n", "not valid TOML"),
        ("[genres]\njazz = 3\n", "jazz: expected a name in quotes"),
        ('jazz = "Jazz"\n', r"expected one table, \[genres\], got 'jazz'"),
        ("", "got none"),
    ],
)
def test_a_wrong_map_is_refused(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        load_map(a_map(tmp_path, text), genres=GENRES)


def test_a_map_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no\.toml' cannot be read"):
        load_map(tmp_path / "no.toml")


def test_names_of_the_map_that_ships_are_known_to_players():
    """ID3v1 knows most of them, so that a v1 tag can be kept in step."""
    from mutagen.id3 import TCON

    ours = set(PLAYERS.names(("blues", "classical", "country", "disco", "hiphop", "jazz", "metal",
                              "pop", "reggae", "rock")))  # fmt: skip
    assert ours <= set(TCON.GENRES)


# --- one verdict for several sounds -------------------------------------------------------------


def test_the_verdict_of_an_album_is_the_mean_of_its_tracks():
    mean = mean_of([verdict(0.6, 0.3, 0.1), verdict(0.1, 0.5, 0.4), verdict(0.2, 0.7, 0.1)])
    assert mean.genre == "jazz"
    assert dict(mean.ranked) == pytest.approx({"jazz": 0.5, "hiphop": 0.3, "rock": 0.2})
    assert mean.seconds == 90


def test_tracks_that_say_nothing_do_not_count_beside_others():
    silent = verdict(0.9, 0.1, 0.0, genre=None, named=(), abstained=UNLIKE, seconds=1.0)
    assert mean_of([silent, SURE]).ranked == SURE.ranked
    assert mean_of([silent, silent]).abstained == UNLIKE


def test_an_album_may_be_unsure_or_like_none_of_the_genres():
    assert mean_of([verdict(0.6, 0.2, 0.2), verdict(0.1, 0.5, 0.4)]).abstained == UNSURE
    others = [verdict(0.1, 0.2, 0.7, other="rock", genre=None, named=(), abstained=OTHER)] * 2
    assert mean_of(others).abstained == OTHER
