"""What comes of the files of a library: which are heard, and what would change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mutagen
import numpy as np
import pytest

from ostinato.audio import AudioError
from ostinato.errors import DataError, UsageError
from ostinato.inference.classifier import Classifier
from ostinato.inference.model_file import read_graph
from ostinato.tagging.genre_map import load_map
from ostinato.tagging.library import Library, store_key
from ostinato.tagging.policy import Policy
from ostinato.tagging.store import Store
from tests.helpers.graphs import WEIGHT, toy_bytes
from tests.helpers.sounds import write_tune


def model(weight: np.ndarray = WEIGHT) -> Classifier:
    return Classifier(read_graph(toy_bytes(weight=weight), source="toy.onnx"))


TOY = model()


@pytest.fixture
def music(tmp_path) -> Path:
    """Two albums of three tracks; in each the first has a genre."""
    for number in range(6):
        path = write_tune(
            tmp_path / f"album {number // 3}" / f"{number}.flac", number % 3, number, seconds=2
        )
        tags = mutagen.File(path)
        tags["album"] = f"album {number // 3}"
        if number % 3 == 0:
            tags["genre"] = "Rock"
        tags.save()
    return tmp_path


@pytest.fixture
def seen(tmp_path):
    """Go over files, and give (rows, how many were heard)."""

    def see(*paths: Path, classifier: Classifier = TOY, jobs: int = 2, **options):
        store = Store(tmp_path / "library.sqlite", model=store_key(classifier, thorough=False))
        policy = Policy(**options.pop("policy", {}))
        library = Library(classifier, store, policy=policy, names=load_map(), jobs=jobs, **options)
        rows = list(library.rows(paths))
        store.close()
        return rows, library.n_heard, library.n_other

    return see


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.flac"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_only_files_that_may_change_are_heard_and_rows_keep_the_order(music, seen, jobs):
    rows, n_heard, _ = seen(*files(music), jobs=jobs)
    assert [row.path for row in rows] == files(music)
    assert [row.action for row in rows] == ["keep", "write", "write"] * 2
    assert n_heard == 4
    for row in rows[1:3]:
        alone = TOY.classify(row.path)
        assert row.verdict is not None
        assert row.verdict.ranked == alone.ranked
        assert row.new == load_map().names(alone.named)
    assert rows[0].tags.genres == rows[0].new == ("Rock",)


def test_processes_hear_what_threads_hear(music, seen, tmp_path):
    path = tmp_path / "toy.onnx"
    path.write_bytes(toy_bytes())
    classifier = Classifier.load(path)
    there, n_heard, _ = seen(*files(music), classifier=classifier, backend="processes", model=path)
    assert n_heard == 4
    here, _, _ = seen(*files(music), classifier=Classifier.load(path))
    assert [row.new for row in there] == [row.new for row in here]


def test_nothing_is_heard_twice_by_the_same_model(music, seen):
    first, _, _ = seen(*files(music))
    again, n_heard, _ = seen(*files(music))
    assert n_heard == 0
    assert [row.new for row in again] == [row.new for row in first]
    _, n_heard, _ = seen(*files(music), classifier=model(-WEIGHT))
    assert n_heard == 4


def test_a_file_that_was_moved_or_tagged_anew_is_not_heard_again(music, seen):
    seen(*files(music))
    (music / "new").mkdir()
    moved = shutil.move(music / "album 0" / "1.flac", music / "new" / "one.flac")
    tagged = music / "album 0" / "2.flac"
    tags = mutagen.File(tagged)
    tags["title"] = "Another"
    tags.save(padding=lambda _: 5000)
    rows, n_heard, _ = seen(Path(moved), tagged)
    assert n_heard == 0
    assert rows[1].tags.title == "Another"
    assert all(row.verdict for row in rows)


def test_a_sound_that_changed_is_heard(music, seen):
    path = files(music)[1]
    seen(path)
    write_tune(path, 2, 99, seconds=2)
    assert seen(path)[1] == 1


def test_where_chooses_files_and_the_others_are_counted(music, seen):
    rows, n_heard, n_other = seen(*files(music), policy={"where": "rock", "what": "replace"})
    assert [row.path.name for row in rows] == ["0.flac", "3.flac"]
    assert (n_heard, n_other) == (2, 4)


def test_all_are_heard_if_that_is_asked_for(music, seen):
    rows, n_heard, _ = seen(*files(music), hear_all=True)
    assert n_heard == 6
    assert rows[0].action == "keep"
    assert rows[0].verdict is not None


def test_an_album_has_one_verdict(music, seen):
    rows, n_heard, _ = seen(*files(music), by="album")
    assert n_heard == 6  # the track that has a genre counts as well
    for album in (rows[:3], rows[3:]):
        alone = [dict(TOY.classify(row.path).ranked) for row in album]
        mean = {genre: np.mean([each[genre] for each in alone]) for genre in alone[0]}
        assert album[1].verdict is not None
        assert dict(album[1].verdict.ranked) == pytest.approx(mean)
        assert album[1].new == album[2].new
        assert album[0].action == "keep"
        assert [row.seconds for row in album] == [2, 2, 2]


def test_files_of_a_folder_with_other_albums_are_apart(music, seen):
    for path in files(music):
        shutil.move(path, music / path.name)
    rows, _, _ = seen(*sorted(music.glob("*.flac")), by="album")
    assert rows[1].verdict == rows[2].verdict != rows[4].verdict


def test_a_file_that_cannot_be_used_stops_no_other(music, seen):
    broken = music / "album 0" / "1.flac"
    broken.write_bytes(broken.read_bytes()[:3000])
    empty = music / "album 0" / "empty.mp3"
    empty.touch()
    gone = music / "album 1" / "gone.flac"
    rows, _, _ = seen(*files(music), empty, gone)
    by_name = {row.path.name: row for row in rows}
    assert len(rows) == 8
    assert {name for name, row in by_name.items() if row.action == "error"} == {
        "1.flac",
        "empty.mp3",
        "gone.flac",
    }
    assert by_name["empty.mp3"].why.startswith("it is empty")
    assert "No such file" in by_name["gone.flac"].why
    assert str(music) not in by_name["1.flac"].why


def test_a_damaged_file_is_not_tried_again_until_it_changes(music, seen, monkeypatch):
    broken = files(music)[1]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:3000])
    empty = music / "empty.mp3"
    empty.touch()
    first, _, _ = seen(broken, empty)
    with monkeypatch.context() as patch:
        for name in ("read_tags", "payload_digest"):
            patch.setattr(f"ostinato.tagging.library.{name}", lambda _: pytest.fail("tried again"))
        again, _, _ = seen(broken, empty)
    assert again == first
    assert {row.action for row in first} == {"error"}
    broken.write_bytes(whole)
    assert seen(broken)[0][0].action == "write"


def test_an_error_of_the_model_is_not_kept_as_the_files(music, seen, monkeypatch):
    path = files(music)[1]

    def fails(*_: object, **__: object) -> None:
        raise DataError("expected finite numbers from the graph")

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "classify_file", fails)
        assert seen(path)[0][0].action == "error"
    assert seen(path)[0][0].action == "write"


def test_what_the_system_refuses_is_tried_again(music, seen, monkeypatch):
    path = files(music)[1]

    def refused(_: Path) -> str:
        raise AudioError(str(path), "it cannot be read") from PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr("ostinato.tagging.library.payload_digest", refused)
        assert seen(path)[0][0].why == "it cannot be read"
    assert seen(path)[0][0].action == "write"


def test_a_path_that_is_given_twice_has_one_row(music, seen):
    path = files(music)[0]
    assert len(seen(path, path)[0]) == 1


def test_names_may_be_any_bytes(music, seen):
    name = music / os.fsdecode(b"na\xefve \n.flac")
    shutil.copy(files(music)[1], name)
    assert seen(name)[0][0].action == "write"
    assert seen(name)[1] == 0


def test_by_what_else_is_refused():
    with pytest.raises(UsageError, match="by track or album, got 'artist'"):
        Library(TOY, None, policy=Policy(), names=load_map(), by="artist")
