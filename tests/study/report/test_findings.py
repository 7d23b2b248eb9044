"""Findings say what the figures allow, and no more."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ostinato.errors import DataError, joined
from ostinato.study.report import headline
from ostinato.study.report.findings import Finding, findings
from ostinato.study.report.reading import (
    confused_pairs,
    difference,
    gap_difference,
    genre_f1,
    seed_f1,
    winner,
)
from ostinato.study.report.words import (
    amount,
    p_value,
    percent,
    points,
)
from tests.helpers.fake_results import GTZAN, fake_results, typed
from tests.study.report.conftest import STUDIES

Results = dict[str, Any]


def about(found: list[Finding], question: str) -> Finding:
    """The one finding whose question holds these words."""
    (finding,) = [f for f in found if question.lower() in f.question.lower()]
    return finding


def set_difference(
    results: Results, key: str, a: str, b: str, bounds: tuple[float, ...], p: float | None = None
) -> None:
    """State the difference of a minus b, and its p value (else one that agrees with the bounds)."""
    results[key] = [c for c in results[key] if {c["a"], c["b"]} != {a, b}]
    values = dict(zip(("mean", "low", "high"), bounds, strict=True))
    if p is None:
        p = 0.5 if values["low"] <= 0 <= values["high"] else 0.01
    tested = (
        {"p": p, "p_holm": p, "mcnemar": None, "corrected_t": None} if key == "comparisons" else {}
    )
    results[key].append({"part": "test", "a": a, "b": b, "difference": values} | tested)


def set_accuracy(results: Results, model: str, part: str, mean: float) -> None:
    results["models"][model][f"{part}_accuracy"] |= {
        "mean": mean,
        "low": mean - 0.05,
        "high": mean + 0.05,
    }


@pytest.mark.parametrize("kind", STUDIES)
def test_every_kind_of_study_has_whole_plain_sentences(kind: str) -> None:
    results = fake_results(**STUDIES[kind])
    found = findings(typed(results))
    for finding in found:
        assert finding.sentences
        for sentence in finding.sentences:
            assert sentence.endswith("."), sentence
            assert sentence.isascii(), "terminals without UTF-8 must show it"
            assert "nan" not in sentence.split()
    topics = [finding.topic for finding in found]
    assert topics == sorted(topics, key=["answer", "claim", "caveat"].index)
    assert all(model["label"] in found[0].answer for model in results["models"].values())
    assert headline(typed(results)).endswith(".")


def test_a_difference_whose_interval_holds_zero_is_undecided(results: Results) -> None:
    set_accuracy(results, "residual-lstm", "test", 0.541)
    set_accuracy(results, "lstm", "test", 0.510)
    set_difference(results, "comparisons", "residual-lstm", "lstm", (0.031, -0.029, 0.090), 0.307)
    found = about(findings(typed(results)), "larger than chance")
    assert found.verdict == "undecided"
    assert found.sentences[0] == (
        "ResLSTM 54.1%, LSTM 51.0%: +3.1 points (95% interval by artist -2.9 to +9.0), "
        "p = 0.31; these data do not tell them apart."
    )
    assert "do not tell it apart" in headline(typed(results))
    assert "LSTM (51.0%)" in headline(typed(results))


def test_a_difference_whose_interval_leaves_out_zero_is_larger_than_chance(
    results: Results,
) -> None:
    set_accuracy(results, "residual-lstm", "test", 0.641)
    for rival in ("lstm", "conv-lstm"):
        set_accuracy(results, rival, "test", 0.510)
        # Stated the other way round: the sign must turn with it.
        set_difference(results, "comparisons", rival, "residual-lstm", (-0.131, -0.19, -0.07), 2e-4)
    found = about(findings(typed(results)), "larger than chance")
    assert found.verdict == "yes"
    assert (
        "+13.1 points (95% interval by artist +7.0 to +19.0), p < 0.001; larger"
        in found.sentences[0]
    )
    assert headline(typed(results)).endswith("right, more than LSTM (51.0%) and ConvLSTM (51.0%).")


def test_without_artists_the_interval_is_said_to_take_recordings_as_independent() -> None:
    results = fake_results(n_models=2, artists_known=False)
    answer = about(findings(typed(results)), "chance").answer
    assert "taking recordings as independent" in answer
    assert "p: sign-flip test by recording." in answer


def test_an_interval_without_0_is_not_enough(results: Results) -> None:
    """The test must agree; it alone is not enough either."""
    for bounds, p in (((0.05, 0.01, 0.09), 0.06), ((0.05, -0.01, 0.11), 0.03)):
        for rival in ("lstm", "conv-lstm"):
            set_accuracy(results, "residual-lstm", "test", 0.56)
            set_accuracy(results, rival, "test", 0.51)
            set_difference(results, "comparisons", "residual-lstm", rival, bounds, p)
        found = findings(typed(results))
        assert about(found, "larger than chance").verdict == "undecided"
        assert about(found, "ResLSTM beats").verdict == "undecided"
        assert "do not tell ResLSTM apart from LSTM and ConvLSTM" in about(found, "beats").answer
        assert "more than" not in headline(typed(results))
        assert winner(typed(results)) is None


def test_gaps_are_told_apart_only_where_validation_is_large_enough(results: Results) -> None:
    """They have no test."""
    set_difference(results, "gap_comparisons", "residual-lstm", "lstm", (-0.2, -0.3, -0.1))
    found = gap_difference(typed(results), "lstm", "residual-lstm")
    assert (found.mean, found.low, found.high, found.p_holm) == (0.2, 0.1, 0.3, None)
    assert found.apart
    results["split"]["folds"][0]["parts"]["valid"]["n"] = 99
    assert not gap_difference(typed(results), "lstm", "residual-lstm").apart
    assert (
        "With 99 validation recordings"
        in about(findings(typed(results)), "over-fits least?").answer
    )


def test_eleven_recordings_make_no_winner(eleven: Results) -> None:
    """One recording a genre, two in one: nothing tells how they vary."""
    difference_ = difference(typed(eleven), "residual-lstm", "lstm")
    assert difference_.low <= 0 < difference_.mean == pytest.approx(2 / 11)
    assert difference_.p_holm == 1  # of one pair: 0.5, two artists that differ
    found = findings(typed(eleven))
    assert headline(typed(eleven)) == (
        "ResLSTM gets 45.5% of the test recordings right, but these data do not tell it apart from "
        "LSTM (27.3%) and ConvLSTM (27.3%)."
    )
    assert about(found, "larger than chance").verdict == "undecided"
    assert "these trained networks" in about(found, "larger than chance").answer
    assert winner(typed(eleven)) is None
    assert not [f for f in found if f.verdict == "yes"]
    assert not [f for f in found if "larger than chance" in f.answer]
    caveat = caveats(eleven)["Few recordings"]
    assert "Intervals by artist are rough here" in caveat
    assert "ResLSTM's 45.5%, taking recordings as independent: 21.3 to 72.0% (Wilson)." in caveat


def test_a_model_at_chance_is_said_to_be_so(results: Results) -> None:
    set_accuracy(results, "lstm", "test", 0.12)
    results["split"]["majority"]["test"] = 0.107
    answer = findings(typed(results))[0].answer
    assert "right on 10.7%, which the interval of LSTM does not exclude." in answer


def test_a_small_gap_is_no_merit_where_less_was_learned(results: Results) -> None:
    for model, train, valid in (
        ("lstm", 0.95, 0.53),
        ("residual-lstm", 0.98, 0.57),
        ("conv-lstm", 0.60, 0.45),
    ):
        set_accuracy(results, model, "train", train)
        set_accuracy(results, model, "valid", valid)
        results["models"][model]["gap"] |= {"mean": train - valid}
    found = about(findings(typed(results)), "over-fits least?")
    assert found.sentences[0].startswith("ConvLSTM has the smallest gap")
    assert "60.0% of the training and 45.0% of the validation" in found.sentences[0]
    assert found.sentences[-1] == (
        "The small gap of ConvLSTM is no merit in itself: it learns the training recordings less "
        "well than ResLSTM (60.0% against 98.0%) and is not better on validation "
        "(45.0% against 57.0%)."
    )
    set_accuracy(results, "conv-lstm", "valid", 0.58)
    remark = about(findings(typed(results)), "over-fits least?").sentences[-1]
    assert remark == "ConvLSTM has the highest estimate of validation accuracy too."


def test_best_and_smallest_are_said_with_whom_they_are_not_told_apart_from(
    results: Results,
) -> None:
    for name, gap in (("lstm", 0.4), ("residual-lstm", 0.3), ("conv-lstm", 0.35)):
        results["models"][name]["gap"] |= {"mean": gap}
    set_difference(results, "gap_comparisons", "residual-lstm", "lstm", (-0.1, -0.2, -0.05))
    set_difference(results, "gap_comparisons", "residual-lstm", "conv-lstm", (-0.05, -0.1, 0.01))
    found = findings(typed(results))
    first = about(found, "over-fits least?").sentences[0]
    assert first.startswith("ResLSTM has the smallest gap")
    assert "not told apart from ConvLSTM:" in first
    assert headline(typed(results)) in about(found, "Which model is best?").sentences
    set_difference(results, "gap_comparisons", "residual-lstm", "conv-lstm", (-0.05, -0.1, -0.01))
    assert "told apart" not in about(findings(typed(results)), "over-fits least?").sentences[0]


def test_what_abstaining_gains_says_how_many_seeds_reach_the_target(results: Results) -> None:
    points = [{"threshold": t, "coverage": 0.4, "precision": 0.81} for t in (0.52, 0.61)]
    entry = {"target": 0.8, "seeds": [*points, None], "coverage": 0.4, "precision": 0.81,
             "low": 0.7, "high": 0.9}  # fmt: skip
    none = {"target": 0.9, "seeds": [None] * 3, "coverage": None, "precision": None, "low": None,
            "high": None}  # fmt: skip
    for model in results["models"].values():
        model["confidence"]["abstaining"] = [entry, none]
    found = about(findings(typed(results)), "probabilities be believed").sentences
    assert found[1:] == (
        "Answering only from 0.52 to 0.61 on, chosen to be right on 80.0%: it answers 40.0% and is "
        "right on 81.0% of them (2 of 3 seeds; the others do not reach it).",
        "No threshold makes it right on 90.0%.",
    )
    entry |= {"seeds": points}
    assert "seeds;" not in about(findings(typed(results)), "be believed").sentences[1]


def test_weakest_genres_and_commonest_errors_are_those_of_the_figures(results: Results) -> None:
    for model in results["models"].values():
        for genre in GTZAN:
            model["per_genre"]["test"][genre]["f1"] = 0.5
        model["per_genre"]["test"]["rock"]["f1"] = 0.21
        model["per_genre"]["test"]["metal"]["f1"] = 0.9
        confusion = np.diag(np.full(10, 20.0))
        confusion[GTZAN.index("rock"), GTZAN.index("country")] = 9
        model["confusion"]["test"] = confusion.tolist()
    answer = about(findings(typed(results)), "genres are weakest").answer
    assert "rock 0.21" in answer
    assert "highest: metal 0.90" in answer
    assert "Confused most: rock taken for country (9 of 29)." in answer
    assert confused_pairs(typed(results), 5) == [("rock", "country", 9.0)]


def test_seed_f1_is_scikit_learns(results: Results) -> None:
    confusion = np.array(results["models"]["lstm"]["runs"][1]["parts"]["test"]["confusion"])
    true, said = (np.repeat(axis.ravel(), confusion.ravel()) for axis in np.indices((10, 10)))
    expected = f1_score(true, said, average=None)
    assert [seed_f1(typed(results), "lstm")[genre][1] for genre in GTZAN] == pytest.approx(expected)


def test_a_genre_without_recordings_in_the_part_is_not_ranked(results: Results) -> None:
    del results["split"]["folds"][0]["parts"]["test"]["per_genre"]["jazz"]
    assert "jazz" not in genre_f1(typed(results))


@pytest.mark.parametrize("n_models", [1, 3])
def test_one_model_is_asked_other_questions_than_several(n_models: int) -> None:
    found = findings(typed(fake_results(n_models=n_models)))
    asked = [f.question for f in found if f.topic == "answer"]
    alone = [
        "How good is it?",
        "How much does it over-fit?",
        "Which genres are weakest?",
        "Can its probabilities be believed?",
        "Which recordings does it get wrong with every seed?",
    ]
    several = [
        "Which model is best?",
        "Is the difference between the best two larger than chance?",
        "Which model over-fits least?",
        "Which genres are weakest?",
        "Can its probabilities be believed?",
        "Which recordings does every model get wrong?",
    ]
    assert asked == (alone if n_models == 1 else several)
    answer = about(found, "genres are weakest").answer
    assert ("mean of 3 models" in answer) is (n_models == 3)
    assert about(found, "wrong").sentences[0] == (
        "2 of 290 test recordings, with none of 9 trainings."
    )


@pytest.mark.parametrize(("over", "shows"), [(-1e-6, False), (1e-3, True)])
def test_miscalibration_shows_from_the_bound_on(results: Results, over: float, shows: bool) -> None:
    for model in results["models"].values():
        after = model["confidence"]["after"]
        after["ece"] = after["ece_high"] + over
    found = about(findings(typed(results)), "probabilities be believed")
    assert ("no miscalibration shows" in found.answer) is not shows
    assert ("more than chance explains" in found.answer) is shows
    assert found.verdict == ("no" if shows else None)


# ---------------------------------------------------------------- the claim


@pytest.mark.parametrize(
    ("against_lstm", "against_conv", "verdict"),
    [
        ((0.05, 0.01, 0.09), (0.04, 0.002, 0.08), "yes"),
        ((0.05, 0.01, 0.09), (0.04, -0.01, 0.08), "undecided"),
        ((0.05, 0.01, 0.09), (-0.01, -0.06, 0.04), "undecided"),
        ((-0.05, -0.09, -0.01), (0.04, 0.01, 0.08), "no"),
    ],
)
def test_the_claim_is_judged_by_all_its_intervals(
    results: Results,
    against_lstm: tuple[float, ...],
    against_conv: tuple[float, ...],
    verdict: str,
) -> None:
    for key, sign in (("comparisons", 1), ("gap_comparisons", -1)):
        for rival, bounds in (("lstm", against_lstm), ("conv-lstm", against_conv)):
            mean, *ends = (sign * value for value in bounds)
            set_difference(results, key, "residual-lstm", rival, (mean, min(ends), max(ends)))
    found = findings(typed(results))
    assert about(found, "ResLSTM beats LSTM and ConvLSTM").verdict == verdict
    # A smaller gap is the better one: its signs are turned.
    assert about(found, "ResLSTM over-fits least.").verdict == verdict


def test_both_outcomes_of_a_claim_are_asked_the_same(results: Results) -> None:
    """Turned round, every difference turns the verdict round; what is not decided stays so."""
    turned = {"yes": "no", "no": "yes", "undecided": "undecided"}
    for bounds, verdict in (
        ((0.05, 0.01, 0.09), "yes"), ((0.05, -0.01, 0.11), "undecided"),
        ((0.0, -0.05, 0.05), "undecided"),
    ):  # fmt: skip
        for sign, expected in ((1, verdict), (-1, turned[verdict])):
            mean, *ends = (sign * value for value in bounds)
            for rival in ("lstm", "conv-lstm"):
                entry = (mean, min(ends), max(ends))
                set_difference(results, "comparisons", "residual-lstm", rival, entry)
            found = about(findings(typed(results)), "ResLSTM beats")
            assert found.verdict == expected, bounds
            assert ("neither show nor refute" in found.answer) == (expected == "undecided")
            assert ("against the claim" in found.answer) == (expected == "no")


def test_a_rival_that_is_ahead_refutes_the_claim_and_is_named(results: Results) -> None:
    set_difference(results, "comparisons", "residual-lstm", "lstm", (-0.06, -0.09, -0.04))
    set_difference(results, "comparisons", "residual-lstm", "conv-lstm", (0.04, -0.01, 0.08))
    answer = about(findings(typed(results)), "ResLSTM beats").answer
    assert "tell it apart from LSTM, against the claim." in answer


F1 = dict.fromkeys(GTZAN, (0.5, 0.4, 0.6))


@pytest.mark.parametrize(
    ("f1", "verdict"),
    [
        ({"disco": (0.1, 0, 0.2), "reggae": (0.2, 0.1, 0.3)}, "yes"),
        ({"disco": (0.1, 0, 0.2), "reggae": (0.3, 0.2, 0.45)}, "undecided"),
        ({"disco": (0.1, 0, 0.2), "reggae": (0.6, 0.45, 0.7)}, "undecided"),  # not refuted either
        ({"disco": (0.1, 0, 0.2), "reggae": (0.8, 0.7, 0.9)}, "no"),
        ({"disco": (0.1, 0, 0.2), "reggae": None}, "undecided"),  # of one artist: no interval
    ],
)
def test_hardest_genres_are_told_apart_by_the_intervals_of_every_model(
    results: Results, f1: dict[str, tuple[float, float, float]], verdict: str
) -> None:
    for model in results["models"].values():
        set_f1(model, F1 | f1)
    found = about(findings(typed(results)), "Disco and reggae are hardest")
    assert found.verdict == verdict
    assert ("neither show nor refute" in found.answer) == (verdict == "undecided")
    # One model in which they overlap: it is not decided.
    set_f1(results["models"]["lstm"], F1)
    assert about(findings(typed(results)), "are hardest").verdict == "undecided"


def set_f1(model: Results, f1: dict[str, tuple[float, float, float] | None]) -> None:
    """State F1 and its interval for every genre; None: 0.1 without an interval."""
    for genre, values in f1.items():
        mean, *bounds = values or (0.1, None)
        own = model["per_genre"]["test"][genre]
        own["f1"] = mean
        own["intervals"]["f1"] = bounds if values else None


def test_models_that_have_other_genres_lowest_are_counted(results: Results) -> None:
    for name, model in results["models"].items():
        for genre in GTZAN:
            model["per_genre"]["test"][genre]["f1"] = 0.1 if genre in ("disco", "reggae") else 0.5
        if name == "lstm":
            model["per_genre"]["test"]["rock"]["f1"] = 0.05
    found = about(findings(typed(results)), "Disco and reggae are hardest")
    assert "For 2 of 3 models" in found.answer


def test_the_claim_needs_its_models_and_genres() -> None:
    assert not [f for f in findings(typed(fake_results(n_models=2))) if f.topic == "claim"]
    jazzless = fake_results(genres=["disco", "metal", "pop"])
    claims = [f.question for f in findings(typed(jazzless)) if f.topic == "claim"]
    assert claims == ["ResLSTM beats LSTM and ConvLSTM.", "ResLSTM over-fits least."]


# ---------------------------------------------------------------- caveats


def caveats(results: Results) -> dict[str, str]:
    return {f.question: f.answer for f in findings(typed(results)) if f.topic == "caveat"}


def test_a_study_without_faults_has_no_caveats(results: Results) -> None:
    _without_faults(results)
    assert caveats(results) == {}


def _without_faults(results: Results) -> None:
    fold = results["split"]["folds"][0]
    fold["shared_artists"] = {"valid": 0, "test": 0}
    for part in ("valid", "test"):
        fold["parts"][part]["artists_per_genre"] = dict.fromkeys(GTZAN, 10)
    results["data"]["skipped"] = []


def test_each_fault_has_its_caveat(results: Results) -> None:
    _without_faults(results)
    fold = results["split"]["folds"][0]
    fold["shared_artists"]["test"] = 27
    fold["parts"]["test"]["artists_per_genre"] |= {"blues": 3, "jazz": 5}
    fold["parts"]["valid"]["artists_per_genre"] |= {"hiphop": 1}
    fold["parts"]["test"]["unknown_artists"] = 5
    results["data"]["skipped"] = [{"id": f"{i}.wav", "reason": "broken."} for i in range(20)]
    results["data"]["left_out"] = {"polka": 2}
    found = caveats(results)
    assert "27 of 290 test recordings (9.3%)" in found["Artists overlap"]
    few = found["Few artists"]
    assert "artists in the validation part: hiphop 1 (all genres: 91)." in few
    assert "artists in the test part: blues 3 and jazz 5 (all genres: 88)." in few
    assert "5 of 290 test recordings" in found["Some artists are unknown"]
    assert found["Files skipped"].startswith("20 files")
    assert found["Files skipped"].endswith("11.wav and 8 more.")
    assert "polka (2)" in found["Genres left out"]


@pytest.mark.parametrize("test", [True, False])
def test_the_winner_of_a_search_says_how_many_trials_it_is_the_best_of(test: bool) -> None:
    results = fake_results(n_models=1, test=test)
    assert "The best of many trials" not in caveats(results)
    results["config"]["chosen_from"] = 40
    said = caveats(results)["The best of many trials"]
    assert said.startswith("A search chose these settings from 40 trials on validation folds.")
    assert ("this test part" in said) == test


def test_few_recordings_one_seed_unknown_artists_and_no_test_are_caveats() -> None:
    found = caveats(
        fake_results(n_seeds=1, n_per_genre=4, artists_known=False, test=False, n_models=2)
    )
    assert next(iter(found)) == "Validation figures, not a result"
    assert {"No artist is known", "One seed", "Few recordings"} <= set(found)
    assert "Few artists" not in found


# ---------------------------------------------------------------- words, and wrong input


def test_words() -> None:
    assert percent(0.5407) == "54.1%"
    assert points(-0.0001) == "+0.0", "no minus before a zero"
    assert points(-0.029) == "-2.9"
    assert [p_value(p) for p in (0.0004, 0.0344, 0.812)] == ["p < 0.001", "p = 0.034", "p = 0.81"]
    assert (amount(9.33), amount(12.0)) == ("9.3", "12")
    assert [joined([]), joined(["a"]), joined(["a", "b", "c"])] == ["", "a", "a, b and c"]


def test_a_missing_comparison_is_named(results: Results) -> None:
    results["comparisons"] = []
    with pytest.raises(DataError, match="no comparison of 'lstm' with 'conv-lstm'"):
        difference(typed(results), "lstm", "conv-lstm")


def test_findings_need_neither_matplotlib_nor_jinja2_nor_torch() -> None:
    code = (
        "import sys, ostinato.study.report, ostinato.study.report.findings\n"
        "import ostinato.study.report.terminal\n"
        "print(sorted({'matplotlib', 'jinja2', 'torch', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
