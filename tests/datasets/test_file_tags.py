"""Tags and folders say which recordings belong together; what stands for nobody does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ostinato.datasets import Corpus, Recording, load_corpus
from ostinato.datasets.file_tags import with_tags
from ostinato.datasets.frame_cache import FrameCache
from ostinato.datasets.splits import grouped_folds
from ostinato.errors import DataError
from ostinato.features import FeatureSpec
from tests.helpers.sounds import write_tune
from tests.helpers.toy import toy_corpus


def filled(folder: Path, **files: dict[str, str]) -> dict[str, Recording]:
    names = [name.replace("__", "/") + ".flac" for name in files]
    paths = [
        write_tune(folder / name, 0, i, seconds=0.1, **tags)
        for i, (name, tags) in enumerate(zip(names, files.values(), strict=True))
    ]
    recordings = [Recording(id=name, genre=name.split("/")[0]) for name in names]
    digests = [str(path) for path in paths]  # told apart, that will do
    found = with_tags(recordings, paths, digests, FrameCache(folder / "cache"))
    return {r.id.removesuffix(".flac"): r for r in found}


def test_tags_fill_what_is_open_and_no_more(tmp_path) -> None:
    found = filled(tmp_path, a__x={"artist": "Björk", "album": "Post", "title": "Hyperballad"})
    assert found["a/x"].artist == "Björk"
    assert found["a/x"].title == "Hyperballad"
    known = Recording(id="a/x.flac", genre="a", artist="Somebody", album="Other")
    cache = FrameCache(tmp_path / "cache")
    (kept,) = with_tags([known], [tmp_path / "a" / "x.flac"], ["digest"], cache)
    assert (kept.artist, kept.album) == ("Somebody", "Other")


def test_tags_are_read_once(tmp_path, monkeypatch) -> None:
    first = filled(tmp_path, a__x={"artist": "A"}, a__y={})
    monkeypatch.setattr("ostinato.datasets.file_tags.read_tags", None)
    assert filled(tmp_path, a__x={"artist": "A"}, a__y={}) == first


@pytest.mark.parametrize("nobody", ["Various Artists", "unknown artist", "VA"])
def test_what_stands_for_nobody_joins_nobody(tmp_path, nobody: str) -> None:
    found = filled(tmp_path, a__x={"artist": nobody, "album": "Unknown Album"}, a__y={})
    assert {(r.artist, r.album) for r in found.values()} == {(None, None)}


def test_a_folder_below_the_genre_is_an_album_if_there_are_several(tmp_path) -> None:
    found = filled(tmp_path, a__one__x={}, a__one__y={}, a__two__z={}, b__all__x={}, c__x={})
    assert found["a/one/x"].album == found["a/one/y"].album != found["a/two/z"].album
    assert found["b/all/x"].album is None
    assert found["c/x"].album is None


def test_albums_of_one_name_in_two_folders_are_two(tmp_path) -> None:
    hits = {"album": "Greatest Hits"}
    found = filled(tmp_path, a__one__x=hits, a__two__x=hits)
    assert found["a/one/x"].album != found["a/two/x"].album


def corpus_of(*rows: Recording) -> Corpus:
    frames = tuple(np.zeros((4, 40), np.float32) for _ in rows)
    return Corpus(name="c", source="s", recordings=rows, frames=frames, spec=FeatureSpec())


def test_groups_join_artists_albums_and_copies_in_chains_but_no_compilation() -> None:
    corpus = corpus_of(
        Recording(id="1", genre="a", artist="A", album="x"),
        Recording(id="2", genre="a", album="x"),
        Recording(id="3", genre="a", recording="2"),
        Recording(id="4", genre="a", artist="B", album="hits"),
        Recording(id="5", genre="a", artist="C", album="hits"),
        Recording(id="6", genre="a", artist="D", album="hits"),
    )
    assert corpus.groups == ("1", "1", "1", "4", "5", "6")


def test_folders_of_audio_have_their_artists_in_a_corpus(tmp_path) -> None:
    for genre in ("a", "b"):
        for i in range(3):
            write_tune(tmp_path / genre / f"{i}.flac", i, i, seconds=1, artist=f"{genre}{i}")
    corpus = load_corpus(
        tmp_path, spec=FeatureSpec(), cache=FrameCache(tmp_path / "cache"), n_jobs=1
    )
    assert corpus.artists == ("a0", "a1", "a2", "b0", "b1", "b2")


def test_folds_keep_every_genre_learnable_and_hold_every_recording_out_once() -> None:
    corpus = toy_corpus(n_genres=4, per_genre=6)
    split = grouped_folds(corpus)
    assert len(split.folds) == 3  # artists a genre
    assert sorted(i for fold in split.folds for i in fold.valid) == sorted(corpus.ids)
    few = corpus_of(
        *(Recording(id=f"a{i}", genre="a", artist="one" if i else "two") for i in range(5)),
        *(Recording(id=f"b{i}", genre="b", artist=f"b{i}") for i in range(5)),
    )
    for seed in range(10):
        for fold in grouped_folds(few, seed=seed).folds:
            assert {i[0] for i in fold.train} == {"a", "b"}


def test_a_genre_by_one_artist_is_divided_all_the_same_and_told() -> None:
    corpus = toy_corpus(n_genres=2, per_genre=6)
    recordings = [replace(r, artist="X") if r.genre == "g0" else r for r in corpus.recordings]
    split = grouped_folds(replace(corpus, recordings=tuple(recordings)))
    assert split.artists == "mixed"
    assert "'g0' is all by one artist" in split.notes[-1]


def test_a_genre_of_one_recording_cannot_be_judged() -> None:
    corpus = corpus_of(*(Recording(id=str(i), genre="a" if i else "b") for i in range(4)))
    with pytest.raises(DataError, match="Genre 'b': expected at least two different recordings"):
        grouped_folds(corpus)
