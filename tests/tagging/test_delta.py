"""Reverse deltas: the old file comes back to the byte, and little is kept for it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import mutagen
import pytest
from mutagen.id3 import APIC, ID3
from mutagen.oggvorbis import OggVorbis

from ostinato.tagging import delta
from ostinato.tagging.delta import DeltaError, apply_delta, reverse_delta
from tests.tagging.test_payload import ID3V1, TAGGED, made, tag

NOISE = random.Random(4).randbytes(3 << 20)


def kept(folder: Path, old: bytes, new: bytes) -> int:
    """Bytes of a delta, after it was shown to be right."""
    paths = folder / "old", folder / "new"
    for path, data in zip(paths, (old, new), strict=True):
        path.write_bytes(data)
    made = reverse_delta(*paths)
    to = io.BytesIO()
    apply_delta(paths[1], made, to.write)
    assert to.getvalue() == old
    return len(made)


@pytest.mark.parametrize(
    ("old", "new", "most"),
    [
        (b"", b"", 30),
        (b"", NOISE, 30),
        (NOISE[:50], b"", 90),
        (NOISE, NOISE, 40),
        (NOISE, b"head" * 99 + NOISE, 40),
        (b"head" * 9999 + NOISE, NOISE, 300),
        (NOISE, NOISE + b"tail" * 99, 40),
        (b"old head" + NOISE + b"old tail", b"a new head" + NOISE + b"one more tail", 80),
        (NOISE[:2000] + bytes(9_000) + NOISE, NOISE[:3000] + bytes(8_000) + NOISE, 1_200),
        (NOISE[:500_000] + b"x" + NOISE[500_000:], NOISE, 60),
        (NOISE[1_000_000:] + NOISE[:1_000_000], NOISE, 90),
    ],
    ids=range(11),
)
def test_the_old_bytes_come_back(tmp_path: Path, old: bytes, new: bytes, most: int) -> None:
    assert kept(tmp_path, old, new) <= most


def test_a_long_silence_that_is_moved(tmp_path: Path) -> None:
    sound = NOISE[:9_000] + bytes(700_000) + NOISE[:9_000]
    old, new = b"1" * 90 + sound + b"2" * 70, b"3" * 4_321 + sound + b"4" * 99
    assert kept(tmp_path, old, new) < 300


def test_numbers_in_the_payload_change(tmp_path: Path) -> None:
    """As those of Ogg's pages do: 8 bytes in each 4 kB, and all is moved."""
    page = 4_100
    old, new = bytearray(NOISE), bytearray(NOISE)
    for at in range(0, len(NOISE) - page, page):
        new[at : at + 8] = random.Random(at).randbytes(8)
    assert kept(tmp_path, bytes(old), b"a page" * 700 + bytes(new)) < 14 * len(NOISE) / page


def test_anything_comes_back(tmp_path: Path) -> None:
    rng = random.Random(11)
    for _ in range(60):
        parts = [NOISE[at : at + rng.randrange(1, 90_000)] for at in rng.choices(range(10**6), k=6)]
        parts += [bytes(rng.randrange(40_000)), b"ab" * rng.randrange(9_000)]
        old = b"".join(rng.choices(parts, k=rng.randrange(7)))
        new = bytearray().join(rng.choices(parts, k=rng.randrange(7)))
        for _ in range(rng.randrange(9) if new else 0):
            new[rng.randrange(len(new))] ^= 0x55
        kept(tmp_path, old, bytes(new))


@pytest.mark.parametrize("suffix", TAGGED)
def test_little_is_kept_of_a_file_that_is_tagged(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path, suffix, seconds=4)
    old = path.read_bytes()
    tag(path, "some words " * 200)
    once = path.read_bytes()
    assert kept(tmp_path, old, once) < 200 + len(old) // 100
    tag(path, "more words")
    assert kept(tmp_path, once, path.read_bytes()) < 3_000 + len(old) // 100


def test_in_place_it_mends_what_was_overwritten_in_part(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"one two three four" + bytes(90) + NOISE + b"the end")
    new.write_bytes(b"two three four five, and more" + bytes(79) + NOISE + b"an end!"[:7])
    assert old.stat().st_size == new.stat().st_size
    made = reverse_delta(old, new, in_place=True)
    for cut in (0, 3, 20, 40, len(NOISE) + 110, new.stat().st_size):
        mixed = tmp_path / "mixed"
        mixed.write_bytes(new.read_bytes()[:cut] + old.read_bytes()[cut:])
        to = io.BytesIO()
        apply_delta(mixed, made, to.write)
        assert to.getvalue() == old.read_bytes()


def test_both_ends_of_an_mp3_change(tmp_path: Path) -> None:
    path = made(tmp_path, ".mp3", seconds=4)
    path.write_bytes(path.read_bytes() + ID3V1)
    old = path.read_bytes()
    tags = ID3()
    tags.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=NOISE[:300_000]))
    tags.save(path, v1=0)
    new = path.read_bytes() + bytes(500)
    assert kept(tmp_path, old, new) < 200
    assert kept(tmp_path, new, old) < 301_000


def test_an_ogg_that_gets_more_pages(tmp_path: Path) -> None:
    path = made(tmp_path, ".ogg", seconds=20)
    old = path.read_bytes()
    ogg = OggVorbis(path)
    ogg["lyrics"] = "la " * 60_000
    ogg.save()
    assert mutagen.File(path)["lyrics"]
    assert kept(tmp_path, old, path.read_bytes()) < 600 + len(old) // 100


def test_more_than_tags_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "MOST_BYTES", 1 << 20)
    with pytest.raises(DeltaError, match="1 MB"):
        kept(tmp_path, NOISE[: 2 << 20], NOISE[2 << 20 :])


def test_a_damaged_delta_is_refused(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(NOISE[:9_000])
    new.write_bytes(b"more" + NOISE[:8_000])
    good = reverse_delta(old, new)
    for bad in (b"", b"ODL1", good[:-9], b"XXXX" + good[4:], good[:12] + b"no", good[:20]):
        with pytest.raises(DeltaError, match="damaged"):
            apply_delta(new, bad, io.BytesIO().write)
    new.write_bytes(b"more")
    with pytest.raises(DeltaError, match="shorter"):
        apply_delta(new, good, io.BytesIO().write)
