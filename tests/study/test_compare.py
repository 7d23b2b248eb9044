"""Finished studies side by side: the statistics of one study, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ostinato.cli.main import main
from ostinato.errors import DataError, UsageError
from ostinato.study.compare import Judged, compare, read_judged
from ostinato.study.config import StudyConfig
from ostinato.study.ledger import LEDGER, read_ledger
from ostinato.study.plan import plan_study
from ostinato.study.results import to_json
from ostinato.study.study import run_study
from tests.helpers.toy import QUICK, toy_corpus

SMALL = {"width": 8, "depth": 1, "texture_frames": 4}
CONFIG = StudyConfig(
    models=("lstm", "residual-lstm"), seeds=2, training=QUICK, coefficients=4,
    settings={"lstm": SMALL, "residual-lstm": SMALL},
)  # fmt: skip
CORPUS = toy_corpus(seed=4)


def run(folder: Path, config: StudyConfig = CONFIG, corpus=CORPUS) -> Path:
    return run_study(plan_study(config, corpus, folder), jobs=1, report=False).folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """One study of two models, the same models a study each, and studies that do not fit."""
    root = tmp_path_factory.mktemp("runs")
    run(root / "both")
    run(root / "one", replace(CONFIG, models=("lstm",)))
    run(root / "two", replace(CONFIG, models=("residual-lstm",)))
    run(root / "drawn-otherwise", replace(CONFIG, split_seed=5))
    run(root / "folds", replace(CONFIG, models=("lstm",), split="artist-folds", seeds=1))
    run(root / "no-test", replace(CONFIG, models=("lstm",), test=False))
    return root


def test_two_studies_are_compared_as_two_models_of_one_are(runs: Path) -> None:
    """Same recipes, seeds and recordings: the figures of results.json, to the last digit."""
    found = compare([read_judged(runs / "one"), read_judged(runs / "two")])
    results = json.loads((runs / "both" / "results.json").read_text())
    assert found.part == "test"
    assert found.n == results["split"]["folds"][0]["parts"]["test"]["n"]
    for model in found.models:
        within = results["models"][model.model]["test_accuracy"]
        assert model.mean == pytest.approx(within["mean"])
        assert (model.low, model.high) == pytest.approx((within["low"], within["high"]))
    (pair,), (within,) = found.comparisons, results["comparisons"]
    assert {pair.a.split("/")[1], pair.b.split("/")[1]} == {within["a"], within["b"]}
    for key in ("p", "p_holm"):
        assert getattr(pair, key) == pytest.approx(within[key])
    sign = 1 if pair.a.endswith(f"/{within['a']}") else -1
    assert pair.difference.mean == pytest.approx(sign * within["difference"]["mean"])


def test_right_is_what_the_predictions_say(runs: Path) -> None:
    judged = read_judged(runs / "both")
    results = judged.results.models["lstm"].accuracy("test").seeds
    np.testing.assert_allclose(judged.correct["lstm"].mean(axis=1), results)


def test_holm_is_over_all_pairs_of_all_studies(runs: Path) -> None:
    right = iter([[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0]])
    studies = [
        replace(judged, correct={m: np.array([next(right)] * 2, bool) for m in judged.correct})
        for judged in (read_judged(runs / name) for name in ("both", "one", "two"))
    ]
    found = compare(studies)
    assert len(found.models) == 4
    p = sorted(pair.p for pair in found.comparisons)
    assert p[0] < p[-1] <= 1, "or there is nothing to adjust"
    by_hand = np.minimum(np.maximum.accumulate([(6 - i) * each for i, each in enumerate(p)]), 1)
    assert sorted(pair.p_holm for pair in found.comparisons) == pytest.approx(by_hand.tolist())
    assert len(p) == 6
    assert by_hand[0] > p[0]


def test_the_winner_of_a_search_is_told(runs: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(runs / "one", tmp_path / "won")
    results = tmp_path / "won" / "results.json"
    values = json.loads(results.read_text())
    values["config"]["chosen_from"] = 40
    results.write_text(json.dumps(values))
    found = compare([read_judged(tmp_path / "won"), read_judged(runs / "two")])
    assert {model.study: model.chosen_from for model in found.models} == {
        str(tmp_path / "won"): 40, str(runs / "two"): None,
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "won"), str(runs / "two")])
    said = " ".join(capsys.readouterr().out.split())
    assert "won/lstm: the best of 40 trials, which a search judged on validation folds" in said
    assert said.count("the best of") == 1


def test_recall_is_compared_within_a_genre_alone(runs: Path) -> None:
    """It is that of results.json; and recordings of other genres change no interval."""
    studies = [read_judged(runs / "one"), read_judged(runs / "two")]
    (pair,) = compare(studies, genres=["g1"]).comparisons
    recall = pair.recall["g1"]
    for side in ("a", "b"):
        model = getattr(pair, side).split("/")[1]
        results = json.loads((runs / "both" / "results.json").read_text())["models"][model]
        assert getattr(recall, side) == pytest.approx(results["per_genre"]["test"]["g1"]["recall"])
    assert recall.mean == pytest.approx(recall.a - recall.b)
    assert recall.low <= recall.mean <= recall.high
    turned = [
        replace(
            study,
            correct={
                model: right ^ (np.array(study.genres) != "g1")
                for model, right in study.correct.items()
            },
        )
        for study in studies
    ]
    (other,) = compare(turned, genres=["g1"]).comparisons
    same = {k: getattr(recall, k) for k in ("mean", "low", "high")}
    if other.a != pair.a:  # the better model stands first
        same = {"mean": -recall.mean, "low": -recall.high, "high": -recall.low}
    assert {k: getattr(other.recall["g1"], k) for k in same} == pytest.approx(same)


def test_an_unknown_genre_is_refused(runs: Path) -> None:
    studies = [read_judged(runs / "one"), read_judged(runs / "two")]
    with pytest.raises(UsageError, match="Expected genres of g0, g1, g2; got 'polka'"):
        compare(studies, genres=["polka"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("both", "drawn-otherwise"), "did not examine the same recordings"),
        (("one", "no-test"), "the first examined its test part, the second its valid part"),
    ],
)
def test_other_recordings_are_refused(runs: Path, names: tuple[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        compare([read_judged(runs / name) for name in names])


def test_one_model_or_one_study_twice_is_no_comparison(runs: Path) -> None:
    one = read_judged(runs / "one")
    with pytest.raises(UsageError, match="two models or more"):
        compare([one])
    with pytest.raises(UsageError, match="one of them twice"):
        compare([one, one])


def test_folders_that_hold_no_study_or_a_damaged_one_are_one_sentence(
    runs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Expected a finished study in"):
        read_judged(tmp_path)
    for name in ("results.json", "predictions.csv"):
        (tmp_path / name).write_text((runs / "one" / name).read_text())
    text = (tmp_path / "predictions.csv").read_text()
    (tmp_path / "predictions.csv").write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match="predictions"):
        read_judged(tmp_path)
    (tmp_path / "predictions.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"got the columns a, b; run the study again"):
        read_judged(tmp_path)


def test_every_examination_stands_in_the_ledger_beside_the_runs(runs: Path) -> None:
    """Entered before the look and after; folds and --no-test examine no test part; one and two are
    the recipes of both."""
    rows = read_ledger(runs / LEDGER)
    assert [(row["study"], row["model"], row["system"]) for row in rows] == [
        (study, model, system)
        for study in ("both", "drawn-otherwise")
        for model, system in [
            ("lstm", ""), ("residual-lstm", ""),
            ("lstm", "single"), ("lstm", "ensemble"),
            ("residual-lstm", "single"), ("residual-lstm", "ensemble"),
        ]
    ]  # fmt: skip
    assert len({row["test_part"] for row in rows}) == 2
    models = json.loads((runs / "both" / "results.json").read_text())["models"]
    for row in rows[2:6]:
        found = models[row["model"]]
        single = found["test_accuracy"]["mean"]
        expected = single if row["system"] == "single" else found["ensemble"]["test"]["accuracy"]
        assert float(row["accuracy"]) == pytest.approx(expected, abs=1e-6)


def test_a_look_that_was_interrupted_stands_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe is entered before any training could have examined the test part."""
    monkeypatch.setattr("ostinato.study.study._train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "study")
    rows = read_ledger(tmp_path / LEDGER)
    assert [(row["model"], row["accuracy"]) for row in rows] == [
        ("lstm", ""),
        ("residual-lstm", ""),
    ]
    assert not (tmp_path / "study" / "models").exists()


def test_a_report_counts_the_recipes_that_looked_before(runs: Path) -> None:
    changed = replace(CONFIG, models=("lstm",), training=replace(QUICK, epochs=2))

    def counts(name: str) -> tuple[int, int]:
        found = json.loads((runs / name / "results.json").read_text())["ledger"]
        return found["other_recipes"], found["earlier_recipes"]

    run(runs / "later", changed)
    assert counts("later") == (2, 2)
    run(runs / "later", changed)  # again, when others have come: still those before it
    assert counts("later") == (2, 2)
    assert counts("both") == (0, 0)
    run(runs / "both")
    assert counts("both") == (1, 0)


def test_a_damaged_ledger_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("not a ledger\n")
    with pytest.raises(DataError, match="The ledger"):
        run(tmp_path / "study")
    assert not (tmp_path / "study" / "models").exists()


@pytest.mark.parametrize("format_", ["table", "json"])
def test_the_command_prints_what_python_returns(
    runs: Path, format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["compare", str(runs / "one"), str(runs / "two"), "--genres", "g0,g2"]
    with pytest.raises(SystemExit) as ended:
        main([*call, "--format", format_])
    assert not ended.value.code
    out = capsys.readouterr().out
    found = compare([read_judged(runs / "one"), read_judged(runs / "two")], genres=["g0", "g2"])
    if format_ == "json":
        assert out == to_json(found)
    else:
        flat = " ".join(out.split())
        assert "one/lstm" in flat
        assert "points, 95% interval" in flat
        assert "Recall" in flat
        assert "g2" in flat
        (pair,) = found.comparisons
        apart = not pair.difference.low <= 0 <= pair.difference.high and pair.p_holm < 0.05
        assert ("larger than chance" in flat) is apart
        assert ("these data do not tell them apart" in flat) is not apart


def test_a_wrong_format_is_a_wrong_call(runs: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(runs / "one"), str(runs / "two"), "--format", "xml"])
    assert ended.value.code == 2


@pytest.mark.parametrize(("segments", "n_clusters"), [(1, 4), (2, 2)])
def test_pieces_of_a_recording_by_nobody_known_are_one_cluster(
    segments: int, n_clusters: int
) -> None:
    """Ids of whole recordings may hold a '#' of their own."""
    judged = Judged(
        folder=Path("x"),
        results=SimpleNamespace(config={"segments": segments}),  # type: ignore[arg-type]
        part="valid",
        ids=("a#0", "a#1", "b#0", "b#1"),
        genres=("blues",) * 4,
        artists=("",) * 4,
        correct={},
    )
    assert np.unique(judged.clusters.of).size == n_clusters
