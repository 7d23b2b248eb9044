"""Logs of a study for TensorBoard and MLflow, read back with their own readers."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ostinato.errors import MissingExtraError, UsageError
from ostinato.storage import WriteError
from ostinato.study import entry
from ostinato.study.config import StudyConfig
from ostinato.study.tracking import Tracked, check_tracker, study_runs, track
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
CONFIG = StudyConfig(
    models=("lstm", "baseline"),
    seeds=1,
    training=QUICK,
    settings={"lstm": {"width": 8, "depth": 1, "texture_frames": 4}},
    coefficients=4,
)
RUN = "lstm/seed0-fold0"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study with both logs, in a folder whose name an address would spell otherwise."""
    folder = tmp_path_factory.mktemp("logged") / "a 50% #1 ü" / "a study"
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "load_data", lambda config, **_: CORPUS)
        for tracker in ("tensorboard", "mlflow"):
            result = entry.run(CONFIG, out=folder, jobs=1, log=tracker, tell=told.append)
    assert told == [
        f"Logged for tensorboard in {folder / 'tensorboard'}.",
        f"Logged for mlflow in {folder.parent / 'mlflow'}.",
    ]
    return result


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of curves.csv, which stays, by column."""
    with (folder / "models" / RUN / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [(int(row["epoch"]), float(row[name])) for row in rows if row[name]]
        for name in rows[0]
        if name != "epoch"
    }


@pytest.fixture(scope="module")
def read(done):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def accumulated(name: str) -> EventAccumulator:
        everything = dict.fromkeys(("tensors", "scalars", "images", "histograms"), 0)
        found = EventAccumulator(str(done.folder / "tensorboard" / name), everything)
        return found.Reload()

    return accumulated


@pytest.fixture(scope="module")
def client(done):
    import mlflow

    store = done.folder.parent / "mlflow" / "mlflow.db"
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}")


@pytest.fixture(scope="module")
def logged(client):
    key = client.get_experiment_by_name("a study").experiment_id
    return {run.info.run_name: run for run in client.search_runs([key])}


class TestTensorBoard:
    def test_curves_are_those_of_the_file(self, done, read) -> None:
        events = read(RUN)
        for name, points in curves(done.folder).items():
            logged = [(e.step, e.value) for e in events.Scalars(f"curves/{name}")]
            assert [step for step, _ in logged] == [epoch for epoch, _ in points]
            np.testing.assert_allclose([v for _, v in logged], [v for _, v in points], rtol=1e-6)
        assert len(curves(done.folder)["objective"]) == QUICK.epochs

    def test_metrics_and_settings_are_there(self, done, read) -> None:
        from tensorboard.util import tensor_util

        accuracy = done.results.models["lstm"].runs[0].parts["test"].accuracy
        (event,) = read(RUN).Scalars("metrics/test_accuracy")
        assert event.value == pytest.approx(accuracy)
        (text,) = read(RUN).Tensors("settings/text_summary")
        (table,) = tensor_util.make_ndarray(text.tensor_proto)
        assert b"| training.epochs | 4 |" in table
        assert b"| versions.torch | " in table
        mean = done.results.models["lstm"].accuracy("valid").mean
        (whole,) = read("study").Scalars("metrics/lstm/valid_accuracy")
        assert whole.value == pytest.approx(mean)

    def test_weights_are_those_of_the_file(self, done, read) -> None:
        from tensorboard.util import tensor_util

        events = read(RUN)
        weights = load_file(done.folder / "models" / RUN / "weights.safetensors")
        assert len(weights) > 5
        for name, values in weights.items():
            (kept,) = events.Tensors(f"weights/{name}")
            np.testing.assert_array_equal(tensor_util.make_ndarray(kept.tensor_proto), values)
            assert f"weights/{name}/histogram" in events.Tags()["histograms"]

    def test_figures_are_those_of_the_report(self, done, read) -> None:
        events = read("study")
        figures = sorted((done.folder / "figures").glob("*.png"))
        assert sorted(events.Tags()["images"]) == [path.stem for path in figures]
        for path in figures:
            (kept,) = events.Images(path.stem)
            with Image.open(path) as image:
                assert (kept.width, kept.height) == image.size

    def test_the_same_again_adds_nothing(self, done, read) -> None:
        track(study_runs(done.results, done.folder), "tensorboard", done.folder)
        assert len(read(RUN).Scalars("metrics/test_accuracy")) == 1
        assert len(read(RUN).Scalars("curves/objective")) == QUICK.epochs


class TestMLflow:
    def test_each_training_is_a_run_of_the_studys_experiment(self, logged) -> None:
        assert set(logged) == {"study", RUN, "baseline/seed0-fold0"}
        assert {run.info.status for run in logged.values()} == {"FINISHED"}

    def test_settings_metrics_and_curves_are_there(self, done, client, logged) -> None:
        run = logged[RUN]
        assert run.data.params["training.epochs"] == "4"
        assert run.data.params["settings.width"] == "8"
        assert run.data.params["seed"] == "0"
        assert run.data.params["versions.numpy"] == np.__version__
        parts = done.results.models["lstm"].runs[0].parts
        assert run.data.metrics["test_accuracy"] == parts["test"].accuracy
        for name, points in curves(done.folder).items():
            history = client.get_metric_history(run.info.run_id, f"curves/{name}")
            assert sorted((m.step, m.value) for m in history) == points
        whole = logged["study"].data.metrics
        assert whole["lstm/test_macro_f1"] == done.results.models["lstm"].macro_f1("test").mean

    def test_model_and_figures_come_back_as_they_are(self, done, client, logged, tmp_path) -> None:
        got = client.download_artifacts(logged[RUN].info.run_id, "files", str(tmp_path))
        for name in ("weights.safetensors", "model.json"):
            kept = (done.folder / "models" / RUN / name).read_bytes()
            assert (Path(got) / name).read_bytes() == kept
        figures = client.list_artifacts(logged["study"].info.run_id, "figures")
        names = {Path(file.path).name for file in figures}
        assert names == {path.name for path in (done.folder / "figures").iterdir()}

    def test_the_same_again_adds_nothing_and_what_is_new_takes_its_place(
        self, done, client, logged
    ) -> None:
        runs = study_runs(done.results, done.folder)
        changed = [replace(runs[0], metrics={**runs[0].metrics, "more": 0.5}), *runs[1:]]
        track(changed, "mlflow", done.folder)
        key = logged["study"].info.experiment_id
        now = {run.info.run_name: run.info.run_id for run in client.search_runs([key])}
        was = {name: run.info.run_id for name, run in logged.items()}
        assert set(now) == set(was)
        assert [name for name in now if now[name] != was[name]] == ["study"]


class TestWrongCalls:
    def test_another_tracker_is_refused_before_anything_is_trained(self, call) -> None:
        status, out, err = call("study", "--log", "wandb")
        assert (status, out) == (2, "")
        assert err == "ostinato: Expected --log tensorboard or mlflow, got 'wandb'.\n"

    @pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
    def test_a_missing_extra_is_the_pip_line(self, monkeypatch, name: str) -> None:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[tracking\]"'):
            check_tracker(name)

    @pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
    def test_a_place_that_cannot_be_written_is_one_sentence(self, tmp_path, name: str) -> None:
        (tmp_path / "taken").write_text("a file")
        run = Tracked(name="a", settings={"b": 1}, metrics={"c": 0.5})
        with pytest.raises((WriteError, UsageError), match="Cannot write the log of"):
            track([run], name, tmp_path / "taken" / "study")

    def test_a_path_that_mlflow_would_cut_short_is_refused(self, tmp_path) -> None:
        run = Tracked(name="a", settings={"b": 1}, metrics={"c": 0.5})
        with pytest.raises(UsageError, match=r"a folder without '\?' for MLflow, got .*/what\?/ml"):
            track([run], "mlflow", tmp_path / "what?" / "study")
        assert not (tmp_path / "what?").exists()
