"""A running verdict is what classify says of the last 30 s, and ends with the sound or Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import ostinato
from ostinato import Classifier, UsageError
from ostinato.cli.main import main
from ostinato.inference.live import LISTENING, LiveClassifier
from tests.helpers.graphs import toy_bytes, toy_info

RATE = 22_050
CHUNK = RATE // 10
#: Windows as long as those of the models that ship.
INFO = toy_info(window_frames=144, window_hop=72)
GENRES = INFO.genres
SOURCE = Path(ostinato.__file__).parents[1]


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Notes that change once a second over quiet noise, so that no two stretches are alike."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch_hz = rng.uniform(80, 3000, size=int(seconds) + 1)[t.astype(int)]
    return (0.3 * np.sin(2 * np.pi * pitch_hz * t) + 0.01 * rng.normal(size=t.size)).astype("f4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "toy.onnx"
    path.write_bytes(toy_bytes(INFO))
    return path


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier.load(model)


def at_no_cost() -> float:
    return 0.0


def chunks(sound: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, sound.size, CHUNK):
        yield sound[first : first + CHUNK]


class TestLiveClassifier:
    def test_says_what_classify_says_of_the_last_30_s(self, classifier: Classifier) -> None:
        sound = music(42)
        listener = LiveClassifier(classifier, every_s=2.5, clock=at_no_cost)
        said = [heard for chunk in chunks(sound) if (heard := listener.add(chunk)) is not None]
        assert [heard.at_s for heard in said] == pytest.approx(2.5 * np.arange(1, 17), abs=0.01)
        for at_s, model, verdict in said:
            assert model == classifier.name
            if at_s < listener.enough_s:
                assert verdict is None
                continue
            end = round(at_s * RATE)
            recent = sound[max(0, end - 30 * RATE) : end]
            assert verdict == classifier.classify(waveform=recent, sample_rate_hz=RATE)
        assert said[-1].verdict != said[-5].verdict  # else the 30 s might stand still

    def test_enough_is_a_window(self, classifier: Classifier) -> None:
        """143 steps of 1708 samples, and the 2048 of the last frame: 11.2 s."""
        assert LiveClassifier(classifier).enough_s == pytest.approx((143 * 1708 + 2048) / 22_050)

    def test_a_slow_machine_listens_half_of_the_time(self, classifier: Classifier) -> None:
        """Verdicts of 1.5 s, each second, would fall behind; they are made every 3 s."""
        times = iter(1.5 * (i // 2 + i % 2) for i in range(1000))
        listener = LiveClassifier(classifier, every_s=1.0, clock=lambda: next(times))
        said = [heard.at_s for c in chunks(music(16)) if (heard := listener.add(c)) is not None]
        assert np.diff(said) == pytest.approx(3.0, abs=0.11)

    @pytest.mark.parametrize("seconds", [0.5, 4.0])
    def test_the_last_word_is_on_any_sound_that_classify_takes(
        self, classifier: Classifier, seconds: float
    ) -> None:
        listener = LiveClassifier(classifier)
        listener.add(music(seconds))
        expected = classifier.classify(waveform=music(seconds), sample_rate_hz=RATE)
        assert listener.last() == (seconds, classifier.name, expected)

    def test_no_word_on_less(self, classifier: Classifier) -> None:
        listener = LiveClassifier(classifier)
        assert listener.last() == (0.0, classifier.name, None)
        listener.add(music(0.4))
        last = listener.last()
        assert last.verdict is None
        assert last.to_dict()["abstained"] == LISTENING
        listener.add(music(1))
        assert listener.last().to_dict().keys() == last.to_dict().keys()

    def test_abstains_as_the_classifier_does(self, tmp_path: Path) -> None:
        """Silence is called silent; where it is unsure, no genre is likely enough."""
        path = tmp_path / "unsure.onnx"
        path.write_bytes(toy_bytes(replace(INFO, threshold=1.0)))
        listener = LiveClassifier(Classifier.load(path), every_s=12.0)
        heard = listener.add(np.zeros(12 * RATE, np.float32))
        assert heard is not None
        assert heard.verdict is not None
        assert heard.verdict.abstained == "it is silent"
        heard = listener.add(music(30))
        assert heard is not None
        assert heard.verdict is not None
        assert heard.verdict.abstained == "no genre is likely enough"
        assert heard.to_dict()["genre"] is None

    @pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf")])
    def test_no_time_between_verdicts_is_a_wrong_call(
        self, classifier: Classifier, every_s: float
    ) -> None:
        with pytest.raises(UsageError, match="Seconds between verdicts: expected more than 0"):
            LiveClassifier(classifier, every_s=every_s)


def command(model: Path, *options: str) -> dict[str, Any]:
    return {
        "args": [
            sys.executable,
            "-m",
            "ostinato.cli.main",
            "listen",
            "--model",
            str(model),
            *options,
        ],
        "env": os.environ | {"PYTHONPATH": str(SOURCE)},
    }


def heard_by(model: Path, data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        **command(model, *options), input=data, capture_output=True, check=False, timeout=120
    )


def as_pcm(sound: np.ndarray) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


class TestCommand:
    def test_bare_samples_from_a_pipe(self, model: Path, classifier: Classifier) -> None:
        sound = music(33)
        options = ("--rate", str(RATE), "--channels", "1", "--every", "4", "--format", "json")
        result = heard_by(model, as_pcm(sound), *options)
        assert (result.returncode, result.stderr) == (0, b"")
        records = [json.loads(line) for line in result.stdout.splitlines()]
        assert [record["last"] for record in records] == [False] * (len(records) - 1) + [True]
        assert [record["at_s"] for record in records[:2]] == pytest.approx([4, 8], abs=0.2)
        assert records[0]["abstained"] == LISTENING
        assert all(record.keys() == records[0].keys() for record in records)
        expected = classifier.classify(waveform=sound[-30 * RATE :], sample_rate_hz=RATE)
        assert records[-1]["genre"] == expected.genre
        assert records[-1]["at_s"] == pytest.approx(33)
        assert records[-1]["probability"] == pytest.approx(expected.probability, abs=1e-3)

    def test_lines_for_people_who_keep_them(self, model: Path) -> None:
        """Into a file a line each, without the codes of a terminal; the last one is not twice."""
        wav = io.BytesIO()
        soundfile.write(wav, music(16), RATE, format="WAV")
        result = heard_by(model, wav.getvalue(), "--every", "8")
        lines = result.stdout.decode().splitlines()
        assert result.returncode == 0
        assert [line.split()[0] for line in lines] == ["0:08", "0:16"]
        assert "listening ... (11 s of sound are needed)" in lines[0]
        assert lines[1].split()[1] in GENRES
        assert "\x1b" not in result.stdout.decode()

    def test_ctrl_c_ends_it_with_a_last_verdict(self, model: Path) -> None:
        """While the pipe is open: a verdict came before it was closed, so it is a running one."""
        options = ("--rate", str(RATE), "--channels", "1", "--every", "3", "--format", "json")
        with subprocess.Popen(
            **command(model, *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(as_pcm(music(14)))
            process.stdin.flush()
            running = [json.loads(process.stdout.readline()) for _ in range(4)]
            process.send_signal(signal.SIGINT)
            rest, said = process.stdout.read(), process.stderr.read() if process.stderr else b""
            process.stdin.close()
            assert process.wait(60) == 0, said
        assert [record["last"] for record in running] == [False] * 4
        assert running[-1]["genre"] in GENRES
        records = [json.loads(line) for line in rest.splitlines()]
        assert [record["last"] for record in records] == [True]
        assert records[0]["at_s"] >= running[-1]["at_s"]
        assert said == b""

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
    def test_who_watches_sees_one_line_that_is_rewritten(self, model: Path) -> None:
        import pty  # not on Windows

        ours, theirs = pty.openpty()
        options = ("--rate", str(RATE), "--channels", "1", "--every", "2")
        call = command(model, *options)
        call["env"] |= {"TERM": "xterm-256color", "COLUMNS": "100"}
        with subprocess.Popen(**call, stdin=subprocess.PIPE, stdout=theirs) as process:
            os.close(theirs)
            process.communicate(as_pcm(music(14)), timeout=60)
        shown = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # so Linux says that nobody writes any more
                part = b""
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.returncode == 0
        text = shown.decode()
        assert text.count("\n") <= 2, "the line is rewritten, not followed by others"
        assert text.index("listening") < text.index("0:12") < text.index("0:14")
        assert any(genre in text.rpartition("0:14")[2] for genre in GENRES)

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is not installed")
    def test_what_ffmpeg_writes(self, model: Path, classifier: Classifier, tmp_path: Path) -> None:
        """From a file of another rate and two channels, through a WAV of unknown length."""
        path = tmp_path / "song.flac"
        soundfile.write(path, np.stack([music(40), music(40, seed=1)], axis=1), 2 * RATE)
        convert = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "wav", "-"]
        with subprocess.Popen(convert, stdout=subprocess.PIPE) as ffmpeg:
            result = subprocess.run(
                **command(model, "--format", "json"), stdin=ffmpeg.stdout, capture_output=True,
                check=False, timeout=120,
            )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, b"")
        last = json.loads(result.stdout.splitlines()[-1])
        expected = classifier.classify(path)
        assert last["last"]
        assert last["genre"] == expected.genre
        assert last["probability"] == pytest.approx(expected.probability, abs=0.01)

    @pytest.mark.parametrize(
        ("data", "options", "status", "sentence"),
        [
            (b"", (), 1, "it ended before its first byte"),
            (b"no sound at all, but some words", (), 1, "expected live sound as WAV"),
            (as_pcm(music(1)), ("--encoding", "mp3"), 2, "expected s16le or f32le, got 'mp3'"),
            (as_pcm(music(1)), ("--rate", "5"), 2, "Rate of live sound: expected"),
            (as_pcm(music(1)), ("--format", "csv"), 2, "--format table or json, got 'csv'"),
        ],
        ids=["empty", "words", "encoding", "rate", "format"],
    )
    def test_what_cannot_be_heard_is_one_sentence(
        self, model: Path, data: bytes, options: tuple[str, ...], status: int, sentence: str
    ) -> None:
        result = heard_by(model, data, *options)
        said = result.stderr.decode()
        assert result.returncode == status, said
        assert sentence in " ".join(said.split())
        assert len(said.splitlines()) == 1
        assert result.stdout == b""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestMicrophone:
    def test_a_terminal_on_standard_input_means_the_microphone(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        with pytest.raises(SystemExit) as end:
            main(["listen", "--model", str(model)])
        assert end.value.code == 1
        assert 'pip install "ostinato[live]"' in " ".join(capsys.readouterr().err.split())

    def test_a_format_of_what_is_not_there(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal())
        with pytest.raises(SystemExit) as end:
            main(["listen", "--model", str(model), "--rate", "44100"])
        assert end.value.code == 2
        assert "Expected sound on standard input" in capsys.readouterr().err
