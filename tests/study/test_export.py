"""From a study to a file that listens: what it says is what the trained model says."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

from ostinato import models
from ostinato.audio import load_audio
from ostinato.cli import main as cli
from ostinato.errors import DataError, UsageError
from ostinato.evaluation import apply_temperature, calibration
from ostinato.features import cut, frames
from ostinato.inference.classifier import Classifier
from ostinato.inference.registry import load_graph
from ostinato.models.export import model_file as listening
from ostinato.study import export
from ostinato.study.config import StudyConfig
from ostinato.study.plan import load_data, plan_study
from ostinato.study.results import parse_results
from ostinato.study.study import run_study
from ostinato.training.settings import TrainingSettings
from tests.helpers.sounds import RATE_HZ

WINDOW = {"length": 24, "hop": 12}


def sound(path: Path, pitch_hz: float, seed: int, seconds: float = 2.5) -> None:
    random = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    beat = 1 + np.sin(2 * np.pi * random.uniform(1, 4) * np.arange(n) / RATE_HZ)
    y = np.sin(2 * np.pi * pitch_hz * np.arange(n) / RATE_HZ) * beat + random.normal(size=n) * 0.3
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * y, RATE_HZ)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study of two solved models on made-up sounds; its folder, beside the cache of frames."""
    root = tmp_path_factory.mktemp("export")
    for genre, pitch_hz in (("low", 150.0), ("middle", 600.0), ("high", 2400.0)):
        for i in range(7):
            sound(root / "data" / genre / f"{i}.wav", pitch_hz, seed=int(pitch_hz) + i)
    config = StudyConfig(
        data=str(root / "data"), models=("baseline",), split="holdout", seeds=1,
        coefficients=8,
        training=TrainingSettings(window_frames=24, window_hop=12),
        settings={"baseline": {"modulation_bands": 4}},
    )  # fmt: skip
    corpus = load_data(config, cache=root / "cache", jobs=1)
    run_study(plan_study(config, corpus, root / "run"), jobs=1, report=False)
    return root / "run"


@pytest.fixture(scope="module")
def trained_twice(finished) -> Path:
    """A study of two trainings of a small network on the same sounds."""
    config = StudyConfig(
        data=str(finished.parent / "data"), models=("lstm",), split="holdout", seeds=2,
        coefficients=8,
        training=TrainingSettings(epochs=2, window_frames=24, window_hop=12),
        settings={"lstm": {"width": 4, "depth": 1, "texture_frames": 4}},
    )  # fmt: skip
    corpus = load_data(config, cache=finished.parent / "cache", jobs=1)
    run_study(plan_study(config, corpus, finished.parent / "twice"), jobs=1, report=False)
    return finished.parent / "twice"


def exported(run: Path, to: Path, **changes) -> Path:
    export.export_run(run, to, cache=run.parent / "cache", jobs=1, **changes)
    return to


@pytest.fixture(scope="module")
def written(finished) -> Path:
    return exported(finished, finished.parent / "model.onnx", licence="CC0", version="3")


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """The study, to be damaged."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.copytree(finished.parent / "cache", tmp_path / "cache")
    return tmp_path / "run"


class TestFile:
    def test_what_it_says_is_what_the_trained_model_says(self, finished, written) -> None:
        trained, info = models.load(finished / "models" / "baseline" / "seed0-fold0")
        classifier = Classifier.load(written)
        for path in sorted((finished.parent / "data").rglob("*.wav"))[::4]:
            windows = cut(frames(load_audio(path), info.spec), **WINDOW)
            with torch.no_grad():
                each = torch.softmax(trained(torch.from_numpy(windows)), dim=1).double().numpy()
            wanted = apply_temperature(each.mean(axis=0), classifier.info.temperature)
            got = dict(classifier.classify(path).ranked)
            np.testing.assert_allclose([got[g] for g in info.genres], wanted, atol=1e-4)

    def test_it_knows_all_that_the_study_knows(self, finished, written) -> None:
        results = json.loads((finished / "results.json").read_text())
        of_model = results["models"]["baseline"]
        info = load_graph(written).info
        assert info.temperature == of_model["confidence"]["temperature"]
        assert info.threshold is None  # too few recordings for any
        accuracy = of_model["test_accuracy"]
        assert info.accuracy["mean"] == accuracy["mean"]
        assert (info.accuracy["low"], info.accuracy["high"]) == (accuracy["low"], accuracy["high"])
        assert info.accuracy["n"] == results["split"]["folds"][0]["parts"]["test"]["n"]
        assert info.accuracy["protocol"].startswith("data, split holdout, test part")
        assert (info.licence, info.version) == ("CC0", "3")
        assert info.provenance["split"] == "holdout"
        assert info.provenance["parameters"] == of_model["parameters"]
        assert info.provenance["train"] == results["split"]["folds"][0]["parts"]["train"]["n"]

    def test_it_knows_of_how_many_trials_of_a_search_it_is_the_best(self, copied, written) -> None:
        config = copied / "config.toml"
        config.write_text(f"chosen_from = 40\n{config.read_text()}")
        chosen = load_graph(exported(copied, copied.parent / "chosen.onnx")).info
        assert chosen.provenance["chosen_from"] == 40
        assert "chosen_from" not in load_graph(written).info.provenance

    def test_the_threshold_of_the_target_precision(self, finished) -> None:
        values = json.loads((finished / "results.json").read_text())
        rows = values["models"]["baseline"]["confidence"]["abstaining"]
        for row, threshold in zip(rows, (0.4, 0.5, None), strict=True):
            point = threshold and {"threshold": threshold, "coverage": 0.5, "precision": 0.9}
            row["seeds"] = [point]
        results = parse_results(json.dumps(values))
        for precision, wanted in ((0.7, (0.4, 0.7)), (0.8, (0.5, 0.8)), (0.9, (None, None))):
            told = export.confidence_of(results, "baseline", precision=precision, seed=0)
            assert (told.threshold, told.precision) == wanted
        with pytest.raises(UsageError, match=r"--precision of 0.7, 0.8, 0.9, got 0.85"):
            export.confidence_of(results, "baseline", precision=0.85, seed=0)

    def test_a_training_has_its_own_figures_and_not_the_mean(self, trained_twice, tmp_path) -> None:
        """Accuracy by hand from the predictions; temperature by hand from its valid verdicts."""
        values = json.loads((trained_twice / "results.json").read_text())
        rows = values["models"]["lstm"]["confidence"]["abstaining"]
        points = [{"threshold": t, "coverage": 0.5, "precision": 0.9} for t in (0.4, 0.6)]
        rows[1]["seeds"] = points
        results = parse_results(json.dumps(values))
        test = predicted(trained_twice, "test")
        temperatures = values["models"]["lstm"]["confidence"]["temperatures"]
        assert temperatures[0] != temperatures[1]
        for seed in (0, 1):
            told = export.confidence_of(results, "lstm", precision=0.8, seed=seed)
            assert (told.threshold, told.temperature) == ((0.4, 0.6)[seed], temperatures[seed])
            info = load_graph(exported(trained_twice, tmp_path / "one.onnx", seed=seed)).info
            truth, probabilities = predicted(trained_twice, "valid")[seed]
            assert info.temperature == pytest.approx(
                calibration.fit_temperature(truth, probabilities), rel=1e-3
            )
            truth, probabilities = test[seed]
            right = probabilities.argmax(axis=1) == truth
            assert info.accuracy["mean"] == pytest.approx(right.mean())
            assert info.accuracy["low"] <= right.mean() <= info.accuracy["high"]
            assert f"the training of seed {seed};" in info.accuracy["protocol"]

    def test_the_distance_of_nearly_every_held_out_track_is_within(self, finished, written) -> None:
        """And noise is not: the data are tones."""
        classifier = Classifier.load(written)
        noise = np.random.default_rng(0).normal(size=3 * RATE_HZ) * 0.1
        assert classifier.classify(waveform=noise, sample_rate_hz=RATE_HZ).genre is None
        for path in (finished.parent / "data").rglob("*.wav"):
            assert classifier.classify(path).distance < classifier.info.novelty_threshold * 1.5

    def test_another_graph_is_never_written(self, finished, tmp_path, monkeypatch) -> None:
        """A graph that does not say what the model says leaves the old file as it was."""
        to = tmp_path / "m.onnx"
        to.write_bytes(b"old")
        real = listening.to_onnx

        def damaged(model, *, window_frames):
            graph = real(model, window_frames=window_frames)
            for tensor in graph.graph.initializer:
                if tensor.name.endswith("bias"):
                    values = np.frombuffer(tensor.raw_data, np.float32)
                    tensor.raw_data = (values + np.float32(0.01)).tobytes()
            return graph

        monkeypatch.setattr(listening, "to_onnx", damaged)
        with pytest.raises(DataError, match="between PyTorch and ONNX Runtime; nothing was"):
            exported(finished, to)
        assert to.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [to]


@pytest.fixture(scope="module")
def of_sound(finished) -> Path:
    return exported(finished, finished.parent / "sound.onnx", front_end=True)


class TestFrontEnd:
    def test_sound_in_and_the_same_probabilities_out(self, of_sound, written, tmp_path) -> None:
        """With ONNX Runtime alone: NumPy makes no more than the batch."""
        session = onnxruntime.InferenceSession(of_sound, providers=["CPUExecutionProvider"])
        info = json.loads(session.get_modelmeta().custom_metadata_map["ostinato"])
        assert info["takes"] == "waveform"
        sounds = []
        for i, pitch_hz in enumerate((150.0, 700.0, 2000.0)):
            sound(tmp_path / "a.wav", pitch_hz, seed=i, seconds=30)
            sounds.append(load_audio(tmp_path / "a.wav"))
        for batch in (sounds, sounds[:1]):
            probabilities, distances = session.run(None, {"waveform": np.stack(batch)})
            assert probabilities.shape == (len(batch), 3)
            for row, distance, one in zip(probabilities, distances, batch, strict=True):
                verdict = Classifier.load(written).classify(waveform=one, sample_rate_hz=RATE_HZ)
                wanted = dict(verdict.ranked)
                np.testing.assert_allclose(row, [wanted[g] for g in info["genres"]], atol=1e-3)
                assert distance == pytest.approx(verdict.distance, rel=1e-3)

    def test_ostinato_itself_takes_the_other_kind(self, of_sound) -> None:
        with pytest.raises(UsageError, match="export it without --with-front-end"):
            Classifier.load(of_sound)


class TestRefusals:
    def test_no_study(self, tmp_path) -> None:
        with pytest.raises(
            UsageError, match=r"finished study .*, got none: it has no results.json"
        ):
            exported(tmp_path, tmp_path / "m.onnx")

    @pytest.mark.parametrize("text", ["{", "[]", '{"models": 3}'])
    def test_damaged_results(self, copied, tmp_path, text) -> None:
        (copied / "results.json").write_text(text)
        with pytest.raises(DataError, match=r"results\.json"):
            exported(copied, tmp_path / "m.onnx")

    def test_the_data_are_loaded_as_is_asked(self, finished, tmp_path, monkeypatch) -> None:
        def load(config, **options):
            assert options == {"cache": tmp_path, "jobs": 3, "progress": print}
            raise DataError("seen")

        monkeypatch.setattr(export, "load_data", load)
        with pytest.raises(DataError, match="seen"):
            export.export_run(finished, tmp_path / "x.onnx", cache=tmp_path, jobs=3, progress=print)

    def test_what_the_study_has_not(self, finished, tmp_path) -> None:
        for wrong, said in (
            ({"model": "lstm"}, "--model of this study, baseline; got 'lstm'"),
            ({"seed": 1}, "--seed below 1"),
            ({"fold": 1}, "--fold below 1"),
        ):
            with pytest.raises(UsageError, match=said):
                exported(finished, tmp_path / "m.onnx", **wrong)
        assert not (tmp_path / "m.onnx").exists()

    def test_data_that_have_changed_since(self, copied, tmp_path) -> None:
        """Novelty fitted on other data than the model learned from would mean nothing."""
        data = tmp_path / "data"
        shutil.copytree(finished_data(copied), data)
        sound(data / "low" / "9.wav", 170, seed=9)
        text = (copied / "config.toml").read_text()
        old = str(finished_data(copied))
        (copied / "config.toml").write_text(text.replace(old, str(data)))
        with pytest.raises(DataError, match="have changed since"):
            exported(copied, tmp_path / "m.onnx")


def predicted(run: Path, part: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and probabilities of each seed of a study's only model, from predictions.csv."""
    with (run / "predictions.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    genres = header[7:]
    found = []
    for seed in ("0", "1"):
        own = [row for row in rows if (row[header.index("part")], row[5]) == (part, seed)]
        labels = np.array([genres.index(row[header.index("genre")]) for row in own])
        found.append((labels, np.array([[float(p) for p in row[7:]] for row in own])))
    return found


def finished_data(run: Path) -> Path:
    results = json.loads((run / "results.json").read_text())
    return Path(results["config"]["data"])


class TestCommand:
    def call(self, capsys, *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return (left.value.code or 0), captured.out, captured.err

    def test_export_and_listen(self, capsys, finished, tmp_path) -> None:
        to = tmp_path / "m.onnx"
        cache = finished.parent / "cache"
        status, out, err = self.call(
            capsys, "export", finished, "--to", to, "--cache", cache, "--jobs", "1"
        )
        assert (status, err) == (0, "")
        assert out.startswith(str(to))
        assert "agree to" in out
        path = finished.parent / "data" / "high" / "0.wav"
        status, out, _ = self.call(capsys, "classify", path, "--model", to, "--format", "json")
        assert status == 0
        assert json.loads(out)["ranked"][0]["genre"] == "high"

    def test_no_study_is_one_sentence(self, capsys, tmp_path) -> None:
        status, out, err = self.call(capsys, "export", tmp_path, "--to", tmp_path / "m.onnx")
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert "results.json" in err


class TestEnsemble:
    def test_it_says_the_mean_of_what_the_trainings_say(self, trained_twice, tmp_path) -> None:
        graph = load_graph(exported(trained_twice, tmp_path / "both.onnx", seed=None))
        x = np.random.default_rng(0).normal(size=(3, 24, 8)).astype(np.float32)
        folders = [trained_twice / "models" / "lstm" / f"seed{seed}-fold0" for seed in (0, 1)]
        with torch.no_grad():
            said = [models.load(f)[0](torch.from_numpy(x)).softmax(dim=1).numpy() for f in folders]
        assert np.abs(said[0] - said[1]).max() > 1e-3  # two trainings, two opinions
        ours = torch.from_numpy(graph.run(x)[0]).softmax(dim=1).numpy()
        np.testing.assert_allclose(ours, (said[0] + said[1]) / 2, atol=1e-5)

    def test_its_figures_are_those_of_the_ensemble(self, trained_twice, tmp_path, capsys) -> None:
        to, cache = tmp_path / "both.onnx", trained_twice.parent / "cache"
        arguments = ["export", str(trained_twice), "--ensemble", "--to", str(to)]
        with pytest.raises(SystemExit) as left:
            cli.main([*arguments, "--cache", str(cache)])
        assert not left.value.code
        assert "agree to" in capsys.readouterr().out
        info = load_graph(to).info
        results = json.loads((trained_twice / "results.json").read_text())["models"]["lstm"]
        assert info.temperature == results["ensemble_confidence"]["temperature"]
        assert info.accuracy["mean"] == results["ensemble"]["test"]["accuracy"]
        assert "ensemble of 2 trainings" in info.accuracy["protocol"]
        assert info.provenance["seed"] == [0, 1]
        assert info.provenance["parameters"] == 2 * results["parameters"]

    def test_one_seed_is_no_ensemble(self, trained_twice, tmp_path, capsys) -> None:
        arguments = ["export", str(trained_twice), "--ensemble", "--seed", "1", "--to"]
        with pytest.raises(SystemExit) as left:
            cli.main([*arguments, str(tmp_path / "both.onnx")])
        assert left.value.code == UsageError.exit_status
        assert "or one --seed; got both" in capsys.readouterr().err
        assert not (tmp_path / "both.onnx").exists()

    def test_a_study_that_did_not_judge_ensembles_is_refused(self, trained_twice) -> None:
        results = json.loads((trained_twice / "results.json").read_text())
        del results["models"]["lstm"]["ensemble_confidence"]
        with pytest.raises(DataError, match=r"ensemble_confidence.*run the study again"):
            parse_results(json.dumps(results))
