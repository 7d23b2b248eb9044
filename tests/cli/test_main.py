"""The command itself: its version, its verbs, and their help."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path

import pytest

from ostinato import __main__ as first
from ostinato import __version__
from ostinato.cli import main as cli
from ostinato.cli.main import app

VERBS = [str(command.callback.__name__) for command in app.registered_commands]


def test_version(call) -> None:
    assert call("--version")[:2] == (0, f"ostinato {__version__}\n")


def test_no_arguments_show_the_verbs(call) -> None:
    status, out, err = call()
    assert "study" in out + err
    assert "fetch" in out + err
    assert status in (0, 2)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_examples(call, verb: str) -> None:
    status, out, _ = call(verb, "--help")
    assert status == 0
    assert "Examples" in out
    assert f"ostinato {verb}" in out


def test_a_verb_that_does_not_exist_has_status_2(call) -> None:
    assert call("stuty")[0] == 2


@pytest.mark.parametrize("argument", ["--out=~/x", "~/x.toml"])
def test_the_home_folder_is_expanded_where_shells_do_not(
    call, tmp_path, monkeypatch, argument
) -> None:
    seen: list[object] = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(
        "ostinato.study.run", lambda file, out, **_: seen.append(file or out) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        call("study", argument)
    assert str(seen[0]).startswith(str(tmp_path))


def test_without_a_home_a_tilde_is_one_sentence(call, monkeypatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    status, _, said = call("study", "--out=~/x")
    assert status == 2
    assert said == "ostinato: Expected a home folder for ~/x, got none; write the path in full.\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no folder without permissions")
def test_without_a_home_matplotlib_writes_among_the_temporary_files(
    call, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "")  # so that what the call sets does not stay
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", __file__ + "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    call("--version")
    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(tmp_path)


class TestAddresses:
    @pytest.mark.parametrize(
        "call_",
        [
            ("classify", "https://radio.example/live?a&b"),
            ("classify", "song.mp3", "ftp://x.example/a.mp3"),
            ("classify", "--", "rtsp://x.example/a"),
            ("study", "--data=s3://bucket/music"),
            ("study", "--data", "http://x.example/table.csv"),
            ("study", "https://x.example/study.toml"),
            ("audit", "file:///music"),
            ("compare", "https://x.example/runs"),
            ("export", "gs://bucket/run", "--to", "a.onnx"),
            ("listen", "--model", "https://x.example/model.onnx"),
        ],
    )
    def test_are_no_paths(self, call, call_: tuple[str, ...]) -> None:
        address = next(a.removeprefix("--data=") for a in call_ if "://" in a)
        status, out, err = call(*call_)
        assert (status, out) == (2, "")
        assert err.startswith(f"ostinato: Expected a path, got the address {address}: ")
        assert err.endswith("-f wav - | ostinato classify -\n")

    def test_are_quoted_for_the_shell(self, call) -> None:
        _, _, err = call("classify", "https://radio.example/live?a&b")
        assert "ffmpeg -i 'https://radio.example/live?a&b' -f wav -" in err

    def test_a_file_may_be_named_as_one(self, call, tmp_path) -> None:
        (tmp_path / "http:").mkdir()
        (tmp_path / "http:" / "a.wav").write_bytes(b"no sound")
        status, _, err = call("classify", "http://a.wav")
        assert status == 1
        assert "cannot be used as sound" in err

    def test_are_taken_where_they_are_asked_for(self, call) -> None:
        _, _, err = call("fetch", "gtzan", "--url", "ftp://x.example/genres.tar.gz")
        assert "Expected an address that begins with http:// or https://" in err
        _, _, err = call(
            "export", "none", "--to", "a.onnx", "--licence", "https://x.example/by/4.0"
        )
        assert "none" in err
        assert "address" not in err


@pytest.mark.parametrize("verb", ["classify", "study", "compare", "audit", "export"])
@pytest.mark.parametrize("name", ["-song.mp3", "--song.mp3", "-my music"])
def test_a_name_that_looks_like_an_option_is_told_what_to_do(call, tmp_path, verb, name) -> None:
    (tmp_path / "-my music").mkdir()
    status, _, err = call(verb, name)
    assert status == 2
    assert err.startswith("ostinato: No such option: -")
    assert err.endswith(f"If it is a file: ostinato {verb} -- {shlex.quote(name)}\n")


def test_an_option_that_does_not_exist_is_no_file(call) -> None:
    status, _, err = call("classify", "--jobz=2.5", "a.mp3")
    assert (status, err) == (
        2, "ostinato: No such option: --jobz. Did you mean --jobs? See ostinato classify --help.\n"
    )  # fmt: skip


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), ValueError()])
def test_ctrl_c_while_a_compiled_package_starts(monkeypatch, cause: BaseException) -> None:
    """It becomes an ImportError there; any other one is not hidden."""

    def run() -> None:
        raise ImportError("initialization failed") from cause

    monkeypatch.setattr(cli, "main", run)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit if isinstance(cause, KeyboardInterrupt) else ImportError) as left:
        first.main()
    signal.signal(signal.SIGINT, handler)
    assert getattr(left.value, "code", 130) == 130
