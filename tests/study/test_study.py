"""A study from corpus to folder: what it leaves behind, and that it can be interrupted."""

from __future__ import annotations

import csv
import json
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from ostinato import models
from ostinato.datasets.splits import load_split
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.evaluation.calibration import fit_temperature
from ostinato.evaluation.paired import sign_flip
from ostinato.evaluation.significance import Clusters
from ostinato.study import study
from ostinato.study import training_run as runs
from ostinato.study.config import StudyConfig, load_config
from ostinato.study.plan import plan_study
from ostinato.study.report.findings import findings
from ostinato.study.results import StudyResults, plain, read_results
from ostinato.study.results.pool import Pool
from ostinato.study.study import run_study
from ostinato.training import fit as fit_module
from ostinato.training import learn
from ostinato.training.augment_frames import mixup
from ostinato.training.tracks import Tracks, predict
from tests.helpers.toy import QUICK, toy_corpus

SMALL = {
    "lstm": {"width": 8, "depth": 1, "texture_frames": 4},
    "residual-lstm": {"width": 8, "depth": 1, "texture_frames": 4},
}
CONFIG = StudyConfig(
    models=("lstm", "residual-lstm"), seeds=2, training=QUICK, settings=SMALL, coefficients=4
)
CORPUS = toy_corpus()


def run(folder: Path, config: StudyConfig = CONFIG, corpus=CORPUS, **options):
    options = {"jobs": 1, "report": False} | options
    return run_study(plan_study(config, corpus, folder), **options)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return run(tmp_path_factory.mktemp("study"), report=True)


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stable(results: StudyResults) -> str:
    """Results without what a clock says."""

    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("seconds", "finished")}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return json.dumps(strip(plain(results)))


def test_the_folder_holds_what_the_docs_say(done) -> None:
    names = {p.name for p in done.folder.iterdir()}
    assert names == {
        "report.html", "figures", "results.json", "predictions.csv", "config.toml", "split.tsv",
        "models",
    }  # fmt: skip
    for name in CONFIG.models:
        for seed in (0, 1):
            one = done.folder / "models" / name / f"seed{seed}-fold0"
            assert {p.name for p in one.iterdir()} == {
                "recipe.json", "run.json", "weights.safetensors", "model.json", "probabilities.csv",
                "curves.csv",
            }  # fmt: skip


def test_results_json_is_what_is_returned_and_has_the_fields_of_the_docs(done) -> None:
    assert read_results(done.folder) == done.results
    results = plain(done.results)
    assert results["schema"] == 1
    one = results["models"]["lstm"]
    assert set(one) == {
        "label", "settings", "parameters", "seconds", "train_accuracy", "valid_accuracy",
        "test_accuracy", "train_macro_f1", "valid_macro_f1",
        "test_macro_f1", "gap", "gap_last_epoch", "ensemble", "per_genre", "confusion",
        "confidence", "ensemble_confidence", "gradient_norms", "runs",
    }  # fmt: skip
    assert set(one["test_accuracy"]) == {"mean", "low", "high", "wilson", "seeds"}
    assert one["test_accuracy"]["low"] <= one["test_accuracy"]["mean"]
    assert one["test_accuracy"]["mean"] <= one["test_accuracy"]["high"]
    assert len(one["runs"]) == 2
    assert results["split"]["folds"][0]["parts"]["train"]["n"] == 18
    assert results["fairness"]["parameters"]["lstm"] == one["parameters"]


def test_artists_are_counted_as_artists_and_too_few_are_told(done) -> None:
    """Two recordings an artist: three artists a genre to train on, one to test on."""
    facts = done.results.split.folds[0].parts
    for part, n in (("train", 6), ("test", 2)):
        assert facts[part].per_genre == dict.fromkeys(CORPUS.genres, n)
        assert facts[part].artists_per_genre == dict.fromkeys(CORPUS.genres, n // 2)
    (caveat,) = [f for f in findings(done.results) if f.question == "Few artists"]
    assert "g0 1, g1 1 and g2 1" in caveat.answer


def test_what_is_not_the_same_for_all_models_is_told(done) -> None:
    (sentence,) = done.results.fairness.differ
    assert sentence.startswith("LSTM and ResLSTM differ in the shortcut around each layer")


def test_columns_of_the_predictions_are_the_genres_of_the_runs(done) -> None:
    rows = {(r["model"], r["seed"], r["recording"]): r for r in predictions(done.folder)}
    path = done.folder / "models" / "lstm" / "seed1-fold0" / "probabilities.csv"
    with path.open(encoding="utf-8", newline="") as file:
        kept = [row for row in csv.DictReader(file) if row["part"] == "test"]
    assert len(kept) == 6
    for row in kept:
        mine = rows["lstm", "1", row["recording"]]
        assert {g: mine[g] for g in CORPUS.genres} == {g: row[g] for g in CORPUS.genres}


def test_every_figure_follows_from_the_predictions(done) -> None:
    """Against scikit-learn, from predictions.csv alone."""
    rows = predictions(done.folder)
    genres = list(CORPUS.genres)
    for name, facts in plain(done.results)["models"].items():
        for part in ("valid", "test"):
            accuracies, f1, counts = [], [], []
            for seed in ("0", "1"):
                mine = [r for r in rows if (r["model"], r["part"], r["seed"]) == (name, part, seed)]
                assert len(mine) == 6
                truth = [r["genre"] for r in mine]
                said = [max(genres, key=lambda g, r=r: float(r[g])) for r in mine]
                accuracies.append(accuracy_score(truth, said))
                f1.append(f1_score(truth, said, average="macro", zero_division=0))
                counts.append(confusion_matrix(truth, said, labels=genres))
            assert facts[f"{part}_accuracy"]["seeds"] == pytest.approx(accuracies)
            assert facts[f"{part}_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
            assert facts[f"{part}_macro_f1"]["mean"] == pytest.approx(np.mean(f1))
            np.testing.assert_allclose(facts["confusion"][part], np.mean(counts, axis=0))


def test_an_ensemble_has_the_temperature_of_the_mean_of_its_seeds(done) -> None:
    rows = predictions(done.folder)
    for name in CONFIG.models:
        seeds = [
            [r for r in rows if (r["model"], r["part"], r["seed"]) == (name, "valid", seed)]
            for seed in ("0", "1")
        ]
        labels = np.array([CORPUS.genres.index(r["genre"]) for r in seeds[0]])
        said = np.array([[[float(r[g]) for g in CORPUS.genres] for r in own] for own in seeds])
        found = done.results.models[name]
        assert found.ensemble_confidence is not None
        assert found.ensemble_confidence.temperature == pytest.approx(
            fit_temperature(labels, said.mean(axis=0)), rel=0.01
        )
        assert found.confidence is not None
        assert found.confidence.temperature == pytest.approx(
            np.mean([fit_temperature(labels, own) for own in said]), rel=0.01
        )


def test_comparisons_are_tested_on_the_predictions_by_artist(done) -> None:
    rows = [r for r in predictions(done.folder) if r["part"] == "test"]
    one = [r for r in rows if r["model"] == "lstm" and r["seed"] == "0"]
    labels = np.array([CORPUS.genres.index(r["genre"]) for r in one])
    clusters = Clusters.by_artist(labels, [r["artist"] for r in one])
    right = {
        name: np.array([
            [
                max(CORPUS.genres, key=lambda g, r=r: float(r[g])) == r["genre"]
                for r in rows
                if (r["model"], r["seed"]) == (name, seed)
            ]
            for seed in ("0", "1")
        ])
        for name in CONFIG.models
    }  # fmt: skip
    (pair,) = plain(done.results)["comparisons"]
    wanted = sign_flip(right[pair["a"]], right[pair["b"]], clusters)
    assert pair["p"] == pytest.approx(wanted.p)
    assert pair["p_holm"] == pair["p"], "of one pair"
    assert pair["difference"]["mean"] == pytest.approx(wanted.difference)
    assert pair["mcnemar"] is None, "a mean over two seeds has no single verdicts"


def test_the_gap_is_train_minus_validation_of_the_same_weights(done) -> None:
    for facts in plain(done.results)["models"].values():
        wanted = facts["train_accuracy"]["mean"] - facts["valid_accuracy"]["mean"]
        assert facts["gap"]["mean"] == pytest.approx(wanted)
        for one in facts["runs"]:
            assert one["gap"] == pytest.approx(
                one["parts"]["train"]["accuracy"] - one["parts"]["valid"]["accuracy"]
            )
            last = one["last_epoch"]
            assert last["gap"] == pytest.approx(last["train_accuracy"] - last["valid_accuracy"])


def test_kept_weights_give_the_kept_predictions(done) -> None:
    """The weights on disk are those that were judged: the averaged ones."""
    folder = done.folder / "models" / "lstm" / "seed1-fold0"
    model, info = models.load(folder)
    plan = plan_study(CONFIG, CORPUS, done.folder)
    ids = plan.split.folds[0].test
    got = predict(model, Tracks.of(CORPUS, ids), length=info.window_frames, hop=info.window_hop)
    rows = [
        r
        for r in predictions(done.folder)
        if (r["model"], r["part"], r["seed"]) == ("lstm", "test", "1")
    ]
    assert [r["recording"] for r in rows] == list(ids)
    kept = np.array([[float(r[g]) for g in CORPUS.genres] for r in rows])
    np.testing.assert_allclose(got, kept, atol=2e-5)
    assert info.provenance["train"] == 18


def test_the_same_study_again_trains_nothing(done, monkeypatch) -> None:
    monkeypatch.setattr(study, "execute", lambda *a, **k: pytest.fail("trained again"))
    again = run(done.folder)
    assert stable(again.results) == stable(done.results)
    assert (again.report, done.report) == (None, done.folder / "report.html")


def test_the_same_seed_gives_the_same_figures_however_many_run_side_by_side(done, tmp_path) -> None:
    assert stable(run(tmp_path, jobs=2).results) == stable(done.results)


def test_more_seeds_keep_the_runs_that_are_there(done, tmp_path, monkeypatch) -> None:
    run(tmp_path, replace(CONFIG, seeds=1))
    trained = []
    real = runs.execute

    def counting(task, corpus, **options):
        trained.append((task.recipe.family, task.seed))
        real(task, corpus, **options)

    monkeypatch.setattr(study, "execute", counting)
    results = run(tmp_path).results
    assert trained == [("lstm", 1), ("residual-lstm", 1)]
    assert stable(results) == stable(done.results)


def test_an_interrupted_study_goes_on_and_gives_the_same_figures(
    done, tmp_path, monkeypatch
) -> None:
    steps = 0

    def interrupted(x, *, alpha):
        nonlocal steps
        steps += 1
        if steps == 3 * QUICK.epochs + 5:  # in the second run
            raise KeyboardInterrupt
        return mixup(x, alpha=alpha)

    monkeypatch.setattr(fit_module, "mixup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    assert len(list(tmp_path.glob("models/*/*/run.json"))) == 1
    assert len(list(tmp_path.glob("models/*/*/last.ckpt"))) == 1
    assert not (tmp_path / "results.json").exists()
    assert stable(run(tmp_path).results) == stable(done.results)


def test_without_test_the_test_part_is_neither_read_nor_named(tmp_path, monkeypatch) -> None:
    read = []
    real = Tracks.of.__func__

    def listening(cls, corpus, ids):
        read.extend(ids)
        return real(cls, corpus, ids)

    monkeypatch.setattr(Tracks, "of", classmethod(listening))
    result = run(tmp_path, replace(CONFIG, test=False, seeds=1), report=True)
    held_back = set(plan_study(CONFIG, CORPUS, tmp_path / "x").split.folds[0].test)
    assert len(held_back) == 6
    assert held_back.isdisjoint(read)
    everything = "".join(
        p.read_text(encoding="utf-8") for p in tmp_path.rglob("*") if p.suffix in (".json", ".csv")
    )
    assert not any(name in everything for name in held_back)
    assert "test_accuracy" not in everything
    (pair,) = plain(result.results)["comparisons"]
    assert pair["part"] == "valid"
    assert set(pair["mcnemar"]) == {"only_a", "only_b", "p", "assumes"}, "one seed"


def test_artist_folds_pool_the_held_out_recordings_of_all_folds(tmp_path) -> None:
    config = replace(CONFIG, split="artist-folds", seeds=1, models=("lstm",))
    results = plain(run(tmp_path, config, report=True).results)
    rows = predictions(tmp_path)
    assert sorted(r["recording"] for r in rows) == sorted(CORPUS.ids)  # each held out once
    assert {r["fold"] for r in rows} == {"0", "1", "2", "3", "4"}
    right = [max(CORPUS.genres, key=lambda g, r=r: float(r[g])) == r["genre"] for r in rows]
    assert results["models"]["lstm"]["valid_accuracy"]["mean"] == pytest.approx(np.mean(right))
    assert "test_accuracy" not in results["models"]["lstm"]


def test_sizes_and_repeats_that_are_asked_for_reach_the_split() -> None:
    sizes = replace(CONFIG, shares={"train": 0.4, "valid": 0.2, "test": 0.4})
    (fold,) = plan_study(sizes, CORPUS).split.folds
    assert [len(fold.part(part)) for part in ("train", "valid", "test")] == [12, 6, 12]
    folds = replace(CONFIG, split="artist-folds", split_seed=3, repeats=2)
    plan = plan_study(folds, CORPUS)
    assert len(plan.tasks) == 2 * 2 * 10, "models, seeds, folds"
    single = [plan_study(replace(folds, split_seed=s, repeats=1), CORPUS).split for s in (3, 4)]
    assert plan.split.folds == single[0].folds + single[1].folds
    folders = {plan_study(c, CORPUS).folder for c in (CONFIG, sizes, folds)}
    assert len(folders) == 3, "other sizes and other folds are other studies"


def test_a_recording_held_out_twice_is_one_cluster_whoever_made_it() -> None:
    """Else repeats would pass for so many more recordings, and intervals would be too narrow."""
    recordings = [replace(r, artist=None) for r in CORPUS.recordings[::2]]
    corpus = replace(CORPUS, recordings=recordings, frames=CORPUS.frames[::2])
    config = replace(CONFIG, split="artist-folds")
    for repeats in (1, 3):
        split = plan_study(replace(config, repeats=repeats), corpus).split
        pool = Pool(corpus, split, "valid")
        assert len(pool.positions) == 15 * repeats
        assert len(pool.clusters.strata) == 15


def test_the_split_of_a_study_can_be_asked_for_again(done, monkeypatch) -> None:
    """split.tsv is a split: with it the study is the same, down to its finished runs."""
    monkeypatch.setattr(study, "execute", lambda *a, **k: pytest.fail("trained again"))
    path = done.folder / "split.tsv"
    assert load_split(path, CORPUS) == plan_study(CONFIG, CORPUS).split
    config = replace(CONFIG, split=str(path))
    assert load_config_of(config, done.folder.parent / "again.toml").split == str(path)
    again = run(done.folder, config).results
    assert again.models == done.results.models
    run(done.folder)  # leaves the folder as it was


def load_config_of(config: StudyConfig, path: Path) -> StudyConfig:
    path.write_text(config.to_toml(), encoding="utf-8")
    return load_config(path)


def test_the_artist_free_part_of_the_test_part(tmp_path) -> None:
    """Recomputed from predictions.csv: recordings whose artist is in neither train nor valid."""
    corpus = replace(  # some artists stand alone
        CORPUS,
        recordings=[
            replace(r, artist=r.id if int(r.id[-1]) > 3 else r.artist) for r in CORPUS.recordings
        ],
    )
    config = replace(CONFIG, split="song-holdout")
    result = run(tmp_path, config, corpus)
    (fold,) = plan_study(config, corpus).split.folds
    artist = {r.id: r.artist for r in corpus.recordings}
    met = {artist[i] for i in fold.train + fold.valid}
    free = {i for i in fold.test if artist[i] not in met}
    assert 0 < len(free) < 6
    for name, facts in plain(result.results)["models"].items():
        seeds = []
        for seed in ("0", "1"):
            mine = [
                r
                for r in predictions(tmp_path)
                if (r["model"], r["part"], r["seed"]) == (name, "test", seed)
                and r["recording"] in free
            ]
            right = [max(CORPUS.genres, key=lambda g, r=r: float(r[g])) == r["genre"] for r in mine]
            seeds.append(float(np.mean(right)))
        found = facts["test_accuracy_artist_free"]
        assert found["n"] == len(free)
        assert found["seeds"] == pytest.approx(seeds)
        assert found["mean"] == pytest.approx(np.mean(seeds))
        assert found["low"] <= found["mean"] <= found["high"]


def test_where_artists_are_apart_there_is_no_other_figure(tmp_path) -> None:
    config = replace(CONFIG, split="holdout", seeds=1, models=("lstm",))
    facts = plain(run(tmp_path, config).results)["models"]["lstm"]
    assert "test_accuracy" in facts
    assert "test_accuracy_artist_free" not in facts


def test_a_folder_with_runs_of_another_recipe_is_refused(done) -> None:
    other = replace(CONFIG, training=replace(QUICK, epochs=5))
    with pytest.raises(DataError, match=r"holds a run of another recipe .* --out"):
        run(done.folder, other)


def test_an_unfinished_run_is_not_resumed_by_another_recipe(tmp_path, monkeypatch) -> None:
    """Its checkpoint would be taken for one of the new recipe, and nobody would notice."""

    def interrupted(x, *, alpha):
        if list(tmp_path.rglob(fit_module.CHECKPOINT)):
            raise KeyboardInterrupt
        return mixup(x, alpha=alpha)

    config = replace(CONFIG, seeds=1, models=("lstm",))
    monkeypatch.setattr(fit_module, "mixup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, config)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    with pytest.raises(DataError, match="holds a run of another recipe"):
        run(tmp_path, replace(config, training=replace(QUICK, noise=0.0)))
    run(tmp_path, config)


def test_a_run_that_failed_before_its_first_epoch_is_no_obstacle(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "study"  # its ledger counts no look of other tests
    config = replace(CONFIG, seeds=1, models=("lstm",))
    monkeypatch.setattr(fit_module, "mixup", lambda x, *, alpha: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folder, config)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    run(folder, replace(config, training=replace(QUICK, noise=0.0)))


def test_a_start_that_is_refused_leaves_no_folder(tmp_path) -> None:
    config = replace(CONFIG, models=("lstm", "crnn"), settings={"crnn": {"bands": 48}})
    with pytest.raises(UsageError, match="number of bands that divides"):
        run(tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_training_leaves_the_callers_random_numbers_and_threads_alone(tmp_path) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    threads = torch.get_num_threads()
    torch.use_deterministic_algorithms(False)
    torch.manual_seed(7)
    run(tmp_path, replace(CONFIG, seeds=1, models=("lstm",)))
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_damaged_run_is_named(tmp_path) -> None:
    config = replace(CONFIG, seeds=1, models=("lstm",))
    run(tmp_path, config)
    folder = tmp_path / "models" / "lstm" / "seed0-fold0"
    text = (folder / "probabilities.csv").read_text()
    (folder / "probabilities.csv").write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match=r"probabilities\.csv: expected probabilities"):
        run(tmp_path, config)
    (folder / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json.*damaged"):
        run(tmp_path, config)
    (folder / "run.json").write_text("[]")
    with pytest.raises(DataError, match=r"run\.json.*damaged"):
        run(tmp_path, config)


def test_a_worker_that_was_killed_is_told_in_words(tmp_path, monkeypatch) -> None:
    def killed(task, corpus, **options):
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(study, "execute", killed)
    with pytest.raises(OstinatoError, match=r"memory ran out: .* fewer jobs"):
        run(tmp_path)


def test_settings_are_written_so_that_the_study_can_be_run_again(done, tmp_path) -> None:
    again = run(tmp_path, load_config(done.folder / "config.toml"))
    assert stable(again.results) == stable(done.results)


def test_progress_ends_with_all_epochs(tmp_path) -> None:
    seen = []
    run(
        tmp_path,
        replace(CONFIG, seeds=1),
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert seen[0][:2] == (0, 2 * QUICK.epochs)
    assert seen[-1][:2] == (2 * QUICK.epochs, 2 * QUICK.epochs)
    counts = [done for done, _, _ in seen]
    assert counts == sorted(counts)


def test_default_folders_of_other_recipes_never_meet() -> None:
    a = plan_study(CONFIG, CORPUS).folder
    b = plan_study(replace(CONFIG, test=False), CORPUS).folder
    c = plan_study(replace(CONFIG, training=replace(QUICK, epochs=9)), CORPUS).folder
    more = plan_study(replace(CONFIG, seeds=7), CORPUS).folder
    assert len({a, b, c}) == 3
    assert more == a  # more seeds are the same study, longer
    assert a.name.startswith("toy-holdout-")
    assert "no-test" in b.name


def test_a_folder_without_a_study_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match="Expected a finished study in"):
        read_results(tmp_path)


def test_lstm_and_residual_lstm_begin_a_seed_with_the_same_weights(tmp_path, monkeypatch) -> None:
    begun = {}
    real = learn.fit

    def noting(model, **options):
        begun[type(model).__name__] = {k: v.clone() for k, v in model.state_dict().items()}
        return real(model, **options)

    monkeypatch.setattr(learn, "fit", noting)
    run(tmp_path, replace(CONFIG, seeds=1))
    a, b = begun.values()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_every_seed_and_fold_has_a_start_of_its_own_for_all_models(tmp_path, monkeypatch) -> None:
    begun: dict[tuple[int, int], set[int]] = {}

    def noting(*_, seed, **__):
        begun.setdefault((task.seed, task.fold), set()).add(seed)
        raise OstinatoError("noted")

    monkeypatch.setattr(runs, "train", noting)
    for task in plan_study(replace(CONFIG, split="artist-folds"), CORPUS, tmp_path).tasks:
        with pytest.raises(OstinatoError, match="noted"):
            runs.execute(task, CORPUS)
    assert len(begun) == 10
    assert all(len(seeds) == 1 for seeds in begun.values()), "both models begin alike"
    assert len(set.union(*begun.values())) == 10


def test_repeated_folds_are_compared_by_the_corrected_t_of_their_differences(tmp_path) -> None:
    """From the runs alone: seeds averaged within a fold, then Nadeau and Bengio's variance."""
    config = replace(CONFIG, split="artist-folds", repeats=2, test=False)
    typed = run(tmp_path, config).results
    results = plain(typed)
    (pair,) = results["comparisons"]
    found = pair["corrected_t"]
    assert (found["folds"], found["repeats"], found["df"]) == (10, 2, 9)

    def by_fold(name: str) -> np.ndarray:
        accuracy = np.zeros((2, 10))
        for one in results["models"][name]["runs"]:
            accuracy[one["seed"], one["fold"]] = one["parts"]["valid"]["accuracy"]
        return accuracy.mean(axis=0)

    differences = by_fold(pair["a"]) - by_fold(pair["b"])
    assert found["difference"]["mean"] == pytest.approx(differences.mean())
    sizes = [f["parts"] for f in results["split"]["folds"]]
    ratio = np.mean([s["valid"]["n"] for s in sizes]) / np.mean([s["train"]["n"] for s in sizes])
    error = differences.std(ddof=1) * np.sqrt(1 / 10 + ratio)
    assert found["t"] == pytest.approx(differences.mean() / error)
    spoken = [f for f in findings(typed) if "larger than chance" in f.question]
    assert "Over 10 folds of 2 drawings" in spoken[0].answer
    once = run(tmp_path / "once", replace(config, repeats=1)).results
    assert once.comparisons[0].corrected_t is None
