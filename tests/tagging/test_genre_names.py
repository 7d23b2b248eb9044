"""The TCON field of ID3, as players read it, and as it is written."""

from __future__ import annotations

import pytest
from mutagen.id3 import TCON

from ostinato.tagging.genre_names import genres_in, name_of, number_of, tcon_texts


@pytest.mark.parametrize(
    ("text", "genres"),
    [
        ("Rock", ["Rock"]),
        ("(17)", ["Rock"]),
        ("17", ["Rock"]),
        ("(17)(8)", ["Rock", "Jazz"]),
        ("(17)Rock", ["Rock"]),
        ("(9)(138)Viking Metal", ["Metal", "Black Metal", "Viking Metal"]),
        ("(4)Eurodisco", ["Disco", "Eurodisco"]),
        ("((foo", ["(foo"]),
        ("(17)((foo", ["Rock", "(foo"]),
        ("(RX)", ["Remix"]),
        ("(CR)", ["Cover"]),
        ("20er Jahre", ["20er Jahre"]),
        ("80s", ["80s"]),
        ("1980", ["1980"]),
        ("(foo) bar", ["(foo) bar"]),
        ("(17) ", ["Rock"]),
        ("Rock; Jazz", ["Rock", "Jazz"]),
        ("Rock;", ["Rock"]),
        ("Folk/Rock", ["Folk/Rock"]),
        ("(255)", []),
        ("255", []),
        ("", []),
    ],
)
def test_a_text_of_version_3(text, genres):
    assert genres_in([text], 3) == genres


def test_version_4_has_texts_of_their_own():
    assert genres_in(["17", "RX", "Rock; Jazz", "", "(8)"], 4) == [
        *("Rock", "Remix", "Rock; Jazz", "Jazz")
    ]


@pytest.mark.parametrize(
    ("genres", "text"),
    [
        (["Rock"], "Rock"),
        (["(foo"], "((foo"),
        (["Rock", "Jazz"], "(17)Jazz"),
        (["Metal", "Black Metal", "Viking Metal"], "(9)(138)Viking Metal"),
        (["Rock", "(foo"], "(17)((foo"),
        (["Zydeco", "Rock"], "Zydeco; Rock"),
        (["rock", "Jazz"], "rock; Jazz"),
        (["(foo", "Rock", "(bar"], "((foo; Rock; (bar"),
    ],
)
def test_several_in_version_3(genres, text):
    assert tcon_texts(genres, 3) == [text]
    assert genres_in([text], 3) == genres


def test_mutagen_reads_references_the_same():
    for genres in (["Rock", "Jazz"], ["Metal", "Black Metal", "Viking Metal"]):
        assert TCON(encoding=0, text=tcon_texts(genres, 3)).genres == genres


def test_version_4_and_none():
    assert tcon_texts(["Rock", "Jazz"], 4) == ["Rock", "Jazz"]
    assert tcon_texts([], 3) == []


def test_numbers():
    assert [number_of(name) for name in ("Hip-Hop", "hip hop", "R&B", "Zydeco", "")] == [
        *(7, 7, 14, 255, 255)
    ]
    assert [name_of(number) for number in (0, 7, 191, 192, 255)] == [
        *("Blues", "Hip-Hop", "Psybient", "", "")
    ]
