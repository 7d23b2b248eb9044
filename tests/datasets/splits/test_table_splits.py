"""No split of any table leaks, checked by the rows of the table itself."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.datasets import Corpus, FrameCache, load_corpus
from ostinato.datasets import load as listing
from ostinato.datasets.compute import FileFrames
from ostinato.datasets.splits import PARTS, SPLITS, Split, split_corpus
from ostinato.errors import DataError
from ostinato.features import FeatureSpec
from tests.helpers.refused import Tried

SPEC = FeatureSpec(n_coefficients=1)
DRAWN = [name for name in SPLITS if name not in ("fault-filtered", "strict")]


@dataclass(frozen=True)
class Row:
    """A row as generated: artist and recording by number, -1 unknown; bytes by number."""

    id: str
    genre: str
    artist: int
    recording: int
    content: int


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Few artists, recordings and sounds for the rows there are, so that they meet often.

    Numbers are mostly those of one genre, else hardly a table could be split; some are of any.
    """
    n, n_genres = draw(st.integers(6, 80)), draw(st.integers(2, 3))
    n_artists, n_recordings = draw(st.integers(3, 30)), draw(st.integers(3, 40))
    n_contents, strays = draw(st.integers(3, 120)), draw(st.sampled_from([0.0, 0.02, 0.2]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def number(of: int, genre: int) -> int:
        home = random.integers(n_genres) if random.random() < strays else genre
        return int(home + n_genres * random.integers(of))

    rows = []
    for i in range(n):
        genre = int(random.integers(n_genres))
        artist, recording = number(n_artists, genre), number(n_recordings, genre)
        rows.append(
            Row(
                id=f"{i:02}",
                genre="abc"[genre],
                artist=artist if random.random() < 0.9 else -1,
                recording=recording if random.random() < 0.3 else -1,
                content=number(n_contents, genre),
            )
        )
    return rows


def written(rows: Sequence[Row], folder: Path) -> Path:
    """The table, with the names of artists in small letters or capitals by turns."""
    path = folder / "mine.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "genre", "artist", "recording"])
        for i, row in enumerate(rows):
            artist = f"Artist {row.artist}" if row.artist >= 0 else ""
            recording = f"r{row.recording}" if row.recording >= 0 else ""
            spelled = artist.upper() if i % 2 else artist
            writer.writerow([row.id, f"{row.id}.wav", row.genre, spelled, recording])
    (folder / f"{rows[0].id}.wav").touch()
    return path


def corpus_of(rows: Sequence[Row], folder: Path) -> Corpus:
    """The corpus of the table, with an empty frame for each file, whose bytes are a number."""
    content = {f"{row.id}.wav": row.content for row in rows}
    frame = np.zeros((1, 1), np.float32)

    def computed(paths: Sequence[Path], **_: object) -> Iterator[tuple[int, FileFrames]]:
        return enumerate(FileFrames(f"{content[path.name]}", frame) for path in paths)

    with mock.patch.object(listing, "each_frames", computed):
        return load_corpus(written(rows, folder), spec=SPEC, cache=FrameCache(folder / "cache"))


def leaks(rows: Sequence[Row], split: Split) -> Iterator[tuple[str, str, str]]:
    """Pairs of rows in two parts that share a recording, bytes, or an artist who is kept apart."""
    by_id = {row.id: row for row in rows}
    for fold in split.folds:
        sides = [(by_id[i], part) for part in PARTS for i in fold.part(part)]
        for k, (a, a_part) in enumerate(sides):
            for b, b_part in sides[k + 1 :]:
                if a_part == b_part:
                    continue
                if a.recording == b.recording >= 0 or a.content == b.content:
                    yield a.id, b.id, "recording"
                if split.artists == "apart" and a.artist == b.artist >= 0:
                    yield a.id, b.id, "artist"


def test_a_split_of_a_table_is_clean_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """And refused before it leaks."""
    tried = Tried()

    @settings(max_examples=150, deadline=None)
    @given(
        rows=tables(),
        name=st.sampled_from(DRAWN),
        seed=st.integers(0, 99),
        repeats=st.integers(1, 2),
    )
    def is_clean_or_refused(rows: list[Row], name: str, seed: int, repeats: int) -> None:
        repeats = repeats if "folds" in name else 1
        corpora = []

        def make() -> Split:
            corpora.append(corpus_of(rows, tmp_path_factory.mktemp("table")))
            return split_corpus(corpora[0], name, seed=seed, repeats=repeats)

        if (split := tried.split(make)) is None:
            return  # too few genres, recordings or artists
        assert list(leaks(rows, split)) == []
        for drawing in split.drawings():
            last = [i for fold in drawing for i in (fold.test or fold.valid)]
            if "folds" in name:
                assert sorted(last) == sorted(corpora[0].ids)
            else:
                (fold,) = drawing
                assert sorted(fold.train + fold.valid + fold.test) == sorted(corpora[0].ids)

    is_clean_or_refused()
    assert tried.made > 30


def test_the_search_for_leaks_finds_them(tmp_path: Path) -> None:
    """Mixed artists overlap; it finds them if they are said to be apart."""
    rows = [Row(f"{i:02}", "ab"[i % 2], i % 4, -1, i) for i in range(40)]
    split = split_corpus(corpus_of(rows, tmp_path), "song-holdout")
    assert list(leaks(rows, split)) == []
    called = Split(name="x", folds=split.folds, artists="apart")
    assert {kind for _, _, kind in leaks(rows, called)} == {"artist"}


def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who sorts a table anew gets the same figures, or the same refusal."""
    tried = Tried()

    @settings(max_examples=50, deadline=None)
    @given(rows=tables(), seed=st.integers(0, 9))
    def is_alike(rows: list[Row], seed: int) -> None:
        def drawn(order: list[Row]) -> Split:
            return split_corpus(corpus_of(order, tmp_path_factory.mktemp("table")), seed=seed)

        split = tried.split(lambda: drawn(rows))
        if split is None:
            with pytest.raises(DataError):
                drawn(rows[::-1])
        else:
            assert drawn(rows[::-1]).digest() == split.digest()

    is_alike()
    assert tried.made > 5
