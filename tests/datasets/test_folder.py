"""A folder of audio as a corpus: layouts, GTZAN's ids, skipped files, and errors."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.audio import load_audio
from ostinato.datasets import CacheError, Corpus, FrameCache, load_corpus
from ostinato.datasets.gtzan import tracks
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.features import FeatureSpec, frames

SPEC = FeatureSpec(n_coefficients=5, n_mels=40)
RATE_HZ = SPEC.sample_rate_hz

Progress = list[tuple[int, int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Música"


def put(folder: Path, *names: str) -> None:
    """Write a file of noise for each name; each name has a sound of its own."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(list(name.encode())).uniform(-0.5, 0.5, round(0.6 * RATE_HZ))
        soundfile.write(path, noise, RATE_HZ)
        os.utime(path, ns=(10**18, 10**18))  # old enough for the cache to believe its date


def load(folder: Path, *, n_jobs: int = 1, progress: Progress | None = None) -> Corpus:
    return load_corpus(
        folder,
        spec=SPEC,
        cache=FrameCache(folder.parent / "cache"),
        n_jobs=n_jobs,
        progress=None if progress is None else lambda *step: progress.append(step),
    )


def refused(folder: Path, kind: type[OstinatoError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        load(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert folder.name in text
    return text


BLUES = ("blues/a.wav", "blues/b.flac", "blues/c.aiff")
JAZZ = ("jazz/a.wav", "jazz/b.flac", "jazz/c.au")


# Layouts


def test_a_folder_per_genre(folder: Path) -> None:
    put(folder, *JAZZ, *BLUES)
    corpus = load(folder)
    assert corpus.ids == (*BLUES, *JAZZ)
    assert corpus.genres == ("blues", "jazz")
    assert corpus.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert corpus.artists == (None,) * 6
    assert corpus.name == "Música"
    assert corpus.source == str(folder)
    assert corpus.spec == SPEC
    assert corpus.skipped == ()
    assert corpus.left_out == {}
    for recording, of_it in zip(corpus.recordings, corpus.frames, strict=True):
        assert recording.path is not None
        np.testing.assert_array_equal(of_it, frames(load_audio(recording.path), SPEC))


def test_the_first_folder_is_the_genre_however_deep_a_file_lies(folder: Path) -> None:
    put(folder, "rock/x/y/z.wav", "rock/x/a.wav", "rock/b.wav", *JAZZ)
    assert [r.genre for r in load(folder).recordings] == ["jazz"] * 3 + ["rock"] * 3


@pytest.mark.parametrize("wrapping", ["genres", "Data/genres_original"])
def test_a_single_folder_around_the_genres_is_looked_through(folder: Path, wrapping: str) -> None:
    put(folder / wrapping, *BLUES, *JAZZ)
    (folder / "Data").mkdir(exist_ok=True)
    (folder / "Data" / "features.csv").write_text("a table beside the sound")
    corpus = load(folder)
    assert corpus.genres == ("blues", "jazz")
    assert corpus.ids[0] == f"{wrapping}/blues/a.wav"


def test_flat_the_genre_stands_before_the_first_dot(folder: Path) -> None:
    names = [f"{g}.{x}.wav" for g in ("blues", "Nu Jazz") for x in ("00000", "b.c", "some name")]
    put(folder, *names)
    corpus = load(folder)
    assert corpus.genres == ("Nu Jazz", "blues")
    assert sorted(corpus.ids) == sorted(names)


def test_flat_a_name_without_a_genre_is_passed_over(folder: Path) -> None:
    put(folder, *(f"{g}.{i}.wav" for g in ("blues", "jazz") for i in range(3)), "song.wav")
    (skipped,) = load(folder).skipped
    assert skipped.id == "song.wav"
    assert "GENRE.NAME" in skipped.reason


def test_both_layouts_at_once_are_an_error(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ, "rock.00000.wav", "rock.00001.wav")
    text = refused(folder)
    assert "blues" in text
    assert "2 loose files" in text
    assert "rock.00000.wav" in text


def test_two_genres_of_three_are_enough(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    assert len(load(folder)) == 6


def test_what_is_not_audio_is_ignored(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ, "__MACOSX/rock/a.wav", ".trash/pop/a.wav", "blues/.hidden.wav")
    for name in ("blues/._a.wav", "blues/Thumbs.db", "jazz/cover.jpg", "README", "playlist.m3u"):
        (folder / name).write_text("not audio")
    corpus = load(folder)
    assert corpus.ids == (*BLUES, *JAZZ)
    assert corpus.skipped == ()


def test_suffixes_may_be_in_capitals(folder: Path) -> None:
    put(folder, *BLUES, "jazz/a.WAV", "jazz/b.Flac", "jazz/c.wav")
    assert len(load(folder)) == 6


def test_any_name_will_do(folder: Path) -> None:
    genres = ("Ñu metal", "音楽", "r&b 'n' \"soul\"")
    put(folder, *(f"{genre}/Füße {i} 🎵.wav" for genre in genres for i in range(3)))
    corpus = load(folder, n_jobs=2)
    assert corpus.genres == tuple(sorted(genres))
    assert "音楽/Füße 0 🎵.wav" in corpus.ids
    assert len(load(folder)) == 9  # from the cache


@pytest.mark.skipif(os.name == "nt", reason="names are always Unicode here")
def test_a_name_that_is_not_utf8_has_an_id_that_can_be_written(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    try:
        (folder / "jazz/a.wav").rename(folder / os.fsdecode(b"jazz/\xff.wav"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert r"jazz/\udcff.wav" in load(folder).ids


def test_links_are_followed_and_loops_end(folder: Path) -> None:
    put(folder, *BLUES, "jazz/a.wav", "jazz/b.wav")
    put(folder.parent / "elsewhere", "c.wav")
    (folder / "jazz/more").symlink_to(folder.parent / "elsewhere", target_is_directory=True)
    (folder / "jazz/up").symlink_to(folder, target_is_directory=True)
    (folder / "blues/self").symlink_to(".", target_is_directory=True)
    assert load(folder).ids == (*BLUES, "jazz/a.wav", "jazz/b.wav", "jazz/more/c.wav")


# GTZAN


GTZAN_IDS = tuple(f"{g}.{i:05d}" for g in ("blues", "metal") for i in (5, 11, 61))


@pytest.mark.parametrize("pattern", ["{id}.wav", "{genre}/{id}.au", "genres/{genre}/{id}.flac"])
def test_gtzan_is_known_by_its_ids(folder: Path, pattern: str) -> None:
    put(folder, *(pattern.format(id=i, genre=i.split(".")[0]) for i in GTZAN_IDS))
    corpus = load(folder)
    assert corpus.name == "gtzan"
    assert corpus.ids == GTZAN_IDS
    table = {track.id: track for track in tracks()}
    for recording in corpus.recordings:
        track = table[recording.id]
        assert (recording.artist, recording.title) == (track.artist, track.title)
        assert (recording.recording, recording.faults) == (track.recording, track.faults)
    assert corpus.artists[0] == "John Lee Hooker"


@pytest.mark.parametrize("stranger", ["blues.00100.wav", "blues.x.wav", "polka.00000.wav"])
def test_one_other_file_makes_it_a_collection_like_any_other(folder: Path, stranger: str) -> None:
    put(folder, *(f"{i}.wav" for i in GTZAN_IDS), stranger)
    corpus = load(folder)
    assert corpus.name == "Música"
    assert "blues.00005.wav" in corpus.ids
    assert set(corpus.artists) == {None}


def test_a_gtzan_track_in_another_genres_folder_makes_it_another_collection(folder: Path) -> None:
    # Somebody has labelled it anew: the table's genres would not be theirs.
    put(
        folder,
        *(f"mine/{i}.wav" for i in GTZAN_IDS[:3]),
        *(f"yours/{i}.wav" for i in GTZAN_IDS[3:]),
    )
    assert load(folder).genres == ("mine", "yours")


def test_a_gtzan_track_in_two_formats_is_an_error_that_names_both(folder: Path) -> None:
    put(folder, *(f"{i}.wav" for i in GTZAN_IDS), "blues.00005.flac")
    text = refused(folder)
    assert "'blues.00005.flac'" in text
    assert "'blues.00005.wav'" in text


def test_the_unreadable_track_of_gtzan_is_named_and_passed_over(folder: Path) -> None:
    names = [f"jazz/jazz.{i:05d}.wav" for i in range(51, 55)]
    put(folder, *names, *(f"blues/{i}.wav" for i in GTZAN_IDS[:3]))
    (folder / "jazz/jazz.00054.wav").write_bytes(b"not a sound at all" * 1000)
    corpus = load(folder)
    assert corpus.name == "gtzan"
    assert "jazz.00054" not in corpus.ids
    (skipped,) = corpus.skipped
    assert skipped.id == "jazz.00054"
    assert str(folder) not in skipped.reason


# The same sound twice


def recordings(corpus: Corpus) -> dict[str, str]:
    return {r.id: r.recording for r in corpus.recordings}


def test_files_with_the_same_bytes_are_one_recording(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    shutil.copy(folder / "blues/a.wav", folder / "jazz/copy.wav")
    shutil.copy(folder / "blues/a.wav", folder / "blues/copy.wav")
    found = recordings(load(folder))
    assert found["blues/a.wav"] == found["blues/copy.wav"] == found["jazz/copy.wav"]
    assert len(set(found.values())) == 6


def test_one_name_in_two_formats_is_one_recording(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ, "blues/a.ogg", "blues/other/a.wav")
    found = recordings(load(folder))
    assert found["blues/a.wav"] == found["blues/a.ogg"]
    assert found["blues/other/a.wav"] != found["blues/a.wav"]
    assert found["jazz/a.wav"] != found["blues/a.wav"]


def test_a_chain_of_copies_is_one_recording(folder: Path) -> None:
    # z.wav is the same bytes as a.wav, and z.flac is z.wav in another format.
    put(folder, *BLUES, *JAZZ, "blues/z.flac")
    shutil.copy(folder / "blues/a.wav", folder / "blues/z.wav")
    found = recordings(load(folder))
    assert found["blues/a.wav"] == found["blues/z.wav"] == found["blues/z.flac"]


def test_replicas_of_gtzan_stay_one_recording_and_copies_join_them(folder: Path) -> None:
    replica = next(t for t in tracks() if t.recording != t.id and t.genre == "metal")
    ids = sorted({replica.id, replica.recording, *GTZAN_IDS, "metal.00097"})
    put(folder, *(f"{i}.wav" for i in ids))
    shutil.copy(folder / f"{replica.id}.wav", folder / "metal.00097.wav")
    found = recordings(load(folder))
    assert found[replica.id] == found[replica.recording] == found["metal.00097"]


def test_copies_do_not_make_a_genre_large_enough(folder: Path) -> None:
    # A split could test it only on the sound that it was trained on.
    put(folder, *BLUES, *JAZZ, "pop/a.wav")
    for name in ("b", "c", "d"):
        shutil.copy(folder / "pop/a.wav", folder / f"pop/{name}.wav")
    assert load(folder).left_out == {"pop": 1}


# Files that are skipped, and folders that cannot be used


def test_an_unreadable_file_is_named_with_the_reason_and_passed_over(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    (folder / "jazz/broken.mp3").write_text("text renamed")
    (folder / "blues/dangling.wav").symlink_to("nowhere.wav")
    corpus = load(folder, n_jobs=2)
    assert corpus.ids == (*BLUES, *JAZZ)
    assert [s.id for s in corpus.skipped] == ["blues/dangling.wav", "jazz/broken.mp3"]
    for skipped in corpus.skipped:
        assert skipped.reason.endswith(".")
        assert str(folder) not in skipped.reason


def test_channels_that_cancel_are_heard_from_one_and_counted(folder: Path) -> None:
    """The second time, too, when the frames are those of the cache."""
    put(folder, *BLUES, *JAZZ)
    expected = load(folder).frames
    for name in ("blues/a.wav", "jazz/b.flac"):
        left, _ = soundfile.read(folder / name)
        soundfile.write(folder / name, np.stack([left, -left], axis=1), RATE_HZ)
    for _ in range(2):
        corpus = load(folder)
        (note,) = corpus.notes
        assert note.startswith("2 recordings were heard from one channel where")
        assert corpus.skipped == ()
        for one, other in zip(corpus.frames, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_small_genre_is_named_and_left_out(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ, "pop/a.wav", "pop/b.wav", "rock/a.wav")
    (folder / "pop/c.wav").write_text("unreadable: pop has two left")
    put(folder, "ska/a.wav")
    (folder / "ska/a.wav").write_bytes(b"")
    corpus = load(folder)
    assert corpus.left_out == {"pop": 2, "rock": 1, "ska": 0}
    assert corpus.genres == ("blues", "jazz")
    assert len(corpus.frames) == 6


def test_one_genre_is_not_enough_and_the_error_tells_what_was_found(folder: Path) -> None:
    put(folder, *BLUES, "jazz/a.wav", "pop/a.wav", "pop/b.wav")
    text = refused(folder)
    assert "at least 2 genres" in text
    assert "blues (3), jazz (1), pop (2)" in text


def test_too_few_recordings_are_refused_before_frames_are_computed(folder: Path) -> None:
    put(folder, *BLUES, "blues/d.wav", "jazz/a.wav", "jazz/b.wav")
    steps: Progress = []
    with pytest.raises(DataError, match=r"blues \(4\), jazz \(2\)"):
        load(folder, progress=steps)
    assert steps == []
    assert not (folder.parent / "cache").exists()


def test_the_error_counts_what_it_does_not_name(folder: Path) -> None:
    put(folder, *(f"{i:02d}. Song.wav" for i in range(20)))
    assert "11 (1) and 8 more." in refused(folder)


def test_a_collection_of_unreadable_files(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    for path in folder.rglob("*.*"):
        path.write_bytes(b"")
    text = refused(folder)
    assert "None of the 6 audio files" in text
    assert "'blues/a.wav': it" in text


def test_an_empty_directory(folder: Path) -> None:
    folder.mkdir()
    text = refused(folder)
    assert "No audio" in text
    assert "got no files" in text


def test_a_directory_without_audio(folder: Path) -> None:
    (folder / "blues").mkdir(parents=True)
    for name in ("notes.txt", "blues/cover.jpg", "blues/.hidden.wav"):
        (folder / name).touch()
    assert "got 1 .jpg, 1 .txt." in refused(folder)


def test_a_directory_of_songs_without_genres(folder: Path) -> None:
    put(folder, "one song.wav", "another song.wav")
    assert "No genres" in refused(folder)


def test_a_folder_that_is_not_there_is_a_wrong_call(folder: Path) -> None:
    assert "does not exist" in refused(folder, UsageError)
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    assert "is a file" in refused(folder, UsageError)


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *BLUES, *JAZZ, "rock/a.wav")
    scandir = os.scandir
    closed: list[Path] = [folder / "rock"]

    def guarded(path: str) -> object:
        if Path(path) in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    (skipped,) = load(folder).skipped
    assert (skipped.id, skipped.reason) == (
        "rock",
        "The folder cannot be listed: Permission denied.",
    )
    closed.append(folder)
    assert "cannot be listed: Permission denied" in refused(folder)


def test_no_jobs_is_a_wrong_call(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    with pytest.raises(UsageError, match="at least 1 job"):
        load(folder, n_jobs=0)


def test_a_cache_that_cannot_be_written(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)
    (folder.parent / "cache").write_text("a file where the cache should be")
    with pytest.raises(CacheError, match="--cache DIR"):
        load(folder)


# Progress, cache, interruption


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_counts_every_file_once(folder: Path, n_jobs: int) -> None:
    put(folder, *BLUES, *JAZZ)
    (folder / "jazz/broken.mp3").write_text("text renamed")
    for _ in ("computed", "from the cache"):
        steps: Progress = []
        load(folder, n_jobs=n_jobs, progress=steps)
        assert [done for done, _, _ in steps] == [1, 2, 3, 4, 5, 6, 7]
        assert {total for _, total, _ in steps} == {7}
        assert sorted(name for _, _, name in steps) == sorted((*BLUES, *JAZZ, "jazz/broken.mp3"))


def test_the_second_time_is_the_same_and_opens_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, *BLUES, *JAZZ)
    first = load(folder)
    real = Path.open

    def no_audio(file: Path, *options, **named):
        assert folder not in file.parents, "a file of sound was opened"
        return real(file, *options, **named)

    monkeypatch.setattr(Path, "open", no_audio)
    monkeypatch.setattr(Path, "read_bytes", lambda path: _read(path))
    second = load(folder)
    assert first.recordings == second.recordings
    for a, b in zip(first.frames, second.frames, strict=True):
        np.testing.assert_array_equal(a, b)


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - Path.open is what is being watched
        return file.read()


def test_an_interrupted_run_is_resumed(folder: Path) -> None:
    put(folder, *BLUES, *JAZZ)

    def interrupt(done: int, total: int, name: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    cache = FrameCache(folder.parent / "cache")
    with pytest.raises(KeyboardInterrupt):
        load_corpus(folder, spec=SPEC, cache=cache, n_jobs=1, progress=interrupt)
    before = {p: p.stat().st_mtime_ns for p in cache.folder.rglob("*.npy")}
    assert len(before) == 4
    assert len(load(folder)) == 6
    after = {p: p.stat().st_mtime_ns for p in cache.folder.rglob("*.npy")}
    assert len(after) == 6
    assert before.items() <= after.items()  # the four were not computed again


# Real sound


def test_real_gtzan_excerpts(shared_data: Path, folder: Path) -> None:
    excerpts = sorted((shared_data / "gtzan/audio/excerpts").glob("*.flac"))
    chosen = [p for genre in by_genre(excerpts) for p in genre[:3]]
    assert len(chosen) == 30
    folder.mkdir()
    for path in chosen:
        (folder / path.name).symlink_to(path)
    corpus = load(folder, n_jobs=2)
    assert corpus.name == "gtzan"
    assert corpus.ids == tuple(p.stem for p in chosen)
    assert len(corpus.genres) == 10
    assert corpus.skipped == ()
    assert all(np.isfinite(of_it).all() and len(of_it) > 20 for of_it in corpus.frames)


def by_genre(paths: list[Path]) -> list[list[Path]]:
    genres: dict[str, list[Path]] = {}
    for path in paths:
        genres.setdefault(path.name.split(".")[0], []).append(path)
    return list(genres.values())


def test_a_relative_folder_is_found_after_the_working_folder_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """joblib uses its processes again, and they stay in the folder that they were started in."""
    names = [f"{genre}/{i}.wav" for genre in ("drone", "hiss") for i in range(3)]
    for place in ("one", "two"):
        put(tmp_path / place / "music", *names)
        monkeypatch.chdir(tmp_path / place)
        corpus = load_corpus(
            Path("music"), spec=FeatureSpec(), cache=FrameCache(Path("cache")), n_jobs=2
        )
        assert len(corpus) == 6
        assert corpus.skipped == ()
