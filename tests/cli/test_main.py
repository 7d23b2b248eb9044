"""The command itself: its version, its verbs, and their help."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

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


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_begins_with_examples_that_fit_a_line_and_can_be_typed(
    call, monkeypatch, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = call(*verb.split(), "--help")
    assert status == 0
    lines = [line.strip() for line in out.splitlines()]
    examples = lines[lines.index("Examples:") + 1 :]
    examples = examples[: examples.index("")]
    assert any(line.startswith(f"ostinato {verb}") for line in examples)
    verbs = typer.main.get_command(app).commands
    for line in examples:
        assert line.startswith(("ostinato ", "arecord ", "curl ", "ffmpeg ", "parec ")), line
        _, ours, call_of_it = line.partition("ostinato ")
        name, *words = shlex.split(call_of_it, comments=True) if ours else ["serve"]
        options = {option for param in verbs[name].params for option in
                   (*param.opts, *param.secondary_opts)}  # fmt: skip
        assert {word for word in words if word.startswith("--")} <= options, line


def test_brackets_in_a_help_are_text(call) -> None:
    assert "its table [search] says" in " ".join(call("search", "--help")[1].split())


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


def test_an_end_by_a_signal_waits_for_no_thread_at_work() -> None:
    program = """
import sys, time
import ostinato.cli.main as cli
from ostinato.__main__ import main
from ostinato.inference.many import in_order

def interrupted():
    for _ in in_order(lambda item: time.sleep(60 * item), [0, 1, 1], n_threads=2):
        print("begun")
        sys.exit(130)

cli.main = interrupted
main()
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "begun\n")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("words", "offered"),
    [("ostinato cl", "classify"), ("ostinato classify --ti", "--timeline")],
)
def test_a_shell_completes_verbs_and_options(call, monkeypatch, words, offered) -> None:
    monkeypatch.setenv("_OSTINATO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    status, out, _ = call()
    assert (status, out.split()) == (0, [offered])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed_and_shown(call, monkeypatch, tmp_path, shell) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "--install-completion" in call("--help")[1]
    shown = call("--show-completion")
    assert (shown[0], "_OSTINATO_COMPLETE" in shown[1]) == (0, True)
    assert call("--install-completion")[0] == 0
    written = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())
    assert "_OSTINATO_COMPLETE" in written
