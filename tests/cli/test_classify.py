"""``ostinato classify``: what stands on stdout and stderr, in which order, with which status."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.audio import file as audio_file
from ostinato.cli import main as cli
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ


def write(path: Path, seconds: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    """Noise that swells twice a second."""
    y = np.cumsum(np.random.default_rng(len(path.name)).normal(size=int(seconds * RATE_HZ)))
    y *= 1.1 + np.sin(4 * np.pi * np.arange(y.size) / RATE_HZ)
    soundfile.write(path, 0.5 * y / np.abs(y).max(), RATE_HZ)
    return path


@pytest.fixture
def model(tmp_path) -> Path:
    """A model that always answers: of sounds as these, those that ship would rather not say."""
    path = tmp_path / "toy.onnx"
    path.write_bytes(toy_bytes())
    return path


@pytest.fixture
def library(tmp_path) -> Path:
    """Three usable files at several depths, one broken, and what is no sound."""
    folder = tmp_path / "library"
    write(folder / "b.wav")
    write(folder / "a" / "deep" / "C.FLAC")
    write(folder / "a" / "d.wav", 3)
    (folder / "broken.mp3").write_bytes(b"no sound at all")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8")
    write(folder / ".trash" / "e.wav")
    (folder / ".f.wav").write_bytes(b"")
    return folder


USABLE = ("b.wav", "a/d.wav", "a/deep/C.FLAC")


class TestFormats:
    def test_json_is_a_record_a_file(self, call, model, library) -> None:
        status, out, err = call("classify", library, "--format", "json", "--model", model)
        records = [json.loads(line) for line in out.splitlines()]
        assert [r["path"] for r in records] == [str(library / name) for name in USABLE]
        for record in records:
            assert set(record) == {
                "path", "model", "model_version", "genre", "named", "probability", "ranked",
                "abstained", "seconds", "heard_channel",
            }  # fmt: skip
            assert record["abstained"] is None
            assert record["ranked"][0] == {
                "genre": record["genre"], "probability": record["probability"],
            }  # fmt: skip
            assert sum(r["probability"] for r in record["ranked"]) == pytest.approx(1)
        assert [r["seconds"] for r in records] == pytest.approx([2, 3, 2])
        assert status == 1  # of the broken file alone
        about_broken, about_others = err.splitlines()
        assert "broken.mp3" in about_broken
        assert about_others == "Passed over: 1 .jpg."

    def test_csv_says_the_same(self, call, model, library) -> None:
        _, out, _ = call("classify", library, "--format", "csv", "--model", model, "--top", "2")
        rows = list(csv.DictReader(io.StringIO(out)))
        _, out, _ = call("classify", library, "--format", "json", "--model", model, "--top", "2")
        records = [json.loads(line) for line in out.splitlines()]
        assert len(rows) == len(records) == 3
        for row, record in zip(rows, records, strict=True):
            assert row["path"] == record["path"]
            assert row["genre"] == record["genre"]
            assert float(row["probability"]) == pytest.approx(record["probability"], abs=1e-4)
            ranked = [pair.split("=")[0] for pair in row["ranked"].split(";")]
            assert ranked == [r["genre"] for r in record["ranked"]]
            assert len(ranked) == 2
            assert row["model"] == record["model"] == model.stem
            assert (row["model_version"], record["model_version"]) == ("", None)

    def test_every_verdict_says_which_version_gave_it(self, call, tmp_path, library) -> None:
        """Also one of no sound at all, and those of a model that is chosen by its place."""
        path = tmp_path / "own.onnx"
        path.write_bytes(toy_bytes(toy_info(name="mine", version="7")))
        soundfile.write(tmp_path / "silent.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
        for file in (library / "b.wav", tmp_path / "silent.wav"):
            _, out, _ = call("classify", file, "--model", path, "--format", "json")
            assert (record := json.loads(out))["model"] == "mine"
            assert record["model_version"] == "7"
            _, out, _ = call("classify", file, "--model", path, "--format", "csv")
            (row,) = csv.DictReader(io.StringIO(out))
            assert (row["model"], row["model_version"]) == ("mine", "7")

    def test_the_table_names_file_and_genre(self, call, model, library) -> None:
        _, out, _ = call("classify", library, "--model", model)
        lines = out.splitlines()
        assert len(lines) == 3
        for line, name in zip(lines, USABLE, strict=True):
            assert line.split()[0] in ("blues", "jazz", "rock")
            assert line.endswith(name)
            assert line.count("%") == 2

    def test_abstaining_is_told_with_its_reason(self, call, tmp_path, library) -> None:
        path = tmp_path / "unsure.onnx"
        path.write_bytes(toy_bytes(toy_info(threshold=1.0)))
        status, out, _ = call("classify", library / "b.wav", "--model", path)
        assert (status, out.split()[0]) == (0, "?")
        assert "no genre is likely enough (perhaps" in out
        _, out, _ = call("classify", library / "b.wav", "--model", path, "--format", "json")
        record = json.loads(out)
        assert record["genre"] is None
        assert record["abstained"] == "no genre is likely enough"
        assert record["ranked"]

    def test_silence_is_a_verdict_not_an_error(self, call, model, tmp_path) -> None:
        soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
        status, out, err = call("classify", "silence.wav", "--model", model)
        assert (status, err) == (0, "")
        assert "it is silent" in out


class TestTimeline:
    def test_json_holds_it(self, call, model, tmp_path) -> None:
        write(tmp_path / "long.wav", 95)
        _, out, _ = call("classify", "long.wav", "--timeline", "--format", "json", "--model", model)
        record = json.loads(out)
        spans = [(round(s["start_s"]), round(s["end_s"])) for s in record["timeline"]]
        assert spans == [(0, 30), (30, 60), (60, 90), (65, 95)]  # all of it, though it is long
        for stretch in record["timeline"]:
            assert sum(stretch["probabilities"].values()) == pytest.approx(1)
        assert record["segments"][0]["start_s"] == 0
        assert record["segments"][-1]["end_s"] == pytest.approx(95)

    def test_the_table_prints_segments(self, call, model, tmp_path) -> None:
        write(tmp_path / "long.wav", 95)
        _, out, _ = call("classify", "long.wav", "--timeline", "--model", model)
        _, *segments = out.splitlines()
        assert segments[0].split()[:2] == ["0:00", "-"]
        assert segments[-1].split()[2] == "1:35"

    def test_not_in_csv(self, call, model) -> None:
        status, _, err = call("classify", "a.wav", "--timeline", "--format", "csv")
        assert status == 2
        assert "--format table or json, got csv" in err


class TestWhatIsGiven:
    def test_standard_input(self, model, library) -> None:
        """In a process of its own: the pipe is the process's."""
        arguments = ["classify", "-", str(library / "a" / "d.wav"), "--format", "json"]
        result = subprocess.run(
            [sys.executable, "-m", "ostinato", *arguments, "--model", str(model)],
            env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
            input=(library / "b.wav").read_bytes(),
            capture_output=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        piped, named = (json.loads(line) for line in result.stdout.splitlines())
        assert piped["path"] == "-"
        assert piped["seconds"] == 2
        assert named["path"].endswith("d.wav")
        assert result.stderr == b""  # nobody watches

    def test_standard_input_that_is_no_sound_is_named(self, model) -> None:
        """Not its temporary file, which the user has never seen and cannot find."""
        result = subprocess.run(
            [sys.executable, "-m", "ostinato", "classify", "-", "--model", str(model)],
            env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
            input=b"eggs, milk, bread\n" * 500,
            capture_output=True,
            check=False,
        )
        assert result.returncode == 1
        assert result.stderr.startswith(b"'<stdin>' cannot be used as sound: ")
        assert b"ostinato-" not in result.stderr

    def test_twice_standard_input(self, call, model) -> None:
        status, _, err = call("classify", "-", "-", "--model", model)
        assert status == 2
        assert "one standard input" in err

    def test_pipes_are_heard_and_named_as_they_were_given(
        self, call, model, library, monkeypatch
    ) -> None:
        """As ``<(command)``, twice; what is no sound stops neither."""
        (library / "temporary").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(library / "temporary"))
        fifos = [library / name for name in ("one", "two", "junk")]
        for fifo, content in zip(
            fifos, ((library / "b.wav").read_bytes(), (library / "a/d.wav").read_bytes(), b"eggs"),
            strict=True,
        ):  # fmt: skip
            os.mkfifo(fifo)
            threading.Thread(target=fifo.write_bytes, args=(content,), daemon=True).start()
        status, out, err = call("classify", *fifos, "--format", "json", "--model", model)
        assert status == 1
        records = [json.loads(line) for line in out.splitlines()]
        assert [(r["path"], r["seconds"]) for r in records] == [
            (str(fifos[0]), 2), (str(fifos[1]), 3)
        ]  # fmt: skip
        assert err.startswith(f"'{fifos[2]}' cannot be used as sound: ")
        assert not list(Path(tempfile.gettempdir()).iterdir())

    def test_a_pipe_twice(self, call, library) -> None:
        os.mkfifo(library / "fifo")
        status, _, err = call("classify", library / "fifo", library / "fifo")
        assert status == 2
        assert err.endswith("once: its sound can be read once.\n")

    def test_a_pipe_in_a_folder_is_not_waited_for(self, call, model, library) -> None:
        os.mkfifo(library / "fifo.wav")
        _, out, err = call("classify", library, "--model", model)
        assert len(out.splitlines()) == 3
        assert "fifo.wav' cannot be used as sound: it is a pipe, not a file." in err

    def test_a_path_that_cannot_be_used_is_named_and_the_others_are_heard(
        self, call, model, library
    ) -> None:
        for name, target in (("nothing.wav", "gone"), ("loop.wav", "loop.wav"), ("loop", "loop")):
            (library / name).symlink_to(target)
        bad = {
            "n" * 300 + ".wav": "File name too long",
            "d/" * 2200 + "x.wav": "File name too long",
            "nothing.wav": "No such file or directory",
            "loop.wav": "Too many levels of symbolic links",
            "loop": "Too many levels of symbolic links",
            "b.wav/x.wav": "Not a directory",
            "": "expected a path, got an empty one",
        }
        given = [library / name if name else "" for name in bad]
        status, out, err = call("classify", *given, library / "b.wav", "--model", model)
        assert status == 1
        assert [line.rpartition("/")[2] for line in out.splitlines()] == ["b.wav"]
        assert len(err.splitlines()) == len(bad)
        for path, why in zip(given, bad.values(), strict=True):
            assert any(f"'{path}'" in line and why in line for line in err.splitlines())

    @pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Denied"), MemoryError()])
    def test_a_file_that_is_closed_or_gone_meanwhile_stops_no_other(
        self, call, model, library, monkeypatch, error
    ) -> None:
        """Whatever part of the decoders finds it so."""
        decode = audio_file.open_seeker

        def guarded(path: Path, name: str):
            if path.name == "d.wav":
                raise error
            return decode(path, name)

        monkeypatch.setattr(audio_file, "open_seeker", guarded)
        status, out, err = call("classify", library, "--model", model)
        assert status == 1
        assert [line.rpartition("/")[2] for line in out.splitlines()] == ["b.wav", "C.FLAC"]
        why = "it cannot be read (Denied)" if isinstance(error, OSError) else "it does not fit"
        assert f"{library / 'a' / 'd.wav'}' cannot be used as sound: {why}" in err

    def test_linked_folders_are_followed_once(self, call, model, library, tmp_path) -> None:
        write(tmp_path / "elsewhere" / "f.wav")
        (library / "linked").symlink_to(tmp_path / "elsewhere")
        (library / "again").symlink_to(library)
        _, out, _ = call("classify", library, "--model", model)
        names = [line.rpartition("/")[2] for line in out.splitlines()]
        assert sorted(names) == ["C.FLAC", "b.wav", "d.wav", "f.wav"]

    def test_a_named_file_is_heard_whatever_its_name(self, call, model, library) -> None:
        (library / "b.wav").rename(library / "b.unknown")
        status, out, _ = call("classify", library / "b.unknown", "--model", model)
        assert status == 0
        assert "b.unknown" in out

    def test_a_folder_without_sound(self, call, model, tmp_path) -> None:
        (tmp_path / "empty").mkdir()
        status, out, err = call("classify", "empty", "--model", model)
        assert (status, out) == (1, "")
        assert "got no files in empty" in err

    def test_a_folder_run_ends_with_what_was_passed_over(self, call, model, library) -> None:
        for name in ("back.jpg", "notes.txt", ".hidden", "a/back.jpg"):
            (library / name).touch()
        (library / "broken.mp3").unlink()
        status, out, err = call("classify", library, "--model", model)
        assert status == 0
        assert err.splitlines()[-1] == "Passed over: 3 .jpg, 1 .txt."
        assert "jpg" not in out

    def test_a_folder_that_cannot_be_listed_is_named(
        self, call, model, library, monkeypatch
    ) -> None:
        scandir = os.scandir

        def guarded(path):
            if Path(path).name == "a":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        status, out, err = call("classify", library / "b.wav", library, "--model", model)
        assert status == 1
        assert len(out.splitlines()) == 2
        assert f"The folder '{library / 'a'}' cannot be listed: Permission denied." in err

    def test_all_broken_files_are_listed_at_the_end(self, call, model, library) -> None:
        (library / "a" / "empty.ogg").write_bytes(b"")
        status, out, err = call("classify", library, "missing.wav", "--model", model)
        assert status == 1
        assert len(out.splitlines()) == 3
        names = ("broken.mp3", "empty.ogg", "missing.wav")
        *lines, last = err.splitlines()
        assert last == "Passed over: 1 .jpg."
        for name, line in zip(names, lines, strict=True):
            assert name in line

    def test_wrong_calls(self, call, model, library) -> None:
        for wrong, said in (
            (("--format", "xml"), "table, json or csv, got 'xml'"),
            (("--model", "none.onnx"), "Cannot read the model none.onnx"),
            (("--model", "jazzy"), "model of default, default-filtered"),
            (("--jobs", "0"), "greater than or equal"),
        ):
            status, out, err = call("classify", library / "b.wav", *wrong)
            assert status in (1, 2)
            assert out == ""
            assert said in err
            assert "Traceback" not in err

    def test_jobs_do_not_change_what_is_said(self, call, model, library) -> None:
        said = [
            call("classify", library, "--model", model, "--jobs", n, "--format", "json")[1]
            for n in ("1", "4")
        ]
        assert said[0] == said[1]


def test_a_library_of_many_formats(call, shared_data: Path) -> None:
    """Every file of it is heard, by the model that ships; which genre is nobody's to check."""
    folder = shared_data / "library"
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) == 17
    status, out, err = call("classify", folder, "--format", "json", "--top", "1")
    assert (status, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert sorted(Path(r["path"]).name for r in records) == files
    assert all(len(r["ranked"]) == 1 for r in records)
    assert sum(r["genre"] is not None for r in records) >= 3


@pytest.mark.parametrize(("given", "wanted"), [(None, 1), ("2", 2)])
def test_products_of_frames_take_one_thread(model, library, given, wanted) -> None:
    """More of them double the processor's time of a file; NumPy must not have been imported yet."""
    program = """
import sys, threadpoolctl
from ostinato.cli.main import main
try:
    main(["classify", *sys.argv[1:], "--format", "csv"])
except SystemExit:
    import numpy
    print(*(i["num_threads"] for i in threadpoolctl.threadpool_info() if "numpy" in i["filepath"]))
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment |= {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    result = subprocess.run(
        [sys.executable, "-c", program, str(library / "b.wav"), "--model", str(model)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [int(n) for n in result.stdout.splitlines()[-1].split()]
    if not found:
        pytest.skip("NumPy has another library than OpenBLAS here")
    assert found == [wanted] * len(found)
