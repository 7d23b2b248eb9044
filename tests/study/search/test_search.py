"""A search: what it leaves, that it is the same however it is done, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import time
import tomllib
from pathlib import Path

import numpy as np
import optuna
import pytest
from sklearn.metrics import accuracy_score, f1_score

from ostinato.datasets.gtzan import load_gtzan, published_split
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.storage import WriteError
from ostinato.study import entry
from ostinato.study import training_run as runs
from ostinato.study.config import load_config
from ostinato.study.plan import plan_study
from ostinato.study.search import run as run_module
from ostinato.study.search import search
from ostinato.study.search import trial as trial_module
from ostinato.study.search.store import NAME
from ostinato.study.search.trial import OUTCOME
from ostinato.study.training_run import PROBABILITIES, read_probabilities
from tests.helpers.forked import forked
from tests.helpers.searching import STUDY, execute, written
from tests.helpers.toy import toy_corpus

CORPUS = toy_corpus(n_frames=26)
N = 14


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(entry, "load_data", lambda config, **_: CORPUS)
    monkeypatch.setattr(trial_module, "execute", execute)
    monkeypatch.chdir(tmp_path)


def found(folder: Path, n: int = N, text: str = STUDY, **options):
    folder.mkdir(exist_ok=True)
    return search(written(folder, text), trials=n, out=folder / "out", jobs=1, **options)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "trials.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "load_data", lambda config, **_: CORPUS)
        patch.setattr(trial_module, "execute", execute)
        return found(folder), folder


def test_it_leaves_a_study_of_the_winner_that_says_how_many_trials_it_is_the_best_of(whole) -> None:
    result, folder = whole
    rows = table(folder)
    complete = [row for row in rows if row["state"] == "complete"]
    best = max(complete, key=lambda row: float(row["macro-f1"]))
    assert float(best["macro-f1"]) == result.value
    assert int(best["trial"]) == result.number
    config = load_config(result.winner)
    assert config == result.config
    assert config.training.learning_rate == float(best["training.learning_rate"])
    assert config.settings["lstm"]["pooling"] == best["settings.lstm.pooling"]
    assert config.chosen_from == sum(row["state"] != "failed" for row in rows)
    assert (config.test, config.split, config.seeds) == (False, "artist-folds", 3)
    assert result.picture is not None
    assert result.picture.read_bytes().startswith(b"\x89PNG")


def test_it_finds_what_is_best(whole) -> None:
    """The verdicts are right most often at a rate of 1e-3, without mixup."""
    result, folder = whole
    assert result.own is not None
    assert result.own == float(table(folder)[0]["macro-f1"]), "the first trial is the study itself"
    assert result.value > result.own
    assert 3e-4 < result.config.training.learning_rate < 3e-3


@pytest.mark.parametrize("objective", ["macro-f1", "accuracy"])
def test_the_objective_is_of_the_pooled_validation_folds_and_their_seeds(
    tmp_path, objective: str
) -> None:
    """Against scikit-learn, fold by fold, from the probabilities that the runs have kept."""
    text = STUDY.replace("[search]", f'[search]\nobjective = "{objective}"\nseeds = 2')
    result = found(tmp_path, 1, text)
    (row,) = table(tmp_path)
    tasks = plan_study(result.config, CORPUS, tmp_path / "out" / "trials" / "0000").tasks
    for last in range(5):
        values = []
        for seed in (0, 1):
            own = [task for task in tasks if task.seed == seed and task.fold <= last]
            said = [
                read_probabilities(task.folder / PROBABILITIES, task.parts, CORPUS.genres)["valid"]
                for task in own
            ]
            ids = [name for task in own for name in task.parts.valid]
            truth = CORPUS.labels[CORPUS.positions(ids)]
            verdicts = np.concatenate(said).argmax(axis=1)
            values.append(
                accuracy_score(truth, verdicts)
                if objective == "accuracy"
                else f1_score(truth, verdicts, average="macro")
            )
        assert float(row[f"fold_{last}"]) == pytest.approx(np.mean(values))
    assert float(row[objective]) == float(row["fold_4"]) == result.value


def test_a_hopeless_trial_is_given_up_after_a_fold(whole) -> None:
    result, folder = whole
    pruned = [row for row in table(folder) if row["state"] == "pruned"]
    assert len(pruned) == result.n_pruned > 0
    for row in pruned:
        assert row["fold_4"] == row["macro-f1"] == ""
        done = [k for k in range(5) if row[f"fold_{k}"]]
        own = folder / "out" / "trials" / f"{int(row['trial']):04d}"
        assert len(list(own.glob("models/*/*/run.json"))) == len(done) < 5


def test_a_training_that_fails_ends_its_trial_and_no_other(whole) -> None:
    result, folder = whole
    text = STUDY.replace("low = 1e-4, high = 1e-2, log = true", "low = 8e-3, high = 1e-2")
    assert result.n_failed == 0
    again = found(folder.parent / "failing", 8, text)
    rows = table(folder.parent / "failing")
    failed = [row for row in rows if row["state"] == "failed"]
    assert again.n_failed == len(failed) > 0
    assert all("The loss is nan" in row["reason"] for row in failed)
    assert again.config.chosen_from == 8 - len(failed)


def test_settings_that_cannot_be_together_fail_their_trial(tmp_path) -> None:
    text = STUDY.replace("low = 4, high = 12, step = 4", "low = 6, high = 8")
    assert found(tmp_path, 6, text).n_failed > 0
    reasons = {row["reason"] for row in table(tmp_path) if row["state"] == "failed"}
    assert all("an even width" in reason for reason in reasons)


def test_where_every_trial_fails_the_first_reason_is_told(tmp_path) -> None:
    text = STUDY.replace("low = 1e-4, high = 1e-2, log = true", "low = 9.5e-3, high = 1e-2")
    with pytest.raises(DataError, match=r"None of the 3 trials .*: lstm seed 0: The loss is nan"):
        found(tmp_path, 3, text)
    assert len(table(tmp_path)) == 3


def test_more_trials_later_are_those_of_one_call(whole, tmp_path, monkeypatch) -> None:
    """Six are a batch and a half."""
    found(tmp_path, 6)
    done = set((tmp_path / "out").rglob("run.json"))

    def only_new(task, corpus, **options):
        assert task.folder / "run.json" not in done
        execute(task, corpus, **options)

    monkeypatch.setattr(trial_module, "execute", only_new)
    found(tmp_path)
    assert table(tmp_path) == table(whole[1])


@pytest.mark.parametrize("n_runs", [3, 22])
def test_an_interrupted_search_goes_on_to_the_same_figures(
    whole, tmp_path, monkeypatch, n_runs: int
) -> None:
    left, told = n_runs, []

    def interrupted(task, corpus, **options):
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        execute(task, corpus, **options)

    monkeypatch.setattr(trial_module, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found(tmp_path, tell=told.append)
    assert told[-1].endswith("run the same again to resume.")
    monkeypatch.setattr(trial_module, "execute", execute)
    found(tmp_path)
    assert table(tmp_path) == table(whole[1])


def test_it_does_not_matter_how_many_are_done_side_by_side(whole, tmp_path) -> None:
    result = search(written(tmp_path), trials=5, out="five", jobs=2, backend="threads")
    with (tmp_path / "five" / "trials.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == table(whole[1])[:5]
    assert result.n_trials == 5


def test_a_cluster_that_does_not_see_the_folder_does_what_is_left(
    whole, tmp_path, monkeypatch
) -> None:
    """The search was interrupted at home during its second trial."""
    distributed = pytest.importorskip("distributed")
    seen = []

    def counted(task, corpus, **options):
        if len(seen) == 7:
            raise KeyboardInterrupt
        seen.append(task.folder)
        execute(task, corpus, **options)

    monkeypatch.setattr(trial_module, "execute", counted)
    with pytest.raises(KeyboardInterrupt):
        found(tmp_path, 5)
    at_home, seen[:] = len(seen), [Path(f"no folder {k}") for k in range(8)]
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        result = found(tmp_path, 5, backend=cluster.scheduler_address)
    assert table(tmp_path) == table(whole[1])[:5]
    away = seen[8:]
    assert not any(folder.is_relative_to(tmp_path) for folder in away)
    n_runs = len(list((tmp_path / "out").rglob("run.json")))
    assert at_home + len(away) == n_runs, "what was finished at home is not done again"
    assert result.n_trials == 5


def test_optuna_reads_the_store(whole) -> None:
    result, folder = whole
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{folder / 'out' / 'search.db'}")
    assert len(study.trials) == N
    assert study.best_value == result.value
    assert study.best_trial.number == result.number


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text.replace("epochs = 1", "epochs = 2"), "settings"),
        (lambda text: text.replace("high = 1}", "high = 2}"), "space"),
        (lambda text: text.replace("batch = 4", "batch = 5"), "way of choosing"),
        (lambda text: text.replace('"artist-folds"', '"song-folds"'), "split and settings"),
    ],
)
def test_a_store_of_another_search_is_refused(tmp_path, change, what: str) -> None:
    text = 'split = "artist-folds"\n' + STUDY
    found(tmp_path, 1, text)
    with pytest.raises(DataError, match=rf"is of another search \(other {what}\): choose another"):
        found(tmp_path, 1, change(text))


def test_a_store_of_other_data_is_refused(tmp_path, monkeypatch) -> None:
    found(tmp_path, 1)
    monkeypatch.setattr(entry, "load_data", lambda config, **_: toy_corpus(seed=1, n_frames=26))
    with pytest.raises(DataError, match=r"is of another search \(other data\)"):
        found(tmp_path, 1)


def test_a_store_whose_process_was_killed_as_it_began_is_taken_on(tmp_path) -> None:
    """After it had made the study, before it wrote which search that is."""
    (tmp_path / "out").mkdir()
    optuna.create_study(
        study_name=NAME, storage=f"sqlite:///{tmp_path / 'out' / 'search.db'}", direction="maximize"
    )
    assert found(tmp_path, 1).n_trials == 1
    with pytest.raises(DataError, match="is of another search"):
        found(tmp_path, 1, STUDY.replace("epochs = 1", "epochs = 2"))


def test_what_is_no_store_of_a_search_is_refused(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    store = tmp_path / "out" / "search.db"
    optuna.create_study(study_name="mine", storage=f"sqlite:///{store}")
    with pytest.raises(DataError, match=r"an Optuna store of something else \('mine'\)"):
        found(tmp_path, 1)
    store.write_bytes(b"this is no database, and long enough to tell" * 100)
    with pytest.raises(DataError, match=r"is no store of trials that Optuna .* can read"):
        found(tmp_path, 1)
    store.unlink()
    store.mkdir()
    with pytest.raises(OstinatoError, match=r"search\.db"):
        found(tmp_path, 1)


def test_trials_that_are_left_of_another_store_are_refused(tmp_path) -> None:
    found(tmp_path, 1)
    (tmp_path / "out" / "search.db").unlink()
    with pytest.raises(DataError, match=r"trial\.json is a trial of other settings or data"):
        found(tmp_path, 1, STUDY.replace("epochs = 1", "epochs = 2"))


def test_a_damaged_trial_is_named(tmp_path) -> None:
    found(tmp_path, 1)
    (tmp_path / "out" / "search.db").unlink()
    (tmp_path / "out" / "trials" / "0000" / OUTCOME).write_text("{")
    with pytest.raises(DataError, match=r"0000/trial\.json cannot be read: .*delete it"):
        found(tmp_path, 1)


def test_a_folder_may_be_called_anything(tmp_path) -> None:
    """An address of a store would cut these names short."""
    folder = tmp_path / "what? 50% #1 ü"
    found(folder, 1)
    assert (folder / "out" / "search.db").is_file()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(WriteError, match=r"Cannot write .*search\.db"):
        found(tmp_path, 1)


def test_no_trial_is_no_search(tmp_path) -> None:
    with pytest.raises(UsageError, match="Expected 1 trial or more, got 0"):
        found(tmp_path, 0)


@pytest.mark.parametrize("split", ["artist-folds-all", "song-folds"])
def test_folds_that_hold_the_published_test_tracks_are_refused(
    tmp_path, monkeypatch, split: str
) -> None:
    corpus = load_gtzan(n_coefficients=4)
    monkeypatch.setattr(entry, "load_data", lambda config, **_: corpus)
    text = f'split = "{split}"\nmodels = ["baseline"]\ncoefficients = 4\n'
    assert len(published_split("fault-filtered")["test"]) == 290
    with pytest.raises(
        UsageError, match=rf"got '{split}', which has 290 of them: use artist-folds"
    ):
        found(tmp_path, 1, text)
    assert not (tmp_path / "out").exists()


def test_the_test_part_is_not_looked_at(tmp_path, monkeypatch) -> None:
    tasks = []

    def seen(task, corpus, **options):
        tasks.append(task)
        execute(task, corpus, **options)

    monkeypatch.setattr(trial_module, "execute", seen)
    result = found(tmp_path, 2, 'split = "holdout"\n' + STUDY)
    assert tasks
    assert all(task.parts.test and not task.recipe.test for task in tasks)
    assert not result.config.test
    assert not (tmp_path / "test-ledger.csv").exists()


def test_real_trainings_are_resumed_as_a_studys_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trial_module, "execute", runs.execute)
    result = found(tmp_path, 1)
    assert result.number == 0
    (own,) = (tmp_path / "out" / "trials").iterdir()
    records = [json.loads(p.read_text()) for p in sorted(own.glob("models/lstm/*/run.json"))]
    assert [record["fold"] for record in records] == list(range(5))
    right = sum(np.trace(record["parts"]["valid"]["confusion"]) for record in records)
    assert right <= len(CORPUS)
    assert "test" not in records[0]["parts"]


def search_counted(folder: Path) -> None:
    """Search in a process of its own, and log each training that is done."""
    os.chdir(folder)

    def counted(task, corpus, **options):
        time.sleep(0.05)
        execute(task, corpus, **options)
        with Path("done.txt").open("a") as log:
            log.write(f"{task.folder}\n")

    entry.load_data = lambda config, **_: CORPUS
    trial_module.execute = counted
    search("study.toml", trials=9, out="out", jobs=1)


def test_killed_or_shared_by_two_processes_it_is_the_same_search(whole, tmp_path) -> None:
    """A process killed half-way; then two at once: no training twice, and 9 trials in all."""
    written(tmp_path)

    def started():
        process = forked().Process(target=search_counted, args=(tmp_path,))
        process.start()
        return process

    first = started()
    log = tmp_path / "done.txt"
    deadline = time.monotonic() + 300
    while not log.exists() or log.read_text().count("\n") < 7:
        assert time.monotonic() < deadline
        assert first.is_alive()
        time.sleep(0.02)
    first.kill()
    first.join()
    both = [started(), started()]
    for process in both:
        process.join(timeout=300)
        assert process.exitcode == 0
    assert table(tmp_path) == table(whole[1])[:9]
    done = log.read_text().splitlines()
    assert len(done) == len(set(done)) == len(list((tmp_path / "out").rglob("run.json")))


def test_it_waits_for_what_another_process_is_at(tmp_path, monkeypatch) -> None:
    """A lock that somebody holds, until he lets go of it."""
    (tmp_path / "out" / "trials" / "0000").mkdir(parents=True)
    lock = trial_module.FileLock(tmp_path / "out" / "trials" / "0000" / "trial.lock")
    lock.acquire()
    told: list[str] = []
    monkeypatch.setattr(run_module.time, "sleep", lambda _: lock.release())
    assert found(tmp_path, 2, tell=told.append).n_trials == 2
    assert told == ["Waiting for trial 0: another process is at it."]


def test_the_winner_is_a_study_of_its_own(whole) -> None:
    text = whole[0].winner.read_text()
    assert text.startswith(f"# Trial {whole[0].number} of a search: macro-f1 ")
    assert "search" not in tomllib.loads(text)
