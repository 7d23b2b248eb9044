"""The user's default model: who chooses it, who follows, what is said where it cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

import ostinato
from ostinato.errors import DataError, UsageError
from ostinato.inference.classifier import Classifier
from ostinato.inference.default_model import BACK, choose, chosen
from ostinato.storage import WriteError
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, music


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Path:
    """A settings file that is not there yet."""
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "settings"))
    return tmp_path / "settings" / "settings.json"


@pytest.fixture
def mine(tmp_path) -> str:
    """The path of a model that names itself."""
    (tmp_path / "mine.onnx").write_bytes(toy_bytes(toy_info(name="mine")))
    return str(tmp_path / "mine.onnx")


@pytest.fixture
def other(tmp_path) -> str:
    (tmp_path / "other.onnx").write_bytes(toy_bytes(toy_info(name="other")))
    return str(tmp_path / "other.onnx")


@pytest.fixture
def song(tmp_path) -> Path:
    soundfile.write(tmp_path / "song.wav", music(0, 3), RATE_HZ)
    return tmp_path / "song.wav"


def test_a_name_wins_over_the_variable_and_the_variable_over_the_file(
    settings, mine, other, monkeypatch
) -> None:
    assert chosen() == ("default", "")
    assert Classifier.load().name == "default"
    choose(mine)
    assert chosen() == (mine, str(settings))
    assert Classifier.load().name == "mine"
    monkeypatch.setenv("OSTINATO_MODEL", other)
    assert chosen() == (other, "OSTINATO_MODEL")
    assert Classifier.load().name == "other"
    assert Classifier.load("default").name == "default"
    monkeypatch.setenv("OSTINATO_MODEL", "")
    assert Classifier.load().name == "mine"
    assert choose("default") is None
    assert not settings.exists()
    assert Classifier.load().name == "default"


def test_every_way_to_a_verdict_follows_it(call, settings, mine, other, song, monkeypatch) -> None:
    """The command line and Python say the same; listen has its sound from a file here."""
    choose(mine)

    def by(*arguments: str) -> str:
        status, out, err = call(*arguments, "--format", "json")
        assert (status, err) == (0, "")
        return json.loads(out.splitlines()[-1])["model"]

    assert by("classify", str(song)) == "mine"
    assert ostinato.classify(song).model == "mine"
    with song.open("rb") as sound:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": sound, "isatty": bool})())
        assert by("listen", "--every", "10") == "mine"
    assert by("classify", str(song), "--model", other) == "other"
    assert ostinato.classify(song, model=other).model == "other"
    choose(other)  # a program that runs on follows as well
    assert ostinato.classify(song).model == "other"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected JSON, got another text"),
        (b"model = 'musicnn'", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[]", "expected the one key 'model', got list"),
        (b"{}", "expected the one key 'model', got none"),
        (b'{"model": "lstm", "colour": 1}', "got 'model', 'colour'"),
        (b'{"model": 3}', "or a file's path, got 3"),
        (b'{"model": ""}', "or a file's path, got ''"),
        (b'{"model": "jazzy"}', "chooses the default model: Expected a model of default"),
        (b'{"model": "/none/x.onnx"}', "Cannot read the model /none/x.onnx: No such file"),
        (b'{"model": "a\\u0000.onnx"}', "Cannot read the model a"),
    ],
)
def test_settings_that_choose_no_model_are_named_with_the_way_back(
    call, settings, song, content: bytes, expected: str
) -> None:
    settings.parent.mkdir()
    settings.write_bytes(content)
    for use in (Classifier.load, lambda: ostinato.classify(song)):
        with pytest.raises(DataError) as refused:
            use()
        said = str(refused.value)
        assert expected in said
        assert said.startswith(str(settings))
        assert said.endswith(BACK)
        assert said.count("models --use") == 1
    status, out, err = call("classify", str(song))
    assert (status, out, err.count("\n")) == (1, "", 1)


def test_the_way_back_needs_no_settings_that_can_be_read(call, settings, song) -> None:
    settings.parent.mkdir()
    settings.write_text("damaged")
    assert ostinato.classify(song, model="lstm").model == "lstm"
    assert call("models", "--use", "default") == (0, "", "default is the default again.\n")
    assert ostinato.classify(song).model == "default"


def test_a_model_of_another_version_is_named_with_the_settings_file(settings, mine) -> None:
    choose(mine)
    content = Path(mine).read_bytes()
    Path(mine).write_bytes(content.replace(b'"schema":1,', b'"schema":9,'))
    with pytest.raises(
        DataError, match=r"settings\.json chooses .*schema 1, got 9; it was written by an"
    ):
        Classifier.load()


def test_a_settings_file_that_is_a_folder(settings) -> None:
    settings.mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"settings\.json: expected a file that can be read, got 'I"
    ):
        Classifier.load()
    with pytest.raises(WriteError, match=r"Cannot remove .*settings\.json: "):
        choose("default")


def test_a_variable_that_names_no_model_is_named(call, settings, song, monkeypatch) -> None:
    choose("lstm")
    monkeypatch.setenv("OSTINATO_MODEL", "jazzy")
    with pytest.raises(UsageError, match=r"^OSTINATO_MODEL: Expected a model of default, .*jazzy"):
        ostinato.classify(song)
    status, out, err = call("classify", str(song))
    assert (status, out) == (2, "")
    assert err.startswith("ostinato: OSTINATO_MODEL: Expected a model of ")
    assert "--use" not in err
    monkeypatch.setenv("OSTINATO_MODEL", "none.onnx")
    with pytest.raises(DataError, match=r"^OSTINATO_MODEL: Cannot read the model none\.onnx"):
        Classifier.load()


def test_without_a_home_there_are_no_settings(mine, monkeypatch) -> None:
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: "~/.config/ostinato")
    assert chosen() == ("default", "")
    assert choose("default") is None
    with pytest.raises(
        UsageError, match=r"home folder, to keep settings.json in, .* OSTINATO_MODEL"
    ):
        choose(mine)


class TestUse:
    def test_a_name_is_kept_and_a_path_becomes_absolute(
        self, call, settings, mine, song, monkeypatch
    ) -> None:
        status, out, err = call("models", "--use", "lstm")
        assert (status, out) == (0, "")
        assert err == f"lstm is your default now ({settings}). To go back: {BACK}\n"
        assert json.loads(settings.read_text()) == {"model": "lstm"}
        assert call("models", "--use", "mine.onnx")[0] == 0
        assert json.loads(settings.read_text()) == {"model": mine}
        (song.parent / "elsewhere").mkdir()
        monkeypatch.chdir(song.parent / "elsewhere")
        assert ostinato.classify(song).model == "mine"

    def test_what_does_not_load_changes_nothing(
        self, call, settings, tmp_path, monkeypatch
    ) -> None:
        data = tmp_path / "data"
        monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(data))
        choose("lstm")
        (tmp_path / "bad.onnx").write_bytes(toy_bytes()[:-20])
        for model, status, expected in (
            ("bad.onnx", 1, "bad.onnx: expected"),
            ("none.onnx", 1, "Cannot read the model none.onnx"),
            ("jazzy", 2, "Expected a model of default"),
            ("musicnn", 2, "run ostinato fetch musicnn first"),
        ):
            got, out, err = call("models", "--use", model)
            assert (got, out) == (status, "")
            assert expected in err
            assert chosen().model == "lstm"

    def test_a_variable_that_wins_over_it_is_told(self, call, settings, monkeypatch) -> None:
        monkeypatch.setenv("OSTINATO_MODEL", "conv-lstm")
        _, _, err = call("models", "--use", "lstm")
        assert err.endswith("OSTINATO_MODEL is set to 'conv-lstm', and wins over it.\n")

    def test_a_folder_that_cannot_be_written(self, call, settings) -> None:
        settings.parent.write_text("a file")
        status, out, err = call("models", "--use", "lstm")
        assert (status, out) == (1, "")
        assert f"Cannot write {settings}: a part of its path is a file" in err

    def test_it_prints_no_list(self, call, settings) -> None:
        status, _, err = call("models", "--use", "lstm", "--format", "json")
        assert (status, settings.exists()) == (2, False)
        assert "Expected --use without --format json" in err
