"""A study once more: the same figures, or a sentence on each thing that differs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ostinato.datasets.splits import load_split
from ostinato.errors import DataError, UsageError
from ostinato.study import entry, study
from ostinato.study import training_run as runs
from ostinato.study.again import repeat
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.results import read_results
from ostinato.study.study import SPLIT, run_study
from ostinato.study.training_run import corpus_digest
from ostinato.training.versions import PACKAGES, versions
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
CONFIG = StudyConfig(
    models=("lstm", "baseline"),
    seeds=1,
    training=replace(QUICK, epochs=2),
    settings={"lstm": {"width": 8, "depth": 1, "texture_frames": 4}},
    coefficients=4,
)


@pytest.fixture(autouse=True)
def loaded(monkeypatch) -> None:
    monkeypatch.setattr(entry, "load_data", lambda config, **_: CORPUS)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "first"
    run_study(plan_study(CONFIG, CORPUS, folder), jobs=1)
    return folder


@pytest.fixture
def first(done, tmp_path) -> Path:
    """A study of one's own to change."""
    return Path(shutil.copytree(done, tmp_path / "first"))


def change(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_a_record_has_versions_seed_settings_and_the_digests_of_data_and_split(done) -> None:
    results = read_results(done)
    assert results.digests == {
        "data": corpus_digest(CORPUS),
        "split": load_split(done / SPLIT, CORPUS).digest(),
    }
    for model in results.models.values():
        (run,) = model.runs
        assert run.versions == versions()
        assert run.seed == 0
    assert results.config["training"]["epochs"] == 2
    info = json.loads((done / "models/lstm/seed0-fold0/model.json").read_text())
    assert info["provenance"]["versions"] == versions()


def test_versions_are_those_that_are_installed() -> None:
    import numpy
    import torch

    found = versions()
    assert set(PACKAGES) < set(found)
    assert (found["numpy"], found["torch"]) == (numpy.__version__, torch.__version__)
    assert "unknown" not in found.values()


def test_the_same_study_has_the_same_figures(first, monkeypatch) -> None:
    trained = []
    real = runs.execute

    def counted(task, corpus, **options):
        trained.append(task.folder)
        real(task, corpus, **options)

    monkeypatch.setattr(study, "execute", counted)
    found = repeat(first, jobs=1)
    assert found.same
    assert found.differences == ()
    assert (found.n_figures > 100, found.n_predictions) == (True, 2 * 12)
    assert found.folder == first.with_name("first-again")
    assert len(trained) == 2, "nothing of the first is taken over"
    assert not any(path.is_relative_to(first) for path in trained)
    assert repeat(first, jobs=1).folder == first.with_name("first-again-2")


def test_other_versions_are_told_beside_the_same_figures(first) -> None:
    for path in [first / "results.json", *first.rglob("run.json")]:
        change(path, f'"numpy": "{versions()["numpy"]}"', '"numpy": "1.0"')
    found = repeat(first, jobs=1)
    assert found.same
    assert found.differences == (
        f"Version of numpy: 1.0 the first time, {versions()['numpy']} now.",
    )


def test_a_study_of_before_there_were_versions_says_so(first) -> None:
    results = json.loads((first / "results.json").read_text())
    del results["digests"]
    for model in results["models"].values():
        for run in model["runs"]:
            del run["versions"]
    (first / "results.json").write_text(json.dumps(results))
    found = repeat(first, jobs=1)
    assert found.same
    assert found.differences[0].startswith("Versions: the first time none were recorded but")


def test_other_settings_are_named_with_the_figures_they_change(first) -> None:
    change(first / "config.toml", "\nepochs = 2", "\nepochs = 3")
    told: list[str] = []
    found = repeat(first, jobs=1, tell=told.append)
    assert not found.same
    assert "Setting training.epochs: 2 the first time, 3 now." in found.differences
    assert told == ["Setting training.epochs: 2 the first time, 3 now."], "before it trains"
    figures = next(s for s in found.differences if s.startswith("Figures: "))
    assert "in results.json differ: models." in figures
    assert any(s.startswith("Predictions: 12 of 24 predictions differ") for s in found.differences)


def test_other_data_are_told_by_their_digest(first, monkeypatch) -> None:
    other = replace(CORPUS, frames=[f + 0.25 * (i == 3) for i, f in enumerate(CORPUS.frames)])
    monkeypatch.setattr(entry, "load_data", lambda config, **_: other)
    found = repeat(first, jobs=1)
    now = corpus_digest(other)
    wanted = f"Digest of the data: {corpus_digest(CORPUS)} the first time, {now} now"
    assert any(s.startswith(wanted) for s in found.differences)
    assert not any("split" in s for s in found.differences)


def test_a_split_that_would_be_drawn_otherwise_is_that_of_the_first_time(first) -> None:
    """As after an update of scikit-learn: split.tsv has the last word."""
    change(first / "config.toml", "split_seed = 0", "split_seed = 5")
    found = repeat(first, jobs=1)
    assert found.same
    assert load_split(found.folder / SPLIT, CORPUS).digest() == read_results(first).digests["split"]
    assert any(s.startswith("Setting split_seed: 0 the first") for s in found.differences)


def test_a_figure_that_was_changed_by_hand_is_found(first) -> None:
    results = json.loads((first / "results.json").read_text())
    mean = results["models"]["lstm"]["test_accuracy"]["mean"]
    results["models"]["lstm"]["test_accuracy"]["mean"] = 0.987
    (first / "results.json").write_text(json.dumps(results))
    found = repeat(first, jobs=1)
    assert not found.same
    (sentence,) = found.differences
    assert sentence.startswith("Figures: 1 of ")
    assert f"models.lstm.test_accuracy.mean 0.987 the first time, {mean} now." in sentence


def test_what_is_no_finished_study_is_refused(first, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"Expected a finished study in .*none, got none"):
        repeat(tmp_path / "none")
    with pytest.raises(UsageError, match="Expected another folder than"):
        repeat(first, out=first)
    (first / "predictions.csv").unlink()
    with pytest.raises(DataError, match=r"predictions\.csv cannot be read"):
        repeat(first)


class TestCommandLine:
    def test_status_0_is_the_same_and_1_is_not(self, call, first) -> None:
        status, out, _ = call("study", "--again", first, "--jobs", "1")
        assert status == 0
        assert out.startswith("The same: ")
        assert "first-again holds the repetition" in out
        change(first / "predictions.csv", ",0.", ",0.0", 1)
        status, out, _ = call("study", "--again", first, "--jobs", "1", "--out", "other")
        assert status == 1
        assert "Predictions: 1 of 24 predictions differ" in out
        assert "Not the same" in out

    def test_other_settings_beside_it_are_refused(self, call, first) -> None:
        status, out, err = call("study", "--again", first, "--seeds", "3")
        assert (status, out) == (2, "")
        assert "no settings beside --again" in err
