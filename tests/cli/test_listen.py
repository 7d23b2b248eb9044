"""``ostinato listen``: a line a verdict, the last one with the end of the sound or Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile
from rich.console import Console

import ostinato
from ostinato import Classifier
from ostinato.cli import listen as verb
from ostinato.inference.live import LISTENING
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, music

#: Windows as long as those of the single networks that ship: 11.2 s.
INFO = toy_info(window_frames=144, window_hop=72)
GENRES = INFO.genres
RAW = ("--rate", str(RATE_HZ), "--channels", "1")

Hear = Callable[..., tuple[int, str, str]]


class Piped:
    """Standard input that is no terminal."""

    def __init__(self, buffer: BinaryIO) -> None:
        self.buffer = buffer

    def isatty(self) -> bool:
        return False


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.onnx"
    path.write_bytes(toy_bytes(INFO))
    return path


@pytest.fixture
def hear(call: Hear, model: Path, monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Listen to bytes or a stream; gives (status, stdout, stderr)."""

    def run(sound: bytes | BinaryIO, *options: str) -> tuple[int, str, str]:
        stream = io.BytesIO(sound) if isinstance(sound, bytes) else sound
        monkeypatch.setattr(sys, "stdin", Piped(stream))
        return call("listen", "--model", model, *options)

    return run


def as_pcm(sound: np.ndarray) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


def as_wav(sound: np.ndarray) -> bytes:
    wav = io.BytesIO()
    soundfile.write(wav, sound, RATE_HZ, format="WAV")
    return wav.getvalue()


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


class TestJson:
    def test_bare_samples(self, hear: Hear, model: Path) -> None:
        sound = music(0, 33)
        status, out, err = hear(as_pcm(sound), *RAW, "--every", "4", "--format", "json")
        assert (status, err) == (0, "")
        said = records(out)
        assert [now["last"] for now in said] == [False] * (len(said) - 1) + [True]
        assert [now["at_s"] for now in said[:3]] == pytest.approx([4, 8, 10], abs=0.2)
        assert [now["early"] for now in said[:4]] == [True, True, True, False]
        assert said[0]["abstained"] == LISTENING
        assert all(now.keys() == said[0].keys() for now in said)
        expected = Classifier.load(model).classify(
            waveform=sound[-30 * RATE_HZ :], sample_rate_hz=RATE_HZ
        )
        assert said[-1]["genre"] == expected.genre
        assert said[-1]["at_s"] == pytest.approx(33)
        assert said[-1]["probability"] == pytest.approx(expected.probability, abs=1e-3)

    def test_a_sound_that_ends_on_a_tick(self, hear: Hear) -> None:
        """The last verdict is there, and by then it is no longer that it listens."""
        _, out, _ = hear(as_wav(music(0, 5)), "--format", "json")
        *running, last = records(out)
        assert [now["at_s"] for now in running] == pytest.approx([1, 2, 3, 4, 5])
        assert {now["abstained"] for now in running} == {LISTENING}
        assert (last["last"], last["at_s"], last["early"]) == (True, 5.0, True)
        assert last["genre"] in GENRES

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is not installed")
    def test_what_ffmpeg_writes(self, hear: Hear, model: Path, tmp_path: Path) -> None:
        """From a file of another rate and two channels, through a WAV of unknown length."""
        path = tmp_path / "song.flac"
        soundfile.write(path, np.stack([music(0, 40), music(1, 40)], axis=1), 2 * RATE_HZ)
        convert = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "wav", "-"]
        with subprocess.Popen(convert, stdout=subprocess.PIPE) as ffmpeg:
            assert ffmpeg.stdout is not None
            status, out, err = hear(ffmpeg.stdout, "--format", "json")  # type: ignore[arg-type]
        assert (status, err) == (0, "")
        last = records(out)[-1]
        expected = Classifier.load(model).classify(path)
        assert last["last"]
        assert last["genre"] == expected.genre
        assert last["probability"] == pytest.approx(expected.probability, abs=0.01)


class TestLines:
    def test_for_people_who_keep_them(self, hear: Hear) -> None:
        """Into a file a line each, without the codes of a terminal; the last one is not twice."""
        status, out, _ = hear(as_wav(music(0, 16)), "--every", "3")
        waiting, early, *later = [line.split() for line in out.splitlines()[2:]]
        assert status == 0
        assert " ".join(waiting) == "0:09 listening ... (10 s of sound are needed)"
        assert early[0] == "0:10"
        assert early[1] in GENRES
        assert " ".join(early[3:8]) == "early (10 of 11 s)"
        assert [line[0] for line in later] == ["0:13", "0:16"]
        assert all("early" not in line for line in later)
        assert "\x1b" not in out

    @pytest.mark.parametrize("seconds", [3, 5, 12])
    def test_the_last_tick_is_followed_by_what_it_does_not_say(
        self, hear: Hear, seconds: int
    ) -> None:
        """Here every sound ends on a tick."""
        _, out, _ = hear(as_wav(music(0, seconds)))
        *_, before, last = out.splitlines()
        assert before != last
        assert last.startswith(f"  0:{seconds:02}  ")
        assert "listening" not in last
        too_short = "it is too short to be judged: 3.0 s, the model needs 3.8 s (perhaps "
        assert (too_short in last) == (seconds == 3)

    def test_silence_may_be_early_too(self, hear: Hear) -> None:
        _, out, _ = hear(as_wav(np.zeros(10 * RATE_HZ)))
        assert out.splitlines()[-1] == "  0:10  ?           early (10 of 11 s)  it is silent"

    def test_who_watches_sees_one_line_that_is_rewritten(
        self, hear: Hear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=100, highlight=False)
        monkeypatch.setattr(verb, "output", console)
        status, out, _ = hear(as_pcm(music(0, 14)), *RAW, "--every", "2")
        assert (status, out) == (0, "")
        shown = screen.getvalue()
        assert shown.count("\n") <= 2, "the line is rewritten, not followed by others"
        assert shown.index("listening") < shown.index("0:12") < shown.index("0:14")
        assert shown.index("early (10 of 11 s)") < shown.index("0:12")
        assert any(genre in shown.rpartition("0:14")[2] for genre in GENRES)


class TestEnd:
    def test_ctrl_c_ends_it_with_a_last_verdict(self, model: Path) -> None:
        """While the pipe is open: a verdict came before it was closed, so it is a running one."""
        with subprocess.Popen(
            [sys.executable, "-m", "ostinato", "listen", "--model", str(model), *RAW,
             "--every", "3", "--format", "json"],
            env=os.environ | {"PYTHONPATH": str(Path(ostinato.__file__).parents[1])},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(as_pcm(music(0, 14)))
            process.stdin.flush()
            running = [json.loads(process.stdout.readline()) for _ in range(5)]
            process.send_signal(signal.SIGINT)
            rest, said = process.stdout.read(), process.stderr.read() if process.stderr else b""
            process.stdin.close()
            assert process.wait(60) == 0, said
        assert [now["last"] for now in running] == [False] * 5
        assert running[-1]["genre"] in GENRES
        (last,) = records(rest.decode())
        assert last["last"]
        assert last["at_s"] >= running[-1]["at_s"]
        assert said == b""

    @pytest.mark.parametrize(
        ("data", "options", "status", "sentence"),
        [
            (b"", (), 1, "it ended before its first byte"),
            (b"no sound at all, but some words", (), 1, "expected live sound as WAV"),
            (as_pcm(music(0, 1)), ("--encoding", "mp3"), 2, "expected s16le or f32le, got 'mp3'"),
            (as_pcm(music(0, 1)), ("--rate", "5"), 2, "Rate of live sound: expected"),
            (as_pcm(music(0, 1)), ("--format", "csv"), 2, "--format table or json, got 'csv'"),
        ],
        ids=["empty", "words", "encoding", "rate", "format"],
    )
    def test_what_cannot_be_heard_is_one_sentence(
        self, hear: Hear, data: bytes, options: tuple[str, ...], status: int, sentence: str
    ) -> None:
        got, out, err = hear(data, *options)
        assert got == status, err
        assert sentence in " ".join(err.split())
        assert len(err.splitlines()) == 1
        assert out == ""


class TestMicrophone:
    def test_a_terminal_on_standard_input_means_the_microphone(
        self, call: Hear, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        status, _, err = call("listen", "--model", model)
        assert status == 1
        assert 'pip install "ostinato[live]"' in " ".join(err.split())

    def test_a_format_of_what_is_not_there(
        self, call: Hear, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal())
        status, _, err = call("listen", "--model", model, "--rate", "44100")
        assert status == 2
        assert "Expected sound on standard input" in err
