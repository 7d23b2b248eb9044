"""The plugin in a real library of beets: from import to query, to files, and back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mutagen
import numpy as np
import pytest

from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.programs import run as run_program
from tests.helpers.sounds import write_tune

pytest.importorskip("beets")

import beets.plugins
import beets.ui
from beets.autotag import AlbumInfo, TrackInfo
from beets.util import cached_classproperty

JAZZ, ROCK, NEITHER = 0, 2, 4
"""Kinds of tunes: what the model below says of them."""


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A model of three genres, which is sure of two kinds of tunes and not of a third."""
    path = tmp_path_factory.mktemp("beets") / "tunes.onnx"
    weight = np.array([[0, 0, 0], [0, 0, 0.8], [0, 0.8, -0.4], [0, 0.8, -0.4]], np.float32)
    path.write_bytes(
        toy_bytes(toy_info(name="tunes", temperature=1.0, threshold=0.65), weight=weight)
    )
    return path


class Beet:
    """The command ``beet`` with a configuration and a library of its own, in this process."""

    def __init__(self, folder: Path, model: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self.model, self.capture = folder, model, capture
        self.configure()

    def configure(self, *, write: bool = True, **ours: object) -> None:
        settings = {
            "directory": str(self.folder / "library"),
            "library": str(self.folder / "library.db"),
            "plugins": ["ostinato"],
            "import": {"copy": True, "write": write, "autotag": False},
            "paths": {"default": "$album/$title", "singleton": "single/$title"},
            "ui": {"color": False},
            "create_backup_before_migrations": False,
            "ostinato": {"model": str(self.model)} | ours,
        }
        text = json.dumps(settings, default=str)  # JSON is YAML
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    def __call__(self, *arguments: str | Path, fails: bool = False) -> str:
        """What it prints, on stdout and stderr."""
        forget()
        self.capture.readouterr()
        try:
            beets.ui.main([str(a) for a in arguments])
            failed = False
        except SystemExit:
            failed = True
        said = "".join(self.capture.readouterr())
        assert failed == fails, said
        return said

    def lines(self, *arguments: str) -> list[str]:
        return self(*arguments).splitlines()

    def file(self, name: str) -> mutagen.FileType:
        """The tags of a file in the library, by another reader than the plugin's."""
        return mutagen.File(self.folder / "library" / name)


def forget() -> None:
    """What beets keeps of an earlier call, for a process has one."""
    beets.config.clear()
    beets.config._materialized = False  # else older ones do not read it again
    beets.plugins._instances.clear()
    beets.plugins.BeetsPlugin.listeners.clear()
    beets.plugins.BeetsPlugin._raw_listeners.clear()
    cached_classproperty.cache.clear()
    logging.getLogger("beets").handlers.clear()


@pytest.fixture
def beet(tmp_path, monkeypatch, capsys, model) -> Iterator[Beet]:
    folder = tmp_path / "beets"
    folder.mkdir()
    monkeypatch.setenv("BEETSDIR", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    yield Beet(folder, model, capsys)
    forget()


def album(folder: Path, kinds: dict[str, int], *, name: str = "One", **tags: str) -> Path:
    """A folder of an album's tracks, each of 4 s."""
    for n, (title, kind) in enumerate(kinds.items(), start=1):
        path = folder / name / f"{title}.flac"
        write_tune(
            path, kind, n, title=title, album=name, artist="Band", tracknumber=str(n), **tags
        )
    return folder / name


@pytest.fixture
def identified(monkeypatch) -> Callable[..., None]:
    """Have beets know an album, as if MusicBrainz had been asked."""

    def known(*, artist: str, album: str, titles: Sequence[str]) -> None:
        tracks = [
            TrackInfo(title=title, track_id=title, artist=artist, length=4.0, index=n)
            for n, title in enumerate(titles, start=1)
        ]
        found = AlbumInfo(artist=artist, album=album, album_id="1", artist_id="1", tracks=tracks)
        monkeypatch.setattr("beets.metadata_plugins.candidates", lambda *_, **__: [found])

    return known


class TestImport:
    def test_an_album_gets_one_genre(self, beet, tmp_path) -> None:
        """The mean over its tracks: the one of which the model is unsure gets it as well."""
        beet("import", album(tmp_path, {"a": JAZZ, "b": JAZZ, "c": NEITHER}))
        assert beet.lines("ls", "genres:Jazz", "-f", "$title: $genres") == [
            "a: Jazz", "b: Jazz", "c: Jazz",
        ]  # fmt: skip
        assert beet.lines("ls", "-a", "genres:Jazz", "-f", "$album") == ["One"]

    @pytest.mark.parametrize("write", [True, False])
    def test_files_are_written_if_beets_writes_theirs(self, beet, tmp_path, identified, write):
        beet.configure(write=write)
        given = album(tmp_path, {"a": JAZZ, "b": JAZZ})
        before = {path: path.read_bytes() for path in given.iterdir()}
        identified(artist="Band", album="One", titles=("a", "b"))
        beet("import", "-q", "--autotag", given)
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: Jazz", "b: Jazz"]
        tags = beet.file("One/a.flac")
        assert tags.get("genre") == (["Jazz"] if write else None)
        assert tags["artist"] == ["Band"]
        assert {path: path.read_bytes() for path in given.iterdir()} == before

    def test_what_is_imported_as_it_is_is_written_by_beets_later(self, beet, tmp_path) -> None:
        """Beets writes no tags where none were looked up: neither does the plugin."""
        beet("import", album(tmp_path, {"a": JAZZ}))
        assert "genre" not in beet.file("One/a.flac")
        beet("write")
        assert beet.file("One/a.flac")["genre"] == ["Jazz"]

    def test_by_track_each_has_its_own(self, beet, tmp_path) -> None:
        beet.configure(by="track")
        beet("import", album(tmp_path, {"a": JAZZ, "b": ROCK, "c": NEITHER}))
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: Jazz", "b: Rock", "c: "]

    def test_a_single_track_has_its_own(self, beet, tmp_path) -> None:
        beet("import", "-s", album(tmp_path, {"a": JAZZ, "b": ROCK}))
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: Jazz", "b: Rock"]

    def test_a_genre_that_is_there_stays(self, beet, tmp_path) -> None:
        beet("import", album(tmp_path, {"a": JAZZ}, genre="Polka"))
        assert beet.lines("ls", "-f", "$genres") == ["Polka"]

    def test_nothing_is_heard_unless_auto(self, beet, tmp_path) -> None:
        beet.configure(auto=False, model=tmp_path / "none.onnx")
        beet("import", album(tmp_path, {"a": JAZZ}))
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: "]

    def test_a_wrong_model_ends_it_before_anything_is_imported(self, beet, tmp_path) -> None:
        beet.configure(model=tmp_path / "none.onnx")
        said = beet("import", album(tmp_path, {"a": JAZZ}), fails=True)
        assert "none.onnx" in said
        assert "Traceback" not in said
        beet.configure()
        assert beet("ls") == ""

    def test_a_file_that_cannot_be_heard_is_named_and_the_others_get_their_genre(
        self, beet, tmp_path
    ) -> None:
        folder = album(tmp_path, {"a": JAZZ, "b": JAZZ})
        broken = folder / "b.flac"
        broken.write_bytes(broken.read_bytes()[:2000])  # tags, and hardly any sound
        said = beet("import", folder)
        assert "b.flac" in said
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: Jazz", "b: "]
        assert "b.flac" in beet("ostinato", "-A")
        assert beet.lines("ls", "-f", "$title: $genres") == ["a: Jazz", "b: "]


@pytest.fixture
def filled(beet, tmp_path) -> Beet:
    """Two albums that were imported without genres, one with, and a track without an album."""
    beet.configure(auto=False)
    beet("import", album(tmp_path, {"a": JAZZ, "b": JAZZ}))
    beet("import", album(tmp_path, {"c": NEITHER}, name="Two"))
    beet("import", album(tmp_path, {"d": ROCK}, name="Three", genre="Polka"))
    beet("import", "-s", album(tmp_path, {"e": ROCK}, name="Four"))
    return beet


GENRES = ("ls", "-f", "$title: $genres", "title+")


class TestCommand:
    def test_names_what_a_query_matches(self, filled) -> None:
        said = filled("ostinato", "album:One")
        assert "Band - One - a\n  genres:\n    + Jazz\n" in said
        assert filled.lines(*GENRES) == ["a: Jazz", "b: Jazz", "c: ", "d: Polka", "e: "]
        assert filled.file("One/a.flac")["genre"] == ["Jazz"]

    def test_without_a_query_it_is_the_whole_library(self, filled) -> None:
        said = filled("ostinato")
        assert "Two: no genre: no genre is likely enough" in said
        assert filled.lines(*GENRES) == ["a: Jazz", "b: Jazz", "c: ", "d: Polka", "e: Rock"]
        assert filled.file("single/e.flac")["genre"] == ["Rock"]

    def test_pretending_changes_nothing(self, filled) -> None:
        files = {p: p.read_bytes() for p in (filled.folder / "library").rglob("*.flac")}
        said = filled("ostinato", "-p", "-f")
        assert "- Polka\n    + Rock\n" in said
        assert filled.lines(*GENRES) == ["a: ", "b: ", "c: ", "d: Polka", "e: "]
        assert {p: p.read_bytes() for p in files} == files
        assert len(files) == 5

    def test_force_replaces_and_the_policy_add_adds(self, filled) -> None:
        filled.configure(policy="add")
        filled("ostinato", "album:Three")
        assert filled.lines("ls", "-f", "$genres", "title:d") == ["Polka; Rock"]
        assert filled.file("Three/d.flac")["genre"] == ["Polka", "Rock"]
        filled.configure()
        filled("ostinato", "-f", "album:Three")
        assert filled.lines("ls", "-f", "$genres", "title:d") == ["Rock"]

    def test_items_are_matched_by_themselves(self, filled) -> None:
        filled("ostinato", "-A", "title:a")
        assert filled.lines(*GENRES)[:2] == ["a: Jazz", "b: "]

    def test_tracks_of_no_album_are_no_album(self, beet, tmp_path) -> None:
        """Beets takes a folder of tracks without tags for an album without a title."""
        beet.configure(auto=False)
        folder = tmp_path / "some"
        for kind in (JAZZ, ROCK, NEITHER):
            write_tune(folder / f"{kind}.flac", kind, 1)
        beet("import", folder)
        said = beet("ostinato")
        assert sorted(beet.lines("ls", "-f", "$genres")) == ["", "Jazz", "Rock"]
        assert re.search(r"\S+\.flac: no genre: no genre is likely enough", said)

    def test_files_are_left_alone_where_it_is_asked_for(self, filled) -> None:
        filled("ostinato", "-W", "album:One")
        assert filled.lines(*GENRES)[:2] == ["a: Jazz", "b: Jazz"]
        assert "genre" not in filled.file("One/a.flac")

    def test_says_how_likely_and_by_which_model(self, filled) -> None:
        filled("ostinato", "title:e", "-A")
        form = "$ostinato_model $ostinato_probability"
        name, probability = filled("ls", "-f", form, "title:e").split()
        assert name == "tunes"
        assert 0.65 <= float(probability) <= 1
        assert filled.lines("ls", "-f", "$title", "ostinato_probability:0.8..") == ["e"]

    def test_threshold_and_map(self, filled, tmp_path) -> None:
        names = tmp_path / "names.toml"
        names.write_text('[genres]\njazz = "Swing"\nrock = ""\n', encoding="utf-8")
        filled.configure(map=names)
        said = filled("ostinato")
        assert "the genre map leaves out rock" in said
        assert filled.lines(*GENRES) == ["a: Swing", "b: Swing", "c: ", "d: Polka", "e: "]
        filled.configure(threshold=1)
        assert "jazz is 9" in filled("ostinato", "-f")
        assert filled.lines(*GENRES)[0] == "a: Swing"

    def test_what_has_a_genre_is_not_heard(self, filled, monkeypatch) -> None:
        """A library is done in a moment where there is nothing to do."""
        filled("ostinato", "album:One")
        from ostinato.inference.classifier import Classifier

        monkeypatch.setattr(Classifier, "classify", None)
        filled("ostinato", "album:One")
        assert filled.lines(*GENRES)[0] == "a: Jazz"


class TestUndo:
    def test_brings_back_the_genres_from_before(self, filled) -> None:
        filled("ostinato", "-f")
        assert filled.lines(*GENRES) == ["a: Jazz", "b: Jazz", "c: ", "d: Rock", "e: Rock"]
        filled("ostinato", "--undo")
        assert filled.lines(*GENRES) == ["a: ", "b: ", "c: ", "d: Polka", "e: "]
        assert filled.lines("ls", "-a", "-f", "$album: $genres", "album+") == [
            "One: ", "Three: Polka", "Two: ",
        ]  # fmt: skip
        assert "genre" not in filled.file("One/a.flac")
        assert filled.file("Three/d.flac")["genre"] == ["Polka"]
        assert filled("ls", "ostinato_model::.") == filled("ls", "-a", "ostinato_model::.") == ""

    def test_after_two_changes_it_goes_back_to_the_first(self, filled) -> None:
        filled.configure(policy="add")
        filled("ostinato", "album:Three")
        filled.configure()
        filled("ostinato", "-f", "album:Three")
        filled("ostinato", "-u")
        assert filled.lines("ls", "-f", "$genres", "title:d") == ["Polka"]

    def test_what_was_changed_since_is_left_and_told(self, filled) -> None:
        filled("ostinato")
        filled("modify", "-y", "title:a", "genres=Waltz")
        said = filled("ostinato", "-u")
        assert "a: its genres were changed since, and are left" in said.replace("One - ", "")
        assert filled.lines(*GENRES)[:2] == ["a: Waltz", "b: "]

    def test_pretending_it_changes_nothing(self, filled) -> None:
        filled("ostinato", "album:One")
        assert "- Jazz\n" in filled("ostinato", "-p", "-u")
        assert filled.lines(*GENRES)[:2] == ["a: Jazz", "b: Jazz"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"policy": "some"}, "ostinato.policy"),
        ({"threshold": "high"}, "ostinato.threshold"),
        ({"threshold": 1.5}, "probability from 0 to 1, got 1.5"),
        ({"top": 0}, "at least 1 genre"),
        ({"by": "artist"}, "ostinato.by"),
        ({"force": "perhaps"}, "ostinato.force"),
        ({"model": "nobody"}, "nobody"),
        ({"map": "/nowhere.toml"}, "nowhere.toml"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_wrong_setting_is_one_sentence(beet, tmp_path, settings, told) -> None:
    """Before anything is imported."""
    beet.configure(**settings)
    said = beet("import", tmp_path, fails=True)
    assert told in said
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_a_wrong_setting_ends_the_command_too(beet) -> None:
    beet.configure(policy="some")
    assert "ostinato.policy" in beet("ostinato", fails=True)


def test_beets_of_old_keep_one_text(filled, monkeypatch, tmp_path) -> None:
    """There the field is ``genre``; here it can be one of a user's own."""
    monkeypatch.setattr("beetsplug.ostinato.FIELD", "genre")
    names = tmp_path / "names.toml"
    names.write_text('[genres]\nrock = "Beat"\n', encoding="utf-8")
    for settings, genre in (({"map": names}, "Beat"), ({"policy": "add"}, "Beat, Rock")):
        filled.configure(**settings)
        filled("ostinato", "-A", "title:d")
        assert filled.lines("ls", "-f", "$genre", "title:d") == [genre]
    filled("ostinato", "-A", "-u")
    assert filled.lines("ls", "-f", "[$genre] $genres", "title:d") == ["[] Polka"]


def test_nothing_that_listens_is_loaded_with_the_plugin() -> None:
    program = """
import sys
import beetsplug.ostinato
print(*(name for name in ("onnxruntime", "torch", "av", "soundfile") if name in sys.modules))
"""
    assert run_program(program).split() == []
