"""ID3v2 tags as bytes: nothing but the genre changes, however a tag is built."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3

from ostinato.tagging.file_tags import Damaged
from ostinato.tagging.id3 import header_in, new_tag, read_fields, spliced

PICTURE = b"\0image/png\0\x03\0" + b"\xff\xe0\0\xff\0\0\xff\xff" * 30 + b"\xff"


def seven_bits(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(version: int, name: str, body: bytes, flags: int = 0, *, plain: bool = False) -> bytes:
    if version == 2:
        return name.encode() + len(body).to_bytes(3) + body
    size = seven_bits(len(body)) if version == 4 and not plain else len(body).to_bytes(4)
    return name.encode() + size + flags.to_bytes(2) + body


def tag(version: int, *frames: bytes, flags: int = 0, padding: int = 0) -> bytes:
    body = b"".join(frames) + bytes(padding)
    if version < 4 and flags & 0x80:
        body = re.sub(rb"\xff(?=[\0\xe0-\xff]|\Z)", b"\xff\0", body)
    top = bytes([version, 0, flags]) + seven_bits(len(body))
    return b"ID3" + top + body + (b"3DI" + top if version == 4 and flags & 0x10 else b"")


def fields(whole: bytes) -> dict[str, list[str]]:
    header = header_in(whole)
    assert header is not None
    return read_fields(BytesIO(whole), 0, header, header.size)


def genres(whole: bytes) -> list[str]:
    return fields(whole).get("genre", [])


def by_mutagen(whole: bytes) -> ID3:
    """The tag by mutagen, in front of what is no ID3v1."""
    return ID3(BytesIO(whole + bytes(200)), translate=False)


NAMES = {2: ("TCO", "TT2", "PIC", "COM", "XYZ"), 3: ("TCON", "TIT2", "APIC", "COMM", "XYZW")}
NAMES[4] = NAMES[3]


@pytest.mark.parametrize("version", [2, 3, 4])
class TestSplice:
    def test_all_else_stays_byte_for_byte(self, version):
        tcon, tit2, apic, comm, unknown = NAMES[version]
        others = [
            frame(version, tit2, b"\1\xff\xfeT\0\xff\0"),
            frame(version, apic, PICTURE, 0x40 if version == 3 else 0),
            frame(version, comm, b"\0engnote\0mine"),
            frame(version, unknown, bytes(range(256)), 0xE000 if version == 3 else 0x7000),
        ]
        old = tag(version, others[0], frame(version, tcon, b"\0Pop"), *others[1:], padding=50)
        new = spliced(old, ["Rock"], None)
        assert len(new) == len(old)
        assert (
            new
            == old.replace(frame(version, tcon, b"\0Pop"), frame(version, tcon, b"\0Rock"))[
                : len(old)
            ]
        )
        assert genres(new) == ["Rock"]

    def test_a_genre_without_a_place_goes_behind_the_others(self, version):
        tcon, tit2, *_ = NAMES[version]
        old = tag(version, frame(version, tit2, b"\0T"), padding=30)
        expected = tag(version, frame(version, tit2, b"\0T"), frame(version, tcon, b"\0Rock"))
        new = spliced(old, ["Rock"], None)
        assert len(new) == len(old)
        assert new[10:] == (expected[10:] + bytes(30))[: len(old) - 10]

    def test_what_outgrows_its_place_gets_new_padding(self, version):
        old = tag(version, frame(version, NAMES[version][1], b"\0T"))
        new = spliced(old, ["Rock"], "x")
        assert len(new) > len(old) + 1024
        assert len(spliced(new, ["Zydeco"] * 9, "y" * 99)) == len(new)

    def test_every_frame_of_the_genre_is_read_and_replaced(self, version):
        tcon = NAMES[version][0]
        old = tag(version, frame(version, tcon, b"\0Pop"), frame(version, tcon, b"\0Jazz"))
        assert genres(old) == ["Pop", "Jazz"]
        assert genres(spliced(old, ["Rock"], None)) == ["Rock"]
        assert genres(spliced(old, [], None)) == []

    def test_what_is_no_frame_stays(self, version):
        old = tag(version, frame(version, NAMES[version][0], b"\0Pop"), b"\0\0\0junk\0\0")
        new = spliced(old, ["Rock"], None)
        assert b"\0\0\0junk\0\0" in new
        assert genres(new) == ["Rock"]

    def test_a_comment_of_ones_own_is_kept_and_ours_replaced(self, version):
        comm = NAMES[version][3]
        mine = frame(version, comm, b"\0eng\0mine")
        ours = frame(version, comm, b"\1eng\xff\xfe" + "Ostinato".encode("utf-16-le") + b"\0\0")
        old = tag(version, mine, ours)
        said = [f"{c.desc}: {c}" for c in by_mutagen(spliced(old, [], "new ♪")).values()]
        assert said == [": mine", "ostinato: new ♪"]
        assert spliced(old, [], None) == old
        assert spliced(old, [], "") == tag(version, mine, padding=len(ours))

    @pytest.mark.parametrize("name", ["Rock", "Röck", "摇滚", "Viking Metal", "(x) y"])
    def test_mutagen_reads_what_is_written(self, version, name):
        new = spliced(tag(version), [name], None)
        found = by_mutagen(new)
        assert found.version == (2, version, 0)
        assert found["TCON"].genres == [name]  # mutagen calls those of version 2 so
        assert genres(new) == [name]

    def test_several_are_read_back_in_order(self, version):
        for several in (["Rock", "Jazz"], ["Jazz", "Rock", "Viking Metal"], ["Foo", "Rock", "(b"]):
            assert genres(spliced(tag(version), several, None)) == several

    def test_truncated_and_huge_claims_are_refused(self, version):
        old = tag(version, frame(version, NAMES[version][1], b"\0T"))
        for size in (b"\0\0\1\0", b"\x7f\x7f\x7f\x7f"):
            with pytest.raises(Damaged, match="cut off"):
                spliced(old[:6] + size + old[10:], ["Rock"], None)


def test_junk_that_would_become_a_frame_in_a_larger_tag_is_left():
    """Its size leads behind the end of the tag, and would not behind that of the new one."""
    with pytest.raises(Damaged, match="would not be read"):
        spliced(tag(3, frame(3, "TIT2", b"\0T"), b"ABCD\0\0\0\x20\0\0abc"), ["Rock"], None)


@pytest.mark.parametrize("version", [2, 3])
class TestUnsynchronised:
    def test_pieces_stay_as_they_lie_in_the_file(self, version):
        tcon, tit2, apic, *_ = NAMES[version]
        cover = frame(version, apic, PICTURE)
        old = tag(version, frame(version, tit2, b"\0T"), frame(version, tcon, b"\0Pop"), cover,
                  flags=0x80, padding=40)  # fmt: skip
        new = spliced(old, ["Ÿ 摇", "ÿÿ"], "ÿà")
        assert len(new) == len(old) or len(new) > len(old) + 900
        assert not re.search(rb"\xff[\xe0-\xff]", new[10:])
        lying = re.sub(rb"\xff(?=[\0\xe0-\xff])", b"\xff\0", cover)
        assert lying in old
        assert lying in new
        assert genres(new) == ["Ÿ 摇", "ÿÿ"]
        covers = [by_mutagen(whole).getall("APIC")[0].data for whole in (old, new)]
        assert covers[0] == covers[1]

    def test_a_flag_that_lies(self, version):
        tcon, _, apic, *_ = NAMES[version]
        old = bytearray(tag(version, frame(version, apic, PICTURE), frame(version, tcon, b"\0Pop")))
        old[5] = 0x80
        assert genres(bytes(old)) == ["Pop"]
        new = spliced(bytes(old), ["Rock"], None)
        assert genres(new) == ["Rock"]
        assert frame(version, apic, PICTURE) in new


class TestVersion4:
    def test_flags_of_frames_are_kept_and_read(self):
        packed = zlib.compress(b"\0Pop")
        bodies = {
            0x0002 | 0x0001: seven_bits(6) + b"\1\xff\0\xfeP\0o\0p\0",
            0x0008 | 0x0001: seven_bits(4) + packed,
            0x0040: b"\7\0Pop",
        }
        for flags, body in bodies.items():
            other = frame(4, "TIT2", body, flags)
            old = tag(4, other, frame(4, "TCON", body, flags))
            assert fields(old) == {"title": ["Pop"], "genre": ["Pop"]}
            assert other in spliced(old, ["Rock"], None)

    def test_an_encrypted_genre_says_nothing(self):
        assert genres(tag(4, frame(4, "TCON", b"\x80abc", 0x0004))) == [""][:0]

    def test_sizes_as_itunes_wrote_them(self):
        cover = frame(4, "APIC", PICTURE + bytes(100), plain=True)
        old = tag(4, cover, frame(4, "TCON", b"\0Pop", plain=True), padding=400)
        assert genres(old) == ["Pop"]
        new = spliced(old, ["x" * 200], None)
        assert genres(new) == ["x" * 200]
        assert frame(4, "TCON", b"\0" + b"x" * 200, plain=True) in new
        assert cover in new

    def test_a_footer_tells_the_new_size_and_has_no_padding_before_it(self):
        old = tag(4, frame(4, "TIT2", b"\0T"), flags=0x10)
        new = spliced(old, ["Rock"], None)
        assert new == tag(4, frame(4, "TIT2", b"\0T"), frame(4, "TCON", b"\0Rock"), flags=0x10)

    def test_extended_headers(self):
        extended = b"\0\0\0\x06\1\0"
        old = tag(4, extended, frame(4, "TCON", b"\0Pop"), flags=0x40, padding=20)
        new = spliced(old, ["Rock"], None)
        assert genres(old) == ["Pop"]
        assert genres(new) == ["Rock"]
        assert new[10:16] == extended
        checked = tag(4, b"\0\0\0\x0c\1\x20\5\0\0\0\0\1", frame(4, "TCON", b"\0Pop"), flags=0x40)
        with pytest.raises(Damaged, match="checksum"):
            spliced(checked, ["Rock"], None)


def test_the_extended_header_of_version_3_states_no_padding_that_is_not_there():
    old = tag(3, b"\0\0\0\6\0\0\0\0\0\x14", frame(3, "TCON", b"\0Pop"), flags=0x40, padding=20)
    new = spliced(old, ["Rock"], None)
    assert genres(old) == ["Pop"]
    assert new[10:20] == b"\0\0\0\6\0\0\0\0\0\0"
    assert genres(new) == ["Rock"]


def test_version_2_is_not_written_where_it_is_compressed():
    with pytest.raises(Damaged, match="compressed"):
        spliced(tag(2, flags=0x40), ["Rock"], None)


def test_a_version_that_is_not_known_is_refused():
    with pytest.raises(Damaged, match=r"ID3v2\.5"):
        spliced(tag(5), ["Rock"], None)


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        (0, b"R\xf6ck\0", "Röck"),
        (1, b"\xfe\xff\0R\0o\0c\0k", "Rock"),
        (1, b"R\0o\0c\0k\0", "Rock"),
        (1, b"\xff\xfeR\0o\0c\0k\0\0", "Rock\ufffd"),
        (2, b"\0R\0o\0c\0k\0\0", "Rock"),
        (3, b"R\xc3\xb6ck", "Röck"),
        (3, b"R\xf6ck", "R\ufffdck"),
    ],
)
def test_texts_in_every_encoding_broken_or_not(encoding, body, text):
    assert genres(tag(3, frame(3, "TCON", bytes([encoding]) + body))) == [text]


def test_an_encoding_that_is_not_known_says_nothing():
    assert genres(tag(3, frame(3, "TCON", b"\x09Rock"), frame(3, "TCON", b""))) == []


def test_a_new_tag_is_of_version_3():
    new = new_tag({"TIT2": "T"}, ["Rock"], None)
    assert fields(new) == {"title": ["T"], "genre": ["Rock"]}
    assert new[3] == 3
    assert new_tag({}, [], None) == b""


UNKNOWN = ["XAAA", "PRIV", "TIT2", "WXXX", "ZZZ9"]


@settings(max_examples=50)
@given(
    st.sampled_from([3, 4]),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([*UNKNOWN, "TCON"]),
            st.lists(st.sampled_from([0, 1, 0x41, 0xE0, 0xFF])).map(bytes),
        ),
        max_size=6,
    ),
    st.integers(0, 60),
)
def test_any_frames_are_those_of_an_independent_reading(version, unsync, drawn, padding):
    """Sizes below 128 leave no doubt in version 4; what mutagen makes of the rest is compared."""
    frames = [frame(version, name, b"\0" + body) for name, body in drawn]
    flags = 0x80 if unsync and version == 3 else 0
    old = tag(version, *frames, flags=flags, padding=padding)
    new = spliced(old, ["Rock"], None)
    body = new[10:]
    if flags and not re.search(rb"\xff(?:[\xe0-\xff]|\Z)", body):
        body = body.replace(b"\xff\0", b"\xff")
    kept = [f for f, (name, _) in zip(frames, drawn, strict=True) if name != "TCON"]
    rock = frame(version, "TCON", b"\0Rock")
    at = next((i for i, (name, _) in enumerate(drawn) if name == "TCON"), len(kept))
    n_before = sum(name != "TCON" for name, _ in drawn[:at])
    expected = b"".join([*kept[:n_before], rock, *kept[n_before:]])
    assert body[: len(expected)] == expected
    assert not body[len(expected) :].strip(b"\0")
