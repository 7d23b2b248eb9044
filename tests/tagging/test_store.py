"""What is known of a library between runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from ostinato.inference.classifier import Classifier
from ostinato.inference.model_file import read_graph
from ostinato.tagging.store import (
    Known,
    Store,
    StoreError,
    packed,
    state_of,
    unpacked,
    unpacked_tags,
)
from ostinato.tagging.tags import FileTags
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, tune

TAGS = FileTags(kind="MP4", genres=("Rock", "Jazz"), artist="A", album="B", title="C", year=1971)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "cache" / "library.sqlite", model="one")
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp3")  # names are bytes
    path.write_bytes(b"sound")
    return path


@pytest.mark.parametrize("distance", [False, True])
def test_a_verdict_comes_back_as_it_was(distance):
    info = toy_info(threshold=0.2, novelty_threshold=1000.0 if distance else None)
    graph = read_graph(toy_bytes(info, distance=distance), source="toy.onnx")
    for seconds in (4.0, 0.6):  # the second is too short for a verdict
        said = Classifier(graph).classify(
            waveform=tune(1, 0, seconds=seconds), sample_rate_hz=RATE_HZ
        )
        back = unpacked(packed(said), info, model="toy")
        assert back.to_dict() == said.to_dict()
        assert (back.distance, back.genres, back.threshold) == (
            said.distance,
            said.genres,
            said.threshold,
        )


def test_so_does_one_on_silence():
    graph = read_graph(toy_bytes(), source="toy.onnx")
    said = Classifier(graph).classify(waveform=[0.0] * RATE_HZ, sample_rate_hz=RATE_HZ)
    assert unpacked(packed(said), graph.info, model="toy") == said


def test_a_file_is_known_with_its_verdict(store, file):
    graph = read_graph(toy_bytes(), source="toy.onnx")
    said = Classifier(graph).classify(waveform=tune(1, 0), sample_rate_hz=RATE_HZ)
    store.remember(file, state_of(file), TAGS, "digest")
    (known,) = store.of_folder(file.parent).items()
    assert known[0] == os.fsencode(file.name)
    assert known[1]._replace(tags="") == Known(state_of(file), "", "digest", None, "")
    assert unpacked_tags(known[1].tags) == TAGS
    store.remember_verdict("digest", said)
    assert store.of_folder(file.parent)[os.fsencode(file.name)].verdict == packed(said)
    assert store.verdict("digest") == packed(said)
    assert store.verdict("another") is None


def test_another_model_does_not_know_the_verdict(store, file):
    graph = read_graph(toy_bytes(), source="toy.onnx")
    said = Classifier(graph).classify(waveform=tune(1, 0), sample_rate_hz=RATE_HZ)
    store.remember(file, state_of(file), TAGS, "digest")
    store.remember_verdict("digest", said)
    store.commit()
    other = Store(store.path, model="two")
    known = other.of_folder(file.parent)[os.fsencode(file.name)]
    assert (unpacked_tags(known.tags), known.sound, known.verdict) == (TAGS, "digest", None)
    other.close()


def test_a_file_is_forgotten(store, file):
    store.remember(file, state_of(file), TAGS, None)
    store.forget(file)
    assert store.of_folder(file.parent) == {}


def test_its_state_changes_where_size_and_time_do_not(file):
    before = state_of(file)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"SOUND")
    os.utime(file, ns=times)
    assert state_of(file)[:2] == before[:2]
    assert state_of(file) != before


def test_one_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "library.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="of a newer version of Ostinato"):
        Store(path, model="one")


def test_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "library.sqlite"
    path.write_bytes(b"no database at all, " * 100)
    with pytest.raises(StoreError, match="or delete it if it is damaged"):
        Store(path, model="one")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another folder with --cache"):
        Store(tmp_path / "file" / "library.sqlite", model="one")


def test_a_failure_is_kept_for_this_version(store, file, monkeypatch):
    store.remember(file, state_of(file), TAGS, None, "it is damaged")
    assert store.of_folder(file.parent)[os.fsencode(file.name)].failure == "it is damaged"
    monkeypatch.setattr("ostinato.__version__", "99.0")
    assert store.of_folder(file.parent)[os.fsencode(file.name)].failure == ""
