"""A table of audio as a corpus: its columns, and errors with their line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ostinato.audio import load_audio
from ostinato.datasets import FrameCache, load_corpus
from ostinato.datasets.corpus import Corpus, Listing
from ostinato.datasets.groups import artist_groups
from ostinato.datasets.splits import split_corpus
from ostinato.datasets.table import is_table, read_table
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.features import frames
from ostinato.study.config import StudyConfig
from ostinato.study.plan import load_data
from tests.datasets.test_folder import BLUES, JAZZ, SPEC, Progress, put

HEADER = "path,genre\n"
SIX = HEADER + "".join(f"{name},{name.split('/')[0]}\n" for name in (*JAZZ, *BLUES))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Música"


def table(folder: Path, text: str | bytes, name: str = "mine.csv") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def listed(folder: Path, text: str | bytes, name: str = "mine.csv") -> Listing:
    """The listing of a table whose files exist, and are empty."""
    path = table(folder, text, name)
    for file in ("a.wav", "b.wav", "c.wav"):
        (folder / file).touch()
    return read_table(path)


def load(path: Path, progress: Progress | None = None) -> Corpus:
    return load_corpus(
        path,
        spec=SPEC,
        cache=FrameCache(path.parent.parent / "cache"),
        n_jobs=1,
        progress=None if progress is None else lambda *step: progress.append(step),
    )


def refused(folder: Path, text: str | bytes, kind: type[OstinatoError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        listed(folder, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "mine.csv" in sentence
    assert sentence.endswith(".")
    return sentence


def facts(listing: Listing) -> list[tuple[str, str, str | None, str | None, str]]:
    return [(r.id, r.genre, r.artist, r.title, r.recording) for r in listing.recordings]


# What is read


def test_a_table_is_the_corpus_of_its_files(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ, "rock/not named.wav")
    corpus = load(table(folder, SIX))
    assert corpus.name == "mine"
    assert corpus.source == str(folder / "mine.csv")
    assert corpus.ids == (*BLUES, *JAZZ), "sorted by genre and id, whatever the order of rows"
    assert corpus.genres == ("blues", "jazz")
    assert corpus.artists == (None,) * 6
    assert (corpus.skipped, corpus.left_out, corpus.notes) == ((), {}, ())
    for recording, of_it in zip(corpus.recordings, corpus.frames, strict=True):
        assert recording.path is not None
        np.testing.assert_array_equal(of_it, frames(load_audio(recording.path), SPEC))


def test_with_path_and_genre_alone_it_is_what_the_folder_would_be(folder: Path) -> None:
    """Same ids, labels and frames, and so the same split and the same figures."""
    put(folder, *BLUES, *JAZZ)
    as_folder = load_corpus(folder, spec=SPEC, cache=FrameCache(folder.parent / "cache"), n_jobs=1)
    as_table = load(table(folder, SIX))
    assert as_table.recordings == as_folder.recordings
    assert split_corpus(as_table).digest() == split_corpus(as_folder).digest()
    for a, b in zip(as_table.frames, as_folder.frames, strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_columns_in_any_order_and_in_capitals(folder: Path) -> None:
    listing = listed(
        folder,
        "Title,ARTIST,Recording,id,Genre,Path\n"
        "One,Ada,x,1,blues,a.wav\n"
        "Two,,1,2,jazz,b.wav\n"
        ",Bea,,,jazz,c.wav\n",
    )
    assert facts(listing) == [
        ("1", "blues", "Ada", "One", "x"),
        ("2", "jazz", None, "Two", "1"),
        ("c.wav", "jazz", "Bea", None, "c.wav"),
    ]
    assert [r.path for r in listing.recordings] == [str(folder / f"{n}.wav") for n in "abc"]
    assert listing.notes == ()


TWO = [("a.wav", "blues", "Ada", None, "a.wav"), ("b.wav", "jazz", "Bea, Cy", None, "b.wav")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'path,genre,artist\na.wav,blues,Ada\nb.wav,jazz,"Bea, Cy"\n'),
        ("t.csv", '\ufeffpath,genre,artist\r\na.wav,blues,Ada\r\nb.wav,jazz,"Bea, Cy"'),
        ("t.csv", "path;genre;artist\na.wav;blues;Ada\nb.wav;jazz;Bea, Cy\n"),
        ("t.csv", '\ufeff"path";"genre";"artist"\na.wav;blues;Ada\nb.wav;jazz;"Bea, Cy"\n'),
        ("t.CSV", '"path","genre","artist"\n"a.wav","blues","Ada"\n"b.wav","jazz","Bea, Cy"\n'),
        ("t.tsv", "path\tgenre\tartist\na.wav\tblues\tAda\nb.wav\tjazz\tBea, Cy\n"),
        ("t.TSV", "\ufeffpath\tgenre\tartist\r\na.wav\tblues\tAda\r\nb.wav\tjazz\tBea, Cy\r\n"),
        (
            "t.csv",
            'path, genre, artist\n\n a.wav , blues , Ada\n,,\nb.wav,jazz,"Bea,  Cy "\n,,\n\n',
        ),
        ("t.csv", "\n\npath;genre;artist\na.wav;blues;Ada\n;;\nb.wav;jazz;Bea,\u00a0Cy\n"),
    ],
)
def test_as_spreadsheets_and_people_write_it(folder: Path, name: str, text: str) -> None:
    """Byte-order mark, semicolons, quotes, empty rows, spaces around cells and within names."""
    assert facts(listed(folder, text, name)) == TWO


def test_a_comma_in_a_quoted_name_of_a_column_makes_no_comma_table(folder: Path) -> None:
    text = 'path;genre;"year, or decade, or so"\na.wav;blues;1930\n'
    listing = listed(folder, text)
    assert listing.notes == ("Columns of the table that are not used: year, or decade, or so.",)


def test_other_columns_are_named_once_and_not_used(folder: Path) -> None:
    text = "path,genre,Performer,year,,\na.wav,blues,Ada,1930,,\nb.wav,jazz,Bea,1940,,\n"
    listing = listed(folder, text)
    assert listing.notes == ("Columns of the table that are not used: Performer, year.",)
    assert [r.artist for r in listing.recordings] == [None, None]
    many = ",".join(f"c{i}" for i in range(14))
    assert "c11 and 2 more." in listed(folder, f"path,genre,{many}\na.wav,x{',' * 14}\n").notes[0]


def test_paths_are_absolute_or_below_the_tables_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not below the working folder."""
    put(folder / "sub", *BLUES)
    put(folder, *JAZZ)
    rows = [f"{folder / 'sub' / name},blues" for name in BLUES] + [f"../{n},jazz" for n in JAZZ]
    table(folder / "sub", HEADER + "\n".join(rows))
    monkeypatch.chdir(folder)
    corpus = load(Path("sub/mine.csv"))
    assert corpus.ids == (*(f"{folder / 'sub' / n}" for n in BLUES), *(f"../{n}" for n in JAZZ))
    assert corpus.skipped == ()


def test_a_path_may_begin_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    put(folder, *JAZZ, *BLUES)
    table(folder / "sub", HEADER + "".join(f"~/{n},{n.split('/')[0]}\n" for n in (*JAZZ, *BLUES)))
    assert load(folder / "sub" / "mine.csv").skipped == ()


def test_an_artist_in_capitals_is_the_same_artist(folder: Path) -> None:
    """Two spellings would let one artist be in two parts. Accents make no difference either."""
    names = ("Bjo\u0308rk", "BJÖRK", "björk ")
    text = "path,genre,artist\n" + "".join(
        f"{x}.wav,pop,{n}\n" for x, n in zip("abc", names, strict=True)
    )
    rows = listed(folder, text).recordings
    assert [r.artist for r in rows] == ["Bjo\u0308rk", "BJÖRK", "björk"]  # as written
    assert len(set(artist_groups([r.artist for r in rows]))) == 1


def test_nothing_is_taken_for_gtzan(folder: Path) -> None:
    """A table describes its files; published lists are for the collection they name."""
    names = [f"{g}.{i:05d}" for g in ("blues", "metal") for i in (5, 11, 61)]
    put(folder, *(f"{name}.wav" for name in names))
    rows = "".join(f"{n},{n}.wav,{n.split('.')[0]}\n" for n in names)
    corpus = load(table(folder, "id,path,genre\n" + rows, "gtzan.csv"))
    assert corpus.name == "gtzan.csv"
    assert set(corpus.artists) == {None}
    assert split_corpus(corpus).name == "holdout"


def test_what_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert not is_table(tmp_path / "folder.csv")
    assert is_table(tmp_path / "absent.csv")
    assert is_table(tmp_path / "absent.TSV")
    assert not is_table(tmp_path / "absent.txt")
    assert not is_table(tmp_path)


# Frames, as of a folder


def test_what_a_folder_can_do_a_table_can(folder: Path) -> None:
    """Copies are one recording, broken and absent files are named, small genres left out."""
    put(folder, *BLUES, *JAZZ, "pop/a.wav", "pop/b.wav", "jazz/a.ogg")
    shutil.copy(folder / "blues/a.wav", folder / "blues/copy.wav")
    (folder / "jazz/broken.mp3").write_text("text renamed")
    rows = dict.fromkeys(("pop/a.wav", "pop/b.wav"), "pop") | {
        n: n.split("/")[0]
        for n in (*BLUES, *JAZZ, "jazz/a.ogg", "blues/copy.wav", "jazz/broken.mp3", "blues/no.wav")
    }
    path = table(folder, HEADER + "".join(f"{name},{genre}\n" for name, genre in rows.items()))
    steps: Progress = []
    corpus = load(path, steps)
    assert [s.id for s in corpus.skipped] == ["blues/no.wav", "jazz/broken.mp3"]
    assert "No such file" in corpus.skipped[0].reason
    assert corpus.left_out == {"pop": 2}
    same = {r.id: r.recording for r in corpus.recordings}
    assert same["blues/a.wav"] == same["blues/copy.wav"]
    assert same["jazz/a.wav"] == same["jazz/a.ogg"]
    assert len(set(same.values())) == 6
    assert [done for done, _, _ in steps] == list(range(1, len(rows) + 1))


def test_recordings_of_the_table_and_of_the_bytes_are_joined(folder: Path) -> None:
    """The table says a = b, the bytes say b = d: all three are one, and c stands alone."""
    put(folder, *(f"blues/{n}.wav" for n in "abcef"), *JAZZ)
    shutil.copy(folder / "blues/b.wav", folder / "blues/d.wav")
    rows = "".join(f"blues/{n}.wav,blues,{'one' if n in 'ab' else ''}\n" for n in "abcdef")
    rows += "".join(f"{name},jazz,\n" for name in JAZZ)
    corpus = load(table(folder, "path,genre,recording\n" + rows))
    of = {r.id[6:7]: r.recording for r in corpus.recordings if r.genre == "blues"}
    assert of["a"] == of["b"] == of["d"]
    assert len({of[n] for n in "acef"}) == 4


def test_the_second_time_opens_no_sound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *BLUES, *JAZZ)
    path = table(folder, SIX)
    first = load(path)
    real = Path.open

    def no_audio(file: Path, *options, **named):
        assert file.suffix not in (".wav", ".flac", ".mp3"), "a file of sound was opened"
        return real(file, *options, **named)

    monkeypatch.setattr(Path, "open", no_audio)
    monkeypatch.setattr(Path, "read_bytes", lambda file: os.read(os.open(file, os.O_RDONLY), 10**7))
    second = load(path)
    assert first.recordings == second.recordings


# Errors, with their line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: expected a header with the columns path and genre, got nothing"),
        ("\n\n", "expected a header with the columns path and genre, got nothing"),
        ("a.wav,blues\nb.wav,jazz\n", "line 1: expected a header .*, got a.wav, blues"),
        ("path,artist\na.wav,Ada\n", "line 1: expected a header .*, got path, artist"),
        ("genre\nblues\n", "line 1: expected a header .*, got genre"),
        ("\npath|genre\na.wav|blues\n", r"line 2: expected a header .*, got path\|genre"),
        ("path,genre,Genre\na.wav,x,y\n", "line 1: the column genre occurs twice"),
        ("path,id,genre,ID\na.wav,1,x,2\n", "line 1: the column id occurs twice"),
        (HEADER, "names no file: .*got a header only"),
        (HEADER + ",\n\n", "names no file"),
        (HEADER + "a.wav,blues\nb.wav\n", "line 3: expected 2 fields as in the header, got 1"),
        (HEADER + "a.wav,r, b\n", "line 2: expected 2 fields .*, got 3; .*in double quotes"),
        (HEADER + "\na.wav,blues\n\n,jazz\n", "line 5: the path is empty"),
        (HEADER + "a.wav, \n", "line 2: the genre is empty"),
        (HEADER + '"a.wav,blues\nb.wav,jazz\n', "line 2, is damaged: unexpected end of data"),
        (HEADER + 'a.wav,"blues" x\n', "line 2, is damaged: "),
        (HEADER + f"a.wav,{'x' * 200_000}\n", "line 2, is damaged: field larger"),
        (HEADER + "a.wav,blues\nb\0.wav,jazz\n", "line 3, holds a zero byte"),
        ("path,genre\na.wav,Ñu\n".encode("latin-1"), "line 2, is not text in UTF-8: save"),
        (b"\xef\xbb\xbfpath,genre\na.wav,x\n\xff.wav,y\n", "line 3, is not text in UTF-8"),
        ("path,genre\na.wav,x\n".encode("utf-16"), "line 1, is not text in UTF-8"),
    ],
)
def test_what_is_no_table(folder: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        listed(folder, text)
    refused(folder, text)


def test_a_row_of_several_lines_is_named_by_its_first(folder: Path) -> None:
    text = 'path,genre,title\na.wav,blues,"two\nlines"\n"b\n.wav",,\n'
    assert "line 4: the genre is empty" in refused(folder, text)


@pytest.mark.parametrize("second", ["a.wav", "./a.wav", "sub/../a.wav", "{folder}/a.wav"])
def test_a_path_twice_however_it_is_written(folder: Path, second: str) -> None:
    second = second.format(folder=folder)
    text = f"id,path,genre\n1,a.wav,blues\n2,b.wav,jazz\n3,{second},"
    said = refused(folder, text + "blues\n")
    assert f"has the path '{second}' twice, in lines 2 and 4: keep one" in said
    said = refused(folder, text + "jazz\n")
    assert "contradicts itself" in said
    assert f"the path '{second}' has the genre 'blues' in line 2 and 'jazz' in line 4" in said


def test_an_id_twice(folder: Path) -> None:
    text = "id,path,genre\nx,a.wav,blues\ny,b.wav,blues\nx,c.wav,"
    assert "has the id 'x' twice, in lines 2 and 4: keep one" in refused(folder, text + "blues\n")
    said = refused(folder, text + "jazz\n")
    assert "the id 'x' has the genre 'blues' in line 2 and 'jazz' in line 4" in said


def test_an_id_that_is_the_path_of_another_row(folder: Path) -> None:
    text = "id,path,genre\nb.wav,a.wav,blues\n,b.wav,blues\n"
    assert "has the id 'b.wav' twice, in lines 2 and 3" in refused(folder, text)


def test_a_genre_in_two_spellings(folder: Path) -> None:
    """They would be two classes of the same music; the owner must say which name is right."""
    text = HEADER + "a.wav,Hip Hop\nb.wav,jazz\nc.wav,hip  hop\n"
    assert "one genre in two ways: 'Hip Hop' in line 2 and 'hip hop' in line 4" in refused(
        folder, text
    )


def test_none_of_the_files_is_there(folder: Path) -> None:
    text = HEADER + "music/a.mp3,blues\n/nowhere/b.mp3,jazz\n"
    said = refused(folder, text)
    assert "None of the 2 files" in said
    assert f"relative paths are looked up in '{folder}'" in said
    assert "the first is 'music/a.mp3' (line 2)" in said


def test_a_name_that_is_too_long_is_passed_over(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    corpus = load(table(folder, SIX + f"{'x' * 300}.wav,jazz\n"))
    assert len(corpus) == 6
    assert "too long" in corpus.skipped[0].reason


def test_no_file_can_be_read(folder: Path) -> None:
    names = (*BLUES, *JAZZ)
    put(folder, *names)
    for name in names:
        (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"None of the 6 audio files in '.*mine\.csv' can be used"):
        load(table(folder, SIX))


def test_a_single_genre_is_refused_before_frames_are_computed(folder: Path) -> None:
    put(folder, *BLUES)
    steps: Progress = []
    text = HEADER + "".join(f"{name},blues\n" for name in BLUES)
    with pytest.raises(
        DataError,
        match=r"at least 2 genres .* in '.*mine\.csv' \(a row a file.*, got blues \(3\)\.",
    ):
        load(table(folder, text), steps)
    assert steps == []


def test_no_such_table_and_a_file_that_is_none(folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(UsageError, match=r"Cannot read the table '.*none\.csv': No such file"):
        read_table(folder / "none.csv")
    with pytest.raises(UsageError, match=r"Cannot read the table '.*': Is a directory"):
        read_table(folder)
    (folder / "music.xlsx").touch()
    with pytest.raises(UsageError, match=r"or a table of it \(\.csv, \.tsv\), but .* is a file"):
        load_corpus(folder / "music.xlsx", spec=SPEC, cache=FrameCache(folder), n_jobs=1)


# Artists, and notes of splits


def by_artists(folder: Path, artists: dict[str, str]) -> Corpus:
    """Ten recordings a genre; the letters are their artists, in turn ('-': unknown)."""
    rows = []
    for genre, letters in artists.items():
        for i in range(10):
            put(folder, f"{genre}{i}.wav")
            who = letters[i % len(letters)]
            rows.append(f"{genre}{i}.wav,{genre},{'' if who == '-' else who}\n")
    return load(table(folder, "path,genre,artist\n" + "".join(rows)))


def test_no_artist_is_in_two_parts(folder: Path) -> None:
    corpus = by_artists(folder, {"blues": "abcde", "jazz": "fghia"})
    split = split_corpus(corpus)
    assert (split.name, split.artists, split.notes) == ("holdout", "apart", ())
    side: dict[str | None, str] = {}
    for part in ("train", "valid", "test"):
        for i in corpus.positions(split.folds[0].part(part)):
            assert side.setdefault(corpus.artists[i], part) == part
    assert len(side) == 9


@pytest.mark.parametrize(
    ("artists", "split", "said"),
    [
        (
            {"blues": "a", "jazz": "bcd"},
            "auto",
            "Genre 'blues': expected at least three artists, one for each of train, valid and "
            "test, got 1; all recordings of an artist go to one part; where artists may "
            "overlap, use --split song-holdout.",
        ),
        (
            {"blues": "a", "jazz": "a"},
            "holdout",
            "Genre 'blues': expected at least three artists, one for each of train, valid and "
            "test, got 1; all recordings of an artist go to one part; where artists may "
            "overlap, use --split song-holdout.",
        ),
        (
            {"blues": "abcd", "jazz": "efghi"},
            "artist-folds",
            "Genre 'blues': expected at least 5 artists for the 5 folds of 'artist-folds', got 4; "
            "use --split holdout.",
        ),
        (
            {"blues": "ab", "jazz": "efghi"},
            "artist-folds",
            "Genre 'blues': expected at least 5 artists for the 5 folds of 'artist-folds', got 2; "
            "use --split song-holdout.",
        ),
    ],
)
def test_too_few_artists_and_what_to_do(
    folder: Path, artists: dict[str, str], split: str, said: str
) -> None:
    corpus = by_artists(folder, artists)
    with pytest.raises(DataError) as caught:
        split_corpus(corpus, split)
    assert str(caught.value) == said
    split_corpus(corpus, said.rpartition("--split ")[2].rstrip("."))


def test_unknown_artists_are_told(folder: Path) -> None:
    split = split_corpus(by_artists(folder, {"blues": "abcd-", "jazz": "fghi-"}))
    assert "4 recordings are of unknown artist" in split.notes[0]
    assert "No artist is known" in split_corpus(by_artists(folder, {"x": "-", "y": "-"})).notes[0]


# Several genres


def test_several_genres_of_a_file_stand_in_one_cell(folder: Path) -> None:
    listing = listed(folder, HEADER + "a.wav,jazz; deep  blues\nb.wav,blues\nc.wav,;jazz;jazz;\n")
    assert [(r.id, r.genres) for r in listing.recordings] == [
        ("b.wav", ("blues",)), ("a.wav", ("jazz", "deep blues")), ("c.wav", ("jazz",)),
    ]  # fmt: skip


def test_between_semicolons_the_cell_is_quoted(folder: Path) -> None:
    listing = listed(folder, 'path;genre\na.wav;"jazz;blues"\n')
    assert listing.recordings[0].genres == ("jazz", "blues")
    assert "expected 2 fields" in refused(folder, "path;genre\na.wav;jazz;blues\n")


def test_faults_of_several_genres_are_named_with_their_line(folder: Path) -> None:
    assert "line 2: the genre is ';'" in refused(folder, HEADER + "a.wav,;\n")
    twice = refused(folder, HEADER + "a.wav,pop;Jazz\nb.wav,jazz;blues\n")
    assert "'Jazz' in line 2 and 'jazz' in line 3" in twice
    against = refused(folder, HEADER + "a.wav,jazz;blues\n./a.wav,jazz\n")
    assert "has the genre 'jazz;blues' in line 2 and 'jazz' in line 3" in against


def test_a_genre_counts_in_every_row_that_names_it(folder: Path) -> None:
    """Folk has three recordings, one of them its own; soul has two, and is left out of both."""
    put(folder, *BLUES, *JAZZ)
    genres = ["blues;folk", "blues;soul;folk", "blues", "jazz", "folk;jazz", "jazz;soul"]
    rows = [f"{name},{genre}\n" for name, genre in zip((*BLUES, *JAZZ), genres, strict=True)]
    corpus = load(table(folder, HEADER + "".join(rows)))
    assert corpus.left_out == {"soul": 2}
    assert corpus.genres == ("blues", "folk", "jazz")
    found = {r.id: r.genres for r in corpus.recordings}
    assert found[BLUES[1]] == ("blues", "folk")
    assert found[JAZZ[2]] == ("jazz",)


def test_a_study_refuses_them_before_it_computes_frames(folder: Path, monkeypatch) -> None:
    put(folder, *BLUES, *JAZZ)
    path = table(folder, SIX.replace(f"{JAZZ[0]},jazz", f"{JAZZ[0]},jazz;blues"))
    monkeypatch.setattr("ostinato.datasets.load.each_frames", None)
    with pytest.raises(
        UsageError, match=r"'mine': a study compares .* \(jazz, blues\): ostinato t"
    ):
        load_data(StudyConfig(data=str(path)))
