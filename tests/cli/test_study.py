"""``ostinato study``: what a person types, what they see, and the exit status."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.features import FeatureSpec
from ostinato.storage import WriteError
from ostinato.study import entry, study

TINY = """
models = ["lstm"]
seeds = 1
[training]
epochs = 2
batch_size = 16
window_frames = 24
window_hop = 24
[settings.lstm]
width = 4
depth = 1
texture_frames = 4
[settings.residual-lstm]
width = 4
depth = 1
texture_frames = 4
"""


@pytest.fixture
def tiny(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def noise(path: Path, seconds: float = 3.0, pitch: float = 1.0) -> None:
    random = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    y = np.cumsum(random.normal(size=int(seconds * 22050))) * pitch + random.normal(
        size=int(seconds * 22050)
    )
    soundfile.write(path, 0.1 * y / np.abs(y).max(), 22050)


def make_collection(folder: Path, counts: dict[str, int]) -> Path:
    for k, (genre, n) in enumerate(counts.items()):
        for i in range(n):
            noise(folder / genre / f"track {i}.wav", 2.5 + i / 10, pitch=k * 5.0)
    return folder


def one_sentence(text: str) -> bool:
    """One line, and no traceback."""
    return text.count("\n") == 1 and "Traceback" not in text


def test_help_names_every_option(call) -> None:
    status, out, _ = call("study", "--help")
    assert status == 0
    for word in (
        "--data",
        "--frames",
        "--models",
        "--split",
        "--shares",
        "--repeats",
        "--seeds",
        "--no-test",
        "--out",
        "Examples",
    ):
        assert word in out


def test_a_study_of_the_shipped_frames(call, tiny) -> None:
    status, out, _ = call("study", tiny, "--jobs", "1", "--models", "lstm,residual-lstm")
    assert status == 0
    assert "ResLSTM" in out
    report = Path(re.search(r"Report: (.+report\.html)", out)[1])
    assert report.is_file()
    results = json.loads((report.parent / "results.json").read_text())
    assert results["split"]["name"] == "fault-filtered"
    assert results["split"]["folds"][0]["parts"]["train"]["n"] == 442
    assert list(results["models"]) == ["lstm", "residual-lstm"]


def test_a_study_of_a_folder_names_what_it_passes_over(call, tiny, tmp_path) -> None:
    folder = make_collection(tmp_path / "music", {"drone": 5, "hiss": 5, "rare": 2})
    (folder / "drone" / "broken.wav").write_text("this is not sound")
    status, _, err = call(
        "study", tiny, "--data", folder, "--jobs", "1", "--cache", tmp_path / "cache",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    assert "Passed over: drone/broken.wav" in err
    assert "Left out: genre 'rare' has 2 usable recordings" in err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["data"]["genres"] == ["drone", "hiss"]
    assert results["data"]["left_out"] == {"rare": 2}
    assert results["data"]["skipped"][0]["id"] == "drone/broken.wav"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "drone/broken.wav" in page
    assert "rare" in page


def test_a_study_of_mel_bands_says_which_they_are(call, tiny, tmp_path) -> None:
    for frames, described in (
        ("log-mel-from-mfcc", "128 mel bands smoothed by 40 MFCC, every 77.5 ms"),
        ("log-mel", "128 mel bands, every 77.5 ms"),
    ):
        music = tmp_path / "music"
        if not music.is_dir():
            make_collection(music, {"drone": 4, "hiss": 4})
        status, _, err = call(
            "study", tiny, "--data", music, "--frames", frames, "--jobs", "1",
            "--cache", tmp_path / "cache", "--out", tmp_path / frames,
        )  # fmt: skip
        assert status == 0, err
        results = json.loads((tmp_path / frames / "results.json").read_text())
        assert results["data"]["frames"] == described
        assert results["config"]["frames"] == frames
        assert described in (tmp_path / frames / "report.html").read_text()


def test_a_study_of_a_file_of_mel_frames(call, tiny, tmp_path) -> None:
    ids = [f"{genre}.{i:05d}" for genre in ("blues", "pop") for i in (0, 15, 30, 45, 60, 75, 90)]
    mel = np.random.default_rng(0).integers(0, 256, (len(ids), 128, 48), dtype=np.uint8)
    genres = [name.split(".")[0] for name in ids]
    np.savez(tmp_path / "mel.npz", mel=mel, track_id=np.array(ids), genre=np.array(genres))
    for frames, width in (("mfcc", 60), ("log-mel", 128)):
        text = tiny.read_text().replace(
            "seeds = 1", f"seeds = 1\ncoefficients = 60\nframes = '{frames}'"
        )
        study_file = tmp_path / f"{frames}.toml"
        study_file.write_text(text)
        status, _, err = call(
            "study", study_file, "--data", tmp_path / "mel.npz", "--split", "holdout",
            "--jobs", "1", "--out", tmp_path / frames,
        )  # fmt: skip
        assert status == 0, err
        results = json.loads((tmp_path / frames / "results.json").read_text())
        assert results["data"]["source"] == "mel.npz"
        assert results["data"]["n_recordings"] == len(ids)
        assert results["data"]["artists_known"]
        weights = tmp_path / frames / "models" / "lstm" / "seed0-fold0" / "model.json"
        assert FeatureSpec.from_dict(json.loads(weights.read_text())["spec"]).n_features == width


def test_a_study_of_a_table_keeps_its_artists_apart(call, tiny, tmp_path) -> None:
    make_collection(tmp_path / "music", {"drone": 10, "hiss": 10})
    rows = [
        f"music/{genre}/track {i}.wav;{genre};{genre} artist {i // 2};1930"
        for genre in ("drone", "hiss")
        for i in range(10)
    ]
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["Path;Genre;Artist;Year", *rows, "music/drone/no.wav;drone;;"]))
    status, _, err = call(
        "study", tiny, "--data", table, "--shares", "40/20/40", "--jobs", "1",
        "--cache", tmp_path / "cache", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0, err
    assert err.count("Columns of the table that are not used: Year.") == 1
    assert "Passed over: music/drone/no.wav" in err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["data"]["name"] == "mine"
    assert results["data"]["artists_known"]
    assert results["config"]["shares"] == {"train": 0.4, "valid": 0.2, "test": 0.4}
    assert results["split"]["name"] == "holdout"
    (fold,) = results["split"]["folds"]
    assert {part: facts["n"] for part, facts in fold["parts"].items()} == {
        "train": 8, "valid": 4, "test": 8,
    }  # fmt: skip
    assert fold["shared_artists"] == {"valid": 0, "test": 0}


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--models", "gru"], 2, "Expected models of lstm, residual-lstm, conv-lstm, "),
        (["--models", "lstm,lstm"], 2, "each once"),
        (["--frames", "mel"], 2, "frames: expected one of mfcc, log-mel-from-mfcc, log-mel"),
        (["--frames", "log-mel"], 2, "give the audio (ostinato fetch gtzan, then --data DIR)"),
        (["--data", "none.npz"], 2, "'none.npz', which does not exist"),
        (["--split", "segments"], 2, "split: expected one of"),
        (["--split", "artist-holdout"], 2, "split: expected one of"),
        (["--shares", "80/20"], 2, "percentages of train, valid, test with sum 100"),
        (["--shares", "80/10/10"], 2, "but the split is 'fault-filtered'"),
        (["--repeats", "2"], 2, "repeats: only folds that are drawn"),
        (["nothing.toml"], 2, "Cannot read the study nothing.toml"),
        (["empty"], 2, "got the folder empty: ostinato study --data empty"),
        (["two.tsv"], 2, "got the collection two.tsv: ostinato study --data two.tsv"),
        (["--accelerator", "mps"], 2, "--accelerator mps: expected a GPU, but PyTorch"),
        (["--data", "no/such/folder"], 2, "no/such/folder"),
        (["--data", "none.csv"], 2, "Cannot read the table 'none.csv'"),
        (["--data", "two.tsv"], 1, "The table 'two.tsv', line 2: the genre is empty."),
        (["--data", "far.csv"], 1, "None of the 1 files that the table 'far.csv' names exists"),
        (["--data", "empty"], 1, "empty"),
        (["--data", "one"], 1, "genre"),
    ],
)
def test_a_wrong_call_is_one_sentence(call, tmp_path, arguments, status, sentence) -> None:
    (tmp_path / "empty").mkdir()
    make_collection(tmp_path / "one", {"drone": 4})
    (tmp_path / "two.tsv").write_text("path\tgenre\nmusic/a.wav\t\n")
    (tmp_path / "far.csv").write_text("path,genre\nmusic/a.wav,drone\n")
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    got, out, err = call("study", *arguments, "--cache", tmp_path / "cache")
    assert got == status
    assert sentence in err
    assert one_sentence(err), err
    assert out == ""
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before


def test_an_option_of_a_wrong_type_has_status_2(call) -> None:
    assert call("study", "--seeds", "many")[0] == 2
    assert call("study", "--seeds", "0")[0] == 2
    assert call("study", "--colour", "red")[0] == 2


def test_two_genres_are_enough(call, tiny, tmp_path) -> None:
    folder = make_collection(tmp_path / "music", {"drone": 4, "hiss": 4})
    status, out, _ = call(
        "study", tiny, "--data", folder, "--jobs", "1", "--cache", tmp_path / "cache"
    )
    assert status == 0
    assert "LSTM" in out


def test_a_folder_that_cannot_be_written_is_one_sentence(call, tiny, tmp_path) -> None:
    (tmp_path / "taken").write_text("a file, where a folder should be")
    status, _, err = call("study", tiny, "--out", tmp_path / "taken" / "study", "--jobs", "1")
    assert status == 1
    assert "Cannot write" in err
    assert one_sentence(err)


def test_a_full_disk_is_one_sentence(call, tiny, monkeypatch) -> None:
    def full(*arguments, **options):
        raise WriteError("Cannot write results.json: the disk is full. Free it.")

    monkeypatch.setattr(entry, "run_study", full)
    status, _, err = call("study", tiny)
    assert (status, err) == (1, "ostinato: Cannot write results.json: the disk is full. Free it.\n")


def test_a_disk_that_fills_up_under_a_library_is_one_sentence(call, tiny, monkeypatch) -> None:
    """Lightning and matplotlib write by themselves, and raise what the system raises."""

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "s/last.ckpt")

    monkeypatch.setattr(study, "execute", full)
    status, _, err = call("study", tiny, "--jobs", "1")
    assert status == 1
    assert "No space left on device (s/last.ckpt)" in err
    assert one_sentence(err)


def test_ctrl_c_keeps_what_was_done_and_the_same_command_resumes(tiny, tmp_path) -> None:
    """A real process with two workers, interrupted while it trains, as a person would."""
    longer = TINY.replace("epochs = 2", "epochs = 10\ncurve_every = 100")
    tiny.write_text(longer.replace("seeds = 1", "seeds = 2"))
    command = [
        sys.executable, "-m", "ostinato", "study", str(tiny), "--out", "s", "--jobs", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "s").glob("models/*/*/last.ckpt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to every process of the group
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same again to resume" in err
    assert "Traceback" not in err
    assert not (tmp_path / "s" / "results.json").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "Report:" in again.stdout


@pytest.mark.parametrize("module", ["torch", "lightning"])
def test_a_missing_extra_is_the_pip_line(call, monkeypatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    status, _, err = call("study")
    assert status == 1
    assert 'pip install "ostinato[train]"' in err
    assert one_sentence(err)
